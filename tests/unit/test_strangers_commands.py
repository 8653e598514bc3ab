"""What a project names as a command is run by `check --run` and `run` alone."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import projects
from tests.command_line import Done, run_here

# Modules that Python imports by itself where it is started among them.
_SELF_STARTERS = ("sitecustomize.py", "usercustomize.py", "conftest.py", "setup.py", "numpy.py")


class Desk:
    """A stranger's project whose every command leaves a trace, and somebody who looks at it."""

    def __init__(self, folder: Path, type_: Callable[..., Done]) -> None:
        self.project, self.trace = folder / "project", folder / "trace"
        self.command = str(folder / "bin" / "stranger")
        self.type = type_


@pytest.fixture
def desk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Desk:
    made = Desk(tmp_path, lambda *words: run_here(capsys, *words))
    program = Path(made.command)
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\necho \"$0 $*\" >> '{made.trace}'\n", "utf-8")
    program.chmod(0o755)
    leaves = f"open({str(made.trace)!r}, 'a').write(__file__)\n".encode()
    argv = json.dumps([made.command, "argument"])
    toml = projects.TOML.replace('command = ["python", "-m", "service"]', f"command = {argv}") + (
        '\n[interface]\ninput = "input.json"\noutput = "input.json"\n'
        f'[checks]\nfirst = {argv}\nsecond = ["stranger"]\nthird = ["./stranger"]\n'
        f'shell = ["sh", "-c", {json.dumps(made.command)}]\n'
    )
    files = {
        **projects.CODE, "input.json": b'{"type": "object"}', "stranger": program.read_bytes(),
        **dict.fromkeys(_SELF_STARTERS, leaves), "service/__main__.py": leaves,
    }  # fmt: skip
    monkeypatch.setenv("MODELPACK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("MODELPACK_CONFIG", str(tmp_path / "none.toml"))
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    projects.make_project(made.project, tmp_path / "cache", toml=toml, files=files)
    (made.project / "stranger").chmod(0o755)
    monkeypatch.chdir(made.project)
    return made


def test_looking_at_a_project_and_building_it_runs_nothing_of_it(
    desk: Desk, tmp_path: Path
) -> None:
    commands = (
        ("check", "."),
        ("lock", "."),
        ("lock", ".", "--check"),
        ("plan", "."),
        ("render", ".", f"--output={tmp_path / 'context'}"),
        ("build", ".", "--locked", "--offline", "--revision", "none"),
        ("inspect", "."),
        ("sbom", "."),
        ("card", "."),
        ("rebuild", "."),
    )
    for words in commands:
        done = desk.type(*words)
        assert done.status == 0, (words, done.err)
        assert not desk.trace.exists(), f"{words} ran {desk.trace.read_text('utf-8')}"


def test_the_trace_is_one(desk: Desk) -> None:
    subprocess.run(["stranger"], check=True, env={"PATH": str(Path(desk.command).parent)})
    assert desk.trace.read_text("utf-8").strip() == desk.command
