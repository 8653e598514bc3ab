"""Every outside input by digest, per platform: the value of `modelpack.lock`.

Names no host. Each part has a fingerprint over the keys of the Spec that select it, so that an
edit elsewhere never makes a lock stale. Reading and writing: `modelpack.lock.encoding`.
"""

from dataclasses import dataclass
from typing import Literal

from modelpack.digest import Digest
from modelpack.platform import Platform

VERSION = 1
FORMAT = 1
"of the assembled bytes: whatever changes a layer for equal inputs counts this up"
CHUNK = 64 << 20
"bytes of a weight file that are hashed, and checked at start, on their own"
OWN_LAYER = 64_000_000
"a weight file of this many bytes and more is a layer of its own; smaller ones share one"

Part = Literal["base", "dependencies", "weights", "runtime"]
PARTS: tuple[Part, ...] = ("base", "dependencies", "weights", "runtime")


@dataclass(frozen=True, slots=True, kw_only=True)
class DebianRelease:
    """A signed index that packages were chosen from."""

    archive: str
    "`debian` or `debian-security`"
    suite: str
    "`trixie`, `trixie-updates`, `trixie-security`"
    snapshot: str
    "time of that archive, `20261120T083000Z`: the Date of its InRelease"
    sha256: str
    "of InRelease"
    signed_by: tuple[str, ...]
    "fingerprints of the archive keys"


@dataclass(frozen=True, slots=True, kw_only=True)
class DebianPackage:
    """A `.deb` pinned by digest."""

    name: str
    version: str
    architecture: str
    source: str
    "source package, without its version"
    archive: str
    suite: str
    path: str
    "pool path below the archive's root"
    size: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AssembledBase:
    """A base made from packages, distroless-style."""

    distribution: str
    "`debian:13`"
    releases: tuple[DebianRelease, ...]
    packages: tuple[DebianPackage, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseLayer:
    """A layer of an image base, taken as it is."""

    digest: Digest
    diff_id: Digest
    size: int
    media_type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageBase:
    """A base that is an image in a registry, pinned by digest."""

    reference: str
    "as in `runtime.base`, with the host and repository written out"
    digest: Digest
    "of the platform's manifest"
    config: Digest
    layers: tuple[BaseLayer, ...]
    environment: tuple[str, ...] = ()
    """`NAME=value`, sorted: what of the base's variables the image keeps, where its certificates
    are, and CUDA_VERSION, which no image keeps: it says which CUDA the base brings"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interpreter:
    """The Python of the base."""

    version: str
    "`3.13.5`"
    path: str
    "`/usr/bin/python3.13`"
    glibc: str
    "`2.41`"

    @property
    def minor(self) -> str:
        """`3.13`."""
        return ".".join(self.version.split(".")[:2])


@dataclass(frozen=True, slots=True, kw_only=True)
class Wheel:
    """A wheel pinned by digest."""

    name: str
    "normalized, PEP 503"
    version: str
    filename: str
    size: int
    "0 where the index did not say"
    sha256: str
    index: str = "pypi"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformLock:
    """What one platform's base and dependency layers are made from."""

    platform: Platform
    base: AssembledBase | ImageBase
    interpreter: Interpreter
    wheels: tuple[Wheel, ...]
    bytecode: Literal["unchecked-hash", "none"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightFile:
    """A weight file by content."""

    path: str
    "below the destination, with `/`"
    size: int
    sha256: str
    chunks: tuple[str, ...]
    "sha256 of each CHUNK bytes, the last one shorter; one of nothing for an empty file"
    layer: Digest | None
    "digest of the uncompressed layer that holds just this file; None when it is bundled"
    tensors: tuple[str, ...] = ()
    """in file order, where the format says it (safetensors, GGUF, ONNX, NumPy, XGBoost):
    `BF16 [4096,4096] model.layers.0.mlp.w`"""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileVersion:
    """How a source tells one content of a file from another; a claim that no digest rests on."""

    path: str
    "as in WeightFile"
    version: str = ""
    "of a bucket that keeps all versions: names this content for ever"
    etag: str = ""
    "or the time of the last change, where a server has no better"


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightsSource:
    """Where weights were fetched from, as exactly as that place can be named."""

    uri: str
    "as in `weights.source`: names no host that it does not"
    revision: str = ""
    "commit of a hub, digest of an image; empty where each file has a version of its own"
    single: bool = False
    "the source is one file, and no folder"
    versions: tuple[FileVersion, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightsLock:
    """One `[weights]` by content."""

    name: str
    destination: str
    digest: Digest
    "over path, size and sha256 of every file"
    files: tuple[WeightFile, ...]
    bundle: Digest | None
    "digest of the uncompressed layer that holds all small files; None where there are none"
    unsafe: tuple[str, ...] = ()
    "named exceptions that were used: `rule path`"
    source: WeightsSource | None = None
    "None: a folder"


@dataclass(frozen=True, slots=True, kw_only=True)
class Compressor:
    """What compresses base, dependency and code layers; other bytes, other digests."""

    name: Literal["gzip", "zstd"]
    package: str
    "the Python distribution that carries the library"
    version: str
    level: int
    member: int
    "bytes of input per independent gzip member or zstd frame"


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeLock:
    """The guard and the probe that are copied into the image."""

    guard: Digest
    probe: Digest
    signature: Digest | None = None
    "what checks signatures at start, where that is required"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprints:
    """What each part was selected by: `key=first 16 digits of the value's sha256`, sorted.

    Kept by key and not as one digest a part, so that a stale lock can say what moved.
    """

    base: tuple[str, ...]
    dependencies: tuple[str, ...]
    weights: tuple[str, ...]
    runtime: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """The whole of `modelpack.lock`."""

    fingerprints: Fingerprints
    epoch: int
    "seconds since 1970 of the newest index used: `created` of an image whose code has no commit"
    compressor: Compressor
    runtime: RuntimeLock
    platforms: tuple[PlatformLock, ...]
    weights: tuple[WeightsLock, ...]
    version: int = VERSION
    format: int = FORMAT
