"""What is kept of the stream of an engine: the same however it is cut, whatever it holds."""

import io
import json
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelpack.digest import Digest, hex_of
from modelpack.digest import of as digest_of
from modelpack.engine import saved
from modelpack.engine.value import HeldImage
from modelpack.errors import InputError, ModelpackError
from modelpack.oci.archive import Streamed
from modelpack.oci.image import Image
from modelpack.oci.layer import Blob, Descriptor
from tests.images import image

if TYPE_CHECKING:
    from modelpack.engine.door import Engine

IMAGE = image("first", "last")
HELD = HeldImage(
    id=IMAGE.config_blob.digest, names=(), platform=IMAGE.platform, config={},
    diff_ids=tuple(layer.diff_id for layer in IMAGE.layers),
)  # fmt: skip


class Sender:
    """An engine that has one image, and sends what it is told to."""

    about = "an engine"

    def __init__(self, blocks: list[bytes], held: HeldImage = HELD) -> None:
        self.blocks, self.held = blocks, held

    def image(self, name: str) -> HeldImage:
        return self.held

    @contextmanager
    def saved(self, name: str) -> Iterator[Iterator[bytes]]:
        yield iter(self.blocks)


def documents(blocks: list[bytes], held: HeldImage = HELD) -> tuple[saved.SavedImage, Descriptor]:
    return saved.documents(cast("Engine", Sender(blocks, held)), "x")


def content(blob: Blob) -> bytes:
    return b"".join(p for p in blob.origin.pieces if isinstance(p, bytes))  # type: ignore[union-attr]


def tar(**members: bytes | str) -> bytes:
    """Return a tar; a text is what a symbolic link points to, `__` a slash, `_` a point."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for key, data in members.items():
            info = tarfile.TarInfo(key.replace("__", "/").replace("_", "."))
            if isinstance(data, str):
                info.type, info.linkname = tarfile.SYMTYPE, data
                archive.addfile(info)
            else:
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
    return stream.getvalue()


def old_form(**changes: bytes | str) -> bytes:
    """Return what Docker before 25 sends: layers first, under names that say nothing."""
    first, last = (content(layer.blob) for layer in IMAGE.layers)
    listing = [{"Config": "c.json", "RepoTags": ["x:1"], "Layers": ["0/layer.tar", "1/layer.tar"]}]
    members: dict[str, bytes | str] = {
        "a_tar": first, "0__layer_tar": "../a.tar", "1__layer_tar": last,
        "c_json": content(IMAGE.config_blob), "manifest_json": json.dumps(listing).encode(),
    }  # fmt: skip
    return tar(**{**members, **changes})


def new_form(what: Image = IMAGE) -> bytes:
    return b"".join(Streamed(what.manifest_blob, what.blobs, names=["x:1"]))


def manifest(store: saved.SavedImage, root: Descriptor) -> Any:
    return json.loads(store.read(root))


@given(st.lists(st.integers(1, 3000), min_size=1, max_size=40))
def test_however_the_stream_is_cut_the_same_is_kept(sizes: list[int]) -> None:
    data, blocks, at = new_form(), [], 0
    while at < len(data):
        size = sizes[len(blocks) % len(sizes)]
        blocks.append(data[at : at + size])
        at += size

    store, root = documents(blocks)

    assert root.digest == IMAGE.digest
    assert store.read(IMAGE.config_blob.descriptor) == content(IMAGE.config_blob)
    assert store.read(IMAGE.layers[1].blob.descriptor) == content(IMAGE.layers[1].blob)


@given(st.integers(0, len(old_form()) - 1))
def test_a_stream_that_ends_early_is_refused_and_nothing_else_happens(end: int) -> None:
    data = old_form()
    needed = len(data.rstrip(b"\0"))
    try:
        store, root = documents([data[:end]])
    except ModelpackError:
        assert end <= needed
        return
    assert end >= needed - 1
    assert manifest(store, root)["config"]["digest"] == HELD.id


@given(st.integers(0, len(old_form()) - 1), st.integers(1, 255))
def test_a_damaged_stream_never_gives_another_image(position: int, flip: int) -> None:
    data = bytearray(old_form())
    data[position] ^= flip
    try:
        store, root = documents([bytes(data)])
        config = Digest(manifest(store, root)["config"]["digest"])
        value = store.read(replace(IMAGE.config_blob.descriptor, digest=config))
    except ModelpackError:
        return
    assert digest_of(value) == config


def test_the_old_form_gives_layers_by_diff_id_with_their_sizes() -> None:
    store, root = documents([old_form()])

    assert manifest(store, root)["layers"] == [
        {"digest": layer.diff_id, "mediaType": "application/vnd.oci.image.layer.v1.tar",
         "size": layer.blob.size}
        for layer in IMAGE.layers
    ]  # fmt: skip
    assert digest_of(store.read(IMAGE.layers[1].blob.descriptor)) == HELD.diff_ids[1]


def test_only_documents_and_the_last_layer_are_kept() -> None:
    store, _ = documents([new_form()])

    with pytest.raises(InputError, match="not kept"):
        store.read(IMAGE.layers[0].blob.descriptor)


def test_a_large_layer_passes_by(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saved, "LAYER_LIMIT", 1500)

    store, root = documents([old_form()])

    assert manifest(store, root)["config"]["digest"] == HELD.id
    with pytest.raises(InputError, match="not kept"):
        store.read(IMAGE.layers[1].blob.descriptor)


def test_documents_have_no_room_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saved, "DOCUMENT_LIMIT", 10)

    with pytest.raises(InputError, match=r"saved no `manifest\.json`"):
        documents([old_form()])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"manifest_json": b"[]"}, "saved no image"),
        ({"manifest_json": b"[7]"}, "not an image"),
        ({"manifest_json": b'[{"Config": "no.json", "Layers": []}]'}, r"no `no\.json`"),
        ({"manifest_json": b'[{"Config": "c.json", "Layers": []}]'}, "do not fit"),
        ({"manifest_json": b'[{"Config": "c.json", "Layers": [7, 8]}]'}, "not a text"),
        ({"c_json": b"{}"}, "do not fit"),
        ({"c_json": b"{"}, "not valid JSON"),
    ],
)
def test_what_an_engine_says_wrong_is_refused(changes: dict[str, bytes], message: str) -> None:
    with pytest.raises(InputError, match=message):
        documents([old_form(**changes)])


def test_the_manifest_of_the_containerd_store_is_the_images_own() -> None:
    store, root = documents([new_form()], replace(HELD, id=IMAGE.digest))

    assert root.digest == IMAGE.digest
    assert store.read(root) == content(IMAGE.manifest_blob)
    assert hex_of(root.digest) == hex_of(IMAGE.manifest_blob.digest)
