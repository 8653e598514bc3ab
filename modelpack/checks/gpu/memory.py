"""Whether weights and a declared overhead fit the GPUs, from tensor headers alone."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import prod

from modelpack import quantity
from modelpack.errors import Finding
from modelpack.inputs.safetensors import BITS
from modelpack.lock import WeightsLock
from modelpack.spec import Spec

OVERHEAD = "2 GiB"
"""where `runtime.gpu.overhead` says nothing: CUDA's own memory (about half a GiB for each process)
and the activations of a small model; a cache of keys and values is the author's to add"""
_WHOLE_FILES = (".gguf", ".onnx")
"names of files that are loaded as they are"


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryEstimate:
    """Bytes that a model takes on GPUs as it was packed, and bytes that there are."""

    weights: int
    overhead: int
    memory: int | None
    "None where the Spec does not say"

    @property
    def needed(self) -> int:
        """Weights and overhead together."""
        return self.weights + self.overhead

    @property
    def fits(self) -> bool:
        """Whether it all fits, as far as that is known."""
        return self.memory is None or self.needed <= self.memory

    def __str__(self) -> str:
        of = "" if self.memory is None else f" of {quantity.in_gib(self.memory)}"
        return (
            f"weights {quantity.in_gib(self.weights)} + overhead "
            f"{quantity.in_gib(self.overhead)} = {quantity.in_gib(self.needed)}{of}"
        )


def estimate(spec: Spec, loaded: int) -> MemoryEstimate | None:
    """Return the estimate for `loaded` bytes of weights; None where no GPU is asked for."""
    if spec.runtime.device != "cuda":
        return None
    gpu = spec.runtime.gpu
    return MemoryEstimate(
        weights=loaded,
        overhead=quantity.size(gpu.overhead or OVERHEAD, at="runtime.gpu.overhead"),
        memory=quantity.size(gpu.memory, at="runtime.gpu.memory") if gpu.memory else None,
    )


def findings(found: MemoryEstimate | None) -> tuple[Finding, ...]:
    """Return a Finding where the model does not fit."""
    if found is None or found.fits:
        return ()
    return (
        Finding(
            message=f"the model does not fit: {found}",
            at="runtime.gpu.memory", rule="gpu.memory",
            hint="name more memory, quantise the weights, or lower `runtime.gpu.overhead` "
            "to what you measured",
        ),
    )  # fmt: skip


def locked_bytes(weights: Iterable[WeightsLock]) -> int:
    """Return what locked weights take in memory, in the types that they are stored in."""
    return sum(
        loaded_bytes(file.path, file.size, file.tensors) for item in weights for file in item.files
    )


def loaded_bytes(path: str, size: int, tensors: Iterable[str]) -> int:
    """Return what a weight file takes in memory; `tensors` as the lock writes them."""
    stated = sum(tensor_bytes(line) for line in tensors)
    # Tensors of an ONNX model may lie in other files: its size is then the lesser number.
    return max(size, stated) if path.endswith(_WHOLE_FILES) else stated


def tensor_bytes(line: str) -> int:
    """Return the bytes of a tensor that the lock writes as `BF16 [4096,4096] name`."""
    dtype, _, rest = line.partition(" [")
    shape: Sequence[str] = [number for number in rest.partition("]")[0].split(",") if number]
    return prod(map(int, shape)) * BITS.get(dtype, 0) // 8
