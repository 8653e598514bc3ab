"""`modelpack build --test`: an image gets its names when it has passed, and not before."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from modelpack.digest import Digest
from modelpack.oci.layout import Layout
from modelpack.trust import predicate_types, statement
from tests import projects
from tests.command_line import Done, run_here
from tests.fakes.fake_engine import FakeEngine, Script
from tests.functional_desk import GOLDEN, VERIFIED, in_process
from tests.scripted_model import Model, served
from tests.sigstore.certificates import new_key, private_pem

TEST = '[sign]\nrequire = ["test"]\n[test]\ngolden = ["golden/*.json"]\nduration = "60ms"\n'
Build = Callable[..., Done]


@pytest.fixture
def project(tmp_path: Path, fake: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a locked project that can be built here in a moment."""
    monkeypatch.setenv("MODELPACK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("MODELPACK_CONFIG", str(tmp_path / "none.toml"))
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    monkeypatch.setenv("DOCKER_HOST", fake.url)
    folder = projects.make_project(tmp_path / "project", tmp_path / "cache")
    (folder / "golden").mkdir()
    (folder / "golden" / "one.json").write_text(json.dumps(GOLDEN))
    return folder


@pytest.fixture
def build(project: Path, fake: FakeEngine, capsys: pytest.CaptureFixture[str]) -> Build:
    """Return a function that builds and tests the project with a service that answers as told."""

    def run(model: Model, *options: object, status: int = 0, toml: str = "") -> Done:
        with served(model) as port:
            whole = projects.TOML.replace("[runtime]\n", f"[runtime]\nport = {port}\n")
            (project / "modelpack.toml").write_text(whole + TEST + toml)
            fake.script = Script(
                serves=True, stderr=VERIFIED + b"\n", answers=in_process,
                memory=lambda: model.memory,
            )  # fmt: skip
            done = run_here(
                capsys, "build", project, "--locked", "--offline", "--test", *options
            )  # fmt: skip
        assert done.status == status, done.err
        return done

    return run


def said(folder: Path, digest: str) -> list[Any]:
    """Return the statements of tests that stand beside an image in the project's layout."""
    layout = Layout(folder / "dist" / "image")
    found = [
        layout.image(entry.digest).layers[0]
        for entry in layout.referrers(Digest(digest))
        if entry.annotations.get(statement.PREDICATE_TYPE) == predicate_types.TEST
    ]
    return [statement.parse(layout.read(one, limit=statement.SIZE_LIMIT)) for one in found]


def test_what_passes_gets_its_names_and_the_result_is_signed_with_it(
    build: Build, project: Path, fake: FakeEngine, tmp_path: Path
) -> None:
    key = tmp_path / "key.pem"
    key.write_bytes(private_pem(new_key()))
    done = build(Model(), "--sign", "--key", key, "--no-log", "--json")

    digest = done.document["digest"]
    assert done.document["test"]["outcome"] == "passed"
    assert done.document["test"]["digest"] == digest
    assert "test" in {one["kind"] for one in done.document["evidence"]}
    assert "test" in {one["kind"] for one in done.document["signed"]}
    kept = statement.parse((project / "dist" / "test.json").read_bytes())
    assert kept.is_about(digest)
    assert kept.predicate["result"] == "PASSED"
    entry = Layout(project / "dist" / "image").manifests()[0]
    assert entry.annotations["org.opencontainers.image.ref.name"] == "1.0.0"
    assert fake.images == {}  # without --load nothing of it stays in the engine
    assert fake.removed


def test_what_fails_has_no_name_and_says_what_is_wrong(
    build: Build, project: Path, tmp_path: Path
) -> None:
    archive = tmp_path / "image.tar"
    outputs = ("--output", f"oci:{project}/dist/image", "--output", f"oci-archive:{archive}")

    done = build(Model(factor=3.0), *outputs, "--load", status=1)

    assert "test: golden/one.json: `/doubled/0`: 3.0 instead of 2.0" in done.err
    assert not archive.exists()
    entry = Layout(project / "dist" / "image").manifests()[0]
    assert entry.annotations == {}
    (kept,) = said(project, entry.digest)
    assert kept.predicate["result"] == "FAILED"
    assert not (project / "dist" / "build.json").exists()


def test_what_could_not_be_found_out_is_no_yes(build: Build) -> None:
    limit = '[test.limits]\nmemory = "1 GiB"\n'

    done = build(Model(memory=-(5 << 20)), status=3, toml=limit)

    assert "test: limit memory: not measured" in done.err


def test_all_that_is_missing_is_said_before_anything_is_built(
    build: Build, project: Path, tmp_path: Path
) -> None:
    done = build(Model(), "--output", f"oci-archive:{tmp_path}/image.tar", status=2)
    assert "an image is tested out of a layout" in done.err

    (project / "golden" / "one.json").write_text("{}")
    done = build(Model(), status=2)
    assert "golden/one.json: request: not an object" in done.err
    assert not (project / "dist").exists()


def test_check_refuses_golden_files_that_could_not_be_read(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    toml = projects.TOML.replace("[runtime]\n", "[runtime]\nport = 8080\n")
    (project / "modelpack.toml").write_text(toml + '[test]\ngolden = ["golden/**"]\n')
    named = {"request": {"path": "/x", "tensors": "x.safetensors"}, "response": {}}
    (project / "golden" / "two.json").write_text(json.dumps(named))
    (project / "golden" / "x.safetensors").write_bytes(projects.safetensors({"x": b"ab"}))
    assert run_here(capsys, "check", project).status == 0

    (project / "golden" / "x.safetensors").write_bytes(b"x")
    done = run_here(capsys, "check", project)

    assert done.status == 2
    assert "golden/two.json: request.tensors: golden/x.safetensors: too short" in done.err
