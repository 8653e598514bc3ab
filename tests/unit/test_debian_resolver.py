"""The closure of packages: newest versions, first alternatives, some left out."""

import pytest

from modelpack.errors import Unavailable
from modelpack.inputs.debian.packages import Index, PackagesFile
from modelpack.inputs.debian.resolver import Closure, closure


def stanza(name: str, version: str = "1.0", **fields: str) -> str:
    more = "".join(f"{key.replace('_', '-')}: {value}\n" for key, value in fields.items())
    return (
        f"Package: {name}\nVersion: {version}\nArchitecture: amd64\n{more}"
        f"Filename: pool/main/x/{name}/{name}_1.deb\nSize: 10\nSHA256: {'0' * 64}\n"
    )


def index(*suites: list[str]) -> Index:
    names = ("trixie", "trixie-updates", "trixie-security")
    return Index(
        [
            PackagesFile(archive="debian", suite=name, text="\n".join(stanzas).encode())
            for name, stanzas in zip(names, suites, strict=False)
        ]
    )


def chosen(result: Closure) -> dict[str, str]:
    return {name: candidate.version for name, candidate in result.packages.items()}


def resolve(*stanzas: str, roots: tuple[str, ...] = ("a",), drop: str = "") -> Closure:
    return closure(index(list(stanzas)), roots, drop=frozenset(drop.split()))


def test_dependencies_come_along() -> None:
    result = resolve(
        stanza("a", Depends="b (>= 1), c"), stanza("b", Pre_Depends="d"), stanza("c"), stanza("d"),
        stanza("unwanted"),
    )  # fmt: skip
    assert list(result.packages) == ["a", "b", "c", "d"]
    assert result.findings == ()


def test_the_highest_version_of_all_suites_is_taken() -> None:
    found = index([stanza("a", "1.0-1")], [stanza("a", "1.0-1~u1")], [stanza("a", "1.0-1+deb13u1")])
    newest = found.newest("a").package
    assert (newest.version, newest.suite) == ("1.0-1+deb13u1", "trixie-security")


def test_of_equal_versions_the_first_suite_is_taken() -> None:
    assert index([stanza("a")], [stanza("a")]).newest("a").package.suite == "trixie"


def test_the_first_alternative_that_there_is_is_taken() -> None:
    result = resolve(stanza("a", Depends="missing | b | c"), stanza("b"), stanza("c"))
    assert list(result.packages) == ["a", "b"]


def test_an_alternative_that_is_there_already_is_enough() -> None:
    result = resolve(stanza("a", Depends="b | c"), stanza("b"), stanza("c"), roots=("c", "a"))
    assert list(result.packages) == ["a", "c"]


def test_a_virtual_package_is_provided_by_the_first_by_name() -> None:
    result = resolve(
        stanza("a", Depends="mta"),
        stanza("z", Provides="mta"),
        stanza("b", Provides="x, mta (= 2)"),
    )
    assert list(result.packages) == ["a", "b"]


def test_a_versioned_dependency_needs_a_versioned_provider() -> None:
    result = resolve(
        stanza("a", Depends="api (>= 2)"), stanza("b", Provides="api"),
        stanza("c", Provides="api (= 1)"), stanza("d", Provides="api (= 2.1)"),
    )  # fmt: skip
    assert list(result.packages) == ["a", "d"]


def test_what_is_left_out_is_told_with_who_wanted_it() -> None:
    result = resolve(stanza("a", Depends="debconf | x, dash, b"), stanza("b"), drop="debconf dash")
    assert list(result.packages) == ["a", "b"]
    assert result.left_out == {"dash": frozenset({"a"}), "debconf": frozenset({"a"})}
    assert result.findings == ()


def test_circles_end() -> None:
    result = resolve(stanza("a", Depends="b"), stanza("b", Depends="a"))
    assert list(result.packages) == ["a", "b"]


def test_what_nothing_satisfies_is_a_finding_naming_both() -> None:
    result = resolve(stanza("a", Depends="b (>= 2), gone"), stanza("b", "1.0"))
    assert [finding.message for finding in result.findings] == [
        "`a` needs `b (>= 2)`, which the index does not have",
        "`a` needs `gone`, which the index does not have",
    ]


def test_packages_that_exclude_each_other_are_a_finding() -> None:
    result = resolve(
        stanza("a", Breaks="b (<< 2)"), stanza("b", "1.0", Conflicts="c, b"), stanza("c"),
        roots=("a", "b", "c"),
    )  # fmt: skip
    assert [finding.message for finding in result.findings] == [
        "`a` does not go together with `b (<< 2)`",
        "`b` does not go together with `c`",
    ]


def test_the_source_package_is_recorded_without_its_version() -> None:
    found = index([stanza("a", Source="src (1.0)"), stanza("b")])
    assert found.newest("a").package.source == "src"
    assert found.newest("b").package.source == "b"


@pytest.mark.parametrize(
    ("old", "new"),
    [("pool/", "../pool/"), ("pool/main", "pool/../etc"), ("Size: 10", "Size: -1"),
     ("Size: 10", "Size: 0"), ("Size: 10", f"Size: {'9' * 30}"), ("0" * 64, "0" * 63),
     ("Version: 1.0", "Version: 1 0"), (".deb", ".deb\0")],
)  # fmt: skip
def test_a_package_that_is_none_is_unavailable(old: str, new: str) -> None:
    broken = index([stanza("a").replace(old, new)])
    with pytest.raises(Unavailable):
        broken.newest("a")


def test_names_are_known_without_parsing_anything() -> None:
    found = index(["nonsense\n\n" + stanza("a"), "Package: Not A Name\n"])
    assert "a" in found
    assert "b" not in found
    assert list(found.names()) == ["a"]
