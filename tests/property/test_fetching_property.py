"""However a download is cut, and whatever the server can: the bytes are those of the file."""

import hashlib
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelpack.errors import Refused, Unavailable
from modelpack.fetching import ranges
from modelpack.web.client import Client
from tests.file_server import FileServer, serving

DATA = hashlib.shake_256(b"weights").digest(20_000)
PATH = "/model.safetensors"


class Growing:
    """A file in memory that has the beginning of a content."""

    def __init__(self, data: bytes) -> None:
        self.data = bytearray(data)

    @property
    def size(self) -> int:
        return len(self.data)

    def write(self, data: bytes) -> None:
        self.data += data

    def restart(self) -> None:
        self.data.clear()


@pytest.fixture(scope="module")
def server() -> Iterator[FileServer]:
    with serving(FileServer(files={PATH: DATA})) as running:
        yield running


@settings(max_examples=60, deadline=None)
@given(
    begun=st.integers(0, len(DATA)),
    cuts=st.lists(st.integers(1, len(DATA)), max_size=4),
    has_ranges=st.booleans(),
    has_etags=st.booleans(),
    lasting=st.booleans(),
)
def test_the_whole_is_the_file_and_progress_adds_up(
    server, begun, cuts, has_ranges, has_etags, lasting
):
    server.cuts[PATH], server.ranges, server.etags = list(cuts), has_ranges, has_etags
    server.asked.clear()
    etag = f'"{hashlib.sha256(DATA).hexdigest()[:16]}"' if has_etags else ""
    request = ranges.Request(
        url=f"{server.url}{PATH}", size=len(DATA), at="x", condition=etag, lasting=lasting
    )
    into, told = Growing(DATA[:begun]), list[int]()
    client = Client({}, pause=lambda _: None)
    try:
        ranges.fill(client, request, into, told.append)
    except Unavailable:  # without ranges many cuts may bring nothing more
        assert cuts
        assert not (has_ranges and (has_etags or lasting))
        return
    finally:
        server.cuts[PATH] = []
    assert bytes(into.data) == DATA
    assert sum(told) == len(DATA)


@settings(max_examples=20, deadline=None)
@given(begun=st.integers(1, len(DATA) - 1), other=st.integers(1, 2 * len(DATA)))
def test_the_rest_of_another_content_is_never_added(server, begun, other):
    server.cuts[PATH], server.ranges, server.etags = [], True, True
    server.files["/other"] = bytes(other)
    request = ranges.Request(
        url=f"{server.url}/other", size=len(DATA), at="x", condition='"of the locked one"'
    )
    into = Growing(DATA[:begun])
    try:
        ranges.fill(Client({}, pause=lambda _: None), request, into, lambda _: None)
    except Refused:
        assert other != len(DATA)
    else:
        assert bytes(into.data) == bytes(other)
