"""What comes from outside is printed on one line, short, and moves no cursor."""

import pytest

from modelpack.inputs.quoting import UNPRINTABLE, quoted

ODD = [
    *("\x00", "\x1b[2J", "\x7f", "\x9b", "\u202e", "\u2028", "\u200b", "\ud800", "\ufeff"),
    *("\ue000", "\u2001", "\U000e0041"),
]


@pytest.mark.parametrize("text", ODD)
def test_what_cannot_be_printed_is_escaped(text: str) -> None:
    assert quoted(f"a{text}b").isprintable()
    assert quoted(f"a{text}b").startswith("`a\\")


def test_printable_text_stays_as_it_is() -> None:
    assert quoted("a name, ä, 日本, 🙂") == "`a name, ä, 日本, 🙂`"


def test_long_text_is_cut() -> None:
    assert quoted("x" * 200) == "`" + "x" * 79 + "…`"
    assert quoted("x" * 200, 10) == "`" + "x" * 9 + "…`"


def test_backticks_do_not_end_the_quotation() -> None:
    assert quoted("a`b") == "`a'b`"


@pytest.mark.parametrize("text", ["\x1b", "\r", "\u2066", "\ufeff", "\udfff", "\u00ad"])
def test_names_with_invisible_characters_are_known(text: str) -> None:
    assert UNPRINTABLE.search(f"a{text}")
