"""What is found inside one file, and how much of it may be looked at."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from modelpack.checks.formats.window import Window
from modelpack.inputs.quoting import quoted


@dataclass(frozen=True, slots=True, kw_only=True)
class Hazard:
    """Something that can carry code, or hides what it carries."""

    rule: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pickle:
    """A pickle in a file, for whoever wants to read all of it."""

    member: str
    "of an archive; empty: the file itself"
    window: Window
    "from its first byte to the end of what holds it"


class Exhausted(Exception):  # noqa: N818  an outcome
    """A file unfolds into more than is looked at."""


@dataclass(slots=True, kw_only=True)
class Budget:
    """What may still be decompressed and listed for one file; mutable, shared by its members."""

    output: int = 64 << 20
    "bytes"
    members: int = 20_000
    depth: int = 4

    def spend(self, *, output: int = 0, members: int = 0) -> None:
        """Take from the budget; raise Exhausted when it is used up."""
        self.output -= output
        self.members -= members
        if self.output < 0 or self.members < 0:
            raise Exhausted


def of_member(name: str, hazards: Iterator[Hazard]) -> Iterator[Hazard]:
    """Say which member of an archive the `hazards` lie in; a pickle in an archive has its rule."""
    for hazard in hazards:
        rule = "weights.archive-pickle" if hazard.rule == "weights.pickle" else hazard.rule
        yield replace(hazard, rule=rule, message=f"member {quoted(name)}: {hazard.message}")


def once_per_rule(hazards: Iterator[Hazard]) -> tuple[Hazard, ...]:
    """Keep the first hazard of each rule and say how many more there are."""
    first: dict[str, Hazard] = {}
    more: dict[str, int] = {}
    for hazard in hazards:
        if hazard.rule in first:
            more[hazard.rule] = more.get(hazard.rule, 0) + (hazard != first[hazard.rule])
        else:
            first[hazard.rule] = hazard
    return tuple(
        replace(hazard, message=f"{hazard.message} (and {more[rule]} more)")
        if more.get(rule)
        else hazard
        for rule, hazard in first.items()
    )
