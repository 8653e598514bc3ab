"""What `build` writes beside an image, and what `inspect` and `sbom` make of it and of others'."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from modelpack.digest import Digest
from modelpack.oci.layer import blob_of
from modelpack.oci.layout import Layout
from modelpack.oci.referrers import Referrer
from modelpack.trust import statement
from modelpack.trust.statement import Statement, about
from tests import projects
from tests.command_line import Done, run_here
from tests.described_image import complete
from tests.fakes.registry_server import running_registry
from tests.images import put

TOML = (
    projects.TOML
    + """
[card]
intended-use = "Tests"
[evaluation]
report = "evaluation.json"
"""
)
WEIGHTS = "model-00001-of-00002.safetensors"


class Desk:
    """A project and how to type commands about it."""

    def __init__(self, folder: Path, cache: Path, type_: Callable[..., Done]) -> None:
        self.folder, self.cache, self._type = folder, cache, type_

    def type(self, command: str, *words: object, status: int = 0) -> Done:
        done = self._type(command, *words)
        assert done.status == status, done.err
        return done

    def build(self, *options: object, status: int = 0) -> Done:
        return self.type(
            "build", self.folder, "--locked", "--offline", "--json", *options, status=status
        )

    @property
    def layout(self) -> Layout:
        return Layout(self.folder / "dist" / "image")

    @property
    def digest(self) -> Digest:
        return self.layout.manifests()[0].digest

    def attach(self, *referrers: Referrer) -> None:
        with self.layout as layout:
            layout.attach(layout.manifests()[0], referrers)

    def dist(self, name: str) -> Any:
        return json.loads((self.folder / "dist" / name).read_bytes())


@pytest.fixture
def desk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Desk:
    cache = tmp_path / "cache"
    monkeypatch.setenv("MODELPACK_CACHE", str(cache))
    monkeypatch.setenv("MODELPACK_CONFIG", str(tmp_path / "none.toml"))
    files = {**projects.CODE, "evaluation.json": b'{"accuracy": 0.90}'}
    folder = projects.make_project(tmp_path / "project", cache, toml=TOML, files=files)
    return Desk(folder, cache, lambda *words: run_here(capsys, *words))


def said(kind: str, predicate: dict[str, Any], digest: Digest) -> Statement:
    return Statement(subjects=about("x", digest), predicate_type=kind, predicate=predicate)


def kinds(done: Done) -> list[str]:
    return [item["kind"] or item["predicate_type"] for item in done.document["referrers"]]


class TestBuild:
    """What stands beside an image after a build."""

    def test_the_record_names_every_statement(self, desk: Desk) -> None:
        record = desk.build().document
        assert [item["kind"] for item in record["evidence"]] == ["sbom", "provenance", "oms"]
        assert {item["file"] for item in record["evidence"]} == {
            "sbom.cdx.json", "provenance.json", "oms.json",
        }  # fmt: skip
        assert all(item["images"] == [record["digest"]] for item in record["evidence"])

    def test_the_image_is_the_same_and_the_time_is_another(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("modelpack.cli.environment.now", lambda: 1_800_000_000)
        first, before = desk.build().document, desk.dist("provenance.json")
        monkeypatch.setattr("modelpack.cli.environment.now", lambda: 1_900_000_000)
        second, after = desk.build().document, desk.dist("provenance.json")
        assert first["digest"] == second["digest"]
        assert before["predicate"]["runDetails"]["metadata"]["startedOn"] == "2027-01-15T08:00:00Z"
        assert after["predicate"]["runDetails"]["metadata"]["startedOn"] == "2030-03-17T17:46:40Z"
        assert len(desk.layout.referrers(first["digest"])) == 3

    def test_the_environment_says_who_builds(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("MODELPACK_BUILDER_ID", "https://ci.example/workflow")
        monkeypatch.setenv("MODELPACK_INVOCATION_ID", "https://ci.example/runs/7")
        desk.build()
        run = desk.dist("provenance.json")["predicate"]["runDetails"]
        assert run["builder"]["id"] == "https://ci.example/workflow"
        assert run["metadata"]["invocationId"] == "https://ci.example/runs/7"

    def test_without_the_weights_their_digests_are_not_vouched_for(self, desk: Desk) -> None:
        desk.build()
        assert (desk.folder / "dist" / "oms.json").exists()
        for file in (desk.folder / "weights").iterdir():
            file.unlink()
        (desk.folder / "weights").rmdir()
        (desk.folder / "service" / "__main__.py").write_text("print('edited')\n")
        record = desk.build().document
        assert [item["kind"] for item in record["evidence"]] == ["sbom", "provenance"]
        assert not (desk.folder / "dist" / "oms.json").exists()
        inputs = desk.dist("provenance.json")["predicate"]["buildDefinition"]
        proofs = {
            item["name"]: item["annotations"]["proof"]
            for item in inputs["resolvedDependencies"]
            if item["annotations"]["role"] == "weights"
        }
        assert proofs[f"tiny/{WEIGHTS}"] == "lock"

    def test_the_evaluation_is_in_the_card(self, desk: Desk) -> None:
        desk.build()
        models = [
            component for component in desk.dist("sbom.cdx.json")["components"]
            if component["type"] == "machine-learning-model"
        ]  # fmt: skip
        assert models[0]["modelCard"]["quantitativeAnalysis"] == {
            "performanceMetrics": [{"type": "accuracy", "value": "0.90"}]
        }

    def evaluate(self, desk: Desk, weights: str = "", require: str = "") -> str:
        """Write a report about `weights` (default: the locked ones) and bounds; return them."""
        toml = desk.folder / "modelpack.toml"
        toml.write_text(TOML + f"require = {{ {require} }}\n" if require else TOML)
        lock = json.loads((desk.folder / "modelpack.lock").read_bytes())
        digest = weights or str(lock["weights"][0]["digest"])
        report = {"weights": digest, "accuracy": 0.9, "slices": {"en": {"f1": 0.7}}}
        (desk.folder / "evaluation.json").write_text(json.dumps(report))
        return digest

    def test_what_was_evaluated_is_stated_and_found_again(self, desk: Desk) -> None:
        digest = self.evaluate(desk, require='accuracy = ">= 0.9", "slices.en.f1" = ">= 0.5"')
        assert desk.build().document["findings"] == []
        said = desk.dist("evaluation.json")
        assert said["predicate"]["weights"] == digest
        assert said["predicate"]["metrics"] == [
            {"name": "accuracy", "value": "0.9"}, {"name": "f1", "slice": "en", "value": "0.7"},
        ]  # fmt: skip
        assert [one["metric"] for one in said["predicate"]["requirements"]] == [
            "accuracy", "slices.en.f1",
        ]  # fmt: skip
        raw = desk.type("inspect", desk.folder, "--raw", "evaluation")
        assert json.loads(raw.out) == said
        assert "2 numbers in 1 slice of" in desk.type("inspect", desk.folder).out
        (model,) = (
            component for component in desk.dist("sbom.cdx.json")["components"]
            if component["type"] == "machine-learning-model"
        )  # fmt: skip
        assert model["modelCard"]["quantitativeAnalysis"]["performanceMetrics"] == [
            {"type": "accuracy", "value": "0.9"}, {"slice": "en", "type": "f1", "value": "0.7"},
        ]  # fmt: skip

    @pytest.mark.parametrize("command", ["check", "build"])
    def test_each_bound_that_is_missed_is_a_no(self, desk: Desk, command: str) -> None:
        self.evaluate(desk, require='accuracy = "> 0.9", recall = ">= 0.5", "slices.en.f1" = "< 1"')
        done = desk.type(command, desk.folder, status=1)
        assert "evaluation.require.accuracy: it is `0.9`, and must be > 0.9" in done.err
        assert "evaluation.require.recall: the report has no number `recall`" in done.err
        assert "slices.en.f1: it is" not in done.err
        assert not (desk.folder / "dist" / "image" / "index.json").exists()

    @pytest.mark.parametrize("command", ["check", "build"])
    def test_a_report_about_other_weights_is_a_no(self, desk: Desk, command: str) -> None:
        self.evaluate(desk, weights=f"sha256:{'0' * 64}")
        done = desk.type(command, desk.folder, status=1)
        assert "evaluation.report: the report is about other weights" in done.err

    def test_a_report_about_no_weights_states_nothing(self, desk: Desk) -> None:
        done = desk.build()
        assert [one["rule"] for one in done.document["findings"]] == ["evaluation.weights"]
        assert not (desk.folder / "dist" / "evaluation.json").exists()

    def test_a_lock_comes_before_the_evaluation_and_says_what_it_lacks(self, desk: Desk) -> None:
        """Only the lock says which weights are to be evaluated."""
        self.evaluate(desk, weights=f"sha256:{'0' * 64}", require='accuracy = "> 0.9"')
        for options in ((), ("--check",)):
            done = desk.type("lock", desk.folder, *options, "--json")
            assert [(one["rule"], one["severity"]) for one in done.document["findings"]] == [
                ("evaluation.weights", "warning"), ("evaluation.require", "warning"),
            ]  # fmt: skip
            assert "the report is about other weights" in done.err
        (desk.folder / "evaluation.json").unlink()
        done = desk.type("lock", desk.folder, "--json")
        assert [one["severity"] for one in done.document["findings"]] == ["warning"]
        assert "evaluation.json" in done.err
        self.evaluate(desk, require='accuracy = ">= 0.9"')
        assert desk.type("lock", desk.folder, "--json").document["findings"] == []

    def test_bounds_on_a_report_that_cannot_be_read_are_an_error(self, desk: Desk) -> None:
        self.evaluate(desk, require='accuracy = ">= 0.9"')
        (desk.folder / "evaluation.json").unlink()
        assert "evaluation.json" in desk.type("check", desk.folder, status=2).err

    def test_a_report_that_cannot_be_read_is_a_warning(self, desk: Desk) -> None:
        (desk.folder / "evaluation.json").write_text("[]")
        done = desk.build()
        assert done.document["findings"][0]["rule"] == "evaluation.report"
        assert "the SBOM has no metrics: not a JSON object" in done.err

    def test_what_others_attached_stays(self, desk: Desk) -> None:
        desk.build()
        theirs = said("https://example.org/review", {"ok": True}, desk.digest)
        desk.attach(statement.referrer(theirs, kind=""))
        desk.build()
        assert kinds(desk.type("inspect", desk.folder, "--json")) == [
            "https://example.org/review", "sbom", "provenance", "oms",
        ]  # fmt: skip


class TestInspect:
    """`inspect` of what stands beside an image."""

    def test_what_is_there_is_listed_with_what_it_says(self, desk: Desk) -> None:
        desk.build()
        shown = desk.type("inspect", desk.folder).out
        assert "BESIDE THE IMAGE (claims, not verified)" in shown
        assert "CycloneDX 1.6, 4 components" in shown
        assert "built by https://modelpack.dev/builders/local at" in shown
        assert "4 files of `tiny` by digest" in shown
        assert "DOES NOT ADD UP" not in shown

    @pytest.mark.parametrize("kind", ["sbom", "provenance", "oms"])
    def test_a_statement_is_printed_as_it_is(self, desk: Desk, kind: str) -> None:
        record = desk.build().document
        out = desk.type("inspect", desk.folder, "--raw", kind).out
        (digest,) = [item["digest"] for item in record["evidence"] if item["kind"] == kind]
        assert blob_of(out.encode(), "").digest == digest

    def test_a_kind_that_is_not_there_is_told(self, desk: Desk) -> None:
        desk.build()
        done = desk.type("inspect", desk.folder, "--raw", "scan", status=2)
        assert "no `scan` stands beside the image" in done.err

    def test_two_of_a_foreign_kind_are_not_chosen_from(self, desk: Desk) -> None:
        desk.build()
        vuln = "https://cosign.sigstore.dev/attestation/vuln/v1"
        for number in range(2):
            desk.attach(statement.referrer(said(vuln, {"n": number}, desk.digest), kind=""))
        done = desk.type("inspect", desk.folder, "--raw", "scan", status=2)
        assert "2 of `scan` stand beside the image" in done.err

    def test_a_statement_about_something_else_does_not_add_up(self, desk: Desk) -> None:
        desk.build()
        other = said("https://cyclonedx.org/bom", {}, Digest("sha256:" + "0" * 64))
        desk.attach(statement.referrer(other, kind=""))
        desk.attach(replace(
            statement.referrer(said("https://example.org/a", {}, desk.digest), kind="x"),
            annotations={"in-toto.io/predicate-type": "https://example.org/b"},
        ))  # fmt: skip
        findings = desk.type("inspect", desk.folder, "--json").document["findings"]
        assert [text for text in findings if "about something else" in text]
        assert [text for text in findings if "calls itself `https://example.org/b`" in text]

    def test_what_is_no_statement_is_listed_and_not_relied_on(self, desk: Desk) -> None:
        desk.build()
        broken = blob_of(b"{not json", statement.MEDIA_TYPE)
        bundle = blob_of(b"{}", "application/vnd.dev.sigstore.bundle.v0.3+json")
        desk.attach(
            Referrer(artifact_type=statement.MEDIA_TYPE, content=broken),
            Referrer(
                artifact_type=bundle.descriptor.media_type, content=bundle,
                annotations={"dev.sigstore.bundle.predicateType": "https://slsa.dev/provenance/v1"},
            ),
        )  # fmt: skip
        found = desk.type("inspect", desk.folder, "--json").document["referrers"]
        assert "not valid JSON" in found[-2]["summary"]
        assert found[-1]["predicate_type"] == "https://slsa.dev/provenance/v1"
        assert found[-1]["artifact_type"] == "application/vnd.dev.sigstore.bundle.v0.3+json"


class TestSbom:
    """`sbom`."""

    def test_what_stands_beside_the_image_is_printed(self, desk: Desk) -> None:
        desk.build()
        done = desk.type("sbom", desk.folder)
        assert done.out == (desk.folder / "dist" / "sbom.cdx.json").read_text(encoding="utf-8")
        assert done.err == ""

    def test_another_version_says_the_same(self, desk: Desk) -> None:
        desk.build()
        newer = desk.type("sbom", desk.folder, "--spec-version", "1.7").document
        assert JsonStrictValidator(SchemaVersion.V1_7).validate_str(json.dumps(newer)) is None
        assert newer["components"] == desk.dist("sbom.cdx.json")["components"]

    def test_an_oci_archive_carries_what_stands_beside_the_image(
        self, desk: Desk, tmp_path: Path
    ) -> None:
        archive = f"oci-archive:{tmp_path}/image.tar"
        desk.build("--output", archive)
        listed = desk.type("inspect", archive, "--json").document["referrers"]
        assert [one["what"] for one in listed] == ["sbom", "provenance", "oms"]
        desk.type("copy", archive, f"oci:{tmp_path}/l:1.0.0")
        copied = desk.type("inspect", f"oci:{tmp_path}/l:1.0.0", "--json").document
        assert [one["digest"] for one in copied["referrers"]] == [one["digest"] for one in listed]
        desk.type("copy", f"oci:{tmp_path}/l:1.0.0", f"oci-archive:{tmp_path}/again.tar")
        again = desk.type("inspect", f"oci-archive:{tmp_path}/again.tar", "--json").document
        assert again["referrers"] == copied["referrers"]
        lossy = desk.type("copy", f"oci:{tmp_path}/l:1.0.0", f"docker-archive:{tmp_path}/d.tar")
        assert "holds images alone" in lossy.err

    def test_an_image_without_one_gets_one(self, desk: Desk, tmp_path: Path) -> None:
        archive = f"docker-archive:{tmp_path}/image.tar"
        desk.build("--output", archive)
        done = desk.type("sbom", archive)
        assert "this one is made from what it says" in done.err
        made, written = done.document, desk.dist("sbom.cdx.json")
        model = made["components"][[c["type"] for c in made["components"]].index(
            "machine-learning-model")]  # fmt: skip
        assert "quantitativeAnalysis" not in model["modelCard"]
        assert {c["bom-ref"] for c in made["components"]} == {
            c["bom-ref"] for c in written["components"]
        }
        assert made["metadata"] == written["metadata"]
        assert made["dependencies"] == written["dependencies"]

    def test_nothing_has_to_be_remembered(
        self, desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        archive = f"docker-archive:{tmp_path}/image.tar"
        desk.build("--output", archive)
        before = desk.type("sbom", archive).document
        monkeypatch.setenv("MODELPACK_CACHE", str(tmp_path / "another"))
        assert desk.type("sbom", archive).document == before

    def test_spdx_is_made_from_the_image(self, desk: Desk) -> None:
        desk.build()
        found = desk.type("sbom", desk.folder, "--format", "spdx").document
        assert found["spdxVersion"] == "SPDX-2.3"
        assert {"python3.13-minimal", "pastel", "tiny"} <= {p["name"] for p in found["packages"]}
        desk.type("sbom", desk.folder, "--format", "spdx", "--spec-version", "1.7", status=2)

    def test_an_sbom_of_others_is_taken_where_there_is_none_of_ours(
        self, tmp_path: Path, desk: Desk
    ) -> None:
        with Layout(tmp_path / "layout") as layout:
            subject = put(layout, complete().image(), "1")
            theirs = said("https://cyclonedx.org/bom", {"theirs": True}, subject.digest)
            layout.attach(subject, [statement.referrer(theirs, kind="")])
        assert desk.type("sbom", f"oci:{tmp_path}/layout:1").document == {"theirs": True}
        words = ("sbom", f"oci:{tmp_path}/layout:1", "--spec-version", "1.7")
        assert "of another version" in desk.type(*words, status=2).err

    def test_a_foreign_image_has_none_to_print(self, tmp_path: Path, desk: Desk) -> None:
        built = complete()
        with Layout(tmp_path / "layout") as layout:
            put(layout, replace(built.image(), layers=built.image().layers[:2]), "1")
        done = desk.type("sbom", f"oci:{tmp_path}/layout:1", status=2)
        assert "does not say of itself what is in it" in done.err

    def test_an_image_with_other_layers_than_it_says_is_refused(
        self, tmp_path: Path, desk: Desk
    ) -> None:
        built = complete().image()
        with Layout(tmp_path / "layout") as layout:
            put(layout, replace(built, layers=(built.layers[0], *built.layers)), "1")
        done = desk.type("sbom", f"oci:{tmp_path}/layout:1", status=2)
        assert "other layers than it says" in done.err

    def test_an_image_in_a_registry_is_described_without_its_weights(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        desk.build()
        layout, written = desk.layout, desk.dist("sbom.cdx.json")
        manifest = layout.image(desk.digest)
        small = [layer for layer in manifest.layers if layer.media_type.endswith("gzip")]
        kept = (manifest.config, *small, manifest.layers[-1])
        with running_registry() as registry:
            registry.put(
                "acme/tiny", layout.read(desk.digest), "1",
                blobs=[layout.read(blob, limit=1 << 30) for blob in kept if blob],
            )  # fmt: skip
            monkeypatch.setenv("MODELPACK_CACHE", str(tmp_path / "another"))
            made = desk.type("sbom", f"{registry.address}/acme/tiny:1").document
        assert {c["bom-ref"] for c in made["components"]} == {
            c["bom-ref"] for c in written["components"]
        }
        assert made["compositions"] == []
