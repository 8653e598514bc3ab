"""What names and versions of wheels say about CUDA."""

import pytest

from modelpack import cuda
from modelpack.cuda import Cuda
from modelpack.lock import ImageBase
from modelpack.run_configuration import configuration
from modelpack.spec import Gpu, Runtime
from tests import values
from tests.locked_wheels import TORCH_2_8, TORCH_2_11, locked


def found(*pins: str) -> dict[str, tuple[str, Cuda | None]]:
    return {one.name: (one.role, one.cuda) for one in cuda.wheels(locked(*pins))}


@pytest.mark.parametrize(
    ("pin", "role", "version"),
    [
        ("nvidia-cuda-runtime-cu12==12.4.127", "library", Cuda(12, 4)),
        ("nvidia-cudnn-cu12==9.1.0.70", "library", Cuda(12)),
        ("nvidia-cudnn-cu13==9.19.0.56", "library", Cuda(13)),
        ("nvidia-cuda-runtime==13.0.96", "library", Cuda(13, 0)),
        ("nvidia-cublas==13.1.0.3", "library", None),
        ("cuda-toolkit==13.2.2", "library", Cuda(13, 2)),
        ("nvidia-nccl-cu11==2.21.5", "library", Cuda(11)),
        ("torch==2.6.0+cu124", "framework", Cuda(12, 4)),
        ("flash-attn==2.8.0+cu12torch2.7cxx11abitrue", "framework", Cuda(12)),
        ("cupy-cuda12x==13.6.0", "framework", Cuda(12)),
        ("jax-cuda13-plugin==0.8.0", "framework", Cuda(13)),
        ("onnxruntime-gpu==1.31.1", "framework", None),
        ("cuda-bindings==12.9.4", "binding", Cuda(12, 9)),
        ("nvidia-cutlass-dsl-libs-cu13==4.8.1", "other", Cuda(13)),
        ("tensorrt-cu12-libs==10.9.0", "other", Cuda(12)),
    ],
)
def test_a_wheel_says_what_it_is_for(pin: str, role: str, version: Cuda | None) -> None:
    assert list(found(pin).values()) == [(role, version)]


@pytest.mark.parametrize(
    "pin",
    ["numpy==2.5.5", "torch==2.8.0", "torch==2.8.0+cpu", "nvidia-ml-py==13.615.71",
     "cuda-pathfinder==1.9.0", "nvidia-cudnn-frontend==1.18.0", "circuit==12.0"],
)  # fmt: skip
def test_other_wheels_are_not_for_cuda(pin: str) -> None:
    assert not found(pin)


@pytest.mark.parametrize(("pins", "version"), [(TORCH_2_8, Cuda(12, 8)), (TORCH_2_11, Cuda(13, 0))])
def test_pytorch_of_pypi_is_for_the_runtime_beside_it(pins: tuple[str, ...], version: Cuda) -> None:
    assert found(*pins)["torch"] == ("framework", version)
    assert cuda.version(locked(*pins)) == version


def test_a_bindings_package_decides_nothing() -> None:
    assert cuda.version(locked("cuda-bindings==13.5.0")) is None


@pytest.mark.parametrize(
    ("reference", "version"),
    [
        ("docker.io/nvidia/cuda:12.4.1-cudnn-runtime-ubuntu22.04", Cuda(12, 4)),
        ("mirror.example/nvidia/cuda:13.0.2-runtime-ubuntu24.04@sha256:" + "a" * 64, Cuda(13, 0)),
        ("docker.io/library/python:3.13-slim", None),
    ],
)
def test_a_base_says_it_in_its_name(reference: str, version: Cuda | None) -> None:
    assert cuda.version(locked(base=reference)) == version


def test_a_base_of_another_name_says_it_in_its_variables() -> None:
    base = ImageBase(
        reference="r.example/acme/base:1", digest=values.digest("b"), config=values.digest("c"),
        layers=(), environment=("CUDA_VERSION=12.6.3", "PATH=/usr/bin"),
    )  # fmt: skip
    assert cuda.version(values.platform_lock(base=base)) == Cuda(12, 6)


def environment(*pins: str, base: object = None, **runtime: object) -> dict[str, str]:
    """Return the variables of an image with these wheels."""
    spec = values.spec(runtime=Runtime(**{"device": "cuda", **runtime}))
    platform = locked(*pins)
    if base:
        platform = values.platform_lock(wheels=platform.wheels, base=base)
    made = configuration(spec, values.lock(spec), values.source(), platform, None)
    return dict(item.split("=", 1) for item in made["Env"])


@pytest.mark.parametrize(
    ("pins", "driver", "required"),
    [
        (TORCH_2_8, "", "cuda>=12.0"),
        (TORCH_2_11, "", "cuda>=13.0"),
        (TORCH_2_8, "550", "cuda>=12.0,driver>=550"),
        (("numpy==2.5.5",), "550.54.14", "driver>=550.54.14"),
    ],
)
def test_the_image_says_what_it_requires_of_the_host(
    pins: tuple[str, ...], driver: str, required: str
) -> None:
    found = environment(*pins, gpu=Gpu(driver=driver))
    assert found["NVIDIA_REQUIRE_CUDA"] == required
    assert found["NVIDIA_DRIVER_CAPABILITIES"] == "compute,utility"
    assert not {"NVIDIA_VISIBLE_DEVICES", "CUDA_VERSION"} & set(found)


def test_an_image_that_requires_nothing_says_nothing() -> None:
    assert "NVIDIA_REQUIRE_CUDA" not in environment("numpy==2.5.5")
    cpu = environment("numpy==2.5.5", device="cpu")
    assert not [name for name in cpu if name.startswith("NVIDIA")]


CUDA_BASE = ImageBase(
    reference="r.example/acme/gpu:1", digest=values.digest("b"), config=values.digest("c"),
    layers=(),
    environment=(
        "CUDA_VERSION=12.6.3", "LD_LIBRARY_PATH=/usr/local/nvidia/lib64",
        "NVIDIA_DRIVER_CAPABILITIES=all", "NVIDIA_REQUIRE_CUDA=cuda>=12.6 brand=tesla,driver>=470",
        "NVIDIA_VISIBLE_DEVICES=all", "PATH=/usr/bin",
    ),
)  # fmt: skip


def test_a_bases_claim_on_gpus_is_not_inherited() -> None:
    found = environment(base=CUDA_BASE)
    assert not {"NVIDIA_VISIBLE_DEVICES", "CUDA_VERSION"} & set(found)
    assert found["NVIDIA_REQUIRE_CUDA"] == "cuda>=12.0"
    assert found["NVIDIA_DRIVER_CAPABILITIES"] == "compute,utility"
    assert found["LD_LIBRARY_PATH"] == "/usr/local/nvidia/lib64"


def test_an_image_for_the_cpu_asks_for_no_gpu_whatever_its_base_says() -> None:
    found = environment(base=CUDA_BASE, device="cpu")
    assert not [name for name in found if name.startswith(("NVIDIA", "CUDA"))]


def test_the_author_may_ask_for_more_capabilities() -> None:
    wanted = {"NVIDIA_DRIVER_CAPABILITIES": "compute,utility,video"}
    found = environment(*TORCH_2_8, environment=wanted)
    assert found["NVIDIA_DRIVER_CAPABILITIES"] == "compute,utility,video"
