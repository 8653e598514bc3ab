"""Bases and images in real registries: distribution 2.8, as Debian has it, and 3."""

import base64
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from modelpack import canonical_json, reference
from modelpack.digest import hex_of
from modelpack.digest import of as digest_of
from modelpack.errors import InputError, Refused, Unavailable
from modelpack.inputs.base_image import files
from modelpack.inputs.base_image.resolving import Lookup, Resolved
from modelpack.inputs.downloads import Downloads
from modelpack.inputs.machine import Machine
from modelpack.oci.blobs import content_of
from modelpack.oci.image import Index
from modelpack.oci.layer import CONFIG, Descriptor
from modelpack.oci.layout import Layout
from modelpack.oci.registry.repository import Repository
from modelpack.oci.registry.settings import Settings
from modelpack.oci.store import Root
from modelpack.platform import Platform
from tests import base_images, command_line, projects
from tests.images import image, nothing, put
from tests.registry_process import PASSWORD, USER, Registry, running_registry

pytestmark = pytest.mark.integration

PLACES = ("/opt/venv", "/app", "/models/tiny")
AMD64 = Platform("linux", "amd64")


@pytest.fixture(scope="module", params=["docker-registry", "registry"])
def program(
    request: pytest.FixtureRequest, require_tool: Callable[[str], str],
    go_tool: Callable[[str], str],
) -> str:  # fmt: skip
    """Return the path of a registry: Debian's 2.8, or 3."""
    found: str = (require_tool if request.param == "docker-registry" else go_tool)(request.param)
    return found


@pytest.fixture(scope="module")
def registry(program: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with running_registry(program, tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture
def skopeo(require_tool: Callable[[str], str]) -> str:
    return require_tool("skopeo")


def layout_of(folder: Path, made: base_images.MadeImage) -> Path:
    """Write an image of OCI media types as a layout."""
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    for data in (made.manifest, made.config, *made.layers):
        (blobs / hex_of(digest_of(data))).write_bytes(data)
    manifest = Descriptor(
        media_type=json.loads(made.manifest)["mediaType"], digest=made.digest,
        size=len(made.manifest),
    )  # fmt: skip
    index = {"schemaVersion": 2, "manifests": [manifest.as_json()]}
    (folder / "index.json").write_bytes(canonical_json.dumps(index))
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}', "utf-8")
    return folder


def base(*more: bytes, version: str = "3.13.5") -> base_images.MadeImage:
    return base_images.image(base_images.debian(version), *more, docker=False, compress=bytes)


def machine_of(tmp_path: Path, settings: Settings | None = None) -> Machine:
    machine = replace(projects.machine_of(tmp_path / "cache"), offline=False)
    return replace(machine, registries=settings or Settings())


def resolve(name: str, machine: Machine) -> Resolved:
    return Lookup(name, machine=machine).resolve(AMD64, python="", places=PLACES)


def test_an_image_is_read_by_tag_and_by_digest(
    registry: Registry, skopeo: str, tmp_path: Path
) -> None:
    made = image("a", "b" * 100_000)
    with Layout(tmp_path / "layout") as layout:
        put(layout, made, "1")
    name = registry.push(tmp_path / "layout", "acme/minilm:1", skopeo)
    repository = Repository(reference.registry(name), Settings())
    for wanted in ("1", made.digest):
        assert repository.resolve(wanted).digest == made.digest
    assert repository.read(made.config_blob.descriptor) == content_of(made.config_blob)
    for layer in made.layers:
        assert repository.has(layer.blob.descriptor)
        assert repository.read(layer.blob.descriptor) == content_of(layer.blob)
    other = Descriptor(media_type=CONFIG, digest=digest_of(b"other"), size=5)
    assert not repository.has(other)
    with pytest.raises(Unavailable, match=f"has no blob {other.digest}"):
        repository.read(other)
    with pytest.raises(InputError, match=r"no image `2`: .*[Mm]anifest"):
        repository.resolve("2")


def test_an_index_leads_to_the_platform(registry: Registry, skopeo: str, tmp_path: Path) -> None:
    images = (image("amd"), image("arm", architecture="arm64"))
    index = Index(images=images)
    with Layout(tmp_path / "layout") as layout:
        for one in images:
            for blob in (*one.blobs, one.manifest_blob):
                layout.write(blob, nothing)
        layout.commit([Root(manifest=index.manifest_blob, tags=("1",))])
    name = registry.push(tmp_path / "layout", "acme/both:1", skopeo)
    shown = command_line.run(
        "inspect", name, "--platform", "linux/arm64", "--json", cache=tmp_path / "cache"
    ).document
    assert shown["digest"] == images[1].digest
    assert [one["platform"] for one in shown["platforms"]] == ["linux/amd64", "linux/arm64"]


def test_a_download_goes_on_where_an_earlier_one_ended(
    registry: Registry, skopeo: str, tmp_path: Path
) -> None:
    made = image("x" * 4_000_000)
    with Layout(tmp_path / "layout") as layout:
        put(layout, made, "1")
    name = registry.push(tmp_path / "layout", "acme/large:1", skopeo)
    blob = made.layers[0].blob
    begun = tmp_path / "cache" / "downloads" / "sha256" / f".part-{hex_of(blob.digest)}"
    begun.parent.mkdir(parents=True)
    begun.write_bytes(content_of(blob)[:2_000_000])
    repository = Repository(reference.registry(name), Settings())
    steps: list[int] = []
    path = Downloads(tmp_path / "cache").resume(
        hex_of(blob.digest), blob.size,
        lambda into: repository.fill(into, blob.descriptor, steps.append),
    )  # fmt: skip
    assert path.read_bytes() == content_of(blob)
    assert steps[0] == 2_000_000
    assert sum(steps) == blob.size


def test_a_base_is_locked_and_had_again_by_digest(
    registry: Registry, skopeo: str, tmp_path: Path
) -> None:
    made = base(bytes(1024))
    name = registry.push(layout_of(tmp_path / "layout", made), "library/python:3.13", skopeo)
    found = resolve(name, machine_of(tmp_path))
    assert found.base.digest == made.digest
    assert found.interpreter.version == "3.13.5"
    other = base(version="3.13.6")
    registry.push(layout_of(tmp_path / "moved", other), "library/python:3.13", skopeo)
    again = files.fetch(found.base, machine=machine_of(tmp_path / "elsewhere"))
    assert again.config == made.config
    assert [again.layers[one.digest].read_bytes() for one in found.base.layers] == [*made.layers]
    assert resolve(name, machine_of(tmp_path)).base.digest == other.digest


def test_what_the_registry_lost_or_changed_is_one_clear_message(
    registry: Registry, skopeo: str, tmp_path: Path
) -> None:
    made = base(base_images.layer(base_images.file("a", b"x" * 10_000)))
    name = registry.push(layout_of(tmp_path / "layout", made), "acme/broken:1", skopeo)
    digest = digest_of(made.layers[1])
    stored = registry.blob(digest)
    good = stored.read_bytes()
    stored.write_bytes(good[:-1] + b"?")
    with pytest.raises(Refused, match=f"instead of `{hex_of(digest)}`"):
        resolve(name, machine_of(tmp_path))
    stored.write_bytes(good[:4000])
    with pytest.raises((Refused, Unavailable), match="4000"):
        resolve(name, machine_of(tmp_path))
    stored.unlink()
    with pytest.raises(Unavailable, match=f"has no blob {digest}"):
        resolve(name, machine_of(tmp_path))


def test_a_registry_that_wants_a_password_gets_it_from_dockers_file(
    program: str, skopeo: str, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        registry = stack.enter_context(running_registry(program, tmp_path / "registry", login=True))
        made = base()
        layout = layout_of(tmp_path / "layout", made)
        name = registry.push(layout, "acme/private:1", skopeo, login=True)
        with pytest.raises(Unavailable, match=r"without credentials \(status 401\)") as caught:
            resolve(name, machine_of(tmp_path))
        assert f"login {registry.address}" in caught.value.findings[0].hint
        file = tmp_path / "config.json"
        for password, works in ((PASSWORD, True), ("wrong", False)):
            auth = base64.b64encode(f"{USER}:{password}".encode()).decode()
            file.write_text(json.dumps({"auths": {registry.address: {"auth": auth}}}), "utf-8")
            shutil.rmtree(tmp_path / "cache", ignore_errors=True)
            machine = machine_of(tmp_path, Settings(credential_files=(file,)))
            if works:
                assert resolve(name, machine).base.digest == made.digest
                continue
            with pytest.raises(Unavailable, match="with `me` of") as caught:
                resolve(name, machine)
            assert password not in str(caught.value)


def test_a_registry_that_is_gone_is_unavailable(program: str, tmp_path: Path) -> None:
    with running_registry(program, tmp_path / "registry") as registry:
        name = f"{registry.address}/acme/python:3.13"
    with pytest.raises(Unavailable, match="cannot read from"):
        resolve(name, machine_of(tmp_path))


def test_the_image_of_a_build_is_inspected_where_it_was_pushed(
    registry: Registry, skopeo: str, tmp_path: Path
) -> None:
    folder = projects.make_project(tmp_path / "project", tmp_path / "cache")
    digest = projects.digest_of(folder, tmp_path / "cache")
    name = registry.push(folder / "dist" / "image", "acme/tiny:1.0.0", skopeo, tag="1.0.0")
    there = command_line.run("inspect", f"docker://{name}", "--json", cache=tmp_path / "cache")
    here = command_line.run("inspect", folder, "--json", cache=tmp_path / "cache")
    # What vouches for it stays behind: skopeo copies images only.
    same = {key: value for key, value in here.document.items() if key != "referrers"}
    assert there.document["digest"] == digest
    assert there.document == {**same, "referrers": []}
    weights = {layer["digest"] for layer in here.document["layers"] if layer["kind"] == "weights"}
    assert weights
    for layer in weights:  # were they read, this would be missed
        registry.blob(layer).unlink()
    again = command_line.run("inspect", name, "--json", cache=tmp_path / "cache")
    assert again.document == there.document
