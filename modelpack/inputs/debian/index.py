"""From Debian's signed indexes to a base pinned by digest: the look-up of `modelpack lock`."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from modelpack.errors import Finding, InputError, ModelpackError, Refused, Unavailable
from modelpack.inputs.debian import (
    base as debian_base,
)
from modelpack.inputs.debian import (
    distributions as debian_distributions,
)
from modelpack.inputs.debian import (
    keys as debian_keys,
)
from modelpack.inputs.debian import (
    release as debian_release,
)
from modelpack.inputs.debian.distributions import DROP, SCRIPTS_REVIEWED, SHELLS, Distribution
from modelpack.inputs.debian.mirrors import Mirrors
from modelpack.inputs.debian.package import DebFile
from modelpack.inputs.debian.packages import Index, PackagesFile
from modelpack.inputs.debian.release import File, Release
from modelpack.inputs.debian.resolver import Closure, closure
from modelpack.inputs.debian.versions import upstream
from modelpack.inputs.downloads import Downloads
from modelpack.lock import AssembledBase, Interpreter
from modelpack.platform import Platform
from modelpack.progress import SILENT, Progress

if TYPE_CHECKING:
    from modelpack.web.client import Client

_AT = "runtime.packages"
_MAX_COMPRESSED = 128 << 20
_NUMBERS = re.compile(r"[0-9]+(?:\.[0-9]+)*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """A base as Debian's indexes have it now."""

    base: AssembledBase
    interpreter: Interpreter
    epoch: int
    "seconds since 1970: Date of the newest index"
    findings: tuple[Finding, ...]
    "warnings about further packages"


def resolve(
    distribution: str,
    *,
    platform: Platform,
    packages: Sequence[str],
    mirrors: Mirrors,
    downloads: Downloads,
    environment: Mapping[str, str],
    now: int,
    keys: Sequence[bytes] = (),
    progress: Progress = SILENT,
) -> Resolved:
    """Choose the packages of `distribution` (`debian:13`, `debian:12`) and further `packages`.

    `now` is in seconds since 1970: an expired index is no answer. `keys` stand in for those of
    Debian's archive. Raises InputError for an unknown distribution or package, Refused for an
    index that Debian did not sign, Unavailable when no mirror has one that holds.
    """
    from modelpack.web.client import Client  # noqa: PLC0415  the network stack

    chosen = debian_distributions.find(distribution)
    reader = _Reader(
        client=Client(environment),
        mirrors=mirrors,
        downloads=downloads,
        environment=environment,
        now=now,
        keys=tuple(keys) or debian_keys.keyring(),
        progress=progress,
    )
    read = [reader.suite(chosen, archive, suite, platform) for archive, suite in chosen.suites]
    plain, full = _closures(Index([file for _, file in read]), chosen, packages)
    base = AssembledBase(
        distribution=chosen.name,
        releases=tuple(release.lock for release, _ in read),
        packages=tuple(candidate.package for candidate in full.packages.values()),
    )
    further = frozenset(full.packages) - frozenset(plain.packages) - SCRIPTS_REVIEWED
    debs = debian_base.fetch(
        _part(base, further),
        mirrors=mirrors,
        downloads=downloads,
        environment=environment,
        progress=progress,
    )
    return Resolved(
        base=base,
        interpreter=_interpreter(chosen, full),
        epoch=max(release.date for release, _ in read),
        findings=(*_missing_shells(full, frozenset(plain.packages)), *_scripts(debs)),
    )


def _closures(
    index: Index, chosen: Distribution, packages: Sequence[str]
) -> tuple[Closure, Closure]:
    """Return what a Python service needs, and that with `packages`."""
    missing = [name for name in chosen.roots if name not in index]
    if missing:
        raise Unavailable(*(f"the index of {chosen.codename} has no `{name}`" for name in missing))
    _check_names(index, packages)
    plain = closure(index, chosen.roots, drop=DROP | SHELLS)
    full = closure(index, (*chosen.roots, *packages), drop=DROP | SHELLS) if packages else plain
    if full.findings:
        raise Unavailable(*full.findings)
    return plain, full


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reader:
    """Reads the index of a suite from the first mirror that has a valid one."""

    client: "Client"
    mirrors: Mirrors
    downloads: Downloads
    environment: Mapping[str, str]
    now: int
    keys: tuple[bytes, ...]
    progress: Progress

    def suite(
        self, chosen: Distribution, archive: str, suite: str, platform: Platform
    ) -> tuple[Release, PackagesFile]:
        self.progress.say(f"reading the index of {suite}")
        failures: list[ModelpackError] = []
        for root in self.mirrors.of(archive):
            try:
                return self._read(chosen, archive, suite, platform, f"{root}/dists/{suite}")
            except (Refused, Unavailable) as error:
                failures.append(error)
        findings = [finding for failure in failures for finding in failure.findings]
        if any(isinstance(failure, Refused) for failure in failures):
            raise Refused(*findings)
        raise Unavailable(*findings)

    def _read(
        self, chosen: Distribution, archive: str, suite: str, platform: Platform, url: str
    ) -> tuple[Release, PackagesFile]:
        message = self.client.read(
            f"{url}/InRelease", limit=debian_release.MAX_SIZE, at=f"InRelease of {suite}"
        )
        release = debian_release.parse(
            message,
            archive=archive,
            suite=suite,
            codename=chosen.codename,
            keys=self.keys,
            environment=self.environment,
            now=self.now,
        )
        file, suffix = release.packages_file(platform.architecture)
        return release, debian_release.unpack(release, self._content(release, file, url), suffix)

    def _content(self, release: Release, file: File, url: str) -> bytes:
        """Return the content of `file`, by digest so that a mirror's update does no harm."""
        if not file.size:
            return b""
        if file.size > _MAX_COMPRESSED:
            raise Unavailable(f"has {file.size} bytes", at=f"{release.lock.suite}: {file.path}")
        path = self.downloads.path(file.sha256)
        if path is None:
            from modelpack.inputs import fetch  # noqa: PLC0415  the network stack

            folder, _, _ = file.path.rpartition("/")
            by_hash = f"{url}/{folder}/by-hash/SHA256/{file.sha256}"
            path = fetch.download(
                self.client,
                by_hash if release.by_hash else f"{url}/{file.path}",
                sha256=file.sha256,
                size=file.size,
                downloads=self.downloads,
                at=f"Packages of {release.lock.suite}",
            )
        return path.read_bytes()


def _check_names(index: Index, packages: Sequence[str]) -> None:
    """Raise InputError for every one of `packages` that there is not or must not be."""
    findings = []
    for number, name in enumerate(packages):
        at = f"{_AT}[{number}]"
        if name in SHELLS:
            findings.append(
                Finding(
                    message=f"`{name}` is a shell or a package manager, which an assembled base "
                    "does not hold",
                    at=at,
                    hint="leave it out, or take a registry image as `runtime.base`",
                )
            )
        elif name not in index:
            near = (known for known in index.names() if known[:2] == name[:2])
            close = get_close_matches(name, near, n=1)
            findings.append(
                Finding(
                    message=f"Debian has no package `{name}` here",
                    at=at,
                    hint=f"did you mean `{close[0]}`?" if close else "",
                )
            )
    if findings:
        raise InputError(*findings)


def _part(base: AssembledBase, names: frozenset[str]) -> AssembledBase:
    return AssembledBase(
        distribution=base.distribution,
        releases=base.releases,
        packages=tuple(package for package in base.packages if package.name in names),
    )


def _interpreter(chosen: Distribution, full: Closure) -> Interpreter:
    def version_of(name: str) -> str:
        found = _NUMBERS.match(upstream(full.packages[name].version))
        if found is None:
            raise Unavailable(f"`{name}` has no version in numbers")
        return found[0]

    return Interpreter(
        version=version_of(f"python{chosen.python}-minimal"),
        path=f"/usr/bin/python{chosen.python}",
        glibc=version_of("libc6"),
    )


def _missing_shells(full: Closure, plain: frozenset[str]) -> Iterator[Finding]:
    for name, wanted_by in full.left_out.items():
        for package in sorted(wanted_by - plain):
            if name in SHELLS - {"dpkg"}:
                yield Finding(
                    message=f"`{package}` depends on `{name}`, which the base does not hold",
                    at=_AT,
                    rule="base.shell",
                    severity="warning",
                    hint="test that what you use of it works, or take another `runtime.base`",
                )


def _scripts(debs: Mapping[str, Path]) -> Iterator[Finding]:
    """Warn of packages whose scripts nobody reviewed; they are not run."""
    names = [
        name
        for name, path in sorted(debs.items())
        if DebFile(path.read_bytes(), name=name).installation_scripts()
    ]
    if names:
        quoted = ", ".join(f"`{name}`" for name in names)
        yield Finding(
            message=f"maintainer scripts are not run; these packages have some: {quoted}",
            at=_AT,
            rule="base.scripts",
            severity="warning",
            hint="test that what you use of them works, or take another `runtime.base`",
        )
