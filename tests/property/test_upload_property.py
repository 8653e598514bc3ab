"""However often and wherever an upload is cut, what arrives is what was sent; each byte is told."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

from fakes.upload_server import running_uploads
from hypothesis import example, given, settings
from hypothesis import strategies as st

from modelpack import reference
from modelpack.errors import Unavailable
from modelpack.oci.blobs import part_of
from modelpack.oci.content import blocks
from modelpack.oci.layer import Blob, Pieces, blob_of
from modelpack.oci.registry import known
from modelpack.oci.registry.settings import Settings
from modelpack.oci.registry.writing import WritableRepository
from modelpack.oci.tar import Content, FileRange
from modelpack.web.client import Client

CHUNK = 512 << 10
DATA = bytes(range(256)) * (6 << 10) + b"end"
PLAIN = blob_of(DATA, "text/plain")


def in_pieces(folder: Path, at: Sequence[int]) -> Blob:
    """Return the content as bytes and ranges of a file, in turn."""
    path = folder / "shard"
    path.write_bytes(b"head" + DATA)
    edges = sorted({0, *at, len(DATA)})
    pieces: list[Content] = [
        DATA[a:b] if i % 2 else FileRange(path=str(path), offset=4 + a, size=b - a)
        for i, (a, b) in enumerate(pairwise(edges))
    ]
    return Blob(descriptor=PLAIN.descriptor, origin=Pieces(tuple(pieces)))


@settings(max_examples=25)
@example(cuts=[1], forgets=False, at=[], persists=True)  # `0-0`: one byte, or none?
@given(
    cuts=st.lists(st.integers(1, CHUNK - 1), max_size=5), forgets=st.booleans(),
    at=st.lists(st.integers(0, len(DATA)), max_size=4), persists=st.booleans(),
)  # fmt: skip
def test_cut_anywhere(cuts: list[int], forgets: bool, at: list[int], persists: bool) -> None:
    told: list[int] = []
    with (
        patch.object(known, "CHUNK", CHUNK), TemporaryDirectory() as name,
        running_uploads() as server,
    ):  # fmt: skip
        server.keep, server.forgets = list(cuts), forgets
        blob = in_pieces(Path(name), at)
        for _ in range(len(cuts) + 1):
            told.clear()
            store = WritableRepository(
                reference.registry(f"{server.address}/a"), Settings(),
                uploads=Path(name) / "uploads" if persists else None,
                client=Client({}, pause=lambda _: None, timeout=5),
            )  # fmt: skip
            try:
                store.write(blob, told.append)
            except Unavailable:
                continue
            break
        assert list(server.blobs["a"].values()) == [DATA]
        assert sum(told) == len(DATA)
        assert not persists or not list((Path(name) / "uploads").iterdir())


@given(
    at=st.lists(st.integers(0, len(DATA)), max_size=4), start=st.integers(0, len(DATA)),
    length=st.integers(0, len(DATA)),
)  # fmt: skip
def test_a_part_of_pieces_is_that_part(at: list[int], start: int, length: int) -> None:
    with TemporaryDirectory() as name:
        blob = in_pieces(Path(name), at)
        assert isinstance(blob.origin, Pieces)
        part = part_of(blob.origin.pieces, start, length)
        assert b"".join(blocks(part, 1 << 20)) == DATA[start : start + length]


@given(size=st.integers(0, 1 << 45), least=st.integers(0, 1 << 30), most=st.integers(0, 1 << 30))
def test_chunks_suit_the_registry(size: int, least: int, most: int) -> None:
    chunk = known.Traits().chunk(size, least=least, most=most)
    assert chunk >= max(least, 1)
    if not most:
        assert chunk * 10_000 >= size
    elif most > least:
        assert chunk <= most
    assert known.Traits(in_one_request=True).chunk(size) >= size
