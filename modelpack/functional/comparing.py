"""Whether two values say the same, numbers within a tolerance: pure.

A value is JSON, in which tensors may stand; tensors are compared as `comparing_tensors` says.
"""

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any, Final

from modelpack.functional import comparing_tensors
from modelpack.functional.tolerance import Tolerance
from modelpack.inputs.array import Array
from modelpack.inputs.quoting import quoted

SHOWN: Final = 5
"complaints about one answer that are told"


class NotANumber(ValueError):  # noqa: N818  what was found
    """JSON that holds NaN or an infinity, which JSON has not."""


def parse(data: bytes) -> Any:  # noqa: ANN401  any JSON value
    """Return the JSON value in `data`; raise ValueError, and NotANumber for NaN and infinities."""

    def refuse(word: str) -> float:
        raise NotANumber(word)

    def finite(text: str) -> float:
        number = float(text)
        return number if math.isfinite(number) else refuse(text)

    try:
        return json.loads(data, parse_constant=refuse, parse_float=finite)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def differences(got: Any, wanted: Any, tolerance: Tolerance, at: str = "") -> Iterator[str]:  # noqa: ANN401
    """Yield where `got` is not what is `wanted`: shape, type of a value, value.

    A tensor and a list of numbers are compared as lists: no list has a dtype.
    """
    if isinstance(wanted, Array) and isinstance(got, Array):
        yield from comparing_tensors.differences(got, wanted, tolerance, _at(at))
    elif isinstance(wanted, Array):
        yield from differences(got, wanted.nested(), tolerance, at)
    elif isinstance(got, Array):
        yield from differences(got.nested(), wanted, tolerance, at)
    elif isinstance(wanted, Mapping):
        yield from _objects(got, wanted, tolerance, at)
    elif isinstance(wanted, list):
        yield from _arrays(got, wanted, tolerance, at)
    elif _is_number(wanted):
        yield from _numbers(got, wanted, tolerance, at)
    elif type(got) is not type(wanted):
        yield f"{_at(at)}: {_noun(got)} instead of {_noun(wanted)}"
    elif got != wanted:
        yield f"{_at(at)}: {_shown(got)} instead of {_shown(wanted)}"


def _objects(got: Any, wanted: Mapping[str, Any], tolerance: Tolerance, at: str) -> Iterator[str]:  # noqa: ANN401
    if not isinstance(got, dict):
        yield f"{_at(at)}: {_noun(got)} instead of an object"
        return
    for key in sorted(wanted.keys() | got.keys()):
        here = f"{at}/{_escaped(key)}"
        if key not in got:
            yield f"{_at(here)}: is missing"
        elif key not in wanted:
            yield f"{_at(here)}: is not expected"
    for key in wanted:
        if key in got:
            yield from differences(got[key], wanted[key], tolerance, f"{at}/{_escaped(key)}")


def _arrays(got: Any, wanted: list[Any], tolerance: Tolerance, at: str) -> Iterator[str]:  # noqa: ANN401
    if not isinstance(got, list):
        yield f"{_at(at)}: {_noun(got)} instead of an array"
    elif len(got) != len(wanted):
        yield f"{_at(at)}: {len(got)} elements instead of {len(wanted)}"
    else:
        for index, (one, other) in enumerate(zip(got, wanted, strict=True)):
            yield from differences(one, other, tolerance, f"{at}/{index}")


def _numbers(got: Any, wanted: float, tolerance: Tolerance, at: str) -> Iterator[str]:  # noqa: ANN401
    """Compare numbers: a whole one is never a fraction, and 1 may stand for 1.0."""
    if not _is_number(got) or (isinstance(wanted, int) and isinstance(got, float)):
        yield f"{_at(at)}: {_noun(got)} instead of {_noun(wanted)}"
    elif isinstance(wanted, int):
        if got != wanted:
            yield f"{_at(at)}: {_shown(got)} instead of {_shown(wanted)}"
    elif not tolerance.allows(got, wanted):
        yield f"{_at(at)}: {_shown(got)} instead of {_shown(wanted)}, {abs(got - wanted):.3g} off"


def outside(value: Any, ranges: Mapping[str, tuple[float, float]]) -> Iterator[str]:  # noqa: ANN401
    """Yield the numbers of `value` that are outside their range, and ranges that nothing is in."""
    for pattern, (least, most) in ranges.items():
        found = list(matching(value, pattern))
        if not found:
            yield f"{_at(pattern)}: nothing is there"
        for at, one in (inner for place in found for inner in _leaves(*place)):
            if isinstance(one, Array):
                yield from comparing_tensors.outside(one, least, most, _at(at))
            elif not _is_number(one):
                yield f"{_at(at)}: {_noun(one)} instead of a number"
            elif not least <= one <= most:
                yield f"{_at(at)}: {_shown(one)} is not between {least:g} and {most:g}"


def _leaves(at: str, value: Any) -> Iterator[tuple[str, Any]]:  # noqa: ANN401
    """Yield what is in a list, and in lists in it: a range of one is that of all its numbers."""
    if not isinstance(value, list):
        yield at, value
        return
    for index, one in enumerate(value):
        yield from _leaves(f"{at}/{index}", one)


def matching(value: Any, pattern: str) -> Iterator[tuple[str, Any]]:  # noqa: ANN401
    """Yield the places that a JSON pointer (RFC 6901) means; `*` is every key or element."""
    found = [("", value)]
    for word in pattern.split("/")[1:]:
        found = [inner for at, one in found for inner in _below(at, one, word)]
    yield from found


def _below(at: str, value: Any, word: str) -> Iterator[tuple[str, Any]]:  # noqa: ANN401
    if isinstance(value, dict):
        key = word.replace("~1", "/").replace("~0", "~")
        for name in value if word == "*" else [key] if key in value else []:
            yield f"{at}/{_escaped(name)}", value[name]
    else:
        for index, one in enumerate(elements(value) or ()):
            if word in ("*", str(index)):
                yield f"{at}/{index}", one


def elements(value: Any) -> list[Any] | None:  # noqa: ANN401
    """Return what is in a list, or along the first axis of a tensor; None: it is neither."""
    if isinstance(value, Array):
        return value.rows()
    return value if isinstance(value, list) else None


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _noun(value: object) -> str:  # noqa: PLR0911  one for each type
    match value:
        case None:
            return "null"
        case bool():
            return "a truth value"
        case int():
            return "a whole number"
        case float():
            return "a number with a fraction"
        case str():
            return "a text"
        case list():
            return "an array"
        case Array():
            return f"a tensor {value.dtype} {[*value.shape]}"
        case _:
            return "an object"


def _shown(value: object) -> str:
    return quoted(value, 80) if isinstance(value, str) else json.dumps(value)


def _escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")


def _at(pointer: str) -> str:
    return quoted(pointer, 120) if pointer else "the answer"
