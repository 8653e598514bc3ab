"""Small values to test with: a Spec, a Lock and a Source that belong together."""

from modelpack.digest import Digest
from modelpack.lock import (
    AssembledBase,
    BaseLayer,
    Compressor,
    DebianPackage,
    DebianRelease,
    ImageBase,
    Interpreter,
    Lock,
    PlatformLock,
    RuntimeLock,
    WeightFile,
    WeightsLock,
    Wheel,
)
from modelpack.lock.staleness import fingerprints
from modelpack.platform import Platform
from modelpack.source import CodeFile, Source
from modelpack.spec import Code, Health, Model, Runtime, Spec, Weights

AMD64 = Platform("linux", "amd64")


def sha(letter: str) -> str:
    """Return 64 times a hexadecimal digit."""
    return letter * 64


def digest(letter: str) -> Digest:
    """Return a digest of 64 equal digits."""
    return Digest(f"sha256:{sha(letter)}")


def spec(**changes: object) -> Spec:
    """Return a small complete Spec."""
    values: dict[str, object] = {
        "schema": 1,
        "model": Model(name="digits", version="1.0.0", license="Apache-2.0"),
        "weights": (Weights(name="digits", path="weights", destination="/models/digits"),),
        "code": Code(command=("python", "-m", "service"), include=("service/**/*.py",)),
        "runtime": Runtime(port=8080, health=Health(live="/healthz", ready="/readyz")),
    }
    return Spec(**{**values, **changes})  # type: ignore[arg-type]


def weight_file(path: str = "model.safetensors", size: int = 100, **changes: object) -> WeightFile:
    """Return a locked weight file of one chunk."""
    values: dict[str, object] = {
        "path": path, "size": size, "sha256": sha("a"), "chunks": (sha("a"),), "layer": None,
        "tensors": ("F32 [5,5] w",),
    }  # fmt: skip
    return WeightFile(**{**values, **changes})  # type: ignore[arg-type]


def weights_lock(*files: WeightFile) -> WeightsLock:
    """Return one locked set of weights."""
    return WeightsLock(
        name="digits", destination="/models/digits", digest=digest("d"),
        files=files or (weight_file(),), bundle=digest("e"),
    )  # fmt: skip


def image_base(**changes: object) -> ImageBase:
    """Return a base from a registry, of one layer."""
    layer = BaseLayer(
        digest=digest("a"), diff_id=digest("b"), size=1,
        media_type="application/vnd.oci.image.layer.v1.tar+gzip",
    )  # fmt: skip
    values: dict[str, object] = {
        "reference": "docker.io/library/python:3.13-slim", "digest": digest("8"),
        "config": digest("9"), "layers": (layer,),
        "environment": ("LANG=C.UTF-8", "PATH=/usr/local/bin:/usr/bin"),
    }  # fmt: skip
    return ImageBase(**{**values, **changes})  # type: ignore[arg-type]


def platform_lock(**changes: object) -> PlatformLock:
    """Return a locked platform with one package and one wheel."""
    package = DebianPackage(
        name="libc6", version="2.41-12", architecture="amd64", source="glibc", archive="debian",
        suite="trixie", path="pool/main/g/glibc/libc6_2.41-12_amd64.deb", size=10, sha256=sha("1"),
    )  # fmt: skip
    release = DebianRelease(
        archive="debian", suite="trixie", snapshot="20260101T000000Z", sha256=sha("2"),
        signed_by=("A" * 40,),
    )  # fmt: skip
    values: dict[str, object] = {
        "platform": AMD64,
        "base": AssembledBase(distribution="debian:13", releases=(release,), packages=(package,)),
        "interpreter": Interpreter(version="3.13.5", path="/usr/bin/python3.13", glibc="2.41"),
        "wheels": (
            Wheel(name="numpy", version="2.4.0", filename="numpy-2.4.0-cp313-cp313-any.whl",
                  size=7, sha256=sha("3")),
        ),
        "bytecode": "unchecked-hash",
    }  # fmt: skip
    return PlatformLock(**{**values, **changes})  # type: ignore[arg-type]


def lock(of: Spec | None = None, **changes: object) -> Lock:
    """Return a Lock of the small Spec."""
    values: dict[str, object] = {
        "fingerprints": fingerprints(of or spec(), requirements={}),
        "epoch": 1_700_000_000,
        "compressor": Compressor(
            name="gzip", package="deflate", version="0.9.0", level=6, member=4 << 20
        ),
        "runtime": RuntimeLock(guard=digest("4"), probe=digest("5")),
        "platforms": (platform_lock(),),
        "weights": (weights_lock(),),
    }
    return Lock(**{**values, **changes})  # type: ignore[arg-type]


def source(**changes: object) -> Source:
    """Return the Source of one code file."""
    values: dict[str, object] = {
        "files": (CodeFile(path="service/__main__.py", size=3, sha256=sha("6")),),
        "revision": "4f2a" * 10,
        "dirty": False,
        "created": 1_700_000_000,
        "digest": digest("7"),
    }
    return Source(**{**values, **changes})  # type: ignore[arg-type]
