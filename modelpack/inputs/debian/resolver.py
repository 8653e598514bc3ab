"""Which packages a base needs: newest versions, first alternatives, some left out; no solver."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from modelpack.errors import Finding
from modelpack.inputs.debian.packages import Candidate, Index
from modelpack.inputs.debian.versions import Clause, Relation


@dataclass(frozen=True, slots=True, kw_only=True)
class Closure:
    """Packages by name, and the names that were left out with who wanted them."""

    packages: Mapping[str, Candidate]
    left_out: Mapping[str, frozenset[str]]
    findings: tuple[Finding, ...]
    "dependencies that nothing satisfies and packages that exclude each other"


def closure(index: Index, roots: Iterable[str], *, drop: frozenset[str]) -> Closure:
    """Return `roots` and all that they depend on, except what is in `drop`.

    Every root must be in `index`.
    """
    chosen: dict[str, Candidate] = {}
    left_out: dict[str, set[str]] = {}
    todo = list(roots)[::-1]
    while todo:
        name = todo.pop()
        if name in chosen:
            continue
        chosen[name] = index.newest(name)
        wanted = []
        for clause in chosen[name].depends:
            dropped = [option.name for option in clause if option.name in drop]
            for option in dropped:
                left_out.setdefault(option, set()).add(name)
            if not dropped and not any(_meets(index, chosen, option) for option in clause):
                wanted += _pick(index, chosen, clause)
        todo += reversed(wanted)
    return Closure(
        packages={name: chosen[name] for name in sorted(chosen)},
        left_out={name: frozenset(left_out[name]) for name in sorted(left_out)},
        findings=(*_unmet(index, chosen, drop), *_conflicts(chosen)),
    )


def _meets(index: Index, chosen: Mapping[str, Candidate], option: Relation) -> bool:
    """Tell whether a chosen package is, or provides, what `option` asks for."""
    if option.name in chosen and option.allows(chosen[option.name].version):
        return True
    names = (name for name in index.providers(option.name) if name in chosen)
    return any(_provides(chosen[name], option) for name in names)


def _provides(candidate: Candidate, option: Relation) -> bool:
    # Policy 7.5: only a versioned Provides satisfies a versioned dependency.
    return any(
        given.name == option.name
        and (not option.operator or (given.operator == "=" and option.allows(given.version)))
        for clause in candidate.provides
        for given in clause
    )


def _pick(index: Index, chosen: Mapping[str, Candidate], clause: Clause) -> list[str]:
    """Return the first alternative that the index can satisfy, if there is one."""
    for option in clause:
        if option.name in index and option.allows(index.newest(option.name).version):
            return [] if option.name in chosen else [option.name]
    for option in clause:
        for name in index.providers(option.name):
            if _provides(index.newest(name), option):
                return [name]
    return []


def _unmet(
    index: Index, chosen: Mapping[str, Candidate], drop: frozenset[str]
) -> Iterable[Finding]:
    for name, candidate in sorted(chosen.items()):
        for clause in candidate.depends:
            left_out = any(option.name in drop for option in clause)
            if not left_out and not any(_meets(index, chosen, option) for option in clause):
                wanted = " | ".join(map(str, clause))
                yield Finding(
                    message=f"`{name}` needs `{wanted}`, which the index does not have",
                    hint="the mirror may be in the middle of an update: try again later",
                )


def _conflicts(chosen: Mapping[str, Candidate]) -> Iterable[Finding]:
    for name, candidate in sorted(chosen.items()):
        for clause in candidate.breaks:
            for other in clause:
                if (
                    other.name in chosen
                    and other.name != name
                    and other.allows(chosen[other.name].version)
                ):
                    yield Finding(message=f"`{name}` does not go together with `{other}`")
