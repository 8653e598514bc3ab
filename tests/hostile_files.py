"""Builders of weight files, good and hostile, so that nothing binary is kept in git."""

import io
import json
import os
import pickle
import struct
import tarfile
import zipfile
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


class Runs:
    """Unpickling this would call `os.getcwd`, which stands for anything worse."""

    def __reduce__(self) -> Any:
        return os.getcwd, ()


def pickled(protocol: int, value: Any = None) -> bytes:
    """A pickle that calls something, or one of `value`."""
    return pickle.dumps(Runs() if value is None else value, protocol)


def zipped(members: Mapping[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    """A zip archive; `method` is of the zipfile module."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data, method)
    return out.getvalue()


def tarred(members: Mapping[str, bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    """A tar archive; `form` is of the tarfile module."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for name, data in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return out.getvalue()


def torch_archive(pickle_data: bytes | None = None, name: str = "archive/data.pkl") -> bytes:
    """What `torch.save` writes: a stored zip with a pickle and raw storages."""
    data = pickled(2) if pickle_data is None else pickle_data
    return zipped({name: data, "archive/version": b"3\n", "archive/data/0": bytes(range(256))})


def numpy_array(
    descr: str = "'<f4'", data: bytes = b"\0" * 8, version: int = 1, shape: str = "(2,)"
) -> bytes:
    """A `.npy` file whose header says `descr`."""
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    first = 10 if version == 1 else 12
    header += b" " * (63 - (first + len(header)) % 64) + b"\n"
    length = struct.pack("<H" if version == 1 else "<I", len(header))
    return b"\x93NUMPY" + bytes([version, 0]) + length + header + data


def protobuf(*fields: tuple[int, int | bytes | float]) -> bytes:
    """A protocol buffer message of varints, byte strings and 32-bit floats."""
    out = b""
    for number, value in fields:
        if isinstance(value, bytes):
            out += _varint(number << 3 | 2) + _varint(len(value)) + value
        elif isinstance(value, float):
            out += _varint(number << 3 | 5) + struct.pack("<f", value)
        else:
            out += _varint(number << 3) + _varint(value)
    return out


def _varint(number: int) -> bytes:
    out = b""
    while number > 0x7F:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])
