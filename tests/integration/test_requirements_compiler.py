"""pip-tools under an interpreter that is the target: here the one that runs the tests."""

import os
import platform
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from modelpack.errors import InputError, Unavailable
from modelpack.inputs.python import requirements, requirements_compiler
from modelpack.inputs.python.target import Target
from modelpack.lock import Interpreter
from modelpack.platform import Platform
from tests.wheel_files import build

pytestmark = pytest.mark.integration

VERSION = platform.python_version()
HERE = Platform("linux", {"aarch64": "arm64"}.get(platform.machine(), "amd64"))
OTHER = Platform("linux", "arm64" if HERE.architecture == "amd64" else "amd64")
TARGET = Target.of(Interpreter(version=VERSION, path="/usr/bin/python3", glibc="2.36"), HERE)


@pytest.fixture
def links(tmp_path: Path) -> Path:
    folder = tmp_path / "links"
    folder.mkdir()
    build(folder, "app", metadata="Requires-Dist: lib>=1\nRequires-Dist: never; os_name == 'nt'\n")
    build(folder, "lib", "1.0")
    return folder


def surroundings(links: Path, **more: str) -> Mapping[str, str]:
    kept = {key: os.environ[key] for key in ("PATH", "HOME", "TMPDIR") if key in os.environ}
    offline = {
        "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(links), "PIP_CONFIG_FILE": os.devnull,
        "PIP_TOOLS_CACHE_DIR": str(links.parent / "cache"), "PYTHONPATH": "/nowhere",
    }  # fmt: skip
    return {**kept, **offline, **more}


def compile_in(folder: Path, links: Path, text: str, **more: object) -> str:
    source, output = folder / "requirements.in", folder / "requirements.lock"
    source.write_text(text)
    requirements_compiler.compile(
        source, output, interpreter_argv=[sys.executable], environment=surroundings(links),
        indexes={"pypi": None}, **more,
    )  # fmt: skip
    return output.read_text()


def test_requirements_are_locked_with_hashes_and_without_hosts(tmp_path: Path, links: Path) -> None:
    text = compile_in(tmp_path, links, f"--find-links {links.as_uri()}\napp\n")
    found = requirements.parse(tmp_path / "requirements.lock", target=TARGET).requirements
    assert [(one.name, one.version, len(one.hashes)) for one in found] == [
        ("app", "1.0", 1), ("lib", "1.0", 1),
    ]  # fmt: skip
    assert str(tmp_path) not in text
    assert "Compiled by `modelpack lock` from `requirements.in`" in text.splitlines()[0]
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == [
        "requirements.in", "requirements.lock",
    ]  # fmt: skip


def test_a_relative_folder_is_fine(
    tmp_path: Path, links: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path)
    assert "app==1.0" in compile_in(Path("project"), links, "app\n")


def test_versions_stay_until_they_may_move(tmp_path: Path, links: Path) -> None:
    first = compile_in(tmp_path, links, "app\n")
    build(links, "lib", "2.0")
    build(links, "app", "2.0", metadata="Requires-Dist: lib>=1\n")
    assert compile_in(tmp_path, links, "app\n") == first
    named = compile_in(tmp_path, links, "app\n", upgrade_packages=["lib"])
    assert "lib==2.0" in named
    assert "app==1.0" in named
    assert "app==2.0" in compile_in(tmp_path, links, "app\n", upgrade=True)


def test_what_cannot_be_satisfied_leaves_the_old_lockfile(tmp_path: Path, links: Path) -> None:
    before = compile_in(tmp_path, links, "app\n")
    with pytest.raises(InputError, match=r"lib==9"):
        compile_in(tmp_path, links, "app\nlib==9\n")
    assert (tmp_path / "requirements.lock").read_text() == before


def test_source_distributions_are_not_built(tmp_path: Path, links: Path) -> None:
    (links / "source-1.0.tar.gz").write_bytes(b"")
    with pytest.raises(InputError, match="no version has a wheel"):
        compile_in(tmp_path, links, "source\n")


def test_an_index_that_cannot_be_reached_is_no_verdict(tmp_path: Path, links: Path) -> None:
    source = tmp_path / "requirements.in"
    source.write_text("app\n")
    with pytest.raises(Unavailable) as caught:
        requirements_compiler.compile(
            source, tmp_path / "requirements.lock", interpreter_argv=[sys.executable],
            environment=surroundings(links, PIP_NO_INDEX="0", PIP_FIND_LINKS="", PIP_RETRIES="0"),
            indexes={"own": "http://user:secret@127.0.0.1:9/simple"},
        )  # fmt: skip
    assert "secret" not in str(caught.value)
    assert not (tmp_path / "requirements.lock").exists()


def test_a_python_of_this_machine_is_taken_when_it_is_the_target(tmp_path: Path) -> None:
    if sys.platform != "linux":
        pytest.skip("the target is Linux")
    (tmp_path / "python3").symlink_to(sys.executable)
    found = requirements_compiler.find_interpreter(
        TARGET, base=None, environment={"PATH": str(tmp_path)}
    )
    assert found == (str(tmp_path / "python3"),)


@pytest.mark.parametrize(
    ("version", "platform_"),
    [("3.99.1", HERE), (VERSION, OTHER)],
)  # fmt: skip
def test_no_such_python_is_answered_with_a_command(version: str, platform_: Platform) -> None:
    target = Target.of(
        Interpreter(version=version, path="/usr/bin/python3", glibc="2.41"), platform_
    )
    with pytest.raises(Unavailable) as caught:
        requirements_compiler.find_interpreter(target, base=None, environment=os.environ)
    (finding,) = caught.value.findings
    assert f"--python-platform {platform_.machine}-manylinux_2_41" in finding.hint
    assert ".".join(version.split(".")[:2]) in finding.hint
