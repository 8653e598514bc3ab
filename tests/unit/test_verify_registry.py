"""`modelpack verify` of images in registries: by list and by tag, and what cannot be found out."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelpack.oci.layer import INDEX
from modelpack.oci.layout import Layout
from tests import signed_images as made
from tests.command_line import Done, run_here
from tests.described_image import complete
from tests.fakes.registry_server import Fault, RegistryServer, running_registry
from tests.images import image
from tests.sigstore.identity import SOMEBODY
from tests.sigstore.stack import Sigstore, new_sigstore

IMAGE = complete().image()
NAME = "acme/minilm"
LISTED, TAGGED = f"{NAME}/referrers/{IMAGE.digest}", IMAGE.digest.replace(":", "-")


@pytest.fixture(scope="module")
def sigstore() -> Sigstore:
    return new_sigstore()


@pytest.fixture
def registry() -> Iterator[RegistryServer]:
    with running_registry() as running:
        yield running


class Desk:
    """A registry with a signed image, and somebody who verifies it."""

    def __init__(
        self, folder: Path, registry: RegistryServer, sigstore: Sigstore,
        capsys: pytest.CaptureFixture[str],
    ) -> None:  # fmt: skip
        self.folder, self.registry, self.sigstore = folder, registry, sigstore
        self._capsys = capsys
        self.root = made.trusted_root(sigstore, folder)
        self.bundle = made.signed(sigstore, IMAGE.digest)
        made.layout_with(folder / "image", IMAGE, self.bundle)
        layout = Layout(folder / "image")
        for path in (folder / "image" / "blobs" / "sha256").iterdir():
            registry.content[f"{NAME}/blobs/sha256:{path.name}"] = ("text/plain", path.read_bytes())
        entries = [*layout.referrers(IMAGE.digest), IMAGE.manifest_blob.descriptor]
        for entry in entries:
            data = (entry.media_type, layout.read(entry))
            registry.content[f"{NAME}/manifests/{entry.digest}"] = data
        registry.content[f"{NAME}/manifests/1.0"] = data
        listed = [entry.as_json() for entry in layout.referrers(IMAGE.digest)]
        value = {"schemaVersion": 2, "mediaType": INDEX, "manifests": listed}
        self.list = (INDEX, json.dumps(value).encode())

    def verify(self, *options: object) -> Done:
        return run_here(
            self._capsys, "verify", f"{self.registry.address}/{NAME}:1.0", "--trusted-root",
            self.root, "--certificate-identity", SOMEBODY, "--certificate-oidc-issuer",
            self.sigstore.url, *options,
        )  # fmt: skip


@pytest.fixture
def desk(
    tmp_path: Path, registry: RegistryServer, sigstore: Sigstore,
    capsys: pytest.CaptureFixture[str],
) -> Desk:  # fmt: skip
    return Desk(tmp_path, registry, sigstore, capsys)


@pytest.mark.parametrize("place", [LISTED, f"{NAME}/manifests/{TAGGED}"])
def test_bundles_are_found_by_list_and_by_tag(desk: Desk, place: str) -> None:
    desk.registry.content[place] = desk.list
    done = desk.verify()
    assert done.status == 0, done.out
    assert f"image  {IMAGE.digest}" in done.out


def test_a_tag_is_resolved_once(desk: Desk) -> None:
    desk.registry.content[LISTED] = desk.list
    assert desk.verify().status == 0
    assert desk.registry.paths().count(f"/v2/{NAME}/manifests/1.0") == 1


def test_no_list_at_all_is_a_no(desk: Desk) -> None:
    assert desk.verify().status == 1


def test_a_list_that_cannot_be_had_is_no_answer(desk: Desk) -> None:
    desk.registry.content[LISTED] = desk.list
    desk.registry.faults[LISTED] = Fault(statuses=[403] * 9)
    desk.registry.faults[f"{NAME}/manifests/{TAGGED}"] = Fault(statuses=[403] * 9)
    done = desk.verify()
    assert done.status == 3, done.out
    assert "not all that vouches for it could be found" in done.err


@pytest.mark.parametrize("what", ["bundle", "manifest"])
def test_a_bundle_that_cannot_be_had_is_no_answer(desk: Desk, what: str) -> None:
    desk.registry.content[LISTED] = desk.list
    referrer = desk.bundle.manifest(IMAGE.manifest_blob.descriptor)
    place = {
        "bundle": f"{NAME}/blobs/{desk.bundle.content.digest}",
        "manifest": f"{NAME}/manifests/{referrer.digest}",
    }[what]
    desk.registry.faults[place] = Fault(statuses=[403] * 9)
    done = desk.verify("--json")
    assert done.status == 3, done.out
    assert done.document["answer"] == "unknown"


@pytest.mark.parametrize("what", ["bundle", "manifest"])
def test_a_registry_that_sends_something_else_is_a_no(desk: Desk, what: str) -> None:
    desk.registry.content[LISTED] = desk.list
    referrer = desk.bundle.manifest(IMAGE.manifest_blob.descriptor)
    place = {
        "bundle": f"{NAME}/blobs/{desk.bundle.content.digest}",
        "manifest": f"{NAME}/manifests/{referrer.digest}",
    }[what]
    true = desk.registry.content[place][1]
    desk.registry.faults[place] = Fault(content=true[:-2] + b" }")
    assert desk.verify().status == 1


def test_a_tag_that_was_moved_to_another_image_is_a_no(desk: Desk) -> None:
    desk.registry.content[LISTED] = desk.list
    other = image("of somebody else")
    (manifest,) = other.manifest_blob.origin.pieces  # type: ignore[union-attr]
    parts = [blob.origin.pieces[0] for blob in other.blobs]  # type: ignore[union-attr]
    desk.registry.put(NAME, manifest, "1.0", blobs=tuple(parts))  # type: ignore[arg-type]
    # Whoever moved the tag puts the signature of the signed image beside his own.
    desk.registry.content[f"{NAME}/referrers/{other.digest}"] = desk.list
    done = desk.verify()
    assert done.status == 1
    assert f"image  {other.digest}" in done.out
