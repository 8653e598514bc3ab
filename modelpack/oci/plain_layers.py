"""A layer as the tar that it is uncompressed, for builders that unpack it themselves."""

import gzip
import hashlib
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from modelpack.digest import of_hex
from modelpack.errors import InputError
from modelpack.oci.file_writing import unwritable
from modelpack.oci.layer import TAR_GZIP, TAR_ZSTD, Layer, StoredFile

_CHUNK = 1 << 20


def write_plain(layer: Layer, path: Path) -> None:
    """Write the tar of a stored `layer` to a new file, mode 0644.

    Raises InputError unless it is the layer's diff_id, Unavailable when it cannot be written.
    """
    hashed = hashlib.sha256()
    try:
        with _opened(layer) as source, path.open("xb") as target:
            while chunk := source.read(_CHUNK):
                hashed.update(chunk)
                target.write(chunk)
        path.chmod(0o644)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError("the stored layer is damaged", at=layer.created_by) from error
    except OSError as error:
        raise unwritable(str(path), error) from error
    if of_hex(hashed.hexdigest()) != layer.diff_id:
        raise InputError("the stored layer is not what was made", at=layer.created_by)


@contextmanager
def _opened(layer: Layer) -> Iterator[BinaryIO]:
    """Open what the layer is uncompressed."""
    if not isinstance(layer.blob.origin, StoredFile):
        raise TypeError("only a stored layer can be opened")
    kind = layer.blob.descriptor.media_type
    with open(layer.blob.origin.path, "rb") as file:
        if kind == TAR_GZIP:
            yield cast("BinaryIO", gzip.GzipFile(fileobj=file))
        elif kind == TAR_ZSTD:
            import zstandard  # noqa: PLC0415  who made the layer has it

            reader = zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True)
            yield cast("BinaryIO", reader)
        else:
            yield file
