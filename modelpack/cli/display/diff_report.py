"""A Difference as tables for people."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from modelpack.cli import display
from modelpack.comparison.value import Change, Content, Difference, FileFact, LayerRow, Package

T = TypeVar("T")
_SIGNS = {"added": "+", "removed": "-", "changed": "~"}
_STATES = {"shared": "=", "stored-otherwise": "≈", "added": "+", "removed": "-"}
_ROWS = 200
"of one section; `--json` has all"
_DIGITS = 12


def report(difference: Difference) -> str:
    """Return what differs, section by section, then the layers and what must be pulled."""
    sections = [
        *_section("configuration", difference.configuration, str),
        *_section("other platforms", difference.platforms, _digest),
        *_section("settings (modelpack.toml)", difference.settings, str),
        *_section("made with", difference.build, str),
        *_section("packages", difference.packages, _package),
        *_section("weights", difference.weights, _content),
        *_section("tensors", difference.tensors, str),
        *_section("code", difference.code, _content),
        *_section("files in layers", difference.files or (), _file),
    ]
    if difference.parameters:
        before, after = difference.parameters.before or 0, difference.parameters.after or 0
        sections.append(f"parameters: {display.number(before)} -> {display.number(after)}")
    sections.append(f"layers\n{_layers(difference.layers)}")
    sections.append(_last(difference))
    sections += [f"not known {reason}" for reason in difference.unknown]
    return "\n\n".join(sections)


def _last(difference: Difference) -> str:
    if difference.is_empty:
        same = difference.before == difference.after
        return "equal" if same else "equal, but stored in another way: the digests differ"
    pulled = display.size(difference.pull)
    return f"different: a node that has the first image pulls {pulled} for the second"


def _section(
    title: str, changes: Sequence[Change[T]], show: Callable[[T], str]
) -> Iterator[str]:  # fmt: skip
    if not changes:
        return
    rows = [
        [
            f"  {_SIGNS[change.kind]}", change.key,
            "" if change.before is None else show(change.before),
            "" if change.kind != "changed" else "->",
            "" if change.after is None else show(change.after),
        ]
        for change in changes[:_ROWS]
    ]  # fmt: skip
    more = len(changes) - _ROWS
    tail = f"\n  and {more} more; --json shows all" if more > 0 else ""
    yield f"{title}\n{display.table(rows)}{tail}"


def _layers(rows: Sequence[LayerRow]) -> str:
    table = [
        [f"  {_STATES[row.state]}", row.state, row.layer.kind, display.size(row.layer.size),
         _digest(row.layer.digest), row.layer.content]
        for row in rows
    ]  # fmt: skip
    return display.table(table, right=[3])


def _digest(text: str) -> str:
    return text.removeprefix("sha256:")[:_DIGITS]


def _package(item: Package) -> str:
    return f"{item.version} ({_digest(item.sha256)})"


def _content(item: Content) -> str:
    if item.link:
        return f"link to {item.link}"
    mark = " executable" if item.executable else ""
    return f"{display.size(item.size)} {_digest(item.sha256)}{mark}"


def _file(item: FileFact) -> str:
    what: list[Any] = [item.kind, item.mode, f"{item.uid}:{item.gid}"]
    what += [item.target] if item.target else []
    what += [display.size(item.size), _digest(item.sha256)] if item.kind == "file" else []
    return " ".join(map(str, what))
