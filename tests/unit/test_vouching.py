"""`inspect` of what others attached: signatures, attestations, bare SBOMs, and hostile things."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest

from modelpack.digest import Digest, hex_of
from modelpack.inspection import vouching
from modelpack.oci.layer import INDEX, MANIFEST, Descriptor, blob_of
from modelpack.oci.layout import Layout
from modelpack.oci.referrers import Referrer, tag_for
from modelpack.oci.registry.repository import Repository
from modelpack.trust import statement as statements
from modelpack.trust.statement import Statement
from tests.command_line import Done, run_here
from tests.described_image import complete
from tests.fakes.registry_server import Fault, RegistryServer, running_registry
from tests.foreign_evidence import (
    IDENTITY,
    ISSUER,
    Signer,
    attestation_layer,
    bare,
    bundled,
    said,
    signature_layer,
    tag,
)
from tests.images import put

SIGN = "https://sigstore.dev/cosign/sign/v1"
SLSA = "https://slsa.dev/provenance/v1"
BOM = b'{"bomFormat": "CycloneDX", "specVersion": "1.5", "components": [{"type": "library"}]}'
SPDX = b'{"spdxVersion": "SPDX-2.3", "packages": [{}, {}]}'


def numbered(number: int) -> bytes:
    """Return a bill of materials like no other."""
    return BOM.replace(b"1.5", f"1.{number}".encode())


class Desk:
    """A layout with an image, and how to inspect it."""

    def __init__(self, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.root, self._capsys = root, capsys
        with Layout(root) as layout:
            self.subject = put(layout, complete().image(), "1.0")

    @property
    def digest(self) -> Digest:
        return self.subject.digest

    def attach(self, *referrers: Referrer) -> None:
        with Layout(self.root) as layout:
            layout.attach(self.subject, referrers)

    def inspect(self, *options: str, status: int = 0) -> Done:
        done = run_here(self._capsys, "inspect", f"oci:{self.root}:1.0", *options)
        assert done.status == status, done.err
        return done

    def found(self) -> list[Any]:
        listed: list[Any] = self.inspect("--json").document["referrers"]
        return listed

    def only(self) -> Any:
        (one,) = self.found()
        return one


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Desk:
    return Desk(tmp_path / "image", capsys)


@pytest.fixture(scope="module")
def signer() -> Signer:
    return Signer()


class TestSignatures:
    """Who seems to have signed."""

    def test_a_bundle_with_a_certificate_tells_who_and_when(
        self, desk: Desk, signer: Signer
    ) -> None:
        desk.attach(bundled(signer.bundle(said(SIGN, {}, desk.digest)), SIGN))
        one = desk.only()
        assert (one["what"], one["predicate_type"], one["by"]) == ("signature", SIGN, "subject")
        signature = one["signature"]
        assert signature["form"] == "bundle"
        assert signature["signer"]["identities"] == [IDENTITY]
        assert signature["signer"]["issuer"] == ISSUER
        assert signature["signer"]["certificate_issuer"] == "O=sigstore.test"
        assert signature["signer"]["not_after"] == "2026-11-20T08:40:00Z"
        assert signature["signer"]["details"] == {
            "source-digest": "4f2a", "source-repository": "https://github.com/acme/minilm",
        }  # fmt: skip
        (entry,) = signature["entries"]
        assert (entry["index"], entry["kind"]) == (1234, "dsse 0.0.1")
        assert entry["time"] == "2026-11-20T08:30:00Z"
        shown = desk.inspect().out
        assert "BESIDE THE IMAGE (claims, not verified)" in shown
        assert f"signed as `{IDENTITY}` by `{ISSUER}`, log entry 1234 at 2026-11-20" in shown
        assert "verified" not in shown.replace("claims, not verified", "")
        assert "source-repository  https://github.com/acme/minilm" in desk.inspect("-v").out

    def test_a_bundle_of_a_key_tells_its_hint(self, desk: Desk, signer: Signer) -> None:
        desk.attach(bundled(signer.bundle(said(SIGN, {}, desk.digest), hint="q83v"), SIGN))
        one = desk.only()
        assert one["signature"]["signer"]["key_hint"] == "q83v"
        assert one["signed"] == "signed with a key, hint `q83v`"

    def test_provenance_in_a_bundle_is_summed_up_and_printed(
        self, desk: Desk, signer: Signer
    ) -> None:
        statement = said(SLSA, PROVENANCE, desk.digest)
        desk.attach(bundled(signer.bundle(statement), SLSA))
        one = desk.only()
        assert one["what"] == "provenance"
        assert one["provenance"]["builder"] == "https://ci.example/build"
        assert desk.inspect("--raw", "provenance").out.encode() == statement.as_bytes()
        assert desk.inspect("--raw", f"attestation:{SLSA}").out.encode() == statement.as_bytes()
        bundle = json.loads(desk.inspect("--raw", one["digest"]).out)
        assert bundle["mediaType"] == "application/vnd.dev.sigstore.bundle.v0.3+json"
        assert "no `signature` stands" in desk.inspect("--raw", "signature", status=2).err

    def test_a_simple_signature_under_its_tag(self, desk: Desk, signer: Signer) -> None:
        with Layout(desk.root) as layout:
            tag(layout, desk.digest, ".sig", signature_layer(signer, desk.digest))
        one = desk.only()
        assert one["by"] == f"sha256-{hex_of(desk.digest)}.sig"
        signature = one["signature"]
        assert (signature["form"], signature["signs"]) == ("simple", desk.digest)
        assert signature["signer"]["identities"] == [IDENTITY]
        assert signature["entries"][0]["index"] == 77
        assert desk.inspect("--json").document["findings"] == []
        assert b"docker-manifest-digest" in desk.inspect("--raw", "signature").out.encode()

    def test_a_signature_of_another_image_does_not_add_up(self, desk: Desk, signer: Signer) -> None:
        other = "sha256:" + "0" * 64
        with Layout(desk.root) as layout:
            tag(layout, desk.digest, ".sig", signature_layer(signer, other))
        (finding,) = desk.inspect("--json").document["findings"]
        assert f"signs `{other}`" in finding

    def test_attestations_under_their_tag_are_one_each(self, desk: Desk, signer: Signer) -> None:
        two = [said(SLSA, PROVENANCE, desk.digest), said("https://acme.example/review", {},
                                                         desk.digest)]  # fmt: skip
        with Layout(desk.root) as layout:
            tag(layout, desk.digest, ".att", *(attestation_layer(signer, one) for one in two))
        assert [one["predicate_type"] for one in desk.found()] == [
            SLSA, "https://acme.example/review",
        ]  # fmt: skip
        assert [one["signature"]["form"] for one in desk.found()] == ["dsse", "dsse"]

    def test_an_sbom_under_its_tag(self, desk: Desk) -> None:
        with Layout(desk.root) as layout:
            tag(layout, desk.digest, ".sbom", blob_of(SPDX, "text/spdx+json"))
        one = desk.only()
        assert (one["what"], one["sbom"]["format"]) == ("sbom", "SPDX-2.3")


PROVENANCE = {
    "buildDefinition": {
        "buildType": "https://ci.example/types/1",
        "externalParameters": {},
        "resolvedDependencies": [
            {"uri": "git+https://github.com/acme/minilm", "digest": {"gitCommit": "4f2a" * 10}},
            {"uri": "pkg:pypi/numpy@2.0"},
            {"uri": "pkg:docker/python@3.13"},
            {"uri": "pkg:pypi/click@8"},
        ],
    },
    "runDetails": {
        "builder": {"id": "https://ci.example/build"},
        "metadata": {"startedOn": "2026-11-20T08:00:00Z", "finishedOn": "2026-11-20T08:01:00Z"},
    },
}


class TestStatements:
    """What is said, in numbers."""

    def attached(self, desk: Desk, statement: Statement) -> Any:
        desk.attach(replace(statements.referrer(statement, kind=""), kind=""))
        return desk.only()

    def test_provenance(self, desk: Desk) -> None:
        one = self.attached(desk, said(SLSA, PROVENANCE, desk.digest))
        assert one["provenance"] == {
            "builder": "https://ci.example/build", "build_type": "https://ci.example/types/1",
            "source": "git+https://github.com/acme/minilm", "revision": "4f2a" * 10,
            "started": "2026-11-20T08:00:00Z", "finished": "2026-11-20T08:01:00Z",
            "materials": {"pypi": 2, "code": 1, "image": 1},
        }  # fmt: skip

    def test_provenance_of_buildkit_before_slsa_1(self, desk: Desk) -> None:
        predicate = {
            "builder": {"id": "https://builder"}, "buildType": "https://mobyproject.org/buildkit@v1",
            "invocation": {"configSource": {"uri": "https://git/x", "digest": {"sha1": "c0ffee"}}},
            "materials": [{"uri": "pkg:docker/debian@13"}],
            "metadata": {"buildFinishedOn": "2026-01-01T00:00:00Z"},
        }  # fmt: skip
        one = self.attached(desk, said("https://slsa.dev/provenance/v0.2", predicate, desk.digest))
        found = one["provenance"]
        assert (found["source"], found["revision"]) == ("https://git/x", "c0ffee")
        assert found["materials"] == {"image": 1}

    def test_statements_of_version_0_1(self, desk: Desk) -> None:
        statement = said(SLSA, PROVENANCE, desk.digest)
        old = {**statement.as_json(), "_type": "https://in-toto.io/Statement/v0.1"}
        desk.attach(bare(json.dumps(old).encode(), statements.MEDIA_TYPE))
        assert desk.only()["provenance"]["builder"] == "https://ci.example/build"

    def test_a_scan(self, desk: Desk) -> None:
        levels = ("LOW", "HIGH", "LOW")
        predicate = {
            "scanner": {
                "uri": "pkg:github/aquasecurity/trivy", "version": "0.74.0",
                "db": {"lastUpdate": "2026-11-19T00:00:00Z"},
                "result": {
                    "Results": [{"Vulnerabilities": [{"Severity": level} for level in levels]}],
                    "modelpack": {
                        "outcome": "passed",
                        "findings": [{"severity": "warning", "message": "old"}, 7, {}],
                        "waived": [{"id": "CVE-1", "reason": "no {x}", "expires": "2027-01-31"}],
                    },
                },
            },
            "metadata": {"scanFinishedOn": "2026-11-20T00:00:00Z"},
        }  # fmt: skip
        kind = "https://cosign.sigstore.dev/attestation/vuln/v1"
        one = self.attached(desk, said(kind, predicate, desk.digest))
        assert one["scan"]["severities"] == {"HIGH": 1, "LOW": 2}
        assert one["scan"]["findings"] == ["warning: old", "?: ?"]
        assert one["scan"]["waived"] == ["CVE-1: no {x}, until 2027-01-31"]
        shown = [each["severity"] for each in one["scan"]["vulnerabilities"]]
        assert shown == ["HIGH", "LOW", "LOW"]
        assert one["summary"] == (
            "scan with pkg:github/aquasecurity/trivy 0.74.0 at 2026-11-20T00:00:00Z: passed, "
            "1 HIGH, 2 LOW; database of 2026-11-19T00:00:00Z"
        )

    def test_vulnerabilities_as_in_toto_has_them(self, desk: Desk) -> None:
        scores = [{"method": "nvd", "score": "7.5"}, {"method": "ghsa", "score": "high"}]
        predicate = {"scanner": {"uri": "x", "result": [{"id": "CVE-1", "severity": scores},
                                                        {"id": "CVE-2"}]}}  # fmt: skip
        kind = "https://in-toto.io/attestation/vulns/v0.2"
        one = self.attached(desk, said(kind, predicate, desk.digest))
        assert one["scan"]["severities"] == {"HIGH": 1, "UNKNOWN": 1}

    @pytest.mark.parametrize(
        ("kind", "predicate", "verdict", "line"),
        [
            ("https://in-toto.io/attestation/test-result/v0.1",
             {"result": "FAILED", "passedTests": ["a", "b"], "failedTests": ["c"]},
             {"outcome": "failed", "counts": {"passed": 2, "failed": 1}},
             "tests: failed (2 passed, 1 failed)"),
            ("https://slsa.dev/verification_summary/v1",
             {"verifier": {"id": "https://v"}, "verificationResult": "PASSED",
              "verifiedLevels": ["SLSA_BUILD_LEVEL_3"]},
             {"outcome": "passed", "by": "https://v"},
             "verified by https://v: passed (SLSA_BUILD_LEVEL_3)"),
            ("https://modelpack.dev/predicates/rebuild/v1",
             {"verdict": "reproduced", "rebuilder": {"version": {"modelpack": "0.1"}},
              "metadata": {"finishedOn": "2026-01-01T00:00:00Z"}},
             {"outcome": "reproduced", "by": "modelpack 0.1"},
             "rebuilt with modelpack 0.1 at 2026-01-01T00:00:00Z: reproduced"),
        ],
    )  # fmt: skip
    def test_verdicts(
        self, desk: Desk, kind: str, predicate: Any, verdict: dict[str, Any], line: str
    ) -> None:
        one = self.attached(desk, said(kind, predicate, desk.digest))
        shown = {key: one["verdict"][key] for key in ("outcome", "by", "counts")}
        assert shown == {"outcome": "", "by": "", "counts": {}, **verdict}
        assert one["summary"] == line

    def test_a_functional_test_with_its_limits(self, desk: Desk) -> None:
        predicate = {
            "result": "FAILED", "passedTests": ["ready"], "failedTests": ["limit p95"],
            "metadata": {"finishedOn": "2026-11-20T00:00:00Z"},
            "configuration": [{"name": "golden/a.json"}, {
                "name": "test", "annotations": {"limits": {"p95": "100ms", "memory": 3}},
            }],
            "modelpack": {"version": "0.2", "engine": "docker 28", "skippedTests": ["metrics"],
                          "measured": {"p95": 0.2, "memory": 7, "p50": None, "x": True},
                          "calls": {"p50": 0.1}},
        }  # fmt: skip
        kind = "https://in-toto.io/attestation/test-result/v0.1"
        one = self.attached(desk, said(kind, predicate, desk.digest))["verdict"]
        assert one == {
            "outcome": "failed", "by": "modelpack 0.2 in docker 28",
            "finished": "2026-11-20T00:00:00Z", "counts": {"passed": 1, "failed": 1},
            "names": {"passed": ["ready"], "failed": ["limit p95"], "skipped": ["metrics"]},
            "calls": {"p50": 0.1},
            "measured": {"p95": 0.2, "memory": 7}, "limits": {"p95": "100ms", "memory": ""},
            "commands": {},
        }  # fmt: skip

    def test_verbose_text_has_what_was_found_one_by_one(self, desk: Desk) -> None:
        predicate = {
            "result": "FAILED", "failedTests": ["limit p95"], "passedTests": ["ready"],
            "configuration": [{"name": "test", "annotations": {"limits": {"p95": "100ms"}}}],
            "modelpack": {"version": "0.2", "measured": {"p95": 0.2}},
        }  # fmt: skip
        kind = "https://in-toto.io/attestation/test-result/v0.1"
        self.attached(desk, said(kind, predicate, desk.digest))
        shown = desk.inspect("-v").out
        assert "answers, p95  200 ms (limit 100ms)" in shown
        assert "failed        limit p95" in shown
        assert "answers, p95" not in desk.inspect().out

    def test_a_document_signed_and_unsigned_is_said_once(self, desk: Desk, signer: Signer) -> None:
        statement = said(SLSA, PROVENANCE, desk.digest)
        desk.attach(
            replace(statements.referrer(statement, kind=""), kind=""),
            bundled(signer.bundle(statement), SLSA),
        )
        shown = desk.inspect().out
        assert shown.count("built by https://ci.example/build") == 1
        assert f"the same, signed as `{IDENTITY}`" in shown
        one, other = desk.found()
        assert one["document"] == other["document"]

    def test_checks_with_their_commands(self, desk: Desk) -> None:
        command = {"dev.modelpack.checks.command": ["ruff", "check", "service"]}
        predicate = {
            "result": "PASSED", "passedTests": ["lint"],
            "configuration": [{"name": "plan"}, {"name": "check/lint", "annotations": command}],
        }  # fmt: skip
        kind = "https://modelpack.dev/predicates/checks/v1"
        one = self.attached(desk, said(kind, predicate, desk.digest))["verdict"]
        assert one["commands"] == {"lint": "ruff check service"}

    def test_an_evaluation_with_its_slices(self, desk: Desk) -> None:
        predicate = {
            "weights": "sha256:" + "0" * 64,
            "metrics": [{"name": "accuracy", "value": "0.9"},
                        {"name": "f1", "value": "0.7", "slice": "en"}],
            "requirements": [{"metric": "slices.en.f1", "bound": ">= 0.6", "value": "0.7"}],
        }  # fmt: skip
        kind = "https://modelpack.dev/predicates/evaluation/v1"
        one = self.attached(desk, said(kind, predicate, desk.digest))["evaluation"]
        assert one["metrics"] == [
            {"name": "accuracy", "slice": "", "value": "0.9", "bound": ""},
            {"name": "f1", "slice": "en", "value": "0.7", "bound": ">= 0.6"},
        ]

    def test_of_an_unknown_type_the_members_are_shown(self, desk: Desk) -> None:
        predicate = {"outcome": "clean", "engine": {"name": "x", "hits": []}, "n": [1, False]}
        one = self.attached(desk, said("https://acme.example/malware/v1", predicate, desk.digest))
        assert one["said"] == {
            "outcome": "clean", "engine.name": "x", "n[0]": "1", "n[1]": "false",
        }  # fmt: skip
        assert next(iter(one["said"])) == "outcome"
        assert one["summary"] == "outcome `clean`, engine.name `x`, n[0] `1`, …"

    def test_of_a_large_unknown_statement_little_is_shown(self, desk: Desk) -> None:
        deep: Any = [[]] * 100
        for _ in range(3):
            deep = [deep] * 8
        wide = {f"k{n}": "v" * 5000 for n in range(100)}
        kind = "https://acme.example/x/v1"
        one = self.attached(desk, said(kind, {**wide, "deep": deep}, desk.digest))
        assert list(one["said"])[:2] == ["k0", "k1"]
        assert 50 < len(one["said"]) <= 60
        assert all(len(value) <= 300 for value in one["said"].values())

    @pytest.mark.parametrize("kind", ["https://openvex.dev/ns", "https://openvex.dev/ns/v0.2.0"])
    def test_vex(self, desk: Desk, kind: str) -> None:
        predicate = {"statements": [{"status": "not_affected"}, {"status": "fixed"}]}
        one = self.attached(desk, said(kind, predicate, desk.digest))
        assert (one["what"], one["summary"]) == ("vex", "OpenVEX: 1 not_affected, 1 fixed")

    @pytest.mark.parametrize(
        "kind", ["https://cyclonedx.org/bom", "https://cyclonedx.org/bom/v1.4"]
    )
    def test_an_sbom(self, desk: Desk, kind: str) -> None:
        predicate = {
            "specVersion": "1.4", "metadata": {"timestamp": "2026-01-01T00:00:00Z",
                                               "tools": [{"name": "syft", "version": "1"}]},
            "components": [
                {"type": "library", "licenses": [{"license": {"id": "MIT"}}]},
                {"type": "library", "licenses": [{"license": {"name": "MIT"}}]},
                {"type": "data", "licenses": [{"expression": "Apache-2.0"}]},
            ],
            "compositions": [{"aggregate": "incomplete_first_party_only"}],
        }  # fmt: skip
        one = self.attached(desk, said(kind, predicate, desk.digest))
        assert one["sbom"] == {
            "format": "CycloneDX 1.4", "made_by": "syft 1", "created": "2026-01-01T00:00:00Z",
            "components": {"library": 2, "data": 1}, "licenses": {"MIT": 2, "Apache-2.0": 1},
            "complete": False,
        }  # fmt: skip
        assert "says that it is incomplete" in one["summary"]


class TestBareDocuments:
    """SBOMs that are attached as they are."""

    @pytest.mark.parametrize(
        ("text", "media_type", "form"),
        [
            (BOM, "application/vnd.cyclonedx+json", "CycloneDX 1.5"),
            (SPDX, "application/spdx+json", "SPDX-2.3"),
        ],
    )
    def test_they_are_summed_up_and_printed(
        self, desk: Desk, text: bytes, media_type: str, form: str
    ) -> None:
        desk.attach(bare(text, media_type))
        one = desk.only()
        assert (one["what"], one["artifact_type"]) == ("sbom", media_type)
        assert one["sbom"]["format"] == form
        assert desk.inspect("--raw", "sbom").out.encode() == text

    def test_an_artifact_of_an_unknown_type_is_listed_and_not_read(self, desk: Desk) -> None:
        desk.attach(bare(b"x", "application/x-unheard-of"))
        one = desk.only()
        assert (one["what"], one["unreadable"], one["content_size"]) == ("", "", 1)
        assert "application/x-unheard-of" in desk.inspect().out


class TestHostile:
    """What cannot be read is shown as that, and ends nothing."""

    @pytest.mark.parametrize(
        "media_type",
        [statements.MEDIA_TYPE, "application/vnd.dev.sigstore.bundle.v0.3+json",
         "application/vnd.dsse.envelope.v1+json", "application/vnd.cyclonedx+json",
         "application/vnd.dev.cosign.simplesigning.v1+json"],
    )  # fmt: skip
    @pytest.mark.parametrize("text", [b"", b"{", b"[]", b'{"a": "\\ud800"}', b"[" * 5000])
    def test_content_that_is_none(self, desk: Desk, media_type: str, text: bytes) -> None:
        desk.attach(bare(text, media_type))
        one = desk.only()
        assert one["unreadable"]
        assert "cannot be read" in desk.inspect().out

    def test_content_that_is_too_large(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(vouching, "CONTENT_LIMIT", 1 << 20)
        desk.attach(bare(b" " * (1 << 20) + BOM, "application/vnd.cyclonedx+json"))
        assert desk.only()["unreadable"] == "not read: it is larger than 1 MiB"

    def test_more_than_is_looked_at(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(vouching, "_MANIFESTS", 2)
        desk.attach(*(bare(BOM + b" " * n, "application/vnd.cyclonedx+json") for n in range(3)))
        troubles = [one["unreadable"] for one in desk.found()]
        assert troubles[:2] == ["", ""]
        assert "not looked at" in troubles[2]

    def test_more_bytes_than_are_read(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(vouching, "_ROOM", 3000)
        desk.attach(*(bare(BOM + b" " * (1500 + n), "application/vnd.cyclonedx+json")
                      for n in range(2)))  # fmt: skip
        assert "too much beside this image" in desk.found()[1]["unreadable"]

    def test_a_list_that_lies(self, desk: Desk) -> None:
        """A manifest that is not there, one of another image, and one that is no manifest."""
        other = bare(BOM, "application/vnd.cyclonedx+json")
        foreign = other.manifest(replace(desk.subject, digest=Digest("sha256:" + "1" * 64)))
        garbage = blob_of(b"garbage", MANIFEST)
        missing = blob_of(b"missing", MANIFEST)
        _listed(desk, foreign.descriptor, garbage.descriptor, missing.descriptor,
                blobs=[b"".join(foreign.origin.pieces), b"garbage"])  # type: ignore[union-attr,arg-type]  # fmt: skip
        reasons = [one["unreadable"] for one in desk.found()]
        assert "does not name this image" in reasons[0]
        assert "not valid JSON" in reasons[1]
        assert "no such file" in reasons[2]

    def test_a_certificate_that_is_none(self, desk: Desk, signer: Signer) -> None:
        layer = signature_layer(signer, desk.digest)
        annotations = dict(layer.descriptor.annotations)
        annotations["dev.sigstore.cosign/certificate"] = "-----BEGIN CERTIFICATE-----\nAAAA"
        broken = replace(layer, descriptor=replace(layer.descriptor, annotations=annotations))
        with Layout(desk.root) as layout:
            tag(layout, desk.digest, ".sig", broken)
        assert "certificate" in desk.only()["unreadable"]

    def test_a_tag_on_something_that_is_no_manifest(self, desk: Desk) -> None:
        _named(desk, blob_of(b"nonsense", MANIFEST).descriptor, ".att", b"nonsense")
        one = desk.only()
        assert one["by"].endswith(".att")
        assert "not valid JSON" in one["unreadable"]


def test_a_kind_that_nobody_knows_is_told(desk: Desk) -> None:
    done = desk.inspect("--raw", "soup", status=2)
    assert "not a kind of document: `soup`" in done.err
    assert "attestation:TYPE" in done.err


def test_what_cannot_be_read_is_no_document_to_print(desk: Desk) -> None:
    desk.attach(bare(b"{", "application/vnd.cyclonedx+json"))
    assert "cannot be read" in desk.inspect("--raw", "sbom", status=2).err


def _write(desk: Desk, *contents: bytes) -> None:
    for content in contents:
        path = desk.root / "blobs" / "sha256" / hex_of(blob_of(content, "").digest)
        path.write_bytes(content)


def _rewrite_index(desk: Desk, change: Callable[[list[Any]], None]) -> None:
    index = json.loads((desk.root / "index.json").read_bytes())
    change(index["manifests"])
    (desk.root / "index.json").write_text(json.dumps(index))


def _listed(desk: Desk, *entries: Descriptor, blobs: list[bytes]) -> None:
    """Write a list of referrers by hand."""
    value = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [e.as_json() for e in entries]}
    listing = blob_of(json.dumps(value).encode(), INDEX)
    _write(desk, json.dumps(value).encode(), *blobs)
    name = {"org.opencontainers.image.ref.name": tag_for(desk.digest)}
    entry = {**listing.descriptor.as_json(), "annotations": name}
    _rewrite_index(desk, lambda manifests: manifests.append(entry))


def _named(desk: Desk, entry: Descriptor, suffix: str, content: bytes) -> None:
    _write(desk, content)
    name = {"org.opencontainers.image.ref.name": f"{tag_for(desk.digest)}{suffix}"}
    _rewrite_index(
        desk, lambda manifests: manifests.append({**entry.as_json(), "annotations": name})
    )


def test_a_layout_that_cosign_saved_holds_one_image_and_its_signatures(
    desk: Desk, signer: Signer
) -> None:
    with Layout(desk.root) as layout:
        tag(layout, desk.digest, ".sig", signature_layer(signer, desk.digest))
    kinds = {"1.0": "image", f"{tag_for(desk.digest)}.sig": "sigs"}

    def by_kind(manifests: list[Any]) -> None:
        for entry in manifests:
            name = entry["annotations"]["org.opencontainers.image.ref.name"]
            entry["annotations"] = {"kind": f"dev.cosignproject.cosign/{kinds[name]}"}

    _rewrite_index(desk, by_kind)
    assert Layout(desk.root).resolve("").digest == desk.digest
    assert Layout(desk.root).held_by(f"{tag_for(desk.digest)}.sig")


class TestRegistry:
    """Lists that a registry keeps, or that clients keep under a tag; both, and damaged ones."""

    @pytest.fixture
    def server(self) -> Iterator[RegistryServer]:
        with running_registry() as running:
            one = complete().image()
            blobs = tuple(b"".join(blob.origin.pieces) for blob in one.blobs)  # type: ignore[union-attr,arg-type]
            running.put("acme/x", b"".join(one.manifest_blob.origin.pieces), "1", blobs=blobs)  # type: ignore[union-attr,arg-type]
            yield running

    def inspect(self, server: RegistryServer, capsys: pytest.CaptureFixture[str]) -> Any:
        done = run_here(capsys, "inspect", f"{server.address}/acme/x:1", "--json")
        assert done.status == 0, done.err
        return done.document

    def keep(self, server: RegistryServer, referrer: Referrer) -> Descriptor:
        """Put a referrer of the image there, in no list."""
        for blob in referrer.blobs(complete().image().manifest_blob.descriptor):
            data = b"".join(blob.origin.pieces)  # type: ignore[union-attr,arg-type]
            kind = "manifests" if blob.descriptor.media_type == MANIFEST else "blobs"
            path = f"acme/x/{kind}/{blob.digest}"
            server.content[path] = (blob.descriptor.media_type, data)
        return blob.descriptor

    def list(self, server: RegistryServer, path: str, *entries: Descriptor) -> None:
        value = {
            "schemaVersion": 2,
            "mediaType": INDEX,
            "manifests": [e.as_json() for e in entries],
        }
        server.content[f"acme/x/{path}"] = (INDEX, json.dumps(value).encode())

    def test_what_either_list_names_is_found_once(
        self, server: RegistryServer, capsys: pytest.CaptureFixture[str]
    ) -> None:
        digest = complete().image().digest
        first = self.keep(server, bare(BOM, "application/vnd.cyclonedx+json"))
        second = self.keep(server, bare(SPDX, "application/spdx+json"))
        lying = replace(first, artifact_type="application/x-lie", annotations={"a": "lie"})
        self.list(server, f"referrers/{digest}", lying)
        self.list(server, f"manifests/{tag_for(digest)}", first, second)
        found = self.inspect(server, capsys)["referrers"]
        assert [one["artifact_type"] for one in found] == [
            "application/vnd.cyclonedx+json", "application/spdx+json",
        ]  # fmt: skip

    def many(self, server: RegistryServer, count: int) -> Sequence[Descriptor]:
        """Keep many bills of materials, listed."""
        kept = [self.keep(server, bare(numbered(number), "application/vnd.cyclonedx+json"))
                for number in range(count)]  # fmt: skip
        self.list(server, f"referrers/{complete().image().digest}", *kept)
        return kept

    def test_manifests_and_then_contents_are_asked_for_at_once(
        self, server: RegistryServer, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """No answer comes before all are asked for; the order is that of the list all the same."""
        count = 4
        kept = self.many(server, count)
        manifests, contents = Fault(together=Barrier(count)), Fault(together=Barrier(count))
        for number, one in enumerate(kept):
            server.faults[f"acme/x/manifests/{one.digest}"] = manifests
            server.faults[f"acme/x/blobs/{blob_of(numbered(number), '').digest}"] = contents
        found = self.inspect(server, capsys)["referrers"]
        assert [one["digest"] for one in found] == [one.digest for one in kept]
        assert [one["sbom"]["format"] for one in found] == [
            f"CycloneDX 1.{number}" for number in range(count)
        ]

    def test_what_is_found_is_the_same_one_after_the_other(
        self,
        server: RegistryServer,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        kept = self.many(server, 20)
        server.faults[f"acme/x/manifests/{kept[3].digest}"] = Fault(content=b"{}")
        del server.content[f"acme/x/manifests/{kept[17].digest}"]
        at_once = self.inspect(server, capsys)
        monkeypatch.setattr(Repository, "at_once", 1)
        assert self.inspect(server, capsys) == at_once
        assert [bool(one["unreadable"]) for one in at_once["referrers"]].count(True) == 2

    def test_no_more_manifests_are_asked_for_than_are_looked_at(
        self,
        server: RegistryServer,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        kept = self.many(server, 30)
        monkeypatch.setattr(vouching, "_MANIFESTS", 19)
        found = self.inspect(server, capsys)["referrers"]
        too_much = "not looked at: there is too much beside this image"
        assert [one["unreadable"] for one in found] == [""] * 19 + [too_much] * 11
        asked = {path.rpartition("/")[2] for path in server.paths()}
        assert [one.digest in asked for one in kept] == [True] * 19 + [False] * 11

    @pytest.mark.parametrize("content", [b"garbage", b"{}", b'{"manifests": [{"digest": "x"}]}'])
    def test_a_list_that_cannot_be_read_is_said_and_the_image_shown(
        self, server: RegistryServer, capsys: pytest.CaptureFixture[str], content: bytes
    ) -> None:
        digest = complete().image().digest
        server.content[f"acme/x/referrers/{digest}"] = (INDEX, content)
        document = self.inspect(server, capsys)
        assert document["model"]["name"] == "digits"
        if content != b"{}":  # as Go programs write an empty one
            assert "all that vouches for it: " in document["unknown"][-1]

    def test_a_registry_that_does_not_answer_about_it_is_said(
        self, server: RegistryServer, capsys: pytest.CaptureFixture[str]
    ) -> None:
        digest = complete().image().digest
        kept = self.keep(server, bare(BOM, "application/vnd.cyclonedx+json"))
        self.list(server, f"referrers/{digest}", kept)
        server.faults[f"acme/x/manifests/{tag_for(digest)}.sig"] = Fault(statuses=[403])
        server.faults[f"acme/x/blobs/{blob_of(BOM, '').digest}"] = Fault(content=b"x" * len(BOM))
        document = self.inspect(server, capsys)
        (one,) = document["referrers"]
        assert "instead of" in one["unreadable"]
        assert "all that vouches for it: " in document["unknown"][-1]
