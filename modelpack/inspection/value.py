"""An Inspection: everything that an image claims, as values; nothing here is verified."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from modelpack.inspection.beside import ReferrerClaim
from modelpack.interface.fields import Field

NOTHING: Mapping[str, str] = MappingProxyType({})
_NO_COUNTS: Mapping[str, int] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformImage:
    """One image of an index."""

    platform: str
    "`linux/amd64`; empty where the index does not say"
    digest: str
    size: int
    "bytes of the manifest"


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """The image's labels, and those that trace it back to what it was built from."""

    labels: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    "all of them, sorted"
    annotations: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    "of the manifest, sorted"
    created: str = ""
    format: str = ""
    plan: str = ""
    lock: str = ""
    weights: str = ""
    role: str = ""
    "`weights`: holds weights to be mounted, and starts nothing; empty: any other image"
    weights_image: str = ""
    "digest of the image whose weights are to be mounted"
    base_name: str = ""
    base_digest: str = ""
    unsafe: tuple[str, ...] = ()
    "named exceptions for weights that can carry code: `rule path`"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelClaim:
    """What the image holds, in its author's words."""

    name: str = ""
    version: str = ""
    license: str = ""
    description: str = ""
    task: str = ""
    architecture: str = ""
    framework: str = ""
    base: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactClaim:
    """What a model artifact says, beyond what images say too."""

    kind: Literal["modelpack", "kitops"]
    type: str
    "of the manifest: its artifactType"
    images: tuple[str, ...] = ()
    "digest of the image that it was made from; of several platforms, of each"
    title: str = ""
    family: str = ""
    authors: tuple[str, ...] = ()
    vendor: str = ""
    format: str = ""
    parameters: str = ""
    "as it says: `6.7b`"
    precision: str = ""
    quantization: str = ""
    documentation: str = ""
    "a URL"


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerClaim:
    """One answer of an operation."""

    status: str
    "as written: `200`, `4XX`, `default`; empty: whatever it is"
    fields: tuple[Field, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationClaim:
    """What one operation takes and gives."""

    name: str
    "`POST /predict`; empty: one kind of request, wherever it is sent"
    summary: str
    parameters: tuple[Field, ...]
    "of path, query and header"
    media_types: tuple[str, ...]
    "of the request"
    request: tuple[Field, ...]
    answers: tuple[AnswerClaim, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class InterfaceClaim:
    """What the service answers, as its author says."""

    digest: str
    "over the documents below, as source.json has them"
    openapi: str = ""
    "version of the OpenAPI Specification; empty: there is no such document"
    title: str = ""
    operations: tuple[str, ...] = ()
    "`POST /predict`"
    input: tuple[str, ...] = ()
    "fields of a request, from its JSON Schema"
    output: tuple[str, ...] = ()
    "fields of an answer, from its JSON Schema"
    details: tuple[OperationClaim, ...] = ()
    "what the first operations take and give"


@dataclass(frozen=True, slots=True, kw_only=True)
class DataClaim:
    """A data set that the author claims to have trained on."""

    name: str = ""
    version: str = ""
    uri: str = ""
    digest: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingClaim:
    """Where the weights came from, in their author's words."""

    run: str = ""
    source: str = ""
    data: tuple[DataClaim, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceClaim:
    """The code and its revision."""

    revision: str = ""
    dirty: bool | None = None
    "None: not stated"
    digest: str = ""
    files: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightFileClaim:
    """One weight file; what safetensors do not say is None."""

    set: str
    "name of the `[weights]` that it belongs to"
    path: str
    "in the image, absolute; in an artifact, below the folder that it is unpacked to"
    size: int
    sha256: str
    "empty where a foreign artifact has a digest for all of a layer only"
    tensors: int | None = None
    parameters: int | None = None
    dtypes: Mapping[str, int] = field(default_factory=lambda: _NO_COUNTS)
    "parameters by dtype"


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightSetClaim:
    """The totals of one `[weights]`."""

    name: str
    destination: str
    digest: str
    mode: str
    "`bake` or `mount`; empty where the spec cannot be read"
    files: int
    size: int
    tensors: int
    parameters: int
    dtypes: Mapping[str, int]
    source: str = ""
    "where it was fetched from, with its revision; empty: a folder, or not stated"


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageClaim:
    """A Debian package or a wheel."""

    type: Literal["deb", "wheel"]
    name: str
    version: str
    purl: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerClaim:
    """One layer; what is not stated is empty."""

    index: int
    kind: str
    "`base`, `dependencies`, `weights`, `code`, `meta`, `nameplate`; empty: another tool's"
    digest: str
    diff_id: str
    size: int
    "bytes as stored, compressed or not"
    media_type: str
    created_by: str
    content: str
    "for people"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunClaim:
    """How the container is started."""

    user: str = ""
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    workdir: str = ""
    env: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    healthcheck: tuple[str, ...] = ()
    stop_signal: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """What can be known of an image from its manifest, its configuration and its last layer."""

    digest: str
    "of the manifest"
    config_digest: str = ""
    "of the configuration, the image id in Docker: the same in every store and engine"
    verified: Literal[False] = False
    index: str = ""
    "digest of the index that the image was chosen from"
    platform: str
    platforms: tuple[PlatformImage, ...] = ()
    "of the index; empty where there is none"
    media_type: str
    size: int
    "bytes of manifest, configuration and layers as stored"
    claims: Claims
    artifact: ArtifactClaim | None = None
    "None: a container image, or what else has a manifest"
    model: ModelClaim
    training: TrainingClaim
    interface: InterfaceClaim | None = None
    "None: the image states none"
    source: SourceClaim
    weights: tuple[WeightFileClaim, ...]
    weight_sets: tuple[WeightSetClaim, ...]
    packages: tuple[PackageClaim, ...]
    layers: tuple[LayerClaim, ...]
    config: RunClaim
    referrers: tuple[ReferrerClaim, ...] = ()
    findings: tuple[str, ...]
    "what does not add up"
    unknown: tuple[str, ...]
    "what cannot be known, and why"
