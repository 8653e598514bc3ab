"""The order of Debian's versions is a total one, and it is dpkg's."""

import subprocess
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelpack.inputs.debian.versions import clauses, key, upstream

part = st.text("0123456789abzAZ.+~", min_size=1, max_size=8)
versions = st.builds(
    lambda epoch, upstream, revision: epoch + upstream + revision,
    st.sampled_from(["", "0:", "1:", "12:"]),
    # dpkg warns of versions that do not start with a digit.
    st.builds(lambda first, rest: first + rest, st.sampled_from("0123456789"), part),
    st.sampled_from(["", "-0", "-1", "-1~", "-1+b1"]) | part.map(lambda text: f"-{text}"),
)


@given(versions, versions, versions)
def test_the_order_is_total(a: str, b: str, c: str) -> None:
    one, two, three = key(a), key(b), key(c)
    assert (one < two) + (one == two) + (one > two) == 1
    if one <= two <= three:
        assert one <= three


@given(versions, versions)
def test_adding_a_tilde_makes_it_older_and_a_plus_newer(a: str, b: str) -> None:
    more = b.replace(":", "").replace("-", "")
    assert key(f"{a}~{more}") < key(a) < key(f"{a}+{more}")


@given(versions)
def test_the_upstream_version_keeps_its_order(version: str) -> None:
    assert key(upstream(version)) == (0, *key(version)[1:2], key("0")[2])


@given(st.text(max_size=60))
def test_no_field_makes_a_relation_fail_unexpectedly(text: str) -> None:
    from modelpack.errors import InputError

    try:
        for clause in clauses(text):
            for relation in clause:
                assert relation.allows("1.0") in (True, False)
    except InputError as error:
        assert str(error).isprintable()  # noqa: PT017


@pytest.mark.integration
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(versions, versions)
def test_dpkg_agrees(require_tool: Callable[[str], str], a: str, b: str) -> None:
    dpkg = require_tool("dpkg")
    for sign, expected in (("lt", key(a) < key(b)), ("eq", key(a) == key(b))):
        done = subprocess.run([dpkg, "--compare-versions", a, sign, b], check=False)
        assert (done.returncode == 0) == expected, (a, sign, b)
