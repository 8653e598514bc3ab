"""What NVIDIA and PyTorch publish about which CUDA runs where; as of 2026-11-24.

Only what the metadata of the wheels does not say. What is newer than these tables is judged by
the newest row that is known, or not at all. Sources, row by row, in the docstrings below.
"""

from collections.abc import Mapping
from types import MappingProxyType

from modelpack.cuda import Cuda

Capability = tuple[int, int]
"a GPU architecture: `sm_90` is (9, 0)"

DRIVER_FLOORS: Mapping[int, str] = MappingProxyType({11: "450", 12: "525", 13: "580"})
"""The oldest driver that runs any minor version of a major one: NVIDIA, "CUDA Compatibility",
table 1 of "Minor Version Compatibility"."""

ARCHITECTURES: Mapping[Capability, tuple[Cuda, int]] = MappingProxyType({
    (3, 5): (Cuda(5, 0), 11), (3, 7): (Cuda(6, 5), 11),
    (5, 0): (Cuda(6, 5), 12), (5, 2): (Cuda(7, 0), 12), (5, 3): (Cuda(7, 0), 12),
    (6, 0): (Cuda(8, 0), 12), (6, 1): (Cuda(8, 0), 12), (6, 2): (Cuda(8, 0), 12),
    (7, 0): (Cuda(9, 0), 12), (7, 2): (Cuda(9, 2), 12),
    (7, 5): (Cuda(10, 0), 0),
    (8, 0): (Cuda(11, 0), 0), (8, 6): (Cuda(11, 1), 0), (8, 7): (Cuda(11, 4), 0),
    (8, 9): (Cuda(11, 8), 0), (9, 0): (Cuda(11, 8), 0),
    (10, 0): (Cuda(12, 8), 0), (10, 3): (Cuda(12, 9), 0), (11, 0): (Cuda(13, 0), 0),
    (12, 0): (Cuda(12, 8), 0), (12, 1): (Cuda(12, 9), 0),
})  # fmt: skip
"""The first version of CUDA that knows an architecture, and the last major one (0: none yet):
CUDA Toolkit release notes, "New Features" of 11.0 to 13.0 and what 13.0 dropped."""

_TO_HOPPER = ((5, 0), (6, 0), (7, 0), (7, 5), (8, 0), (8, 6), (9, 0))
_VOLTA_TO_BLACKWELL = ((7, 0), (7, 5), (8, 0), (8, 6), (9, 0), (10, 0), (12, 0))
_TURING_TO_BLACKWELL = ((7, 5), (8, 0), (8, 6), (9, 0), (10, 0), (12, 0))

TORCH_ARCHITECTURES: tuple[tuple[Capability, Cuda, tuple[Capability, ...]], ...] = (
    ((2, 0), Cuda(11, 7), ((3, 7), (5, 0), (6, 0), (7, 0), (7, 5), (8, 0), (8, 6))),
    ((2, 0), Cuda(11, 8), ((3, 7), *_TO_HOPPER)),
    ((2, 1), Cuda(12, 1), _TO_HOPPER),
    ((2, 4), Cuda(12, 4), _TO_HOPPER),
    ((2, 6), Cuda(12, 6), _TO_HOPPER),
    ((2, 7), Cuda(12, 8), _TURING_TO_BLACKWELL),
    ((2, 8), Cuda(12, 8), _VOLTA_TO_BLACKWELL),
    ((2, 8), Cuda(12, 9), _VOLTA_TO_BLACKWELL),
    ((2, 9), Cuda(13, 0), _TURING_TO_BLACKWELL),
    ((2, 11), Cuda(12, 8), _TURING_TO_BLACKWELL),
    ((2, 12), Cuda(13, 2), _TURING_TO_BLACKWELL),
)
"""Release of PyTorch from which on, version of CUDA, and the architectures that its wheels for
linux/amd64 have code for: pytorch, RELEASE.md, "PyTorch CUDA Support Matrix", and
.ci/manywheel/build_cuda.sh of the releases; 2.0 and 2.1 from .circleci of their time."""

TORCH_ARCHITECTURES_ARM64: tuple[tuple[Capability, Cuda, tuple[Capability, ...]], ...] = (
    ((2, 11), Cuda(12, 6), ((8, 0), (9, 0))),
    ((2, 11), Cuda(12, 8), ((8, 0), (9, 0), (10, 0), (12, 0))),
    ((2, 11), Cuda(13, 0), ((8, 0), (9, 0), (10, 0), (11, 0), (12, 0))),
    ((2, 12), Cuda(13, 2), ((8, 0), (9, 0), (10, 0), (11, 0), (12, 0))),
)
"the same for linux/arm64"


def known_to(cuda: Cuda) -> tuple[Capability, ...]:
    """Return the architectures that a version of CUDA builds for; an unknown minor is the newest.

    A version newer than the table knows all that none dropped.
    """
    newest = Cuda(cuda.major, 99) if cuda.minor < 0 else cuda
    return tuple(
        capability for capability, (first, last) in ARCHITECTURES.items()
        if first <= newest and (not last or cuda.major <= last)
    )  # fmt: skip


def torch_has_code_for(
    release: Capability, cuda: Cuda, *, architecture: str
) -> tuple[Capability, ...] | None:
    """Return what PyTorch's wheels of a release were compiled for; None where it is not known."""
    table = TORCH_ARCHITECTURES if architecture == "amd64" else TORCH_ARCHITECTURES_ARM64
    rows = [row for row in table if row[1] == cuda and row[0] <= release]
    return max(rows, key=lambda row: row[0])[2] if rows else None


def runs_on(target: Capability, compiled: tuple[Capability, ...]) -> bool:
    """Tell whether code for one of `compiled` runs on a GPU of architecture `target`.

    Code runs on its own and later architectures of the same generation: CUDA C++ Programming
    Guide, "Binary Compatibility". Of an intermediate form (PTX), which a driver compiles at start,
    only a GPU newer than all of `compiled` could make use: it is not counted on.
    """
    return any(one[0] == target[0] and one[1] <= target[1] for one in compiled)
