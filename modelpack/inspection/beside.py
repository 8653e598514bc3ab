"""What stands beside an image and says something about it, as values; nothing is verified."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

_NO_COUNTS: Mapping[str, int] = MappingProxyType({})
_NO_TEXTS: Mapping[str, str] = MappingProxyType({})
_NO_NUMBERS: Mapping[str, float] = MappingProxyType({})
_NO_NAMES: Mapping[str, tuple[str, ...]] = MappingProxyType({})

Form = Literal["bundle", "dsse", "simple"]
"how it is signed: a Sigstore bundle, a bare envelope, cosign's older payload in a manifest"


@dataclass(frozen=True, slots=True, kw_only=True)
class LogClaim:
    """An entry that a transparency log is said to have."""

    index: int
    log: str
    "its key's id, hexadecimal"
    kind: str = ""
    "such as `dsse 0.0.1`"
    time: str = ""
    "when the log took it; empty: it does not say, as Rekor v2"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignerClaim:
    """Who seems to have signed: what a certificate says, or a hint at a key."""

    identities: tuple[str, ...] = ()
    "mail addresses and URIs of the certificate"
    issuer: str = ""
    "who the identity was proved to, such as `https://token.actions.githubusercontent.com`"
    certificate: str = ""
    "sha256 of it"
    certificate_issuer: str = ""
    not_before: str = ""
    not_after: str = ""
    details: Mapping[str, str] = field(default_factory=lambda: _NO_TEXTS)
    "what a CI system let Fulcio write into it: `source-repository`, `build-signer`"
    key_hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignatureClaim:
    """A signature that nobody has looked at."""

    form: Form
    signer: SignerClaim
    entries: tuple[LogClaim, ...] = ()
    timestamps: tuple[str, ...] = ()
    "of timestamp authorities (RFC 3161)"
    signs: str = ""
    "digest of the image that is named by what is signed; empty: by its statement"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvenanceClaim:
    """How an image is said to have been built."""

    builder: str
    build_type: str
    source: str
    revision: str
    started: str
    finished: str
    materials: Mapping[str, int]
    "how many inputs, by kind"


@dataclass(frozen=True, slots=True, kw_only=True)
class SbomClaim:
    """What is said to be in an image."""

    format: str
    "such as `CycloneDX 1.6`"
    made_by: str
    created: str
    components: Mapping[str, int]
    "by type"
    licenses: Mapping[str, int]
    "as stated, the most frequent first"
    complete: bool
    "False: it says itself that something is missing"


@dataclass(frozen=True, slots=True, kw_only=True)
class VulnerabilityClaim:
    """One vulnerability that a scanner is said to have found."""

    id: str
    package: str
    installed: str
    fixed: str
    "version in which it is mended; empty: none is named"
    severity: str
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanClaim:
    """What a scanner is said to have found."""

    scanner: str
    outcome: str
    "`passed`, `failed`, `unknown`, where it says so"
    severities: Mapping[str, int]
    "vulnerabilities"
    database: str
    "when the database was made"
    finished: str
    vulnerabilities: tuple[VulnerabilityClaim, ...] = ()
    "the worst first; no more than can be read"
    not_looked_at: tuple[str, ...] = ()
    findings: tuple[str, ...] = ()
    "what is wrong by the rules of whoever scanned: secrets and licences too"
    waived: tuple[str, ...] = ()
    "exceptions that its author made, each with reason and end"


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictClaim:
    """What a test, checks, a rebuild or a verifier are said to have decided."""

    outcome: str
    by: str
    finished: str
    counts: Mapping[str, int] = field(default_factory=lambda: _NO_COUNTS)
    names: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: _NO_NAMES)
    "of tests: those that `failed`, `warned`, `passed`, `skipped`"
    measured: Mapping[str, float] = field(default_factory=lambda: _NO_NUMBERS)
    "of a functional test: `cold-start`, `p95` in seconds, `memory` in bytes"
    calls: Mapping[str, float] = field(default_factory=lambda: _NO_NUMBERS)
    "the same, of functions that were called"
    limits: Mapping[str, str] = field(default_factory=lambda: _NO_TEXTS)
    "that were asked for: `cold-start` to `10s`"
    commands: Mapping[str, str] = field(default_factory=lambda: _NO_TEXTS)
    "of the author's checks, by name"


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricClaim:
    """One number of an evaluation."""

    name: str
    slice: str
    "part of the data; empty: all of it"
    value: str
    bound: str
    "what was asked of it; empty: nothing"


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationClaim:
    """How well the weights are said to do."""

    weights: str
    "digest of the weights that it is about"
    metrics: tuple[MetricClaim, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferrerClaim:
    """A statement, document or signature about this image, or its index."""

    digest: str
    "of the manifest by which it refers"
    subject: str
    artifact_type: str
    predicate_type: str
    "of the statement in it; empty where it has none that can be read"
    kind: str
    "`sbom`, `provenance`, `oms`, `scan`, where it says that modelpack made it"
    size: int
    "bytes of the manifest"
    summary: str
    "one line for people"
    signed: str
    "who seems to have signed it and when, for people; empty: it is not signed"
    what: str
    "the word for what it is, whoever made it; empty: none that is known"
    by: str
    "how it refers: `subject`, `index` (BuildKit's), or the tag under which older cosign keeps it"
    media_type: str = ""
    "of its content"
    content: str = ""
    "digest of it"
    content_size: int = 0
    signature: SignatureClaim | None = None
    "None: it is not signed"
    provenance: ProvenanceClaim | None = None
    sbom: SbomClaim | None = None
    scan: ScanClaim | None = None
    verdict: VerdictClaim | None = None
    evaluation: EvaluationClaim | None = None
    said: Mapping[str, str] = field(default_factory=lambda: _NO_TEXTS)
    "of a statement of a type that is not known here: its members by dotted path, the first of them"
    document: str = ""
    "digest of the statement or document itself: the same whether it is signed or not"
    unreadable: str = ""
    "why it could not be read; empty: it could"


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What one content says, by the sort of it; and a line for people."""

    line: str = ""
    provenance: ProvenanceClaim | None = None
    sbom: SbomClaim | None = None
    scan: ScanClaim | None = None
    verdict: VerdictClaim | None = None
    evaluation: EvaluationClaim | None = None
    members: Mapping[str, str] = field(default_factory=lambda: _NO_TEXTS)
    "of a type that is not known"
