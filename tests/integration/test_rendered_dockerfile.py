"""A rendered Dockerfile built by plain `docker build`: the same files as `modelpack build`."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from modelpack import digest, project
from modelpack.digest import Digest
from modelpack.errors import Unavailable
from modelpack.inputs.downloads import Downloads
from modelpack.lock import BaseLayer, ImageBase
from modelpack.oci.layer import TAR_GZIP
from tests import projects, real_base
from tests.buildkit import NAME
from tests.docker_engine import Engine
from tests.integration.conftest import REVISION, ROOT, Packed
from tests.integration.test_runs_in_docker import (
    ENGINE_OWN,
    GUARD_REFUSED,
    PROBED_OFTEN,
    SAY_SERVED,
    close,
    until_ready,
)
from tests.running_container import HARDENED, RANDOM_USER, Container, container

pytestmark = [pytest.mark.integration, pytest.mark.slow]

BUILDERS = {"classic": False, "buildkit": True}
HOSTILE = ROOT / "tests" / "golden" / "dockerfiles" / "hostile" / "modelpack.toml"
PORT = 8099
REGISTRY = "127.0.0.1:5000"
STORAGE = "/tmp/registry"
BASE = """\
FROM scratch
ADD base.tar /
RUN ["/usr/bin/python3.13", "-c", "import os; os.rmdir('/home/app')"]
ENV LANG=C.UTF-8 PATH=/usr/bin:/bin DROPPED=1
HEALTHCHECK CMD ["/usr/bin/python3.13", "-c", "raise SystemExit(1)"]
USER 1234:1234
ENTRYPOINT ["/usr/bin/python3.13"]
"""
# Servers live in the engine's own network, whose loopback interface nobody has started.
LOOPBACK = """
import fcntl, socket, struct
flags = struct.pack("16sh14x", b"lo", 0x1)
fcntl.ioctl(socket.socket(socket.AF_INET, socket.SOCK_DGRAM), 0x8914, flags)
"""
INDEX = f"""
import functools, http.server
handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory="/index")
server = http.server.ThreadingHTTPServer(("127.0.0.1", {PORT}), handler)
print("ready", flush=True)
server.serve_forever()
"""


def modelpack(*arguments: object, cache: Path | None = None) -> str:
    """Run the command and return what it prints."""
    chosen = {} if cache is None else {"MODELPACK_CACHE": str(cache)}
    done = subprocess.run(
        [sys.executable, "-m", "modelpack", *map(str, arguments)], capture_output=True,
        text=True, check=False, env={**os.environ, **chosen},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def files_of(engine: Engine, image: str, scratch: Path) -> dict[str, tuple[object, ...]]:
    """Return everything in an image but what the engine puts there."""
    export = scratch / "export.tar"
    with container(engine, image, command="create") as created:
        engine.ask("export", f"--output={export}", created.name)
    return files_in(export)


def files_in(export: Path) -> dict[str, tuple[object, ...]]:
    """Return kind, mode, owner and content of each file of a root file system."""
    found: dict[str, tuple[object, ...]] = {}
    with tarfile.open(export) as archive:
        for member in archive:
            if member.name in ENGINE_OWN or member.name.split("/")[0] in ENGINE_OWN:
                continue
            file = archive.extractfile(member) if member.isreg() else None
            content = hashlib.sha256(file.read()).hexdigest() if file else ""
            found[member.name] = (
                member.type, member.mode & 0o7777, member.uid, member.gid, member.linkname, content,
            )  # fmt: skip
    return found


def differences(
    one: Mapping[str, tuple[object, ...]], other: Mapping[str, tuple[object, ...]]
) -> dict[str, object]:
    """Return what is not equal, by path."""
    paths = sorted({*one, *other})
    return {p: (one.get(p), other.get(p)) for p in paths if one.get(p) != other.get(p)}


def configuration(engine: Engine, image: str) -> Any:
    return json.loads(engine.ask("inspect", "--format={{json .Config}}", image))


def planned(folder: Path, *, cache: Path | None = None) -> Any:
    """Return the configuration that the project's plan has."""
    text = modelpack("plan", folder, "--json", "--revision", REVISION, cache=cache)
    return json.loads(text)["plans"][0]["config"]


def ask_build(engine: Engine, context: Path, tag: str, *options: str, buildkit: bool) -> str:
    """Build, which must succeed, and return the tag."""
    done = engine.build(context, tag, *options, buildkit=buildkit)
    assert done.returncode == 0, done.stderr.decode() + done.stdout.decode()
    return tag


@dataclass(frozen=True)
class Project:
    """A project, built by `modelpack build`, and the context that builds it elsewhere."""

    folder: Path
    context: Path
    files: Mapping[str, tuple[object, ...]]
    config: Any


def pack(
    name: str,
    folder: Path,
    engine: Engine,
    scratch: Path,
    *options: str,
    cache: Path | None = None,
) -> Project:
    """Build a locked project, load it as `NAME:ours`, and render it."""
    archive, tag = scratch / "image.tar", f"{name}:ours"
    revision = ("--revision", REVISION)
    modelpack("build", folder, "--locked", "-q", *revision, "--tag", tag,
              "--output", f"docker-archive:{archive}", cache=cache)  # fmt: skip
    engine.ask("load", "--input", str(archive))
    modelpack("render", folder, "-q", *revision, *options, "--output", scratch / "context",
              cache=cache)  # fmt: skip
    return Project(
        folder=folder, context=scratch / "context", files=files_of(engine, tag, scratch),
        config=planned(folder, cache=cache),
    )  # fmt: skip


@pytest.fixture(scope="module")
def digits(
    packed: Callable[[str], Packed], engine: Engine, tmp_path_factory: pytest.TempPathFactory
) -> Project:
    """The example, with its wheels in the context: nothing needs a network."""
    scratch = tmp_path_factory.mktemp("digits")
    folder = scratch / "digits"  # a copy: what is built there stands in its dist/
    shutil.copytree(packed("digits").project, folder, ignore=shutil.ignore_patterns("dist"))
    return pack("digits", folder, engine, scratch, "--wheels")


@pytest.fixture(scope="module", params=BUILDERS)
def image(request: pytest.FixtureRequest, digits: Project, engine: Engine) -> str:
    """The example built by one of the engine's builders."""
    return ask_build(
        engine, digits.context, f"digits:{request.param}", "--network=none",
        buildkit=BUILDERS[request.param],
    )  # fmt: skip


def test_every_file_is_the_one_that_our_own_builder_writes(
    digits: Project, image: str, engine: Engine, tmp_path: Path
) -> None:
    """Modes, owners, links and content of base, environment, weights, code and meta."""
    assert len(digits.files) > 3000
    assert differences(digits.files, files_of(engine, image, tmp_path)) == {}


def test_configuration_is_the_planned_one(digits: Project, image: str, engine: Engine) -> None:
    found = configuration(engine, image)

    assert {key: found[key] for key in digits.config} == digits.config
    assert not found["Volumes"]
    assert not found["OnBuild"]


def test_it_is_started_and_answers_its_golden_request(
    digits: Project, image: str, engine: Engine
) -> None:
    with container(engine, image, *HARDENED, RANDOM_USER, *PROBED_OFTEN) as running:
        until_ready(running)
        for file in sorted((digits.folder / "golden").glob("*.json")):
            case = json.loads(file.read_text("utf-8"))
            asked, want = case["request"], case["response"]
            status, body = running.request(asked["method"], asked["path"], asked["json"])

            assert status == want["status"], file.name
            assert close(json.loads(body), want["json"], case["tolerance"]["absolute"]), file.name


def test_one_flipped_byte_of_a_weight_in_the_context_stops_the_start(
    digits: Project, image: str, engine: Engine, tmp_path: Path
) -> None:
    context = shutil.copytree(digits.context, tmp_path / "context", symlinks=True)
    shard = max((context / "weights").rglob("*.safetensors"))
    data = bytearray(shard.read_bytes())
    data[-7] ^= 1
    shard.write_bytes(data)
    flipped = ask_build(
        engine, context, f"{image}-flipped", "--network=none", buildkit="buildkit" in image
    )

    refused = engine.run("run", "--rm", *HARDENED, flipped, *SAY_SERVED)
    intact = engine.run("run", "--rm", *HARDENED, image, *SAY_SERVED)

    assert (refused.returncode, refused.stdout) == (GUARD_REFUSED, b"")
    assert f"/{shard.name}".encode() in refused.stderr
    assert (intact.returncode, intact.stdout) == (0, b"served\n")


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> real_base.Wheels:
    """Wheels that use every place of an environment."""
    return real_base.corners(tmp_path_factory.mktemp("wheels"))


@pytest.fixture(scope="module")
def corners(
    engine: Engine,
    wheels: real_base.Wheels,
    tmp_path_factory: pytest.TempPathFactory,
    unavailable: Callable[[str], None],
) -> Project:
    """A project with these wheels, which are to be had from an index."""
    root = tmp_path_factory.mktemp("corners")
    index = root / "index" / "files"
    index.mkdir(parents=True)
    try:
        folder = real_base.make_project(root / "project", root / "cache", wheels)
    except Unavailable as error:
        unavailable(str(error))
        raise
    for wheel, path in wheels:
        shutil.copy(path, index)
        page = root / "index" / "simple" / wheel.name / "index.html"
        page.parent.mkdir(parents=True)
        page.write_text(f'<a href="../../files/{path.name}">{path.name}</a>')
    return pack("corners", folder, engine, root, cache=root / "cache")


@contextmanager
def server(
    engine: Engine, code: str, ready: str, *volumes: str, **variables: str
) -> Iterator[Container]:
    """Run code in the engine's own network, by the Python of our own image, until it is ready."""
    options = ["--network=host", "--cap-add=NET_ADMIN", "--user=0"]
    options += [f"--volume={volume}:ro" for volume in volumes]
    options += [f"--env={name}={value}" for name, value in variables.items()]
    with container(
        engine, "corners:ours", *options, "--entrypoint=/usr/bin/python3.13", arguments=("-c", code)
    ) as running:
        running.until(ready, lambda: ready in running.log())
        yield running


@contextmanager
def index_of(engine: Engine, folder: Path) -> Iterator[str]:
    """Serve a folder as a package index."""
    with server(engine, LOOPBACK + INDEX, "ready", f"{folder}:/index"):
        yield f"http://127.0.0.1:{PORT}/simple"


def from_index(url: str) -> list[str]:
    return ["--network=host", "--no-cache", f"--build-arg=PIP_INDEX_URL={url}"]


def test_wheels_come_from_the_index_that_is_named(
    corners: Project, engine: Engine, tmp_path: Path
) -> None:
    tag = "corners:1"
    with index_of(engine, corners.context.parent / "index") as url:
        ask_build(engine, corners.context, tag, *from_index(url), buildkit=True)

    assert differences(corners.files, files_of(engine, tag, tmp_path)) == {}
    assert url not in engine.ask("inspect", tag)
    assert url not in engine.ask("history", "--no-trunc", tag)


def test_wheel_that_is_not_the_locked_one_stops_the_build(
    corners: Project, engine: Engine, tmp_path: Path
) -> None:
    index = shutil.copytree(corners.context.parent / "index", tmp_path / "index")
    wheel = next((index / "files").glob("small-*.whl"))
    wheel.write_bytes(wheel.read_bytes() + b"x")
    with index_of(engine, index) as url:
        done = engine.build(corners.context, "bad:1", *from_index(url), buildkit=False)

    assert done.returncode != 0
    assert b"DO NOT MATCH THE HASHES" in done.stdout + done.stderr


@pytest.fixture(scope="module")
def registry(corners: Project, engine: Engine, go_tool: Callable[[str], str]) -> Iterator[None]:
    """Run a registry that the engine reaches; of `corners` the image is needed."""
    del corners
    settings = {
        "REGISTRY_HTTP_ADDR": REGISTRY, "REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY": STORAGE,
        "REGISTRY_LOG_LEVEL": "info",
    }  # fmt: skip
    run = (
        LOOPBACK
        + "import os\nopen('/tmp/c', 'w').write('version: 0.1\\nstorage: {filesystem: {}}')\n"
        "os.execv('/registry', ['registry', 'serve', '/tmp/c'])"
    )
    with server(
        engine, run, "listening on", f"{go_tool('registry')}:/registry", **settings
    ) as running:
        yield running


def locked_base(name: str, pushed: Digest, blobs: Path, downloads: Downloads) -> ImageBase:
    """Return what a lock says of a pushed image, and keep its layers as if downloaded."""

    def blob(of: Digest) -> bytes:
        hexadecimal = digest.hex_of(of)
        return (blobs / "sha256" / hexadecimal[:2] / hexadecimal / "data").read_bytes()

    manifest = json.loads(blob(pushed))
    config = digest.parse(manifest["config"]["digest"])
    layers = [digest.parse(layer["digest"]) for layer in manifest["layers"]]
    for layer in layers:
        projects.keep(downloads, blob(layer))
    return ImageBase(
        reference=name, digest=pushed, config=config,
        layers=tuple(
            BaseLayer(digest=layer, diff_id=digest.parse(diff_id), size=len(blob(layer)),
                      media_type=TAR_GZIP)
            for layer, diff_id in zip(
                layers, json.loads(blob(config))["rootfs"]["diff_ids"], strict=True
            )
        ),
        environment=("LANG=C.UTF-8", "PATH=/usr/bin:/bin"),
    )  # fmt: skip


@pytest.fixture(scope="module")
def foreign(
    corners: Project,
    wheels: real_base.Wheels,
    engine: Engine,
    registry: Container,
    tmp_path_factory: pytest.TempPathFactory,
) -> Project:
    """The same project, but its base is an image in a registry, with a configuration of its own."""
    root, name = tmp_path_factory.mktemp("foreign"), f"{REGISTRY}/base:1"
    shutil.copy(corners.context / "amd64" / "base.tar", root)
    (root / "Dockerfile").write_text(BASE)
    ask_build(engine, root, name, "--network=none", buildkit=True)
    engine.ask("push", name)
    pushed = engine.ask("inspect", "--format={{index .RepoDigests 0}}", name)
    engine.ask("rmi", "--force", name)
    engine.ask("cp", f"{registry.name}:{STORAGE}/docker/registry/v2/blobs", str(root))
    cache = corners.folder.parent / "cache"
    toml = f'{real_base.TOML}\n[runtime]\nbase = "{name}"\n'
    folder = real_base.make_project(root / "project", cache, wheels, toml=toml, bytecode="none")
    base = locked_base(
        name, digest.parse(pushed.partition("@")[2]), root / "blobs", Downloads(cache)
    )
    lock = project.read(folder).lock
    assert lock is not None
    projects.rewrite_lock(folder, replace(lock.platforms[0], base=base))
    return pack("foreign", folder, engine, root, "--wheels", cache=cache)


def test_base_from_a_registry_is_pulled_by_its_digest(
    foreign: Project, engine: Engine, tmp_path: Path
) -> None:
    tag = "foreign:1"
    ask_build(engine, foreign.context, tag, "--network=none", buildkit=False)
    found, own = configuration(engine, tag), foreign.config

    assert {*own["Env"]} - {*found["Env"]} == set()
    assert {*found["Env"]} - {*own["Env"]} == {"DROPPED=1"}  # nothing in a Dockerfile takes it away
    assert found["Healthcheck"] == {"Test": ["NONE"]}
    for key in ("User", "Entrypoint", "Cmd", "WorkingDir", "Labels"):
        assert found[key] == own[key]
    assert differences(foreign.files, files_of(engine, tag, tmp_path)) == {}
    assert foreign.files["home/app"][1:4] == (0o775, 10001, 0)


@pytest.fixture(scope="module")
def hostile(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project without wheels whose texts are hostile; no program of it can be started."""
    root = tmp_path_factory.mktemp("hostile")
    weights = {"sub [1]/$(id) *.json": b"{}", "config.json": b"{}"}
    toml = HOSTILE.read_text("utf-8").replace(
        'path = "weights"', 'path = "weights"\ninclude = ["**/*.json"]'
    )
    folder = projects.make_project(
        root / "project", root / "cache", toml=toml, weights=weights, wheels=False
    )
    return pack("hostile", folder, engine, root, cache=root / "cache")


@pytest.mark.parametrize("builder", BUILDERS)
def test_hostile_texts_are_read_as_they_were_meant(
    hostile: Project, engine: Engine, builder: str, tmp_path: Path
) -> None:
    tag = ask_build(engine, hostile.context, f"hostile:{builder}", buildkit=BUILDERS[builder])
    found = configuration(engine, tag)

    assert {key: found[key] for key in hostile.config} == hostile.config
    assert differences(hostile.files, files_of(engine, tag, tmp_path)) == {}


@pytest.mark.parametrize(
    ("name", "options"),
    [("hostile", []), ("hostile", ["--link"]), ("corners", ["--link", "--wheels"])],
)
def test_a_newer_buildkit_makes_the_same(
    name: str,
    options: list[str],
    buildkit: Mapping[str, str],
    request: pytest.FixtureRequest,
    tmp_path: Path,
) -> None:
    this: Project = request.getfixturevalue(name)
    cache = this.folder.parent / "cache"
    context, layout, root = (tmp_path / name for name in ("context", "layout", "root.tar"))
    modelpack("render", this.folder, "-q", "--revision", REVISION, "--output", context, *options,
              cache=cache)  # fmt: skip
    done = subprocess.run(
        ["docker-buildx", "build", "--builder", NAME, "--provenance=false", "--no-cache",
         "--network=none", "--output", f"type=oci,tar=false,dest={layout}",
         "--output", f"type=tar,dest={root}", context],
        env=dict(buildkit), capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    raw = modelpack("inspect", f"oci:{layout}", "--raw", "config", cache=cache)
    found = json.loads(raw)["config"]

    assert {key: found[key] for key in this.config} == this.config
    assert differences(this.files, files_in(root)) == {}
    assert b"WARN" not in done.stderr, done.stderr.decode()


@pytest.mark.parametrize("builder", BUILDERS)
def test_mounted_weights_have_their_folder_and_are_not_in_it(
    engine: Engine, builder: str, tmp_path: Path
) -> None:
    toml = projects.TOML.replace('path = "weights"', 'path = "weights"\nmode = "mount"')
    folder = projects.make_project(
        tmp_path / "project", tmp_path / "cache", toml=toml, wheels=False
    )
    modelpack("render", folder, "-q", "--output", tmp_path / "context", cache=tmp_path / "cache")

    tag = ask_build(engine, tmp_path / "context", f"mounted:{builder}", buildkit=BUILDERS[builder])
    found = files_of(engine, tag, tmp_path)

    assert found["models/tiny"] == (tarfile.DIRTYPE, 0o755, 0, 0, "", "")
    assert not [path for path in found if path.startswith("models/tiny/")]
