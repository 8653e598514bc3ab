"""Why no wheel was found for a locked requirement: what the index has instead."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import unquote

from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    parse_sdist_filename,
    parse_wheel_filename,
)

from modelpack.errors import Finding
from modelpack.inputs.python import pip_command
from modelpack.inputs.python.pinned import Requirement
from modelpack.inputs.python.target import Target
from modelpack.inputs.quoting import quoted

_LINK = re.compile(r"/([^/\s#,]+)(?:#sha256=([0-9a-f]{64}))?(?=[,\s]|$)", re.MULTILINE)
_SHOWN = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class _Offer:
    """A file of the wanted version on an index."""

    filename: str
    sha256: str
    wheel: bool
    misfit: str = ""
    "why it cannot be installed"


def missing(
    one: Requirement,
    *,
    target: Target,
    urls: Sequence[str | None],
    environment: Mapping[str, str],
    at: str,
) -> Finding:
    """Return why `one` cannot be had, by what pip's log says about every link that it saw."""
    offers: dict[str, _Offer] = {}
    for url in urls:
        answer = pip_command.probe(
            f"{one.name}=={one.version}", [url], environment=environment,
            options=pip_command.target_options(target),
        )  # fmt: skip
        if not answer.succeeded and answer.trouble:
            raise answer.unavailable()
        for offer in _offers(answer.text, one, target):
            # Some lines of the log show a link without its hash.
            if offer.sha256 or offer.filename not in offers:
                offers[offer.filename] = offer
    return _finding(one, list(offers.values()), target=target, at=at)


def _offers(log: str, one: Requirement, target: Target) -> list[_Offer]:
    found = []
    for filename, sha256 in dict.fromkeys(_LINK.findall(log)):
        offer = _offer(unquote(filename), sha256, one, target)
        if offer:
            found.append(offer)
    return found


def _offer(filename: str, sha256: str, one: Requirement, target: Target) -> _Offer | None:
    """Return what `filename` offers for `one`; None when it is for something else."""
    try:
        if filename.endswith(".whl"):
            name, version, _, tags = parse_wheel_filename(filename)
            misfit = target.misfit(tags) if tags.isdisjoint(target.tags) else ""
        else:
            name, version = parse_sdist_filename(filename)
            misfit = "is a source distribution"
    except (InvalidSdistFilename, InvalidWheelFilename):
        return None
    if (name, str(version)) != (one.name, one.version):
        return None
    return _Offer(filename=filename, sha256=sha256, wheel=filename.endswith(".whl"), misfit=misfit)


def _finding(one: Requirement, offers: list[_Offer], *, target: Target, at: str) -> Finding:
    label = f"`{one.name}` {one.version}"
    wheels = [offer for offer in offers if offer.wheel]
    fitting = [offer for offer in wheels if not offer.misfit]
    if not offers:
        return Finding(
            message=f"{label} is on no index", at=at, rule="dependencies.unavailable",
            hint="correct the version, or name the index that has it in `dependencies.indexes`",
        )  # fmt: skip
    if not wheels:
        return Finding(
            message=f"{label} has no wheel, only {_list(offers)}, and source distributions are "
            "not built",
            at=at, rule="dependencies.source",
            hint="choose a version with wheels, or build the wheel and put it on an index",
        )  # fmt: skip
    if not fitting:
        return Finding(
            message=f"{label} has no wheel for {target}: {_nearest(wheels, target)}",
            at=at, rule="dependencies.incompatible",
            hint="choose a version with a wheel for it, or another `runtime.base`",
        )  # fmt: skip
    return Finding(
        message=f"no wheel of {label} for {target} has a locked hash; the index has "
        f"{_list(fitting, digests=True)}",
        at=at, rule="dependencies.unhashed",
        hint=f"compile the lockfile anew, for {target}",
    )  # fmt: skip


def _nearest(wheels: list[_Offer], target: Target) -> str:
    """Return the wheels that come closest: of this machine and Python."""
    machine = [offer for offer in wheels if target.platform.machine in offer.filename]
    python = [offer for offer in machine if f"-{target.abi}-" in offer.filename]
    return _list(python or machine or wheels, reasons=True)


def _list(offers: list[_Offer], *, digests: bool = False, reasons: bool = False) -> str:
    shown = []
    for offer in sorted(offers, key=lambda offer: offer.filename)[:_SHOWN]:
        digest = f" (sha256 `{offer.sha256}`)" if digests else ""
        reason = f" {offer.misfit}" if reasons else ""
        shown.append(quoted(offer.filename, 120) + digest + reason)
    more = f" and {len(offers) - _SHOWN} more" if len(offers) > _SHOWN else ""
    return "; ".join(shown) + more
