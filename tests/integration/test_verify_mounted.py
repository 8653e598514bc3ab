"""Mounted weights are verified with the image that serves, and go to a stage with it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from modelpack import reference
from modelpack.digest import Digest
from modelpack.errors import Unavailable
from modelpack.oci.layer import Descriptor
from modelpack.oci.layout import Layout
from modelpack.oci.registry.settings import Settings
from modelpack.oci.registry.writing import WritableRepository
from modelpack.trust.predicate_types import OMS, PROVENANCE, SIGNATURE
from modelpack.trust.statement import MEDIA_TYPE
from modelpack.verifying.gathering import gather
from tests import projects
from tests.command_line import Done, run_here
from tests.registries import RunningRegistry, running
from tests.sigstore.certificates import new_key, private_pem, public_pem

pytestmark = pytest.mark.integration

MOUNTED = projects.TOML.replace('path = "weights"', 'path = "weights"\nmode = "mount"')
POLICY = """
schema = 1
log = false
[signers.builder]
key = "key.pub"
[signature]
signers = ["builder"]
[provenance]
[sbom]
[weights]
signers = ["builder"]
[formats]
forbid = ["*"]
[stages.staging]
signers = ["builder"]
approver-not-builder = false
"""


@pytest.fixture(scope="module")
def registry(
    tmp_path_factory: pytest.TempPathFactory, go_tool: Callable[[str], str],
    require_tool: Callable[[str], str],
) -> Iterator[RunningRegistry]:  # fmt: skip
    folder = tmp_path_factory.mktemp("olareg")
    with running("olareg", folder, go_tool=go_tool, require_tool=require_tool) as one:
        yield one


class Desk:
    """A signed image with mounted weights in a repository, and somebody who types."""

    def __init__(self, root: Path, repository: str, type_: Callable[..., Done]) -> None:
        self.root, self.name, self._type = root, f"{repository}:1.0.0", type_
        key = new_key()
        (root / "key.pem").write_bytes(private_pem(key))
        (root / "key.pub").write_bytes(public_pem(key.public_key()))
        (root / "policy.toml").write_text(POLICY, "utf-8")
        folder = projects.make_project(root / "project", root / "cache", toml=MOUNTED)
        record = self.type("build", folder, "--locked", "--offline", "--json").document
        roles = {one["role"]: one["digest"] for one in record["images"]}
        self.serving, self.weights = roles["serve"], roles["weights"]
        self.layout = folder / "dist" / "image"
        self.type("push", folder, self.name)
        self.type("sign", self.name, "--key", root / "key.pem", "--no-log")
        found = reference.parse(self.name, at="IMAGE")
        assert isinstance(found, reference.Registry)
        self.store = WritableRepository(found, Settings(environment={}), deletes=True)

    def type(self, *words: object, status: int = 0) -> Done:
        done = self._type(*words)
        assert done.status == status, f"{done.err}\n{done.out}"
        return done

    def verify(self, *options: object, name: object = None, status: int = 0) -> Any:
        return self.type(
            "verify", name or self.name, "--policy", self.root / "policy.toml", "--json", *options,
            status=status,
        ).document  # fmt: skip

    def promote(self, *, status: int = 0) -> Any:
        return self.type(
            "promote", self.name, "--to", "staging", "--policy", self.root / "policy.toml",
            "--key", self.root / "key.pem", "--no-log", "--json", status=status,
        ).document  # fmt: skip

    def forget(self, kind: str) -> None:
        """Remove what is signed of a predicate type from beside the weights image."""
        for entry in self.store.referrers(Digest(self.weights)):
            if kind in entry.annotations.values() and entry.artifact_type != MEDIA_TYPE:
                self.store.delete_manifest(entry.digest)


@pytest.fixture
def desk(
    tmp_path: Path, registry: RunningRegistry, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Desk:  # fmt: skip
    monkeypatch.setenv("MODELPACK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("MODELPACK_CONFIG", str(tmp_path / "none.toml"))
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    return Desk(tmp_path, registry.repository(), lambda *words: run_here(capsys, *words))


def outcomes(report: Any, role: str) -> dict[str, str]:
    (judged,) = [one for one in report["judged"] if one["role"] == role]
    return {one["name"]: one["outcome"] for one in judged["requirements"]}


def test_both_images_are_verified_and_promoted(desk: Desk, tmp_path: Path) -> None:
    report = desk.verify()
    assert [(one["role"], one["digest"]) for one in report["judged"]] == [
        ("image", desk.serving), ("weights", desk.weights),
    ]  # fmt: skip
    asked = ("signature", "provenance", "sbom", "weights")
    assert outcomes(report, "weights") == dict.fromkeys(asked, "met")
    assert desk.promote()["digest"] == desk.serving
    assert desk.store.held_by("staging") == desk.serving
    assert desk.store.held_by("staging-weights") == desk.weights

    desk.type("copy", desk.name, f"oci-archive:{tmp_path / 'both.tar'}")
    assert desk.verify(name=f"oci-archive:{tmp_path / 'both.tar'}")["answer"] == "verified"
    assert desk.verify("--stage", "staging")["answer"] == "verified"


@pytest.mark.parametrize(
    ("kind", "name"),
    [(SIGNATURE, "signature"), (PROVENANCE, "provenance"), (OMS, "weights")],
)
def test_what_the_weights_image_lacks_is_a_no(desk: Desk, kind: str, name: str) -> None:
    desk.forget(kind)
    report = desk.verify(status=1)
    assert outcomes(report, "weights")[name] == "failed"
    assert "failed" not in outcomes(report, "image").values()
    assert desk.promote(status=1)["event"] == "refused"
    assert desk.verify("--no-weights-image")["answer"] == "verified"


def test_a_weights_image_that_is_not_there_is_a_no(desk: Desk) -> None:
    desk.store.delete_manifest(Digest(desk.weights))
    report = desk.verify(status=1)
    assert outcomes(report, "weights") == {"weights image": "failed"}
    assert desk.promote(status=1)["event"] == "refused"
    assert desk.store.held_by("staging") is None
    assert len(desk.verify("--no-weights-image")["judged"]) == 1


class Silent(Layout):
    """A place that does not answer for some images."""

    def resolve(self, name: str) -> Descriptor:
        if name.startswith("sha256:"):
            raise Unavailable("nobody answers")
        return super().resolve(name)


def test_a_weights_image_that_cannot_be_asked_for_is_unknown(desk: Desk) -> None:
    store = Silent(desk.layout)
    (mounted,) = gather(store, store.resolve("1.0.0")).mounted
    assert (mounted.named, mounted.facts, mounted.gone) == (desk.weights, None, False)
    assert mounted.why == "nobody answers"
    assert gather(store, store.resolve("1.0.0"), weights=False).mounted == ()
