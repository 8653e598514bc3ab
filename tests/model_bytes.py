"""Builders of small model files, byte by byte: ONNX, GGUF, XGBoost; and tokenizers."""

import json
import struct
from collections.abc import Mapping, Sequence
from typing import Any


def varint(value: int) -> bytes:
    """A number of protocol buffers."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def number(field: int, value: int) -> bytes:
    """A field of protocol buffers that is a number."""
    return varint(field << 3) + varint(value)


def inner(field: int, data: bytes | str) -> bytes:
    """A field of protocol buffers that is a message, bytes or text."""
    data = data.encode() if isinstance(data, str) else data
    return varint(field << 3 | 2) + varint(len(data)) + data


def onnx_tensor(name: str = "w", dims: Sequence[int] = (2,), *, raw: bytes | None = None) -> bytes:
    """A TensorProto of floats."""
    raw = bytes(8) if raw is None else raw
    return (
        b"".join(number(1, size) for size in dims) + number(2, 1) + inner(8, name) + inner(9, raw)
    )


def onnx_outside(location: str, *, offset: int = 0, length: int = 8) -> bytes:
    """A TensorProto whose values lie in another file."""
    entries = {"location": location, "offset": str(offset), "length": str(length)}
    said = b"".join(inner(13, inner(1, key) + inner(2, value)) for key, value in entries.items())
    return number(1, 2) + number(2, 1) + inner(8, "w") + said + number(14, 1)


def onnx_node(operator: str = "Identity", domain: str = "", *, attribute: bytes = b"") -> bytes:
    """A NodeProto from `x` to `y`."""
    said = inner(1, "x") + inner(2, "y") + inner(4, operator)
    said += inner(5, attribute) if attribute else b""
    return said + (inner(7, domain) if domain else b"")


def _port(name: str) -> bytes:
    return inner(1, name) + inner(2, inner(1, number(1, 1) + inner(2, inner(1, number(1, 2)))))


def onnx_graph(*nodes: bytes, tensors: Sequence[bytes] = ()) -> bytes:
    """A GraphProto."""
    said = b"".join(inner(1, node) for node in nodes or (onnx_node(),)) + inner(2, "g")
    said += b"".join(inner(5, tensor) for tensor in tensors)
    return said + inner(11, _port("x")) + inner(12, _port("y"))


def onnx(
    graph: bytes | None = None,
    *,
    ir: int = 8,
    opsets: Mapping[str, int] | None = None,
    functions: Sequence[bytes] = (),
) -> bytes:
    """A whole ONNX model."""
    said = number(1, ir) + inner(2, "test") + inner(7, onnx_graph() if graph is None else graph)
    for domain, version in ({"": 17} if opsets is None else opsets).items():
        said += inner(8, (inner(1, domain) if domain else b"") + number(2, version))
    return said + b"".join(inner(25, function) for function in functions)


def gguf_text(text: str) -> bytes:
    """A string of GGUF."""
    return struct.pack("<Q", len(text.encode())) + text.encode()


def gguf_key(key: str, kind: int, value: bytes) -> bytes:
    """A key of GGUF with its value."""
    return gguf_text(key) + struct.pack("<I", kind) + value


def gguf_tensor(name: str, shape: Sequence[int], kind: int = 0, offset: int = 0) -> bytes:
    """What says where a tensor is."""
    said = gguf_text(name) + struct.pack("<I", len(shape))
    return (
        said
        + b"".join(struct.pack("<Q", size) for size in shape)
        + struct.pack("<IQ", kind, offset)
    )


def gguf(
    keys: Sequence[bytes] | None = None,
    tensors: Sequence[bytes] | None = None,
    *,
    version: int = 3,
    data: bytes = bytes(64),
    architecture: str = "llama",
) -> bytes:
    """A whole GGUF file; by default of two tensors of 4 and 8 floats."""
    if keys is None:
        words = struct.pack("<IQ", 8, 2) + gguf_text("a") + gguf_text("b")
        keys = (
            gguf_key("general.architecture", 8, gguf_text(architecture)),
            gguf_key("tokenizer.ggml.tokens", 9, words),
            gguf_key("llama.block_count", 4, struct.pack("<I", 1)),
        )
    if tensors is None:
        tensors = (gguf_tensor("a", [4]), gguf_tensor("b", [4, 2], offset=32))
    head = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(keys))
    head += b"".join(keys) + b"".join(tensors)
    return head + bytes(-len(head) % 32) + data


def tree() -> dict[str, Any]:
    """A tree of XGBoost that asks once."""
    return {
        "tree_param": {"num_nodes": "3", "num_feature": "2", "size_leaf_vector": "1"},
        "left_children": [1, -1, -1],
        "right_children": [2, -1, -1],
        "split_indices": [1, 0, 0],
        "split_conditions": [0.5, 1.0, 2.0],
    }


def xgboost(
    *trees: dict[str, Any],
    version: Sequence[int] = (2, 1, 0),
    booster: str = "gbtree",
    base: str = "5E-1",
) -> dict[str, Any]:
    """A model of XGBoost, as the value that both of its forms hold."""
    found = list(trees or (tree(),))
    model = {"gbtree_model_param": {"num_trees": str(len(found))}, "trees": found}
    inside: dict[str, Any] = {"name": booster, "model": model}
    if booster == "dart":
        inside = {"name": "dart", "gbtree": {"name": "gbtree", "model": model}}
    learner = {
        "gradient_booster": inside,
        "learner_model_param": {"base_score": base, "num_class": "0", "num_feature": "2"},
    }
    return {"learner": learner, "version": list(version)}


def ubj(value: Any) -> bytes:
    """A value in UBJSON, as XGBoost writes it: numbers of a list in one typed array."""
    if isinstance(value, dict):
        body = b"".join(ubj(key)[1:] + ubj(item) for key, item in value.items())
        return b"{" + body + b"}"
    if isinstance(value, str):
        return b"SL" + struct.pack(">q", len(value.encode())) + value.encode()
    if isinstance(value, list) and value and all(isinstance(one, float) for one in value):
        head = b"[$d#L" + struct.pack(">q", len(value))
        return head + struct.pack(f">{len(value)}f", *value)
    if isinstance(value, list) and value and all(type(one) is int for one in value):
        return b"[$l#L" + struct.pack(">q", len(value)) + struct.pack(f">{len(value)}i", *value)
    if isinstance(value, list):
        return b"[" + b"".join(map(ubj, value)) + b"]"
    return (
        b"D" + struct.pack(">d", value)
        if isinstance(value, float)
        else b"l" + struct.pack(">i", value)
    )


def tokenizer(tokens: int = 4, *, added: Sequence[int] = (), pairs: bool = False) -> bytes:
    """A tokenizer.json of words, with ids from 0."""
    merges = [["a", "b"]] if pairs else ["a b"]
    return json.dumps({
        "version": "1.0",
        "added_tokens": [{"id": one, "content": f"<{one}>"} for one in added],
        "model": {"type": "BPE", "vocab": {f"w{i}": i for i in range(tokens)}, "merges": merges},
    }).encode()  # fmt: skip
