"""What an image holds as a picture: a rectangle for each layer, as large as its share of the bytes.

Source: Bruls, Huizing, van Wijk, "Squarified Treemaps", 2000.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from modelpack.inspection.value import LayerClaim

KINDS: Final = ("base", "dependencies", "weights", "code", "meta", "nameplate")
"that have a colour of their own; all else is `other`"
MOST: Final = 60
"rectangles; the smaller layers are one together"
_WIDTH, _HEIGHT = 100.0, 42.0
"of the picture as it is laid out; a page stretches it"
_SPACE = 0.3
_VISIBLE = 1.5
"hundredths: a bar of something is never nothing"
_LETTERS = 80
"of what a layer holds"
_ROOM_ACROSS, _ROOM_DOWN = 15.0, 6.5
"below which no words fit"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """A rectangle, in hundredths of the picture."""

    x: float
    y: float
    width: float
    height: float
    kind: str
    name: str
    "what the layer holds"
    size: int
    count: int = 1
    "layers"

    @property
    def has_room(self) -> bool:
        """Tell whether words fit into it."""
        return self.width >= _ROOM_ACROSS and self.height * _HEIGHT / 100 >= _ROOM_DOWN


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """The layers of one kind together."""

    kind: str
    count: int
    size: int
    percent: float


def kind_of(layer: LayerClaim) -> str:
    """Return the kind that colours a layer."""
    return layer.kind if layer.kind in KINDS else "other"


def shares(layers: Sequence[LayerClaim]) -> tuple[Share, ...]:
    """Return what each kind takes, in the order of an image."""
    total = sum(layer.size for layer in layers)
    return tuple(
        Share(kind=kind, count=len(found), size=sum(found),
              percent=100 * sum(found) / total if total else 0.0)
        for kind in (*KINDS, "other")
        if (found := [layer.size for layer in layers if kind_of(layer) == kind])
    )  # fmt: skip


def tiles(layers: Sequence[LayerClaim]) -> tuple[Tile, ...]:
    """Return the picture: the largest layer first, at the left."""
    ordered = sorted(layers, key=lambda layer: (-layer.size, layer.index))
    drawn = [layer for layer in ordered[:MOST] if layer.size > 0]
    rest = [layer for layer in ordered[MOST:] if layer.size > 0]
    sizes = [layer.size for layer in drawn] + ([sum(one.size for one in rest)] if rest else [])
    order = sorted(range(len(sizes)), key=lambda number: -sizes[number])
    places = dict(zip(order, squarified([sizes[number] for number in order]), strict=True))
    found = [
        _tile(places[number], kind_of(layer), layer.content[:_LETTERS], layer.size)
        for number, layer in enumerate(drawn)
    ]
    if rest:
        found.append(_tile(places[len(drawn)], "other", "", sizes[-1], count=len(rest)))
    return tuple(found)


_Place = tuple[float, float, float, float]


def squarified(sizes: Sequence[int]) -> list[_Place]:
    """Return x, y, width and height of a rectangle for each of `sizes`, the largest first."""
    total = sum(sizes)
    areas = [size * _WIDTH * _HEIGHT / total for size in sizes]
    free: _Place = (0.0, 0.0, _WIDTH, _HEIGHT)
    places: list[_Place] = []
    while len(places) < len(areas):
        row: list[float] = []
        side = min(free[2], free[3])
        for area in areas[len(places) :]:
            if row and _worst([*row, area], side) > _worst(row, side):
                break
            row.append(area)
        placed, free = _row(row, free)
        places += placed
    return places


def _worst(row: Sequence[float], side: float) -> float:
    """Return the ratio of the sides of the least square rectangle of a row along `side`."""
    thick = sum(row) / side if side > 0 else 0.0
    if thick <= 0:
        return float("inf")
    lengths = [area / thick for area in row]
    return max(max(thick / length, length / thick) if length > 0 else float("inf")
               for length in lengths)  # fmt: skip


def _row(row: Sequence[float], free: _Place) -> tuple[list[_Place], _Place]:
    """Return the rectangles of a row along the shorter side of `free`, and what is left."""
    x, y, width, height = free
    area = sum(row)
    upright = width >= height
    side = height if upright else width
    thick = area / side if side > 0 else 0.0
    placed: list[_Place] = []
    at = 0.0
    for one in row:
        length = one / thick if thick > 0 else 0.0
        placed.append((x, y + at, thick, length) if upright else (x + at, y, length, thick))
        at += length
    if upright:
        return placed, (x + thick, y, max(width - thick, 0.0), height)
    return placed, (x, y + thick, width, max(height - thick, 0.0))


def _tile(place: _Place, kind: str, name: str, size: int, *, count: int = 1) -> Tile:
    across, down = (100 / _WIDTH, 100 / _HEIGHT)
    x, y, width, height = place
    return Tile(
        x=x * across, y=y * down, width=max(width * across - _SPACE, 0.05),
        height=max(height * down - _SPACE / _HEIGHT * _WIDTH, 0.05),
        kind=kind, name=name, size=size, count=count,
    )  # fmt: skip


def bars(sizes: Sequence[int]) -> Iterator[float]:
    """Return how long a bar is for each of `sizes`, in hundredths of the longest."""
    longest = max(sizes, default=0)
    return (max(100 * size / longest, _VISIBLE) if size > 0 else 0.0 for size in sizes)
