"""Patterns, licences and older payloads: the small rules of a policy."""

import json
from typing import Any

import pytest

from modelpack.errors import InputError
from modelpack.trust import simple_signing
from modelpack.trust.expected import Pattern, pattern
from modelpack.trust.policy import Licenses
from modelpack.verifying import licensing
from modelpack.verifying.patterns import matches


@pytest.mark.parametrize(
    ("wanted", "text", "fits"),
    [
        ("debian:13", "debian:13", True),
        ("debian:13", "debian:130", False),
        ("debian.13", "debian:13", False),
        ("refs/tags/v*", "refs/tags/v1.0", True),
        ("refs/tags/v*", "refs/heads/v1.0", False),
        ("*", "", True),
        ("a*b*c", "a--b--c", True),
        ("a*b*c", "a--c", False),
        ("*.example", "x.example\nevil", False),
        ("[a-z]", "b", False),
    ],
)
def test_a_star_stands_for_any_characters(wanted: str, text: str, fits: bool) -> None:
    assert matches(wanted, text) is fits


def bom(expression: str | None, kind: str = "library") -> dict[str, Any]:
    component: dict[str, Any] = {"type": kind, "name": "tool"}
    if expression is not None:
        component["licenses"] = [{"expression": expression}]
    return {"components": [component]}


def spdx(concluded: str, declared: str) -> dict[str, Any]:
    package = {"name": "tool", "licenseConcluded": concluded, "licenseDeclared": declared}
    return {"spdxVersion": "SPDX-2.3", "packages": [package]}


ALLOWED = Licenses(allow=("MIT", "Apache-2.0"))
DENIED = Licenses(deny=("AGPL-3.0-only",))


@pytest.mark.parametrize(
    ("document", "rules", "fine"),
    [
        (bom("MIT"), ALLOWED, True),
        (bom("mit"), ALLOWED, True),
        (bom("MIT OR GPL-3.0-only"), ALLOWED, True),
        (bom("MIT AND GPL-3.0-only"), ALLOWED, False),
        (bom("(MIT OR ISC) AND Apache-2.0"), ALLOWED, True),
        (bom("Apache-2.0 WITH LLVM-exception"), ALLOWED, True),
        (bom("GPL-2.0-only WITH Classpath-exception-2.0"), ALLOWED, False),
        (bom("see the file"), ALLOWED, False),
        (bom(None), ALLOWED, False),
        (bom(None, kind="file"), ALLOWED, False),
        (bom(None), DENIED, True),
        (bom("AGPL-3.0"), DENIED, False),
        (bom("MIT OR AGPL-3.0-only"), DENIED, True),
        (spdx("NOASSERTION", "MIT"), ALLOWED, True),
        (spdx("ISC", "MIT"), ALLOWED, False),
        (spdx("NOASSERTION", "NONE"), ALLOWED, False),
        (spdx("NOASSERTION", "AGPL-3.0-only"), DENIED, False),
        ({"Data": spdx("MIT", "")}, ALLOWED, True),
        ({"components": "many"}, ALLOWED, False),
        ({}, DENIED, False),
    ],
)
def test_licences_of_packages(document: dict[str, Any], rules: Licenses, fine: bool) -> None:
    assert (not list(licensing.of_packages(document, rules, []))) is fine


def test_many_complaints_are_counted() -> None:
    many = {"components": [
        {"type": "library", "name": f"tool{number}"} for number in range(25)
    ]}  # fmt: skip
    complaints = list(licensing.of_packages(many, ALLOWED, []))
    assert len(complaints) == 11
    assert complaints[-1] == "and 15 more"


@pytest.mark.parametrize(
    "value",
    [
        {}, {"critical": 1}, {"critical": {"type": "x", "image": {}, "identity": {}}},
        {"critical": {"type": "cosign container image signature", "image": {}, "identity": {}}},
        {"critical": {"type": "cosign container image signature", "identity": {},
                      "image": {"docker-manifest-digest": "sha256:short"}}},
        {"critical": {"type": "cosign container image signature",
                      "image": {"docker-manifest-digest": "sha256:" + "ab" * 32}}},
    ],
)  # fmt: skip
def test_an_older_payload_that_is_none(value: Any) -> None:
    with pytest.raises(InputError):
        simple_signing.parse(json.dumps(value).encode())


def test_a_pattern_is_exact_or_a_whole_expression() -> None:
    assert str(pattern("a", "", at="x")) == "a"
    assert pattern("", "a+", at="x") == Pattern(text="a+", regexp=True)
    assert pattern("", "a+", at="x").matches("aa")
    assert not pattern("", "a+", at="x").matches("aab")
    assert not pattern("", "a.b", at="x").matches("a\nb")
    for exact, regexp in (("", ""), ("a", "a"), ("", "a*"), ("", "("), ("", "a" * 2000)):
        with pytest.raises(InputError):
            pattern(exact, regexp, at="x")
