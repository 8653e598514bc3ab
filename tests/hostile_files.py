"""Builders of weight files, good and hostile, so that nothing binary is kept in git."""

import json
import struct
from collections.abc import Mapping
from typing import Any


def with_header(header: bytes, data: bytes = b"") -> bytes:
    """A safetensors file with these very header bytes."""
    return struct.pack("<Q", len(header)) + header + data


def safetensors_file(
    tensors: Mapping[str, Any] | None = None,
    *,
    data: bytes | None = None,
    metadata: Any = None,
) -> bytes:
    """A safetensors file; `tensors` maps names to (dtype, shape, begin, end)."""
    tensors = {"weight": ("F32", [2, 2], 0, 16)} if tensors is None else tensors
    header: dict[str, Any] = {} if metadata is None else {"__metadata__": metadata}
    for name, (dtype, shape, begin, end) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}
    if data is None:
        data = bytes(max((entry[3] for entry in tensors.values()), default=0))
    return with_header(json.dumps(header).encode(), data)
