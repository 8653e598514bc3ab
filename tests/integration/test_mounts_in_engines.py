"""Weights mounted into real engines: whatever is mounted, only those that were packed start."""

import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from modelpack.metadata import NAMEPLATE
from tests.docker_engine import Engine
from tests.integration.conftest import REVISION, ROOT, UNAVAILABLE, forget_weights
from tests.running_container import HARDENED, RANDOM_USER, container

pytestmark = [pytest.mark.integration, pytest.mark.slow]

PLACE = "/models/digits"
SAY_SERVED = ("python", "-c", "print('served')")
SERVED, REFUSED = (0, b"served\n"), (78, b"")
SHARD = "model-00001-of-00002.safetensors"


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """The digits example with mounted weights, built: its archive and its record."""

    archive: Path
    record: Any

    def image(self, role: str) -> str:
        """Return Docker's id of the image with a role."""
        return next(str(i["config"]) for i in self.record["images"] if i["role"] == role)


@pytest.fixture(scope="session")
def variant(
    tmp_path_factory: pytest.TempPathFactory, unavailable: Callable[[str], None]
) -> Callable[..., Variant]:
    """Return a function that builds the example mounting its weights: strict, another version."""

    def make(*, strict: bool = False, version: str = "1.0.0") -> Variant:
        folder = tmp_path_factory.mktemp("mounted")
        project = folder / "digits"
        shutil.copytree(ROOT / "examples" / "digits", project,
                        ignore=shutil.ignore_patterns("dist"))  # fmt: skip
        text = (project / "modelpack.toml").read_text("utf-8")
        text = text.replace("[weights]", '[weights]\nmode = "mount"').replace("1.0.0", version)
        if strict:
            text = text.replace("[runtime]", '[runtime]\nverify-mounts = "strict"')
        (project / "modelpack.toml").write_text(text, "utf-8")
        if version != "1.0.0":
            flip(project / "weights" / SHARD)
            forget_weights(project)
        for words in (["lock"], ["build", "--revision", REVISION, "--json",
                                 "--output", f"docker-archive:{folder}/image.tar"]):  # fmt: skip
            done = subprocess.run(
                [sys.executable, "-m", "modelpack", words[0], str(project), *words[1:]],
                capture_output=True, check=False, stdin=subprocess.DEVNULL,
            )  # fmt: skip
            if done.returncode == UNAVAILABLE:
                unavailable(f"building digits: {done.stderr.decode().splitlines()[-1]}")
            assert done.returncode == 0, done.stderr.decode()
        return Variant(archive=folder / "image.tar", record=json.loads(done.stdout))

    return make


@pytest.fixture(scope="module")
def digits(variant: Callable[..., Variant], engine: Engine) -> Variant:
    return loaded(variant(), engine)


@pytest.fixture(scope="module")
def strict(variant: Callable[..., Variant], engine: Engine) -> Variant:
    return loaded(variant(strict=True), engine)


@pytest.fixture(scope="module")
def newer(variant: Callable[..., Variant], engine: Engine) -> Variant:
    return loaded(variant(version="2.0.0"), engine)


def loaded(made: Variant, engine: Engine) -> Variant:
    """Load both images of an archive into the engine."""
    engine.ask("load", "--input", str(made.archive))
    for image in made.record["images"]:
        engine.ask("inspect", image["config"])
    return made


def flip(file: Path) -> None:
    """Change the last byte of a file."""
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)


def copied(engine: Engine, image: str, to: Path) -> Path:
    """Copy the weights folder out of a weights image, as people do for a volume."""
    name = engine.ask("create", image, "nothing")
    try:
        engine.ask("cp", f"{name}:{PLACE}", str(to))
    finally:
        engine.ask("rm", name)
    return to


@pytest.fixture
def folder(digits: Variant, engine: Engine, tmp_path: Path) -> Path:
    """The weights of the image that serves, as a folder that a test may damage."""
    return copied(engine, digits.image("weights"), tmp_path / "weights")


def start(engine: Engine, image: str, *options: str) -> tuple[tuple[int, bytes], list[Any]]:
    """Run the image hardened; return status and output, and the events of the guard."""
    done = engine.run("run", "--rm", *HARDENED, RANDOM_USER, *options, image, *SAY_SERVED)
    lines = done.stderr.decode().splitlines()
    return (done.returncode, done.stdout), [json.loads(line) for line in lines if line[0] == "{"]


def mount(folder: Path, options: str = "ro", at: str = "") -> str:
    return f"--volume={folder}:{PLACE}{at}:{options}"


def bad(lines: list[Any]) -> list[tuple[str, str]]:
    return [(e["file"], e["reason"]) for e in lines if e["event"] == "guard.bad"]


def test_the_right_weights_serve_and_the_service_reports_them(
    digits: Variant, engine: Engine, folder: Path
) -> None:
    often = ("--health-interval=1s", "--health-start-period=60s")
    with container(engine, digits.image("serve"), *HARDENED, RANDOM_USER, *often,
                   mount(folder)) as running:  # fmt: skip
        running.until("health", lambda: running.state()["Health"]["Status"] == "healthy")
        status, body = running.request("GET", "/version")
    version = json.loads(body)
    assert status == 200
    assert version["weights_digest"] == digits.record["weights"]
    assert version["weights_verified"] == "full"


def test_one_changed_byte_is_refused(digits: Variant, engine: Engine, folder: Path) -> None:
    flip(folder / SHARD)
    result, lines = start(engine, digits.image("serve"), mount(folder))
    assert (result, bad(lines)) == (REFUSED, [(f"{PLACE}/{SHARD}", "content")])


def test_a_missing_shard_is_refused(digits: Variant, engine: Engine, folder: Path) -> None:
    (folder / SHARD).unlink()
    result, lines = start(engine, digits.image("serve"), mount(folder))
    assert (result, bad(lines)) == (REFUSED, [(f"{PLACE}/{SHARD}", "missing")])


def test_another_version_is_refused_and_both_are_named(
    digits: Variant, newer: Variant, engine: Engine, tmp_path: Path
) -> None:
    other = copied(engine, newer.image("weights"), tmp_path / "weights")
    result, lines = start(engine, digits.image("serve"), mount(other))
    assert (result, bad(lines)) == (REFUSED, [(PLACE, "other-weights")])
    (message,) = [line["message"] for line in lines if line["event"] == "guard.bad"]
    assert "claims to be the weights of digits 2.0.0" in message
    assert "digits 1.0.0" in message

    (other / NAMEPLATE).unlink()
    result, lines = start(engine, digits.image("serve"), mount(other))
    assert (result, bad(lines)) == (REFUSED, [(f"{PLACE}/{SHARD}", "content")])


def test_no_mount_and_an_empty_one_are_refused_with_what_to_do(
    digits: Variant, engine: Engine, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    for options in ((), (mount(tmp_path / "empty"),)):
        result, lines = start(engine, digits.image("serve"), *options)
        assert (result, bad(lines)) == (REFUSED, [(PLACE, "not-mounted")])
        assert any("mount the folder `models/digits`" in line.get("hint", "") for line in lines)


@pytest.mark.parametrize("options", ["ro", "rw"])
def test_a_writable_mount_is_a_warning(
    digits: Variant, engine: Engine, folder: Path, options: str
) -> None:
    result, lines = start(engine, digits.image("serve"), mount(folder, options))
    assert result == SERVED
    assert ("guard.writable" in [line["event"] for line in lines]) is (options == "rw")


def test_a_writable_mount_is_refused_in_strict_mode(
    strict: Variant, engine: Engine, folder: Path
) -> None:
    image = strict.image("serve")
    result, lines = start(engine, image, mount(folder, "rw"))
    assert (result, bad(lines)) == (REFUSED, [(PLACE, "writable")])
    assert start(engine, image, mount(folder, "ro"))[0] == SERVED


def test_one_writable_file_in_a_mount_that_is_not_is_refused_in_strict_mode(
    strict: Variant, engine: Engine, folder: Path, tmp_path: Path
) -> None:
    shutil.copyfile(folder / SHARD, tmp_path / SHARD)
    file = mount(tmp_path / SHARD, "rw", at=f"/{SHARD}")
    result, lines = start(engine, strict.image("serve"), mount(folder), file)
    assert (result, bad(lines)) == (REFUSED, [(f"{PLACE}/{SHARD}", "writable")])


def test_the_weights_may_be_mounted_elsewhere(
    strict: Variant, engine: Engine, folder: Path
) -> None:
    options = (f"--volume={folder}:/mnt/models/digits:ro", "--env")
    moved = (*options, "MODELPACK_WEIGHTS=/mnt/models/digits")
    assert start(engine, strict.image("serve"), *moved)[0] == SERVED
    wrong = (*options, "MODELPACK_WEIGHTS=/mnt/models")
    assert start(engine, strict.image("serve"), *wrong)[0] == REFUSED


def test_a_code_edit_leaves_the_weights_image_as_it_is(digits: Variant, strict: Variant) -> None:
    assert digits.image("serve") != strict.image("serve")
    assert digits.image("weights") == strict.image("weights")


@pytest.fixture
def image_mount(
    variant: Callable[..., Variant], podman: list[str], tmp_path: Path
) -> Iterator[Callable[..., subprocess.CompletedProcess[bytes]]]:
    """Return a function that runs the strict image in podman, its weights image mounted."""
    made = variant(strict=True)
    # In one mount namespace: what podman mounts to load and to run lives as long as that.
    split = podman.index("--") + 1
    outside, words = podman[:split], podman[split:]
    limits = ["--ulimit=nofile=1000:1000", "--ulimit=nproc=1000:1000", "--no-healthcheck"]

    def run(mounts: str, *options: str) -> subprocess.CompletedProcess[bytes]:
        script = tmp_path / "script"
        load = [*words, "load", "--quiet", "--input", str(made.archive)]
        start = [*words, "run", "--rm", "--network=none", "--read-only", "--cap-drop=all",
                 "--user=54321:0", *limits, f"--mount={mounts}", *options,
                 "localhost/digits:1.0.0", *SAY_SERVED]  # fmt: skip
        script.write_text(
            "\n".join([f"{shlex.join(load)} > /dev/null || exit 99", f"exec {shlex.join(start)}"])
        )
        return subprocess.run([*outside, "sh", str(script)], capture_output=True, check=False)

    return run


def test_the_one_weights_image_is_taken_for_another_platform(
    variant: Callable[..., Variant], podman: list[str]
) -> None:
    archive = f"docker-archive:{variant().archive}:digits:1.0.0-weights"
    done = subprocess.run(
        [*podman, "pull", "--quiet", "--arch=arm64", archive], capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()


def test_the_weights_image_is_mounted_as_an_image_volume(
    image_mount: Callable[..., subprocess.CompletedProcess[bytes]],
) -> None:
    """Podman mounts an image as a whole, so the weights are below the place of the mount."""
    source = "type=image,source=localhost/digits:1.0.0-weights"
    elsewhere = "--env=MODELPACK_WEIGHTS=/mnt/models/digits"

    served = image_mount(f"{source},destination=/mnt", elsewhere)
    writable = image_mount(f"{source},destination=/mnt,rw=true", elsewhere)
    whole = image_mount(f"{source},destination={PLACE}")

    assert (served.returncode, served.stdout) == SERVED, served.stderr.decode()
    assert (writable.returncode, writable.stdout) == REFUSED
    assert b'"reason": "writable"' in writable.stderr
    assert (whole.returncode, whole.stdout) == REFUSED
    assert b"subPath: models/digits" in whole.stderr
