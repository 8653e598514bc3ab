"""The weights of an image for a page: files, the patterns of their tensors, tensors one by one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from modelpack.inspection import tensors as found_tensors
from modelpack.inspection.tensors import Block, Pattern
from modelpack.inspection.value import Inspection, WeightFileClaim, WeightSetClaim
from modelpack.lock.tensors import Tensor

_LISTED: Final = 2000
"tensors of one page that are shown one by one"
_PATTERNS: Final = 200
"of one set of weights"
_FLAT: Final = 24
"tensors of a file that need no blocks"

Tensors = Mapping[str, tuple[Tensor, ...]]
"by the path of their file"


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The tensors of one file."""

    path: str
    count: int
    blocks: tuple[Block, ...]
    more: int
    "tensors that are not shown"


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightSet:
    """One `[weights]`."""

    claim: WeightSetClaim
    files: tuple[WeightFileClaim, ...]
    patterns: tuple[Pattern, ...]
    "empty: no two tensors are alike"
    more_patterns: int
    listings: tuple[Listing, ...]


def sets(inspection: Inspection, tensors: Tensors) -> tuple[WeightSet, ...]:
    """Return all sets; of very many tensors the first are listed, and the patterns say the rest."""
    left = _LISTED
    made = []
    for claim in inspection.weight_sets:
        files = tuple(one for one in inspection.weights if one.set == claim.name)
        named = [(file.path, tensors[file.path]) for file in files if file.path in tensors]
        listings = []
        for path, each in named:
            listings.append(_listing(path, each, left))
            left = max(left - len(each), 0)
        patterns = found_tensors.patterns(one for _, each in named for one in each)
        alike = len(patterns) < sum(len(each) for _, each in named)
        made.append(WeightSet(
            claim=claim, files=files, patterns=patterns[:_PATTERNS] if alike else (),
            more_patterns=max(len(patterns) - _PATTERNS, 0) if alike else 0,
            listings=tuple(listings),
        ))  # fmt: skip
    return tuple(made)


def _listing(path: str, found: Sequence[Tensor], left: int) -> Listing:
    shown = found[:left]
    blocks = found_tensors.blocks(shown)
    if len(shown) <= _FLAT and shown:
        blocks = (Block(name="", tensors=tuple(shown)),)
    return Listing(path=path, count=len(found), blocks=blocks, more=len(found) - len(shown))
