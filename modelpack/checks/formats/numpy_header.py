"""The header of a `.npy` array: its version, type and shape, and whether it holds Python objects.

Objects are loaded by unpickling. Source: NumPy, NEP 1 and numpy/lib/format.py; types as
`numpy.dtype` reads them on the machines that images are built for.
"""

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from types import MappingProxyType

from modelpack.checks.formats.window import Window
from modelpack.errors import Finding, InputError
from modelpack.inputs.quoting import UNPRINTABLE, quoted

RULE = "weights.numpy"
MAGIC = b"\x93NUMPY"
_MAGIC_SIZE = 8
_HEADER_LIMIT = 1 << 16
_DEPTH_LIMIT = 16
_DIMENSIONS = 64
_WORD = 1 << 63
_VERSIONS = ((1, 0), (2, 0), (3, 0))
_PICKLE_HEAD = 512
_CORE = b"numpy._core"

_WORDS: Mapping[str, str] = MappingProxyType({
    "b1": "BOOL", "i1": "I8", "i2": "I16", "i4": "I32", "i8": "I64", "u1": "U8", "u2": "U16",
    "u4": "U32", "u8": "U64", "f2": "F16", "f4": "F32", "f8": "F64", "f16": "F128", "c8": "C64",
    "c16": "C128", "c32": "C256",
})  # fmt: skip
"numbers, by what follows the byte order, to the words that safetensors has for them"
_LETTERS: Mapping[str, str] = MappingProxyType({
    "?": "b1", "b": "i1", "B": "u1", "h": "i2", "H": "u2", "i": "i4", "I": "u4", "l": "i8",
    "L": "u8", "q": "i8", "Q": "u8", "e": "f2", "f": "f4", "d": "f8", "g": "f16", "F": "c8",
    "D": "c16", "G": "c32", "c": "S1", "M": "M8", "m": "m8", "p": "i8", "P": "u8", "n": "i8",
    "N": "u8",
})  # fmt: skip
"what `numpy.dtype` reads as well and NumPy never writes"
_CODE = re.compile(r"[<>|=]?([a-zA-Z?])([0-9]{0,9})(?:\[[0-9a-zA-Z/]{1,16}\])?")
_SIZED = {"S": 1, "a": 1, "U": 4, "V": 1}
"texts and raw bytes: how many bytes a unit of their size has"
_TIMES = {"M8": "DATETIME", "m8": "TIMEDELTA"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayHeader:
    """What the header says."""

    objects: bool = False
    malformed: bool = False
    version: tuple[int, int] = (1, 0)
    dtype: str = ""
    "in the words of the lock: `F32`, `V2`, `STRUCT`; empty where NumPy knows no such type"
    described: str = ""
    "as the file has it"
    shape: tuple[int, ...] = ()
    length: int = 0
    "characters of the header"
    bare: int = 0
    "bytes of an element that is nothing but bytes; else 0"
    pickled_by_2: bool = False
    "its objects are named as NumPy 2 names them"
    size: int = -1
    "bytes of header and elements together; -1 where that cannot be known"
    end: int = 0
    "where the elements begin"


def read(window: Window) -> ArrayHeader:
    """Read the header of the array in `window`; what cannot be understood is malformed."""
    start = window.read(0, 12)
    wide = start[6:7] > b"\x01"
    first = _MAGIC_SIZE + (4 if wide else 2)
    length = int.from_bytes(start[_MAGIC_SIZE:first], "little")
    end = first + length
    text = window.read(first, min(length, _HEADER_LIMIT))
    if len(start) < first or length > _HEADER_LIMIT or len(text) < length:
        return ArrayHeader(malformed=True, end=end)
    version = (start[6], start[7])
    try:
        header = ast.literal_eval(text.decode("utf-8" if version[0] > 2 else "latin-1").strip())  # noqa: PLR2004  latin-1 before 3.0
        descr, shape = header["descr"], header.get("shape", ())
    except (ValueError, SyntaxError, KeyError, TypeError, RecursionError, MemoryError,
            AttributeError):  # fmt: skip
        return ArrayHeader(malformed=True, end=end)
    try:
        objects = _has_objects(descr, 0)
        dtype, width = _type(descr, 0)
    except (ValueError, TypeError, IndexError):
        return ArrayHeader(malformed=True, end=end)
    if not _is_shape(shape):
        return ArrayHeader(objects=objects, malformed=True, end=end)
    whole = end + prod(shape) * width if width >= 0 and not objects else -1
    return ArrayHeader(
        objects=objects, version=version, dtype=dtype, described=str(descr), shape=shape,
        length=length, end=end, bare=width if dtype == f"V{width}" else 0, size=whole,
        pickled_by_2=objects and _CORE in window.read(end, _PICKLE_HEAD),
    )  # fmt: skip


def check(window: Window, *, at: str) -> ArrayHeader:
    """Return the header of a whole array, or raise InputError naming it as `at`."""
    if window.read(0, len(MAGIC)) != MAGIC:
        raise _refusal("is no array of NumPy: it does not begin with `\\x93NUMPY`", at)
    header = read(window)
    if header.malformed:
        raise _refusal("is an array of NumPy whose header cannot be read", at)
    for problem in _problems(header, window):
        raise _refusal(problem, at)
    return header


def _problems(header: ArrayHeader, window: Window) -> Iterator[str]:
    if header.version not in _VERSIONS:
        major, minor = header.version
        yield f"version {major}.{minor} of its format: NumPy reads 1.0, 2.0 and 3.0"
    if not header.dtype:
        yield f"its elements are {quoted(header.described)}, which is no type of NumPy"
    if prod(header.shape) >= _WORD:
        yield "its shape overflows"
    if header.size > window.size and not window.cut:
        yield f"its elements reach to byte {header.size}, the file has {window.size}"


def _refusal(message: str, at: str) -> InputError:
    return InputError(Finding(message=message, at=at, rule=RULE))


def _is_shape(shape: object) -> bool:
    return (
        isinstance(shape, tuple)
        and len(shape) <= _DIMENSIONS
        and all(type(one) is int and 0 <= one < _WORD for one in shape)
    )


def _type(descr: object, depth: int) -> tuple[str, int]:
    """Return the lock's word for a type and the bytes of one; no word where NumPy has no such."""
    if depth > _DEPTH_LIMIT:
        raise ValueError("nested too deeply")
    if isinstance(descr, str):
        return _plain(descr)
    if isinstance(descr, tuple) and len(descr) == 2 and _is_shape(descr[1]):  # noqa: PLR2004
        word, width = _type(descr[0], depth + 1)
        return word, width * prod(descr[1]) if width >= 0 else -1
    if not isinstance(descr, list):
        return "", -1
    total = 0
    for one in descr:
        inner = (one[1], one[2]) if len(one) > 2 else one[1]  # noqa: PLR2004  with a shape
        word, width = _type(inner, depth + 1)
        if not word:
            return "", -1
        total = total + width if width >= 0 <= total else -1
    return "STRUCT", total


def _plain(descr: str) -> tuple[str, int]:
    match = _CODE.fullmatch(descr)
    if match is None or UNPRINTABLE.search(descr):
        return "", -1
    code = match[1] + match[2]
    code = _LETTERS.get(code, code)
    kind, digits = code[0], code[1:]
    if kind == "O":
        return "OBJECT", -1
    if code in _WORDS:
        return _WORDS[code], int(digits)
    if code in _TIMES:
        return _TIMES[code], 8
    if kind in _SIZED:
        width = int(digits or 0) * _SIZED[kind]
        return (f"V{width}" if kind == "V" else "STRING"), width
    return "", -1


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
