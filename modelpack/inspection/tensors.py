"""The tensors of an image, for people: each by itself, by the block of the network it is in, and
by pattern, in which the blocks of a deep network are one.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from modelpack.inspection import description
from modelpack.inspection.documents import Documents
from modelpack.lock import tensors
from modelpack.lock.tensors import Tensor

_NUMBER: Final = re.compile(r"(?<![^.])[0-9]+(?![^.])")
"a whole part of a dotted name: the number of a block"
_ANY: Final = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Tensors whose names begin alike, up to the number of a block."""

    name: str
    "`model.layers.0`; empty: tensors outside of any"
    tensors: tuple[Tensor, ...]

    @property
    def parameters(self) -> int:
        """Of all of them."""
        return sum(one.parameters for one in self.tensors)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """Tensors of one dtype and shape whose names differ by the numbers of blocks only."""

    name: str
    "`model.layers.*.mlp.up_proj.weight`"
    dtype: str
    shape: tuple[int, ...]
    count: int
    parameters: int
    "of all of them"


def of(documents: Documents) -> Mapping[str, tuple[Tensor, ...]]:
    """Return the tensors of each weight file by its path in the image, where the image says them.

    Never raises; the order is that of the lock.
    """
    told = description.Description()
    if documents.meta and not documents.meta.trouble:
        told = description.parse(documents.meta.files)
    elif documents.nameplates:
        told = description.parse_nameplates(documents.nameplates, documents.trouble)
    found = {
        f"{weights.destination.rstrip('/')}/{file.path}": tensors.listed(file)
        for weights in told.weight_sets
        for file in weights.files
    }
    return {path: each for path, each in found.items() if each}


def blocks(found: Iterable[Tensor]) -> tuple[Block, ...]:
    """Return the tensors by block, in the order of the blocks' numbers; those in none come last."""
    grouped: dict[str, list[Tensor]] = {}
    for one in found:
        match = _NUMBER.search(one.name)
        grouped.setdefault(one.name[: match.end()] if match else "", []).append(one)
    return tuple(
        Block(name=name, tensors=tuple(grouped[name])) for name in sorted(grouped, key=_natural)
    )


def _natural(name: str) -> tuple[bool, str, int, str]:
    """Order `layers.2` before `layers.10`."""
    before, _, number = name.rpartition(".")
    digits = number if number.isdecimal() else ""
    return (not name, before, len(digits), name)


def patterns(found: Iterable[Tensor]) -> tuple[Pattern, ...]:
    """Return the patterns of all tensors, in the order in which each is met first."""
    grouped: dict[tuple[str, str, tuple[int, ...]], int] = {}
    for one in found:
        key = (_NUMBER.sub(_ANY, one.name), one.dtype, one.shape)
        grouped[key] = grouped.get(key, 0) + 1
    return tuple(
        Pattern(
            name=name, dtype=dtype, shape=shape, count=count,
            parameters=count * Tensor(name=name, dtype=dtype, shape=shape).parameters,
        )
        for (name, dtype, shape), count in grouped.items()
    )  # fmt: skip
