"""Whether two tensors say the same, and whether one is within a range: pure."""

from collections.abc import Iterator
from typing import Final

from modelpack.functional.tolerance import Tolerance
from modelpack.inputs.array import Array

_SHOWN: Final = 3
"elements of one tensor that are told"


def differences(got: Array, wanted: Array, tolerance: Tolerance, at: str) -> Iterator[str]:
    """Yield where `got` is not what is `wanted`: dtype, shape, elements.

    Only fractions have a tolerance. Of many wrong elements a few are told, and how many there are.
    """
    if got.dtype != wanted.dtype:
        yield f"{at}: dtype {got.dtype} instead of {wanted.dtype}"
    if got.shape != wanted.shape:
        yield f"{at}: shape {_shape(got)} instead of {_shape(wanted)}"
    if got.dtype != wanted.dtype or got.shape != wanted.shape or got.data == wanted.data:
        return
    exact = not wanted.is_fraction
    wrong = [
        (index, one, other)
        for index, (one, other) in enumerate(_pairs(got, wanted))
        if (one != other if exact else not tolerance.allows(one, other))
    ]
    for index, one, other in wrong[:_SHOWN]:
        off = "" if exact else f", {abs(one - other):.3g} off"
        yield f"{at}{got.place(index)}: {_shown(one)} instead of {_shown(other)}{off}"
    if len(wrong) > _SHOWN:
        most = "" if exact else f", the worst {max(abs(one - o) for _, one, o in wrong):.3g} off"
        yield f"{at}: {len(wrong)} of {got.count} elements are wrong{most}"


def outside(array: Array, least: float, most: float, at: str) -> Iterator[str]:
    """Yield the elements that are outside a range; of many, a few and how many there are."""
    wrong = [
        (index, one)
        for index, one in enumerate(one for block in array.blocks() for one in block)
        if not least <= one <= most
    ]
    for index, one in wrong[:_SHOWN]:
        yield f"{at}{array.place(index)}: {_shown(one)} is not between {least:g} and {most:g}"
    if len(wrong) > _SHOWN:
        said = f"{len(wrong)} of {array.count} elements"
        yield f"{at}: {said} are not between {least:g} and {most:g}"


def _pairs(got: Array, wanted: Array) -> Iterator[tuple[float, float]]:
    for some, others in zip(got.blocks(), wanted.blocks(), strict=True):
        yield from zip(some, others, strict=True)


def _shape(array: Array) -> str:
    return str([*array.shape])


def _shown(value: float) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value:.9g}"
