"""Versions and relations as Debian's policy has them."""

import pytest

from modelpack.errors import InputError
from modelpack.inputs.debian.versions import Relation, clauses, key, upstream

ASCENDING = [
    "0~~", "0~~a", "0~", "0", "0.0", "1.0~rc1-1", "1.0-1~deb13u1", "1.0-1", "1.0-1+b1",
    "1.0-1+deb13u1", "1.0-10", "1.0a-1", "1.0+dfsg-1", "1.0.1-1", "1.9-1", "1.10-1", "2:0.1-1",
    "10:0",
]  # fmt: skip


def test_versions_sort_as_the_policy_says() -> None:
    assert sorted(ASCENDING, key=key) == ASCENDING
    assert len({key(version) for version in ASCENDING}) == len(ASCENDING)


@pytest.mark.parametrize(
    ("a", "b"), [("1.0", "1.0-0"), ("0:1.0", "1.0"), ("1.00", "1.0"), ("1.0-01", "1.0-1")]
)
def test_versions_may_be_equal_though_written_otherwise(a: str, b: str) -> None:
    assert key(a) == key(b)


@pytest.mark.parametrize(
    "text", ["", "1 0", "1_0", "a:1", ":1", "1:", "1/2", "é", "1" * 300, "1\n", "1.0-"]
)
def test_what_is_no_version_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="not a Debian version"):
        key(text)


@pytest.mark.parametrize(
    ("version", "expected"),
    [("3.13.5-2+deb13u1", "3.13.5"), ("1:1.3.dfsg+really1.3.1-1+b1", "1.3.dfsg+really1.3.1"),
     ("20250419", "20250419"), ("1.0-rc1-2", "1.0-rc1")],
)  # fmt: skip
def test_the_upstream_version_is_what_is_left(version: str, expected: str) -> None:
    assert upstream(version) == expected


def test_a_field_is_parsed_into_clauses_of_alternatives() -> None:
    text = "libc6 (>= 2.38), debconf (>=0.5)|debconf-2.0 , python3:any,\n libx [amd64]"
    assert list(clauses(text)) == [
        (Relation(name="libc6", operator=">=", version="2.38"),),
        (Relation(name="debconf", operator=">=", version="0.5"), Relation(name="debconf-2.0")),
        (Relation(name="python3"),),
        (Relation(name="libx"),),
    ]


@pytest.mark.parametrize(
    "text", ["A", "a (1)", "a (>= )", "a (>= 1 2)", "a | | b", "a b", "a (=> 1)"]
)
def test_what_is_no_relation_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        list(clauses(text))


@pytest.mark.parametrize(
    ("operator", "below", "equal", "above"),
    [("<<", True, False, False), ("<=", True, True, False), ("=", False, True, False),
     (">=", False, True, True), (">>", False, False, True), ("", True, True, True),
     ("<", True, True, False), (">", False, True, True)],
)  # fmt: skip
def test_a_relation_allows_what_its_sign_says(
    operator: str, below: bool, equal: bool, above: bool
) -> None:
    relation = Relation(name="x", operator=operator, version="2.0")
    assert [relation.allows(v) for v in ("1.0", "2.0-0", "2.0-1")] == [below, equal, above]
