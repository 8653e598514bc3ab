"""Which files are packed where the author does not say it: what `weights.include` means then.

Hubs keep one model in several formats side by side, so other formats than safetensors count only
where there are no safetensors; and a project that has some is packed as it always was.
"""

from collections.abc import Iterable

from modelpack.spec import Weights

OTHERS = (
    "*.onnx", "*.onnx_data", "*.onnx.data", "*.gguf", "*.ubj", "*.npz", "*.npy",
)  # fmt: skip
"beside the default of `include`, in a folder without safetensors"


def patterns(weights: Weights, paths: Iterable[str]) -> tuple[str, ...]:
    """Return what `include` means for a folder that has the files `paths`."""
    default = weights.include == Weights().include
    if not default or any(path.endswith(".safetensors") for path in paths):
        return weights.include
    return (*weights.include, *OTHERS)


def locked(weights: Weights, paths: Iterable[str]) -> tuple[str, ...]:
    """Return what it meant when the files `paths` were locked."""
    names = tuple(paths)
    others = tuple(pattern.removeprefix("*") for pattern in OTHERS)
    return patterns(weights, names) if any(n.endswith(others) for n in names) else weights.include
