"""Whether the locked wheels, the base and the declared GPUs agree, from names and versions alone.

Nothing is downloaded for it and nothing is asked: the verdict on a Lock is the same everywhere.
That every wheel's own pins hold (PyTorch names its cuDNN exactly) is `modelpack.checks.lockfile`'s.
"""

import re
from collections.abc import Iterator, Sequence

from modelpack import cuda
from modelpack.checks.gpu import table as gpu_table
from modelpack.checks.gpu.table import Capability
from modelpack.cuda import CudaWheel
from modelpack.errors import Finding
from modelpack.lock import PlatformLock
from modelpack.spec import Spec

_CPU_INDEX = "https://download.pytorch.org/whl/cpu"
_RELOCK = "then `modelpack lock --upgrade deps`"
_RUNTIME = "nvidia-cuda-runtime"
_SHOWN = 3
"wheels named in one message"
_TARGET = re.compile(r"sm_(\d+)(\d)[a-z]?")


def findings(spec: Spec, platforms: Sequence[PlatformLock]) -> tuple[Finding, ...]:
    """Return what does not fit together, each thing once for all platforms."""
    return tuple(dict.fromkeys(f for platform in platforms for f in _findings(spec, platform)))


def _findings(spec: Spec, platform: PlatformLock) -> Iterator[Finding]:
    found = cuda.wheels(platform)
    place = spec.dependencies.lockfile or "dependencies.lockfile"
    yield from _other_makers(platform, place)
    yield from _builds(platform, place)
    yield from _runtime(found, place)
    yield from _base(spec, platform, found)
    if spec.runtime.device == "cpu":
        yield from _unused(platform, found, place)
        return
    cpu_builds = tuple(_cpu_builds(platform, place))
    yield from cpu_builds
    if not found and not cpu_builds:
        yield from _nothing(platform, place)
    yield from _majors(found, place)
    yield from _driver(spec, platform, found, place)
    yield from _architectures(spec, platform, found, place)


def _other_makers(platform: PlatformLock, place: str) -> Iterator[Finding]:
    for wheel in platform.wheels:
        if device := cuda.other_device(wheel):
            yield Finding(
                message=f"`{wheel.name}` {cuda.full_version(wheel)} is built for {device.upper()}, "
                "which no image of modelpack runs on",
                at=f"{place}: {wheel.name}", rule="gpu.other-device",
                hint=f"lock the build for CUDA or for the CPU, {_RELOCK}",
            )  # fmt: skip


def _cpu_builds(platform: PlatformLock, place: str) -> Iterator[Finding]:
    """Yield a finding for each CPU build of what computes: the GPU would stay idle."""
    for wheel in cuda.torch_family(platform):
        if cuda.is_cpu_build(wheel, platform) and wheel.name in cuda.TORCH:
            yield Finding(
                message=f"`{wheel.name}` {cuda.full_version(wheel)} for {platform.platform} is "
                'built for the CPU, but the image is for `device = "cuda"`',
                at=f"{place}: {wheel.name}", rule="gpu.cpu-build",
                hint=f"lock its build for CUDA (PyPI has it for Linux), {_RELOCK}",
            )  # fmt: skip
    for wheel in platform.wheels:
        if wheel.name == "tensorflow-cpu":
            yield Finding(
                message=f"`{wheel.name}` {wheel.version} cannot use a GPU, but the image is for "
                '`device = "cuda"`',
                at=f"{place}: {wheel.name}", rule="gpu.cpu-build", severity="warning",
                hint="lock its package for CUDA, if it is what serves the model",
            )  # fmt: skip


def _unused(platform: PlatformLock, found: Sequence[CudaWheel], place: str) -> Iterator[Finding]:
    """Yield what an image without a GPU would carry for nothing."""
    linked = [one for one in found if one.role in ("library", "framework")]
    if not linked:
        return
    frameworks = [one for one in linked if one.role == "framework"]
    size = sum(w.size for w in platform.wheels if w.name in {one.name for one in found})
    weight = f", {size / 1e9:.1f} GB of downloads" if size else ""
    names = _named([*frameworks, *(one for one in linked if one.role == "library")])
    has_runtime = any(one.name.startswith(_RUNTIME) for one in linked)
    if frameworks or has_runtime:
        yield Finding(
            message=f'{names} are built for CUDA, but the image is for `device = "cpu"`'
            f"{weight}",
            at=f"{place}: {(frameworks or linked)[0].name}", rule="gpu.unused",
            hint=f"lock the builds for the CPU, such as PyTorch's from {_CPU_INDEX}, {_RELOCK}; "
            'or set `device = "cuda"`, which also starts without a GPU',
        )  # fmt: skip
    else:
        yield Finding(
            message=f"{names} only help with a GPU, but the image is for "
            f'`device = "cpu"`{weight}',
            at=f"{place}: {linked[0].name}", rule="gpu.unused", severity="warning",
            hint="some packages have a smaller twin for the CPU, such as `xgboost-cpu`",
        )  # fmt: skip


def _nothing(platform: PlatformLock, place: str) -> Iterator[Finding]:
    if cuda.base_version(platform) is None:
        yield Finding(
            message=f"nothing that is locked for {platform.platform} is known to use CUDA: no "
            "wheel says so, and the base brings none",
            at=place, rule="gpu.nothing", severity="warning",
            hint='lock wheels for CUDA, or set `device = "cpu"`',
        )  # fmt: skip


def _majors(found: Sequence[CudaWheel], place: str) -> Iterator[Finding]:
    """Yield a finding where libraries of two CUDAs would meet in one process."""
    groups = cuda.majors(tuple(found))
    if len(groups) > 1:
        sides = "; ".join(f"CUDA {number}: {_named(members)}" for number, members in groups.items())
        fewest = min(groups.values(), key=len)[0]
        yield Finding(
            message=f"wheels for different versions of CUDA are locked together ({sides})",
            at=f"{place}: {fewest.name}", rule="gpu.cuda-majors",
            hint=f"lock builds for one of them, {_RELOCK}",
        )  # fmt: skip
        return
    for number in groups:
        for one in found:
            if one.role in ("binding", "other") and one.cuda and one.cuda.major != number:
                yield Finding(
                    message=f"{one} is for CUDA {one.cuda.major}, all libraries are for "
                    f"CUDA {number}",
                    at=f"{place}: {one.name}", rule="gpu.cuda-majors", severity="warning",
                    hint=f"lock the one for CUDA {number}, {_RELOCK}",
                )  # fmt: skip


def _builds(platform: PlatformLock, place: str) -> Iterator[Finding]:
    """Yield a finding where PyTorch's packages are builds for different devices or CUDAs."""
    family = cuda.torch_family(platform)
    torch = next((wheel for wheel in family if wheel.name == "torch"), None)
    for wheel in family if torch else ():
        if torch and cuda.local_version(wheel) != cuda.local_version(torch):
            wanted = cuda.local_version(torch)
            yield Finding(
                message=f"`{wheel.name}` {cuda.full_version(wheel)} is another build than `torch` "
                f"{cuda.full_version(torch)}: they cannot be loaded together",
                at=f"{place}: {wheel.name}", rule="gpu.builds",
                hint=f"lock its `{'+' + wanted if wanted else 'plain'}` build, from the index that "
                f"`torch` is from, {_RELOCK}",
            )  # fmt: skip


def _runtime(found: Sequence[CudaWheel], place: str) -> Iterator[Finding]:
    """Yield a finding where the CUDA runtime is another than PyTorch's build names."""
    torch = next((one for one in found if one.name == "torch"), None)
    if torch is None or torch.cuda is None or torch.cuda.minor < 0:
        return
    for one in found:
        same_major = one.cuda and one.cuda.major == torch.cuda.major
        if one.name.startswith(_RUNTIME) and same_major and one.cuda != torch.cuda:
            yield Finding(
                message=f"{torch} is built for CUDA {torch.cuda}, but {one} is locked",
                at=f"{place}: {one.name}", rule="gpu.cuda-runtime",
                hint=f"lock the version that `torch` requires, {_RELOCK}",
            )  # fmt: skip


def _base(spec: Spec, platform: PlatformLock, found: Sequence[CudaWheel]) -> Iterator[Finding]:
    """Yield a warning where a base brings a CUDA that nobody needs."""
    base = cuda.base_version(platform)
    own = any(one.name.startswith(_RUNTIME) for one in found)
    if base and (own or spec.runtime.device == "cpu"):
        reason = "the wheels bring their own" if own else 'the image is for `device = "cpu"`'
        yield Finding(
            message=f"the base brings CUDA {base}, and {reason}",
            at="runtime.base", rule="gpu.base", severity="warning",
            hint='set `base = "debian:13"`: the image is gigabytes smaller',
        )  # fmt: skip


def _driver(
    spec: Spec, platform: PlatformLock, found: Sequence[CudaWheel], place: str
) -> Iterator[Finding]:
    """Yield a finding where the declared driver is too old for what is locked."""
    declared, needed = spec.runtime.gpu.driver, cuda.version(platform)
    floor = gpu_table.DRIVER_FLOORS.get(needed.major) if needed else None
    if not (declared and floor and needed) or _numbers(declared) >= _numbers(floor):
        return
    linked = (one for one in found if one.role in ("framework", "library"))
    cause = next((one for one in linked if one.cuda == needed), None)
    who = f"{cause} is for" if cause else "the base is"
    yield Finding(
        message=f"{who} CUDA {needed}, which needs driver {floor} or newer, not {declared}",
        at="runtime.gpu.driver", rule="gpu.driver",
        hint=f'set `driver = "{floor}"` if all hosts have it, or change {place} to an older CUDA',
    )  # fmt: skip


def _architectures(
    spec: Spec, platform: PlatformLock, found: Sequence[CudaWheel], place: str
) -> Iterator[Finding]:
    """Yield a finding for each declared GPU that the locked builds have no code for."""
    needed = cuda.version(platform)
    torch = next((one for one in found if one.name == "torch" and one.cuda), None)
    for target in spec.runtime.gpu.targets:
        capability = _capability(target)
        if capability[0] > max(gpu_table.ARCHITECTURES)[0] or needed is None:
            continue  # newer than the tables
        compiled = _compiled(torch, platform)
        who = f"{torch}, built for CUDA {needed}," if torch and compiled else f"CUDA {needed}"
        compiled = compiled or gpu_table.known_to(needed)
        if not gpu_table.runs_on(capability, compiled):
            yield _no_code(target, who, compiled, place)


def _compiled(torch: CudaWheel | None, platform: PlatformLock) -> tuple[Capability, ...] | None:
    if torch is None or torch.cuda is None:
        return None
    release = _numbers(torch.version.partition("+")[0])
    return gpu_table.torch_has_code_for(
        (release[0], release[1] if len(release) > 1 else 0), torch.cuda,
        architecture=platform.platform.architecture,
    )  # fmt: skip


def _no_code(target: str, who: str, known: Sequence[Capability], place: str) -> Finding:
    first, last = (f"sm_{major}{minor}" for major, minor in (min(known), max(known)))
    older = _capability(target) < max(known)
    return Finding(
        message=f"{who} has no code for `{target}`: it is made for {first} to {last}",
        at="runtime.gpu.targets", rule="gpu.architecture",
        hint=f"lock {'an older' if older else 'a newer'} build in {place}, or take `{target}` out",
    )  # fmt: skip


def _capability(target: str) -> Capability:
    match = _TARGET.fullmatch(target)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def _numbers(text: str) -> tuple[int, ...]:
    """Return the leading numbers of a version, for comparison."""
    match = re.match(r"\d+(?:\.\d+)*", text)
    return tuple(int(number) for number in match[0].split(".")) if match else ()


def _named(found: Sequence[CudaWheel]) -> str:
    """Return some wheels by name and version, and how many more there are."""
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return ", ".join(str(one) for one in found[:_SHOWN]) + more
