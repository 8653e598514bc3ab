"""Images as pages show them, with everything that a page can show; the same at every call."""

import json
from dataclasses import replace
from typing import Any, Final

from modelpack import digest as digests
from modelpack import templates
from modelpack.cli.display.page import html as page
from modelpack.cli.display.page.weights import Tensors
from modelpack.functional import predicate as functional
from modelpack.functional.value import Check, Measured, Tested
from modelpack.inspection import claiming, contents, tensors
from modelpack.inspection.beside import LogClaim, ReferrerClaim, SignatureClaim, SignerClaim
from modelpack.inspection.describing import describe
from modelpack.inspection.documents import Documents
from modelpack.inspection.reading import read
from modelpack.inspection.referrer_document import ReferrerDocument
from modelpack.inspection.value import Inspection
from modelpack.oci.layer import MANIFEST, Descriptor, blob_of
from modelpack.spec import Model, Training, TrainingData
from modelpack.trust import statement as statements
from modelpack.verifying.report import Judged, Report, Requirement
from tests import values
from tests.described_image import Described, complete, described, shelf_of
from tests.foreign_evidence import said

SHEETS: Final = page.Sheets(
    page=templates.text(page.TEMPLATE), style=templates.text(page.STYLE)
)  # fmt: skip
IDENTITY: Final = "https://github.com/acme/minilm/.github/workflows/release.yml@refs/tags/v1.2.0"
_ISSUER: Final = "https://token.actions.githubusercontent.com"
_FINDING: Final = "label `dev.modelpack.model.license` is not one that the image was built with"
_FINDINGS: Final = [{"severity": "error", "rule": "scan.vulnerability",
                     "message": "CVE-2026-1111 (HIGH) in libssl3t64 3.5.1-1"}]  # fmt: skip
_WAIVED: Final = [{"id": "CVE-2026-2222", "reason": "no file of others is read",
                   "expires": "2027-01-31"}]  # fmt: skip
_BLOCKS: Final = 12
_OPENAPI: Final = {
    "openapi": "3.1.0", "info": {"title": "Sentence embeddings", "version": "1.2.0"},
    "paths": {
        "/embed": {"post": {
            "summary": "Embed sentences",
            "parameters": [{"name": "normalize", "in": "query", "schema": {"type": "boolean"}}],
            "requestBody": {"required": True, "content": {"application/json": {"schema": {
                "type": "object", "required": ["texts"], "properties": {
                    "texts": {"type": "array", "items": {"type": "string"}, "minItems": 1,
                              "maxItems": 64, "description": "sentences, in any language"},
                    "pooling": {"enum": ["mean", "cls"], "description": "how tokens become one"},
                },
            }}}},
            "responses": {
                "200": {"description": "ok", "content": {"application/json": {"schema": {
                    "type": "object", "required": ["embeddings"], "properties": {
                        "embeddings": {"type": "array", "items": {
                            "type": "array", "items": {"type": "number"}}},
                    },
                }}}},
                "422": {"description": "not what was asked for"},
            },
        }},
        "/healthz": {"get": {"responses": {"200": {"description": "alive"}}}},
    },
}  # fmt: skip


def _weights() -> tuple[str, ...]:
    """Return the tensors of a small encoder, as a lock has them."""
    blocks = [
        f"F32 [{shape}] encoder.layer.{number}.{name}"
        for number in range(_BLOCKS)
        for name, shape in (
            ("attention.query.weight", "384,384"), ("attention.query.bias", "384"),
            ("attention.key.weight", "384,384"), ("attention.value.weight", "384,384"),
            ("intermediate.weight", "1536,384"), ("output.weight", "384,1536"),
        )
    ]  # fmt: skip
    return ("F32 [30522,384] embeddings.word.weight", "F32 [512,384] embeddings.position.weight",
            *blocks, "F32 [384,384] pooler.dense.weight")  # fmt: skip


def _described() -> Described:
    """Return an image whose author has said all that can be said."""
    spec = values.spec(
        model=Model(
            name="minilm", version="1.2.0", license="Apache-2.0", task="feature-extraction",
            description="Sentence embeddings for semantic search", architecture="bert",
            framework="torch", base="pkg:huggingface/nreimers/MiniLM-L6-H384-uncased@4f2a",
        ),
        training=Training(
            run="https://mlflow.acme.example/runs/ab12cd34",
            source="git+https://github.com/acme/train@4f2a4f2a4f2a",
            data=(
                TrainingData(name="s2orc-citation-titles", version="2021-08",
                             uri="s3://acme-datasets/s2orc/2021-08", digest=values.digest("9")),
                TrainingData(name="all-nli", version="1", digest=values.digest("8")),
            ),
        ),
    )  # fmt: skip
    openapi = json.dumps(_OPENAPI).encode()
    made = described(
        values.weight_file("config.json", size=612, tensors=(), sha256=values.sha("b")),
        values.weight_file(
            "model.safetensors", size=90_868_376, tensors=_weights(), sha256=values.sha("c"),
            layer=digests.of(b"the layer of the large file, which nobody has"),
        ),
        values.weight_file("tokenizer.json", size=466_081, tensors=(), sha256=values.sha("d")),
        spec=spec,
    )  # fmt: skip
    return replace(made, source=replace(made.source, interface={"openapi": digests.of(openapi)}))


def _documents() -> Documents:
    made = _described()
    files = {**made.files, "interface/openapi.json": json.dumps(_OPENAPI).encode()}
    image = made.image(files=files)
    return read(shelf_of(image), image.manifest_blob.descriptor)


def documents() -> Documents:
    """Return what is read of the image."""
    return _documents()


def full() -> Inspection:
    """Return what the image claims, with everything beside it that tools make."""
    it = describe(_documents())
    found = tuple(_beside(it))
    return replace(it, referrers=found, findings=(_FINDING,))


def tensors_of() -> Tensors:
    """Return the tensors of the image by file."""
    return tensors.of(_documents())


def bare() -> Inspection:
    """Return what an image claims beside which nothing stands, and which says little of itself."""
    image = complete().image()
    return describe(read(shelf_of(image), image.manifest_blob.descriptor))


def _beside(it: Inspection) -> Any:
    types = {
        "provenance": ("https://slsa.dev/provenance/v1", _provenance()),
        "sbom": ("https://cyclonedx.org/bom", _sbom()),
        "scan": ("https://cosign.sigstore.dev/attestation/vuln/v1", _scan()),
        "test": ("https://in-toto.io/attestation/test-result/v0.1", _test()),
        "checks": ("https://modelpack.dev/predicates/checks/v1", _checks()),
        "evaluation": ("https://modelpack.dev/predicates/evaluation/v1", _evaluation(it)),
        "malware": ("https://modelpack.dev/predicates/malware/v1", _malware()),
        "unknown": ("https://acme.example/predicates/review/v1", _review()),
    }
    for kind, (predicate_type, predicate) in types.items():
        yield claim(it, predicate_type, predicate, signed=False)
        if kind in ("provenance", "sbom", "scan"):
            yield claim(it, predicate_type, predicate, signed=True)
    yield claim(it, "https://sigstore.dev/cosign/sign/v1", {}, signed=True)


def claim(
    it: Inspection, predicate_type: str, predicate: dict[str, Any], *, signed: bool
) -> ReferrerClaim:
    """Return what a statement says, as `inspect` reads it; a signature without one of its own."""
    digest = digests.Digest(it.digest)
    text = said(predicate_type, predicate, digest).as_bytes()
    layer = blob_of(text, statements.MEDIA_TYPE).descriptor
    name = digests.of(text + (b"signed" if signed else b""))
    entry = Descriptor(media_type=MANIFEST, digest=name, size=600)
    document = ReferrerDocument(subject=digest, descriptor=entry, layer=layer, stored=text,
                                content=contents.parse(text, layer))  # fmt: skip
    found = claiming.claim(document)
    if not signed:
        return found
    signature = SignatureClaim(
        form="bundle",
        signer=SignerClaim(identities=(IDENTITY,), issuer=_ISSUER, certificate=values.digest("e"),
                           certificate_issuer="O=sigstore.dev,CN=sigstore-intermediate",
                           not_before="2026-11-20T08:30:00Z", not_after="2026-11-20T08:40:00Z"),
        entries=(LogClaim(index=1234, log="c0ffee", kind="dsse 0.0.1",
                          time="2026-11-20T08:30:00Z"),),
    )  # fmt: skip
    return replace(found, signature=signature,
                   signed=f"signed as `{IDENTITY}` by `{_ISSUER}`, log entry 1234 at "
                   "2026-11-20T08:30:00Z")  # fmt: skip


def _provenance() -> dict[str, Any]:
    materials = [{"uri": f"pkg:deb/debian/p{number}@1", "annotations": {"role": "base"}}
                 for number in range(27)]  # fmt: skip
    return {
        "buildDefinition": {
            "buildType": "https://modelpack.dev/build-types/v1", "externalParameters": {},
            "resolvedDependencies": [
                {"uri": "git+https://github.com/acme/minilm", "digest": {"gitCommit": "4f2a" * 10}},
                *materials,
            ],
        },
        "runDetails": {
            "builder": {"id": "https://github.com/actions/runner/github-hosted"},
            "metadata": {"startedOn": "2026-11-20T08:00:00Z", "finishedOn": "2026-11-20T08:01:00Z"},
        },
    }  # fmt: skip


def _sbom() -> dict[str, Any]:
    licenses = ("MIT", "MIT", "BSD-3-Clause", "Apache-2.0")
    return {
        "specVersion": "1.6", "bomFormat": "CycloneDX",
        "metadata": {"timestamp": "2026-11-20T08:01:00Z",
                     "tools": {"components": [{"name": "modelpack", "version": "1.0.0"}]}},
        "components": [{"type": "library", "licenses": [{"license": {"id": one}}]}
                       for one in licenses],
    }  # fmt: skip


def _scan() -> dict[str, Any]:
    found = [
        ("CVE-2026-1111", "HIGH", "libssl3t64", "3.5.1-1", "3.5.1-1+deb13u1",
         "openssl: a certificate without a name is taken for one with any"),
        ("CVE-2026-2222", "MEDIUM", "numpy", "2.3.0", "", "numpy: reading a damaged file loops"),
        *((f"CVE-2025-{number}", "LOW", "libc6", "2.41-12", "", "glibc: a rare overflow")
          for number in range(3001, 3006)),
    ]  # fmt: skip
    names = ("VulnerabilityID", "Severity", "PkgName", "InstalledVersion", "FixedVersion", "Title")
    return {
        "scanner": {
            "uri": "pkg:github/aquasecurity/trivy", "version": "0.74.0",
            "db": {"lastUpdate": "2026-11-19T06:00:00Z"},
            "result": {
                "Results": [{"Vulnerabilities": [dict(zip(names, one, strict=True))
                                                 for one in found]}],
                "modelpack": {"outcome": "failed", "notLookedAt": ["the weights"],
                              "findings": _FINDINGS, "waived": _WAIVED},
            },
        },
        "metadata": {"scanFinishedOn": "2026-11-20T08:10:00Z"},
    }  # fmt: skip


def _test() -> dict[str, Any]:
    limits = {"cold-start": "10s", "p95": "100ms", "memory": "512 MiB", "image-size": "300 MiB"}
    names = ("ready", "runs as 10001", "golden/one.json", "golden/many.json", "version", "metrics",
             "stops in time", *(f"limit {name}" for name in limits))  # fmt: skip
    tested = Tested(
        digest=values.digest("1"), image="minilm:1.2.0", engine="Docker 28.2",
        checks=tuple(Check(name=name, outcome="passed", found="as expected") for name in names),
        measured=Measured(cold_start=1.84, p50=0.0113, p95=0.0342, p99=0.0521, requests=2412,
                          rate=241.2, memory=268_435_456, memory_growth=1_048_576,
                          image_size=201_300_000, stop=0.31),
        calls=Measured(cold_start=0.94, p50=0.0081, p95=0.0123, requests=4824),
        concurrency=1, duration=10, limits=limits, golden={"golden/one.json": values.digest("1")},
        started=1_795_162_800, finished=1_795_162_860,
    )  # fmt: skip
    made = dict(functional.predicate(tested))
    return {**made, "modelpack": {**made["modelpack"], "version": "1.0.0"}}


def _checks() -> dict[str, Any]:
    command = "dev.modelpack.checks.command"
    return {
        "result": "PASSED", "passedTests": ["lint", "unit"], "failedTests": [], "warnedTests": [],
        "configuration": [
            {"name": "check/lint", "annotations": {command: ["ruff", "check", "service"]}},
            {"name": "check/unit", "annotations": {command: ["python", "-m", "pytest", "-q"]}},
        ],
        "metadata": {"kind": "checks", "finishedOn": "2026-11-20T08:05:00Z"},
    }  # fmt: skip


def _malware() -> dict[str, Any]:
    database = {"lastUpdate": "2026-11-20T04:00:00Z"}
    return {
        "result": "PASSED", "found": [], "notScanned": [], "skipped": [], "files": 812,
        "scanners": [{"name": "clamav", "version": "1.4.3", "database": database}],
        "metadata": {"finishedOn": "2026-11-20T08:12:00Z"},
    }  # fmt: skip


def _evaluation(it: Inspection) -> dict[str, Any]:
    return {
        "weights": it.claims.weights,
        "metrics": [
            {"name": "spearman", "value": "0.8203"},
            {"name": "spearman", "slice": "sts-b/en", "value": "0.8491"},
            {"name": "spearman", "slice": "sts-b/de", "value": "0.7812"},
        ],
        "requirements": [
            {"metric": "spearman", "bound": ">= 0.8", "value": "0.8203"},
            {"metric": "slices.sts-b/de.spearman", "bound": ">= 0.75", "value": "0.7812"},
        ],
    }  # fmt: skip


def _review() -> dict[str, Any]:
    return {"outcome": "approved", "reviewer": {"name": "Model risk", "team": "second line"},
            "date": "2026-11-21", "conditions": ["no use on customers under 18"]}  # fmt: skip


def judged(it: Inspection, *, refused: bool = False) -> page.Verified:
    """Return what a policy found of the image."""
    who = f"by {IDENTITY}, log entry 1234 at 2026-11-20T08:30:00Z"
    scan = Requirement(
        name="scan",
        outcome="failed" if refused else "waived",
        wanted="nothing of HIGH or above at most 7d ago, says release",
        found="CVE-2026-1111 (HIGH) in libssl3t64 3.5.1-1",
        hint="update it: modelpack lock --upgrade base; or waive it, with a reason and a day",
    )
    met = [
        Requirement(name=name, outcome="met", wanted=wanted, found=who)
        for name, wanted in (("signature", "signed by release"), ("provenance", "built by release"),
                             ("sbom", "there is one by release"))
    ]  # fmt: skip
    of = Judged(role="image", digest=digests.Digest(it.digest), platform=it.platform,
                requirements=(*met, scan))  # fmt: skip
    report = Report(digest=digests.Digest(it.digest), judged=(of,), refused=(),
                    unsigned=("test", "checks"), notes=())  # fmt: skip
    return page.Verified(policy="policy.toml", report=report, stage="production")
