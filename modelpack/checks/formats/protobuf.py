"""Tell protocol buffer messages of machine learning apart by their fields, having no magic."""

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from modelpack.checks.formats.window import Window

_FIELD_LIMIT = 256
_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_ONNX_FIELDS = frozenset({1, 2, 3, 4, 5, 6, 7, 8, 14, 20, 25, 26})
_ONNX_GRAPH, _ONNX_FUNCTIONS = 7, 25
_GRAPH_FIELDS = frozenset({1, 2, 3, 4, 5})
_OPERATION = re.compile(rb"[A-Za-z][A-Za-z0-9_>.]*")
_WORD = re.compile(rb"[\w./:^>-]+")


class Field(NamedTuple):
    """One field on the wire: its number, wire type and where its value lies."""

    number: int
    wire: int
    value: int
    "the number, or the length of what lies at `offset`"
    offset: int


class Malformed(Exception):  # noqa: N818  a state of the input
    """What should be a message is none."""


def message(window: Window, spend: Callable[[], None]) -> Iterator[Field]:
    """Yield every field of a message; raise Malformed where it is none. `spend` counts them."""
    offset = 0
    while offset < window.size:
        spend()
        key, after = _varint(window, offset)
        value, end = _value(window, key & 7, after)
        if after == offset or key >> 3 == 0 or end <= after or end > window.size:
            raise Malformed(f"no field at byte {offset} of {window.size}")
        yield Field(key >> 3, key & 7, value, end - value if key & 7 == _LENGTH else after)
        offset = end


def varints(window: Window, limit: int) -> Iterator[int]:
    """Yield the numbers of a packed field, up to `limit`; raise Malformed where it is none."""
    offset = 0
    for _ in range(limit):
        if offset >= window.size:
            return
        value, after = _varint(window, offset)
        if after == offset:
            break
        yield value
        offset = after
    raise Malformed(f"no list of up to {limit} numbers")


def identify(window: Window) -> str:
    """Return `saved-model`, `graph-def`, `onnx`, `sentencepiece` or nothing."""
    fields = list(_fields(window))
    if not fields or (fields[-1].number == 0 and len(fields) <= 1):
        return ""
    sound = fields[-1].number != 0
    numbers = {field.number for field in fields if field.number}
    first = fields[0]
    if numbers <= {1, 2} and _is_saved_model(window, fields, sound=sound):
        return "saved-model"
    if first.number == 1 and first.wire == _LENGTH:
        kind = _repeated_kind(window, first)
        if kind != "graph-def" or numbers <= _GRAPH_FIELDS:
            return kind
    if sound and numbers <= _ONNX_FIELDS and numbers & {_ONNX_GRAPH, _ONNX_FUNCTIONS}:
        return "onnx"
    return ""


def _is_saved_model(window: Window, fields: list[Field], *, sound: bool) -> bool:
    """SavedModel: a version, then MetaGraphDefs, each of which begins with a message."""
    graphs = [field for field in fields if field.number == 2]  # noqa: PLR2004  meta_graphs
    versions = [field for field in fields if field.number == 1]
    if not sound or not graphs or any(field.wire != _LENGTH for field in graphs):
        return False
    if any(field.wire != _VARINT for field in versions):
        return False
    return all(_begins_message(window.part(field.offset, field.value)) for field in graphs)


def _begins_message(window: Window) -> bool:
    fields = list(_fields(window))
    return bool(fields) and all(
        field.number in (1, 2, 3, 4, 5, 6, 7) and field.wire == _LENGTH for field in fields
    )


def _repeated_kind(window: Window, first: Field) -> str:
    """NodeDef begins name, operation; SentencePiece begins piece, score or type."""
    inner = list(_fields(window.part(first.offset, first.value)))[:3]
    if not inner or inner[0].number != 1 or inner[0].wire != _LENGTH:
        return ""
    if len(inner) > 1 and (inner[1].number, inner[1].wire) in ((2, _FIXED32), (3, _VARINT)):
        return "sentencepiece"
    part = window.part(first.offset, first.value)
    name = part.read(inner[0].offset, min(inner[0].value, 256))
    if len(inner) < 2 or (inner[1].number, inner[1].wire) != (2, _LENGTH):  # noqa: PLR2004
        return ""
    operation = part.read(inner[1].offset, min(inner[1].value, 256))
    return "graph-def" if _WORD.fullmatch(name) and _OPERATION.fullmatch(operation) else ""


def _fields(window: Window) -> Iterator[Field]:
    """Yield up to 256 top-level fields; a last one with number 0 says that it is no message."""
    offset = 0
    for _ in range(_FIELD_LIMIT):
        if offset >= window.size:
            return
        key, after = _varint(window, offset)
        value, offset = _value(window, key & 7, after)
        if key >> 3 == 0 or offset <= after or offset > window.size + window.cut:
            yield Field(0, 0, 0, 0)
            return
        begin = offset - value if key & 7 == _LENGTH else after
        yield Field(key >> 3, key & 7, value, begin)


def _value(window: Window, wire: int, offset: int) -> tuple[int, int]:
    """Return the value (or length) at `offset` and where it ends; no progress means no message."""
    if wire == _VARINT:
        return _varint(window, offset)
    if wire == _FIXED64:
        return 0, offset + 8
    if wire == _FIXED32:
        return 0, offset + 4
    if wire == _LENGTH:
        length, after = _varint(window, offset)
        return length, after + length if after > offset else offset
    return 0, offset


def _varint(window: Window, offset: int) -> tuple[int, int]:
    value = 0
    for index, byte in enumerate(window.read(offset, 10)):
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:  # noqa: PLR2004  the last byte
            return value, offset + index + 1
    return 0, offset
