"""Every combination of wheels, base, driver, GPUs and memory that is refused, and why."""

import dataclasses

import pytest

from modelpack.checks.gpu import gate as gpu
from modelpack.checks.gpu import memory as gpu_memory
from modelpack.checks.gpu import table as gpu_table
from modelpack.cuda import Cuda
from modelpack.errors import Finding, Refused
from modelpack.resolve.gpu import gate_gpu, memory_of
from modelpack.spec import Dependencies, Gpu, Runtime, Spec
from tests import values
from tests.locked_wheels import TORCH_2_8, TORCH_2_11, locked

CPU_TORCH = ("torch==2.8.0+cpu", "torchvision==0.23.0+cpu")


def spec(device: str = "cuda", **declared: object) -> Spec:
    return values.spec(
        runtime=Runtime(device=device, gpu=Gpu(**declared)),  # type: ignore[arg-type]
        dependencies=Dependencies(lockfile="requirements.lock"),
    )


def found(*pins: str, of: Spec | None = None, base: str = "", **where: str) -> list[Finding]:
    return list(gpu.findings(of or spec(), [locked(*pins, base=base, **where)]))


def rules(found: list[Finding]) -> list[str]:
    return [f"{finding.severity} {finding.rule}" for finding in found]


@pytest.mark.parametrize("pins", [TORCH_2_8, TORCH_2_11])
def test_a_real_stack_passes(pins: tuple[str, ...]) -> None:
    declared = spec(targets=("sm_80", "sm_90", "sm_100"), driver="580")
    assert not found(*pins, "torchvision==0.23.0", of=declared)


def test_a_cpu_build_on_a_gpu_target_is_refused() -> None:
    first, second = found(*CPU_TORCH)
    assert rules([first, second]) == ["error gpu.cpu-build"] * 2
    assert first.at == "requirements.lock: torch"
    assert "`torch` 2.8.0+cpu for linux/amd64 is built for the CPU" in first.message
    assert "modelpack lock --upgrade deps" in first.hint


def test_a_plain_build_without_nvidias_wheels_is_a_cpu_build() -> None:
    (finding,) = found("torch==2.8.0", architecture="arm64")
    assert finding.rule == "gpu.cpu-build"
    assert "linux/arm64" in finding.message


def test_a_build_for_another_makers_gpu_is_refused() -> None:
    assert "error gpu.other-device" in rules(found("torch==2.8.0+rocm6.4"))
    assert "error gpu.other-device" in rules(found("torch==2.8.0+rocm6.4", of=spec("cpu")))


def test_cuda_builds_on_a_cpu_target_are_refused_with_their_size() -> None:
    (finding,) = found(*TORCH_2_8, of=spec("cpu"))
    assert rules([finding]) == ["error gpu.unused"]
    assert finding.at == "requirements.lock: torch"
    assert "`torch` 2.8.0" in finding.message
    assert "10.0 GB" in finding.message
    assert "https://download.pytorch.org/whl/cpu" in finding.hint


def test_nvidias_runtime_alone_on_a_cpu_target_is_refused() -> None:
    assert rules(found("nvidia-cuda-runtime-cu12==12.9.79", of=spec("cpu"))) == ["error gpu.unused"]


def test_a_library_that_a_package_for_both_brings_is_a_warning() -> None:
    (finding,) = found("xgboost==3.4.1", "nvidia-nccl-cu12==2.32.3", of=spec("cpu"))
    assert rules([finding]) == ["warning gpu.unused"]
    assert "`nvidia-nccl-cu12` 2.32.3" in finding.message


def test_cpu_builds_on_a_cpu_target_pass() -> None:
    assert not found(*CPU_TORCH, "numpy==2.5.5", of=spec("cpu"))


def test_nothing_for_cuda_on_a_gpu_target_is_a_warning() -> None:
    (finding,) = found("numpy==2.5.5")
    assert rules([finding]) == ["warning gpu.nothing"]


def test_a_cuda_base_is_something_for_cuda() -> None:
    assert not found("numpy==2.5.5", base="docker.io/nvidia/cuda:12.4.1-runtime-ubuntu22.04")


def test_wheels_for_two_cudas_are_refused() -> None:
    pins = (*TORCH_2_8, "nvidia-cudnn-cu13==9.19.0.56")
    (finding,) = found(*pins)
    assert rules([finding]) == ["error gpu.cuda-majors"]
    assert finding.at == "requirements.lock: nvidia-cudnn-cu13"
    assert "CUDA 12: `torch` 2.8.0" in finding.message
    assert "CUDA 13: `nvidia-cudnn-cu13` 9.19.0.56" in finding.message


def test_both_schemes_of_names_are_told_apart() -> None:
    pins = (*TORCH_2_11, "nvidia-nccl-cu12==2.27.3")
    assert rules(found(*pins)) == ["error gpu.cuda-majors"]


@pytest.mark.parametrize("pin", ["cuda-bindings==13.5.0", "nvidia-cutlass-dsl-libs-cu13==4.8.1"])
def test_what_only_looks_for_another_cuda_is_a_warning(pin: str) -> None:
    (finding,) = found(*TORCH_2_8, pin)
    assert rules([finding]) == ["warning gpu.cuda-majors"]
    assert finding.at == f"requirements.lock: {pin.partition('==')[0]}"


@pytest.mark.parametrize(
    ("pins", "device"),
    [
        (("torch==2.8.0+cu126", "torchvision==0.23.0+cu128"), "cuda"),
        (("torch==2.8.0+cpu", "torchaudio==2.8.0"), "cpu"),
    ],
)
def test_pytorch_and_its_siblings_must_be_one_build(pins: tuple[str, ...], device: str) -> None:
    (finding,) = [f for f in found(*pins, of=spec(device)) if f.rule == "gpu.builds"]
    name, version = pins[1].split("==")
    assert finding.severity == "error"
    assert f"`{name}` {version} is another build than `torch`" in finding.message


def test_another_runtime_than_the_build_names_is_refused() -> None:
    (finding,) = found("torch==2.8.0+cu126", "nvidia-cuda-runtime-cu12==12.8.90")
    assert finding.rule == "gpu.cuda-runtime"
    assert "built for CUDA 12.6" in finding.message
    assert "`nvidia-cuda-runtime-cu12` 12.8.90" in finding.message


@pytest.mark.parametrize(
    ("pins", "driver", "floor"),
    [
        (TORCH_2_8, "520.61", "525"),
        (TORCH_2_11, "570", "580"),
        (("torch==2.1.0+cu118",), "440", "450"),
    ],
)  # fmt: skip
def test_a_driver_that_is_too_old_is_refused(
    pins: tuple[str, ...], driver: str, floor: str
) -> None:
    (finding,) = found(*pins, of=spec(driver=driver))
    assert rules([finding]) == ["error gpu.driver"]
    assert finding.at == "runtime.gpu.driver"
    assert f"driver {floor} or newer, not {driver}" in finding.message
    assert f'driver = "{floor}"' in finding.hint


@pytest.mark.parametrize("driver", ["525", "525.60.13", "535", "1000"])
def test_a_driver_that_is_new_enough_passes(driver: str) -> None:
    assert not found(*TORCH_2_8, of=spec(driver=driver))


def test_a_bases_cuda_needs_a_driver_too() -> None:
    base = "docker.io/nvidia/cuda:13.0.2-runtime-ubuntu24.04"
    assert rules(found(base=base, of=spec(driver="550"))) == ["error gpu.driver"]


@pytest.mark.parametrize(
    ("pins", "target"),
    [
        (("torch==2.0.1+cu117",), "sm_90"),
        (("torch==2.6.0+cu124",), "sm_100"),
        (("torch==2.6.0+cu126",), "sm_120"),
        (("torch==2.7.1+cu126",), "sm_120"),
        (("torch==2.8.0+cu128",), "sm_60"),
        (("torch==2.9.0+cu130",), "sm_70"),
        (TORCH_2_11, "sm_70"),
        (("nvidia-cuda-runtime-cu12==12.4.127",), "sm_100"),
        (("nvidia-cuda-runtime==13.0.96",), "sm_61"),
        (("nvidia-cuda-runtime-cu12==12.9.79",), "sm_37"),
        (("nvidia-cuda-runtime-cu11==11.8.89",), "sm_30"),
    ],
)
def test_a_gpu_that_the_build_has_no_code_for_is_refused(
    pins: tuple[str, ...], target: str
) -> None:
    (finding,) = found(*pins, of=spec(targets=("sm_80", target)))
    assert rules([finding]) == ["error gpu.architecture"]
    assert finding.at == "runtime.gpu.targets"
    assert f"no code for `{target}`" in finding.message
    assert pins[0].partition("==")[2].partition("+")[0] in finding.message or "CUDA" in (
        finding.message
    )


@pytest.mark.parametrize(
    ("pins", "targets"),
    [
        (("torch==2.0.1+cu118",), ("sm_80", "sm_86", "sm_90", "sm_90a")),
        (("torch==2.7.0+cu128",), ("sm_89", "sm_90", "sm_100", "sm_120", "sm_121")),
        (("torch==2.12.0+cu126",), ("sm_60", "sm_61", "sm_70", "sm_90")),
        (("torch==2.14.0+cu132",), ("sm_75", "sm_103")),
        (("torch==99.0.0+cu159",), ("sm_90",)),
        (("nvidia-cuda-runtime-cu12==12.9.79",), ("sm_70", "sm_90", "sm_100")),
        (("torch==2.8.0+cu128",), ("sm_987",)),
        (("nvidia-cuda-runtime-cu11==11.8.89",), ("sm_37",)),
        (("nvidia-cuda-runtime-cu12==12.9.79",), ("sm_88",)),
    ],
)
def test_a_gpu_that_the_build_has_code_for_passes(
    pins: tuple[str, ...], targets: tuple[str, ...]
) -> None:
    assert not found(*pins, of=spec(targets=targets))


def test_arm64_has_builds_of_its_own() -> None:
    where = {"architecture": "arm64", "of": spec(targets=("sm_75",))}
    assert "error gpu.architecture" in rules(found("torch==2.11.0+cu130", **where))  # type: ignore[arg-type]
    assert not found("torch==2.11.0+cu130", of=spec(targets=("sm_110",)), architecture="arm64")


def test_cuda_twice_is_a_warning() -> None:
    base = "docker.io/nvidia/cuda:12.8.1-runtime-ubuntu24.04"
    (finding,) = found(*TORCH_2_8, base=base)
    assert rules([finding]) == ["warning gpu.base"]


def test_a_cuda_base_for_the_cpu_is_a_warning() -> None:
    base = "docker.io/nvidia/cuda:12.8.1-runtime-ubuntu24.04"
    (finding,) = found("numpy==2.5.5", base=base, of=spec("cpu"))
    assert rules([finding]) == ["warning gpu.base"]


def test_each_problem_is_told_once_for_several_platforms() -> None:
    platforms = [locked(*TORCH_2_8), locked(*TORCH_2_8)]
    assert len(gpu.findings(spec(driver="500"), platforms)) == 1


def test_the_tables_agree_with_one_another() -> None:
    for _, cuda, compiled in (*gpu_table.TORCH_ARCHITECTURES, *gpu_table.TORCH_ARCHITECTURES_ARM64):
        assert cuda.major in gpu_table.DRIVER_FLOORS
        known = {one for one in compiled if one in gpu_table.ARCHITECTURES}
        assert known <= set(gpu_table.known_to(cuda)), cuda
    assert (9, 0) not in gpu_table.known_to(Cuda(11, 7))
    assert (10, 0) in gpu_table.known_to(Cuda(12))


def model(*tensors: str, path: str = "model.safetensors", size: int = 1) -> values.WeightsLock:
    return values.weights_lock(values.weight_file(path, size, tensors=tensors))


@pytest.mark.parametrize(
    ("line", "size"),
    [
        ("BF16 [4096,4096] model.layers.0.mlp.w", 2 * 4096 * 4096),
        ("F32 [] scalar", 4),
        ("F4 [3,2] x [y] z", 3),
        ("I64 [0,7] empty", 0),
    ],
)
def test_a_tensors_bytes_come_from_its_line(line: str, size: int) -> None:
    assert gpu_memory.tensor_bytes(line) == size


def test_a_model_that_does_not_fit_is_refused_with_both_numbers() -> None:
    estimate = memory_of(spec(memory="16 GiB"), [model("BF16 [7616,1000000] w")])
    assert estimate is not None
    (finding,) = gpu_memory.findings(estimate)
    assert finding.rule == "gpu.memory"
    assert finding.at == "runtime.gpu.memory"
    assert "weights 14.2 GiB + overhead 2.0 GiB = 16.2 GiB of 16.0 GiB" in finding.message


def test_a_declared_overhead_counts() -> None:
    weights = [model("BF16 [7616,1000000] w")]
    fits = memory_of(spec(memory="16 GiB", overhead="1 GiB"), weights)
    assert fits is not None
    assert fits.fits
    full = memory_of(spec(memory="16 GiB", overhead="2GB"), weights)
    assert full is not None
    assert not full.fits


def test_without_a_size_of_memory_nothing_is_judged_and_all_is_told() -> None:
    estimate = memory_of(spec(), [model("F32 [1000] w"), model(path="m.gguf", size=3 << 30)])
    assert estimate is not None
    assert estimate.fits
    assert str(estimate) == "weights 3.0 GiB + overhead 2.0 GiB = 5.0 GiB"
    assert memory_of(spec("cpu"), [model("F32 [1000] w")]) is None


def test_the_gate_on_a_lock_raises_with_everything() -> None:
    declared = spec(memory="1 GiB", driver="500")
    lock = values.lock(declared, platforms=(locked(*TORCH_2_8),))
    with pytest.raises(Refused) as refused:
        gate_gpu(declared, lock)
    assert [f.rule for f in refused.value.findings] == ["gpu.driver", "gpu.memory"]
    better = dataclasses.replace(declared, runtime=Runtime(device="cuda"))
    assert not gate_gpu(better, lock)
