"""Where an image comes from as a picture: data, training run, weights and what else, image.

All of it is what the image says; what it does not say is drawn as missing.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from modelpack import digest as digests
from modelpack.cli import display
from modelpack.inspection.value import Inspection

NOT_STATED: Final = "not stated"
_SHOWN = 4
"boxes of one sort"
_LETTERS = 27
"of a row in a box"
_ROWS = 3
"of one thing that is said"
_SAID = 400
"letters of it in words"
_ACROSS, _GAP_ACROSS = 232, 50
_LINE, _HEAD, _FOOT = 18, 26, 12
_GAP, _GAP_DOWN = 14, 34
_NARROW = 300
"width of a box on a phone"


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """One thing that the image comes from, or the image."""

    title: str
    lines: tuple[str, ...]
    "as they are drawn"
    strong: int
    "of them, the first, which say the most"
    said: str
    "all of it in one line"
    kind: str
    stated: bool = True
    x: int = 0
    y: int = 0
    width: int = 0

    @property
    def height(self) -> int:
        """As high as its lines are many."""
        return _HEAD + _LINE * len(self.lines) + _FOOT


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """An arrow, as the path of an SVG and the point where it ends."""

    path: str
    head: str
    "corners of its tip"


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """Boxes and arrows in a picture of a size."""

    width: int
    height: int
    boxes: tuple[Box, ...]
    edges: tuple[Edge, ...]


Stages = Sequence[Sequence[Box]]


def stages(inspection: Inspection) -> Stages:
    """Return the boxes by stage, from data to image."""
    return (
        tuple(_data(inspection)), (_run(inspection),), tuple(_inputs(inspection)),
        (_image(inspection),),
    )  # fmt: skip


def sentences(found: Stages) -> tuple[str, ...]:
    """Return the picture in words."""
    return tuple(f"{box.title}: {box.said}" for stage in found for box in stage)


def _data(inspection: Inspection) -> Iterator[Box]:
    sets = inspection.training.data
    for data in sets[:_SHOWN]:
        yield _box(
            "training data", "data", data.name or data.uri, data.version, _short(data.digest)
        )
    if len(sets) > _SHOWN:
        yield _box("training data", "data", f"and {len(sets) - _SHOWN} more")
    if not sets:
        yield _box("training data", "data")
    if inspection.model.base:
        yield _box("model it starts from", "data", inspection.model.base)


def _run(inspection: Inspection) -> Box:
    training = inspection.training
    return _box("training run", "run", training.run, training.source)


def _inputs(inspection: Inspection) -> Iterator[Box]:
    claims, source = inspection.claims, inspection.source
    for item in inspection.weight_sets[:_SHOWN]:
        files = f"{item.files} file{'s' * (item.files != 1)}, {display.size(item.size)}"
        yield _box("weights", "weights", f"{item.name}: {files}", item.source, _short(item.digest))
    if len(inspection.weight_sets) > _SHOWN:
        yield _box("weights", "weights", f"and {len(inspection.weight_sets) - _SHOWN} more")
    if not inspection.weight_sets:
        yield _box("weights", "weights", _short(claims.weights))
    state = "with changes that no commit has" if source.dirty else ""
    revision = f"commit {source.revision[:12]}" if source.revision else ""
    yield _box("code", "code", revision, state, _short(source.digest))
    made = [layer.content for layer in inspection.layers if layer.kind == "base"]
    base = claims.base_name or (made[0] if made else "")
    yield _box("base", "base", base, _short(claims.base_digest))
    counts = Counter(package.type for package in inspection.packages)
    yield _box(
        "dependencies", "dependencies", _packages(counts["wheel"], "Python"),
        _packages(counts["deb"], "Debian"), _short(claims.lock, "lock "),
    )  # fmt: skip


def _packages(count: int, word: str) -> str:
    return f"{count} {word} package{'s' * (count != 1)}" if count else ""


def _image(inspection: Inspection) -> Box:
    model = inspection.model
    name = f"{model.name} {model.version}".strip()
    noun = "artifact" if inspection.artifact else "image"
    return _box(noun, "image", name, inspection.platform, _short(inspection.digest))


def _box(title: str, kind: str, *lines: str) -> Box:
    said = [display.shortened(display.escape(line), _SAID) for line in lines if line]
    rows = [_rows(line) for line in said]
    return Box(
        title=title, kind=kind, lines=tuple(row for each in rows for row in each) or (NOT_STATED,),
        strong=len(rows[0]) if rows else 0, said=", ".join(said) or NOT_STATED, stated=bool(rows),
    )  # fmt: skip


def _rows(line: str) -> list[str]:
    """Return a line as up to _ROWS rows, cut where a word or a part of a name ends."""
    rows = list[str]()
    while len(line) > _LETTERS and len(rows) < _ROWS - 1:
        at = max(line.rfind(mark, _LETTERS // 2, _LETTERS) for mark in " -/_.,:@") + 1
        rows.append(line[: at or _LETTERS].rstrip())
        line = line[at or _LETTERS :].lstrip()
    return [*rows, display.shortened(line, _LETTERS)]


def _short(digest: str, before: str = "") -> str:
    if not digest:
        return ""
    if not digest.startswith("sha256:"):
        return f"{before}{digest}"
    return before + digests.short(digests.Digest(digest))


def wide(found: Stages) -> Drawing:
    """Return the picture from left to right, with an arrow from each box to what it went into."""
    height = max(_tall(stage) for stage in found)
    columns = []
    for number, stage in enumerate(found):
        y = (height - _tall(stage)) // 2
        columns.append(_stacked(stage, number * (_ACROSS + _GAP_ACROSS), y, _ACROSS))
    data, (run,), inputs, (image,) = columns
    pairs = [*((box, run) for box in data),
             *((run, box) for box in inputs if box.kind == "weights"),
             *((box, image) for box in inputs)]  # fmt: skip
    return Drawing(
        width=len(found) * _ACROSS + (len(found) - 1) * _GAP_ACROSS, height=height,
        boxes=tuple(box for column in columns for box in column),
        edges=tuple(_across(source, target) for source, target in pairs),
    )  # fmt: skip


def narrow(found: Stages) -> Drawing:
    """Return the picture from above to below, with an arrow from stage to stage."""
    boxes, edges = list[Box](), list[Edge]()
    y = 0
    for number, stage in enumerate(found):
        if number:
            edges.append(_down(y, y + _GAP_DOWN))
            y += _GAP_DOWN
        boxes += _stacked(stage, 0, y, _NARROW)
        y += _tall(stage)
    return Drawing(width=_NARROW, height=y, boxes=tuple(boxes), edges=tuple(edges))


def _tall(stage: Sequence[Box]) -> int:
    return sum(box.height for box in stage) + _GAP * (len(stage) - 1)


def _stacked(stage: Sequence[Box], x: int, y: int, width: int) -> list[Box]:
    placed = []
    for box in stage:
        placed.append(replace(box, x=x, y=y, width=width))
        y += box.height + _GAP
    return placed


def _across(source: Box, target: Box) -> Edge:
    x, y = source.x + source.width + 2, source.y + source.height // 2
    end, level = target.x - 3, target.y + target.height // 2
    middle = (x + end) // 2
    return Edge(
        path=f"M{x} {y}C{middle} {y} {middle} {level} {end - 6} {level}",
        head=f"{end},{level} {end - 8},{level - 4} {end - 8},{level + 4}",
    )


def _down(top: int, bottom: int) -> Edge:
    x, end = _NARROW // 2, bottom - 4
    return Edge(
        path=f"M{x} {top + 4}V{end - 6}", head=f"{x},{end} {x - 4},{end - 8} {x + 4},{end - 8}"
    )
