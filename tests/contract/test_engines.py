"""What every container engine promises of images: one suite over a fake one, Docker and podman."""

import json
import os
import tarfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from images import image, put

from modelpack.digest import of as digest_of
from modelpack.engine import loading, saved
from modelpack.engine.address import Address
from modelpack.engine.connecting import connect
from modelpack.engine.door import Engine
from modelpack.engine.value import Container
from modelpack.errors import InputError, Unavailable
from modelpack.oci.image import Image, Index
from modelpack.oci.layer import Descriptor, Pieces
from modelpack.oci.layout import Layout
from modelpack.oci.store import Root
from modelpack.progress import SILENT
from tests.docker_engine import EngineError, programs, running_engine
from tests.fakes.fake_engine import fake_engine
from tests.podman_engine import running_podman

REAL = [pytest.mark.integration, pytest.mark.slow]


@pytest.fixture(
    scope="module",
    params=["fake", pytest.param("docker", marks=REAL), pytest.param("podman", marks=REAL)],
)
def engine(
    request: pytest.FixtureRequest,
    require_tool: Callable[[str], str],
    unavailable: Callable[[str], None],
) -> Iterator[Engine]:
    """Return an engine that answers."""
    if request.param != "fake" and os.geteuid() != 0:
        unavailable("an engine of one's own needs root")
    with ExitStack() as stack:
        try:
            url = _started(request.param, stack, require_tool)
        except EngineError as error:
            unavailable(str(error))
            raise
        yield connect([Address(url=url, origin="the test")])


def _started(kind: str, stack: ExitStack, require_tool: Callable[[str], str]) -> str:
    match kind:
        case "fake":
            return stack.enter_context(fake_engine()).url
        case "podman":
            return f"unix://{stack.enter_context(running_podman(require_tool('podman')))}"
        case _:
            dockerd, docker = programs()
            require_tool(dockerd or "dockerd")
            running = stack.enter_context(running_engine(str(dockerd), str(docker)))
            return f"unix://{running.socket}"


def layout_with(folder: Path, what: Image) -> tuple[Layout, Descriptor]:
    """Return a layout that holds one image."""
    with Layout(folder) as layout:
        return layout, put(layout, what, "1")


def put_index(layout: Layout, index: Index) -> Descriptor:
    """Put images of several platforms into a layout."""
    for one in index.images:
        put(layout, one, one.platform.architecture)
    layout.commit([Root(manifest=index.manifest_blob, tags=("all",))])
    return index.manifest_blob.descriptor


def ids(what: Image) -> tuple[str, str]:
    """Return what engines take for an image's id: Docker's containerd store the second."""
    return (what.config_blob.digest, what.digest)


def load(engine: Engine, folder: Path, what: Image, *names: str) -> loading.Loaded:
    """Put an image into a layout and load it from there."""
    layout, root = layout_with(folder, what)
    return loading.load(engine, layout, root, names=names, progress=SILENT)


def test_an_image_keeps_the_digest_of_its_configuration(engine: Engine, tmp_path: Path) -> None:
    what = image("kept", engine.about.kind)

    loaded = load(engine, tmp_path / "l", what, "acme/kept:1")
    held = engine.image("acme/kept:1")

    assert held is not None
    assert loaded.config == what.config_blob.digest
    assert held.id == loaded.id
    assert held.id in ids(what)
    assert held.diff_ids == tuple(layer.diff_id for layer in what.layers)
    assert held.config["User"] == "10001"
    assert loaded.sent > 0


def test_an_image_that_is_there_is_not_sent_again(engine: Engine, tmp_path: Path) -> None:
    what = image("twice")
    load(engine, tmp_path / "l", what, "acme/twice:1")

    again = load(engine, tmp_path / "l", what, "acme/twice:2")

    assert again.sent == 0
    held = engine.image("acme/twice:2")
    assert held is not None
    assert held.id in ids(what)


def test_an_image_without_a_name_is_found_by_its_id(engine: Engine, tmp_path: Path) -> None:
    what = image("nameless")

    loaded = load(engine, tmp_path / "l", what)

    assert engine.image(loaded.id) is not None


def test_the_platform_of_the_engine_is_taken_from_an_index(engine: Engine, tmp_path: Path) -> None:
    index = Index(images=(image("other", architecture="arm64"), image("own")))
    with Layout(tmp_path / "l") as layout:
        root = put_index(layout, index)

        loaded = loading.load(engine, layout, root, names=(), progress=SILENT)

    assert loaded.config == index.images[1].config_blob.digest


def test_an_index_without_the_platform_is_refused(engine: Engine, tmp_path: Path) -> None:
    index = Index(images=(image("arm", architecture="arm64"), image("s390", architecture="s390x")))
    with Layout(tmp_path / "l") as layout:
        root = put_index(layout, index)

        with pytest.raises(InputError, match="linux/amd64") as refused:
            loading.load(engine, layout, root, names=(), progress=SILENT)

    assert "linux/arm64" in refused.value.findings[0].hint


def test_a_damaged_layer_never_becomes_an_image(engine: Engine, tmp_path: Path) -> None:
    what = image("whole", "damaged")
    layout, root = layout_with(tmp_path / "l", what)
    path = layout.path_of(what.layers[1].blob.digest)
    path.write_bytes(path.read_bytes().replace(b"damaged", b"Damaged"))

    with pytest.raises(InputError, match="not what was recorded"):
        loading.load(engine, layout, root, names=["acme/damaged:1"], progress=SILENT)

    assert engine.image("acme/damaged:1") is None
    assert engine.image(what.config_blob.digest) is None


def test_what_is_not_there_is_none(engine: Engine) -> None:
    assert engine.image("acme/nothing:1") is None
    assert engine.image(digest_of(b"nothing")) is None
    assert engine.state("0" * 64) is None
    engine.remove("0" * 64)


def test_a_container_of_no_image_cannot_be_made(engine: Engine) -> None:
    with pytest.raises(InputError, match="no such image"):
        engine.create(Container(image="acme/nothing:1"))


def test_the_saved_documents_are_those_of_the_layout(engine: Engine, tmp_path: Path) -> None:
    what = image("first", "last")
    load(engine, tmp_path / "l", what, "acme/saved:1")

    store, root = saved.documents(engine, "acme/saved:1")
    manifest = json.loads(store.read(root))

    config = what.config_blob.descriptor
    assert store.read(config) == b"".join(p for p in _pieces(what) if isinstance(p, bytes))
    assert manifest["config"]["digest"] == config.digest
    assert [layer["digest"] for layer in manifest["layers"]] == [
        layer.diff_id for layer in what.layers
    ]
    last, first = what.layers[1].blob.descriptor, what.layers[0].blob.descriptor
    assert digest_of(store.read(last)) == what.layers[1].diff_id
    with pytest.raises(InputError, match="not kept"):
        store.read(first)


def _pieces(what: Image) -> tuple[object, ...]:
    origin = what.config_blob.origin
    assert isinstance(origin, Pieces)
    return origin.pieces


def test_saving_what_is_not_there_says_so(engine: Engine) -> None:
    with pytest.raises(InputError, match="has no image `acme/nothing:1`"):
        saved.documents(engine, "acme/nothing:1")
    with pytest.raises((InputError, Unavailable)), engine.saved("acme/nothing:1") as blocks:
        list(blocks)


def test_a_saved_stream_may_be_left_in_the_middle(engine: Engine, tmp_path: Path) -> None:
    load(engine, tmp_path / "l", image("left"), "acme/left:1")

    with engine.saved("acme/left:1") as blocks:
        assert next(blocks)

    with engine.saved("acme/left:1") as blocks:
        (tmp_path / "whole.tar").write_bytes(b"".join(blocks))
    with tarfile.open(tmp_path / "whole.tar") as tar:
        assert "manifest.json" in tar.getnames()


def test_an_image_is_gone_with_its_last_name(engine: Engine, tmp_path: Path) -> None:
    what = image("forgotten", engine.about.kind)
    loaded = load(engine, tmp_path / "l", what, "acme/forgotten:1")
    load(engine, tmp_path / "l", what, "acme/forgotten:2")

    engine.forget("acme/forgotten:1")
    assert engine.image("acme/forgotten:1") is None
    assert engine.image(loaded.id) is not None, "it has another name"
    engine.forget("acme/forgotten:2")
    engine.forget("acme/forgotten:2")

    assert engine.image(loaded.id) is None
