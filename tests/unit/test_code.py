"""Code is read once, whole, and nothing that is not code gets in."""

import os
import socket

import pytest

from modelpack.errors import Refused
from modelpack.inputs.code import read
from modelpack.spec import Code


def code(*include: str, exclude: tuple[str, ...] = ()) -> Code:
    return Code(command=("python", "x.py"), include=include, exclude=exclude)


def write(root, path, content=b"x = 1\n", mode=0o644):
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    file.chmod(mode)
    return file


def paths(read_code):
    return [file.path for file in read_code.files]


def rules(caught):
    return sorted(finding.rule for finding in caught.value.findings)


def test_included_files_come_in_byte_order_with_their_executable_bit(tmp_path):
    for path in ("service/z.py", "service/a/b.py", "service/B.py"):
        write(tmp_path, path)
    write(tmp_path, "service/run", mode=0o755)
    write(tmp_path, "other.py")
    found = read(tmp_path, code("service/**"))
    assert paths(found) == ["service/B.py", "service/a/b.py", "service/run", "service/z.py"]
    assert [file.executable for file in found.files] == [False, False, True, False]


def test_by_default_everything_but_tool_folders_outputs_and_weights_is_code(tmp_path):
    for path in (
        "app.py", "pkg/mod.py", "data/table.csv", ".git/config", "pkg/__pycache__/mod.pyc",
        "dist/image/index.json", "env/pyvenv.cfg", "env/bin/python", "modelpack.toml",
        "modelpack.lock", "weights/model.safetensors", ".mypy_cache/x",
    ):  # fmt: skip
        write(tmp_path, path)
    leave_out = frozenset({(tmp_path / "weights").resolve()})
    assert paths(read(tmp_path, code(), leave_out=leave_out)) == [
        "app.py", "data/table.csv", "pkg/mod.py",
    ]  # fmt: skip


def test_exclude_wins_over_include(tmp_path):
    write(tmp_path, "service/a.py")
    write(tmp_path, "service/test_a.py")
    assert paths(read(tmp_path, code("service/**", exclude=("test_*",)))) == ["service/a.py"]


def test_a_link_inside_the_folder_stays_a_link(tmp_path):
    write(tmp_path, "a.py")
    (tmp_path / "b.py").symlink_to("a.py")
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "c.py").symlink_to("../a.py")
    found = read(tmp_path, code("**"))
    assert {file.path: file.link for file in found.files} == {
        "a.py": "", "b.py": "a.py", "deep/c.py": "../a.py",
    }  # fmt: skip
    assert found.tree("/app")["app/b.py"].target == "a.py"


@pytest.mark.parametrize("target", ["/etc/passwd", "../outside.py", "x/../../outside.py"])
def test_a_link_that_leaves_the_folder_is_refused(tmp_path, target):
    root = tmp_path / "project"
    write(tmp_path, "outside.py")
    write(root, "a.py")
    (root / "x").mkdir()
    (root / "b.py").symlink_to(target)
    with pytest.raises(Refused) as caught:
        read(root, code("**"))
    assert rules(caught) == ["code.symlink"]
    assert "b.py" in caught.value.findings[0].at


def test_a_dangling_link_is_refused(tmp_path):
    write(tmp_path, "a.py")
    (tmp_path / "b.py").symlink_to("nowhere.py")
    with pytest.raises(Refused, match="leads nowhere"):
        read(tmp_path, code("**"))


def test_special_files_are_refused_and_never_opened(tmp_path):
    write(tmp_path, "a.py")
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        with pytest.raises(Refused) as caught:
            read(tmp_path, code("**"))
    assert rules(caught) == ["code.special-file", "code.special-file"]


def test_all_problems_are_told_at_once(tmp_path):
    write(tmp_path, "a.py")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "b.py").symlink_to("/etc/passwd")
    with pytest.raises(Refused) as caught:
        read(tmp_path, code("**"))
    assert rules(caught) == ["code.special-file", "code.symlink"]


def test_no_file_at_all_is_refused_with_a_hint(tmp_path):
    with pytest.raises(Refused) as caught:
        read(tmp_path, code("service/**"))
    assert rules(caught) == ["code.empty"]
    assert "include" in caught.value.findings[0].hint


def test_folders_that_lie_too_deep_are_refused(tmp_path):
    write(tmp_path, "/".join(["d"] * 70) + "/a.py")
    with pytest.raises(Refused) as caught:
        read(tmp_path, code("**"))
    assert "code.depth" in rules(caught)


def test_the_digest_covers_path_content_and_mode(tmp_path):
    write(tmp_path, "a.py")
    first = read(tmp_path, code("**")).digest
    (tmp_path / "a.py").chmod(0o755)
    second = read(tmp_path, code("**")).digest
    write(tmp_path, "a.py", b"x = 2\n", mode=0o755)
    third = read(tmp_path, code("**")).digest
    assert len({first, second, third}) == 3


def test_the_tree_has_plain_modes_whatever_the_umask_was(tmp_path):
    write(tmp_path, "a.py", mode=0o600)
    write(tmp_path, "run", mode=0o777)
    tree = read(tmp_path, code("**")).tree("/app")
    assert (tree["app/a.py"].mode, tree["app/run"].mode, tree["app"].mode) == (0o644, 0o755, 0o755)
