"""Quoting for a Dockerfile: what comes out is read back as what went in, and is never syntax."""

import json

import pytest

from modelpack.dockerfile.syntax import Quoted, output, pair, quote
from modelpack.errors import InputError
from tests import dockerfile_reading


@pytest.mark.parametrize(
    "value",
    ["8080/tcp", "/usr/share/modelpack", "10001:0", "sha256:" + "a" * 64, "SIGTERM", "1.0.0+b,x",
     "ghcr.io/acme/base:1@sha256:" + "b" * 64],
)  # fmt: skip
def test_what_means_itself_stands_bare(value: str) -> None:
    assert quote(value) == Quoted(value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("", '""'),
        ("a b", '"a b"'),
        ("$HOME ${X:-y}", r'"\$HOME \${X:-y}"'),
        ('say "no"', r'"say \"no\""'),
        ("C:\\new", r'"C:\\new"'),
        ("ends in \\", r'"ends in \\"'),
        ("it's", '"it\'s"'),
        ("--from=x", '"--from=x"'),
        ("# no comment", '"# no comment"'),
        ("<<EOF", '"<<EOF"'),
        ("x\u00a0y\u3000z", '"x\u00a0y\u3000z"'),
        ("日本", '"日本"'),
    ],
)
def test_everything_else_stands_in_quotes(value: str, text: str) -> None:
    assert quote(value) == Quoted(text)
    assert dockerfile_reading.split(text) == [text]
    assert dockerfile_reading.unquoted(text) == value


@pytest.mark.parametrize("value", ["a\nRUN evil", "\r", "\t", "\0", "\x7f", "\x85", "x\x1b[2J"])
def test_control_character_in_a_word_is_refused(value: str) -> None:
    with pytest.raises(InputError, match="label x: a Dockerfile cannot hold the control character"):
        quote(value, at="label x")


def test_array_is_json_and_may_hold_everything() -> None:
    words = ["python", "-c", 'print("$HOME")', "a\nb", "\\", "'", "日本", "\x7f"]
    text = quote(words).text

    assert json.loads(text) == words
    assert "\n" not in text


def test_number_stands_as_it_is() -> None:
    assert quote(30) == Quoted("30")


def test_pair_needs_a_name_that_means_itself() -> None:
    assert pair("com.acme.team", "a b") == Quoted('com.acme.team="a b"')
    for name in ("a b", "", "x=y", "$x", "a\nb"):
        with pytest.raises(InputError, match=r"runtime\.base: a Dockerfile cannot set"):
            pair(name, "1", at="runtime.base")


@pytest.mark.parametrize("value", ["text", 1, None, True, ["a"], quote("a").text + "b"])
def test_template_prints_nothing_that_was_not_quoted(value: object) -> None:
    with pytest.raises(TypeError, match="not quoted"):
        output(value)


def test_template_prints_what_was_quoted() -> None:
    assert output(quote("a b")) == '"a b"'
