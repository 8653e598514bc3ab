"""Tables in a terminal: what does not fit goes on below, and no digest is ever cut."""

import pytest

from modelpack.cli import display

ROWS = [("scan", "with a scanner, database of 2026-11-19"), ("", "sha256:" + "a" * 64), ("x",)]


def test_the_last_column_goes_on_below() -> None:
    assert display.table(ROWS, width=36, wrap=True).split("\n") == [
        "scan  with a scanner, database of",
        "      2026-11-19",
        "      sha256:" + "a" * 64,
        "x",
    ]


@pytest.mark.parametrize("width", [0, 200])
def test_what_fits_or_is_not_for_a_terminal_is_not_wrapped(width: int) -> None:
    assert display.table(ROWS[:1], width=width, wrap=True) == "  ".join(ROWS[0])


def test_where_there_is_hardly_room_the_terminal_wraps() -> None:
    assert display.wrapped("a b c", 3) == ["a b c"]


def test_no_word_is_lost_and_wide_ones_count_twice() -> None:
    text = "漢字 " * 20 + "end"
    lines = display.wrapped(text, 30)
    assert " ".join(lines).split() == text.split()
    assert all(len(line) <= 18 for line in lines)
