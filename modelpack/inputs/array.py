"""A small tensor with its numbers, as golden files and answers hold them: pure.

Source: IEEE 754; OCP 8-bit Floating Point Specification 1.0 and OCP
Microscaling Formats 1.0 (E8M0); "8-bit Numerical Formats for Deep Neural Networks",
arXiv 2206.02915 (the FNUZ forms: one zero, NaN in its place, exponent biased by one more).
"""

import math
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import prod
from types import MappingProxyType
from typing import Any, Final

from modelpack.errors import InputError
from modelpack.inputs.quoting import quoted

_BLOCK: Final = 1 << 16
"elements that are decoded at once"
_EMPTY: Final = 1 << 16
"rows that a tensor without elements may have"
_CODES: Final[Mapping[str, str]] = MappingProxyType({
    "BOOL": "?", "U8": "B", "I8": "b", "U16": "H", "I16": "h", "U32": "I", "I32": "i",
    "U64": "Q", "I64": "q", "F16": "e", "F32": "f", "F64": "d",
})  # fmt: skip
"letters of `struct`"


def _eight_bits(
    byte: int, *, exponent: int, bias: int, special: Callable[[int, int, int], float | None]
) -> float:
    """Return the number that `byte` is: a sign, `exponent` bits, the rest of the significand."""
    mantissa = 7 - exponent
    sign = -1.0 if byte >> 7 else 1.0
    power, rest = (byte >> mantissa) & ((1 << exponent) - 1), byte & ((1 << mantissa) - 1)
    found = special(byte, power, rest)
    if found is not None:
        return math.copysign(found, sign)
    if power:
        return sign * math.ldexp((1 << mantissa) + rest, power - bias - mantissa)
    return sign * math.ldexp(rest, 1 - bias - mantissa)


def _table(
    exponent: int, bias: int, special: Callable[[int, int, int], float | None]
) -> tuple[float, ...]:
    return tuple(
        _eight_bits(byte, exponent=exponent, bias=bias, special=special) for byte in range(256)
    )


def _as_in_ieee(_: int, power: int, rest: int) -> float | None:
    return None if power < 31 else math.nan if rest else math.inf  # noqa: PLR2004  all ones


def _only_nan(byte: int, _power: int, _rest: int) -> float | None:
    return math.nan if byte & 0x7F == 0x7F else None  # noqa: PLR2004  all ones


def _one_zero(byte: int, _power: int, _rest: int) -> float | None:
    return math.nan if byte == 0x80 else None  # noqa: PLR2004  where -0 would be


_TABLES: Final[Mapping[str, tuple[float, ...]]] = MappingProxyType({
    "F8_E4M3": _table(4, 7, _only_nan),
    "F8_E5M2": _table(5, 15, _as_in_ieee),
    "F8_E4M3FNUZ": _table(4, 8, _one_zero),
    "F8_E5M2FNUZ": _table(5, 16, _one_zero),
    "F8_E8M0": (*(math.ldexp(1.0, power - 127) for power in range(255)), math.nan),
})  # fmt: skip
SIZES: Final[Mapping[str, int]] = MappingProxyType({
    **{dtype: struct.calcsize(f"<{code}") for dtype, code in _CODES.items()},
    **dict.fromkeys(_TABLES, 1), "BF16": 2,
})  # fmt: skip
"bytes of an element, of every dtype whose elements are decoded"
_REFUSED: Final = ("F4", "F6_E2M3", "F6_E3M2", "C64")
"several elements share a byte, or one is two numbers"


@dataclass(frozen=True, slots=True, kw_only=True)
class Array:
    """A tensor and its bytes, row after row, little-endian."""

    dtype: str
    shape: tuple[int, ...]
    data: bytes

    @property
    def is_fraction(self) -> bool:
        """Whether its elements may have a fraction, and so a tolerance."""
        return "F" in self.dtype

    @property
    def count(self) -> int:
        """The number of its elements."""
        return prod(self.shape)

    def blocks(self) -> Iterator[tuple[Any, ...]]:
        """Yield the elements in order, many at once."""
        size = SIZES[self.dtype]
        for start in range(0, len(self.data), _BLOCK * size):
            yield _decoded(self.dtype, self.data[start : start + _BLOCK * size])

    def nested(self) -> Any:  # noqa: ANN401  a number, or lists of lists of them
        """Return the elements as JSON would have them."""
        flat: list[Any] = [one for block in self.blocks() for one in block]
        if not self.shape:
            return flat[0]
        for axis in range(len(self.shape) - 1, 0, -1):
            length, count = self.shape[axis], prod(self.shape[:axis])
            flat = [flat[at * length : (at + 1) * length] for at in range(count)]
        return flat

    def rows(self) -> "list[Array] | None":
        """Return what is along the first axis; None: it has no axis."""
        if not self.shape:
            return None
        size = len(self.data) // self.shape[0] if self.shape[0] else 0
        return [
            Array(dtype=self.dtype, shape=self.shape[1:],
                  data=self.data[at * size : (at + 1) * size])
            for at in range(self.shape[0])
        ]  # fmt: skip

    def with_rows(self, rows: "list[Array]") -> "Array":
        """Return one of the same kind with other rows."""
        return Array(
            dtype=self.dtype, shape=(len(rows), *self.shape[1:]),
            data=b"".join(row.data for row in rows),
        )  # fmt: skip

    def not_finite(self) -> str:
        """Return which element is no number and where, such as `NaN at [0, 3]`; empty: none is."""
        if not self.is_fraction:
            return ""
        for number, block in enumerate(self.blocks()):
            if math.isfinite(sum(block)):  # one that is not finite makes the sum so
                continue
            for index, one in enumerate(block):
                if not math.isfinite(one):
                    word = "NaN" if math.isnan(one) else f"{one:+}".replace("inf", "Infinity")
                    return f"{word} at {self.place(number * _BLOCK + index)}"
        return ""

    def place(self, index: int) -> str:
        """Return the indexes of an element by its number in order: `[0, 3]`."""
        words = []
        for length in reversed(self.shape):
            index, rest = divmod(index, length)
            words.append(str(rest))
        return f"[{', '.join(reversed(words))}]"


def _decoded(dtype: str, data: bytes) -> tuple[Any, ...]:
    if dtype in _TABLES:
        table = _TABLES[dtype]
        return tuple(table[byte] for byte in data)
    if dtype == "BF16":  # the upper half of a binary32
        wide = bytearray(2 * len(data))
        wide[2::4], wide[3::4] = data[0::2], data[1::2]
        dtype, data = "F32", bytes(wide)
    return struct.unpack(f"<{len(data) // (SIZES[dtype])}{_CODES[dtype]}", data)


def of_numbers(dtype: str, shape: tuple[int, ...], numbers: list[Any]) -> Array:
    """Return the tensor of `numbers` in order; of the plain dtypes, those that `struct` knows."""
    data = struct.pack(f"<{len(numbers)}{_CODES[dtype]}", *numbers)
    return Array(dtype=dtype, shape=shape, data=data)


def widened(array: Array) -> Array:
    """Return a tensor that every NumPy knows: BF16 and F8 as F32, which has all their numbers."""
    if array.dtype in _CODES:
        return array
    return of_numbers("F32", array.shape, [one for block in array.blocks() for one in block])


def array(dtype: object, shape: object, data: bytes) -> Array:
    """Return the tensor that somebody says there is; raise InputError where it cannot be one."""
    if not isinstance(dtype, str) or dtype not in SIZES:
        raise InputError(_unknown(dtype))
    if not isinstance(shape, list) or not all(type(one) is int and one >= 0 for one in shape):
        raise InputError("its shape is not a list of natural numbers")
    if prod(shape) * SIZES[dtype] != len(data):
        raise InputError(f"{len(data)} bytes are not {dtype} {shape}")
    if 0 in shape and prod(filter(None, shape)) > _EMPTY:
        raise InputError(f"shape {shape} is absurd: it has no elements")
    return Array(dtype=dtype, shape=tuple(shape), data=data)


def _unknown(dtype: object) -> str:
    if dtype in _REFUSED:
        return f"{dtype} is not supported here: its elements are not single numbers of whole bytes"
    return f"unknown dtype {quoted(str(dtype))}"
