"""pip as the door to package indexes: this machine's indexes, proxies, certificates, passwords."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from modelpack.inputs.downloads import Downloads
from modelpack.inputs.python_target import Target
from modelpack.inputs.requirements import Requirements
from modelpack.lock import Wheel
from modelpack.progress import SILENT, Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class Selected:
    """A wheel chosen for a target, with what its core metadata demands."""

    wheel: Wheel
    extras: tuple[str, ...] = ()
    "that the lockfile asks for"
    requires_dist: tuple[str, ...] = ()
    requires_python: str = ""
    provides_extra: tuple[str, ...] = ()


def select(
    requirements: Requirements,
    *,
    target: Target,
    indexes: Mapping[str, str | None],
    environment: Mapping[str, str],
    progress: Progress = SILENT,
) -> tuple[Selected, ...]:
    """Return the wheel of every requirement that fits `target` and has a locked hash, by name."""
    raise NotImplementedError


def fetch(
    wheels: Sequence[Wheel],
    *,
    downloads: Downloads,
    indexes: Mapping[str, str | None],
    environment: Mapping[str, str],
    offline: bool = False,
    progress: Progress = SILENT,
) -> Mapping[str, Path]:
    """Return the file of each wheel by sha256, downloading what is missing."""
    raise NotImplementedError
