"""Safetensors files that are small enough to be held: golden ones, and answers. Hostile until read.

Source: safetensors, "Format".
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from modelpack.errors import Finding, InputError
from modelpack.inputs.array import Array, array
from modelpack.inputs.quoting import quoted
from modelpack.inputs.safetensors import parse_header
from modelpack.inputs.safetensors_writer import TensorRange, encode_header, in_file_order

LIMIT: Final = 64 << 20
"bytes of a file that is read"


def decode(data: bytes, *, at: str = "") -> Mapping[str, Array]:
    """Return the tensors of the safetensors file in `data`; raise InputError with all problems."""
    header = parse_header(data, len(data), at=at)
    found: dict[str, Array] = {}
    problems: list[Finding] = []
    for tensor in header.tensors:
        part = data[header.data_start + tensor.begin : header.data_start + tensor.end]
        try:
            found[tensor.name] = array(tensor.dtype, [*tensor.shape], part)
        except InputError as error:
            problems.append(Finding(message=f"tensor {quoted(tensor.name)}: {error}", at=at))
    if problems:
        raise InputError(*problems)
    return found


def encode(arrays: Mapping[str, Array]) -> bytes:
    """Return a safetensors file with the tensors: the bytes that the library would write."""
    ranges = in_file_order(
        TensorRange(name=name, dtype=array.dtype, shape=array.shape, path=Path(), offset=0,
                    size=len(array.data))
        for name, array in sorted(arrays.items())
    )  # fmt: skip
    return encode_header(ranges, {}) + b"".join(arrays[one.name].data for one in ranges)
