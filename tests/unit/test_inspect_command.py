"""`modelpack inspect`: of layouts, archives and projects, for people and for programs."""

import io
import json
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from modelpack.__main__ import main
from modelpack.digest import hex_of
from modelpack.oci.archive import Streamed
from modelpack.oci.image import Image
from modelpack.oci.layer import INDEX, Descriptor
from modelpack.oci.layout import Layout
from modelpack.oci.referrers import tag_for
from modelpack.platform import Platform
from modelpack.spec import Training, TrainingData
from tests import values
from tests.described_image import complete, described, shelf_of
from tests.fakes.fake_engine import FakeEngine
from tests.fakes.registry_server import running_registry
from tests.images import layer, nothing, put

NOTICE = "claims, not verified"


def write_layout(folder: Path, image: Image, *entries: Descriptor) -> Path:
    """Write a layout of which only manifest, configuration and last layer are there."""
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    for digest, data in shelf_of(image).blobs.items():
        (blobs / hex_of(digest)).write_bytes(data)
    named = entries or (image.manifest_blob.descriptor,)
    index = {
        "schemaVersion": 2, "mediaType": INDEX, "manifests": [entry.as_json() for entry in named],
    }  # fmt: skip
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    (folder / "index.json").write_text(json.dumps(index))
    return folder


def docker_save(path: Path, image: Image) -> None:
    """Write what `docker save` of Docker before 25 writes: a folder for each layer."""
    config = shelf_of(image).blobs[image.config_blob.digest]
    name = f"{hex_of(image.config_blob.digest)}.json"
    members = {name: config}
    names = []
    for number, item in enumerate(image.layers):
        names.append(f"{number:064x}/layer.tar")
        content = shelf_of(replace(image, layers=(item,))).blobs[item.diff_id]
        members[f"{number:064x}/VERSION"] = b"1.0"
        members[names[-1]] = content
    listing = [{"Config": name, "RepoTags": ["acme/service:1.0"], "Layers": names}]
    members["manifest.json"] = json.dumps(listing).encode()
    members["repositories"] = b"{}"
    with tarfile.open(path, "w") as archive:
        for member, data in members.items():
            info = tarfile.TarInfo(member)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))


def foreign(**config: object) -> Image:
    """Return an image that Docker built."""
    layers = tuple(
        replace(layer((f"file{n}", b"x" * n)), created_by=text)
        for n, text in enumerate(("/bin/sh -c #(nop) ADD file:1 in / ", "RUN make install"))
    )
    return Image(
        platform=Platform("linux", "amd64"), layers=layers, created=0,
        config={"Cmd": ["serve"], "Labels": {"maintainer": "ann"}, **config},
    )  # fmt: skip


@pytest.fixture(name="layout")
def fixture_layout(tmp_path: Path) -> Path:
    """Return a layout of an image of ours without its weights."""
    return write_layout(tmp_path / "image", described().image())


def run(*arguments: str) -> object:
    """Run `modelpack inspect` and return its exit status."""
    with pytest.raises(SystemExit) as ended:
        main(["inspect", *arguments])
    return ended.value.code


def output_of(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> str:
    """Run the command and return what it printed on stdout."""
    assert run(*arguments) == status
    return capsys.readouterr().out


def failure_of(capsys: pytest.CaptureFixture[str], *arguments: str, status: int) -> str:
    """Run the command and return what it printed on stderr; nothing may be on stdout."""
    assert run(*arguments) == status
    out, err = capsys.readouterr()
    assert out == ""
    assert "Traceback" not in err
    return err


def test_the_first_and_the_last_line_say_that_nothing_is_verified(
    layout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = output_of(capsys, f"oci:{layout}").splitlines()

    assert lines[0].startswith(NOTICE)
    assert lines[-1] == NOTICE


def test_people_see_model_layers_weights_packages_and_start(
    layout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = output_of(capsys, f"oci:{layout}")

    for words in (
        described().image().digest,
        "digits 1.0.0",
        "4f2a4f2a",
        "10001:0",
        "/usr/bin/python3.13 -I -S /usr/share/modelpack/guard.py",
        "model-00001-of-00002.safetensors  64 MB        3     20K",
        "DEBIAN PACKAGES (1)",
        "PYTHON PACKAGES (1)",
        "debian:13, 1 package",
    ):
        assert words in text
    assert "DOES NOT ADD UP" not in text
    assert "LABELS" not in text
    assert "PATH=" not in text


def test_blocks_have_titles_and_tensors_are_shown_when_asked_for(
    layout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text, whole = output_of(capsys, f"oci:{layout}"), output_of(capsys, f"oci:{layout}", "-v")

    assert "\nMADE FROM\nrevision" in text
    assert "\nSTARTS\nuser" in text
    assert "TENSORS of" not in text
    assert "TENSORS of digits (* is the number of a block)" in whole
    assert "model.embed      1  BF16      20K  1000 × 20" in whole  # noqa: RUF001  the sign


def test_verbose_shows_labels_and_environment(
    layout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = output_of(capsys, f"oci:{layout}", "-v")

    assert "dev.modelpack.format" in text
    assert "PATH=/opt/venv/bin" in text


def test_long_lists_are_cut_unless_all_is_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tuple(TrainingData(name=f"set{number}") for number in range(7))
    made = described(spec=values.spec(training=Training(data=data)))
    name = f"oci:{write_layout(tmp_path / 'image', made.image())}"

    short, whole = output_of(capsys, name), output_of(capsys, name, "-v")

    assert "and 2 more (-v shows them)" in short
    assert "set6" not in short
    assert "set6" in whole


def test_the_heads_of_all_tables_fit_eighty_columns(
    layout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = output_of(capsys, f"oci:{layout}").splitlines()

    heads = [line for line in lines if line.startswith(("#  KIND", "FILE "))]
    assert len(heads) == 2
    assert all(len(head) <= 80 for head in heads)


def test_programs_get_every_documented_key(
    layout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document = json.loads(output_of(capsys, f"oci:{layout}", "--json"))

    assert next(iter(document)) == "schema"
    assert document["schema"] == 1
    assert document["verified"] is False
    assert document["digest"] == described().image().digest
    assert document["weights"][1] == {
        "set": "digits",
        "path": "/models/digits/model-00001-of-00002.safetensors",
        "size": 64_000_000,
        "sha256": "a" * 64,
        "tensors": 3,
        "parameters": 20_008,
        "dtypes": {"BF16": 20_007, "F32": 1},
    }
    guide = (Path(__file__).parents[2] / "docs" / "json.md").read_text()
    section = guide.partition("## `modelpack inspect")[2].partition("\n## ")[0]
    for key in _keys(document):
        assert f"`{key}`" in section


def _keys(document: object) -> Iterator[str]:
    """Yield the names of all members whose names are ours and not the image's."""
    if isinstance(document, dict):
        for key, value in document.items():
            yield key
            if key not in ("labels", "annotations", "dtypes"):
                yield from _keys(value)
    elif isinstance(document, list):
        for item in document:
            yield from _keys(item)


def test_contradictions_and_root_are_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = described().image()
    image = replace(image, config={**image.config, "User": "0"})
    write_layout(tmp_path / "image", image)

    text = output_of(capsys, f"oci:{tmp_path / 'image'}")

    assert "DOES NOT ADD UP" in text
    assert "the container runs as root" in text


def test_a_label_cannot_steer_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evil = "a\x1b[2Jb\r\nverified\u202e"
    image = foreign(Labels={"dev.modelpack.model.name": evil, f"x{evil}": evil}, User=evil)
    image = replace(image, layers=tuple(replace(x, created_by=evil) for x in image.layers))
    write_layout(tmp_path / "image", image)

    text = output_of(capsys, f"oci:{tmp_path / 'image'}", "-v")

    assert "a\\x1b[2Jb\\r\\nverified\\u202e" in text
    assert not {"\x1b", "\r", "\u202e"} & set(text)
    assert "\nverified" not in text


@pytest.mark.parametrize("kind", ["manifest", "config", "spec", "lock", "source", "weights"])
def test_raw_documents_are_printed_byte_for_byte(
    kind: str, layout: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    made = described()
    image = made.image()
    expected = {
        "manifest": shelf_of(image).blobs[image.digest],
        "config": shelf_of(image).blobs[image.config_blob.digest],
        **{name.removesuffix(".json"): data for name, data in made.files.items()},
    }[kind]

    assert run(f"oci:{layout}", "--raw", kind) == 0

    assert capsysbinary.readouterr().out == expected


def test_raw_documents_that_are_not_there_are_refused(
    layout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = write_layout(tmp_path / "other", foreign())

    assert "stands in no index" in failure_of(capsys, f"oci:{layout}", "--raw", "index", status=2)
    assert "has no layer in which modelpack describes it" in failure_of(
        capsys, f"oci:{other}", "--raw", "lock", status=2
    )


def test_an_archive_of_docker_save_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    docker_save(tmp_path / "image.tar", foreign())

    text = output_of(capsys, f"docker-archive:{tmp_path / 'image.tar'}")

    for words in ("serve", "maintainer", "ADD file:1 in /", "RUN make install", "runs as root",
                  "CANNOT BE KNOWN", "which model and weights it holds"):  # fmt: skip
        assert words in text


def test_an_image_of_ours_that_docker_saved_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    docker_save(tmp_path / "image.tar", complete().image())

    document = json.loads(output_of(capsys, f"docker-archive:{tmp_path / 'image.tar'}", "--json"))

    assert document["findings"] == []
    assert document["unknown"] == []
    assert document["weights"][0]["path"] == "/models/digits/model.safetensors"


def test_an_oci_archive_is_read_without_its_weights(
    layout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with tarfile.open(tmp_path / "image.tar", "w") as archive:
        archive.add(layout, arcname=".")

    document = json.loads(output_of(capsys, f"oci-archive:{tmp_path / 'image.tar'}", "--json"))

    assert document["digest"] == described().image().digest
    assert len(document["weights"]) == 3


def test_a_project_means_the_image_last_built(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = foreign(), complete().image()
    with Layout(tmp_path / "dist" / "image") as store:
        put(store, old, "1.0.0")
        put(store, new, "1.1.0")
    monkeypatch.chdir(tmp_path)

    for name in ([], ["."], [str(tmp_path)]):
        assert json.loads(output_of(capsys, *name, "--json"))["digest"] == new.digest
    by_tag = output_of(capsys, "oci:dist/image:1.0.0", "--json")
    assert json.loads(by_tag)["digest"] == old.digest
    by_digest = output_of(capsys, f"oci:dist/image@{old.digest}", "--json")
    assert json.loads(by_digest)["digest"] == old.digest


def test_an_image_is_chosen_by_platform(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from modelpack.oci.image import Index
    from modelpack.oci.store import Root

    images = tuple(
        replace(foreign(), platform=Platform("linux", name)) for name in ("amd64", "arm64")
    )
    with Layout(tmp_path / "image") as store:
        for image in images:
            for blob in (*image.blobs, image.manifest_blob):
                store.write(blob, nothing)
        store.commit([Root(manifest=Index(images=images).manifest_blob, tags=("1",))])

    name = f"oci:{tmp_path / 'image'}:1"
    document = json.loads(output_of(capsys, name, "--platform", "linux/arm64", "--json"))

    assert document["platform"] == "linux/arm64"
    assert [item["digest"] for item in document["platforms"]] == [i.digest for i in images]
    assert "PLATFORMS" in output_of(capsys, name)
    assert json.loads(output_of(capsys, name, "--raw", "index"))["manifests"]
    error = failure_of(capsys, name, "--platform", "linux/s390x", status=2)
    assert "hint: there are `linux/amd64`, `linux/arm64`" in error


@pytest.mark.parametrize(
    ("make", "message", "hint"),
    [
        (lambda folder: None, "no image was built here yet", "modelpack build"),
        (lambda folder: folder.rmdir(), "there is no such folder", ""),
        (lambda folder: (folder.rmdir(), folder.touch()), "a file, not a project", "oci-archive:"),
        (lambda folder: (folder / "index.json").touch(), "an OCI layout, not a project", "oci:"),
    ],
)
def test_a_folder_without_an_image_is_answered_with_what_to_type(
    make: object, message: str, hint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "project"
    folder.mkdir()
    make(folder)  # type: ignore[operator]

    error = failure_of(capsys, str(folder), status=2)

    assert message in error
    assert hint in error


@pytest.mark.parametrize("prefix", ["", "docker://"])
def test_an_image_in_a_registry_is_read_without_its_weights(
    prefix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    image = described().image()
    shelf = shelf_of(image)
    manifest = shelf.blobs.pop(image.digest)
    with running_registry() as registry:
        registry.put("acme/minilm", manifest, "1", blobs=tuple(shelf.blobs.values()))
        name = f"{prefix}{registry.address}/acme/minilm:1"
        shown = json.loads(output_of(capsys, name, "--json"))
        read = [path.rpartition("/")[2] for path in registry.paths()]

    assert shown["digest"] == image.digest
    assert read == [
        "1", image.config_blob.digest, image.layers[-1].blob.digest,
        # What vouches for it: the registry's own list, then the tag for it.
        image.digest, tag_for(image.digest),
    ]  # fmt: skip


def archive_of(image: Image, name: str) -> bytes:
    """Return a whole image as an engine keeps it."""
    return b"".join(Streamed(image.manifest_blob, image.blobs, names=[name]))


def test_an_image_of_an_engine_is_what_the_layout_holds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], fake: FakeEngine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    image = complete().image()
    with Layout(tmp_path / "image") as layout:
        put(layout, image)
    fake.keep(archive_of(image, "acme/digits:1"))
    monkeypatch.setenv("DOCKER_HOST", fake.url)

    held = json.loads(output_of(capsys, "--json", "docker-daemon:acme/digits:1"))
    there = json.loads(output_of(capsys, "--json", f"oci:{tmp_path / 'image'}"))

    assert held["config_digest"] == image.config_blob.digest
    assert held == there


def test_an_image_that_the_engine_has_not_is_named(
    capsys: pytest.CaptureFixture[str], fake: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", fake.url)

    error = failure_of(capsys, "docker-daemon:minilm:1", status=2)

    assert "has no image `minilm:1`" in error
    assert "hint: modelpack build --load" in error


@pytest.mark.parametrize("name", ["docker-daemon:minilm:1", "containers-storage:minilm:1"])
def test_where_no_engine_answers_it_is_said_how_to_start_one(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("DOCKER_HOST", "CONTAINER_HOST"):
        monkeypatch.setenv(variable, f"unix://{tmp_path}/none")

    error = failure_of(capsys, name, status=3)

    assert "no socket" in error
    assert "hint: " in error


def test_a_folder_written_like_an_image_is_answered_with_what_to_type(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with running_registry() as registry:
        name = f"{registry.address}/minilm"
        Path(name).mkdir(parents=True)

        error = failure_of(capsys, name, status=2)

    assert "has no image `latest`" in error
    assert f"the folder is `./{name}`" in error


def test_a_layout_that_is_none_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "not an OCI layout" in failure_of(capsys, f"oci:{tmp_path}", status=2)


def test_a_damaged_configuration_is_refused(
    layout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = layout / "blobs" / "sha256" / hex_of(described().image().config_blob.digest)
    path.write_bytes(path.read_bytes().replace(b"10001", b"10002"))

    assert "damaged" in failure_of(capsys, f"oci:{layout}", status=2)


def test_inspecting_loads_no_heavy_module(layout: Path) -> None:
    import subprocess
    import sys

    program = (
        "import sys; from modelpack.__main__ import main\n"
        f"main(['inspect', 'oci:{layout}'])\n"
        "heavy = {'pip', 'installer', 'pysequoia', 'safetensors', 'numpy', 'deflate', 'zipfile',"
        " 'sigstore', 'jinja2', 'tarfile'}\n"
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)

    assert done.returncode == 0, done.stderr
