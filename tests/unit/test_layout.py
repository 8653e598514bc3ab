"""A layout on disk: what is left of it when things go wrong, and what it refuses."""

import fcntl
import json
import os
import threading
from pathlib import Path

import pytest
from images import image, lying, nothing, put

from modelpack import canonical_json
from modelpack.digest import hex_of
from modelpack.errors import InputError, Unavailable
from modelpack.inputs.file_digests import FileDigests
from modelpack.oci import file_writing
from modelpack.oci.hashing import Sha256
from modelpack.oci.layer import Descriptor, blob_of
from modelpack.oci.layout import Layout
from modelpack.oci.store import Root
from modelpack.oci.tar import FileRange


def files_of(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def built(root: Path, *texts: str) -> Descriptor:
    with Layout(root) as layout:
        return put(layout, image(*texts), "1")


def fail(root: Path) -> None:
    """Write a good blob and then one that is refused."""
    with Layout(root) as layout:
        layout.write(blob_of(b"good", ""), nothing)
        layout.write(lying(blob_of(b"good!", ""), b"evil!"), nothing)


class Listener:
    """Keeps what was said."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.heard = threading.Event()

    def say(self, message: str) -> None:
        self.said.append(message)
        self.heard.set()

    def task(self, label: str, total: int) -> None:
        raise NotImplementedError


def test_the_files_are_those_of_the_specification(tmp_path: Path) -> None:
    descriptor = built(tmp_path / "out", "a")
    names = set(files_of(tmp_path / "out"))
    assert {"oci-layout", "index.json", f"blobs/sha256/{hex_of(descriptor.digest)}"} <= names
    assert len(names) == 2 + 3
    index = json.loads((tmp_path / "out" / "index.json").read_bytes())
    assert index["manifests"][0]["annotations"] == {"org.opencontainers.image.ref.name": "1"}


def test_the_same_image_gives_the_same_files(tmp_path: Path) -> None:
    built(tmp_path / "one", "a", "b")
    built(tmp_path / "two", "a", "b")
    assert files_of(tmp_path / "one") == files_of(tmp_path / "two")


def test_every_blob_has_the_digest_of_its_name(tmp_path: Path) -> None:
    built(tmp_path, "a", "b", "c")
    for path in (tmp_path / "blobs" / "sha256").iterdir():
        assert hex_of(blob_of(path.read_bytes(), "").digest) == path.name


def test_an_error_leaves_nothing_where_nothing_was(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        fail(tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_error_leaves_the_old_image_as_it_was(tmp_path: Path) -> None:
    built(tmp_path / "out", "a")
    before = files_of(tmp_path / "out")
    with pytest.raises(InputError):
        fail(tmp_path / "out")
    assert files_of(tmp_path / "out") == before
    assert not (tmp_path / "out" / "ingest").exists()


def test_what_a_killed_build_left_is_cleared(tmp_path: Path) -> None:
    root = tmp_path / "out"
    (root / "ingest").mkdir(parents=True)
    (root / "ingest" / "0").write_bytes(b"half")
    (root / "blobs" / "sha256").mkdir(parents=True)
    (root / "blobs" / "sha256" / ("0" * 64)).write_bytes(b"orphan")
    built(root, "a")
    built(tmp_path / "fresh", "a")
    assert files_of(root) == files_of(tmp_path / "fresh")


def test_a_folder_with_other_things_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").write_bytes(b"photo")
    with pytest.raises(InputError, match="not an OCI layout"):
        built(tmp_path, "a")
    assert files_of(tmp_path) == {"holiday.jpg": b"photo"}


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(b"")
    with pytest.raises((InputError, Unavailable)):
        built(tmp_path / "out", "a")


def test_a_link_in_place_of_the_blobs_is_refused(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / ("0" * 64)).write_bytes(b"precious")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "blobs").symlink_to(elsewhere)
    with pytest.raises(InputError, match="not a folder"):
        built(tmp_path / "out", "a")
    assert (elsewhere / ("0" * 64)).read_bytes() == b"precious"


def test_a_damaged_blob_is_replaced_by_the_next_build(tmp_path: Path) -> None:
    built(tmp_path, "a")
    before = files_of(tmp_path)
    path = tmp_path / "blobs" / "sha256" / hex_of(image("a").layers[0].blob.digest)
    path.write_bytes(bytes(path.stat().st_size))
    built(tmp_path, "a")
    assert files_of(tmp_path) == before


def test_a_damaged_blob_is_not_read(tmp_path: Path) -> None:
    descriptor = built(tmp_path, "a")
    path = tmp_path / "blobs" / "sha256" / hex_of(descriptor.digest)
    path.write_bytes(path.read_bytes().replace(b"2", b"3", 1))
    with pytest.raises(InputError, match="damaged"):
        Layout(tmp_path).image(descriptor.digest)
    path.write_bytes(b"short")
    with pytest.raises(InputError, match="another size"):
        Layout(tmp_path).read(descriptor)


def test_a_pipe_in_place_of_a_blob_is_refused_and_never_waited_for(tmp_path: Path) -> None:
    descriptor = built(tmp_path, "a")
    path = tmp_path / "blobs" / "sha256" / hex_of(descriptor.digest)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(InputError, match="not a regular file"):
        Layout(tmp_path).read(descriptor.digest)


def test_a_huge_blob_is_not_read_into_memory(tmp_path: Path) -> None:
    descriptor = built(tmp_path, "a")
    path = tmp_path / "blobs" / "sha256" / hex_of(descriptor.digest)
    os.truncate(path, 1 << 40)
    with pytest.raises(InputError, match="larger than"):
        Layout(tmp_path).read(descriptor.digest)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"schemaVersion":2}',
        b'{"manifests":1,"schemaVersion":2}',
        b'{"schemaVersion":2,"manifests":[{"digest":"x","size":1,"mediaType":"y"}]}',
        b'{"schemaVersion":2,"manifests":[],"manifests":[]}',
        b"[" * 100_000,
        b"\xff",
        b'{"schemaVersion":NaN,"manifests":[]}',
        b" " * (5 << 20),
    ],
)
def test_a_damaged_index_is_refused(tmp_path: Path, data: bytes) -> None:
    built(tmp_path, "a")
    (tmp_path / "index.json").write_bytes(data)
    with pytest.raises(InputError):
        Layout(tmp_path).manifests()


def test_a_folder_that_is_no_layout_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        Layout(tmp_path).resolve("")
    (tmp_path / "oci-layout").write_bytes(b'{"imageLayoutVersion":"7"}')
    with pytest.raises(InputError):
        Layout(tmp_path).resolve("")


def test_control_characters_of_a_layout_are_not_printed(tmp_path: Path) -> None:
    built(tmp_path, "a")
    (tmp_path / "index.json").write_bytes(
        canonical_json.dumps(
            {
                "schemaVersion": 2,
                "manifests": [{"digest": "sha256:\x1b[2J", "size": 1, "mediaType": "x"}],
            }
        )
    )
    with pytest.raises(InputError) as caught:
        Layout(tmp_path).manifests()
    assert "\x1b" not in str(caught.value)


def test_a_second_build_waits_and_says_so(tmp_path: Path) -> None:
    listener = Listener()
    root = tmp_path / "out"
    with Layout(root) as layout:
        put(layout, image("first"), "1")

        def second() -> None:
            with Layout(root, progress=listener) as other:  # type: ignore[arg-type]
                put(other, image("second"), "2")

        thread = threading.Thread(target=second)
        thread.start()
        assert listener.heard.wait(30)
        put(layout, image("third"), "3")
    thread.join(30)
    assert "waiting for another build" in listener.said[0]
    assert {
        entry.annotations["org.opencontainers.image.ref.name"] for entry in Layout(root).manifests()
    } == {"1", "2", "3"}


def test_a_second_build_waits_for_a_folder_that_the_first_one_removes(tmp_path: Path) -> None:
    listener = Listener()
    root = tmp_path / "out"

    def second() -> None:
        with Layout(root, progress=listener) as other:  # type: ignore[arg-type]
            put(other, image("second"), "2")

    thread = threading.Thread(target=second)
    with Layout(root):
        thread.start()
        assert listener.heard.wait(30)
    thread.join(30)
    assert Layout(root).resolve("2").digest == image("second").digest


def test_reading_works_while_another_commits_and_nothing_disappears(tmp_path: Path) -> None:
    old = built(tmp_path, "old")
    reader = Layout(tmp_path)
    with reader.reading():
        seen = reader.resolve("1")
        built(tmp_path, "new")
        assert reader.image(seen.digest).config is not None
    built(tmp_path, "new")
    with pytest.raises(InputError):
        reader.read(old)


def test_writing_needs_the_lock(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError):
        Layout(tmp_path).write(blob_of(b"x", ""), nothing)


def test_the_lock_is_free_after_an_error(tmp_path: Path) -> None:
    built(tmp_path, "a")
    with pytest.raises(InputError), Layout(tmp_path):
        raise InputError("stop")
    lock = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(lock)


def test_a_known_blob_is_not_read_again(tmp_path: Path) -> None:
    known = FileDigests(tmp_path / "cache")
    with Layout(tmp_path / "out", known=known) as layout:
        put(layout, image("a"), "1")
    blob = image("a").layers[0].blob
    path = Layout(tmp_path / "out").path_of(blob.digest)
    status = path.stat()
    assert known.digest_at(str(path)) == blob.digest
    assert Layout(tmp_path / "out", known=known).has(blob.descriptor)
    path.write_bytes(bytes(status.st_size))
    assert not Layout(tmp_path / "out", known=known).has(blob.descriptor)


def test_several_blobs_are_written_at_once_and_one_error_stops_them(tmp_path: Path) -> None:
    blobs = [blob_of(bytes([n]) * 100, "") for n in range(20)]
    with Layout(tmp_path / "out") as layout:
        layout.write_all(blobs, nothing)
        assert all(layout.has(blob.descriptor) for blob in blobs)
    with pytest.raises(InputError, match="not what was recorded"), Layout(tmp_path / "bad") as bad:
        bad.write_all([*blobs, lying(blob_of(b"x", ""), b"y")], nothing)


def test_content_of_unknown_digest_is_kept_under_what_it_has(tmp_path: Path) -> None:
    seen = Sha256()
    with Layout(tmp_path / "out") as layout:
        digest, size = layout.ingest((b"ab", b"c"), nothing, sinks=[seen])
        assert (digest, size) == (blob_of(b"abc", "").digest, 3)
        assert seen.digest == digest
        assert layout.has(blob_of(b"abc", "").descriptor)


def test_a_source_that_grew_shorter_is_named(tmp_path: Path) -> None:
    path = tmp_path / "shard"
    path.write_bytes(b"0123456789")
    blob = lying(blob_of(b"0123456789x", ""), FileRange(path=str(path), size=11))
    with pytest.raises(InputError, match="shard"), Layout(tmp_path / "out") as layout:
        layout.write(blob, nothing)


@pytest.mark.parametrize("fails_at", range(12))
def test_a_full_disk_at_any_write_leaves_the_old_image(
    tmp_path: Path, fails_at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    built(tmp_path / "out", "old")
    before = files_of(tmp_path / "out")
    real, calls = os.pwrite, iter(range(1000))

    def pwrite(file: int, data: bytes, position: int) -> int:
        if next(calls) >= fails_at:
            raise OSError(28, "No space left on device")
        return real(file, data, position)

    monkeypatch.setattr(file_writing.os, "pwrite", pwrite)
    new = image("new", "other", "third")
    try:
        with Layout(tmp_path / "out") as layout:
            for blob in new.blobs:
                layout.write(blob, nothing)
            layout.commit([Root(manifest=new.manifest_blob, tags=("1",))])
    except Unavailable as error:
        assert "No space left" in str(error)  # noqa: PT017
        assert files_of(tmp_path / "out") == before
    else:
        assert fails_at > 5
    monkeypatch.undo()
    assert built(tmp_path / "out", "new", "other", "third").digest == new.digest
