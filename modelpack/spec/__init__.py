"""What the author wrote in `modelpack.toml`: validated, nothing looked up.

Every class below is one table of the file; a field `cold_start` is the key `cold-start`. The
decoder (`modelpack.spec.decoding`) and the JSON Schema are derived from these annotations.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from types import MappingProxyType
from typing import Literal

Verify = Literal["full", "fast", "off"]

_NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """`[model]`: what the image holds, in the author's words."""

    name: str
    version: str
    license: str = ""
    description: str = ""
    task: str = ""
    architecture: str = ""
    framework: str = ""
    base: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingData:
    """`[[training.data]]`: a data set that the author claims to have trained on."""

    name: str
    version: str = ""
    uri: str = ""
    digest: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """`[training]`: lineage, the author's claims."""

    run: str = ""
    source: str = ""
    data: tuple[TrainingData, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightsSignature:
    """`weights.signature`: the publisher's signature (OMS), and who may have made it."""

    file: str = ""
    key: str = ""
    "file of a public key"
    identity: str = ""
    issuer: str = ""
    trusted_root: str = ""
    "file; empty: Sigstore's public one"


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """`[weights]` or `[[weights]]`: one set of weight files and where it goes in the image."""

    name: str = ""
    "defaults to model.name"
    path: str = ""
    source: str = ""
    include: tuple[str, ...] = ("*.safetensors", "*.json", "*.txt", "*.model")
    "as it stands; what the default means in a folder without safetensors: `spec.packing`"
    exclude: tuple[str, ...] = ()
    destination: str = ""
    "defaults to /models/<name>"
    mode: Literal["bake", "mount"] = "bake"
    require: tuple[str, ...] = ()
    allow_unsafe: tuple[str, ...] = ()
    allow_imports: tuple[str, ...] = ()
    "what files with an exception may import although a scanner calls it malicious: `module.name`"
    signature: WeightsSignature = field(default_factory=WeightsSignature)


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """`[code]`: the files that use the weights, and the command that starts them."""

    command: tuple[str, ...]
    path: str = "."
    include: tuple[str, ...] = ()
    "empty means: everything but .git, virtual environments, dist and weights"
    exclude: tuple[str, ...] = ()
    workdir: str = "/app"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependencies:
    """`[dependencies]`: hash-locked requirements."""

    lockfile: str = ""
    source: str = ""
    indexes: tuple[str, ...] = ("pypi",)
    development: str = ""
    "hash-locked requirements of `[checks]`, which no image holds"


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """`runtime.health`: paths of the service's own endpoints."""

    live: str = ""
    ready: str = ""
    version: str = ""
    metrics: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """`runtime.gpu`: what the image must run on."""

    targets: tuple[str, ...] = ()
    memory: str = ""
    overhead: str = ""
    "empty means: modelpack.checks.gpu.memory.OVERHEAD"
    driver: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """`[runtime]`: what the code runs on and how it is started."""

    device: Literal["cpu", "cuda"] = "cpu"
    base: str = "debian:13"
    python: str = ""
    packages: tuple[str, ...] = ()
    allow_missing: tuple[str, ...] = ()
    "shared libraries that may be missing in the image, by the name that is asked for"
    port: int = 0
    "0: nothing is exposed"
    user: int = 10001
    environment: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    verify: Verify = "full"
    verify_override: bool = False
    "whether MODELPACK_VERIFY may weaken the guard when the container starts"
    verify_mounts: Literal["warn", "strict"] = "warn"
    "what the guard does where mounted weights can be written to"
    require_signature: bool = False
    "whether the weights must be signed by whom a mounted file names, at each start"
    bytecode: Literal["auto", "unchecked-hash", "none"] = "auto"
    health: Health = field(default_factory=Health)
    gpu: Gpu = field(default_factory=Gpu)


@dataclass(frozen=True, slots=True, kw_only=True)
class Interface:
    """`[interface]`: what the service answers, as files."""

    openapi: str = ""
    input: str = ""
    output: str = ""
    served: str = ""
    "path at which the service serves its OpenAPI document; empty: where that is usual, if at all"

    @property
    def is_stated(self) -> bool:
        """Tell whether any document is named."""
        return bool(self.openapi or self.input or self.output)


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """`[image]`: names and outer form of the result."""

    repository: str = ""
    tags: tuple[str, ...] = ()
    "empty means: model.version"
    platforms: tuple[str, ...] = ("linux/amd64",)
    labels: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    compression: Literal["gzip", "zstd"] = "gzip"


@dataclass(frozen=True, slots=True, kw_only=True)
class Test:
    """`[test]`: golden requests and limits of the functional gate."""

    golden: tuple[str, ...] = ()
    concurrency: int = 1
    "clients that ask at once while it is measured"
    duration: str = "5s"
    "for how long they ask"
    limits: Mapping[str, str] = field(default_factory=lambda: _NOTHING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """`[card]`: what the model is for."""

    intended_use: str = ""
    limitations: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """`[evaluation]`: a report of metrics and what they must reach."""

    report: str = ""
    require: Mapping[str, str] = field(default_factory=lambda: _NOTHING)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanIgnore:
    """`[[scan.ignore]]`: something that a scan finds, accepted until a day."""

    id: str
    "of the vulnerability, misconfiguration, licence or rule for secrets"
    reason: str
    expires: date
    "the last day"
    package: str = ""
    "empty: whichever"
    path: str = ""
    "in the image; empty: wherever, which no secret may be"
    state: Literal["in_triage", "not_affected", "false_positive", "exploitable"] = "in_triage"
    "what the VEX document says of it (CycloneDX, impact analysis state)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """`[scan]`: what a vulnerability scan must not find."""

    fail_on: Literal["LOW", "MEDIUM", "HIGH", "CRITICAL"] = "HIGH"
    fixed_only: bool = True
    database_max_age: str = "7d"
    deny_licenses: tuple[str, ...] = ()
    ignore: tuple[ScanIgnore, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sign:
    """`[sign]`: what must have passed before a signature is given."""

    require: tuple[Literal["test", "scan", "malware", "checks"], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """The whole of `modelpack.toml`."""

    schema: int
    model: Model
    weights: tuple[Weights, ...]
    "names and destinations are filled in, and unique"
    code: Code
    training: Training = field(default_factory=Training)
    dependencies: Dependencies = field(default_factory=Dependencies)
    runtime: Runtime = field(default_factory=Runtime)
    interface: Interface = field(default_factory=Interface)
    image: Image = field(default_factory=Image)
    checks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    test: Test = field(default_factory=Test)
    card: Card = field(default_factory=Card)
    evaluation: Evaluation = field(default_factory=Evaluation)
    scan: Scan = field(default_factory=Scan)
    sign: Sign = field(default_factory=Sign)
