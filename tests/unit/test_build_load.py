"""`modelpack build --load`: asked before anything is built, loaded from what was written."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests import projects
from tests.command_line import Done, run_here
from tests.fakes.fake_engine import FakeEngine


@pytest.fixture
def project(tmp_path: Path, fake: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a locked project that can be built here in a moment."""
    monkeypatch.setenv("MODELPACK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("MODELPACK_CONFIG", str(tmp_path / "none.toml"))
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    monkeypatch.setenv("DOCKER_HOST", fake.url)
    folder = tmp_path / "project"
    folder.mkdir()
    projects.make_project(folder, tmp_path / "cache")
    return folder


def build(
    capsys: pytest.CaptureFixture[str], project: Path, *options: object, status: int = 0
) -> Done:  # fmt: skip
    done = run_here(capsys, "build", project, "--locked", "--offline", "--load", *options)
    assert done.status == status, done.err
    return done


def test_the_image_is_loaded_under_its_own_name(
    project: Path, fake: FakeEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    done = build(capsys, project)

    record: Any = json.loads((project / "dist" / "build.json").read_bytes())
    config = record["images"][0]["config"]
    assert fake.names == {"tiny:1.0.0": config}
    assert record["loaded"]["id"] == config
    assert record["loaded"]["names"] == ["tiny:1.0.0"]
    assert record["loaded"]["sent"] > 0
    assert f"tiny:1.0.0: loaded into Docker 28.5.2 at {fake.url}" in done.err
    assert done.out.strip() == record["digest"]


def test_nothing_else_is_written_than_without_it(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build(capsys, project)

    assert {path.name for path in (project / "dist").iterdir()} == projects.DIST
    assert projects.damage(project / "dist" / "image") == []


@pytest.mark.parametrize("kind", ["docker-archive", "oci-archive", "oci"])
def test_it_is_loaded_from_wherever_it_was_written(
    kind: str, project: Path, fake: FakeEngine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document = build(capsys, project, "--output", f"{kind}:{tmp_path}/out", "--json").document

    assert list(fake.images) == [document["images"][0]["config"]]
    assert not (project / "dist" / "image").exists()


def test_the_names_that_are_given_are_those_it_gets(
    project: Path, fake: FakeEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    build(capsys, project)
    done = build(capsys, project, "--tag", "ghcr.io/acme/tiny:2", "--tag", "tiny:3")

    assert set(fake.names) == {"tiny:1.0.0", "ghcr.io/acme/tiny:2", "tiny:3"}
    assert len(set(fake.names.values())) == fake.loads == 1
    assert "ghcr.io/acme/tiny:2, tiny:3: already in Docker" in done.err


def test_another_image_in_the_layout_is_not_mistaken_for_it(
    project: Path, fake: FakeEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    build(capsys, project, "--tag", "tiny:old")
    (project / "service" / "__main__.py").write_text("print('new')\n")
    document = build(capsys, project, "--tag", "tiny:new", "--json").document

    assert projects.tags(project / "dist" / "image") == ["new", "old"]
    assert fake.names["tiny:new"] == document["images"][0]["config"] != fake.names["tiny:old"]


def test_without_an_engine_nothing_is_built(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none")

    done = build(capsys, project, status=3)

    assert "there is no socket" in done.err
    assert not (project / "dist").exists()


def test_an_engine_that_cannot_read_it_is_told_before_anything_is_built(
    project: Path, fake: FakeEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.version["Version"] = "20.10.24"
    toml = (project / "modelpack.toml").read_text() + '[image]\ncompression = "zstd"\n'
    (project / "modelpack.toml").write_text(toml)

    done = build(capsys, project, status=3)

    assert "zstd" in done.err
    assert not (project / "dist").exists()


def test_an_engine_of_another_platform_is_told_before_anything_is_built(
    project: Path, fake: FakeEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.version["Arch"] = "arm64"

    done = build(capsys, project, status=2)

    assert "the engine runs `linux/arm64`" in done.err
    assert 'add "linux/arm64" to image.platforms' in done.err
    assert not (project / "dist").exists()


def test_what_the_engine_cannot_keep_leaves_the_build_whole(
    project: Path, fake: FakeEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.failures["/images/load"] = (500, "write /var/lib/docker/tmp: no space left on device")

    done = build(capsys, project, status=3)

    assert "no space left on device" in done.err
    assert "docker system df" in done.err
    assert projects.damage(project / "dist" / "image") == []
    assert json.loads((project / "dist" / "build.json").read_bytes())["loaded"] is None
