"""Weight files: measured in one read, laid out the same way, never trusted when changed."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from images import nothing

from modelpack import spec
from modelpack.errors import InputError, Unavailable
from modelpack.inputs import weights
from modelpack.inputs.file_digests import FileDigest, FileDigests
from modelpack.inputs.weights import Files, bundle_layer, find, layer_of, measure, weights_digest
from modelpack.lock import CHUNK, WeightFile
from modelpack.oci.content import blocks
from modelpack.oci.layer import Layer
from modelpack.oci.layout import Layout
from modelpack.oci.tar_index import members

DESTINATION = "/models/tiny"


@pytest.fixture(autouse=True)
def small_own_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a file of 1 MB be large, so that tests are fast."""
    monkeypatch.setattr(weights, "OWN_LAYER", 1_000_000)


@pytest.fixture
def digests(tmp_path: Path) -> FileDigests:
    return FileDigests(tmp_path / "cache")


@pytest.fixture
def layout(tmp_path: Path) -> Iterator[Layout]:
    with Layout(tmp_path / "layout") as layout:
        yield layout


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project" / "weights"
    folder.mkdir(parents=True)
    (folder / "big.safetensors").write_bytes(os.urandom(1 << 10) * 2000 + b"end")
    (folder / "config.json").write_bytes(b"{}")
    (folder / "sub").mkdir()
    (folder / "sub" / "empty.txt").write_bytes(b"")
    for path in folder.rglob("*"):
        os.utime(path, (1, 1))
    return folder.parent


def found(project: Path) -> Files:
    return find(project, spec.Weights(name="tiny", path="weights"))


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def bytes_of(layer: Layer) -> bytes:
    return b"".join(blocks(layer.blob.origin.pieces, 1 << 20))  # type: ignore[union-attr]


def test_files_are_found_below_their_folder(project: Path) -> None:
    files = found(project)
    assert [file.path for file in files.files] == [
        "big.safetensors",
        "config.json",
        "sub/empty.txt",
    ]
    assert not files.findings


def test_links_of_a_hub_cache_are_resolved(project: Path) -> None:
    real = project / "blob"
    (project / "weights" / "config.json").rename(real)
    (project / "weights" / "config.json").symlink_to(real)
    file = found(project).files[1]
    assert (file.path, file.source) == ("config.json", real.resolve())


def test_a_folder_without_weights_is_a_finding(project: Path) -> None:
    files = find(project, spec.Weights(path="weights", include=("*.gguf",)))
    assert "`*.gguf`" in files.findings[0].message


@pytest.mark.parametrize("into", [True, False])
def test_one_read_gives_file_chunks_and_layer(
    project: Path, digests: FileDigests, layout: Layout, into: bool
) -> None:
    big, config, empty = (
        measure(
            file,
            destination=DESTINATION,
            digests=digests,
            into=layout if into else None,
            advance=nothing,
        )
        for file in found(project).files
    )
    data = (project / "weights" / "big.safetensors").read_bytes()
    assert (big.size, big.sha256, big.chunks) == (len(data), sha256(data), (sha256(data),))
    assert config.layer is None
    assert empty.chunks == (sha256(b""),)
    layer = layer_of(DESTINATION, big, project / "weights" / "big.safetensors")
    packed = bytes_of(layer)
    assert big.layer == layer.diff_id == "sha256:" + sha256(packed)
    assert len(packed) == layer.blob.size
    assert layout.has(layer.blob.descriptor) is into
    with (project / "packed").open("w+b") as stream:
        stream.write(packed)
        (member,) = members(stream, at="packed").items()
    assert member[0] == "models/tiny/big.safetensors"
    assert member[1].offset == 4096
    assert packed[4096 : 4096 + len(data)] == data


def test_a_layer_is_the_same_whoever_writes_it(
    project: Path, digests: FileDigests, layout: Layout
) -> None:
    file = found(project).files[0]
    big = measure(file, destination=DESTINATION, digests=digests, into=None, advance=nothing)
    layer = layer_of(DESTINATION, big, file.source)
    assert layout.write(layer.blob, nothing)


def test_chunks_are_those_of_64_mib(
    project: Path, digests: FileDigests, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "CHUNK", 1 << 20)
    file = found(project).files[0]
    data = file.source.read_bytes()
    big = measure(file, destination=DESTINATION, digests=digests, into=None, advance=nothing)
    assert big.chunks == (sha256(data[: 1 << 20]), sha256(data[1 << 20 :]))
    assert CHUNK == 64 << 20


def test_an_unchanged_file_is_not_read_again(
    project: Path, digests: FileDigests, layout: Layout
) -> None:
    file = found(project).files[0]
    real = measure(file, destination=DESTINATION, digests=digests, into=None, advance=nothing)
    told = FileDigest(
        sha256="0" * 64, chunks=("1" * 64,), layers={f"1:{DESTINATION}/big.safetensors": real.layer}
    )  # type: ignore[dict-item]
    digests.record(file.status, told, ours=True)
    again = measure(file, destination=DESTINATION, digests=digests, into=None, advance=nothing)
    assert again.sha256 == "0" * 64
    other = measure(file, destination="/models/x", digests=digests, into=None, advance=nothing)
    assert other.sha256 == real.sha256
    assert other.layer != real.layer
    digests.record(file.status, told, ours=True)
    written = measure(file, destination=DESTINATION, digests=digests, into=layout, advance=nothing)
    assert written == real


def test_a_file_that_changed_since_it_was_found_is_refused(
    project: Path, digests: FileDigests, layout: Layout
) -> None:
    files = found(project).files
    for file in files[:2]:
        data = file.source.read_bytes()
        file.source.write_bytes(data[::-1])
        with pytest.raises(InputError, match="changed"):
            measure(file, destination=DESTINATION, digests=digests, into=layout, advance=nothing)


def test_a_missing_file_is_known_by_digest_only(
    project: Path, digests: FileDigests, layout: Layout
) -> None:
    file = found(project).files[0]
    big = measure(file, destination=DESTINATION, digests=digests, into=None, advance=nothing)
    layer = layer_of(DESTINATION, big, None)
    assert layer.blob.size == layer_of(DESTINATION, big, file.source).blob.size
    with pytest.raises(Unavailable):
        layout.write(layer.blob, nothing)


def test_small_files_share_a_layer(project: Path, digests: FileDigests, layout: Layout) -> None:
    small = found(project).files[1:]
    measured = [
        measure(file, destination=DESTINATION, digests=digests, into=None, advance=nothing)
        for file in small
    ]
    sources = {file.path: file.source for file in small}
    layer = bundle_layer(DESTINATION, measured, sources, digests=digests)
    assert layer.diff_id == "sha256:" + sha256(bytes_of(layer))
    assert layout.write(layer.blob, nothing)
    with layout.open_blob(layer.blob.descriptor) as stream:
        assert set(members(stream, at="x")) == {
            "models/tiny/config.json",
            "models/tiny/sub/empty.txt",
        }


def test_a_small_file_that_changed_is_refused(project: Path, digests: FileDigests) -> None:
    small = found(project).files[1:]
    measured = [
        measure(file, destination=DESTINATION, digests=digests, into=None, advance=nothing)
        for file in small
    ]
    small[0].source.write_bytes(b"[]")
    with pytest.raises(InputError, match=r"config\.json"):
        bundle_layer(DESTINATION, measured, {f.path: f.source for f in small}, digests=digests)


def test_a_remembered_bundle_is_not_read(project: Path, digests: FileDigests) -> None:
    file = WeightFile(path="a", size=3, sha256="0" * 64, chunks=("0" * 64,), layer=None)
    gone = {"a": project / "gone"}
    with pytest.raises(Unavailable):
        bundle_layer(DESTINATION, [file], gone, digests=digests)
    (project / "gone").write_bytes(b"abc")
    real = WeightFile(path="a", size=3, sha256=sha256(b"abc"), chunks=(sha256(b"abc"),), layer=None)
    first = bundle_layer(DESTINATION, [real], gone, digests=digests)
    (project / "gone").unlink()
    assert bundle_layer(DESTINATION, [real], gone, digests=digests).diff_id == first.diff_id


def test_the_digest_of_weights_does_not_depend_on_the_order() -> None:
    one = WeightFile(path="a", size=1, sha256="0" * 64, chunks=(), layer=None)
    two = WeightFile(path="b", size=2, sha256="1" * 64, chunks=(), layer=None)
    assert weights_digest([one, two]) == weights_digest([two, one])
    assert weights_digest([one]) != weights_digest([two])


def test_a_young_file_is_not_remembered(tmp_path: Path, digests: FileDigests) -> None:
    path = tmp_path / "young"
    path.write_bytes(b"x")
    digests.record(path.stat(), FileDigest(sha256="0" * 64))
    assert digests.get(path.stat()) is None
    digests.record(path.stat(), FileDigest(sha256="0" * 64), ours=True)
    assert digests.get(path.stat()) == FileDigest(sha256="0" * 64)


def test_what_is_known_of_a_file_adds_up(tmp_path: Path, digests: FileDigests) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x")
    one = FileDigest(sha256="0" * 64, chunks=("0" * 64,))
    two = FileDigest(sha256="0" * 64, layers={"x": weights_digest(())})
    digests.record(path.stat(), one, ours=True)
    digests.record(path.stat(), two, ours=True)
    assert digests.get(path.stat()) == FileDigest(
        sha256="0" * 64, chunks=("0" * 64,), layers={"x": weights_digest(())}
    )


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        b'{"identity":[1]}',
        b"[" * 100_000,
        b'{"derived":1}',
    ],
)
def test_a_damaged_entry_is_as_good_as_none(
    tmp_path: Path, digests: FileDigests, damage: bytes
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x")
    digests.keep(str(path), weights_digest(()))
    digests.record_derived(weights_digest(()), weights_digest(()))
    assert digests.digest_at(str(path)) == weights_digest(())
    for entry in (tmp_path / "cache").iterdir():
        entry.write_bytes(damage)
    assert digests.digest_at(str(path)) is None
    assert digests.derived(weights_digest(())) is None


def test_an_entry_with_wrong_types_is_as_good_as_none(tmp_path: Path) -> None:
    digests = FileDigests(tmp_path / "cache")
    path = tmp_path / "file"
    path.write_bytes(b"x")
    digests.keep(str(path), weights_digest(()))
    (entry,) = (tmp_path / "cache").iterdir()
    good = entry.read_bytes()
    for old, new in (
        (b'"chunks":[]', b'"chunks":[1]'),
        (b'"chunks":[]', b'"chunks":7'),
        (b'"layers":{}', b'"layers":{"x":"y"}'),
        (b'"layers":{}', b'"layers":[]'),
    ):
        assert old in good
        entry.write_bytes(good.replace(old, new))
        assert digests.digest_at(str(path)) is None


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "cache").write_bytes(b"a file")
    digests = FileDigests(tmp_path / "cache")
    digests.keep(str(tmp_path / "cache"), weights_digest(()))
    assert digests.digest_at(str(tmp_path / "cache")) is None
