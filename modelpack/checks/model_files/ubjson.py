"""Universal Binary JSON (https://ubjson.org, draft 12) to values, strictly and within bounds."""

import struct
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from modelpack.checks.formats.window import Window, buffered
from modelpack.inputs.quoting import quoted

_NUMBERS: Mapping[bytes, str] = MappingProxyType(
    {b"i": "b", b"U": "B", b"I": "h", b"l": "i", b"L": "q", b"d": "f", b"D": "d"}
)
_INTEGERS = frozenset({b"i", b"U", b"I", b"l", b"L"})
_CONSTANTS: Mapping[bytes, Any] = MappingProxyType({b"Z": None, b"T": True, b"F": False})
_DEPTH = 32
_VALUE_LIMIT = 20_000_000
"numbers, texts and containers of one file"
_KEY_LIMIT = 1024


class Malformed(Exception):  # noqa: N818  a state of the input
    """This is no UBJSON."""


class _Reader:
    def __init__(self, window: Window) -> None:
        self.window, self.offset, self.values = buffered(window), 0, 0

    def take(self, size: int) -> bytes:
        if not 0 <= size <= self.window.size - self.offset:
            raise Malformed(f"it ends too early, at byte {self.window.size}")
        data = self.window.read(self.offset, size)
        self.offset += size
        return data

    def peek(self) -> bytes:
        return self.window.read(self.offset, 1)

    def count(self, values: int) -> None:
        self.values += values
        if self.values > _VALUE_LIMIT:
            raise Malformed(f"it has more than {_VALUE_LIMIT} values")


def parse(window: Window) -> Any:  # noqa: ANN401  any value
    """Return the value in `window`, whole; arrays of numbers are tuples. Raises Malformed."""
    reader = _Reader(window)
    value = _value(reader, reader.take(1), 0)
    if reader.offset != window.size:
        raise Malformed(f"{window.size - reader.offset} bytes come after its end")
    return value


def _value(reader: _Reader, marker: bytes, depth: int) -> Any:  # noqa: ANN401  any value
    reader.count(1)
    if depth > _DEPTH:
        raise Malformed(f"it is nested deeper than {_DEPTH}")
    if marker in _NUMBERS:
        form = f">{_NUMBERS[marker]}"
        return struct.unpack(form, reader.take(struct.calcsize(form)))[0]
    if marker in _CONSTANTS:
        return _CONSTANTS[marker]
    if marker == b"S":
        return _text(reader, reader.window.size)
    if marker == b"C":
        return reader.take(1).decode("latin-1")
    if marker == b"[":
        return _array(reader, depth)
    if marker == b"{":
        return _object(reader, depth)
    raise Malformed(f"there is no type {quoted(marker.decode('latin-1'))}")


def _length(reader: _Reader) -> int:
    marker = reader.take(1)
    if marker not in _INTEGERS:
        raise Malformed("a length is no integer")
    form = f">{_NUMBERS[marker]}"
    size = int(struct.unpack(form, reader.take(struct.calcsize(form)))[0])
    if size < 0:
        raise Malformed("a length is negative")
    return size


def _text(reader: _Reader, limit: int) -> str:
    size = _length(reader)
    if size > limit:
        raise Malformed(f"a text of {size} bytes, the limit is {limit}")
    try:
        return reader.take(size).decode("utf-8")
    except UnicodeDecodeError:
        raise Malformed("a text is not UTF-8") from None


def _header(reader: _Reader) -> tuple[bytes, int | None]:
    """Return the type and the count that an optimised container states, where it does."""
    kind: bytes = b""
    if reader.peek() == b"$":
        reader.take(1)
        kind = reader.take(1)
        if kind in _CONSTANTS:  # millions of values in no bytes
            raise Malformed("a container of one constant")
    if reader.peek() == b"#":
        reader.take(1)
        return kind, _length(reader)
    if kind:
        raise Malformed("a type without a count")
    return kind, None


def _array(reader: _Reader, depth: int) -> tuple[Any, ...]:
    kind, size = _header(reader)
    if kind in _NUMBERS and size is not None:
        form = _NUMBERS[kind]
        width = struct.calcsize(f">{form}")
        reader.count(size)
        return struct.unpack(f">{size}{form}", reader.take(size * width))
    if size is not None:
        reader.count(size)
        return tuple(_value(reader, kind or reader.take(1), depth + 1) for _ in range(size))
    values: list[Any] = []
    while (marker := reader.take(1)) != b"]":
        values.append(_value(reader, marker, depth + 1))
    return tuple(values)


def _object(reader: _Reader, depth: int) -> dict[str, Any]:
    kind, size = _header(reader)
    value: dict[str, Any] = {}
    while size is None or len(value) < size:
        if size is None and reader.peek() == b"}":
            reader.take(1)
            break
        key = _text(reader, _KEY_LIMIT)
        if key in value:
            raise Malformed(f"key {quoted(key)} stands twice")
        value[key] = _value(reader, kind or reader.take(1), depth + 1)
    return value
