"""Layers as stored, read as the tar inside: any compression, any damage, forwards only."""

import gzip
import io
import tarfile

import pytest

from modelpack.digest import of as digest_of
from modelpack.errors import InputError
from modelpack.oci import inflating
from modelpack.oci.inflating import LayerTar
from modelpack.oci.tar_reading import headers

PLAIN = bytes(range(256)) * 5000


def members(data: bytes, size: int) -> bytes:
    """Return `data` as gzip members of `size` bytes each, as our layers are."""
    return b"".join(gzip.compress(data[at : at + size]) for at in range(0, len(data), size))


@pytest.mark.parametrize("size", [1 << 30, 1 << 16, 999])
def test_gzip_of_any_number_of_members(size: int) -> None:
    assert LayerTar(io.BytesIO(members(PLAIN, size)), at="layer").read() == PLAIN


def test_zeros_after_a_member_are_padding() -> None:
    stored = gzip.compress(b"a") + bytes(100) + gzip.compress(b"b") + bytes(7)
    assert LayerTar(io.BytesIO(stored), at="layer").read() == b"ab"


def test_what_expands_a_lot_comes_in_small_chunks() -> None:
    stream = LayerTar(io.BytesIO(gzip.compress(bytes(50 << 20))), at="layer")
    assert stream.read(10) == bytes(10)
    assert len(stream.read()) == (50 << 20) - 10


def test_zstd_of_several_frames() -> None:
    zstandard = pytest.importorskip("zstandard")
    frames = zstandard.compress(PLAIN) + zstandard.compress(b"end")
    assert LayerTar(io.BytesIO(frames), at="layer").read() == PLAIN + b"end"


def test_a_plain_layer_is_read_as_it_is() -> None:
    assert LayerTar(io.BytesIO(PLAIN), at="layer").read() == PLAIN


def test_the_digest_is_that_of_the_whole_tar() -> None:
    stream = LayerTar(io.BytesIO(members(PLAIN, 10_000)), at="layer")
    stream.seek(5)
    assert stream.read(3) == PLAIN[5:8]
    assert stream.finish() == digest_of(PLAIN)


def test_moving_forwards_skips() -> None:
    stream = LayerTar(io.BytesIO(members(PLAIN, 1000)), at="layer")
    assert stream.seek(300_001) == 300_001
    assert stream.read(4) == PLAIN[300_001:300_005]
    with pytest.raises(ValueError, match="forwards only"):
        stream.seek(5)


@pytest.mark.parametrize(
    "stored",
    [
        gzip.compress(PLAIN)[:-9],
        gzip.compress(PLAIN)[:1000],
        b"\x1f\x8b" + bytes(50),
        gzip.compress(PLAIN)[:500] + b"\xff" * 500,
        gzip.compress(b"a") + b"garbage",
    ],
)
def test_damage_is_refused(stored: bytes) -> None:
    with pytest.raises(InputError, match=r"damaged|too early"):
        LayerTar(io.BytesIO(stored), at="layer").read()


def test_damaged_zstd_is_refused() -> None:
    pytest.importorskip("zstandard")
    with pytest.raises(InputError, match="damaged zstd"):
        LayerTar(io.BytesIO(b"\x28\xb5\x2f\xfd" + bytes(range(40))), at="layer").read()


def test_there_is_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inflating, "_LIMIT", 1000)
    with pytest.raises(InputError, match="more than 1000 bytes"):
        LayerTar(io.BytesIO(gzip.compress(PLAIN)), at="layer").read(2000)


def test_the_members_of_a_compressed_tar_are_found() -> None:
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w") as archive:
        for name, size in (("a", 3), ("large", 700_000), ("b", 0)):
            member = tarfile.TarInfo(name)
            member.size = size
            archive.addfile(member, io.BytesIO(bytes(size)))
    stored = io.BytesIO(members(whole.getvalue(), 4096))
    found = [(header.name, header.size) for header in headers(LayerTar(stored, at="x"), at="x")]
    assert found == [("a", 3), ("large", 700_000), ("b", 0)]
    cut = io.BytesIO(gzip.compress(whole.getvalue()[:2000]))
    with pytest.raises(InputError):
        list(headers(LayerTar(cut, at="x"), at="x"))
