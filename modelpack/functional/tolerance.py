"""How far a number may be from the one that is expected: pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerance:
    """How far a number with a fraction may be from the one that is expected."""

    absolute: float = 0.0
    relative: float = 0.0

    def allows(self, got: float, wanted: float) -> bool:
        """Tell whether `got` is near enough."""
        return abs(got - wanted) <= max(self.absolute, self.relative * abs(wanted))
