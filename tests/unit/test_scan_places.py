"""Images that are scanned where they are: in a registry and in an engine, without their weights."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from modelpack import reference
from modelpack.cli import environment
from modelpack.digest import Digest
from modelpack.digest import of as digest_of
from modelpack.engine import saved_layers
from modelpack.engine.value import HeldImage
from modelpack.errors import InputError, ModelpackError, Unavailable
from modelpack.evidence.scan import places, serving, view
from modelpack.evidence.scan.sources import Far
from modelpack.evidence.scan.subject import layers_of
from modelpack.inputs.machine import Machine
from modelpack.oci.archive import Streamed
from modelpack.oci.image import Image
from modelpack.oci.layer import TAR, Blob, Descriptor, Remote, blob_of
from modelpack.reference import Reference
from tests.described_image import complete
from tests.fakes.registry_server import Fault, RegistryServer, running_registry
from tests.images import image, layer

if TYPE_CHECKING:
    from modelpack.engine.door import Engine

FILE = "/models/digits/model.safetensors"


def content(blob: Blob) -> bytes:
    return b"".join(p for p in blob.origin.pieces if isinstance(p, bytes))  # type: ignore[union-attr]


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MODELPACK_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir()
    return environment.machine()


class Sender:
    """An engine that has one image."""

    about = "an engine"

    def __init__(self, what: Image) -> None:
        self.what = what
        self.held = HeldImage(
            id=what.config_blob.digest, names=(), platform=what.platform, config={},
            diff_ids=tuple(one.diff_id for one in what.layers),
        )  # fmt: skip

    def image(self, name: str) -> HeldImage:
        return self.held

    @contextmanager
    def saved(self, name: str) -> Iterator[Iterator[bytes]]:
        yield iter(Streamed(self.what.manifest_blob, self.what.blobs, names=["x:1"]))


def served(shown: view.View) -> list[bytes]:
    """Return what a scanner gets of each layer."""
    return [b"".join(serving._blocks(blob)) for blob in shown.layers]


class TestRegistry:
    """Layers are fetched when they are wanted."""

    @pytest.fixture
    def server(self) -> Iterator[RegistryServer]:
        with running_registry() as running:
            yield running

    def put(self, server: RegistryServer, what: Image) -> Reference:
        blobs = tuple(content(blob) for blob in what.blobs)
        server.put("acme/x", content(what.manifest_blob), "1", blobs=blobs)
        return reference.parse(f"{server.address}/acme/x:1")

    def test_weights_are_told_apart_and_all_else_is_there(
        self, server: RegistryServer, machine: Machine
    ) -> None:
        what = complete().image()
        name = self.put(server, what)
        with places.subjects(
            name, platform="", engines=environment.engine_for, machine=machine
        ) as (found,):
            assert found.manifest.digest == what.digest
            assert list(found.weights.values()) == [(FILE,)]
            assert found.by_headers
            shown = view.of(found)
            weights = set(found.weights)
            expected = [content(one.blob) for one in what.layers if one.blob.digest not in weights]
            assert served(shown) == expected

    def test_what_a_lock_at_hand_names_needs_no_look(
        self, server: RegistryServer, machine: Machine
    ) -> None:
        made = complete()
        name = self.put(server, made.image())
        known = layers_of(made.lock)
        (weights,) = known
        del server.content[f"acme/x/blobs/{weights}"]
        with places.subjects(
            name, platform="", engines=environment.engine_for, machine=machine, known=known
        ) as (found,):
            assert set(found.weights) == known
            assert not found.by_headers
        assert layers_of(None) == frozenset()

    def test_a_connection_that_is_cut_goes_on(
        self, server: RegistryServer, machine: Machine
    ) -> None:
        what = image("a" * 500_000)
        name = self.put(server, what)
        (only,) = what.layers
        with places.subjects(
            name, platform="", engines=environment.engine_for, machine=machine
        ) as (found,):
            path = f"acme/x/blobs/{only.blob.digest}"
            server.faults[path] = Fault(cuts=[100_000, 200_000])
            assert served(view.of(found)) == [content(only.blob)]
            server.faults[path] = Fault(statuses=[404, 404])
            with pytest.raises(Unavailable):
                served(view.of(found))


class Ranged:
    """A repository with one blob, which counts what is asked of it."""

    repository = "x"

    def __init__(self, data: bytes) -> None:
        self.data, self.sent = data, 0

    def blob(self, descriptor: Descriptor) -> Blob:
        return Blob(descriptor=descriptor, origin=Remote(cast("places.Far", self)))  # type: ignore[arg-type]

    def chunks(self, descriptor: Descriptor, start: int, length: int) -> Iterator[bytes]:
        self.sent += length
        yield self.data[start : start + length]


def test_of_a_layer_in_a_registry_only_headers_are_fetched() -> None:
    files = [(f"models/{n}.safetensors", bytes(300_000)) for n in range(4)]
    data = content(layer(*files, align=4096).blob)
    repository = Ranged(data)
    descriptor = blob_of(data, TAR).descriptor
    assert Far(repository).names(descriptor) == {name for name, _ in files}
    assert repository.sent < len(data) // 8


def test_a_layer_of_too_many_files_is_not_asked_about_one_by_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("modelpack.evidence.scan.sources._REQUESTS", 2)
    files = [(f"models/{n}", bytes(50_000)) for n in range(9)]
    data = content(layer(*files).blob)
    with pytest.raises(InputError, match="too many files"):
        Far(Ranged(data)).names(blob_of(data, TAR).descriptor)


class TestEngine:
    """The engine sends all; what is looked at is kept meanwhile."""

    def test_weights_pass_by_and_all_else_is_kept(self, machine: Machine, tmp_path: Path) -> None:
        what = complete().image()
        engine = cast("Engine", Sender(what))
        name = reference.parse("docker-daemon:x:1")
        with places.subjects(name, platform="", engines=lambda _: engine, machine=machine) as (
            found,
        ):
            assert list(found.weights.values()) == [(FILE,)]
            assert not found.by_headers
            weights = set(found.weights)
            kept = [one for one in what.layers if one.blob.digest not in weights]
            assert served(view.of(found)) == [content(one.blob) for one in kept]
            (folder,) = (tmp_path / "cache" / "scratch").iterdir()
            assert len(list(folder.iterdir())) == len(kept)
        assert not list((tmp_path / "cache" / "scratch").iterdir())

    def test_a_layer_that_holds_more_than_weights_is_looked_at(self, machine: Machine) -> None:
        """The lock in the image names a layer as weights that has one more file."""
        holds_more = layer((FILE[1:], b"x"), ("models/digits/evil.so", b"y"))
        made = complete()
        (weights,) = made.lock.weights
        lied = replace(weights, bundle=holds_more.diff_id)
        made = replace(made, lock=replace(made.lock, weights=(lied,)), weights=(holds_more,))
        what = made.image()
        assert holds_more.diff_id in {one.diff_id for one in what.layers}
        engine = cast("Engine", Sender(what))
        name = reference.parse("docker-daemon:x:1")
        with places.subjects(name, platform="", engines=lambda _: engine, machine=machine) as (
            found,
        ):
            assert not found.weights
            assert served(view.of(found)) == [content(one.blob) for one in what.layers]

    def test_what_an_engine_did_not_send_is_not_there(self, tmp_path: Path) -> None:
        what, other = image("a"), Digest("sha256:" + "0" * 64)
        engine = cast("Engine", Sender(what))
        one = what.layers[0].blob
        kept = saved_layers.keep(engine, "x", wanted={other: one.size}, others={}, folder=tmp_path)
        descriptor = replace(one.descriptor, digest=other)
        with pytest.raises(ModelpackError, match="did not send"):
            kept.blob(descriptor)
        with pytest.raises(ModelpackError, match="did not send"):
            kept.names(descriptor)
        assert not list(tmp_path.iterdir())

    def test_names_come_from_what_was_hashed(self, tmp_path: Path) -> None:
        what = image("a", "b" * 5000)
        engine = cast("Engine", Sender(what))
        second = what.layers[1].blob
        kept = saved_layers.keep(
            engine, "x", wanted={}, others={second.digest: second.size}, folder=tmp_path
        )
        assert kept.names(second.descriptor) == {"file1"}
        assert digest_of(content(second)) == second.digest
