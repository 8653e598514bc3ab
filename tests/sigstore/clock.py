"""The one clock of all services of a Sigstore."""

import time
from dataclasses import dataclass


@dataclass
class Clock:
    """The time of all services; the machine's own unless a test says another."""

    moment: float | None = None

    def __call__(self) -> float:
        """Return seconds since 1970."""
        return time.time() if self.moment is None else self.moment
