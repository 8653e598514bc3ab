"""A virtual environment that the pinned pip has filled, settled: what our own installer writes."""

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import modelpack.runtime
from modelpack.cli import environment
from modelpack.errors import Unavailable
from modelpack.inputs.python import bytecode_driver, pip_wheel, wheels
from modelpack.lock import Interpreter, Wheel
from modelpack.oci.tar import bytes_of
from tests import wheel_files
from tests.pythons import VERSIONS, find_python

pytestmark = pytest.mark.integration

PROGRAM = Path(modelpack.runtime.__file__).with_name("environment.py")
DRIVER = Path(bytecode_driver.__file__)


@pytest.fixture(scope="module", params=VERSIONS)
def python(request: pytest.FixtureRequest) -> str:
    found = find_python(request.param)
    if found is None:
        pytest.skip(f"Python {request.param} is not installed")
    return str(Path(found).resolve())


@pytest.fixture(scope="module")
def pip(unavailable: Callable[[str], None]) -> Path:
    try:
        return pip_wheel.fetch(environment.machine())
    except Unavailable as error:
        unavailable(str(error))
        raise


def many(folder: Path) -> list[tuple[Wheel, Path]]:
    """Write wheels that use every place of an environment."""
    data, shared = "Big_Name-2.0.data", {"space/__init__.py": b""}
    files = {
        "big/__init__.py": b"def main():\n    return 0\n",
        "big/__pycache__/x.cpython-313.pyc": b"left over",
        "big/broken.py": b"def\n",
        "big/tool.py": b"print(1)\n",
        "big/g\xc3\xbcn.txt".encode("latin-1").decode(): b"",
        f"{data}/data/share/big, really.txt": b"text\n",
        f"{data}/headers/big.h": b"#define BIG\n",
        f"{data}/scripts/plain": b"#!/bin/sh\n",
        f"{data}/scripts/started": b"#!pythonw\nprint(2)\n",
        **shared,
    }
    entry_points = (
        "[console_scripts]\nbig = big:main\nBig.2 = big.sub:Class.run [extra]\n"
        "[gui_scripts]\nwindow=big:main\n[other]\nkey = value\n"
    )
    big, path = wheel_files.build(
        folder, "Big_Name", "2.0", files=files, entry_points=entry_points,
        executable=frozenset({"big/tool.py"}),
    )  # fmt: skip
    return [
        (replace(big, name="big-name"), path),
        wheel_files.build(folder, "small", files={**shared, "space/small.py": b"VALUE = 2\n"}),
    ]  # fmt: skip


def fill(python: str, pip: Path, venv: Path, built: list[tuple[Wheel, Path]]) -> None:
    """Make an environment as the Dockerfile does."""
    lines = [f"{w.filename.split('-')[0]}=={w.version} --hash=sha256:{w.sha256}" for w, _ in built]
    requirements = venv.parent / "requirements.txt"
    requirements.write_text("\n".join(lines))
    ask(python, "-I", "-m", "venv", "--without-pip", str(venv))
    ask(
        f"{venv}/bin/python", "-I", f"{pip}/pip", "install", "--quiet", "--no-index",
        f"--find-links={built[0][1].parent}", "--require-hashes", "--only-binary=:all:",
        "--no-deps", "--no-cache-dir", "--no-compile", "--disable-pip-version-check",
        f"--requirement={requirements}",
    )  # fmt: skip


def ask(*words: str) -> None:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def settle(python: str, venv: Path, bytecode: str) -> "subprocess.CompletedProcess[str]":
    """Run the program beside the driver, as in the build's context."""
    for file in (PROGRAM, DRIVER):
        shutil.copyfile(file, venv.parent / file.name)
    return subprocess.run(
        [python, "-I", PROGRAM.name, str(venv), python, bytecode],
        cwd=venv.parent, capture_output=True, text=True, check=False,
    )  # fmt: skip


def version_of(python: str) -> str:
    code = "import sys; print('%d.%d.%d' % sys.version_info[:3])"
    return subprocess.run(
        [python, "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip()


def listed(venv: Path) -> Iterator[str]:
    """Yield a line for each file, link and folder, with its mode and content."""
    for path in sorted(venv.rglob("*")):
        mode = path.lstat().st_mode & 0o7777
        name = path.relative_to(venv)
        if path.is_symlink():
            yield f"{name} -> {path.readlink()}"
        elif path.is_dir():
            yield f"{name}/ {mode:o}"
        else:
            yield f"{name} {mode:o} {hashlib.sha256(path.read_bytes()).hexdigest()}"
        assert path.lstat().st_mtime == 0, path


def expected(python: str, venv: Path, built: list[tuple[Wheel, Path]], scratch: Path) -> list[str]:
    """Return the lines for what modelpack's own installer writes."""
    scratch.mkdir()
    tree = wheels.tree(
        [wheel for wheel, _ in built], {wheel.sha256: path for wheel, path in built},
        interpreter=Interpreter(version=version_of(python), path=python, glibc="2.41"),
        scratch=scratch, venv=str(venv).strip("/"),
    )  # fmt: skip
    lines = []
    for entry in tree.entries():
        path = Path("/", entry.path)
        if path == venv or not path.is_relative_to(venv):
            continue
        name = path.relative_to(venv)
        digest = hashlib.sha256(bytes_of(entry.content)).hexdigest()
        lines.append({
            "directory": f"{name}/ {entry.mode:o}",
            "symlink": f"{name} -> {entry.target}",
            "file": f"{name} {entry.mode:o} {digest}",
        }[entry.kind])  # fmt: skip
    return lines


def test_settled_environment_is_what_our_own_installer_writes(
    python: str, pip: Path, tmp_path: Path
) -> None:
    venv, links = tmp_path / "venv", tmp_path / "links"
    links.mkdir()
    built = many(links)
    fill(python, pip, venv, built)

    done = settle(python, venv, "none")

    assert done.returncode == 0, done.stderr
    assert sorted(listed(venv)) == sorted(expected(python, venv, built, tmp_path / "scratch"))
    ask(f"{venv}/bin/big")


def test_bytecode_is_unchecked_and_equal_twice(python: str, pip: Path, tmp_path: Path) -> None:
    found = []
    venv, links = tmp_path / "venv", tmp_path / "links"
    links.mkdir()
    built = many(links)
    for _ in range(2):
        fill(python, pip, venv, built)
        assert settle(python, venv, "unchecked-hash").returncode == 0
        found.append(list(listed(venv)))
        bytecode = {path.name.split(".")[0]: path.read_bytes() for path in venv.rglob("*.pyc")}
        shutil.rmtree(venv)

    assert found[0] == found[1]
    assert set(bytecode) == {"__init__", "tool", "small"}  # what does not compile has none
    assert {content[4:8] for content in bytecode.values()} == {b"\1\0\0\0"}


def test_two_wheels_that_write_one_path_are_refused(python: str, pip: Path, tmp_path: Path) -> None:
    venv, links = tmp_path / "venv", tmp_path / "links"
    links.mkdir()
    built = [
        wheel_files.build(links, "one", files={"same.py": b"1\n"}),
        wheel_files.build(links, "two", files={"same.py": b"2\n"}),
    ]
    fill(python, pip, venv, built)

    done = settle(python, venv, "none")

    assert done.returncode == 1
    assert "same.py` is not what" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_record_that_leads_out_is_refused(pip: Path, tmp_path: Path) -> None:
    python = sys.executable
    venv, links = tmp_path / "venv", tmp_path / "links"
    links.mkdir()
    fill(python, pip, venv, [wheel_files.build(links)])
    record = next(venv.rglob("RECORD"))
    record.write_text(f"../../../../../etc/passwd,sha256=x,1\n{record.read_text()}")

    done = settle(python, venv, "none")

    assert done.returncode == 1
    assert "leads out of the environment" in done.stderr
