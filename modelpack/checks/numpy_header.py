"""Whether a `.npy` array holds Python objects, which NumPy loads by unpickling (NEP 1)."""

import ast
from dataclasses import dataclass

from modelpack.checks.window import Window

_MAGIC_SIZE = 8
_HEADER_LIMIT = 1 << 16
_DEPTH_LIMIT = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayHeader:
    """What the header says of the elements."""

    objects: bool
    malformed: bool
    end: int
    "where the elements begin"


def read(window: Window) -> ArrayHeader:
    """Read the header of the array in `window`; what cannot be understood is malformed."""
    start = window.read(0, 12)
    wide = start[6:7] > b"\x01"
    first = _MAGIC_SIZE + (4 if wide else 2)
    length = int.from_bytes(start[_MAGIC_SIZE:first], "little")
    end = first + length
    text = window.read(first, min(length, _HEADER_LIMIT))
    if length > _HEADER_LIMIT or len(text) < length:
        return ArrayHeader(objects=False, malformed=True, end=end)
    try:
        header = ast.literal_eval(text.decode("latin-1").strip())
        descr = header["descr"]
    except (ValueError, SyntaxError, KeyError, TypeError, RecursionError, MemoryError):
        return ArrayHeader(objects=False, malformed=True, end=end)
    try:
        return ArrayHeader(objects=_has_objects(descr, 0), malformed=False, end=end)
    except ValueError:
        return ArrayHeader(objects=False, malformed=True, end=end)


def _has_objects(descr: object, depth: int) -> bool:
    """Tell whether a dtype description names `O`, in any field or sub-array."""
    if depth > _DEPTH_LIMIT:
        raise ValueError("nested too deeply")
    if isinstance(descr, str):
        kind = descr.lstrip("<>|=")
        return kind[:1] == "O" or kind in ("object", "object_")
    if isinstance(descr, (list, tuple)):
        return any(_has_objects(entry, depth + 1) for entry in _types_of(descr))
    raise ValueError("not a dtype")


def _types_of(descr: list[object] | tuple[object, ...]) -> list[object]:
    """A list has fields (name, type[, shape]); a tuple is (type, shape)."""
    if isinstance(descr, tuple):
        return [descr[0]] if descr else []
    return [field[1] for field in descr if isinstance(field, tuple) and len(field) > 1]
