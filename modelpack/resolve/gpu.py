"""The static gate for GPUs, over what is locked or about to be."""

from collections.abc import Sequence

from modelpack.checks import gpu, gpu_memory
from modelpack.checks.gpu_memory import MemoryEstimate
from modelpack.errors import Finding, Refused
from modelpack.lock import Lock, PlatformLock, WeightsLock
from modelpack.resolve.weights import Gated, tensor_lines
from modelpack.spec import Spec


def gpu_findings(
    spec: Spec, platforms: Sequence[PlatformLock], estimate: MemoryEstimate | None
) -> tuple[Finding, ...]:
    """Return what is wrong or doubtful about wheels, drivers, architectures and memory."""
    return (*gpu.findings(spec, platforms), *gpu_memory.findings(estimate))


def gate_gpu(spec: Spec, lock: Lock) -> tuple[Finding, ...]:
    """Return the warnings of the gate for a lock; raise Refused with everything it finds."""
    found = gpu_findings(spec, lock.platforms, memory_of(spec, lock.weights))
    if any(finding.severity == "error" for finding in found):
        raise Refused(*found)
    return found


def memory_of(spec: Spec, weights: Sequence[WeightsLock]) -> MemoryEstimate | None:
    """Return what locked weights take on GPUs; None where no GPU is asked for."""
    return gpu_memory.estimate(spec, gpu_memory.locked_bytes(weights))


def memory_of_files(spec: Spec, found: Sequence[Gated]) -> MemoryEstimate | None:
    """Return the same for weights on this machine, from their headers, before they are hashed."""
    if spec.runtime.device != "cuda":
        return None
    loaded = sum(
        gpu_memory.loaded_bytes(file.path, file.status.st_size, tensor_lines(file))
        for group in found
        for file in group.files
    )
    return gpu_memory.estimate(spec, loaded)
