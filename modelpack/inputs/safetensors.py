"""The header of a safetensors file, parsed strictly and as a value; tensor data is never read.

Whatever the `safetensors` library refuses is refused here too. Refused beyond it: a header that
does not start with `{` (the format's own words), keys said twice, unknown keys, empty names, and
control or invisible characters in names and metadata keys.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from types import MappingProxyType
from typing import Any

from modelpack import strict_json
from modelpack.errors import Finding, InputError
from modelpack.inputs.opening import open_regular
from modelpack.inputs.quoting import UNPRINTABLE, quoted
from modelpack.strict_json import RepeatedKey

HEADER_LIMIT = 100_000_000
"bytes; the reference implementation's own limit"

BITS: Mapping[str, int] = MappingProxyType(
    {
        **dict.fromkeys(("F4",), 4),
        **dict.fromkeys(("F6_E2M3", "F6_E3M2"), 6),
        **dict.fromkeys(("BOOL", "U8", "I8", "F8_E4M3", "F8_E5M2", "F8_E8M0"), 8),
        **dict.fromkeys(("F8_E4M3FNUZ", "F8_E5M2FNUZ"), 8),
        **dict.fromkeys(("I16", "U16", "F16", "BF16"), 16),
        **dict.fromkeys(("I32", "U32", "F32"), 32),
        **dict.fromkeys(("I64", "U64", "F64", "C64"), 64),
    }
)
"bits of one element, for every dtype that `safetensors` 0.8 knows"

RULE = "weights.safetensors-header"
_LENGTH = 8
_WORD = 2**64
_WORD_DIGITS = 20
_SURROGATE = re.compile("[\ud800-\udfff]")
_SHOWN = 10
_TENSOR_KEYS = frozenset({"dtype", "shape", "data_offsets"})
_NO_METADATA: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """One tensor: its type and where its bytes lie, counted from the start of the data."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int

    @property
    def parameters(self) -> int:
        """Return the number of elements."""
        return prod(self.shape)


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What a safetensors file holds; `tensors` in the order of their bytes."""

    tensors: tuple[Tensor, ...]
    metadata: Mapping[str, str] = field(default_factory=lambda: _NO_METADATA)
    data_start: int
    "bytes before the first tensor: the length word and the header"
    data_size: int


def read_header(path: Path, *, at: str = "") -> Header:
    """Read and parse the header of the file at `path`, or raise InputError naming it."""
    at = at or str(path)
    with open_regular(path, at=at) as file:
        size = file.seek(0, 2)
        file.seek(0)
        length = header_length(file.read(_LENGTH), size, at=at)
        file.seek(0)
        prefix = bytearray()
        while len(prefix) < _LENGTH + length:
            piece = file.read(_LENGTH + length - len(prefix))
            if not piece:
                break
            prefix += piece
    return parse_header(bytes(prefix), size, at=at)


def header_length(prefix: bytes, file_size: int, *, at: str = "") -> int:
    """Return the header's length in bytes, or raise InputError where it cannot be one."""
    if file_size < _LENGTH or len(prefix) < _LENGTH:
        raise _refusal(f"too short for a safetensors file: {file_size} bytes", at)
    length = int.from_bytes(prefix[:_LENGTH], "little")
    if length > HEADER_LIMIT:
        raise _refusal(f"header of {length} bytes, the limit is {HEADER_LIMIT}", at)
    if _LENGTH + length > file_size:
        raise _refusal(f"header of {length} bytes reaches beyond the file's {file_size}", at)
    return length


def parse_header(prefix: bytes, file_size: int, *, at: str = "") -> Header:
    """Parse `prefix`, the first bytes of a safetensors file of `file_size` bytes.

    `prefix` holds at least the length word and the header. Raises InputError with every problem
    of the tensors at once (the first ten are named).
    """
    length = header_length(prefix, file_size, at=at)
    if len(prefix) < _LENGTH + length:
        raise _refusal("the file ends within its header", at)
    value = _decode(prefix[_LENGTH : _LENGTH + length], at)
    try:
        metadata = _metadata(value.pop("__metadata__", None))
    except _Malformed as error:
        raise _refusal(str(error), at) from None
    tensors = _tensors(value, at)
    data_start = _LENGTH + length
    problems = list(_layout_problems(tensors, file_size - data_start))
    if problems:
        raise _refusals(problems, at)
    return Header(
        tensors=tensors,
        metadata=metadata,
        data_start=data_start,
        data_size=file_size - data_start,
    )


class _Malformed(Exception):  # noqa: N818  a state of the input
    """One entry of the header is not what the format allows; becomes a Finding here."""


def _decode(header: bytes, at: str) -> dict[str, Any]:
    if not header.startswith(b"{"):
        raise _refusal("header does not start with `{`", at)
    try:
        value = json.loads(
            header.decode("utf-8"),
            object_pairs_hook=strict_json.once,
            parse_int=_natural,
            parse_constant=_no_constant,
        )
    except UnicodeDecodeError:
        raise _refusal("header is not UTF-8", at) from None
    except RecursionError:
        raise _refusal("header is nested too deeply", at) from None
    except RepeatedKey as error:
        raise _refusal(
            f"header is not valid JSON: key {quoted(error.key)} stands twice", at
        ) from None
    except (_Malformed, ValueError) as error:
        raise _refusal(f"header is not valid JSON: {error}", at) from None
    if not isinstance(value, dict):  # pragma: no cover  the first byte says so
        raise _refusal("header is not a JSON object", at)
    return value


def _natural(text: str) -> int | None:
    """Return the number, or None where the reference reader has no word for it (`-0`, 2^64)."""
    if text.startswith("-") or len(text) > _WORD_DIGITS:
        return None
    number = int(text)
    return number if number < _WORD else None


def _no_constant(text: str) -> None:
    raise _Malformed(f"`{text}` is not JSON")


def _metadata(value: object) -> Mapping[str, str]:
    if value is None:
        return _NO_METADATA
    if not isinstance(value, dict):
        raise _Malformed("`__metadata__`: expected an object of strings")
    for key, text in value.items():
        if not isinstance(text, str):
            raise _Malformed(f"`__metadata__`: {quoted(key)} is not a string")
        if UNPRINTABLE.search(key) or _SURROGATE.search(text):
            raise _Malformed(f"`__metadata__`: {quoted(key)}: characters that cannot be printed")
    return MappingProxyType(value)


def _tensors(value: Mapping[str, Any], at: str) -> tuple[Tensor, ...]:
    tensors: list[Tensor] = []
    problems: list[str] = []
    for name, entry in value.items():
        try:
            tensors.append(_tensor(name, entry))
        except _Malformed as error:
            problems.append(f"tensor {quoted(name)}: {error}")
    if problems:
        raise _refusals(problems, at)
    return tuple(sorted(tensors, key=lambda tensor: (tensor.begin, tensor.end, tensor.name)))


def _tensor(name: str, entry: object) -> Tensor:
    if not name:
        raise _Malformed("the name is empty")
    if UNPRINTABLE.search(name):
        raise _Malformed("the name has characters that cannot be printed")
    if not isinstance(entry, dict) or entry.keys() != _TENSOR_KEYS:
        raise _Malformed("expected `dtype`, `shape`, `data_offsets` and nothing else")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in BITS:
        raise _Malformed(f"unknown dtype {quoted(str(dtype))}")
    if not _naturals(shape):
        raise _Malformed("`shape` is not a list of natural numbers")
    if not _naturals(offsets) or len(offsets) != 2:  # noqa: PLR2004  begin and end
        raise _Malformed("`data_offsets` is not a pair of natural numbers")
    begin, end = offsets
    if end < begin:
        raise _Malformed(f"ends at {end}, before it begins at {begin}")
    size = _byte_size(dtype, shape)
    if end - begin != size:
        raise _Malformed(f"shape and dtype need {size} bytes, the range has {end - begin}")
    return Tensor(name=name, dtype=dtype, shape=tuple(shape), begin=begin, end=end)


def _naturals(value: object) -> bool:
    return isinstance(value, list) and all(type(number) is int for number in value)


def _byte_size(dtype: str, shape: list[int]) -> int:
    """Return the bytes of a tensor; 64-bit overflow is refused at every step, as by the library."""
    bits = 1
    for factor in (*shape, BITS[dtype]):
        bits *= factor
        if bits >= _WORD:
            raise _Malformed("shape overflows 64 bits")
    if bits % 8:
        raise _Malformed(f"{bits} bits are not whole bytes")
    return bits // 8


def _layout_problems(tensors: tuple[Tensor, ...], data_size: int) -> Iterator[str]:
    """Tensors cover the data from first to last byte, each byte once (format: no holes)."""
    position = 0
    for tensor in tensors:
        if tensor.begin < position:
            yield f"tensor {quoted(tensor.name)} overlaps the one before it at byte {tensor.begin}"
        elif tensor.begin > position:
            yield f"gap before tensor {quoted(tensor.name)}: bytes {position} to {tensor.begin}"
        position = max(position, tensor.end)
    if position > data_size:
        yield f"tensors reach to byte {position} of the data, the file has {data_size}"
    elif position < data_size:
        yield f"{data_size - position} bytes after the last tensor"


def _refusal(message: str, at: str) -> InputError:
    return InputError(Finding(message=message, at=at, rule=RULE))


def _refusals(problems: list[str], at: str) -> InputError:
    shown = problems[:_SHOWN]
    if len(problems) > _SHOWN:
        shown.append(f"and {len(problems) - _SHOWN} more problems of this header")
    return InputError(*(Finding(message=text, at=at, rule=RULE) for text in shown))
