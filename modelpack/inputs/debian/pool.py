"""Gets pinned `.deb` files: from the mirrors' pools, else from the archive of snapshots.

Imports the network stack; import this module where it is needed, not at the top of another.
"""

import re
from calendar import timegm
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from time import gmtime, strftime

from modelpack.errors import Finding, Refused, Unavailable
from modelpack.inputs.debian.mirrors import Mirrors
from modelpack.inputs.downloads import Downloads
from modelpack.inputs.fetch import download
from modelpack.lock import AssembledBase, DebianPackage
from modelpack.progress import Advance, Progress
from modelpack.web.client import Client, Gone

_THREADS = 8
_LATER = 12 * 3600
"seconds; Debian's archive is photographed every six hours, so that this one has what was new"
_TIME = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})T([0-9]{2})([0-9]{2})([0-9]{2})Z")
_UPGRADE = "modelpack lock --upgrade base"


def fetch(
    base: AssembledBase,
    packages: Sequence[DebianPackage],
    *,
    mirrors: Mirrors,
    downloads: Downloads,
    environment: Mapping[str, str],
    progress: Progress,
) -> dict[str, Path]:
    """Download `packages` of `base`, some at a time, and return their files by name.

    Raises Unavailable with a finding for every one that is to be had nowhere.
    """
    times = {(r.archive, r.suite): r.snapshot for r in base.releases}
    source = _Source(client=Client(environment), mirrors=mirrors, downloads=downloads, times=times)
    total = sum(package.size for package in packages)
    with progress.task("Debian packages", total) as advance, ThreadPoolExecutor(_THREADS) as pool:
        results = list(pool.map(lambda package: source.get(package, advance), packages))
    missing = [result for result in results if isinstance(result, Finding)]
    if missing:
        raise Unavailable(*missing)
    return {
        package.name: result
        for package, result in zip(packages, results, strict=True)
        if isinstance(result, Path)
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """Everywhere that a package can come from."""

    client: Client
    mirrors: Mirrors
    downloads: Downloads
    times: Mapping[tuple[str, str], str]

    def get(self, package: DebianPackage, advance: Advance) -> Path | Finding:
        reasons: list[str] = []
        gone = False
        for url in self._urls(package):
            try:
                return download(
                    self.client,
                    url,
                    sha256=package.sha256,
                    size=package.size,
                    downloads=self.downloads,
                    at=package.name,
                    advance=advance,
                )
            except (Unavailable, Refused) as error:
                gone = gone or isinstance(error, Gone)
                reasons += [finding.message for finding in error.findings]
        return Finding(
            message=f"`{package.name}` {package.version} is not to be had: "
            + "; ".join(dict.fromkeys(reasons)),
            at=package.name,
            hint=_UPGRADE if gone else "check the network and MODELPACK_DEBIAN_MIRROR",
        )

    def _urls(self, package: DebianPackage) -> Iterator[str]:
        for root in self.mirrors.of(package.archive):
            yield f"{root}/{package.path}"
        time = self.times.get((package.archive, package.suite), "")
        for moment in _moments(time):
            yield f"{self.mirrors.snapshot}/archive/{package.archive}/{moment}/{package.path}"


def _moments(time: str) -> Iterator[str]:
    """Yield `20261120T083000Z` and half a day later; nothing for what is no time.

    The index was signed at this time, and the first snapshot that holds it was taken after it.
    """
    found = _TIME.fullmatch(time)
    if found is None:
        return
    yield time
    try:
        later = timegm(tuple(map(int, found.groups()))) + _LATER
    except ValueError:
        return
    yield strftime("%Y%m%dT%H%M%SZ", gmtime(later))
