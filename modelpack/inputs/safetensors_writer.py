"""Write safetensors files from ranges of other files, without holding a tensor in memory.

The bytes are those of the `safetensors` library, which the tests hold against this writer. The
library itself cannot do it: `serialize_file` wants every tensor of the result in memory at once (a
5 GB shard would need 5 GB), and it writes metadata in the random order of a hash map.
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from modelpack.errors import InputError
from modelpack.inputs.opening import open_regular
from modelpack.inputs.safetensors import BITS
from modelpack.progress import Advance

BUFFER = 4 << 20
_ALIGNMENT = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorRange:
    """A tensor, and where its bytes lie: `size` bytes from `offset` on in the file `path`."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    path: Path
    offset: int
    size: int


def total_size(tensors: Iterable[TensorRange]) -> int:
    """Return the bytes of all tensors, without headers."""
    return sum(tensor.size for tensor in tensors)


def in_file_order(tensors: Iterable[TensorRange]) -> list[TensorRange]:
    """Sort by falling width of the element, so that every tensor is aligned; else keep the order.

    The library does the same and then sorts by name: what it wrote keeps its order.
    """
    return sorted(tensors, key=lambda tensor: -BITS[tensor.dtype])


def encode_header(tensors: Sequence[TensorRange], metadata: Mapping[str, str]) -> bytes:
    """Return length and JSON of the header for `tensors` in this order (safetensors, "Format")."""
    header: dict[str, object] = {}
    if metadata:
        header["__metadata__"] = dict(sorted(metadata.items()))
    end = 0
    for tensor in tensors:
        begin, end = end, end + tensor.size
        header[tensor.name] = {
            "dtype": tensor.dtype,
            "shape": list(tensor.shape),
            "data_offsets": [begin, end],
        }
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    return len(text).to_bytes(8, "little") + text


def write(
    target: Path, tensors: Iterable[TensorRange], metadata: Mapping[str, str], advance: Advance
) -> None:
    """Make the new file `target`, on disk when this returns; InputError if a source moved."""
    ordered = in_file_order(tensors)
    with target.open("xb") as out:
        out.write(encode_header(ordered, metadata))
        for path, ranges in _runs(ordered):
            with open_unchanged(path) as source:
                for tensor in ranges:
                    _copy(source, out, tensor, advance)
        out.flush()
        os.fsync(out.fileno())


@contextmanager
def open_unchanged(path: Path) -> Iterator[BinaryIO]:
    """Open a regular file, unbuffered; raise InputError if it changes before it is closed."""
    with open_regular(path) as source:
        before = _identity(source)
        yield source
        if _identity(source) != before:
            raise InputError("changed while it was read", at=str(path))


def _identity(source: BinaryIO) -> tuple[int, int, int]:
    status = os.fstat(source.fileno())
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _runs(tensors: Iterable[TensorRange]) -> Iterator[tuple[Path, list[TensorRange]]]:
    """Group neighbours that lie in the same file, so that it is opened once for all of them."""
    run: list[TensorRange] = []
    for tensor in tensors:
        if run and run[-1].path != tensor.path:
            yield run[-1].path, run
            run = []
        run.append(tensor)
    if run:
        yield run[-1].path, run


def _copy(source: BinaryIO, out: BinaryIO, tensor: TensorRange, advance: Advance) -> None:
    position, left = tensor.offset, tensor.size
    while left:
        data = os.pread(source.fileno(), min(left, BUFFER), position)
        if not data:
            raise InputError(f"ends inside tensor `{tensor.name}`", at=str(tensor.path))
        out.write(data)
        position += len(data)
        left -= len(data)
        advance(len(data))
