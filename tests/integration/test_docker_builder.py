"""Builds with real BuildKits: the one in Docker 20.10, by two clients, and one by itself."""

import gzip
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from modelpack.digest import Digest
from modelpack.errors import Unavailable
from modelpack.lock import BaseLayer, ImageBase
from modelpack.project import read as read_project
from tests import base_images, projects, real_base, wheel_files
from tests.buildkit import NAME, BuildKit, BuildKitError, desk, name_builder, running_buildkit
from tests.docker_engine import PATIENCE, Engine
from tests.fakes.registry_server import running_registry
from tests.network_namespace import loopback_of

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cache of all builds here: the base is made once, but for those that must be all new."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def project(
    cache: Path, tmp_path_factory: pytest.TempPathFactory, unavailable: Callable[[str], None]
) -> Path:
    return made(tmp_path_factory.mktemp("project"), real_base.corners, cache, unavailable)


@pytest.fixture
def fresh(cache: Path, tmp_path: Path, unavailable: Callable[[str], None]) -> Path:
    """A project whose dependencies no build has made yet, on a base that is made."""

    def write(folder: Path) -> real_base.Wheels:
        return [wheel_files.build(folder, files={"demo/name.txt": str(tmp_path).encode()})]

    return made(tmp_path, write, cache, unavailable)


def made(
    root: Path,
    write: Callable[[Path], real_base.Wheels],
    cache: Path,
    unavailable: Callable[[str], None],
) -> Path:
    (root / "wheels").mkdir()
    (root / "cache").symlink_to(cache)
    try:
        return real_base.make_project(root / "project", cache, write(root / "wheels"))
    except Unavailable as error:
        unavailable(str(error))
        raise


def build(project: Path, *options: str, variables: Mapping[str, str]) -> Any:
    """Build with dependencies made anew, and return the record."""
    cache = project.parent / "cache"
    for record in (cache / "steps").glob("*.json"):
        if b"modelpack dependencies" in record.read_bytes():
            record.unlink()
    done = projects.build(project, cache, "--json", *options, variables=variables)
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def expected(project: Path) -> str:
    """Return the digest of the image that the embedded builder makes."""
    return str(build(project, variables={})["digest"])


def with_docker(folder: Path, engine: Engine, **programs: str) -> dict[str, str]:
    return {**desk(folder, **programs), "DOCKER_HOST": f"unix://{engine.socket}"}


def test_docker_20_10_alone_makes_the_same_image_every_time(
    project: Path, engine: Engine, expected: str, tmp_path: Path
) -> None:
    variables = with_docker(tmp_path / "home", engine, docker=engine.docker)
    for _ in range(2):
        record = build(project, "--no-cache", "--builder", "docker", variables=variables)
        assert record["digest"] == expected
        assert record["builder"] == "docker"
    assert engine.ask("images", "--quiet") == ""


def test_docker_20_10_with_buildx_makes_the_same_image(
    project: Path, engine: Engine, go_tool: Callable[[str], str], expected: str, tmp_path: Path
) -> None:
    variables = with_docker(tmp_path / "home", engine, docker_buildx=go_tool("buildx"))
    assert build(project, "--builder", "docker", variables=variables)["digest"] == expected


def test_a_buildkit_by_itself_makes_the_same_image_every_time(
    project: Path, buildkit: Mapping[str, str], expected: str
) -> None:
    for _ in range(2):
        record = build(project, "--no-cache", "--builder", NAME, variables=buildkit)
        assert record["digest"] == expected


def test_compiled_wheels_are_the_same_image(
    buildkit: Mapping[str, str], cache: Path, tmp_path: Path, unavailable: Callable[[str], None]
) -> None:
    example = made(tmp_path, lambda _: real_base.compiled(), cache, unavailable)
    digests = [
        build(example, "--builder", builder, variables=buildkit)["digest"]
        for builder in ("embedded", NAME)
    ]
    assert digests[0] == digests[1]


@pytest.fixture(scope="module")
def layers(project: Path, expected: str) -> tuple[bytes, ...]:
    """The layers of an image whose Python is Debian's, one of them with a whiteout."""
    assert expected  # the base is made
    base = json.loads((project / "dist" / "build.json").read_text("utf-8"))["layers"][0]["digest"]
    blob = project.parent / "cache" / "blobs" / "sha256" / base.removeprefix("sha256:")
    above = base_images.layer(
        base_images.file("usr/lib/python3.13/.wh.antigravity.py", b""),
        base_images.file("home/app/evil/sitecustomize.py", b"raise SystemExit(9)\n"),
    )
    return gzip.decompress(blob.read_bytes()), above


RUN = {
    "Env": ["PYTHONPATH=/home/app/evil", "PIP_NO_DEPS=0", base_images.PATH],
    "User": "1000",
    "WorkingDir": "/home/app",
}
"what a base says that must not matter"


def quickly(data: bytes) -> bytes:
    return gzip.compress(data, 1, mtime=0)


def on_image(
    project: Path, folder: Path, image: base_images.MadeImage, bytecode: str, name: str
) -> Path:
    """Return a copy of `project` on a base image, whose layers are at hand."""
    copy = folder / "project"
    shutil.copytree(project, copy, ignore=shutil.ignore_patterns("dist"))
    (folder / "cache").symlink_to(project.parent / "cache")
    platform = read_project(copy).lock.platforms[0]
    manifest, config = json.loads(image.manifest), json.loads(image.config)
    layers = tuple(
        BaseLayer(digest=Digest(one["digest"]), diff_id=Digest(diff_id), size=one["size"],
                  media_type=one["mediaType"])
        for one, diff_id in zip(manifest["layers"], config["rootfs"]["diff_ids"], strict=True)
    )  # fmt: skip
    base = ImageBase(
        reference=name, digest=image.digest, config=Digest(manifest["config"]["digest"]),
        layers=layers,
    )  # fmt: skip
    downloads = projects.machine_of(folder / "cache").downloads
    for data in image.layers:
        projects.keep(downloads, data)
    projects.rewrite_lock(copy, replace(platform, base=base, bytecode=bytecode))
    return copy


def test_a_base_from_a_registry_is_given_to_a_buildkit_and_obeyed_in_nothing(
    project: Path, layers: tuple[bytes, ...], buildkit: Mapping[str, str], tmp_path: Path
) -> None:
    image = base_images.image(*layers, compress=quickly, run={**RUN, "OnBuild": ["RUN exit 7"]})
    copy = on_image(project, tmp_path, image, "none", "registry.example/python:3.13")
    digests = [
        build(copy, "--builder", builder, variables=buildkit)["digest"]
        for builder in ("embedded", NAME)
    ]
    assert digests[0] == digests[1]


def test_bytecode_of_a_base_from_a_registry_is_made_where_it_runs(
    project: Path, layers: tuple[bytes, ...], buildkit: Mapping[str, str], tmp_path: Path
) -> None:
    image = base_images.image(*layers, compress=quickly, run=RUN)
    copy = on_image(project, tmp_path, image, "unchecked-hash", "registry.example/python:3.13")
    record = build(copy, "--builder", NAME, variables=buildkit)
    debian = json.loads((project / "dist" / "build.json").read_text("utf-8"))
    digests = [
        {layer["step"]: layer["digest"] for layer in one["layers"]} for one in (record, debian)
    ]
    assert digests[0]["dependencies"] == digests[1]["dependencies"]


def test_a_base_from_a_registry_is_pulled_by_an_engine(
    project: Path, layers: tuple[bytes, ...], engine: Engine, tmp_path: Path
) -> None:
    variables = with_docker(tmp_path / "home", engine, docker=engine.docker)
    image = base_images.image(*layers, compress=quickly, run=RUN)
    with ExitStack() as stack:
        with loopback_of(f"dockerd --host=unix://{engine.socket}"):
            registry = stack.enter_context(running_registry())
        name = image.put(registry, "acme/python", "3.13")
        copy = on_image(project, tmp_path, image, "none", name)
        record = build(copy, "--builder", "docker", variables=variables)
        assert registry.paths()
    assert record["digest"] == build(copy, variables={})["digest"]
    assert engine.ask("images", "--quiet") == ""


@pytest.fixture
def refused(tmp_path: Path, cache: Path, unavailable: Callable[[str], None]) -> Path:
    """A project with a wheel that pip does not install."""

    def write(folder: Path) -> real_base.Wheels:
        return [wheel_files.build(folder, metadata="Requires-Python: >=3.99\n")]

    return made(tmp_path, write, cache, unavailable)


def failed(project: Path, *options: str, variables: Mapping[str, str]) -> tuple[int, Any]:
    """Build, which must fail, and return the status and the one finding; nothing is left."""
    done = projects.build(
        project, project.parent / "cache", "--json", *options, variables=variables, check=False
    )
    (finding,) = json.loads(done.stdout)["error"]["findings"]
    assert "Traceback" not in done.stderr
    assert left_by(project) == []
    return done.returncode, finding


def left_by(project: Path) -> list[Path]:
    """Return what a failed build has left in its cache and output."""
    return [
        *(project.parent / "cache" / "scratch").glob("*"),
        *(project / "dist").glob("image*"),
    ]


def test_a_wheel_that_pip_refuses_is_named_with_its_last_words(
    refused: Path, buildkit: Mapping[str, str]
) -> None:
    status, finding = failed(refused, "--builder", NAME, variables=buildkit)
    first, *lines = finding["message"].splitlines()
    assert status == 1
    assert first == f"builder `{NAME}` could not install the wheels"
    assert any("requires a different Python" in line for line in lines)
    assert finding["hint"]


def test_a_wheel_that_pip_refuses_is_named_by_docker_20_10(
    refused: Path, engine: Engine, tmp_path: Path
) -> None:
    variables = with_docker(tmp_path / "home", engine, docker=engine.docker)
    status, finding = failed(refused, "--builder", "docker", variables=variables)
    assert status == 1
    assert "requires a different Python" in finding["message"]


@pytest.fixture
def own(
    go_tool: Callable[[str], str],
    require_tool: Callable[[str], str],
    unavailable: Callable[[str], None],
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> Iterator[tuple[BuildKit, Mapping[str, str]]]:
    """Run a BuildKit that a test may spoil, and return who knows it as `far`."""
    if os.geteuid() != 0:
        unavailable("BuildKit in namespaces of its own needs root")
    programs = go_tool("buildkitd"), require_tool("runc")
    try:
        with running_buildkit(*programs, room=getattr(request, "param", "")) as running:
            variables = desk(tmp_path / "home", docker_buildx=go_tool("buildx"))
            name_builder(variables, running.address)
            yield running, variables
    except BuildKitError as error:
        unavailable(str(error))


@pytest.mark.parametrize("own", ["30m"], indirect=True)
def test_a_builder_without_room_says_so(
    fresh: Path, own: tuple[BuildKit, Mapping[str, str]]
) -> None:
    status, finding = failed(fresh, "--builder", NAME, variables=own[1])
    assert status == 3
    assert "no space is left where builder `far` builds" in finding["message"]
    assert "docker buildx prune" in finding["hint"]


@pytest.fixture
def started(
    fresh: Path, own: tuple[BuildKit, Mapping[str, str]]
) -> Iterator["subprocess.Popen[str]"]:
    """Start a build, wait until pip runs, and end it in the end."""
    argv = projects.command(fresh, "--builder", NAME)
    argv.remove("-q")
    process = subprocess.Popen(
        argv, env=projects.environment(fresh.parent / "cache", **own[1]),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("installing"):
                break
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 143)]
)
def test_a_build_that_is_told_to_end_leaves_nothing(
    number: signal.Signals,
    status: int,
    fresh: Path,
    own: tuple[BuildKit, Mapping[str, str]],
    started: "subprocess.Popen[str]",
) -> None:
    started.send_signal(number)
    started.communicate(timeout=PATIENCE)
    assert started.returncode == status
    assert left_by(fresh) == []
    assert processes_of(own[1]["HOME"]) == []


def processes_of(home: str) -> list[str]:
    """Return the commands of all processes whose HOME this is."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if f"HOME={home}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                found.append((folder / "cmdline").read_bytes().decode(errors="replace"))
        except OSError:
            continue
    return found


def test_a_builder_that_dies_is_named(
    fresh: Path, own: tuple[BuildKit, Mapping[str, str]], started: "subprocess.Popen[str]"
) -> None:
    own[0].kill()
    _, said = started.communicate(timeout=PATIENCE)
    assert started.returncode == 3, said
    assert "builder `far` ended while it was building" in said
    assert "Traceback" not in said
    assert left_by(fresh) == []


def test_a_builder_that_is_gone_does_not_answer(
    fresh: Path, own: tuple[BuildKit, Mapping[str, str]]
) -> None:
    own[0].kill()
    status, finding = failed(fresh, "--builder", NAME, variables=own[1])
    assert status == 3
    assert finding["message"].splitlines()[0] == "builder `far` does not answer"


def test_an_unknown_builder_is_told_with_those_that_are_known(
    fresh: Path, buildkit: Mapping[str, str]
) -> None:
    status, finding = failed(fresh, "--builder", "fra", variables=buildkit)
    assert status == 2
    assert f"there is no builder `fra`; known: `embedded`, `docker`, `{NAME}`" in finding["message"]


def test_an_engine_that_does_not_run_is_named(
    fresh: Path, go_tool: Callable[[str], str], engine: Engine, tmp_path: Path
) -> None:
    nobody = f"unix://{tmp_path}/nobody.sock"
    for programs in ({"docker": engine.docker}, {"docker_buildx": go_tool("buildx")}):
        variables = {**desk(tmp_path / "-".join(programs), **programs), "DOCKER_HOST": nobody}
        status, finding = failed(fresh, "--builder", "docker", variables=variables)
        assert status == 3
        assert "the Docker engine does not answer" in finding["message"]
        assert nobody in finding["message"]
