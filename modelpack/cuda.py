"""What locked wheels and a base say about CUDA: from names and versions alone, nothing looked up.

NVIDIA's wheels carry the major version in their name up to CUDA 12 (`nvidia-cublas-cu12`); from 13
on most have none (`nvidia-cublas`), and the meta package `cuda-toolkit` pins them. PyTorch's own
index adds a local version (`2.8.0+cu126`, `+cpu`), PyPI's builds of it do not.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from modelpack.lock import ImageBase, PlatformLock, Wheel

Role = Literal["library", "framework", "binding", "other"]
"""What a wheel for CUDA is: CUDA's own libraries; what is linked with them; what only calls the
driver, or looks libraries up by name; or something else whose name ends in a version of CUDA."""

TORCH = ("torch", "torchvision", "torchaudio")
"distributions that are built together, for one version of CUDA"
_TORCH_FAMILY = frozenset({*TORCH, "torchtext", "torchcodec"})
_FRAMEWORKS = re.compile(r"cupy-cuda\d+x|jax-cuda\d+-(?:plugin|pjrt)|onnxruntime-gpu")
_BINDINGS = frozenset({"cuda-bindings", "cuda-python"})
_LIBRARY = re.compile(
    r"nvidia-(?:cublas|cuda-(?:cupti|nvrtc|runtime)|cudnn|cufft|cufile|curand|cusolver|cusparse"
    r"|cusparselt|nccl|npp|nvjitlink|nvjpeg|nvshmem|nvtx)(?:-cu\d+)?"
)
"the toolkit's libraries, and what NVIDIA builds for each major version of it beside them"
_VERSIONED = frozenset({
    "cuda-toolkit", "nvidia-cuda-cupti", "nvidia-cuda-nvrtc", "nvidia-cuda-runtime", *_BINDINGS,
})  # fmt: skip
"whose version is CUDA's; an older one may carry the major version in its name too"
_NAME = re.compile(r"-cu(?:da)?(1\d)x?(?=$|-)")
_LOCAL = re.compile(r"(?:^|[.+])cu(\d\d)(\d?)(?!\d)")
_NUMBERS = re.compile(r"(\d{1,4})(?:\.(\d{1,4}))?")
_BASE = re.compile(r"(?:^|/)nvidia/cuda:(\d{1,4})\.(\d{1,4})")
_OTHER_DEVICES = ("rocm", "xpu")


@dataclass(frozen=True, slots=True, order=True)
class Cuda:
    """A version of CUDA; the minor one where it is known, else -1."""

    major: int
    minor: int = -1

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}" if self.minor >= 0 else str(self.major)


@dataclass(frozen=True, slots=True, kw_only=True)
class CudaWheel:
    """A wheel that is there for CUDA."""

    name: str
    version: str
    "with its local part: `2.8.0+cu126`"
    role: Role
    cuda: Cuda | None
    "what it was built for, None where neither name nor version says it"

    def __str__(self) -> str:
        return f"`{self.name}` {self.version}"


def wheels(platform: PlatformLock) -> tuple[CudaWheel, ...]:
    """Return every locked wheel that is there for CUDA, in the order of the lock."""
    toolkit = _toolkit(platform)
    found = []
    for wheel in platform.wheels:
        follows = wheel.name in _TORCH_FAMILY and not local_version(wheel)
        role = "framework" if follows and toolkit else _role(wheel)
        if role is not None:
            found.append(
                CudaWheel(
                    name=wheel.name, version=full_version(wheel), role=role,
                    cuda=toolkit if follows else _stated(wheel),
                )
            )  # fmt: skip
    return tuple(found)


def majors(found: tuple[CudaWheel, ...]) -> Mapping[int, tuple[CudaWheel, ...]]:
    """Return libraries and frameworks by the major version of CUDA that they were built for."""
    numbers = sorted({one.cuda.major for one in found if one.cuda and _is_linked(one)})
    return {
        number: tuple(o for o in found if o.cuda and o.cuda.major == number and _is_linked(o))
        for number in numbers
    }


def version(platform: PlatformLock) -> Cuda | None:
    """Return the newest CUDA that the libraries of an image are of; None where nothing says it."""
    stated = [one.cuda for one in wheels(platform) if one.cuda and _is_linked(one)]
    return max(stated, default=None) or base_version(platform)


def base_version(platform: PlatformLock) -> Cuda | None:
    """Return the CUDA that a base image brings: from its name, else from its variables."""
    base = platform.base
    if not isinstance(base, ImageBase):
        return None
    if match := _BASE.search(base.reference):
        return Cuda(int(match[1]), int(match[2]))
    variables = dict(item.split("=", 1) for item in base.environment)
    return _numbers(variables.get("CUDA_VERSION", ""))


def requirement(platform: PlatformLock, driver: str) -> str:
    """Return the value of NVIDIA_REQUIRE_CUDA; empty where there is nothing to require.

    Within a major version any driver of it runs all minor ones, so that only `.0` is required.
    A comma means and. Source: libnvidia-container, src/cli/dsl.c; NVIDIA, "CUDA Compatibility".
    """
    found = version(platform)
    parts = [f"cuda>={found.major}.0"] if found else []
    if driver:
        parts.append(f"driver>={driver}")
    return ",".join(parts)


def torch_family(platform: PlatformLock) -> tuple[Wheel, ...]:
    """Return the locked wheels of PyTorch: it and what is built together with it."""
    return tuple(wheel for wheel in platform.wheels if wheel.name in _TORCH_FAMILY)


def local_version(wheel: Wheel) -> str:
    """Return the local part of a wheel's version, such as `cu126` or `cpu`."""
    return full_version(wheel).partition("+")[2]


def full_version(wheel: Wheel) -> str:
    """Return the version with its local part, which a lockfile may leave out."""
    fields = wheel.filename.split("-")
    written = fields[1] if len(fields) > 1 else ""
    return written if written.partition("+")[0] == wheel.version else wheel.version


def other_device(wheel: Wheel) -> str:
    """Return `rocm` or `xpu` where a wheel was built for a device of another maker."""
    local = local_version(wheel)
    return next((name for name in _OTHER_DEVICES if local.startswith(name)), "")


def is_cpu_build(wheel: Wheel, platform: PlatformLock) -> bool:
    """Tell whether a wheel of PyTorch's family was built without CUDA.

    A build that needs CUDA requires NVIDIA's runtime, which is then locked beside it.
    """
    local = local_version(wheel)
    return local.startswith("cpu") if local else _toolkit(platform) is None


def _role(wheel: Wheel) -> Role | None:
    if _LIBRARY.fullmatch(wheel.name) or wheel.name == "cuda-toolkit":
        return "library"
    if wheel.name in _BINDINGS:
        return "binding"
    if _LOCAL.search(local_version(wheel)) or _FRAMEWORKS.fullmatch(wheel.name):
        return "framework"
    return "other" if _NAME.search(wheel.name) else None


def _is_linked(one: CudaWheel) -> bool:
    return one.role in ("library", "framework")


def _stated(wheel: Wheel) -> Cuda | None:
    """Return what name and version say; the version says more where it is CUDA's own."""
    match = _NAME.search(wheel.name)
    stem = wheel.name[: match.start()] if match else wheel.name
    if stem in _VERSIONED:
        return _numbers(wheel.version)
    if match:
        return Cuda(int(match[1]))
    if match := _LOCAL.search(local_version(wheel)):
        return Cuda(int(match[1]), int(match[2]) if match[2] else -1)
    return None


def _toolkit(platform: PlatformLock) -> Cuda | None:
    """Return the version of the CUDA runtime that is locked; of several, the newest."""
    stated = [
        _stated(wheel)
        for wheel in platform.wheels
        if re.fullmatch(r"cuda-toolkit|nvidia-cuda-runtime(?:-cu\d+)?", wheel.name)
    ]
    return max((one for one in stated if one), default=None)


def _numbers(text: str) -> Cuda | None:
    match = _NUMBERS.match(text)
    return Cuda(int(match[1]), int(match[2] or -1)) if match else None
