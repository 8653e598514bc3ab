"""Locked platforms by names and versions of their wheels, as real locks of CUDA stacks have."""

from modelpack.lock import ImageBase, PlatformLock, Wheel
from modelpack.platform import Platform
from tests.values import digest, platform_lock, sha

TORCH_2_8 = (
    "torch==2.8.0", "nvidia-cublas-cu12==12.8.4.1", "nvidia-cuda-cupti-cu12==12.8.90",
    "nvidia-cuda-nvrtc-cu12==12.8.93", "nvidia-cuda-runtime-cu12==12.8.90",
    "nvidia-cudnn-cu12==9.10.2.21", "nvidia-cufft-cu12==11.3.3.83", "nvidia-cufile-cu12==1.13.1.3",
    "nvidia-nccl-cu12==2.27.3", "nvidia-nvjitlink-cu12==12.8.93", "triton==3.4.0",
)  # fmt: skip
"PyPI's PyTorch 2.8, for CUDA 12.8"
TORCH_2_11 = (
    "torch==2.11.0", "cuda-bindings==13.4.4", "cuda-toolkit==13.0.2", "nvidia-cublas==13.1.0.3",
    "nvidia-cuda-runtime==13.0.96", "nvidia-cudnn-cu13==9.19.0.56", "nvidia-cufft==12.0.0.61",
    "nvidia-nccl-cu13==2.28.9", "nvidia-nvjitlink==13.0.88", "triton==3.6.0",
)  # fmt: skip
"PyPI's PyTorch 2.11, for CUDA 13.0: most names have no suffix any more"


def wheel(pin: str) -> Wheel:
    """Return a wheel by `name==version`; a local version stands in the file name only."""
    name, version = pin.split("==")
    return Wheel(
        name=name, version=version.partition("+")[0], size=1_000_000_000, sha256=sha("a"),
        filename=f"{name.replace('-', '_')}-{version}-cp313-cp313-manylinux_2_28_x86_64.whl",
    )  # fmt: skip


def locked(*pins: str, base: str = "", architecture: str = "amd64") -> PlatformLock:
    """Return a platform with these wheels, on an assembled base or on the image `base`."""
    changes: dict[str, object] = {
        "platform": Platform("linux", architecture), "wheels": tuple(wheel(pin) for pin in pins),
    }  # fmt: skip
    if base:
        changes["base"] = ImageBase(
            reference=base, digest=digest("b"), config=digest("c"), layers=()
        )
    return platform_lock(**changes)
