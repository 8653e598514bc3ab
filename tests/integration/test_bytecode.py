"""Bytecode by a real interpreter through its loader: deterministic, cached, imported as it is."""

import importlib.util
import marshal
import os
import platform
import sys
from pathlib import Path

import pytest

from modelpack.inputs.python import bytecode
from modelpack.lock import Interpreter
from modelpack.oci.tar import Content, FileRange
from modelpack.oci.tree import Tree
from modelpack.platform import Platform

pytestmark = pytest.mark.integration

MINOR = f"{sys.version_info.major}.{sys.version_info.minor}"
INTERPRETER = Interpreter(
    version=platform.python_version(), path=f"/usr/bin/python{MINOR}", glibc="2.31"
)
HERE = Platform("linux", {"aarch64": "arm64"}.get(platform.machine(), "amd64"))
TAG = f"cpython-{MINOR.replace('.', '')}"
LOADERS = {
    "x86_64": ("/lib64/ld-linux-x86-64.so.2", "ld-linux-x86-64.so.2"),
    "aarch64": ("/lib/ld-linux-aarch64.so.1", "ld-linux-aarch64.so.1"),
}


@pytest.fixture
def base_root(tmp_path: Path) -> Path:
    """A base whose interpreter is the one that runs the tests."""
    if sys.platform != "linux" or platform.libc_ver()[0] != "glibc":
        pytest.skip("needs a glibc loader")
    loader, name = LOADERS[platform.machine()]
    root = tmp_path / "base"
    libraries = root / "usr/lib" / HERE.multiarch
    libraries.mkdir(parents=True)
    (libraries / name).symlink_to(os.path.realpath(loader))
    (root / "usr/bin").mkdir()
    (root / f"usr/bin/python{MINOR}").symlink_to(os.path.realpath(sys.executable))
    (root / f"usr/lib/python{MINOR}").symlink_to(os.path.dirname(os.__file__))
    (root / "lib").mkdir()
    (root / "lib" / HERE.multiarch).symlink_to(f"{sys.base_prefix}/lib")
    return root


def sources() -> Tree:
    tree = Tree()
    tree.file("app/good.py", b"NAMES = {'a', 'b', None}\ndef f(x={1, 2}):\n    return 'a' in x\n")
    tree.file("app/other.py", b"from app.good import f\nNAMES = {'a', 'b', None}\n")
    tree.file("app/bad.py", b"def (:\n")
    tree.file("app/null.py", b"x = 1\0")
    tree.file("app/deep.py", b"(" * 5000 + b")" * 5000)
    tree.file("app/latin.py", b"# coding: latin-1\nx = '\xe9'\n")
    tree.file("app/empty.py", b"")
    tree.file("app/bytes.py", b"b'" + bytes([92]) + b"d'\n")
    return tree


def compile_all(root: Path, scratch: Path, cache: Path | None = None) -> dict[str, bytes]:
    tree = sources()
    scratch.mkdir()
    found = bytecode.compile(
        tree,
        sources=[("app", tuple(path for path in tree if path.endswith(".py")))],
        base_root=root,
        interpreter=INTERPRETER,
        platform=HERE,
        scratch=scratch,
        cache=cache,
    )
    return {path: read(content) for path, content in found.items()}


def read(content: Content) -> bytes:
    if isinstance(content, FileRange):
        with open(content.path, "rb") as file:
            file.seek(content.offset)
            return file.read(content.size)
    return content


def test_bytecode_is_unchecked_and_carries_the_path_in_the_image(
    base_root: Path, tmp_path: Path
) -> None:
    found = compile_all(base_root, tmp_path / "scratch")
    data = found[f"app/__pycache__/good.{TAG}.pyc"]
    assert data[:4] == importlib.util.MAGIC_NUMBER
    assert data[4:8] == (1).to_bytes(4, "little")
    assert data[8:16] == importlib.util.source_hash(read(sources()["app/good.py"].content))
    assert marshal.loads(data[16:]).co_filename == "/app/good.py"


def test_files_that_do_not_compile_are_left_out(base_root: Path, tmp_path: Path) -> None:
    found = compile_all(base_root, tmp_path / "scratch")
    names = {path.split("/")[-1].split(".")[0] for path in found}
    assert names == {"good", "other", "latin", "empty", "bytes"}


def test_the_same_bytes_come_out_again(
    base_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = compile_all(base_root, tmp_path / "first")
    for key, value in (("TZ", "Asia/Tokyo"), ("PYTHONHASHSEED", "77"), ("PYTHONOPTIMIZE", "2")):
        monkeypatch.setenv(key, value)
    assert compile_all(base_root, tmp_path / "second") == first


def test_a_remembered_group_is_not_compiled_again(base_root: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    first = compile_all(base_root, tmp_path / "first", cache)
    (remembered,) = cache.iterdir()
    before = remembered.stat().st_mtime_ns
    assert compile_all(base_root, tmp_path / "second", cache) == first
    assert remembered.stat().st_mtime_ns == before


@pytest.mark.parametrize("damage", [b"", b"x", bytes(200)])
def test_a_damaged_memory_is_compiled_anew(base_root: Path, tmp_path: Path, damage: bytes) -> None:
    cache = tmp_path / "cache"
    first = compile_all(base_root, tmp_path / "first", cache)
    (remembered,) = cache.iterdir()
    whole = remembered.read_bytes()
    remembered.write_bytes(damage)
    assert compile_all(base_root, tmp_path / "second", cache) == first
    assert remembered.read_bytes() == whole
