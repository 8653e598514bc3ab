"""Sizes, durations and counts as people write them: `1 GiB`, `500MB`, `200ms`, `3 layers`."""

import re

from modelpack.errors import InputError

_SIZE_UNITS = {
    "": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12,
    "Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40,
}  # fmt: skip
_DURATION_UNITS = {
    "ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000,
}  # fmt: skip
SIZE = r"[0-9]{1,12}(?:\.[0-9]{1,6})? ?(?:[kKMGT]i?)?B"
DURATION = r"[0-9]{1,9}(?:\.[0-9]{1,3})? ?(?:ms|s|m|h|d|w)"
_SIZE = re.compile(r"([0-9]{1,12})(?:\.([0-9]{1,6}))? ?([kKMGT]i?)?B")
_DURATION = re.compile(r"([0-9]{1,9})(?:\.([0-9]{1,3}))? ?(ms|s|m|h|d|w)")


def _scaled(whole: str, fraction: str | None, unit: int) -> int:
    digits = fraction or ""
    return int(whole + digits) * unit // int(10 ** len(digits))


def size(text: str, *, at: str = "") -> int:
    """Return the bytes that `text` names, rounded down; `kB` is 1000 and `KiB` is 1024 bytes."""
    match = _SIZE.fullmatch(text)
    if not match:
        raise InputError(
            f"not a size: `{text}`",
            at=at,
            hint="write a number and a unit, such as `500MB`, `2 GiB`",
        )
    prefix = match[3] or ""
    return _scaled(match[1], match[2], _SIZE_UNITS[prefix[:1].upper() + prefix[1:]])


def duration(text: str, *, at: str = "") -> int:
    """Return the milliseconds that `text` names, rounded down."""
    match = _DURATION.fullmatch(text)
    if not match:
        raise InputError(
            f"not a duration: `{text}`",
            at=at,
            hint="write a number and a unit (ms, s, m, h, d, w), such as `200ms`, `7d`",
        )
    return _scaled(match[1], match[2], _DURATION_UNITS[match[3]])


def in_gib(count: int) -> str:
    """Return bytes as memory is named: `79.6 GiB`, below one GiB `512 MiB`, else `-84 KiB`."""
    if abs(count) >= 1 << 30:
        return f"{count / 2**30:.1f} GiB"
    return f"{count / 2**20:.0f} MiB" if abs(count) >= 1 << 20 else f"{count / 2**10:.0f} KiB"


def counted(number: int, noun: str) -> str:
    """Return `1 layer`, `3 layers`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
