"""Push, pull and copy: where to, under which names, and what is said when that cannot be."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes.fake_engine import FakeEngine
from fakes.upload_server import UploadServer, running_uploads
from images import image, nothing, put, vouching

from modelpack.errors import InputError, Refused, Unavailable
from modelpack.oci import copying
from modelpack.oci.archive_reading import Archive
from modelpack.oci.image import Image, Index
from modelpack.oci.layer import Blob, Descriptor, Partial, Remote
from modelpack.oci.layout import Layout
from modelpack.oci.referrers import tag_for
from modelpack.oci.registry import known
from modelpack.oci.store import Root
from modelpack.progress import SILENT, Advance
from modelpack.run_configuration import WEIGHTS_IMAGE_LABEL
from tests import projects
from tests.command_line import Done, run_here
from tests.foreign_evidence import Signer, signature_layer, tag


@pytest.fixture
def server() -> Iterator[UploadServer]:
    with running_uploads() as running:
        yield running


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home without credentials, configuration or cache."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MODELPACK_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


def layout_with(root: Path, *images: Image, tags: tuple[str, ...] = ("1.0",)) -> Path:
    with Layout(root) as layout:
        for one in images:
            put(layout, one, *tags)
    return root


def refused(capsys: pytest.CaptureFixture[str], *words: object) -> Done:
    done = run_here(capsys, *words)
    assert done.status == 2
    return done


def test_what_cannot_be_is_said_with_the_next_command(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    layout_with(tmp_path / "l", image("a"))
    assert "HOST/NAME:TAG" in refused(capsys, "push", "oci:l").err
    attested = ("copy", "oci:l", "docker-daemon:x:1", "--buildkit-attestations")
    assert "oci:FOLDER" in refused(capsys, *attested).err
    pinned = f"docker-daemon:x@{image('a').digest}"
    assert "name a tag" in refused(capsys, "copy", "oci:l", pinned).err
    assert "use a registry" in refused(capsys, "copy", "docker-daemon:x:1", "oci:m").err
    digest = image("a").digest
    assert "name a tag" in refused(capsys, "copy", "oci:l", f"oci:m@{digest}").err
    assert "no image" in refused(capsys, "push", "oci:l:2.0", "localhost:1/a").err
    folder = projects.make_project(tmp_path / "project", tmp_path / "cache")
    assert "image.repository" in refused(capsys, "push", folder).err
    assert "image.repository" in refused(capsys, "build", folder, "--push").err
    assert "--offline" in refused(capsys, "build", folder, "--push", "--offline").err


@pytest.fixture
def engine(fake: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    monkeypatch.setenv("DOCKER_HOST", fake.url)
    return fake


def test_an_engine_gets_the_image_of_a_layout_of_a_registry_and_once(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, server: UploadServer, engine: FakeEngine
) -> None:
    one, two = image("a"), image("b" * 100, "c")
    layout_with(tmp_path / "l", one)
    done = run_here(capsys, "copy", "oci:l", "docker-daemon:acme/x:2.0", "--json")
    assert done.status == 0, done.err
    assert done.document["digest"] == one.digest
    assert engine.names == {"acme/x:2.0": one.config_blob.digest}
    layout_with(tmp_path / "m", two)
    assert run_here(capsys, "copy", "oci:m:1.0", f"{server.address}/acme/y:1.0").status == 0
    far = f"{server.address}/acme/y:1.0"
    assert run_here(capsys, "copy", far, "docker-daemon:acme/y").status == 0
    assert engine.names["acme/y:1.0"] == two.config_blob.digest
    assert not list((tmp_path / "cache" / "scratch").iterdir())
    # What the engine has is neither fetched nor sent.
    server.asked.clear()
    assert run_here(capsys, "pull", far, "--output", "docker-daemon:acme/z:1").status == 0
    assert engine.names["acme/z:1"] == two.config_blob.digest
    assert engine.loads == 2
    layers = [layer.blob.digest for layer in two.layers]
    assert not any(digest in path for _, path, _ in server.asked for digest in layers)


def test_an_engine_gets_the_image_of_its_platform(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, server: UploadServer, engine: FakeEngine
) -> None:
    amd, arm = image("a"), image("a", architecture="arm64")
    with Layout(tmp_path / "l") as layout:
        for one in (amd, arm):
            for blob in (*one.blobs, one.manifest_blob):
                layout.write(blob, nothing)
        index = Index(images=(amd, arm)).manifest_blob
        layout.commit([Root(manifest=index, tags=("1.0",))])
    far = f"{server.address}/acme/x:1.0"
    assert run_here(capsys, "copy", "oci:l:1.0", far).status == 0
    server.asked.clear()
    done = run_here(capsys, "copy", far, "docker-daemon:x:1", "--json")
    assert done.document["digest"] == amd.digest, done.err
    assert engine.names == {"x:1": amd.config_blob.digest}
    assert not any(arm.config_blob.digest in path for _, path, _ in server.asked)


def test_nobody_who_answers_is_an_unknown(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_here(capsys, "pull", "localhost:1/acme/minilm:1").status == 3


def test_a_project_is_pushed_under_its_own_names(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, server: UploadServer
) -> None:
    toml = projects.TOML + f'\n[image]\nrepository = "{server.address}/acme/tiny"\n'
    toml += 'tags = ["1.0.0", "latest"]\n'
    folder = projects.make_project(tmp_path / "project", tmp_path / "cache", toml=toml)
    assert run_here(capsys, "build", folder, "--locked", "--offline").status == 0
    done = run_here(capsys, "push", folder, "--json")
    assert done.status == 0, done.err
    assert done.document["target"] == f"{server.address}/acme/tiny"
    assert done.document["tags"] == ["1.0.0", "latest"]
    for name in ("1.0.0", "latest"):
        assert f"/v2/acme/tiny/manifests/{name}" in server.manifests


def test_tags_come_from_the_source_where_the_target_has_none(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, server: UploadServer
) -> None:
    layout_with(tmp_path / "l", image("a"), tags=("1.0", "stable"))
    done = run_here(capsys, "copy", "oci:l:1.0", f"{server.address}/acme/minilm", "--json")
    assert sorted(done.document["tags"]) == ["1.0", "stable"]
    other = run_here(capsys, "copy", "oci:l:1.0", f"{server.address}/acme/minilm:2", "--json")
    assert other.document["tags"] == ["2"]
    pulled = run_here(capsys, "pull", f"{server.address}/acme/minilm:2")
    assert pulled.status == 0, pulled.err
    assert Layout(tmp_path / "minilm").resolve("2").digest == image("a").digest


def test_a_layout_that_is_copied_into_keeps_what_cosign_looks_for(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    layout_with(tmp_path / "l", image("a"))
    assert run_here(capsys, "copy", "oci:l", "oci:m").status == 0
    (entry,) = Layout(tmp_path / "m").manifests()
    assert entry.annotations["kind"] == "dev.cosignproject.cosign/image"


def test_a_copy_with_a_damaged_blob_names_nothing(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, server: UploadServer
) -> None:
    layout_with(tmp_path / "l", image("a" * 100))
    layer = image("a" * 100).layers[0].blob.digest.removeprefix("sha256:")
    blob = tmp_path / "l" / "blobs" / "sha256" / layer
    blob.write_bytes(blob.read_bytes().replace(b"aaa", b"aab", 1))
    assert run_here(capsys, "push", "oci:l", f"{server.address}/acme/minilm").status == 2
    assert not server.manifests


def test_a_registry_that_refuses_a_layer_beyond_its_limit_is_explained(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, server: UploadServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    layout_with(tmp_path / "l", image("a" * 10_000))
    small = known.Traits(layer_limit=5000)
    monkeypatch.setattr("modelpack.oci.registry.writing.traits", lambda _: small)
    server.statuses = {"PUT": [413]}
    done = run_here(capsys, "push", "oci:l", f"{server.address}/acme/minilm")
    assert done.status == 3
    assert "413" in done.err
    assert "modelpack shard FILE" in done.err


def test_weights_that_an_image_needs_go_along_or_are_missed(tmp_path: Path) -> None:
    weights = image("weights")
    serve = Image(
        platform=weights.platform, layers=image("code").layers, created=0,
        config={"Labels": {WEIGHTS_IMAGE_LABEL: weights.digest}},
    )  # fmt: skip
    layout_with(tmp_path / "l", weights, tags=("1.0-weights",))
    layout = Layout(layout_with(tmp_path / "l", serve))
    found = copying.closure(layout, layout.resolve("1.0"), tags=["2.0"])
    assert [root.tags for root in found.roots] == [("2.0",), ("2.0-weights",)]
    assert found.roots[1].manifest.digest == weights.digest
    alone = Layout(layout_with(tmp_path / "m", serve))
    missed = copying.closure(alone, alone.resolve(""), tags=[])
    assert len(missed.roots) == 1
    assert weights.digest in missed.findings[0].message


def test_contents_come_before_what_names_them_and_subjects_first(tmp_path: Path) -> None:
    index = Index(images=(image("a"), image("a", architecture="arm64")))
    with Layout(tmp_path / "l") as layout:
        for one in index.images:
            for blob in (*one.blobs, one.manifest_blob):
                layout.write(blob, nothing)
        layout.commit([Root(manifest=index.manifest_blob, tags=("1",))])
        arm = index.images[1].manifest_blob.descriptor
        layout.attach(arm, [vouching("said of arm")])
        (entry,) = layout.referrers(arm.digest)
        layout.attach(entry, [vouching("said of that")])
    found = copying.closure(layout, layout.resolve("1"), tags=["1"])
    order = [blob.digest for blob in found.blobs]
    for one in index.images:
        at = order.index(one.digest)
        assert all(order.index(blob.digest) < at for blob in one.blobs)
    (root,) = found.roots
    assert not root.referrers
    assert [subject.digest for subject, _ in root.below] == [arm.digest, entry.digest]
    assert found.vouching == 2
    bare = copying.closure(layout, layout.resolve("1"), tags=["1"], referrers=False)
    assert bare.vouching == 0


def test_what_stands_under_older_tags_goes_along_everywhere(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, server: UploadServer
) -> None:
    one, signer = image("a"), Signer()
    with Layout(tmp_path / "l") as layout:
        put(layout, one, "1.0")
        tag(layout, one.digest, ".sig", signature_layer(signer, one.digest))

    def listed(name: str) -> list[str]:
        document = run_here(capsys, "inspect", name, "--json").document
        return [found["by"] for found in document["referrers"]]

    expected = [f"{tag_for(one.digest)}.sig"]
    far, archive = f"{server.address}/acme/x:1.0", "oci-archive:a.tar"
    for source, target in (("oci:l", far), (far, archive), (archive, "oci:m"), ("oci:m", "oci:n")):
        done = run_here(capsys, "copy", source, target, "--json")
        assert done.status == 0, done.out + done.err
        assert done.document["referrers"] == 1
        assert listed(target) == expected
    with Archive(tmp_path / "a.tar") as read:
        assert [entry.digest for entry in read.manifests()] == [one.digest]
    bare = run_here(capsys, "copy", "oci:l", "oci:bare", "--no-referrers", "--json")
    assert (bare.document["referrers"], listed("oci:bare")) == (0, [])


def test_other_signatures_under_an_older_tag_stay(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    one = image("a")
    for name, signer in (("l", Signer()), ("m", Signer())):
        with Layout(tmp_path / name) as layout:
            put(layout, one, "1.0")
            tag(layout, one.digest, ".sig", signature_layer(signer, one.digest))
    before = Layout(tmp_path / "m").held_by(f"{tag_for(one.digest)}.sig")
    done = run_here(capsys, "copy", "oci:l", "oci:m")
    assert done.status == 0
    assert "which stays" in done.err
    assert Layout(tmp_path / "m").held_by(f"{tag_for(one.digest)}.sig") == before


class Far:
    """A place in the network whose connection ends after some bytes, again and again."""

    repository = "far.example/acme/minilm"

    def __init__(self, data: bytes, step: int) -> None:
        self._data, self._step = data, step

    def fill(self, into: Partial, descriptor: Descriptor, advance: Advance) -> None:
        end = min(into.size + self._step, descriptor.size)
        advance(end - into.size)
        into.write(self._data[into.size : end])
        if end < descriptor.size:
            raise Unavailable("cut")

    def chunks(self, descriptor: Descriptor, start: int, length: int) -> Iterator[bytes]:
        yield self._data[start : start + length]


def test_a_layout_keeps_what_was_fetched_for_the_next_try(tmp_path: Path) -> None:
    one = image("x" * 5000)
    layer = one.layers[0].blob
    data = b"".join(layer.origin.pieces)  # type: ignore[union-attr, arg-type]
    far = Blob(descriptor=layer.descriptor, origin=Remote(Far(data, 2000)))
    tries = 0
    for _ in range(10):
        tries += 1
        try:
            with Layout(tmp_path / "l", resumes=True) as layout:
                found = copying.Closure(
                    blobs=(far, one.config_blob),
                    roots=(Root(manifest=one.manifest_blob, tags=("1",)),),
                )
                copying.copy(found, layout, progress=SILENT, label="")
        except Unavailable:
            assert not (tmp_path / "l" / "index.json").exists()
            continue
        break
    assert tries == -(-layer.size // 2000)
    assert Layout(tmp_path / "l").resolve("1").digest == one.digest
    assert not (tmp_path / "l" / "ingest").exists()


def test_what_a_registry_sends_wrong_is_not_kept(tmp_path: Path) -> None:
    one = image("x" * 5000)
    layer = one.layers[0].blob
    far = Blob(descriptor=layer.descriptor, origin=Remote(Far(b"y" * layer.size, 10**6)))
    with pytest.raises(Refused), Layout(tmp_path / "l", resumes=True) as layout:
        layout.write(far, nothing)
    assert not [p for p in (tmp_path / "l").rglob("*") if p.is_file()]


def test_a_build_clears_what_a_pull_left(tmp_path: Path) -> None:
    layer = image("x" * 5000).layers[0].blob
    far = Blob(descriptor=layer.descriptor, origin=Remote(Far(bytes(layer.size), 100)))
    with pytest.raises(Unavailable), Layout(tmp_path / "l", resumes=True) as layout:
        layout.write(far, nothing)
    assert list((tmp_path / "l" / "ingest").iterdir())
    layout_with(tmp_path / "l", image("a"))
    assert not (tmp_path / "l" / "ingest").exists()


def test_a_registry_is_never_asked_for_a_strange_name(server: UploadServer) -> None:
    from modelpack import reference
    from modelpack.oci.registry.repository import Repository
    from modelpack.oci.registry.settings import Settings

    there = Repository(reference.registry(f"{server.address}/a"), Settings())
    with pytest.raises(InputError, match="not a tag"):
        there.resolve("../../../admin")
    assert not server.asked
