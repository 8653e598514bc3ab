"""Archives: both forms in one file, the same bytes every time, whole or not at all."""

import io
import json
import os
import tarfile
from pathlib import Path

import pytest
from images import image, lying, nothing, vouching

from modelpack.digest import hex_of
from modelpack.errors import InputError
from modelpack.oci import archive
from modelpack.oci.archive_reading import Archive
from modelpack.oci.image import Image, Index


def written(
    path: Path,
    what: Image | Index,
    kind: archive.Kind = "docker-archive",
    names: tuple[str, ...] = ("acme/minilm:1.0",),
) -> Path:
    images = what.images if isinstance(what, Index) else (what,)
    blobs = [blob for one in images for blob in (*one.blobs, one.manifest_blob)]
    archive.write(path, what.manifest_blob, blobs, kind=kind, names=names, advance=nothing)
    return path


def docker_save(path: Path, *, link: bool = False) -> Image:
    """Write what `docker save` wrote before version 25."""
    one = image("a", "b")
    with tarfile.open(path, "w") as tar:

        def add(name: str, data: bytes) -> None:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))

        names = []
        for number, layer in enumerate(one.layers):
            names.append(f"{number}/layer.tar")
            data = b"".join(p for p in layer.blob.origin.pieces if isinstance(p, bytes))  # type: ignore[union-attr]
            add("real.tar" if link and number == 0 else names[-1], data)
        if link:
            info = tarfile.TarInfo("0/layer.tar")
            info.type, info.linkname = tarfile.SYMTYPE, "../real.tar"
            tar.addfile(info)
        add("config.json", one.config_blob.origin.pieces[0])  # type: ignore[union-attr, arg-type]
        add(
            "manifest.json",
            json.dumps(
                [
                    {"Config": "config.json", "RepoTags": ["acme/a:1"], "Layers": names},
                ]
            ).encode(),
        )
    return one


def test_an_archive_holds_both_forms(tmp_path: Path) -> None:
    one = image("a", "b")
    with tarfile.open(written(tmp_path / "image.tar", one)) as tar:
        names = tar.getnames()
        assert names[:3] == ["oci-layout", "index.json", "manifest.json"]
        (docker,) = json.loads(tar.extractfile("manifest.json").read())  # type: ignore[union-attr]
        (entry,) = json.loads(tar.extractfile("index.json").read())["manifests"]  # type: ignore[union-attr]
        assert docker["RepoTags"] == ["acme/minilm:1.0"]
        assert docker["Config"] == f"blobs/sha256/{hex_of(one.config_blob.digest)}"
        assert [
            hex_of(layer.blob.digest) in name
            for layer, name in zip(one.layers, docker["Layers"], strict=True)
        ] == [True, True]
        assert {docker["Config"], *docker["Layers"]} <= set(names)
        assert entry["digest"] == one.digest
        assert entry["annotations"] == {
            "org.opencontainers.image.ref.name": "1.0",
            "io.containerd.image.name": "docker.io/acme/minilm:1.0",
        }
        for member in tar.getmembers():
            if member.isfile() and member.name.startswith("blobs/"):
                assert member.offset_data % 4096 == 0


def test_the_same_image_gives_the_same_archive(tmp_path: Path) -> None:
    one = written(tmp_path / "one.tar", image("a", "b")).read_bytes()
    assert one == written(tmp_path / "two.tar", image("a", "b")).read_bytes()


def test_what_was_written_can_be_read(tmp_path: Path) -> None:
    one = image("a", "b")
    with Archive(written(tmp_path / "image.tar", one)) as read:
        for name in ("1.0", "", one.digest):
            assert read.resolve(name).digest == one.digest
        parsed = read.image(one.digest)
        assert [layer.digest for layer in parsed.layers] == [x.blob.digest for x in one.layers]
        for layer in parsed.layers:
            assert len(read.read(layer)) == layer.size


def test_an_index_goes_into_an_oci_archive_only(tmp_path: Path) -> None:
    index = Index(images=(image("a"), image("a", architecture="arm64")))
    with Archive(written(tmp_path / "image.tar", index, kind="oci-archive")) as read:
        assert len(read.image(read.resolve("").digest).manifests) == 2
    with pytest.raises(InputError, match="one platform"):
        written(tmp_path / "other.tar", index)
    assert not (tmp_path / "other.tar").exists()


def test_an_archive_without_a_name_can_be_read(tmp_path: Path) -> None:
    path = written(tmp_path / "image.tar", image("a"), names=())
    with Archive(path) as read:
        assert read.resolve("").digest == image("a").digest
    with tarfile.open(path) as tar:
        (docker,) = json.loads(tar.extractfile("manifest.json").read())  # type: ignore[union-attr]
        assert docker["RepoTags"] is None


@pytest.mark.parametrize("name", ["a/b", "a:", ":1", "A:1", "a:1\n", "a b:1", "../a:1"])
def test_a_name_that_engines_refuse_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="not a name"):
        written(tmp_path / "image.tar", image("a"), names=(name,))


def test_an_error_leaves_the_old_archive_and_nothing_beside_it(tmp_path: Path) -> None:
    path = written(tmp_path / "image.tar", image("a"))
    before = path.read_bytes()
    one = image("b")
    bad = lying(one.layers[0].blob, bytes(one.layers[0].blob.size))
    with pytest.raises(InputError, match="not what was recorded"):
        archive.write(
            path,
            one.manifest_blob,
            (bad, one.config_blob),
            kind="oci-archive",
            names=(),
            advance=nothing,
        )
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["image.tar"]


def test_what_a_killed_build_left_is_used_up(tmp_path: Path) -> None:
    (tmp_path / ".image.tar.partial").write_bytes(b"half" * 100_000)
    path = written(tmp_path / "image.tar", image("a"))
    assert os.listdir(tmp_path) == ["image.tar"]
    assert path.read_bytes() == written(tmp_path / "fresh.tar", image("a")).read_bytes()


@pytest.mark.parametrize("link", [False, True])
def test_what_old_docker_saved_can_be_read(tmp_path: Path, link: bool) -> None:
    one = docker_save(tmp_path / "saved.tar", link=link)
    with Archive(tmp_path / "saved.tar") as read:
        found = read.image(read.resolve("acme/a:1").digest)
        assert [layer.digest for layer in found.layers] == [layer.diff_id for layer in one.layers]
        assert found.config is not None
        assert json.loads(read.read(found.config))["os"] == "linux"
        for layer in found.layers:
            assert read.read(layer)


def test_a_blob_that_was_changed_is_not_read(tmp_path: Path) -> None:
    one = image("a")
    path = written(tmp_path / "image.tar", one)
    data = path.read_bytes()
    at = data.index(b"10001")
    path.write_bytes(data[:at] + b"00000" + data[at + 5 :])
    with Archive(path) as read, pytest.raises(InputError, match="another digest"):
        read.read(one.config_blob.descriptor)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not a tar"),
        (b"no tar" * 1000, "not a tar|damaged"),
        (bytes(10240), "neither an OCI archive"),
        (b"\x1f\x8b" + bytes(1000), "compressed with gzip"),
    ],
)
def test_what_is_no_archive_is_refused(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "x.tar").write_bytes(data)
    with pytest.raises(InputError, match=message):
        Archive(tmp_path / "x.tar")


def test_a_pipe_is_refused_and_never_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="regular"):
        Archive(tmp_path / "pipe")


@pytest.mark.parametrize("cut", [600, 1500, 5000])
def test_an_archive_that_is_cut_off_is_refused(tmp_path: Path, cut: int) -> None:
    path = written(tmp_path / "image.tar", image("a"))
    os.truncate(path, cut)
    with pytest.raises(InputError):
        Archive(path)


def test_what_vouches_for_images_is_in_it_and_the_image_is_still_the_only_one(
    tmp_path: Path,
) -> None:
    one, path = image("a", "b"), tmp_path / "image.tar"
    subject = one.manifest_blob.descriptor
    pairs = [(subject, [vouching("first", "sbom"), vouching("second")])]
    archive.write(path, one.manifest_blob, one.blobs, kind="oci-archive", names=["acme/a:1"],
                  vouching=pairs, advance=nothing)  # fmt: skip
    with Archive(path) as read:
        assert [entry.digest for entry in read.manifests()] == [one.digest]
        found = read.referrers(one.digest)
        assert [entry.annotations["said"] for entry in found] == ["first", "second"]
        assert read.listed(one.digest)
        assert read.referrers(image("c").digest) == ()
        (layer,) = read.image(found[0].digest).layers or (None,)
        assert layer is not None
        assert read.read(layer) == b"first"


def test_a_docker_archive_holds_images_alone(tmp_path: Path) -> None:
    one = image("a")
    pairs = [(one.manifest_blob.descriptor, [vouching("first")])]
    written(tmp_path / "plain.tar", one, kind="docker-archive")
    archive.write(
        tmp_path / "d.tar", one.manifest_blob, one.blobs, kind="docker-archive",
        names=["acme/minilm:1.0"], vouching=pairs, advance=nothing,
    )  # fmt: skip
    assert (tmp_path / "d.tar").read_bytes() == (tmp_path / "plain.tar").read_bytes()


def test_a_list_that_is_damaged_takes_nothing_else_along(tmp_path: Path) -> None:
    one, path = image("a"), tmp_path / "image.tar"
    pairs = [(one.manifest_blob.descriptor, [vouching("first")])]
    archive.write(path, one.manifest_blob, one.blobs, kind="oci-archive", names=["acme/a:1"],
                  vouching=pairs, advance=nothing)  # fmt: skip
    path.write_bytes(
        path.read_bytes().replace(
            b'"manifests":[{"annotations":{"said"', b'"manifests":[{"annotations":{"sayd"'
        )
    )
    with Archive(path) as read:
        assert read.resolve("").digest == one.digest
        assert read.referrers(one.digest) == ()
