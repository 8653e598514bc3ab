"""The lock's list of tensors of a weight file: its lines, and what they say."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import prod

from modelpack.lock import WeightFile

_TENSOR = re.compile(
    r"([A-Z0-9_]{1,16}) \[((?:[0-9]{1,19}(?:,[0-9]{1,19}){0,63})?)\] (.*)", re.DOTALL
)
_COUNT_LIMIT = 1 << 63


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """One tensor of a weight file."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    "empty: a scalar"

    @property
    def parameters(self) -> int:
        """How many numbers it holds."""
        return prod(self.shape)


def line(dtype: str, shape: Iterable[int], name: str) -> str:
    """Return a tensor as the lock writes it: `BF16 [4096,4096] model.layers.0.mlp.w`."""
    return f"{dtype} [{','.join(map(str, shape))}] {name}"


def listed(file: WeightFile) -> tuple[Tensor, ...]:
    """Return the tensors of a weight file, in file order; nothing where one cannot be read."""
    found = tuple(_tensors(file))
    return found if len(found) == len(file.tensors) else ()


def _tensors(file: WeightFile) -> Iterator[Tensor]:
    """Yield tensors up to the first that cannot be read."""
    for text in file.tensors:
        match = _TENSOR.fullmatch(text)
        shape = tuple(map(int, match[2].split(","))) if match and match[2] else ()
        if match is None or prod(shape) >= _COUNT_LIMIT:
            return
        yield Tensor(name=match[3], dtype=match[1], shape=shape)


def parameters(file: WeightFile) -> Mapping[str, int]:
    """Return the parameters of a weight file by dtype, sorted; nothing where it cannot be known."""
    dtypes: Counter[str] = Counter()
    for tensor in listed(file):
        dtypes[tensor.dtype] += tensor.parameters
    return dict(sorted(dtypes.items()))


def total(files: Iterable[WeightFile]) -> Mapping[str, int]:
    """Return the parameters of all `files` by dtype, sorted."""
    dtypes: Counter[str] = Counter()
    for file in files:
        dtypes.update(parameters(file))
    return dict(sorted(dtypes.items()))
