"""Trees: parents come by themselves, conflicts and unsafe paths are refused."""

import pytest

from modelpack.errors import InputError
from modelpack.oci.tar import Entry, directory
from modelpack.oci.tree import Tree, check_path


def test_parents_are_added_before_their_children() -> None:
    tree = Tree()
    tree.file("b/c/d", b"x")
    tree.file("a", b"y")
    assert [entry.path for entry in tree.entries()] == ["a", "b", "b/c", "b/c/d"]


def test_the_order_is_that_of_bytes_and_hard_links_come_last() -> None:
    tree = Tree()
    tree.add(Entry(path="a", kind="hardlink", target="z"))
    for path in ("z", "ä", "Z", "b-", "b/c"):
        tree.file(path, b"")
    assert [entry.path for entry in tree.entries()] == ["Z", "b", "b-", "b/c", "z", "ä", "a"]


def test_the_same_entry_twice_is_no_conflict() -> None:
    tree = Tree()
    tree.file("a/b", b"x", owner="one")
    tree.file("a/b", b"x", owner="two")
    tree.add(directory("a", mode=0o700))
    assert tree["a"].mode == 0o755
    assert tree.owner("a/b") == "one"


def test_two_owners_of_one_path_are_both_named() -> None:
    tree = Tree()
    tree.file("a", b"x", owner="first.deb")
    with pytest.raises(InputError, match=r"first\.deb") as caught:
        tree.file("a", b"y", owner="second.whl")
    assert caught.value.findings[0].at == "second.whl"


def test_a_file_is_no_parent() -> None:
    tree = Tree()
    tree.file("a", b"x")
    with pytest.raises(InputError, match="not a directory"):
        tree.file("a/b", b"y")


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/a",
        "a/",
        "a//b",
        ".",
        "a/./b",
        "..",
        "a/../b",
        "a\nb",
        "a\0b",
        "a\x7f",
        "\x1b[2J",
        "x" * 256,
        "/".join(["x" * 200] * 30),
    ],
)
def test_an_unsafe_path_is_refused_without_printing_it_raw(path: str) -> None:
    with pytest.raises(InputError) as caught:
        check_path(path)
    assert str(caught.value).isprintable()


def test_a_tree_moves_below_a_folder() -> None:
    tree = Tree()
    tree.file("a/b", b"x", owner="o")
    moved = tree.under("opt/app")
    assert list(moved) == ["opt", "opt/app", "opt/app/a", "opt/app/a/b"]
    assert moved.owner("opt/app/a/b") == "o"
