"""A real stack of PyTorch for CUDA 13 passes the gates; no change of it that cannot work does."""

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from modelpack.checks import lockfile
from modelpack.inputs.python.package_index import Selected
from modelpack.lock import Wheel
from tests import llm_gpu, projects
from tests.locked_wheels import wheel

Change = Callable[[str], str]
Wheels = Callable[[Sequence[Wheel]], Sequence[Wheel]]
NUMBERS = "weights 14.2 GiB + overhead 6.0 GiB = 20.2 GiB of 40.0 GiB"


def test_the_metadata_are_of_the_files_that_the_lockfile_pins() -> None:
    pins = llm_gpu.pins()
    found = {one.wheel.name: one.wheel for one in llm_gpu.selected()}
    assert found.keys() == pins.keys()
    for name, (version, hashes) in pins.items():
        assert found[name].version == version
        assert found[name].sha256 in hashes
    assert {"torch", "nvidia-cudnn-cu13", "nvidia-nccl-cu13", "cuda-toolkit"} <= pins.keys()


def test_the_real_lock_is_complete_and_fits_the_base() -> None:
    assert not lockfile.findings(llm_gpu.selected(), target=llm_gpu.target())


def swapped(name: str, **changes: str) -> list[Selected]:
    """Return the stack with one wheel changed, its metadata kept."""
    return [
        replace(one, wheel=replace(one.wheel, **changes)) if one.wheel.name == name else one
        for one in llm_gpu.selected()
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "version", "who"),
    [
        ("nvidia-cudnn-cu13", "9.19.0.56", "torch"),
        ("nvidia-nccl-cu13", "2.28.9", "torch"),
        ("cuda-toolkit", "13.2.2", "torch"),
        ("nvidia-cublas", "13.4.1.3", "cuda-toolkit"),
        ("nvidia-cuda-runtime", "13.2.86", "cuda-toolkit"),
        ("triton", "3.6.0", "torch"),
    ],
)
def test_another_library_than_the_pinned_one_is_refused_when_the_lock_is_made(
    name: str, version: str, who: str
) -> None:
    found = lockfile.findings(swapped(name, version=version), target=llm_gpu.target())
    assert {finding.rule for finding in found} == {"dependencies.incomplete"}
    assert any(f"`{who}`" in f.message and f"`{name}` is locked at {version}" in f.message
               for f in found)  # fmt: skip


@pytest.mark.parametrize(
    ("filename", "words"),
    [
        ("torch-2.14.1-cp312-cp312-manylinux_2_28_x86_64.whl", "is for Python `cp312-cp312`"),
        ("torch-2.14.1-cp313-cp313-manylinux_2_42_x86_64.whl", "needs glibc 2.42"),
        ("torch-2.14.1-cp313-cp313-manylinux_2_28_aarch64.whl", "the image is linux/amd64"),
    ],
)
def test_a_wheel_for_another_python_or_glibc_is_refused_when_the_lock_is_made(
    filename: str, words: str
) -> None:
    (found,) = lockfile.findings(swapped("torch", filename=filename), target=llm_gpu.target())
    assert found.rule == "dependencies.incompatible"
    assert words in found.message


def judged(
    tmp_path: Path, *command: str, toml: Change = str, wheels: Wheels = list
) -> tuple[int, Any, str]:
    """Run a command on a changed copy of the example, which has a lock and no weights."""
    folder = llm_gpu.copy(tmp_path / "project", toml)
    llm_gpu.write_lock(folder, wheels([one.wheel for one in llm_gpu.selected()]))
    done = subprocess.run(
        [sys.executable, "-m", "modelpack", *command, str(folder)],
        capture_output=True, text=True, check=False,
        env=projects.environment(tmp_path / "cache"),
    )  # fmt: skip
    document = json.loads(done.stdout) if "--json" in command else None
    return done.returncode, document, done.stderr


def test_the_real_lock_passes_and_the_memory_is_told(tmp_path: Path) -> None:
    status, _, said = judged(tmp_path, "check")
    assert status == 0, said
    assert f"gpu memory: {NUMBERS}" in said


def test_the_memory_is_told_to_programs(tmp_path: Path) -> None:
    _, document, _ = judged(tmp_path, "check", "--json")
    assert document["gpu_memory"] == {
        "weights": 15_231_233_024, "overhead": 6 << 30, "needed": 15_231_233_024 + (6 << 30),
        "memory": 40 << 30,
    }  # fmt: skip
    assert [f["rule"] for f in document["findings"]] == ["weights.absent"]


def replaced(old: str, new: str) -> Change:
    def change(text: str) -> str:
        assert old in text
        return text.replace(old, new)

    return change


def without_cuda(wheels: Sequence[Wheel]) -> Sequence[Wheel]:
    kept = [w for w in wheels if not w.name.startswith(("nvidia-", "cuda-", "torch", "triton"))]
    return [*kept, wheel("torch==2.14.1+cpu")]


def with_cuda_12(wheels: Sequence[Wheel]) -> Sequence[Wheel]:
    return [*wheels, wheel("nvidia-cublas-cu12==12.9.3.13")]


REFUSED = {
    "a CPU build": (str, without_cuda, "gpu.cpu-build", "`torch` 2.14.1+cpu"),
    "two CUDAs": (str, with_cuda_12, "gpu.cuda-majors", "`nvidia-cublas-cu12` 12.9.3.13"),
    "an old driver": (
        replaced('driver = "580"', 'driver = "570"'), list, "gpu.driver", "driver 580 or newer",
    ),
    "an old GPU": (replaced('"sm_80"', '"sm_70"'), list, "gpu.architecture", "`sm_70`"),
    "little memory": (
        replaced('memory = "40 GiB"', 'memory = "16 GiB"'), list, "gpu.memory",
        NUMBERS.replace("40.0", "16.0"),
    ),
    "no GPU": (
        lambda text: text[: text.index("[runtime.gpu]")].replace('"cuda"', '"cpu"')
        + text[text.index("[image]") :],
        list, "gpu.unused", "`torch` 2.14.1",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.parametrize("command", [("check",), ("build", "--locked", "--offline")])
def test_what_cannot_work_is_refused_from_the_lock_alone(
    tmp_path: Path, command: tuple[str, ...], case: str
) -> None:
    toml, wheels, rule, words = REFUSED[case]
    status, document, _ = judged(tmp_path, *command, "--json", toml=toml, wheels=wheels)
    found = [f for f in document["error"]["findings"] if f["severity"] == "error"]
    assert status == 1
    assert [f["rule"] for f in found] == [rule]
    assert words in found[0]["message"]
    assert found[0]["hint"]
    assert found[0]["at"]
