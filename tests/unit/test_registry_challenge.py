"""Challenges as registries send them, and as nobody should."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelpack.oci.registry.challenge import Challenge, parse


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (
            'Bearer realm="https://auth.example/token",service="a b",scope="repository:x/y:pull"',
            [("bearer", {"realm": "https://auth.example/token", "service": "a b",
                         "scope": "repository:x/y:pull"})],
        ),
        (
            'Bearer realm="https://a/token",scope="repository:a/b:pull,push",error="invalid_token"',
            [("bearer", {"realm": "https://a/token", "scope": "repository:a/b:pull,push",
                         "error": "invalid_token"})],
        ),
        ('Basic realm="Registry Realm"', [("basic", {"realm": "Registry Realm"})]),
        ("Basic", [("basic", {})]),
        ("BASIC REALM=x", [("basic", {"realm": "x"})]),
        (
            'Basic realm="a, Bearer realm=\\"b\\"", Bearer realm = "c"',
            [("basic", {"realm": 'a, Bearer realm="b"'}), ("bearer", {"realm": "c"})],
        ),
        (
            'Negotiate, NTLM TlRMTVNTUAABAAAA==, Basic realm="x"',
            [("negotiate", {}), ("ntlm", {}), ("basic", {"realm": "x"})],
        ),
        (",, Basic realm=x ,, , service=y", [("basic", {"realm": "x", "service": "y"})]),
        ('Bearer realm="a",realm="b"', [("bearer", {"realm": "a"})]),
        ('Bearer realm="never closed', [("bearer", {})]),
        ('realm="without a scheme"', []),
        ("", []),
    ],
)  # fmt: skip
def test_challenges_are_told_apart(header: str, expected: list[tuple[str, dict[str, str]]]) -> None:
    assert parse(header) == tuple(
        Challenge(scheme=scheme, parameters=values) for scheme, values in expected
    )


@given(st.text(alphabet=st.characters(max_codepoint=255)))
def test_no_header_makes_it_raise(header: str) -> None:
    for challenge in parse(header):
        assert challenge.scheme == challenge.scheme.lower() != ""


@given(st.dictionaries(st.from_regex(r"[a-z]{1,8}", fullmatch=True), st.text(max_size=20)))
def test_what_was_quoted_is_read_back(values: dict[str, str]) -> None:
    quoted = ", ".join(
        f'{key}="{value.replace(chr(92), chr(92) * 2).replace(chr(34), chr(92) + chr(34))}"'
        for key, value in values.items()
        if "\n" not in value
    )
    expected = {key: value for key, value in values.items() if "\n" not in value}
    assert parse(f"Bearer {quoted}")[0].parameters == expected
