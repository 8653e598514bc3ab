"""Metrics of an evaluation: their names, the slices of the data, and bounds such as `>= 0.9`."""

import re
from operator import eq, ge, gt, le, lt
from typing import Final

BOUND: Final = r"(?:>=|<=|==|>|<) ?-?[0-9]{1,18}(?:\.[0-9]{1,18})?"
_PARTS: Final = re.compile(r"(>=|<=|==|>|<) ?(.+)")
_COMPARE: Final = {">=": ge, "<=": le, "==": eq, ">": gt, "<": lt}
_SLICES: Final = "slices."


def sliced(name: str) -> tuple[str, str]:
    """Return the metric and the slice of the data that a dotted name means: `slices.en.f1`."""
    if not name.startswith(_SLICES):
        return name, ""
    part, _, metric = name.removeprefix(_SLICES).rpartition(".")
    return (metric, part) if part else (name, "")


def parts(bound: str) -> tuple[str, str]:
    """Return the operator and the number of a bound; two empty texts where it is none."""
    found = _PARTS.fullmatch(bound)
    return (found[1], found[2]) if found else ("", "")


def reaches(value: str, bound: str) -> bool:
    """Tell whether a finite number as written satisfies a bound, exactly."""
    operator, limit = parts(bound)
    if not operator:
        return False
    from decimal import Decimal, InvalidOperation  # noqa: PLC0415  only where there are bounds

    try:
        number = Decimal(value)
        return number.is_finite() and bool(_COMPARE[operator](number, Decimal(limit)))
    except InvalidOperation:
        return False
