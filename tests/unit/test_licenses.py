"""Licences as packages state them: SPDX where it is, words where it is not, never a guess."""

import pytest

from modelpack.inputs.debian import copyright as debian_copyright
from modelpack.inputs.licenses import UNKNOWN, Licenses, expression_of, of_python

DEP5 = "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n"


@pytest.mark.parametrize(
    ("expression", "text", "classifiers", "found"),
    [
        ("mit or apache-2.0", "", (), Licenses(expression="MIT OR Apache-2.0")),
        ("BSD-3-Clause", "GPL", ("License :: OSI Approved :: MIT License",),
         Licenses(expression="BSD-3-Clause")),
        ("not an expression", "MIT", (), Licenses(expression="MIT")),
        ("", "Apache 2.0", (), Licenses(expression="Apache-2.0")),
        ("", "UNKNOWN", ("License :: OSI Approved :: MIT License",), Licenses(expression="MIT")),
        ("", "", ("License :: OSI Approved :: ISC License (ISCL)", "Typing :: Typed"),
         Licenses(expression="ISC")),
        ("", "", ("License :: OSI Approved :: BSD License",), Licenses(names=("BSD License",))),
        ("", "", ("License :: OSI Approved :: Apache Software License",),
         Licenses(names=("Apache Software License",))),
        ("", "", ("License :: OSI Approved :: MIT License",
                  "License :: OSI Approved :: ISC License (ISCL)"),
         Licenses(names=("MIT License", "ISC License (ISCL)"))),
        ("", "", ("License :: OSI Approved",), UNKNOWN),
        ("", "ours alone", (), Licenses(names=("ours alone",))),
        ("", "Copyright (c) 2005\n\nRedistribution and use", (), UNKNOWN),
        ("", "x" * 121, (), UNKNOWN),
        ("", "", (), UNKNOWN),
    ],
)  # fmt: skip
def test_python(expression: str, text: str, classifiers: tuple[str, ...], found: Licenses) -> None:
    assert of_python(expression, text, classifiers) == found


@pytest.mark.parametrize(
    "text", ["", " ", "(" * 500, "MIT AND", "a" * 2000, "GPL-2.0+ or", "\ud800", "__import__('os')"]
)
def test_what_is_no_expression_is_none(text: str) -> None:
    assert expression_of(text) == ""


def dep5(*stanzas: str) -> bytes:
    """Return a machine-readable copyright file with these paragraphs."""
    return "\n\n".join([DEP5, *stanzas]).encode()


def files(license: str) -> str:  # noqa: A002
    """Return a paragraph about files."""
    return f"Files: *\nCopyright: 2024 somebody\nLicense: {license}\n The text of it."


@pytest.mark.parametrize(
    ("stanzas", "found"),
    [
        ([files("Expat")], Licenses(expression="MIT")),
        ([files("GPL-2+")], Licenses(expression="GPL-2.0-or-later")),
        ([files("LGPL-2.1"), files("Expat"), files("Expat")],
         Licenses(expression="LGPL-2.1-only AND MIT")),
        ([files("GPL-2+ or Artistic"), files("Zlib")],
         Licenses(expression="(GPL-2.0-or-later OR Artistic-1.0-Perl) AND Zlib")),
        ([files("GPL-3+ with libtool exception")],
         Licenses(expression="GPL-3.0-or-later WITH Libtool-exception")),
        ([files("public-domain"), files("Expat")], Licenses(names=("MIT", "public-domain"))),
        ([files("GPL-2+ with OpenSSL exception")],
         Licenses(names=("GPL-2+ with OpenSSL exception",))),
        ([files("GPL-2+, and BSD-3-clause")], Licenses(names=("GPL-2+, and BSD-3-clause",))),
        (["License: GPL-2+\n The text."], UNKNOWN),
        ([files("")], UNKNOWN),
        ([], UNKNOWN),
    ],
)  # fmt: skip
def test_debian(stanzas: list[str], found: Licenses) -> None:
    assert debian_copyright.licenses(dep5(*stanzas)) == found


@pytest.mark.parametrize(
    "data",
    [
        b"This is libfoo, under the GPL-2.\n",
        b"Format: https://example.org/\n\n" + files("Expat").encode(),
        files("Expat").encode(),
        b"",
        b"\xff\xfe\x00" * 100,
        dep5(files("Expat")) + b"#" * (8 << 20),
    ],
)
def test_prose_is_not_read(data: bytes) -> None:
    assert debian_copyright.licenses(data) == UNKNOWN


def test_there_is_a_bound_on_what_is_listed() -> None:
    many = dep5(*(files(f"odd-licence-{number}") for number in range(6000)))
    assert len(debian_copyright.licenses(many).names) == 100
