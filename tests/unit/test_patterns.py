"""Globs as people know them from gitignore, and a walk that nothing can trap."""

import os
import socket
from pathlib import Path

import pytest

from modelpack.errors import InputError
from modelpack.inputs.patterns import check_patterns, matches, select
from modelpack.runtime import guard

CASES = [
    ("a.json", "*.json", True),
    ("deep/down/a.json", "*.json", True),
    ("a.json", "*.txt", False),
    ("a.json", "/*.json", True),
    ("deep/a.json", "/*.json", False),
    ("deep/a.json", "deep/*.json", True),
    ("deep/down/a.json", "deep/*.json", False),
    ("deep/down/a.json", "deep/**/*.json", True),
    ("deep/a.json", "deep/**/*.json", True),
    ("deep/a/b/c.json", "deep/**", True),
    ("deep", "deep/**", False),
    ("deep/a/b", "deep/", True),
    ("a/b/c", "**/c", True),
    ("c", "**/c", True),
    ("a/b/c", "**/b/**", True),
    ("a/b/c", "a/?/c", True),
    ("a/b/c", "a/*", False),
    ("a/b/c", "a?b/c", False),
    ("shard-1", "shard-[0-9]", True),
    ("shard-x", "shard-[!0-9]", True),
    ("A.json", "a.json", False),
    (".git", "*", True),
    ("a", "**", True),
    ("x/a", "x/**/**/a", True),
    ("a" * 50, "*a" * 25 + "b", False),
    ("[a]", "[[]a]", True),
    ("a\nb", "a*b", True),
]


@pytest.mark.parametrize(("path", "pattern", "expected"), CASES)
def test_a_pattern_means_what_it_says(path: str, pattern: str, expected: bool) -> None:
    assert matches(path, pattern) is expected


@pytest.mark.parametrize(("path", "pattern", "expected"), CASES)
def test_the_guard_means_the_same(path: str, pattern: str, expected: bool) -> None:
    assert guard.matches(path, pattern) is expected


def test_a_pattern_of_many_stars_takes_no_exponential_time() -> None:
    assert not matches("/".join(["a"] * 60) + "/b", "/".join(["**", "a"] * 30) + "/c")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for path in ("b.json", "a.safetensors", "sub/c.json", "sub/deep/d.txt", ".git/e.json"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(b"x")
    return tmp_path


def test_files_are_selected_in_byte_order(folder: Path) -> None:
    found = select(folder, ["*.json", "*.safetensors"], ["sub/c.json"], [".git"])
    assert found.paths == ("a.safetensors", "b.json")
    assert not found.findings


def test_skipped_folders_are_not_entered(folder: Path) -> None:
    assert select(folder, ["*"], (), [".git", "deep"]).paths == (
        "a.safetensors",
        "b.json",
        "sub/c.json",
    )


def test_links_to_files_and_folders_are_followed_for_weights(tmp_path: Path) -> None:
    (tmp_path / "blobs").mkdir()
    (tmp_path / "blobs" / "x").write_bytes(b"x")
    snapshot = tmp_path / "snapshot"
    snapshot.mkdir()
    (snapshot / "a.json").symlink_to("../blobs/x")
    (snapshot / "all").symlink_to("../blobs")
    assert select(snapshot, ["*"]).paths == ("a.json", "all/x")
    assert select(snapshot, ["*"], follow=False).paths == ("a.json", "all")


def test_a_circle_of_links_is_a_finding_and_no_hang(folder: Path) -> None:
    (folder / "sub" / "up").symlink_to("..")
    found = select(folder, ["*.safetensors"])
    assert found.paths == ("a.safetensors",)
    assert [finding.message for finding in found.findings] == ["a symbolic link makes a circle"]


def test_a_dangling_link_is_a_finding_only_when_it_is_wanted(folder: Path) -> None:
    (folder / "gone.json").symlink_to("nowhere")
    (folder / "gone.other").symlink_to("nowhere")
    assert [f.at for f in select(folder, ["*.json"]).findings] == ["gone.json"]


def test_pipes_and_sockets_are_findings_and_are_never_opened(folder: Path) -> None:
    os.mkfifo(folder / "pipe.json")
    with socket.socket(socket.AF_UNIX) as server:
        here = os.getcwd()
        os.chdir(folder)
        try:
            server.bind("socket.json")
        finally:
            os.chdir(here)
        (folder / "device.json").symlink_to("/dev/zero")
        found = select(folder, ["*.json"], (), [".git"])
    assert {f.at: f.message for f in found.findings} == {
        "pipe.json": "not a regular file but a named pipe",
        "socket.json": "not a regular file but a socket",
        "device.json": "not a regular file but a device",
    }


@pytest.mark.parametrize("name", ["a\nb.json", "a\x1b[2J.json", "a\u202eb.json", "a\udcff.json"])
def test_names_that_could_fool_a_terminal_are_findings(folder: Path, name: str) -> None:
    (folder / name).write_bytes(b"")
    (finding,) = select(folder, ["a*.json"]).findings
    assert finding.at.isprintable()
    assert "control characters" in finding.message


def test_names_that_differ_in_case_only_are_a_finding(folder: Path) -> None:
    (folder / "B.json").write_bytes(b"")
    (finding,) = select(folder, ["*.json"], (), [".git"]).findings
    assert finding.rule == "files.case"


def test_deep_folders_are_a_finding_and_no_recursion_error(tmp_path: Path) -> None:
    path = tmp_path
    for _ in range(80):
        path /= "d"
        path.mkdir()
    (finding,) = select(tmp_path, ["*"]).findings
    assert "nested deeper" in finding.message


def test_an_unreadable_file_or_folder_is_a_finding(folder: Path) -> None:
    (folder / "b.json").chmod(0)
    (folder / "sub").chmod(0)
    try:
        if os.access(folder / "b.json", os.R_OK):
            pytest.skip("this user reads everything")
        assert {f.at for f in select(folder, ["*.json"], (), [".git"]).findings} == {
            "b.json",
            "sub",
        }
    finally:
        (folder / "sub").chmod(0o755)


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        select(tmp_path / "none", ["*"])
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(InputError, match="not a folder"):
        select(tmp_path / "file", ["*"])


def test_patterns_that_mean_nothing_are_findings() -> None:
    wrong = ["", "../x", "a/./b", "a\nb", "x" * 2000]
    assert len(check_patterns(wrong, at="weights.include")) == len(wrong)
    assert not check_patterns(["*", "a/**/b", ".*"], at="weights.include")
