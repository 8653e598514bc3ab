"""A project with its image, an engine that is none, and a service: `modelpack test` in a test."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from modelpack.functional import inside
from modelpack.oci.image import Image
from modelpack.oci.layout import Layout
from tests.command_line import Done, run_here
from tests.described_image import complete
from tests.fakes.fake_engine import FakeEngine, Script
from tests.images import put
from tests.scripted_model import DIGEST, Model, served

IMAGE = complete().image()
SHORT = ("--duration", "60ms")
TOML = """\
schema = 1
[model]
name = "digits"
version = "1.0.0"
[weights]
path = "weights"
[code]
command = ["python", "-m", "service"]
[runtime]
port = {port}
health = {{ live = "/healthz", ready = "/readyz", version = "/version", metrics = "/metrics" }}
[test]
golden = ["golden/*.json"]
"""
GOLDEN = {
    "request": {"path": "/double", "json": {"values": [1.0, 2.0, 3.0]}},
    "response": {"status": 200, "json": {"doubled": [2.0, 4.0, 6.0], "count": 3}},
    "tolerance": {"absolute": 0.001},
    "ranges": {"/doubled/*": [0, 10]},
    "batch": {"input": "/values", "output": "/doubled"},
}
VERIFIED = json.dumps(
    {"component": "modelpack.guard", "event": "guard.verified", "digest": DIGEST}
).encode()


def in_process(command: list[str], told: bytes) -> bytes:
    """Do what is done in the container here; process 1 here may be root's."""
    answer = json.loads(inside.do(told.partition(b"\n")[2], int(command[-1])))
    return json.dumps({**answer, "uid": 54321} if "uid" in answer else answer).encode()


def by_itself(command: list[str], told: bytes) -> bytes:
    """Run what is run in the container, with this interpreter."""
    done = subprocess.run([sys.executable, *command[1:]], input=told, capture_output=True,
                          check=True)  # fmt: skip
    return done.stdout


class Desk:
    """A project with its image, an engine, and a service that answers as `model` says."""

    def __init__(
        self, folder: Path, fake: FakeEngine, type_: Callable[..., Done], image: Image = IMAGE
    ) -> None:
        self.folder, self.fake, self._type = folder, fake, type_
        (folder / "golden").mkdir()
        self.golden(GOLDEN)
        with Layout(folder / "dist" / "image") as store:
            put(store, image, "1.0.0")

    def golden(self, value: Any, name: str = "one.json") -> None:
        (self.folder / "golden" / name).write_text(json.dumps(value))

    def test(
        self, model: Model, *options: object, status: int = 0, toml: str = "", **script: Any
    ) -> Done:
        with served(model) as port:
            (self.folder / "modelpack.toml").write_text(TOML.format(port=port) + toml)
            self.fake.script = Script(
                serves=True, stderr=VERIFIED + b"\n", answers=in_process,
                memory=lambda: model.memory, **script,
            )  # fmt: skip
            done = self._type("test", self.folder, *SHORT, *options)
        assert done.status == status, done.out + done.err
        return done

    def outcomes(self, model: Model, **options: Any) -> dict[str, Any]:
        done = self.test(model, "--json", **options)
        return {check["name"]: check for check in done.document["checks"]}


def set_up(
    folder: Path, fake: FakeEngine, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str], image: Image = IMAGE,
) -> Desk:  # fmt: skip
    """Return a desk in `folder` whose commands find the engine."""
    monkeypatch.setenv("DOCKER_HOST", fake.url)
    monkeypatch.setenv("MODELPACK_CACHE", str(folder / "cache"))
    project = folder / "project"
    project.mkdir()
    return Desk(project, fake, lambda *words: run_here(capsys, *words), image)
