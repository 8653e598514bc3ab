"""A Policy: what must be true of an image before it is used, and who must have said so."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from types import MappingProxyType
from typing import Final, Literal

from modelpack.trust import predicate_types

_NOTHING: Mapping[str, str] = MappingProxyType({})

Kind = Literal[
    "signature", "provenance", "sbom", "scan", "malware", "test", "checks", "evaluation", "rebuild",
]  # fmt: skip
Severity = Literal["LOW", "MEDIUM", "HIGH", "CRITICAL"]
Waivable = Literal[
    "provenance", "base", "sbom", "scan", "malware", "test", "checks", "evaluation", "licenses",
    "labels", "formats", "rebuild", "weights",
]  # fmt: skip
"everything but who signed the image"
TYPES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType({
    "signature": (predicate_types.SIGNATURE,),
    "provenance": (predicate_types.PROVENANCE, predicate_types.OLDER_PROVENANCE[0]),
    "sbom": (predicate_types.CYCLONEDX, predicate_types.SPDX),
    "scan": (predicate_types.VULN,),
    "malware": (predicate_types.MALWARE,),
    "test": (predicate_types.TEST,),
    "checks": (predicate_types.CHECKS,),
    "evaluation": (predicate_types.EVALUATION,),
    "rebuild": (predicate_types.REBUILD,),
    "weights": (predicate_types.OMS,),
})  # fmt: skip
"predicate types by the word for them; each is taken exactly"


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """`[signers.NAME]`: somebody with a certificate, or with a key."""

    identity: str = ""
    identity_regexp: str = ""
    issuer: str = ""
    issuer_regexp: str = ""
    key: str = ""
    "path of a file with the public key; PEM once it is read"


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """`[signature]`: who must have signed the image."""

    signers: tuple[str, ...]
    max_age: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """`[provenance]`: where the image must come from; empty lists ask for nothing."""

    signers: tuple[str, ...] = ()
    max_age: str = ""
    builders: tuple[str, ...] = ()
    build_types: tuple[str, ...] = ()
    repositories: tuple[str, ...] = ()
    refs: tuple[str, ...] = ()
    clean: bool = False
    "no packed file may differ from its commit"


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """`[base]`: what the image may be built on."""

    allow: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sbom:
    """`[sbom]`: a bill of materials must be there."""

    signers: tuple[str, ...] = ()
    max_age: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """`[scan]`: what no scan may have found, and how old the newest may be."""

    signers: tuple[str, ...] = ()
    max_age: str = "7d"
    fail_on: Severity = "HIGH"
    fixed_only: bool = True
    database_max_age: str = ""
    "when it was scanned, of the vulnerability database"


@dataclass(frozen=True, slots=True, kw_only=True)
class Malware:
    """`[malware]`: no look for malware may have found any, and how old the newest may be."""

    signers: tuple[str, ...] = ()
    max_age: str = "7d"
    database_max_age: str = "7d"
    "when it was looked, of ClamAV's database"
    scanners: tuple[Literal["clamav", "yara"], ...] = ("clamav",)
    "of which each must have looked"
    may_skip: tuple[str, ...] = ()
    "files that may have been left out, such as `/models/*.safetensors`"


@dataclass(frozen=True, slots=True, kw_only=True)
class Test:
    """`[test]`: the functional test must have passed."""

    signers: tuple[str, ...] = ()
    max_age: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checks:
    """`[checks]`: the author's own checks must have passed."""

    required: tuple[str, ...] = ()
    "names of which each must be among them"
    signers: tuple[str, ...] = ()
    max_age: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """`[evaluation]`: what was measured of exactly these weights, and bounds on it."""

    require: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    "whatever the author asked for"
    signers: tuple[str, ...] = ()
    max_age: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Licenses:
    """`[licenses]`: of the model, and of every package in the bill of materials."""

    model: tuple[str, ...] = ()
    "that the model may have; empty: any"
    allow: tuple[str, ...] = ()
    "that a package may have; empty: any"
    deny: tuple[str, ...] = ()
    "that neither may have"


@dataclass(frozen=True, slots=True, kw_only=True)
class Formats:
    """`[formats]`: exceptions for weights that can carry code, which an image may not have."""

    forbid: tuple[str, ...]
    "such as `weights.pickle`, or `*` for all"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuild:
    """`[rebuild]`: somebody must have made the image again, bit for bit."""

    signers: tuple[str, ...] = ()
    max_age: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """`[weights]`: who must have signed the model itself (OpenSSF Model Signing)."""

    signers: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Required:
    """`[[statements]]`: another statement that must be there."""

    type: str
    signers: tuple[str, ...] = ()
    max_age: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """`[stages.NAME]`: who may promote to a stage, and what must be there before."""

    signers: tuple[str, ...]
    after: str = ""
    "the stage that an image must have been promoted to before"
    statements: tuple[Kind, ...] = ()
    scan_max_age: str = ""
    approver_not_builder: bool = True
    repository: str = ""
    "HOST/NAME, whose stage it is; empty: the one that is asked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiver:
    """`[[waivers]]`: something that is accepted until a day."""

    requirement: Waivable
    reason: str
    expires: date
    "the last day"
    id: str = ""
    "of what a scan found, or a licence; empty: the whole requirement"
    image: str = ""
    "digest; empty: every image"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The whole of a policy file; a section that is absent asks for nothing."""

    schema: int
    signers: Mapping[str, Signer]
    log: bool = True
    "a transparency log must have all that is signed; otherwise keys can do without"
    signature: Signature | None = None
    provenance: Provenance | None = None
    base: Base | None = None
    sbom: Sbom | None = None
    scan: Scan | None = None
    malware: Malware | None = None
    test: Test | None = None
    checks: Checks | None = None
    evaluation: Evaluation | None = None
    licenses: Licenses | None = None
    labels: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    "what each label of the image must be; `*` stands for anything"
    formats: Formats | None = None
    rebuild: Rebuild | None = None
    weights: Weights | None = None
    statements: tuple[Required, ...] = ()
    stages: Mapping[str, Stage] = field(default_factory=dict)
    waivers: tuple[Waiver, ...] = ()

    def signers_of(self, own: tuple[str, ...]) -> tuple[str, ...]:
        """Return who may make a statement: those named for it, else who may sign the image."""
        return own or (self.signature.signers if self.signature else ())
