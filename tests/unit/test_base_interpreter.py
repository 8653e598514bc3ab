"""A base is unpacked into a private folder, and nothing of it leads out."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from modelpack.errors import InputError, Unavailable
from modelpack.inputs.python import bytecode
from modelpack.inputs.python.base_interpreter import BaseInterpreter
from modelpack.oci.tar import Entry, FileRange, symlink
from modelpack.oci.tree import Tree
from modelpack.platform import Platform
from tests.values import AMD64
from tests.wheel_files import PYTHON_3_13

LOADER = "usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"


def base() -> Tree:
    tree = Tree()
    tree.file("usr/bin/python3.13", b"\x7fELF", mode=0o4755)
    tree.file(LOADER, b"\x7fELF", mode=0o755)
    return tree


def extract(tree: Tree, root: Path, platform: Platform = AMD64) -> BaseInterpreter:
    return BaseInterpreter.extract(tree, root, interpreter=PYTHON_3_13, platform=platform)


def test_files_folders_and_links_are_written(tmp_path: Path) -> None:
    big = tmp_path / "big"
    big.write_bytes(b"0123456789")
    tree = base()
    tree.file("etc/part", FileRange(path=str(big), offset=2, size=5))
    tree.add(Entry(path="etc/same", kind="hardlink", target="etc/part"))
    tree.link("lib", "usr/lib")
    root = extract(tree, tmp_path / "root").root
    assert (root / "etc/part").read_bytes() == b"23456"
    assert (root / "etc/same").samefile(root / "etc/part")
    assert (root / "lib/x86_64-linux-gnu").is_dir()


def test_everything_is_private_and_no_bit_of_setuid_stays(tmp_path: Path) -> None:
    root = extract(base(), tmp_path / "root").root
    assert (root / "usr/bin/python3.13").stat().st_mode & 0o7777 == 0o700
    assert root.stat().st_mode & 0o7777 == 0o700


def test_it_is_started_through_its_own_loader(tmp_path: Path) -> None:
    found = extract(base(), tmp_path / "root")
    libraries = f"{found.root}/usr/lib/x86_64-linux-gnu:{found.root}/lib/x86_64-linux-gnu"
    assert found.argv == (
        str(found.root / LOADER), "--library-path", libraries,
        str(found.root / "usr/bin/python3.13"),
    )  # fmt: skip


def test_a_base_without_a_loader_is_refused(tmp_path: Path) -> None:
    tree = base()
    tree.discard(LOADER)
    with pytest.raises(InputError, match="with its loader"):
        _ = extract(tree, tmp_path / "root").argv


@pytest.mark.parametrize(
    ("path", "target", "written"),
    [
        ("a/b/link", "/usr/lib/x", "../../usr/lib/x"),
        ("link", "/", "."),
        ("a/link", "../usr", "../usr"),
        ("a/link", "./x//y", "x/y"),
        ("a/link", "../../etc/passwd", None),
        ("link", "..", None),
        ("a/link", "/../etc", None),
        ("a/link", "x/../../..", None),
        ("link", "loop/../../etc", None),
    ],
)
def test_links_stay_inside(tmp_path: Path, path: str, target: str, written: str | None) -> None:
    tree = base()
    tree.add(symlink(path, target))
    root = extract(tree, tmp_path / "root").root
    assert (os.readlink(root / path) if (root / path).is_symlink() else None) == written


def test_a_folder_that_is_there_is_not_written_to(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="cannot unpack"):
        extract(base(), tmp_path)


def test_another_machine_cannot_run_it(tmp_path: Path) -> None:
    other = Platform("linux", "arm64" if os.uname().machine == "x86_64" else "amd64")
    found = replace(extract(base(), tmp_path / "root"), platform=other)
    assert not found.runnable
    with pytest.raises(Unavailable, match="cannot run the base's interpreter"):
        bytecode.compile(
            Tree(), sources=[], base_root=found.root, interpreter=PYTHON_3_13, platform=other,
            scratch=tmp_path,
        )  # fmt: skip
