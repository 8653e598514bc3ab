"""The static gate for GPUs, over what is locked or about to be."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from modelpack.checks.gpu import gate as gpu
from modelpack.errors import Finding, Refused
from modelpack.lock import Lock, PlatformLock, WeightsLock
from modelpack.spec import Spec

if TYPE_CHECKING:
    from modelpack.checks.gpu.memory import MemoryEstimate
    from modelpack.resolve.weights import Gated


def gpu_findings(
    spec: Spec, platforms: Sequence[PlatformLock], estimate: "MemoryEstimate | None"
) -> tuple[Finding, ...]:
    """Return what is wrong or doubtful about wheels, drivers, architectures and memory."""
    found = gpu.findings(spec, platforms)
    if estimate is None:
        return found
    from modelpack.checks.gpu import memory as gpu_memory  # noqa: PLC0415  only for GPUs

    return (*found, *gpu_memory.findings(estimate))


def gate_gpu(spec: Spec, lock: Lock) -> tuple[Finding, ...]:
    """Return the warnings of the gate for a lock; raise Refused with everything it finds."""
    found = gpu_findings(spec, lock.platforms, memory_of(spec, lock.weights))
    if any(finding.severity == "error" for finding in found):
        raise Refused(*found)
    return found


def memory_of(spec: Spec, weights: Sequence[WeightsLock]) -> "MemoryEstimate | None":
    """Return what locked weights take on GPUs; None where no GPU is asked for."""
    if spec.runtime.device != "cuda":
        return None
    from modelpack.checks.gpu import memory as gpu_memory  # noqa: PLC0415

    return gpu_memory.estimate(spec, gpu_memory.locked_bytes(weights))


def memory_of_files(spec: Spec, found: "Sequence[Gated]") -> "MemoryEstimate | None":
    """Return the same for weights on this machine, from their headers, before they are hashed."""
    if spec.runtime.device != "cuda":
        return None
    from modelpack.checks.gpu import memory as gpu_memory  # noqa: PLC0415
    from modelpack.resolve.weights import tensor_lines  # noqa: PLC0415

    loaded = sum(
        gpu_memory.loaded_bytes(file.path, file.status.st_size, tensor_lines(file, group.looked))
        for group in found
        for file in group.files
    )
    return gpu_memory.estimate(spec, loaded)
