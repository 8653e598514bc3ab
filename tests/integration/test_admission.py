"""What the rendered conditions say of real predicates: CEL and Rego, carried out, must agree.

CEL runs in Kyverno's own CEL library, Rego in cosign, whose evaluator policy-controller has.
"""

import copy
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from modelpack.canonical_json import rfc3339
from modelpack.evidence.scan import gate, predicate
from modelpack.evidence.scan import report as reports
from modelpack.evidence.scan.database import Database
from modelpack.evidence.scan.scanning import Scanned
from modelpack.oci.layer import MANIFEST, Descriptor
from modelpack.oci.layout import Layout
from modelpack.spec import Scan
from tests import admission, command_line, projects, values
from tests import signed_images as made
from tests.images import image, put
from tests.sigstore.attaching import PROVENANCE, SIGNATURE, attached, statement
from tests.sigstore.certificates import new_key, public_pem
from tests.sigstore.real import RealSigstore
from tests.sigstore.stack import Sigstore

pytestmark = pytest.mark.integration

SCAN = "https://cosign.sigstore.dev/attestation/vuln/v1"
TEST = "https://in-toto.io/attestation/test-result/v0.1"
REBUILD = "https://modelpack.dev/predicates/rebuild/v1"
TYPES = {
    "provenance": PROVENANCE, "scan": SCAN, "test": TEST, "checks": made.CHECKS,
    "malware": made.MALWARE,
    "evaluation": made.EVALUATION, "rebuild": REBUILD,
}  # fmt: skip
PASSING = {
    "provenance": "provenance", "scan": "scan", "test": "tested", "checks": "checked",
    "malware": "clean",
    "evaluation": "evaluated", "rebuild": "rebuilt",
}  # fmt: skip
LOW, OF_ENGLISH = "accuracy is not >= 0.9", "slices.en.f1 is not > 0.5"
REPORT = reports.parse((admission.ASSETS.parent / "trivy-report.json").read_bytes())
HIGH = "it has vulnerabilities of severity HIGH or more"
SHIM = """\
package signature

import rego.v1

default allow := false

allow if data.sigstore.isCompliant
"""
"where cosign's command line looks for the answer"


def scan(now: int, *, report: reports.Report = REPORT, age: int = 0) -> dict[str, Any]:
    """Return the predicate of a scan."""
    rules = Scan()
    scanned = Scanned(
        manifest=Descriptor(media_type=MANIFEST, digest=values.digest("a"), size=1),
        config=values.digest("c"), platform="linux/amd64", started=now - age, rules=rules,
        report=replace(report, created=rfc3339(now - age)),
        database=Database(folder=Path("db"), updated=now - age, next_update=now),
        judgement=gate.judge(report, rules, now=now), left_out=(), doubts=(), packages=(),
    )  # fmt: skip
    made: dict[str, Any] = json.loads(json.dumps(predicate.predicate(scanned)))
    return made


@dataclass(frozen=True)
class Case:
    """A predicate, and why it is refused."""

    kind: str
    predicate: dict[str, Any]
    refused: str = ""


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory, sigstore: Sigstore) -> dict[str, Case]:
    """Return real predicates, and real ones with one thing changed."""
    now = int(sigstore.clock())
    bare = replace(REPORT, vulnerabilities=(), misconfigurations=(), secrets=())
    built = _provenance(tmp_path_factory.mktemp("built"))
    committed = copy.deepcopy(built)
    commit = {"digest": {"gitCommit": "ab" * 20}, "annotations": {"state": "clean"}}
    committed["buildDefinition"]["resolvedDependencies"].append(commit)
    dirty = copy.deepcopy(committed)
    dirty["buildDefinition"]["resolvedDependencies"][-1]["annotations"]["state"] = "changed"
    elsewhere = copy.deepcopy(committed)
    elsewhere["buildDefinition"]["buildType"] = "https://modelpack.dev.else.test/x"
    nothing = copy.deepcopy(committed)
    del nothing["buildDefinition"]["buildType"]
    waived = replace(REPORT, secrets=(), vulnerabilities=tuple(
        replace(one, id="CVE-2025-0002") for one in REPORT.vulnerabilities
    ))  # fmt: skip
    unfixed = replace(waived, vulnerabilities=tuple(
        replace(one, fixed="", id="CVE-2025-0003") for one in REPORT.vulnerabilities
    ))  # fmt: skip
    unknown = scan(now, report=bare)
    unknown["scanner"]["result"]["modelpack"]["outcome"] = "unknown"
    strange = scan(now, report=replace(REPORT, secrets=()))
    for group in strange["scanner"]["result"]["Results"]:
        for one in group.get("Vulnerabilities", []):
            one["Severity"] = "TERRIBLE"
    return {
        "provenance": Case("provenance", committed),
        "no-commit": Case("provenance", built, "the code was not as in its commit"),
        "dirty": Case("provenance", dirty, "the code was not as in its commit"),
        "elsewhere": Case("provenance", elsewhere, "it was built in another way"),
        "no-build-type": Case("provenance", nothing, "it was built in another way"),
        "scan": Case("scan", scan(now, report=bare)),
        "waived": Case("scan", scan(now, report=waived)),
        "unfixed": Case("scan", scan(now, report=unfixed)),
        "vulnerable": Case("scan", scan(now, report=replace(REPORT, secrets=())), HIGH),
        "strange-severity": Case("scan", strange, HIGH),
        "secret": Case("scan", scan(now, report=replace(bare, secrets=REPORT.secrets)),
                       "it has secrets in it"),
        "old": Case("scan", scan(now, report=bare, age=8 * 86_400), "the scan is older than 7d"),
        "unknown": Case("scan", unknown, "the scanner could not find out everything"),
        "clean": Case("malware", made.malware(finished=now, skipped=["/models/a.safetensors"])),
        "infected": Case("malware", made.malware("/app/x", finished=now, result="PASSED"),
                         "malware was found, or not all was looked at"),
        "left-out": Case("malware", made.malware(finished=now, skipped=["/models/a.st"]),
                         "files were left out that may not be"),
        "unasked": Case("malware", made.malware(finished=now, scanners=["yara"]),
                        "not all scanners have looked"),
        "old-look": Case("malware", made.malware(finished=now - 8 * 86_400),
                         "the look for malware is older than 7d"),
        "tested": Case("test", {"result": "PASSED"}),
        "failed": Case("test", {"result": "FAILED"}, "the functional test has not passed"),
        "untold": Case("test", {}, "the functional test has not passed"),
        "checked": Case("checks", made.checks("lint", "unit", "slow")),
        "unchecked": Case("checks", made.checks("lint"),
                          "not all of these checks have passed: lint, unit"),
        "check-failed": Case("checks", made.checks("lint", "unit", failed=["slow"]),
                             "a check of its author has not passed"),
        "evaluated": Case("evaluation", evaluated("0.90", "5.1e-1")),
        "low": Case("evaluation", evaluated("0.89", "0.6"), LOW),
        "low-slice": Case("evaluation", evaluated("1", "0.5"), OF_ENGLISH),
        "endless": Case("evaluation", evaluated("Infinity", "0.6"), LOW),
        "unmeasured": Case("evaluation", made.evaluation("sha256:…", accuracy="1", f1="1"),
                           OF_ENGLISH),
        "measured-twice": Case("evaluation", {"metrics": [
            *evaluated("1", "0.6")["metrics"], *evaluated("0.1", "0.6")["metrics"],
        ]}, LOW),
        "rebuilt": Case("rebuild", {"verdict": "reproduced"}),
        "different": Case("rebuild", {"verdict": "different"},
                          "it could not be made again bit for bit"),
    }  # fmt: skip


NAMES = (
    "provenance", "no-commit", "dirty", "elsewhere", "no-build-type", "scan", "waived", "unfixed",
    "vulnerable", "strange-severity", "secret", "old", "unknown", "tested", "failed", "untold",
    "rebuilt", "different", "checked", "unchecked", "check-failed", "evaluated", "low",
    "low-slice", "endless", "unmeasured", "measured-twice", "clean", "infected", "left-out",
    "unasked", "old-look",
)  # fmt: skip


def evaluated(accuracy: str, english: str) -> dict[str, Any]:
    """Return what was measured."""
    return made.evaluation("sha256:…", accuracy=accuracy, en__f1=english)


def _provenance(folder: Path) -> dict[str, Any]:
    projects.make_project(folder / "tiny", folder / "cache", wheels=False)
    projects.build(folder / "tiny", folder / "cache")
    written = json.loads((folder / "tiny" / "dist" / "provenance.json").read_bytes())
    made: dict[str, Any] = written["predicate"]
    return made


Rendered = Callable[[str], list[dict[str, Any]]]


@pytest.fixture
def rendered(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Rendered:
    """Return a function that renders the policy for a controller."""
    (tmp_path / "policy.toml").write_text(admission.POLICY, "utf-8")

    def render(controller: str) -> list[dict[str, Any]]:
        done = command_line.run_here(
            capsys, "deploy", "policy", controller, f"--policy={tmp_path / 'policy.toml'}",
            "--images=registry.test/acme/*",
        )  # fmt: skip
        assert done.status == 0, done.err
        return admission.resources(done.out)

    return render


@pytest.mark.parametrize("name", NAMES)
def test_kyverno(
    cases: Mapping[str, Case], name: str, rendered: Rendered, sigstore: Sigstore,
    go_tool: Callable[[str], str],
) -> None:  # fmt: skip
    assert set(cases) == set(NAMES)
    (policy,) = rendered("kyverno")
    case = cases[name]
    payloads = {kind: {"predicate": cases[one].predicate} for kind, one in PASSING.items()}
    everything = {item["name"]: ["sci"] for item in policy["spec"]["attestations"]}
    refused = admission.kyverno(
        go_tool("cel"), policy, signed=everything, now=rfc3339(int(sigstore.clock())),
        payloads={**payloads, case.kind: {"predicate": case.predicate}},
    )  # fmt: skip
    assert refused == ([f"{case.kind}: {case.refused}"] if case.refused else [])


def test_kyverno_wants_each_statement_by_one_who_may(
    cases: Mapping[str, Case], rendered: Rendered, sigstore: Sigstore,
    go_tool: Callable[[str], str],
) -> None:  # fmt: skip
    (policy,) = rendered("kyverno")
    names = [item["name"] for item in policy["spec"]["attestations"]]
    payloads = {kind: {"predicate": cases[one].predicate} for kind, one in PASSING.items()}

    def refused(signed: Mapping[str, list[str]]) -> list[str]:
        return admission.kyverno(
            go_tool("cel"), policy, signed=signed, payloads=payloads,
            now=rfc3339(int(sigstore.clock())),
        )  # fmt: skip

    everything = {kind: ["sci"] for kind in names}
    assert refused(everything) == []
    for name in names:
        (message,) = refused({**everything, name: []})
        assert message.startswith("no ")
    bot = refused({kind: ["sreleasebot"] for kind in names})
    assert bot == ["no provenance by ci"], "who may sign the image may not say where it is from"


@pytest.mark.parametrize("name", NAMES)
def test_policy_controller(
    cases: Mapping[str, Case], name: str, rendered: Rendered, real_sigstore: RealSigstore,
    sigstore: Sigstore, tmp_path: Path, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    case, key = cases[name], new_key()
    what = image("attested", name)
    digest = what.manifest_blob.descriptor.digest
    bundles = [
        attached(sigstore.sign_with(statement(digest, kind, said), key), kind)
        for kind, said in ((SIGNATURE, {}), (TYPES[case.kind], case.predicate))
    ]
    with Layout(tmp_path / "layout") as opened:
        put(opened, what, "1", vouching=bundles)
    repository = real_sigstore.registries["olareg"].repository()
    with real_sigstore.inside():
        copied = command_line.run_here(
            capsys, "copy", f"oci:{tmp_path / 'layout'}", f"{repository}:1"
        )
    assert copied.status == 0, copied.err
    (tmp_path / "key.pub").write_bytes(public_pem(key.public_key()))
    rego = next(
        attestation["policy"]["data"]
        for item in rendered("policy-controller")
        for attestation in item["spec"]["authorities"][0]["attestations"]
        if attestation["predicateType"] == TYPES[case.kind]
    )
    (tmp_path / "policy.rego").write_text(rego, "utf-8")
    (tmp_path / "shim.rego").write_text(SHIM, "utf-8")
    done = real_sigstore.cosign(
        "verify-attestation", f"--type={TYPES[case.kind]}", f"--key={tmp_path / 'key.pub'}",
        "--insecure-ignore-tlog=true", f"--policy={tmp_path / 'policy.rego'}",
        f"--policy={tmp_path / 'shim.rego'}", f"{repository}@{digest}",
    )  # fmt: skip
    assert (done.returncode == 0) == (not case.refused), done.stderr
    if case.refused:
        assert "expression value, false, is not true" in done.stderr, done.stderr
