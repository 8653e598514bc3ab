"""`modelpack render` as people type it: the Dockerfile on stdout, the context beside."""

from dataclasses import replace
from pathlib import Path

import pytest

from modelpack import project
from modelpack.lock import encoding as lock_encoding
from modelpack.platform import Platform
from tests import dockerfile_reading, projects, values
from tests.command_line import Done, run_here

ARM64 = Platform("linux", "arm64")
TOML = projects.TOML + '\n[image]\nlabels = { "com.acme.name" = \'a $b "c" \ue000\' }\n'


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MODELPACK_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def tiny(tmp_path: Path, cache: Path) -> Path:
    return projects.make_project(tmp_path / "project", cache, toml=TOML, wheels=False)


@pytest.fixture
def both(tmp_path: Path, cache: Path) -> Path:
    """A project for two platforms, the second one on a base from a registry."""
    toml = projects.TOML + '\n[image]\nplatforms = ["linux/amd64", "linux/arm64"]\n'
    folder = projects.make_project(tmp_path / "both", cache, toml=toml, wheels=False)
    this = project.read(folder)
    assert this.lock is not None
    first, second = this.lock.platforms
    second = replace(second, platform=ARM64, base=values.image_base())
    lock = replace(this.lock, platforms=(first, second))
    project.write(this.lock_path, lock_encoding.dump(lock))
    return folder


def render(capsys: pytest.CaptureFixture[str], folder: Path, *options: object) -> Done:
    return run_here(
        capsys, "render", folder, "--offline", "--revision", "none", *options
    )  # fmt: skip


def test_stdout_is_the_dockerfile_byte_for_byte(
    tiny: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done = render(capsys, tiny)
    written = (tiny / "dist" / "docker" / "Dockerfile").read_text("utf-8")

    assert (done.status, done.out) == (0, written)
    assert str(tiny / "dist" / "docker") in done.err
    image = dockerfile_reading.stages(dockerfile_reading.read(done.out))[-1]
    labels = dockerfile_reading.configuration(image)["Labels"]
    assert labels["com.acme.name"] == 'a $b "c" \ue000'


def test_quiet_says_nothing_but_the_dockerfile(
    tiny: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert render(capsys, tiny, "-q").err == ""


def test_json_describes_the_context(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = tiny / "elsewhere"
    document = render(capsys, tiny, "--json", "--output", place).document
    (one,) = document.pop("dockerfiles")

    assert document == {
        "schema": 1, "context": str(place),
        "files": sum(path.is_file() for path in place.rglob("*")),
        "size": sum(path.stat().st_size for path in place.rglob("*") if path.is_file()),
        "findings": [],
    }  # fmt: skip
    assert one["text"] == (place / "Dockerfile").read_text("utf-8")
    assert (one["platform"], one["file"]) == ("linux/amd64", "Dockerfile")
    assert one["plan"] in one["text"]


def test_every_platform_has_a_dockerfile_in_one_context(
    both: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done = render(capsys, both)
    place = both / "dist" / "docker"
    texts = [(place / name).read_text("utf-8") for name in ("Dockerfile", "Dockerfile.arm64")]

    assert done.out == "\n".join(texts)
    assert (place / "amd64" / "base.tar").is_file()
    assert not (place / "arm64").exists()
    assert "@sha256:" in texts[1]
    assert "\nFROM scratch AS base\n" in texts[0]


def test_one_platform_can_be_chosen(both: Path, capsys: pytest.CaptureFixture[str]) -> None:
    done = render(capsys, both, "--platform", "linux/arm64")
    place = both / "dist" / "docker"

    assert done.out == (place / "Dockerfile").read_text("utf-8")
    assert "@sha256:" in done.out
    assert (place / "home" / "app").stat().st_mode & 0o777 == 0o775
    assert sorted(path.name for path in place.iterdir()) == [
        ".dockerignore", "Dockerfile", "code", "home", "meta", "weights",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--platform", "linux/arm64"), "error: --platform: `linux/arm64` is not locked"),
        (("--platform", "plan9"), "error: --platform: unknown platform `plan9`"),
        (("--output", "."), "did not write"),
    ],
)
def test_wrong_options_are_answered_with_a_hint(
    tiny: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, ...],
    message: str,
) -> None:
    monkeypatch.chdir(tiny)
    done = render(capsys, Path(), *options)

    assert (done.status, done.out) == (2, "")
    assert message in done.err
    assert "  hint: " in done.err


def test_without_a_lock_the_hint_is_to_make_one(
    tiny: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tiny / "modelpack.lock").unlink()
    done = render(capsys, tiny)

    assert done.status == 2
    assert "hint: modelpack lock" in done.err
    assert not (tiny / "dist").exists()


def test_everything_that_is_wrong_is_said_at_once(
    tiny: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tiny / "weights" / "config.json").write_bytes(b"{}")
    (tiny / "service" / "more.py").write_text('KEY = "AKIA' + 'Z7QK3TNXW4PLM2RS"\n')
    done = render(capsys, tiny)

    assert done.status == 1
    assert len(done.messages) == 2, done.err
    assert not (tiny / "dist").exists()
