"""What a scanner is shown: everything but layers that are proved to hold only weights."""

import http.client
import json
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from modelpack.digest import Digest
from modelpack.digest import of as digest_of
from modelpack.errors import InputError, ModelpackError, Unavailable
from modelpack.evidence.scan import subject, view
from modelpack.evidence.scan.serving import served
from modelpack.evidence.scan.sources import OnDisk
from modelpack.evidence.scan.subject import Subject
from modelpack.inspection.reading import read
from modelpack.oci import archive
from modelpack.oci.archive_reading import Archive
from modelpack.oci.image import Image
from modelpack.oci.layer import TAR_GZIP, Blob, Layer, StoredFile
from modelpack.oci.layout import Layout
from tests import described_image, images
from tests.described_image import Described

FILE = "/models/digits/model.safetensors"


@pytest.fixture
def place(tmp_path: Path) -> Callable[[Image], Subject]:
    """Return a function that puts an image into a layout and takes it as a subject from there."""

    def put(image: Image) -> Subject:
        with Layout(tmp_path / "layout") as layout:
            descriptor = images.put(layout, image, "1")
        store = Layout(tmp_path / "layout")
        return subject.stored(OnDisk(store), read(store, descriptor))

    return put


def made() -> Described:
    return described_image.complete()


def config_of(shown: view.View) -> dict:  # type: ignore[type-arg]
    return json.loads(b"".join(shown.config.origin.pieces))  # type: ignore[union-attr,arg-type]


def test_weights_are_left_out_of_layers_configuration_and_history(
    place: Callable[[Image], Subject],
) -> None:
    image = made().image()
    whole = place(image)
    (left_out,) = whole.weights.values()
    assert left_out == (FILE,)
    shown = view.of(whole)
    assert len(shown.layers) == len(image.layers) - 1
    config = config_of(shown)
    assert len(config["rootfs"]["diff_ids"]) == len(shown.layers)
    assert not [step for step in config["history"] if "weights" in step["created_by"]]
    assert shown.image_id != image.config_blob.digest
    assert whole.manifest.digest == image.digest
    assert config["config"] == json.loads(json.dumps(image.config))


def test_an_image_without_weights_is_shown_as_it_is(place: Callable[[Image], Subject]) -> None:
    image = images.image("a", "b")
    shown = view.of(place(image))
    assert (shown.manifest.digest, shown.image_id) == (image.digest, image.config_blob.digest)


def test_a_health_check_is_where_scanners_look_for_it(place: Callable[[Image], Subject]) -> None:
    image = replace(images.image("a"), config={"Healthcheck": {"Test": ["CMD", "true"]}})
    assert config_of(view.of(place(image)))["history"][-1] == view.HEALTHCHECK


def _gzipped(layer: Layer) -> Layer:
    descriptor = replace(layer.blob.descriptor, media_type=TAR_GZIP)
    return replace(layer, blob=replace(layer.blob, descriptor=descriptor))


@pytest.mark.parametrize(
    "change",
    [
        lambda one: images.layer((FILE[1:], bytes(100)), ("etc/passwd", b"")),
        lambda one: images.layer((FILE[1:], bytes(100)), ("models/digits/.wh.x", b"")),
        lambda one: images.layer(("opt/venv/lib/x.dist-info/METADATA", b"Name: x\n")),
        _gzipped,
    ],
    ids=["a file beside", "a whiteout", "a package", "compressed"],
)
def test_a_layer_that_holds_anything_else_is_shown(
    place: Callable[[Image], Subject], change: Callable[[Layer], Layer]
) -> None:
    described = made()
    (own,) = described.weights
    other = replace(change(own), created_by="modelpack weights")
    (locked,) = described.lock.weights
    lock = replace(described.lock, weights=(replace(locked, bundle=other.diff_id),))
    whole = place(replace(described, weights=(other,), lock=lock).image())
    assert whole.weights == {}
    assert len(view.of(whole).layers) == len(whole.layers)


@pytest.mark.parametrize("destination", ["/opt/venv/lib", "/usr/lib", "/", "/opt", "/etc/x"])
def test_weights_in_a_folder_of_packages_are_shown(
    place: Callable[[Image], Subject], destination: str
) -> None:
    described = made()
    (own,) = described.weights
    path = f"{destination.strip('/')}/model.safetensors".lstrip("/")
    layer = replace(images.layer((path, bytes(100))), created_by=own.created_by)
    (locked,) = described.lock.weights
    hidden = replace(locked, destination=destination, bundle=layer.diff_id)
    lock = replace(described.lock, weights=(hidden,))
    assert place(replace(described, weights=(layer,), lock=lock).image()).weights == {}


def test_an_archive_is_shown_as_a_layout_is(tmp_path: Path) -> None:
    image = made().image()
    archive.write(
        tmp_path / "image.tar", image.manifest_blob, image.blobs, kind="docker-archive",
        names=("digits:1",), advance=images.nothing,
    )  # fmt: skip
    with Archive(tmp_path / "image.tar") as opened:
        whole = subject.stored(OnDisk(opened), read(opened, opened.resolve("")))
        assert [*whole.weights.values()] == [(FILE,)]
        shown = view.of(whole)
        assert fetched(shown, shown.layers[0]) == b"".join(
            image.layers[0].blob.origin.pieces  # type: ignore[union-attr,arg-type]
        )


def ask(name: str, method: str, path: str) -> tuple[int, bytes, dict[str, str]]:
    host, _, _ = name.partition("/")
    connection = http.client.HTTPConnection(host, timeout=10)
    try:
        connection.request(method, path)
        reply = connection.getresponse()
        return reply.status, reply.read(), dict(reply.headers)
    finally:
        connection.close()


def place_of(name: str) -> str:
    _, _, rest = name.partition("/")
    return f"/v2/{rest.partition('@')[0]}"


def fetched(shown: view.View, blob: Blob) -> bytes:
    with served(shown) as name:
        return ask(name, "GET", f"{place_of(name)}/blobs/{blob.digest}")[1]


def test_the_view_can_be_pulled(place: Callable[[Image], Subject]) -> None:
    shown = view.of(place(made().image()))
    with served(shown) as name:
        assert name.startswith("127.0.0.1:")
        assert ask(name, "GET", "/v2/")[0] == 200
        status, data, headers = ask(
            name, "GET", f"{place_of(name)}/manifests/{shown.manifest.digest}"
        )
        assert (status, digest_of(data)) == (200, shown.manifest.digest)
        assert headers["Content-Type"] == shown.manifest.descriptor.media_type
        for layer in shown.layers:
            path = f"{place_of(name)}/blobs/{layer.digest}"
            status, data, _ = ask(name, "HEAD", path)
            assert (status, data) == (200, b"")
            assert digest_of(ask(name, "GET", path)[1]) == layer.digest


def test_nothing_else_can_be_pulled(place: Callable[[Image], Subject]) -> None:
    whole = place(made().image())
    shown = view.of(whole)
    (weights,) = whole.weights
    with served(shown) as name:
        for path in (
            f"{place_of(name)}/blobs/{weights}",
            f"/v2/image/blobs/{shown.layers[0].digest}",
            f"{place_of(name)}/manifests/latest",
            "/",
        ):
            assert ask(name, "GET", path)[0] == 404


def test_nobody_listens_afterwards(place: Callable[[Image], Subject]) -> None:
    before = threading.active_count()
    with served(view.of(place(images.image("a")))) as name:
        pass
    with pytest.raises(OSError, match="refused"):
        ask(name, "GET", "/v2/")
    assert threading.active_count() == before


def test_a_damaged_layer_is_named_whatever_the_scanner_says(
    place: Callable[[Image], Subject],
) -> None:
    shown = view.of(place(images.image("a", "b")))
    origin = shown.layers[0].origin
    assert isinstance(origin, StoredFile)
    Path(origin.path).write_bytes(bytes(shown.layers[0].size))
    with pytest.raises(InputError) as damaged:
        _fail_over(shown, shown.layers[0])
    assert "not what was recorded" in str(damaged.value)
    assert damaged.value.findings[0].at == origin.path


def _fail_over(shown: view.View, blob: Blob) -> None:
    with served(shown) as name:
        with pytest.raises(http.client.IncompleteRead):
            ask(name, "GET", f"{place_of(name)}/blobs/{blob.digest}")
        raise Unavailable("the scanner met the end of a file")


def test_an_image_that_was_built_is_shown_without_its_weights() -> None:
    described = made()
    image = described.image()
    (own,) = described.weights
    weights: dict[Digest, tuple[str, ...]] = {own.blob.digest: (FILE,)}
    built = subject.built(image, described.lock.platforms[0], weights)
    assert built.manifest == image.manifest_blob.descriptor
    assert len(view.of(built).layers) == len(image.layers) - 1
    assert {package.type for package in built.packages} <= {"deb", "wheel"}


def test_a_configuration_that_does_not_fit_is_refused(place: Callable[[Image], Subject]) -> None:
    whole = place(made().image())
    config = json.loads(whole.config)
    config["rootfs"]["diff_ids"].pop()
    with pytest.raises(ModelpackError, match="do not fit together"):
        view.of(replace(whole, config=json.dumps(config).encode()))
