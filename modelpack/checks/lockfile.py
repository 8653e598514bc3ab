"""Whether locked wheels are complete and fit the base, from their metadata alone."""

from collections.abc import Iterator, Mapping, Sequence

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import Version

from modelpack.errors import Finding
from modelpack.inputs.python.package_index import Selected
from modelpack.inputs.python.target import Target
from modelpack.inputs.quoting import quoted

_NUMPY_2 = {"torch": "2.3.0"}
"""first releases that run beside NumPy 2, of packages whose metadata do not bound it:
https://github.com/numpy/numpy/issues/26191, looked up on 2026-11-25"""
_RELOCK = "compile the lockfile again, with everything that its packages require"


def findings(selected: Sequence[Selected], *, target: Target) -> tuple[Finding, ...]:
    """Return what is missing, contradictory or made for something else.

    Every Requires-Dist whose marker holds for `target` must be satisfied by another locked
    wheel, for every extra that the lockfile or another wheel asks for. Source: core metadata
    2.1, "Requires-Dist", "Requires-Python", "Provides-Extra".
    """
    found: list[Finding] = []
    locked: dict[str, Selected] = {}
    for one in selected:
        name = one.wheel.name
        if name in locked:
            found.append(_twice(one, locked[name]))
        locked.setdefault(name, one)
    for one in locked.values():
        found.extend(_fit(one, target))
        found.extend(_python(one, target))
    found.extend(_completeness(locked, target))
    found.extend(_numpy(locked))
    return tuple(sorted(set(found), key=lambda finding: (finding.at, finding.message)))


def _completeness(locked: Mapping[str, Selected], target: Target) -> Iterator[Finding]:
    """Follow every requirement, and every extra that somebody asks for, to a locked wheel."""
    asked = {name: {"", *one.extras} for name, one in locked.items()}
    waiting = [(name, extra) for name in locked for extra in sorted(asked[name])]
    while waiting:
        name, extra = waiting.pop()
        one = locked[name]
        for text in one.requires_dist:
            try:
                requirement = Requirement(text)
            except InvalidRequirement:
                if not extra:
                    yield _unreadable(one, text)
                continue
            if not target.applies(requirement.marker, extra=extra):
                continue
            if extra and target.applies(requirement.marker):
                continue  # seen without the extra
            needed = canonicalize_name(requirement.name)
            other = locked.get(needed)
            if other is None or not requirement.specifier.contains(
                other.wheel.version, prereleases=True
            ):
                yield _unsatisfied(one, requirement, extra, other)
                continue
            for wish in sorted(canonicalize_name(wish) for wish in requirement.extras):
                if wish not in asked[needed]:
                    asked[needed].add(wish)
                    waiting.append((needed, wish))


def _numpy(locked: Mapping[str, Selected]) -> Iterator[Finding]:
    """Yield what was built for NumPy 1 where 2 is locked, and does not say so itself."""
    numpy = locked.get("numpy")
    if numpy is None or Version(numpy.wheel.version) < Version("2"):
        return
    for name, first in _NUMPY_2.items():
        one = locked.get(name)
        if one is not None and Version(one.wheel.version) < Version(first):
            yield Finding(
                message=f"`{name}` {one.wheel.version} was built for NumPy 1, numpy "
                f"{numpy.wheel.version} is locked: arrays cannot be given to it",
                at=name, rule="dependencies.numpy", severity="warning",
                hint=f"lock `numpy<2`, or `{name}>={first}`",
            )  # fmt: skip


def _unsatisfied(
    one: Selected, requirement: Requirement, extra: str, other: Selected | None
) -> Finding:
    who = f"`{one.wheel.name}` {one.wheel.version}" + (f" with extra `{extra}`" if extra else "")
    wants = f"`{requirement.name}{requirement.specifier}`"
    if other is None:
        message = f"{who} requires {wants}, which is not locked"
    else:
        message = f"{who} requires {wants}, but `{other.wheel.name}` is locked at "
        message += other.wheel.version
    return Finding(message=message, at=one.wheel.name, hint=_RELOCK, rule="dependencies.incomplete")


def _unreadable(one: Selected, text: str) -> Finding:
    return Finding(
        message=f"`{one.wheel.filename}` requires {quoted(text)}, which is not a requirement",
        at=one.wheel.name, hint="choose another version", rule="dependencies.incomplete",
    )  # fmt: skip


def _twice(one: Selected, other: Selected) -> Finding:
    return Finding(
        message=f"`{one.wheel.name}` is locked twice: `{other.wheel.filename}` and "
        f"`{one.wheel.filename}`",
        at=one.wheel.name, hint="take one of them out of the lockfile",
        rule="dependencies.duplicate",
    )  # fmt: skip


def _python(one: Selected, target: Target) -> Iterator[Finding]:
    """Yield a finding unless Requires-Python holds."""
    version = target.interpreter.version
    try:
        allowed = SpecifierSet(one.requires_python).contains(version, prereleases=True)
    except InvalidSpecifier:
        allowed = False
    if not allowed:
        yield Finding(
            message=f"`{one.wheel.name}` {one.wheel.version} requires Python "
            f"{quoted(one.requires_python)}, the base has {version}",
            at=one.wheel.name, rule="dependencies.python",
            hint="choose another version of it, or another `runtime.base`",
        )  # fmt: skip


def _fit(one: Selected, target: Target) -> Iterator[Finding]:
    """Yield why a wheel cannot be loaded by `target`."""
    try:
        _, _, _, tags = parse_wheel_filename(one.wheel.filename)
    except InvalidWheelFilename:
        yield Finding(
            message=f"{quoted(one.wheel.filename)} is not the name of a wheel",
            at=one.wheel.name, rule="dependencies.incompatible",
        )  # fmt: skip
        return
    if tags.isdisjoint(target.tags):
        yield Finding(
            message=f"`{one.wheel.filename}` {target.misfit(tags)}",
            at=one.wheel.name, rule="dependencies.incompatible",
            hint="choose a version with a wheel for it, or another `runtime.base`",
        )  # fmt: skip
