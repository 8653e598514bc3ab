"""`modelpack attach`: what is taken, what is refused, and that twice is once."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fakes.upload_server import UploadServer, running_uploads

from modelpack.digest import Digest
from modelpack.oci.image import Index
from modelpack.oci.layout import Layout
from modelpack.oci.referrers import KIND
from modelpack.oci.store import Root
from modelpack.trust import statement as statements
from modelpack.trust.bundle import Chain, MessageSignature
from tests.command_line import Done, run_here
from tests.foreign_evidence import Signer, said
from tests.images import image, nothing, put

IMAGE = image("a")
OTHER = Digest("sha256:" + "0" * 64)
REVIEW = "https://acme.example/review/v1"
CYCLONEDX = {"bomFormat": "CycloneDX", "specVersion": "1.6", "components": [{"type": "library"}]}
SPDX = {"spdxVersion": "SPDX-2.3", "packages": []}
VEX = {"@context": "https://openvex.dev/ns/v0.2.0", "statements": [{"status": "fixed"}]}
SARIF = {"version": "2.1.0", "runs": []}


class Desk:
    """A layout with an image, a registry, and how to attach things."""

    def __init__(self, folder: Path, type_: Callable[..., Done], server: UploadServer) -> None:
        self.folder, self._type, self.server = folder, type_, server
        with Layout(folder / "image") as layout:
            put(layout, IMAGE, "1.0")

    @property
    def layout(self) -> Layout:
        return Layout(self.folder / "image")

    def file(self, content: Any) -> Path:
        path = self.folder / "document"
        path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
        return path

    def attach(
        self, kind: str, content: Any, *options: object, to: str = "", status: int = 0
    ) -> Done:
        name = to or f"oci:{self.folder}/image:1.0"
        done = self._type("attach", name, self.file(content), "--type", kind, *options)
        assert done.status == status, done.err
        return done

    def type(self, *words: object) -> Done:
        return self._type(*words)


@pytest.fixture
def server() -> Iterator[UploadServer]:
    with running_uploads() as running:
        yield running


@pytest.fixture
def desk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    server: UploadServer,
) -> Desk:  # fmt: skip
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MODELPACK_CACHE", str(tmp_path / "cache"))
    return Desk(tmp_path, lambda *words: run_here(capsys, *words), server)


@pytest.fixture(scope="module")
def signer() -> Signer:
    return Signer()


@pytest.mark.parametrize(
    ("kind", "content", "artifact_type"),
    [
        ("sbom", CYCLONEDX, "application/vnd.cyclonedx+json"),
        ("sbom", SPDX, "application/spdx+json"),
        ("sbom-cyclonedx", CYCLONEDX, "application/vnd.cyclonedx+json"),
        ("application/vnd.cyclonedx+json", CYCLONEDX, "application/vnd.cyclonedx+json"),
        ("sbom-spdx", SPDX, "application/spdx+json"),
        ("sarif", SARIF, "application/sarif+json"),
        ("statement", said(REVIEW, {}, IMAGE.digest).as_json(), "application/vnd.in-toto+json"),
        ("application/x-acme", b"\x00\xff", "application/x-acme"),
    ],
)
def test_it_stands_beside_the_image_byte_for_byte_and_once(
    desk: Desk, kind: str, content: Any, artifact_type: str
) -> None:
    first, again = desk.attach(kind, content), desk.attach(kind, content)
    assert first.out == again.out
    (entry,) = desk.layout.referrers(IMAGE.digest)
    assert (entry.digest, entry.artifact_type) == (first.out.strip(), artifact_type)
    assert KIND not in entry.annotations
    (layer,) = desk.layout.image(entry.digest).layers
    assert layer.media_type == artifact_type
    assert desk.layout.read(layer) == desk.file(content).read_bytes()


def test_json_says_what_was_attached(desk: Desk) -> None:
    document = desk.attach("sbom", CYCLONEDX, "--json").document
    (entry,) = desk.layout.referrers(IMAGE.digest)
    (layer,) = desk.layout.image(entry.digest).layers
    assert document == {
        "schema": 1, "digest": entry.digest, "subject": IMAGE.digest,
        "artifact_type": "application/vnd.cyclonedx+json", "content": layer.digest,
        "size": layer.size,
    }  # fmt: skip


def test_a_vex_document_becomes_a_statement_that_scanners_find(desk: Desk) -> None:
    desk.attach("vex", VEX)
    (entry,) = desk.layout.referrers(IMAGE.digest)
    assert entry.annotations == {statements.PREDICATE_TYPE: VEX["@context"]}
    (layer,) = desk.layout.image(entry.digest).layers
    statement = statements.parse(desk.layout.read(layer))
    assert statement.is_about(IMAGE.digest)
    assert statement.predicate == VEX


def test_a_bundle_is_attached_as_cosign_attaches_it(desk: Desk, signer: Signer) -> None:
    bundle = signer.bundle(said(REVIEW, {}, IMAGE.digest))
    desk.attach("bundle", bundle.as_bytes())
    (entry,) = desk.layout.referrers(IMAGE.digest)
    assert entry.artifact_type == "application/vnd.dev.sigstore.bundle.v0.3+json"
    assert entry.annotations["dev.sigstore.bundle.predicateType"] == REVIEW
    assert entry.annotations["dev.sigstore.bundle.content"] == "dsse-envelope"


def test_bundles_at_which_verifiers_stop_are_refused(desk: Desk, signer: Signer) -> None:
    good = signer.bundle(said(REVIEW, {}, IMAGE.digest))
    for bad, why in (
        (replace(good, material=Chain(certificates=(signer.der,))), "one certificate"),
        (replace(good, content=MessageSignature(signature=b"x")), "no statement"),
        (signer.bundle(said(REVIEW, {}, OTHER)), "about something else"),
    ):
        assert why in desk.attach("bundle", bad.as_bytes(), status=2).err
    media_type = "application/vnd.dev.sigstore.bundle.v0.2+json"
    assert "verifiers" in desk.attach(media_type, good.as_bytes(), status=2).err
    assert desk.layout.referrers(IMAGE.digest) == ()


@pytest.mark.parametrize(
    ("kind", "content", "why"),
    [
        ("sbom", {"components": []}, "not a CycloneDX document"),
        ("sbom", b"{", "not valid JSON"),
        ("sbom-spdx", CYCLONEDX, "not an SPDX document"),
        ("sbom-cyclonedx", {**CYCLONEDX, "metadata": {"component": {"version": OTHER}}},
         "the SBOM of another image"),
        ("sbom-spdx", {**SPDX, "packages": [{"primaryPackagePurpose": "CONTAINER",
                                             "versionInfo": OTHER}]}, "the SBOM of another image"),
        ("sbom", {"bomFormat": "CycloneDX", "specVersion": "1.6", "vulnerabilities": []},
         "CycloneDX VEX document"),
        ("statement", said(REVIEW, {}, OTHER).as_json(), "about something else"),
        ("statement", {"_type": "x"}, "not an in-toto statement"),
        ("vex", {"@context": "https://x", "statements": []}, "not an OpenVEX document"),
        ("vex", {"@context": "https://openvex.dev/ns"}, "not a list"),
        ("sarif", {"version": "1"}, "not a SARIF document"),
        ("soup", b"x", "not a kind of evidence"),
        ("a/b c", b"x", "not a kind of evidence"),
        ("a/" + "b" * 300, b"x", "at most 255"),
        ("sbom", b"", "the file is empty"),
    ],
)  # fmt: skip
def test_what_is_something_else_is_refused(desk: Desk, kind: str, content: Any, why: str) -> None:
    done = desk.attach(kind, content, status=2)
    assert why in done.err
    assert desk.layout.referrers(IMAGE.digest) == ()


def test_an_sbom_may_name_the_configuration(desk: Desk) -> None:
    root = {"component": {"version": IMAGE.config_blob.digest}}
    desk.attach("sbom", {**CYCLONEDX, "metadata": root})


def test_a_signature_of_a_model_is_about_its_files(desk: Desk) -> None:
    statement = said("https://model_signing/signature/v1.0", {"resources": []}, OTHER)
    desk.attach("statement", statement.as_json())
    assert len(desk.layout.referrers(IMAGE.digest)) == 1


def test_one_image_of_an_index(desk: Desk) -> None:
    index = Index(images=(image("x"), image("x", architecture="arm64")))
    with Layout(desk.folder / "index") as layout:
        for one in index.images:
            for blob in (*one.blobs, one.manifest_blob):
                layout.write(blob, nothing)
        layout.commit([Root(manifest=index.manifest_blob, tags=("1",))])
    name = f"oci:{desk.folder}/index:1"
    desk.attach("sbom", CYCLONEDX, to=name)
    desk.attach("sbom", SPDX, "--platform", "linux/arm64", to=name)
    assert len(layout.referrers(index.digest)) == 1
    assert len(layout.referrers(index.images[1].digest)) == 1
    assert layout.referrers(index.images[0].digest) == ()


@pytest.mark.parametrize("name", ["oci-archive:x.tar", "docker-archive:x.tar", "docker-daemon:x:1"])
def test_where_nothing_can_be_kept_that_is_said(desk: Desk, name: str) -> None:
    assert "nothing can be kept beside" in desk.attach("sbom", CYCLONEDX, to=name, status=2).err


def test_an_image_that_is_not_there(desk: Desk) -> None:
    name = f"oci:{desk.folder}/image:2.0"
    assert "no image `2.0`" in desk.attach("sbom", CYCLONEDX, to=name, status=2).err


def test_in_a_registry_it_stands_beside_what_is_there(desk: Desk) -> None:
    name = f"{desk.server.address}/acme/minilm:1.0"
    assert desk.type("push", f"oci:{desk.folder}/image:1.0", name).status == 0
    first = desk.attach("sbom", CYCLONEDX, to=name)
    desk.attach("statement", said(REVIEW, {}, IMAGE.digest).as_json(), to=name)
    again = desk.attach("sbom", CYCLONEDX, to=name)
    assert first.out == again.out
    found = desk.type("inspect", name, "--json").document["referrers"]
    assert [one["what"] or one["predicate_type"] for one in found] == ["sbom", REVIEW]
