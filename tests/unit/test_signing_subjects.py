"""Which images one name stands for, and what stands beside them that is no image."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from modelpack.oci.image import Index
from modelpack.oci.layer import INDEX, MANIFEST, Descriptor, blob_of
from modelpack.oci.layout import Layout
from modelpack.oci.referrers import EMPTY
from modelpack.oci.store import Root
from modelpack.signing import subjects
from modelpack.trust.statement import MEDIA_TYPE
from tests.images import image, nothing


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Layout]:
    with Layout(tmp_path / "layout") as layout:
        yield layout


def test_an_index_and_its_images_but_not_what_buildkit_puts_there(store: Layout) -> None:
    amd64, arm64 = image("a"), image("b", architecture="arm64")
    for one in (amd64, arm64):
        for blob in (*one.blobs, one.manifest_blob):
            store.write(blob, nothing)
    said = blob_of(b"{}", MEDIA_TYPE)
    attestation = blob_of(
        json.dumps({
            "schemaVersion": 2, "mediaType": MANIFEST, "config": EMPTY.descriptor.as_json(),
            "layers": [said.descriptor.as_json()],
        }).encode(),
        MANIFEST,
    )  # fmt: skip
    for blob in (said, EMPTY, attestation):
        store.write(blob, nothing)
    entries = [*(one.as_json() for one in listed(Index(images=(amd64, arm64))))]
    entries.append(
        replace(
            attestation.descriptor,
            annotations={"vnd.docker.reference.type": "attestation-manifest"},
        ).as_json()
    )
    whole = blob_of(
        json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}).encode(), INDEX
    )
    store.commit([Root(manifest=whole, tags=("1",))])
    found, findings = subjects.of(store, store.resolve("1"))
    assert [(one.role, one.descriptor.digest) for one in found] == [
        ("index", whole.digest), ("serve", amd64.digest), ("serve", arm64.digest),
    ]  # fmt: skip
    assert findings == ()


def listed(index: Index) -> list[Descriptor]:
    return [one.manifest_blob.descriptor for one in index.images]


def test_an_image_alone(store: Layout) -> None:
    one = image("a")
    for blob in one.blobs:
        store.write(blob, nothing)
    store.commit([Root(manifest=one.manifest_blob, tags=("1",))])
    found, _ = subjects.of(store, store.resolve("1"))
    assert [(item.role, item.descriptor.digest) for item in found] == [("serve", one.digest)]
