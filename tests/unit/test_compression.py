"""Compressed layers: readable by all, the same bytes every time, refused when they cannot be."""

import gzip
import hashlib
import io
import zlib
from dataclasses import replace

import pytest

from modelpack.errors import Unavailable
from modelpack.lock import Compressor
from modelpack.oci.compression import Compressed, compress, current, require

GZIP = current("gzip")
MEMBER = 1 << 16
DATA = b"".join(b"line %d of a file that can be compressed\n" % n for n in range(20_000))


def pack(compressor: Compressor, data: bytes, threads: int = 2) -> tuple[bytes, Compressed]:
    out = io.BytesIO()
    return_value = compress([data], compressor, out, threads=threads)
    return out.getvalue(), return_value


def members(data: bytes) -> list[bytes]:
    """Return what each gzip member holds."""
    found = []
    while data:
        reader = zlib.decompressobj(wbits=31)
        found.append(reader.decompress(data))
        assert reader.eof
        data = reader.unused_data
    return found


def test_gzip_is_a_row_of_members_of_fixed_size() -> None:
    packed, _ = pack(replace(GZIP, member=MEMBER), DATA)
    assert gzip.decompress(packed) == DATA
    sizes = [len(member) for member in members(packed)]
    assert sizes[:-1] == [MEMBER] * (len(DATA) // MEMBER)
    assert sizes[-1] == len(DATA) % MEMBER


def test_the_header_names_no_time_no_file_and_no_system() -> None:
    packed, _ = pack(GZIP, DATA)
    assert packed[:4] == b"\x1f\x8b\x08\x00"
    assert packed[4:8] == bytes(4)
    assert packed[9] == 255


def test_the_digests_are_those_of_the_bytes() -> None:
    packed, told = pack(GZIP, DATA)
    assert told == Compressed(
        digest=told.digest, size=len(packed), diff_id=told.diff_id, uncompressed_size=len(DATA)
    )
    assert told.digest == "sha256:" + hashlib.sha256(packed).hexdigest()
    assert told.diff_id == "sha256:" + hashlib.sha256(DATA).hexdigest()


@pytest.mark.parametrize("threads", [1, 2, 3, 8, 100])
def test_the_bytes_do_not_depend_on_the_threads(threads: int) -> None:
    compressor = replace(GZIP, member=MEMBER)
    assert pack(compressor, DATA, threads)[0] == pack(compressor, DATA, 1)[0]


def test_nothing_gives_one_empty_member() -> None:
    packed, told = pack(GZIP, b"")
    assert gzip.decompress(packed) == b""
    assert packed
    assert told.uncompressed_size == 0


def test_zstd_frames_have_size_and_checksum() -> None:
    zstandard = pytest.importorskip("zstandard")
    compressor = replace(current("zstd"), member=MEMBER)
    packed, told = pack(compressor, DATA)
    reader = zstandard.ZstdDecompressor().stream_reader(packed, read_across_frames=True)
    assert reader.read() == DATA
    parameters = zstandard.get_frame_parameters(packed)
    assert parameters.content_size == MEMBER
    assert parameters.has_checksum
    assert told.diff_id == "sha256:" + hashlib.sha256(DATA).hexdigest()
    assert packed == pack(compressor, DATA, 1)[0]


def test_another_version_than_the_locked_one_is_refused_with_the_command() -> None:
    with pytest.raises(Unavailable) as caught:
        require(replace(GZIP, version="0.0.1"))
    assert "deflate==0.0.1" in caught.value.findings[0].hint
    with pytest.raises(Unavailable):
        pack(replace(GZIP, version="0.0.1"), DATA)


def test_a_package_that_the_lock_merely_names_is_never_imported() -> None:
    with pytest.raises(Unavailable, match="not known"):
        require(replace(GZIP, package="antigravity"))
