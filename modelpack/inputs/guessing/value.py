"""What a first `modelpack.toml` says, as it was guessed."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """What a first `modelpack.toml` says, and how each of it was found."""

    name: str
    version: str
    license: str = ""
    task: str = ""
    architecture: str = ""
    framework: str = ""
    weights: str = "weights"
    weight_patterns: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    code: str = "."
    code_patterns: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    lockfile: str = ""
    requirements: str = ""
    device: str = "cpu"
    port: int = 0
    health: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    "what was guessed from what, and what could not be found"


def noted(found: Project, *notes: str) -> tuple[str, ...]:
    """Return the notes of `found`, and then these."""
    return (*found.notes, *notes)
