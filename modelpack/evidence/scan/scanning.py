"""One scan: a view of the image, what Trivy says of it, and what the project says to that."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from packaging.utils import canonicalize_name, canonicalize_version

from modelpack.digest import Digest
from modelpack.digest import of as digest_of
from modelpack.errors import Finding, ModelpackError, Refused, Unavailable
from modelpack.evidence.scan import Report, gate, trivy, view
from modelpack.evidence.scan import report as reports
from modelpack.evidence.scan.database import Database, Wanted, opened, too_old
from modelpack.evidence.scan.gate import Judgement, Verdict
from modelpack.evidence.scan.serving import served
from modelpack.evidence.scan.subject import Subject
from modelpack.evidence.scan.view import View
from modelpack.inputs.machine import Machine
from modelpack.inputs.scratch import scratch_folder
from modelpack.inspection.value import PackageClaim
from modelpack.oci.layer import Descriptor
from modelpack.spec import Scan

_SHOWN = 5
"names in one message"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scanned:
    """What a scan found out about exactly this image."""

    manifest: Descriptor
    config: Digest
    "of the configuration: what an engine, which keeps no manifests, knows the image by"
    platform: str
    started: int
    "seconds since 1970"
    database: Database
    rules: Scan
    report: Report
    judgement: Judgement
    packages: tuple[PackageClaim, ...]
    "what the image's lock, and with it its SBOM, says that it holds"
    left_out: tuple[str, ...]
    "weights in the image: files that were not looked at"
    doubts: tuple[Finding, ...]
    "why nothing found does not mean that there is nothing"

    @property
    def digest(self) -> Digest:
        """Of the image: of its manifest."""
        return self.manifest.digest

    @property
    def outcome(self) -> Literal["passed", "failed", "unknown"]:
        """A no stands whatever else is in doubt."""
        if self.judgement.count("fails"):
            return "failed"
        doubted = any(doubt.severity == "error" for doubt in self.doubts)
        return "unknown" if doubted else "passed"

    @property
    def summary(self) -> Mapping[str, Any]:
        """The answer in a few words: what the record of a build has."""
        verdicts: tuple[Verdict, ...] = ("fails", "waived", "below")
        return {
            "digest": self.digest,
            "platform": self.platform,
            "outcome": self.outcome,
            "counts": {verdict: self.judgement.count(verdict) for verdict in verdicts},
        }

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Everything that is wrong or doubtful."""
        return (*self.judgement.findings, *self.doubts)

    @property
    def error(self) -> ModelpackError | None:
        """What to raise where only a yes will do."""
        match self.outcome:
            case "passed":
                return None
            case "failed":
                return Refused(*self.findings)
            case "unknown":
                return Unavailable(*self.findings)


def scan(subject: Subject, *, rules: Scan, wanted: Wanted, machine: Machine) -> Scanned:
    """Scan `subject` and judge it by `rules`.

    Raises Unavailable when there is no Trivy, no database or no answer, InputError when the image
    is damaged.
    """
    program = trivy.find(machine.environment)
    shown = view.of(subject)
    machine.progress.say(f"scanning {subject.platform or 'the image'} with Trivy")
    try:
        database, data = _asked(program, shown, wanted, machine)
    except trivy.NeedsJava:
        database, data = _asked(program, shown, wanted, machine, java=True)
    report = reports.parse(data)
    if report.image_id != shown.image_id:
        raise Unavailable("the report of Trivy is about another image", at=subject.manifest.digest)
    return Scanned(
        manifest=subject.manifest,
        config=digest_of(subject.config),
        platform=subject.platform,
        started=machine.now,
        database=database,
        rules=rules,
        report=report,
        judgement=gate.judge(report, rules, now=machine.now),
        packages=subject.packages,
        left_out=tuple(sorted(path for paths in subject.weights.values() for path in paths)),
        doubts=tuple(_doubts(subject, report, database, rules, now=machine.now)),
    )


def _asked(
    program: str, shown: View, wanted: Wanted, machine: Machine, *, java: bool = False
) -> tuple[Database, bytes]:
    """Return the database that was asked, and the report."""
    with (
        opened(wanted, program, machine, java=java) as databases,
        scratch_folder(machine.cache) as work,
        served(shown) as name,
    ):
        data = trivy.scan(
            program, name, databases={kind: one.folder for kind, one in databases.items()},
            environment=machine.environment, work=work,
        )  # fmt: skip
        return databases[trivy.VULNERABILITIES], data


def _doubts(
    subject: Subject, report: Report, database: Database, rules: Scan, *, now: int
) -> Iterator[Finding]:
    old = too_old(database, rules.database_max_age, now=now)
    if old is not None:
        yield old
    seen = {identity(package.type, package.name, package.version) for package in report.packages}
    unseen = [
        f"{claim.name} {claim.version}"
        for claim in subject.packages
        if identity(claim.type, claim.name, claim.version) not in seen
    ]
    if unseen:
        more = f" and {len(unseen) - _SHOWN} more" if len(unseen) > _SHOWN else ""
        yield Finding(
            message="Trivy did not recognise what the image's lock names: "
            f"{', '.join(unseen[:_SHOWN])}{more}",
            at=subject.manifest.digest,
            hint="what it knows of them was not asked: nothing can be said about them",
            rule="scan.unseen",
        )
    if subject.by_headers and subject.weights:
        yield Finding(
            message="the layers of weights were told apart by what the registry sent of them, "
            "which is not all, and so not hashed",
            at=subject.manifest.digest,
            hint="modelpack pull IMAGE, then scan the layout: there they are hashed",
            rule="scan.headers",
            severity="warning",
        )
    if not report.system:
        yield Finding(
            message="Trivy recognised no operating system, so that its packages were not judged",
            at=subject.manifest.digest,
            rule="scan.system",
            severity="warning",
        )


def identity(kind: str, name: str, version: str) -> tuple[str, str, str]:
    """Return what is equal for one package, however it is spelled (PEP 503, PEP 440)."""
    if kind in ("wheel", "pypi"):
        return "pypi", canonicalize_name(name), canonicalize_version(version)
    return kind, name, version
