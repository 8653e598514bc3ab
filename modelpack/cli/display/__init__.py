"""How values look to people and programs: tables, sizes, counts, durations, safe text, JSON."""

import json
import shutil
import sys
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, TextIO

from modelpack.errors import Finding

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")
_COUNTS = ("", "K", "M", "B", "T")
_THOUSAND = 1000
_GAP = "  "
_NARROW = 24
"columns in which words are not set on lines of their own"


def escape(text: str) -> str:
    """Return `text` on one line, with what could steer or deceive a terminal made visible."""
    return "".join(char if _is_harmless(char) else _escaped(char) for char in text)


def escape_lines(text: str) -> str:
    """Return `text` with its line breaks kept and all else as in `escape`."""
    return "\n".join(escape(line) for line in text.split("\n"))


def _is_harmless(char: str) -> bool:
    return char.isprintable() or unicodedata.category(char) == "Zs"


def _escaped(char: str) -> str:
    return char.encode("unicode_escape").decode()


def finding(value: Finding) -> str:
    """Return a finding as lines: what and where, then the hint; nothing else starts a line."""
    first, *more = value.message.split("\n")
    where = f"{value.at}: " if value.at else ""
    lines = [escape(f"{value.severity}: {where}{first}")]
    lines += [f"    {escape(line)}" for line in more]
    if value.hint:
        lines.append(f"  hint: {escape(value.hint)}")
    return "\n".join(lines)


def size(count: int) -> str:
    """Return bytes as people read them, decimal units, three digits: `55 MB`, `1.21 GB`."""
    if count < _THOUSAND:
        return f"{count} B"
    return _scaled(count, _UNITS, " ")


def number(count: int) -> str:
    """Return a count as people read it: `312`, `22.7M`, `7.24B`."""
    return str(count) if count < _THOUSAND else _scaled(count, _COUNTS, "")


def _scaled(count: int, units: Sequence[str], gap: str) -> str:
    value = float(count)
    for unit in units:
        if round(value, 2) < 999.5 or unit == units[-1]:  # noqa: PLR2004  rounds to 1000
            digits = 2 if value < 10 else 1 if value < 100 else 0  # noqa: PLR2004
            text = f"{value:.{digits}f}"
            return f"{text.rstrip('0').rstrip('.') if '.' in text else text}{gap}{unit}"
        value /= _THOUSAND
    raise ValueError("no units")


def duration(seconds: float) -> str:
    """Return a time span: `0.4 s`, `12 s`, `3 min 20 s`, `2 h 5 min`, `12 d`."""
    if seconds < 10:  # noqa: PLR2004  tenths matter there
        return f"{seconds:.1f} s"
    whole = round(seconds)
    minutes, second = divmod(whole, 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    if days:
        return f"{days} d {hour} h" if hour else f"{days} d"
    if hours:
        return f"{hours} h {minute} min" if minute else f"{hours} h"
    if minutes:
        return f"{minutes} min {second} s" if second else f"{minutes} min"
    return f"{second} s"


def seconds(value: float) -> str:
    """Return a measured time: `12.3 ms`, `1.25 s`."""
    return f"{value * 1000:.3g} ms" if value < 1 else f"{value:.2f} s"


def table(
    rows: Sequence[Sequence[str]],
    *,
    head: Sequence[str] = (),
    right: Sequence[int] = (),
    width: int | None = None,
    wrap: bool = False,
) -> str:
    """Return aligned columns; those in `right` are flush right, the last one fits the terminal.

    What does not fit is cut, or goes on below with `wrap`, where no word is ever cut. Without a
    terminal nothing is. `width` overrides the terminal's.
    """
    lines = [[escape(cell) for cell in row] for row in ([head, *rows] if head else rows)]
    if not lines:
        return ""
    columns = max(map(len, lines))
    widths = [
        max((_columns(line[i]) for line in lines if i < len(line)), default=0)
        for i in range(columns)
    ]
    room = width if width is not None else terminal_width()
    if wrap and room:
        before = sum(width + len(_GAP) for width in widths[:-1])
        lines = [[*row] for line in lines for row in _below(line, columns, room - before)]
        room = 0
    return "\n".join(_line(line, widths, right, room) for line in lines)


def _below(cells: Sequence[str], columns: int, room: int) -> Iterator[Sequence[str]]:
    """Yield a row, and rows below it with what does not fit into its last column."""
    if len(cells) < columns:
        yield cells
        return
    first, *more = wrapped(cells[-1], room)
    yield [*cells[:-1], first]
    for text in more:
        yield [*([""] * (columns - 1)), text]


def wrapped(text: str, room: int) -> list[str]:
    """Return `text` as lines of up to `room` columns; a longer word has a line of its own."""
    if room < _NARROW or _columns(text) <= room:
        return [text]
    lines = [""]
    for word in text.split(" "):
        if lines[-1] and _columns(f"{lines[-1]} {word}") > room:
            lines.append(word)
        else:
            lines[-1] = f"{lines[-1]} {word}" if lines[-1] else word
    return lines


def _line(cells: Sequence[str], widths: Sequence[int], right: Sequence[int], room: int) -> str:
    parts: list[str] = []
    for i, cell in enumerate(cells):
        padding = " " * (widths[i] - _columns(cell))
        parts.append(padding + cell if i in right else cell + padding)
    text = _GAP.join(parts).rstrip()
    return shortened(text, room) if room else text


def shortened(text: str, room: int) -> str:
    """Return `text` cut to `room` columns; an ellipsis stands for the rest."""
    if _columns(text) <= room:
        return text
    used = 0
    for position, char in enumerate(text):
        used += _columns(char)
        if used > room - 1:
            return text[:position] + "…"
    return text


def _columns(text: str) -> int:
    """Return the columns that `text` takes on a terminal (Unicode TR 11, TR 44)."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1
        for char in text
    )


def terminal_width(stream: TextIO | None = None) -> int:
    """Return the columns of the terminal behind `stream` (default: stdout); 0 when it is none."""
    chosen = sys.stdout if stream is None else stream
    return shutil.get_terminal_size().columns if chosen.isatty() else 0


def to_json(value: object) -> str:
    """Return `value` as indented JSON in its own order; ASCII, so that any reader can."""
    return json.dumps(plain(value), indent=2, allow_nan=False)


def plain(value: object) -> Any:  # noqa: ANN401  any JSON value
    """Return `value` as JSON types; a dataclass as an object, a path or a day as its text."""
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if value is None or isinstance(value, str | int | float):
        return value
    return str(value)
