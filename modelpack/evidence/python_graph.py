"""Which installed distribution needs which: `Requires-Dist`, evaluated for the image's Python."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from packaging.markers import Marker, UndefinedComparison, UndefinedEnvironmentName
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from modelpack.inputs.python.core_metadata import Distribution
from modelpack.inputs.python.target import Target
from modelpack.lock import Interpreter
from modelpack.platform import Platform


@dataclass(frozen=True, slots=True, kw_only=True)
class _Need:
    name: str
    extras: frozenset[str]
    marker: Marker | None


def requirements(
    installed: Mapping[str, Distribution], interpreter: Interpreter, platform: Platform
) -> Mapping[str, tuple[str, ...]]:
    """Return for each distribution, by normalized name, those of `installed` that it needs.

    An extra counts where another distribution asks for it; which ones the author asked for is not
    written in an installation.
    """
    target = Target.of(interpreter, platform)
    needs = {
        name: [need for text in one.requires if (need := _parsed(text)) and need.name in installed]
        for name, one in installed.items()
    }
    extras: dict[str, set[str]] = defaultdict(set)
    edges: dict[str, set[str]] = {name: set() for name in installed}
    todo = list(installed)
    while todo:
        name = todo.pop()
        for need in needs[name]:
            if not any(_applies(target, need.marker, extra) for extra in ("", *extras[name])):
                continue
            edges[name].add(need.name)
            if not need.extras <= extras[need.name]:
                extras[need.name] |= need.extras
                todo.append(need.name)
    return {name: tuple(sorted(found - {name})) for name, found in edges.items()}


def _parsed(text: str) -> _Need | None:
    try:
        requirement = Requirement(text)
    except (InvalidRequirement, RecursionError):
        return None
    return _Need(
        name=canonicalize_name(requirement.name),
        extras=frozenset(canonicalize_name(extra) for extra in requirement.extras),
        marker=requirement.marker,
    )


def _applies(target: Target, marker: Marker | None, extra: str) -> bool:
    try:
        return target.applies(marker, extra=extra)
    except (UndefinedComparison, UndefinedEnvironmentName):
        return False
