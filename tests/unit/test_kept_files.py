"""Fetched files in the cache: named when they are proved, gone on with, shared by processes."""

import hashlib
import os
import threading
from pathlib import Path

import pytest

from modelpack.digest import of as digest_of
from modelpack.errors import Refused, Unavailable
from modelpack.fetching.kept import KeptFiles
from modelpack.inputs.file_digests import FileDigests
from modelpack.oci.layer import Partial
from modelpack.progress import SILENT

DATA = bytes(range(256)) * 100
NAME = hashlib.sha256(DATA).hexdigest()
KEY = digest_of(b"a key")


def kept(root: Path) -> KeptFiles:
    return KeptFiles(root, digests=FileDigests(root / "digests"))


def filling(data: bytes, *, until: int | None = None):
    """Return what writes the rest of `data`, or fails when `until` bytes are there."""

    def fill(into: Partial) -> None:
        stop = len(data) if until is None else until
        into.write(data[into.size : stop])
        if until is not None:
            raise Unavailable("cut")

    return fill


def take(files: KeptFiles, fill, *, expected: str = "", size: int = len(DATA), lasting=True) -> str:
    return files.take(
        KEY, size, fill, expected=expected, lasting=lasting, at="x", progress=SILENT
    )  # fmt: skip


def test_a_file_is_private_and_found_by_what_it_holds(tmp_path):
    files = kept(tmp_path)
    assert take(files, filling(DATA)) == NAME
    path = files.find(NAME, len(DATA))
    assert path == tmp_path / "weights" / "sha256" / NAME
    assert path.read_bytes() == DATA
    assert path.stat().st_mode & 0o777 == 0o600
    assert files.known(KEY, len(DATA)) == NAME
    assert files.find(NAME, len(DATA) + 1) is None


def test_what_was_cut_is_gone_on_with_by_another_process(tmp_path):
    with pytest.raises(Unavailable):
        take(kept(tmp_path), filling(DATA, until=1000))
    assert kept(tmp_path).begun(KEY) == 1000
    seen: list[int] = []

    def fill(into: Partial) -> None:
        seen.append(into.size)
        filling(DATA)(into)

    assert take(kept(tmp_path), fill, expected=NAME) == NAME
    assert seen == [1000]


def test_a_beginning_that_is_none_is_thrown_away(tmp_path):
    with pytest.raises(Unavailable):
        take(kept(tmp_path), filling(b"?" * len(DATA), until=1000))
    assert take(kept(tmp_path), filling(DATA), expected=NAME) == NAME


def test_other_bytes_than_expected_leave_nothing(tmp_path):
    with pytest.raises(Refused):
        take(kept(tmp_path), filling(DATA[::-1]), expected=NAME)
    assert list((tmp_path / "weights" / "sha256").iterdir()) == []


def test_a_length_that_is_wrong_leaves_nothing(tmp_path):
    with pytest.raises(Refused, match="25500 of 25600 bytes came"):
        take(kept(tmp_path), filling(DATA[:-100]))
    with pytest.raises(Refused):
        take(kept(tmp_path), filling(DATA + b"?"))
    assert not any(path.name == NAME for path in (tmp_path / "weights" / "sha256").iterdir())


def test_what_does_not_last_is_not_remembered(tmp_path):
    files = kept(tmp_path)
    take(files, filling(DATA), lasting=False)
    assert files.known(KEY, len(DATA)) is None
    other = DATA[::-1]
    assert take(files, filling(other), lasting=False) == hashlib.sha256(other).hexdigest()


def test_a_file_that_was_changed_is_removed(tmp_path):
    files = kept(tmp_path)
    take(files, filling(DATA))
    path = files.find(NAME, len(DATA))
    path.write_bytes(DATA[::-1])
    assert kept(tmp_path).find(NAME, len(DATA)) is None
    assert not path.exists()


def test_a_link_in_the_place_of_a_file_is_not_followed(tmp_path):
    files = kept(tmp_path)
    take(files, filling(DATA))
    path = files.find(NAME, len(DATA))
    elsewhere = tmp_path / "elsewhere"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)
    assert files.find(NAME, len(DATA)) is None
    assert elsewhere.read_bytes() == DATA


def test_two_that_want_one_file_fetch_it_once(tmp_path):
    calls: list[int] = []
    inside, go = threading.Event(), threading.Event()

    def slow(into: Partial) -> None:
        calls.append(1)
        inside.set()
        go.wait(60)
        filling(DATA)(into)

    def fast(into: Partial) -> None:
        calls.append(2)
        filling(DATA)(into)

    found: list[str] = []
    first = threading.Thread(target=lambda: found.append(take(kept(tmp_path), slow)))
    first.start()
    inside.wait(60)
    second = threading.Thread(target=lambda: found.append(take(kept(tmp_path), fast)))
    second.start()
    go.set()
    first.join(60)
    second.join(60)
    assert found == [NAME, NAME]
    assert calls == [1]
    assert os.listdir(tmp_path / "weights" / "sha256") == [NAME]
