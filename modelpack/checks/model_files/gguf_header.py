"""The header of a GGUF file, parsed strictly within bounds; tensor data is never read.

Source: ggml, docs/gguf.md; block sizes: llama.cpp, gguf-py/gguf/constants.py, GGML_QUANT_SIZES.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from types import MappingProxyType

from modelpack.checks.formats.window import Window, buffered
from modelpack.errors import Finding, InputError
from modelpack.inputs.quoting import UNPRINTABLE, quoted
from modelpack.lock import tensors as lock_tensors

RULE = "weights.gguf"
MAGIC = b"GGUF"
_VERSIONS = (2, 3)
"1 is read by nothing since November 2023: llama.cpp, pull request 3908"
_ALIGNMENT = 32
_COUNT_LIMIT = 1 << 20
"tensors, or keys; the largest models have thousands"
_VALUE_LIMIT = 8 << 20
"values of all arrays together; vocabularies have some hundred thousand"
_NAME_LIMIT = 64
_KEY_LIMIT = 65535
_DIMENSIONS = 4
_DEPTH = 4
_WORD = 1 << 63
_SHOWN = 200

BLOCKS: Mapping[int, tuple[str, int, int]] = MappingProxyType({
    0: ("F32", 1, 4), 1: ("F16", 1, 2), 2: ("Q4_0", 32, 18), 3: ("Q4_1", 32, 20),
    6: ("Q5_0", 32, 22), 7: ("Q5_1", 32, 24), 8: ("Q8_0", 32, 34), 9: ("Q8_1", 32, 36),
    10: ("Q2_K", 256, 84), 11: ("Q3_K", 256, 110), 12: ("Q4_K", 256, 144),
    13: ("Q5_K", 256, 176), 14: ("Q6_K", 256, 210), 15: ("Q8_K", 256, 292),
    16: ("IQ2_XXS", 256, 66), 17: ("IQ2_XS", 256, 74), 18: ("IQ3_XXS", 256, 98),
    19: ("IQ1_S", 256, 50), 20: ("IQ4_NL", 32, 18), 21: ("IQ3_S", 256, 110),
    22: ("IQ2_S", 256, 82), 23: ("IQ4_XS", 256, 136), 24: ("I8", 1, 1), 25: ("I16", 1, 2),
    26: ("I32", 1, 4), 27: ("I64", 1, 8), 28: ("F64", 1, 8), 29: ("IQ1_M", 256, 56),
    30: ("BF16", 1, 2), 34: ("TQ1_0", 256, 54), 35: ("TQ2_0", 256, 66), 39: ("MXFP4", 32, 17),
    40: ("NVFP4", 64, 36), 41: ("Q1_0", 128, 18),
})  # fmt: skip
"type of a tensor to its name, elements of one block and bytes of one block"

_SCALARS: Mapping[int, str] = MappingProxyType({
    0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "B", 10: "Q", 11: "q", 12: "d",
})  # fmt: skip
_STRING, _ARRAY = 8, 9


@dataclass(frozen=True, slots=True, kw_only=True)
class GgufHeader:
    """What a GGUF file says of itself."""

    version: int
    architecture: str
    "of `general.architecture`, such as `llama`; empty where there is none"
    types: tuple[str, ...]
    "of its tensors, sorted; `type 99` where the number is unknown here"
    tensors: tuple[str, ...]
    "as the lock writes them, in file order, the fastest dimension first"


class _Reader:
    """Reads forward; raises InputError where the file ends or says too much."""

    def __init__(self, window: Window, at: str) -> None:
        self.window, self.at, self.offset, self.values = buffered(window), at, 0, 0

    def number(self, form: str) -> int:
        size = struct.calcsize(f"<{form}")
        value = struct.unpack(f"<{form}", self._take(size))[0]
        return int(value) if form not in "fd" else 0

    def text(self, limit: int, what: str) -> str:
        size = self.number("Q")
        if size > limit:
            raise self.refusal(f"{what} of {size} bytes, the limit is {limit}")
        return self._take(size).decode("utf-8", "backslashreplace")

    def skip(self, size: int) -> None:
        if size > self.window.size - self.offset:
            raise self.refusal(f"the file ends within its header, at byte {self.window.size}")
        self.offset += size

    def count(self, number: int) -> None:
        """Take `number` values from what one file may have."""
        self.values += number
        if self.values > _VALUE_LIMIT:
            raise self.refusal(f"more than {_VALUE_LIMIT} values in its header")

    def refusal(self, message: str) -> InputError:
        return InputError(Finding(message=message, at=self.at, rule=RULE))

    def _take(self, size: int) -> bytes:
        begin = self.offset
        self.skip(size)
        return self.window.read(begin, size)


def read(window: Window, *, at: str) -> GgufHeader:
    """Return what the GGUF file in `window` says, or raise InputError naming it as `at`."""
    reader = _Reader(window, at)
    if window.read(0, len(MAGIC)) != MAGIC:
        raise reader.refusal("is not a GGUF file: it does not begin with `GGUF`")
    reader.offset = len(MAGIC)
    version = reader.number("I")
    if version not in _VERSIONS:
        raise reader.refusal(_of_version(version))
    tensors, keys = reader.number("Q"), reader.number("Q")
    if max(tensors, keys) > _COUNT_LIMIT:
        raise reader.refusal(f"{tensors} tensors and {keys} keys, the limit is {_COUNT_LIMIT}")
    architecture, alignment = _metadata(reader, keys)
    types, lines = _tensors(reader, tensors, alignment)
    return GgufHeader(
        version=version, architecture=architecture, types=types, tensors=lines
    )  # fmt: skip


def _of_version(version: int) -> str:
    if int.from_bytes(version.to_bytes(4, "little"), "big") in _VERSIONS:
        return "is big-endian GGUF, which no machine that images are built for reads"
    return f"GGUF version {version}: only 2 and 3 are read"


def _metadata(reader: _Reader, keys: int) -> tuple[str, int]:
    """Read all keys; return the architecture and the alignment."""
    seen: set[str] = set()
    architecture, alignment = "", _ALIGNMENT
    for _ in range(keys):
        key = reader.text(_KEY_LIMIT, "a key")
        if not key or key in seen or UNPRINTABLE.search(key):
            raise reader.refusal(f"key {quoted(key)} is empty, stands twice or cannot be printed")
        seen.add(key)
        kind = reader.number("I")
        if key == "general.architecture" and kind == _STRING:
            architecture = reader.text(_SHOWN, "`general.architecture`")
        elif key == "general.alignment" and kind in (4, 10):
            alignment = reader.number(_SCALARS[kind])
        else:
            _skip(reader, kind, key, depth=0)
    if alignment < 8 or alignment & (alignment - 1) or alignment > 1 << 20:  # noqa: PLR2004
        raise reader.refusal(f"`general.alignment` is {alignment}: no power of two from 8 to 1 MiB")
    return architecture, alignment


def _skip(reader: _Reader, kind: int, key: str, *, depth: int) -> None:
    """Read over one value of `kind`."""
    if kind in _SCALARS:
        reader.skip(struct.calcsize(f"<{_SCALARS[kind]}"))
    elif kind == _STRING:
        reader.skip(reader.number("Q"))
    elif kind == _ARRAY and depth < _DEPTH:
        inner, length = reader.number("I"), reader.number("Q")
        if inner in _SCALARS:
            reader.skip(length * struct.calcsize(f"<{_SCALARS[inner]}"))
            return
        reader.count(length)
        for _ in range(length):
            _skip(reader, inner, key, depth=depth + 1)
    else:
        raise reader.refusal(f"the value of key {quoted(key)} is of no known type: {kind}")


def _tensors(
    reader: _Reader, count: int, alignment: int
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return types and tensors; raise unless each lies in the file, apart from the others."""
    lines: list[str] = []
    names: set[str] = set()
    places: list[tuple[int, int, str]] = []
    types: set[str] = set()
    for _ in range(count):
        name = reader.text(_NAME_LIMIT, "the name of a tensor")
        if not name or name in names or UNPRINTABLE.search(name):
            raise reader.refusal(
                f"tensor {quoted(name)} is empty, stands twice or cannot be printed"
            )
        names.add(name)
        dimensions = reader.number("I")
        if dimensions > _DIMENSIONS:
            raise reader.refusal(f"tensor {quoted(name)} has {dimensions} dimensions, not up to 4")
        shape = [reader.number("Q") for _ in range(dimensions)]
        kind, offset = reader.number("I"), reader.number("Q")
        if offset % alignment:
            raise reader.refusal(f"tensor {quoted(name)} is not aligned to {alignment} bytes")
        types.add(BLOCKS[kind][0] if kind in BLOCKS else f"type {kind}")
        word = BLOCKS[kind][0] if kind in BLOCKS else f"TYPE_{kind}"
        lines.append(lock_tensors.line(word, shape, name))
        places.append((offset, offset + _size(reader, name, shape, kind), name))
    start = -(-reader.offset // alignment) * alignment
    _lie_apart(reader, sorted(places), start)
    return tuple(sorted(types)), tuple(lines)


def _size(reader: _Reader, name: str, shape: list[int], kind: int) -> int:
    """Return the bytes of a tensor; 0 where its type is unknown."""
    elements = prod(shape)
    if elements >= _WORD:
        raise reader.refusal(f"the shape of tensor {quoted(name)} overflows")
    if kind not in BLOCKS:
        return 0
    label, block, size = BLOCKS[kind]
    if shape and shape[0] % block:
        message = f"a row of {shape[0]} is no whole number of blocks of {label}"
        raise reader.refusal(f"tensor {quoted(name)}: {message}")
    return elements // block * size


def _lie_apart(reader: _Reader, places: list[tuple[int, int, str]], start: int) -> None:
    size = reader.window.size
    before = 0
    for begin, end, name in places:
        if start + max(begin, end) > size:
            raise reader.refusal(
                f"tensor {quoted(name)} reaches to byte {start + end}, the file has {size}"
            )
        if begin < before:
            raise reader.refusal(f"tensor {quoted(name)} overlaps the one before it")
        before = end
