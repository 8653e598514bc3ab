"""Images go into real registries and out of them: whole, resumed, and as others read them."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from random import Random
from typing import Any

import pytest

from modelpack.digest import Digest
from modelpack.oci.layout import Layout
from modelpack.oci.referrers import tag_for
from modelpack.oci.registry import places
from tests import projects
from tests.command_line import Done, run
from tests.counting_proxy import CountingProxy, counting
from tests.docker_engine import Engine
from tests.images import vouching
from tests.registries import KINDS, USER, RunningRegistry, running

SIZE = 48 << 20
"of the one weight file: many packets, less than a chunk"
HOLD = 24 << 20
SLACK = 2 << 20


@pytest.fixture(scope="module", params=KINDS)
def registry(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    go_tool: Callable[[str], str],
    require_tool: Callable[[str], str],
) -> Iterator[RunningRegistry]:
    folder = tmp_path_factory.mktemp(request.param)
    with running(request.param, folder, go_tool=go_tool, require_tool=require_tool) as started:
        yield started


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with one large weight file, built into its layout; and its cache."""
    root = tmp_path_factory.mktemp("site")
    folder = root / "project"
    (folder / "weights").mkdir(parents=True)
    large = projects.safetensors({"w": Random(7).randbytes(SIZE)})
    projects.make_project(folder, root / "cache", weights={"model.safetensors": large})
    built = run("build", folder, "--locked", "--offline", cache=root / "cache")
    assert built.status == 0, built.err
    return root


@pytest.fixture
def cache(site: Path) -> Path:
    """The cache of the site, without what earlier pushes noted."""
    for name in ("uploads", "places"):
        shutil.rmtree(site / "cache" / name, ignore_errors=True)
    return site / "cache"


@pytest.fixture
def proxy(registry: RunningRegistry) -> Iterator[CountingProxy]:
    with counting(registry.address) as door:
        yield door


def through(proxy: CountingProxy, registry: RunningRegistry) -> str:
    """Return the name of a new repository, to be reached through the proxy."""
    return registry.repository().replace(registry.address, proxy.address)


def digest_of(site: Path) -> str:
    return Layout(site / "project" / "dist" / "image").resolve("").digest


def killed_when_held(proxy: CountingProxy, *arguments: object, cache: Path) -> None:
    """Run a command, and kill it with no warning once the proxy holds its bytes back."""
    process = subprocess.Popen(
        [sys.executable, "-m", "modelpack", *map(str, arguments)], stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, env={**os.environ, "MODELPACK_CACHE": str(cache)},
    )  # fmt: skip
    try:
        assert proxy.held.wait(60), "it ended before it was killed"
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    proxy.hang_up()
    proxy.release()


def skopeo(
    require_tool: Callable[[str], str], *arguments: str
) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(
        [require_tool("skopeo"), *arguments], capture_output=True, check=False, timeout=120
    )


def whole(done: Done, site: Path, layout: Path) -> None:
    """Check that a pull brought exactly what was built."""
    assert done.status == 0, done.err
    assert done.out.strip() == digest_of(site)
    names = {p.name: p.stat().st_size for p in (layout / "blobs" / "sha256").iterdir()}
    built = site / "project" / "dist" / "image" / "blobs" / "sha256"
    assert names == {p.name: p.stat().st_size for p in built.iterdir()}
    assert not (layout / "ingest").exists()


def test_what_was_pushed_is_pulled_and_read_by_others(
    site: Path, cache: Path, registry: RunningRegistry, tmp_path: Path,
    require_tool: Callable[[str], str], go_tool: Callable[[str], str],
) -> None:  # fmt: skip
    name = f"{registry.repository()}:1.0.0"
    pushed = run("push", site / "project", name, "--json", cache=cache)
    assert pushed.status == 0, pushed.err
    assert pushed.document["digest"] == digest_of(site)
    assert pushed.document["tags"] == ["1.0.0"]
    whole(run("pull", name, "--output", f"oci:{tmp_path / 'ours'}", cache=cache), site,
          tmp_path / "ours")  # fmt: skip
    theirs = skopeo(
        require_tool, "copy", "--preserve-digests", "--src-tls-verify=false", f"docker://{name}",
        f"oci:{tmp_path / 'theirs'}:1",
    )  # fmt: skip
    assert theirs.returncode == 0, theirs.stderr.decode()
    assert Layout(tmp_path / "theirs").resolve("1").digest == digest_of(site)
    crane = subprocess.run(
        [go_tool("crane"), "pull", "--insecure", "--format", "oci", name, str(tmp_path / "crane")],
        capture_output=True, check=False, timeout=120,
    )  # fmt: skip
    assert crane.returncode == 0, crane.stderr.decode()
    assert Layout(tmp_path / "crane").resolve("").digest == digest_of(site)


def test_podman_pulls_and_takes_the_image(
    site: Path, cache: Path, registry: RunningRegistry,
    require_tool: Callable[[str], str],
) -> None:  # fmt: skip
    name = f"{registry.repository()}:1.0.0"
    assert run("push", site / "project", name, cache=cache).status == 0
    podman = [require_tool("podman"), "--storage-driver", "vfs", "pull", "--tls-verify=false", name]
    with tempfile.TemporaryDirectory() as folder:  # podman wants a short path
        podman[1:1] = ["--root", f"{folder}/root", "--runroot", f"{folder}/run"]
        done = subprocess.run(podman, capture_output=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr.decode()


def test_docker_pulls_the_same_image(
    site: Path, cache: Path, tmp_path: Path, engine: Engine,
    go_tool: Callable[[str], str], require_tool: Callable[[str], str],
) -> None:  # fmt: skip
    kind = {"go_tool": go_tool, "require_tool": require_tool}
    with running("distribution-2", tmp_path, **kind) as registry:
        name = f"{registry.repository()}:1.0.0"
        assert run("push", site / "project", name, cache=cache).status == 0
        attested = f"{registry.repository()}:1.0.0"
        options = ("--buildkit-attestations", site / "project", attested)
        assert run("push", *options, cache=cache).status == 0
    # Again, where the engine's network is, with what it has.
    inside = [require_tool("nsenter"), f"--net=/proc/{engine.process}/ns/net"]
    process = subprocess.Popen(
        [*inside, require_tool("docker-registry"), "serve", str(tmp_path / "config.yml")],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        for _ in range(50):
            pulled = engine.run("pull", name)
            if pulled.returncode == 0:
                break
            time.sleep(0.1)
        assert pulled.returncode == 0, pulled.stderr.decode()
        manifest = Layout(site / "project" / "dist" / "image").image(Digest(digest_of(site)))
        assert manifest.config is not None
        assert engine.ask("inspect", "--format", "{{.Id}}", name) == manifest.config.digest
        # In an index with attestations, which are for no platform, it is the same image.
        pulled = engine.run("pull", attested)
        assert pulled.returncode == 0, pulled.stderr.decode()
        assert engine.ask("inspect", "--format", "{{.Id}}", attested) == manifest.config.digest
    finally:
        process.kill()
        process.wait()


def test_a_second_push_sends_no_content(
    site: Path, cache: Path, registry: RunningRegistry, proxy: CountingProxy
) -> None:
    name = through(proxy, registry)
    assert run("push", site / "project", f"{name}:1.0.0", cache=cache).status == 0
    first = proxy.sent
    assert first > SIZE
    assert run("push", site / "project", f"{name}:1.0.0", cache=cache).status == 0
    assert proxy.sent - first < 32 << 10


def test_another_repository_of_the_registry_is_given_no_content(
    site: Path, cache: Path, registry: RunningRegistry, proxy: CountingProxy, tmp_path: Path
) -> None:
    """It is mounted from where this machine brought it before, and is whole there."""
    assert run("push", site / "project", f"{through(proxy, registry)}:1", cache=cache).status == 0
    first = proxy.sent
    name = f"{through(proxy, registry)}:1"
    assert run("push", site / "project", name, cache=cache).status == 0
    assert proxy.sent - first < 64 << 10
    whole(run("pull", name, "--output", f"oci:{tmp_path / 'l'}", cache=cache), site, tmp_path / "l")


def test_a_push_whose_process_was_killed_goes_on(
    site: Path, cache: Path, registry: RunningRegistry, proxy: CountingProxy, tmp_path: Path
) -> None:
    name = f"{through(proxy, registry)}:1.0.0"
    proxy.hold_at = HOLD
    killed_when_held(proxy, "push", site / "project", name, cache=cache)
    before = proxy.sent
    pushed = run("push", site / "project", name, cache=cache)
    assert pushed.status == 0, pushed.err
    if registry.kind == "olareg":
        # distribution forgets an upload that was cut within a chunk.
        assert proxy.sent - before < SIZE - HOLD + SLACK * 4
    assert not list((cache / "uploads").iterdir())
    whole(run("pull", name, "--output", f"oci:{tmp_path / 'l'}", cache=cache), site, tmp_path / "l")


def test_a_push_whose_connections_were_cut_goes_on_by_itself(
    site: Path, cache: Path, registry: RunningRegistry, proxy: CountingProxy
) -> None:
    name = f"{through(proxy, registry)}:1.0.0"
    proxy.cut_at = HOLD
    pushed = run("push", site / "project", name, cache=cache)
    assert pushed.status == 0, pushed.err
    assert proxy.cut_at is None
    if registry.kind == "olareg":
        assert proxy.sent < SIZE + SLACK * 4


def test_a_pull_whose_process_was_killed_goes_on(
    site: Path, cache: Path, registry: RunningRegistry, proxy: CountingProxy, tmp_path: Path
) -> None:
    name = f"{through(proxy, registry)}:1.0.0"
    assert run("push", site / "project", name, cache=cache).status == 0
    proxy.hold_at = proxy.carried() + HOLD
    where = f"oci:{tmp_path / 'l'}"
    killed_when_held(proxy, "pull", name, "--output", where, cache=cache)
    assert not (tmp_path / "l" / "index.json").exists()
    before = proxy.received
    whole(run("pull", name, "--output", where, cache=cache), site, tmp_path / "l")
    assert proxy.received - before < SIZE - HOLD + SLACK * 4


def test_a_version_does_not_move_but_latest_does(
    site: Path, cache: Path, registry: RunningRegistry, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    projects.make_project(other, cache)
    assert run("build", other, "--locked", "--offline", cache=cache).status == 0
    name = registry.repository()
    for tag in ("1.0.0", "latest"):
        assert run("push", other, f"{name}:{tag}", cache=cache).status == 0
    assert run("push", site / "project", f"{name}:latest", cache=cache).status == 0
    refused = run("push", site / "project", f"{name}:1.0.0", cache=cache)
    assert refused.status == 1
    assert "--replace" in refused.err
    moved = run("push", site / "project", f"{name}:1.0.0", "--replace", cache=cache)
    assert moved.status == 0, moved.err
    read = run("inspect", f"{name}:1.0.0", "--json", cache=cache)
    assert read.document["digest"] == digest_of(site)


def test_what_vouches_goes_along_there_and_back(
    site: Path, cache: Path, registry: RunningRegistry, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    shutil.copytree(site / "project" / "dist" / "image", source)
    with Layout(source) as layout:
        root = layout.resolve("")
        layout.attach(root, [vouching("scanned", "scan")])
        made = layout.referrers(root.digest)
        first = next(entry for entry in made if entry.annotations.get("said") == "scanned")
        layout.attach(first, [vouching("signed")])
    name = registry.repository()
    there = run("copy", f"oci:{source}", f"{name}:1.0.0", "--json", cache=cache)
    assert there.status == 0, there.err
    assert there.document["referrers"] == len(made) + 1
    elsewhere = registry.repository()
    over = run("copy", f"{name}:1.0.0", f"{elsewhere}:2.0", "--json", cache=cache)
    assert over.document["referrers"] == len(made) + 1, over.err
    back = run("pull", f"{elsewhere}:2.0", "--output", f"oci:{tmp_path / 'back'}", cache=cache)
    assert back.status == 0, back.err
    pulled = Layout(tmp_path / "back")
    assert {entry.digest for entry in pulled.referrers(root.digest)} == {e.digest for e in made}
    (signature,) = pulled.referrers(first.digest)
    assert signature.annotations["said"] == "signed"
    bare = run("pull", f"{elsewhere}:2.0", "--no-referrers", "--output",
               f"oci:{tmp_path / 'bare'}", cache=cache)  # fmt: skip
    assert bare.status == 0
    assert not Layout(tmp_path / "bare").referrers(root.digest)
    assert any(
        entry.annotations.get("org.opencontainers.image.ref.name") == tag_for(root.digest)
        for entry in pulled.manifests()
    )


def test_build_push_writes_nothing_but_its_record_and_needs_no_weights(
    cache: Path, registry: RunningRegistry, tmp_path: Path
) -> None:
    folder = projects.make_project(tmp_path / "project", cache)
    name = registry.repository()
    pushed = run("build", folder, "--locked", "--push", "--tag", f"{name}:1.0.0", "--json",
                 cache=cache)  # fmt: skip
    assert pushed.status == 0, pushed.err
    assert pushed.document["pushed"] == [f"{name}:1.0.0"]
    assert pushed.document["layout"] is None
    assert [p.name for p in (folder / "dist").iterdir()] == ["build.json"]
    # Another machine: code and lock, no weights.
    shutil.rmtree(folder / "weights")
    (folder / "service" / "__main__.py").write_text('print("changed")\n', "utf-8")
    second = run("build", folder, "--locked", "--push", "--tag", f"{name}:1.0.1", "--json",
                 cache=cache)  # fmt: skip
    assert second.status == 0, second.err
    assert second.document["digest"] != pushed.document["digest"]
    read = run("inspect", f"{name}:1.0.1", "--json", cache=cache)
    assert read.document["digest"] == second.document["digest"]
    words = ("build", folder, "--locked", "--push", "--tag")
    mounted = run(*words, f"{registry.repository()}:1", cache=cache)
    assert mounted.status == 0, mounted.err  # from the repository that has them, as is known here
    shutil.rmtree(cache / places.FOLDER)
    elsewhere = run(*words, f"{registry.repository()}:1", cache=cache)
    assert elsewhere.status == 3
    assert "is not on this machine, nor in" in elsewhere.err


def test_platforms_and_mounted_weights_go_along(
    cache: Path, registry: RunningRegistry, tmp_path: Path
) -> None:
    toml = projects.TOML.replace('path = "weights"', 'path = "weights"\nmode = "mount"')
    toml += '\n[image]\nplatforms = ["linux/amd64", "linux/arm64"]\n'
    folder = projects.make_project(tmp_path / "project", cache, toml=toml)
    name = registry.repository()
    built = run("build", folder, "--locked", "--push", "--tag", f"{name}:1.0.0", "--json",
                cache=cache)  # fmt: skip
    assert built.status == 0, built.err
    pulled = run("pull", f"{name}:1.0.0", "--output", f"oci:{tmp_path / 'l'}", "--json",
                 cache=cache)  # fmt: skip
    assert pulled.status == 0, pulled.err
    images: Any = {image["role"]: image["digest"] for image in built.document["images"]}
    assert pulled.document["weights"] == [images["weights"]]
    layout = Layout(tmp_path / "l")
    assert layout.resolve("1.0.0").digest == built.document["digest"]
    assert layout.resolve("1.0.0-weights").digest == images["weights"]
    for image in built.document["images"]:
        assert layout.image(image["digest"]).layers


def test_copying_within_a_registry_mounts(
    site: Path, cache: Path, registry: RunningRegistry, proxy: CountingProxy
) -> None:
    name = through(proxy, registry)
    assert run("push", site / "project", f"{name}:1", cache=cache).status == 0
    before = proxy.carried()
    done = run("copy", f"{name}:1", f"{through(proxy, registry)}:1", cache=cache)
    assert done.status == 0, done.err
    assert proxy.carried() - before < SLACK


def test_copying_to_another_registry_streams(
    site: Path, cache: Path, registry: RunningRegistry, tmp_path: Path,
    go_tool: Callable[[str], str], require_tool: Callable[[str], str],
) -> None:  # fmt: skip
    name = f"{registry.repository()}:1"
    assert run("push", site / "project", name, cache=cache).status == 0
    with ExitStack() as stack:
        other = stack.enter_context(
            running("olareg", tmp_path, go_tool=go_tool, require_tool=require_tool)
        )
        done = run("copy", name, f"{other.repository()}:2.0", "--json", cache=cache)
        assert done.status == 0, done.err
        assert done.document["tags"] == ["2.0"]
        assert done.document["digest"] == digest_of(site)


def test_a_registry_that_wants_a_password_takes_the_one_of_login(
    site: Path, cache: Path, tmp_path: Path,
    go_tool: Callable[[str], str], require_tool: Callable[[str], str],
) -> None:  # fmt: skip
    home = {"HOME": str(tmp_path), "DOCKER_CONFIG": str(tmp_path / "docker")}
    with running(
        "distribution-2", tmp_path, go_tool=go_tool, require_tool=require_tool, closed=True
    ) as closed:
        name = f"{closed.repository()}:1.0"
        refused = run("push", site / "project", name, cache=cache, **home)
        assert refused.status == 3
        assert f"modelpack login {closed.address}" in refused.err
        login = subprocess.run(
            [sys.executable, "-m", "modelpack", "login", closed.address, "--username", USER[0],
             "--password-stdin"], input=USER[1].encode(), capture_output=True, check=False,
            env={**os.environ, **home}, timeout=60,
        )  # fmt: skip
        assert login.returncode == 0, login.stderr.decode()
        pushed = run("push", site / "project", name, cache=cache, **home)
        assert pushed.status == 0, pushed.err
        theirs = skopeo(
            require_tool, "inspect", "--tls-verify=false", "--authfile",
            str(tmp_path / "docker" / "config.json"), f"docker://{name}",
        )  # fmt: skip
        assert theirs.returncode == 0, theirs.stderr.decode()


def test_memory_stays_small_while_large_layers_are_pushed(
    cache: Path, registry: RunningRegistry, tmp_path: Path
) -> None:
    for number in range(4):
        projects.sparse_safetensors(tmp_path / f"project/weights/{number}.safetensors", 100 << 20)
    folder = projects.make_project(tmp_path / "project", cache, weights={})
    code = (
        "import re, sys\nfrom pathlib import Path\nfrom modelpack.__main__ import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit as stop:\n    assert not stop.code\n"
        "print(re.search('VmHWM:\\s+([0-9]+)', Path('/proc/self/status').read_text())[1])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "build", str(folder), "--locked", "-q", "--push", "--tag",
         f"{registry.repository()}:1.0"], capture_output=True, check=False, timeout=300,
        env={**os.environ, "MODELPACK_CACHE": str(cache)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    kibibytes = int(re.split(rb"\s+", done.stdout.strip())[-1])
    assert kibibytes < 100_000


def test_the_record_is_json_with_a_version(
    site: Path, cache: Path, registry: RunningRegistry
) -> None:  # fmt: skip
    done = run("push", site / "project", f"{registry.repository()}:1", "--json", cache=cache)
    assert next(iter(json.loads(done.out))) == "schema"
