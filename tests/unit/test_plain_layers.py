"""A stored layer as the tar that it is uncompressed."""

import gzip
from dataclasses import replace
from pathlib import Path

import pytest

from modelpack.digest import of
from modelpack.errors import InputError
from modelpack.inputs.file_digests import FileDigests
from modelpack.lock import Compressor
from modelpack.oci.compression import current
from modelpack.oci.layer import TAR, Layer, StoredFile, blob_of
from modelpack.oci.layer_cache import LayerCache
from modelpack.oci.plain_layers import write_plain
from modelpack.oci.tar import Entry, pieces

ENTRIES = (Entry(path="a", content=b"x" * 300_000), Entry(path="b", content=b"y"))
PLAIN = b"".join(piece for piece in pieces(ENTRIES) if isinstance(piece, bytes))


def compressor(name: str) -> Compressor:
    if name == "zstd":
        pytest.importorskip("zstandard")
        return replace(current("zstd"), member=1 << 16)
    return replace(current("gzip"), member=1 << 16)


@pytest.mark.parametrize("name", ["gzip", "zstd"])
def test_what_was_compressed_in_members_comes_out_whole(name: str, tmp_path: Path) -> None:
    layers = LayerCache(tmp_path / "cache", known=FileDigests(tmp_path / "digests"))
    made = layers.make(of(b"step"), ENTRIES, compressor(name), created_by="x", threads=2)

    write_plain(made, tmp_path / "layer.tar")

    assert (tmp_path / "layer.tar").read_bytes() == PLAIN
    assert (tmp_path / "layer.tar").stat().st_mode & 0o777 == 0o644


def stored(path: Path, content: bytes, media_type: str) -> Layer:
    path.write_bytes(content)
    blob = replace(blob_of(content, media_type), origin=StoredFile(str(path)))
    return Layer(blob=blob, diff_id=of(PLAIN), created_by="modelpack base")


def test_layer_that_is_not_compressed_is_copied(tmp_path: Path) -> None:
    write_plain(stored(tmp_path / "blob", PLAIN, TAR), tmp_path / "layer.tar")

    assert (tmp_path / "layer.tar").read_bytes() == PLAIN


def test_another_content_than_the_layers_is_refused(tmp_path: Path) -> None:
    layer = stored(tmp_path / "blob", gzip.compress(b"other"), TAR + "+gzip")

    with pytest.raises(InputError, match="not what was made"):
        write_plain(layer, tmp_path / "layer.tar")


@pytest.mark.parametrize(
    "content", [b"no gzip", gzip.compress(PLAIN)[:-9], b"\x1f\x8b\x08" + b"\xff" * 99]
)
def test_damaged_layer_is_refused(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="damaged"):
        write_plain(stored(tmp_path / "blob", content, TAR + "+gzip"), tmp_path / "layer.tar")
