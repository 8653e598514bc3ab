"""Images in layouts that somebody has signed, and statements about them."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from modelpack.digest import Digest
from modelpack.oci.image import Image, Index
from modelpack.oci.layer import Descriptor
from modelpack.oci.layout import Layout
from modelpack.oci.referrers import Referrer
from modelpack.oci.store import Root
from modelpack.trust.policy import TYPES
from tests.images import nothing
from tests.sigstore.attaching import SIGNATURE, attached, statement
from tests.sigstore.stack import Sigstore

PROVENANCE, SBOM, SCAN, MALWARE, TEST, CHECKS, EVALUATION, REBUILD, OMS = (
    TYPES[name][0]
    for name in (
        "provenance", "sbom", "scan", "malware", "test", "checks", "evaluation", "rebuild",
        "weights",
    )
)  # fmt: skip
COMMIT = "4f2a" * 10
REPOSITORY = "https://github.com/acme/minilm"
Json = dict[str, Any]


def layout_with(folder: Path, image: Image, *referrers: Referrer, tag: str = "1.0.0") -> Descriptor:
    """Write an image and what vouches for it."""
    with Layout(folder) as layout:
        for blob in image.blobs:
            layout.write(blob, nothing)
        for referrer in referrers:
            for blob in referrer.blobs(image.manifest_blob.descriptor):
                layout.write(blob, nothing)
        layout.commit([Root(manifest=image.manifest_blob, tags=(tag,), referrers=referrers)])
    return image.manifest_blob.descriptor


def index_with(
    folder: Path, index: Index, vouching: Mapping[Digest, Sequence[Referrer]], *, tag: str = "1"
) -> Digest:
    """Write an index, its images and what vouches for each of them."""
    manifests = {one.digest: one.manifest_blob for one in (index, *index.images)}
    with Layout(folder) as layout:
        for image in index.images:
            for blob in (*image.blobs, image.manifest_blob):
                layout.write(blob, nothing)
        for digest, referrers in vouching.items():
            for referrer in referrers:
                for blob in referrer.blobs(manifests[digest].descriptor):
                    layout.write(blob, nothing)
        layout.commit([
            Root(manifest=index.manifest_blob, tags=(tag,),
                 referrers=tuple(vouching.get(index.digest, ()))),
        ])  # fmt: skip
        for image in index.images:
            if referrers := vouching.get(image.digest):
                layout.attach(image.manifest_blob.descriptor, tuple(referrers))
    return index.digest


def signed(
    sigstore: Sigstore, digest: Digest, kind: str = SIGNATURE, predicate: Json | None = None,
    **how: Any,
) -> Referrer:  # fmt: skip
    """Return a statement about an image as a bundle beside it."""
    return attached(sigstore.sign(statement(digest, kind, predicate), **how), kind)


def provenance(**changes: Any) -> Json:
    """Return how an image was built, as modelpack says it."""
    said = {
        "builder": f"{REPOSITORY}/.github/workflows/release.yml@refs/heads/main",
        "type": "https://modelpack.dev/build-types/v1",
        "uri": f"git+{REPOSITORY}@refs/heads/main",
        "commit": COMMIT,
        "state": "clean",
        **changes,
    }
    return {
        "buildDefinition": {
            "buildType": said["type"],
            "externalParameters": {},
            "resolvedDependencies": [{
                "name": "revision", "uri": said["uri"], "digest": {"gitCommit": said["commit"]},
                "annotations": {"role": "code", "state": said["state"]},
            }],
        },
        "runDetails": {"builder": {"id": said["builder"]}},
    }  # fmt: skip


def scan(*findings: tuple[str, str, str], finished: float, outcome: str = "passed") -> Json:
    """Return a scan; findings are identifier, severity and the version that has a fix."""
    when = datetime.fromtimestamp(finished, tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "scanner": {
            "uri": "pkg:github/aquasecurity/trivy", "version": "0.74.0",
            "db": {"lastUpdate": when},
            "result": {
                "Results": [{"Class": "os-pkgs", "Vulnerabilities": [
                    {"VulnerabilityID": name, "Severity": severity, "PkgName": "zlib",
                     "InstalledVersion": "1.2", "FixedVersion": fixed}
                    for name, severity, fixed in findings
                ]}],
                "modelpack": {"outcome": outcome},
            },
        },
        "metadata": {"scanStartedOn": when, "scanFinishedOn": when},
    }  # fmt: skip


def malware(
    *found: str, finished: float, database: float | None = None,
    scanners: Sequence[str] = ("clamav",),
    unseen: Sequence[str] = (), skipped: Sequence[str] = (), **changes: Any,
) -> Json:  # fmt: skip
    """Return what a look for malware found: paths; `database` is when ClamAV's was made."""
    made = _time(finished if database is None else database)
    plain = {
        "result": "FAILED" if found else "UNKNOWN" if unseen else "PASSED",
        "scanners": [
            {"name": name, "version": "1", "database": {"lastUpdate": made}} for name in scanners
        ],
        "found": [{"path": path, "signature": "Test.Sig", "scanner": "clamav"} for path in found],
        "notScanned": [{"path": path, "scanner": "clamav"} for path in unseen],
        "skipped": list(skipped),
        "metadata": {"finishedOn": _time(finished)},
    }
    return {**plain, **changes}


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def checks(*passed: str, failed: Sequence[str] = (), finished: float | None = None) -> Json:
    """Return what the author's checks said."""
    when = {} if finished is None else {
        "finishedOn": datetime.fromtimestamp(finished, tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    }  # fmt: skip
    return {
        "result": "FAILED" if failed else "PASSED", "configuration": [],
        "passedTests": list(passed), "warnedTests": [], "failedTests": list(failed),
        "metadata": {"kind": "checks", **when},
    }  # fmt: skip


def evaluation(weights: str, **metrics: str) -> Json:
    """Return what was measured of weights; `en__f1` is the metric `f1` of the slice `en`."""
    found = []
    for name, value in metrics.items():
        part, _, metric = name.rpartition("__")
        found.append({"name": metric, "value": value, **({"slice": part} if part else {})})
    return {"weights": weights, "metrics": found, "requirements": []}


def bom(**licenses: str) -> Json:
    """Return a CycloneDX document whose packages have these licences."""
    return {
        "bomFormat": "CycloneDX", "specVersion": "1.6",
        "components": [
            {"type": "library", "name": name, "licenses": [{"expression": expression}]}
            for name, expression in licenses.items()
        ],
    }  # fmt: skip


def trusted_root(sigstore: Sigstore, folder: Path) -> Path:
    """Write whom to trust."""
    path = folder / "trusted_root.json"
    path.write_text(json.dumps(sigstore.trusted_root()))
    return path
