"""What the lock's list of tensors says of a weight file: parameters by dtype."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from math import prod

from modelpack.lock import WeightFile

_TENSOR = re.compile(
    r"([A-Z0-9_]{1,16}) \[((?:[0-9]{1,19}(?:,[0-9]{1,19}){0,63})?)\] .*", re.DOTALL
)
_COUNT_LIMIT = 1 << 63


def parameters(file: WeightFile) -> Mapping[str, int]:
    """Return the parameters of a weight file by dtype, sorted; nothing where it cannot be known."""
    dtypes: Counter[str] = Counter()
    for tensor in file.tensors:
        match = _TENSOR.fullmatch(tensor)
        count = prod(map(int, match[2].split(","))) if match and match[2] else 1
        if match is None or count >= _COUNT_LIMIT:
            return {}
        dtypes[match[1]] += count
    return dict(sorted(dtypes.items()))


def total(files: Iterable[WeightFile]) -> Mapping[str, int]:
    """Return the parameters of all `files` by dtype, sorted."""
    dtypes: Counter[str] = Counter()
    for file in files:
        dtypes.update(parameters(file))
    return dict(sorted(dtypes.items()))
