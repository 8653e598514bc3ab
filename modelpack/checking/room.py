"""Where a check is run: what it sees is the image, and nothing of this machine."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol

TEMPORARY: Final = ("/tmp", "/var/tmp")  # noqa: S108  the check's own
GRACE: Final = 60.0
"seconds more than the command has, until its keeper is killed as well"


@dataclass(frozen=True, slots=True, kw_only=True)
class Runner:
    """What runs the checks."""

    name: Literal["namespaces", "docker", "podman"]
    version: str = ""
    "of the engine"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a command ended."""

    status: int
    "exit status; negative: the signal that killed it"
    late: bool = False
    "it was killed because its time was over"


class Room(Protocol):
    """A place for checks, one after the other; each finds it as it was for the first."""

    @property
    def runner(self) -> Runner:
        """What runs them."""

    def run(
        self, argv: Sequence[str], *, environment: Mapping[str, str], timeout: float,
        said: Callable[[str], None],
    ) -> Ended:  # fmt: skip
        """Run `argv` with exactly this `environment`, and return how it ended.

        Each line that it writes goes to `said`. Whatever it started has ended then. Raises
        Unavailable where it could not be started.
        """
