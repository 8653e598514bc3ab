"""From Debian's signed indexes to a base pinned by digest: the one look-up of `modelpack lock`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from modelpack.errors import Finding
from modelpack.inputs.downloads import Downloads
from modelpack.inputs.mirrors import Mirrors
from modelpack.lock import AssembledBase, Interpreter
from modelpack.platform import Platform
from modelpack.progress import SILENT, Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """A base as Debian's indexes have it at this time."""

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
    progress: Progress = SILENT,
) -> Resolved:
    """Choose the packages of `distribution` (`debian:13`, `debian:12`) and further `packages`."""
    raise NotImplementedError
