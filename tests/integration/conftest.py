"""What the tests with real programs share: packed examples, an engine, pinned Go programs."""

import fcntl
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from modelpack import plan
from modelpack.inputs import weights as weight_inputs
from tests import projects
from tests.command_line import run_here
from tests.docker_engine import Engine, EngineError, programs, running_engine
from tests.source_desk import OWN_LAYER, Desk

ROOT = Path(__file__).parents[2]
REVISION = "0123456789abcdef0123456789abcdef01234567"
UNAVAILABLE = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """An example, built: the project's copy, its outputs, and what the build said of it."""

    project: Path
    layout: Path
    docker_archive: Path
    oci_archive: Path
    record: Any
    "what `--json` prints"

    @property
    def config(self) -> str:
        """Return the digest of the image configuration: Docker's image id."""
        return str(self.record["images"][0]["config"])

    @property
    def tag(self) -> str:
        """Return the name under which archives carry it."""
        return f"{self.project.name}:1.0.0"


@pytest.fixture(scope="session")
def packed(
    tmp_path_factory: pytest.TempPathFactory, unavailable: Callable[[str], None]
) -> Callable[[str], Packed]:
    """Return a function that builds an example once, into every kind of output."""
    made: dict[str, Packed] = {}

    def pack(example: str) -> Packed:
        if example not in made:
            made[example] = _pack(example, tmp_path_factory.mktemp(example), unavailable)
        return made[example]

    return pack


def _pack(example: str, folder: Path, unavailable: Callable[[str], None]) -> Packed:
    source = ROOT / "examples" / example
    if (source / "get_weights.py").is_file():
        with open(source / "get_weights.py", "rb") as script:
            fcntl.flock(script, fcntl.LOCK_EX)  # several processes run tests
            done = _python(str(source / "get_weights.py"))
        if done.returncode:
            unavailable(f"the weights of {example}: {_last_line(done)}")
    project = folder / example
    shutil.copytree(source, project, ignore=shutil.ignore_patterns("dist", ".download"))
    layout, docker, oci = (folder / name for name in ("layout", "docker.tar", "oci.tar"))
    outputs = (f"oci:{layout}", f"docker-archive:{docker}", f"oci-archive:{oci}")
    options = [word for output in outputs for word in ("--output", output)]
    # --no-cache: downloads may be at hand, but every layer is made by the code under test.
    done = _python(
        "-m", "modelpack", "build", str(project), "--no-cache", "--revision", REVISION,
        "--json", *options,
    )  # fmt: skip
    if done.returncode == UNAVAILABLE:
        unavailable(f"building {example}: {_last_line(done)}")
    assert done.returncode == 0, done.stderr.decode()
    return Packed(
        project=project, layout=layout, docker_archive=docker, oci_archive=oci,
        record=json.loads(done.stdout),
    )  # fmt: skip


def forget_weights(project: Path) -> None:
    """Let the evaluation of an example say nothing of the weights that it is about."""
    report = project / "evaluation.json"
    said = json.loads(report.read_bytes())
    report.write_text(json.dumps({key: said[key] for key in said if key != "weights"}), "utf-8")


def _python(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, capture_output=True, check=False,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip


def _last_line(done: subprocess.CompletedProcess[bytes]) -> str:
    return (done.stderr.decode().strip().splitlines() or ["failed"])[-1]


@pytest.fixture(scope="module")
def engine(unavailable: Callable[[str], None]) -> Iterator[Engine]:
    """Run a Docker engine that has no image yet."""
    dockerd, docker = programs()
    if dockerd is None or docker is None:
        unavailable("`dockerd` and `docker` are not installed")
        raise AssertionError
    if os.geteuid() != 0:
        unavailable("a Docker engine needs root")
    with ExitStack() as stack:
        try:
            running = stack.enter_context(running_engine(dockerd, docker))
        except EngineError as error:
            unavailable(str(error))
            raise
        yield running


@pytest.fixture
def podman(
    require_tool: Callable[[str], str], unavailable: Callable[[str], None]
) -> Iterator[list[str]]:
    """Return the words of a podman with storage of its own, whose path it wants to be short.

    In a mount namespace, so that what it mounts there does not stay.
    """
    program = require_tool("podman")
    if os.geteuid() != 0:
        unavailable("a mount namespace needs root")
    with tempfile.TemporaryDirectory(prefix="podman-") as name:
        storage = [f"--root={name}/root", f"--runroot={name}/run", "--storage-driver=overlay"]
        yield ["unshare", "--mount", "--", program, *storage]


@pytest.fixture
def source_desk(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Desk:
    """A project with a lock but for its weights."""
    cache, folder = tmp_path / "cache", tmp_path / "project"
    projects.make_project(folder, cache)
    shutil.rmtree(folder / "weights")
    monkeypatch.setenv("MODELPACK_CACHE", str(cache))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    for name in ("HF_TOKEN", "HF_TOKEN_PATH", "HF_ENDPOINT", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
    # A layer of its own for a file that is large here.
    monkeypatch.setattr(weight_inputs, "OWN_LAYER", OWN_LAYER)
    monkeypatch.setattr(plan, "OWN_LAYER", OWN_LAYER)
    return Desk(folder, cache, lambda *arguments, **more: run_here(capsys, *arguments, **more))
