"""Whatever a value holds, Markdown shows its letters and nothing else."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from modelpack.cli import display
from modelpack.cli.display import markdown

PARSER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
LETTERS = st.text(st.sampled_from("ab 01.)-+=*_`~#<>[]()!|\\&;:/w@$\"'\t\n{}")) | st.text()


def words(text: str, *, below: str) -> str:
    """Return the letters of the one element `below` that a text is read as, else fail."""
    inline = [token for token in PARSER.parse(text) if token.type == "inline"]
    assert len(inline) == 1, text
    children = inline[0].children or []
    assert {child.type for child in children} <= {"text", "text_special"}, text
    assert any(token.type == below for token in PARSER.parse(text))
    return "".join(child.content for child in children)


@pytest.mark.parametrize(
    ("before", "below"),
    [("", "paragraph_open"), ("- ", "list_item_open"), ("# ", "heading_open")],
)
@given(value=LETTERS)
@example(value="1. one")
@example(value="www.evil.example")
@example(value="https://evil.example")
@example(value="---")
@example(value="***")
@example(value="- item")
@example(value="a --- | --- b")
def test_a_value_is_its_letters(before: str, below: str, value: str) -> None:
    value = value.strip()
    shown = display.escape(value)
    if shown.strip():
        assert words(f"{before}{markdown.text(value)}", below=below) == shown.strip()


@given(value=LETTERS, other=LETTERS)
def test_a_cell_is_a_cell(value: str, other: str) -> None:
    table = markdown.table(("one", "other"), [(markdown.text(value.strip()), markdown.text(other))])
    kinds = [token.type for token in PARSER.parse(table)]
    assert kinds.count("td_open") == 2
    assert kinds.count("tr_open") == 2


def test_a_plain_value_stays_as_it_is() -> None:
    for plain in ("minilm 1.0.0", "Apache-2.0", "a (b), c; d: 50%", "2026-11-25T03:37:47Z"):
        assert markdown.text(plain) == plain
    assert markdown.text("see www.x.example") == "see www\\.x.example"
    assert markdown.text("http://x") == "http\\://x"
