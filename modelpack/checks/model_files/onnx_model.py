"""The structure of an ONNX model, read within bounds: versions, operators, where its data lies.

Source: onnx, onnx/onnx.proto (field numbers), docs/IR.md, docs/ExternalData.md. Values of tensors
are not read. Beyond this no check of types or shapes is made: the runtime's own does that.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import prod
from types import MappingProxyType

from modelpack.checks.formats.protobuf import Field, Malformed, message, varints
from modelpack.checks.formats.window import Window, buffered
from modelpack.errors import Finding, InputError
from modelpack.inputs.quoting import UNPRINTABLE, quoted
from modelpack.lock import tensors as lock_tensors

RULE = "weights.onnx"
KNOWN_DOMAINS = frozenset({
    "", "ai.onnx", "ai.onnx.ml", "ai.onnx.training", "ai.onnx.preview", "ai.onnx.preview.training",
    "com.microsoft", "com.microsoft.experimental", "com.microsoft.nchwc",
    "com.microsoft.internal.nhwc", "com.ms.internal.nhwc",
})  # fmt: skip
"whose operators ONNX Runtime brings: onnxruntime, include/onnxruntime/core/graph/constants.h"
_FIELD_LIMIT = 4_000_000
_TEXT_LIMIT = 4096
_NAMES_LIMIT = 64 << 20
"bytes of the names of all initializers together"
_DEPTH = 16
"graphs within graphs"
_DIMENSIONS = 64
_WORD = 1 << 63
_LENGTH = 2
_BITS: Mapping[int, int] = MappingProxyType({
    1: 32, 2: 8, 3: 8, 4: 16, 5: 16, 6: 32, 7: 64, 9: 8, 10: 16, 11: 64, 12: 32, 13: 64, 14: 64,
    15: 128, 16: 16, 17: 8, 18: 8, 19: 8, 20: 8, 21: 4, 22: 4, 23: 4, 24: 8, 25: 2, 26: 2,
})  # fmt: skip
"TensorProto.DataType to bits of one element; strings are never raw"
_DTYPES: Mapping[int, str] = MappingProxyType({
    1: "F32", 2: "U8", 3: "I8", 4: "U16", 5: "I16", 6: "I32", 7: "I64", 8: "STRING", 9: "BOOL",
    10: "F16", 11: "F64", 12: "U32", 13: "U64", 14: "C64", 15: "C128", 16: "BF16", 17: "F8_E4M3",
    18: "F8_E4M3FNUZ", 19: "F8_E5M2", 20: "F8_E5M2FNUZ", 21: "U4", 22: "I4", 23: "F4",
    24: "F8_E8M0", 25: "U2", 26: "I2",
})  # fmt: skip
"TensorProto.DataType to the word that safetensors has for it, or would have"


@dataclass(frozen=True, slots=True, kw_only=True)
class External:
    """A tensor whose values lie in another file."""

    tensor: str
    location: str
    offset: int
    length: int
    "that are stated, or that its shape takes; 0: neither is known"


@dataclass(frozen=True, slots=True, kw_only=True)
class OnnxModel:
    """What an ONNX file says of itself."""

    ir: int
    opsets: Mapping[str, int]
    "by domain; empty is ONNX's own"
    foreign: tuple[str, ...]
    "domains of operators that neither ONNX Runtime brings nor the model defines, sorted"
    external: tuple[External, ...]
    tensors: tuple[str, ...]
    "initializers of all graphs as the lock writes them, in file order"


@dataclass(slots=True)
class _Found:
    """What the walk has met so far; mutable."""

    fields: int = 0
    ir: int = 0
    opsets: dict[str, int] = field(default_factory=dict)
    graph: bool = False
    domains: set[str] = field(default_factory=set)
    defined: set[str] = field(default_factory=set)
    external: list[External] = field(default_factory=list)
    tensors: list[str] = field(default_factory=list)
    names: int = 0

    def spend(self) -> None:
        """Count one field."""
        self.fields += 1
        if self.fields > _FIELD_LIMIT:
            raise Malformed(f"more than {_FIELD_LIMIT} fields")

    def add(self, line: str) -> None:
        """Add an initializer."""
        self.names += len(line)
        if self.names > _NAMES_LIMIT:
            raise Malformed(f"names of initializers of more than {_NAMES_LIMIT} bytes")
        self.tensors.append(line)


def read(window: Window, *, at: str) -> OnnxModel:
    """Return what the ONNX model in `window` says, or raise InputError naming it as `at`."""
    found = _Found()
    try:
        _model(buffered(window), found)
    except Malformed as error:
        text = f"is not a whole ONNX model: {error}"
        raise InputError(Finding(message=text, at=at, rule=RULE)) from None
    return OnnxModel(
        ir=found.ir,
        opsets=MappingProxyType(dict(sorted(found.opsets.items()))),
        foreign=tuple(sorted(found.domains - found.defined - KNOWN_DOMAINS)),
        external=tuple(found.external),
        tensors=tuple(found.tensors),
    )


def _model(window: Window, found: _Found) -> None:
    for one in message(window, found.spend):
        if one.number == 1:
            found.ir = one.value
        elif one.number == 7:  # noqa: PLR2004  graph
            found.graph = True
            _graph(_inside(window, one), found, depth=0)
        elif one.number == 8:  # noqa: PLR2004  opset_import
            _opset(_inside(window, one), found)
        elif one.number == 20:  # noqa: PLR2004  training_info
            for graph in _messages(_inside(window, one), found, 1, 2):
                _graph(graph, found, depth=0)
        elif one.number == 25:  # noqa: PLR2004  functions
            _function(_inside(window, one), found)
    if not found.graph:
        raise Malformed("it has no graph")
    if not 1 <= found.ir < _WORD:
        raise Malformed("it states no version of its format")
    if found.ir >= 3 and not found.opsets:  # noqa: PLR2004  required since
        raise Malformed("it imports no operators")


def _opset(window: Window, found: _Found) -> None:
    domain, version = "", 0
    for one in message(window, found.spend):
        if one.number == 1:
            domain = _text(window, one)
        elif one.number == 2:  # noqa: PLR2004  version
            version = one.value
    domain = "" if domain == "ai.onnx" else domain
    if domain in found.opsets or not 1 <= version < _WORD:
        raise Malformed(f"its operators of {quoted(domain)} are imported twice, or of no version")
    found.opsets[domain] = version


def _function(window: Window, found: _Found) -> None:
    for one in message(window, found.spend):
        if one.number == 10:  # noqa: PLR2004  domain
            found.defined.add(_text(window, one))
        elif one.number == 7:  # noqa: PLR2004  node
            _node(_inside(window, one), found, depth=0)
        elif one.number == 11:  # noqa: PLR2004  attribute_proto
            _attribute(_inside(window, one), found, depth=0)


def _graph(window: Window, found: _Found, *, depth: int) -> None:
    if depth > _DEPTH:
        raise Malformed(f"graphs within graphs, deeper than {_DEPTH}")
    for one in message(window, found.spend):
        if one.number == 1:
            _node(_inside(window, one), found, depth=depth)
        elif one.number == 5:  # noqa: PLR2004  initializer
            found.add(_tensor(_inside(window, one), found))
        elif one.number == 15:  # noqa: PLR2004  sparse_initializer
            for part in message(_inside(window, one), found.spend):
                if part.number in (1, 2):  # values, indices
                    line = _tensor(_inside(_inside(window, one), part), found)
                    if part.number == 1:
                        found.add(line)


def _node(window: Window, found: _Found, *, depth: int) -> None:
    for one in message(window, found.spend):
        if one.number == 7:  # noqa: PLR2004  domain
            found.domains.add(_text(window, one))
        elif one.number == 5:  # noqa: PLR2004  attribute
            _attribute(_inside(window, one), found, depth=depth)


def _attribute(window: Window, found: _Found, *, depth: int) -> None:
    for one in message(window, found.spend):
        if one.number in (5, 10):  # t, tensors
            _tensor(_inside(window, one), found)
        elif one.number in (6, 11):  # g, graphs
            _graph(_inside(window, one), found, depth=depth + 1)
        elif one.number in (22, 23):  # sparse_tensor, sparse_tensors
            for tensor in _messages(_inside(window, one), found, 1, 2):
                _tensor(tensor, found)


def _tensor(window: Window, found: _Found) -> str:
    """Check a tensor, note where its values lie, and return it as the lock writes it."""
    name, kind, raw, outside = "", 0, -1, False
    shape: list[int] = []
    entries: dict[str, str] = {}
    for one in message(window, found.spend):
        if one.number == 1:
            shape += _numbers(window, one)
        elif one.number == 2:  # noqa: PLR2004  data_type
            kind = one.value
        elif one.number == 8:  # noqa: PLR2004  name
            name = _text(window, one)
        elif one.number == 9 and one.wire == _LENGTH:  # noqa: PLR2004  raw_data
            raw = one.value
        elif one.number == 13:  # noqa: PLR2004  external_data
            key, value = _entry(_inside(window, one), found)
            entries[key] = value
        elif one.number == 14:  # noqa: PLR2004  data_location
            outside = one.value == 1
    if any(not 0 <= size < _WORD for size in shape) or prod(shape) >= _WORD:
        raise Malformed(f"the shape of tensor {quoted(name)} overflows")
    if outside:
        filled = -(-prod(shape) * _BITS[kind] // 8) if kind in _BITS else 0
        found.external.append(_external(name, entries, filled))
    elif raw >= 0 and kind in _BITS and raw != -(-prod(shape) * _BITS[kind] // 8):
        raise Malformed(f"tensor {quoted(name)} has {raw} bytes, which do not fill its shape")
    return lock_tensors.line(_DTYPES.get(kind, f"TYPE_{kind}"), shape, name)


def _external(name: str, entries: Mapping[str, str], filled: int) -> External:
    """Return where a tensor lies whose shape takes `filled` bytes (docs/ExternalData.md)."""

    def number(key: str) -> int:
        text = entries.get(key, "0")
        if not text.isascii() or not text.isdigit() or len(text) > 18:  # noqa: PLR2004  of 2^63
            raise Malformed(f"tensor {quoted(name)}: `{key}` of its data is no number")
        return int(text)

    length = number("length")
    if length and filled and length != filled:
        raise Malformed(f"tensor {quoted(name)} has {length} bytes, which do not fill its shape")
    return External(
        tensor=name, location=entries.get("location", ""), offset=number("offset"),
        length=length or filled,
    )  # fmt: skip


def _entry(window: Window, found: _Found) -> tuple[str, str]:
    pair = {1: "", 2: ""}
    for one in message(window, found.spend):
        if one.number in pair:
            pair[one.number] = _text(window, one)
    return pair[1], pair[2]


def _numbers(window: Window, one: Field) -> list[int]:
    if one.wire != _LENGTH:
        return [one.value]
    return list(varints(_inside(window, one), _DIMENSIONS))


def _messages(window: Window, found: _Found, *numbers: int) -> Iterator[Window]:
    """Yield what lies in the fields with these numbers."""
    for one in message(window, found.spend):
        if one.number in numbers:
            yield _inside(window, one)


def _inside(window: Window, one: Field) -> Window:
    if one.wire != _LENGTH:
        raise Malformed(f"field {one.number} is no message")
    return window.part(one.offset, one.value)


def _text(window: Window, one: Field) -> str:
    if one.wire != _LENGTH or one.value > _TEXT_LIMIT:
        raise Malformed(f"field {one.number} is no text of up to {_TEXT_LIMIT} bytes")
    text = window.read(one.offset, one.value).decode("utf-8", "backslashreplace")
    if UNPRINTABLE.search(text):
        raise Malformed(f"{quoted(text)} cannot be printed")
    return text
