"""`modelpack run`, `build --load` and `inspect docker-daemon:` with real engines."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from modelpack.engine.address import Address
from modelpack.engine.connecting import connect
from modelpack.engine.door import Engine as Door
from tests.docker_engine import PATIENCE, Engine, EngineError, programs, running_engine
from tests.integration.conftest import ROOT, Packed
from tests.podman_engine import running_podman

pytestmark = [pytest.mark.integration, pytest.mark.slow]

SHARD = "model-00001-of-00002.safetensors"
QUIET = ("--network", "none")
"no port is needed, and none can be taken"


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """An engine, and how to type commands that speak with it."""

    url: str
    docker: Engine | None

    @property
    def door(self) -> Door:
        return connect([Address(url=self.url, origin="the test")])

    def start(self, *words: object, cwd: Path = ROOT, **variables: str) -> subprocess.Popen[bytes]:
        """Start a command."""
        environ = {**os.environ, "DOCKER_HOST": self.url, "CONTAINER_HOST": self.url, **variables}
        return subprocess.Popen(
            [sys.executable, "-m", "modelpack", *map(str, words)], env=environ, cwd=cwd,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def type(self, *words: object, status: int = 0, **options: Any) -> tuple[str, str]:
        """Run a command and return what it printed."""
        with self.start(*words, **options) as process:
            out, err = process.communicate(timeout=2 * PATIENCE)
        assert process.returncode == status, err.decode()
        assert b"Traceback" not in err
        return out.decode(), err.decode()


@pytest.fixture(scope="module", params=["docker", "podman"])
def desk(
    request: pytest.FixtureRequest,
    require_tool: Callable[[str], str],
    unavailable: Callable[[str], None],
) -> Iterator[Desk]:
    """Run an engine."""
    if os.geteuid() != 0:
        unavailable("an engine of one's own needs root")
    with ExitStack() as stack:
        try:
            if request.param == "podman":
                socket = stack.enter_context(running_podman(require_tool("podman")))
                yield Desk(url=f"unix://{socket}", docker=None)
                return
            dockerd, docker = programs()
            require_tool(dockerd or "dockerd")
            engine = stack.enter_context(
                running_engine(str(dockerd), str(docker), bridge=True)
            )  # fmt: skip
        except EngineError as error:
            unavailable(str(error))
            raise
        yield Desk(url=f"unix://{engine.socket}", docker=engine)


@pytest.fixture
def docker(desk: Desk) -> Engine:
    """Return the Docker engine."""
    assert desk.docker is not None
    return desk.docker


docker_only = pytest.mark.parametrize("desk", ["docker"], indirect=True)
"what is about the network: podman's would be this machine's own"


@pytest.fixture(scope="module")
def digits(packed: Callable[[str], Packed]) -> Packed:
    """Build the example."""
    return packed("digits")


@pytest.fixture(scope="module")
def image(digits: Packed) -> str:
    """Return the name of its image."""
    return f"oci:{digits.layout}"


def test_what_is_loaded_is_inspected_like_the_layout(
    desk: Desk, digits: Packed, image: str, tmp_path: Path
) -> None:
    project = tmp_path / "digits"
    shutil.copytree(digits.project, project)
    out, err = desk.type("build", project, "--load", "--tag", "acme/digits:7", "--json")
    record = json.loads(out)
    kind = desk.door.about.kind
    name = {"docker": "docker-daemon:acme/digits:7", "podman": "containers-storage:acme/digits:7"}

    held = json.loads(desk.type("inspect", "--json", name[kind])[0])
    there = json.loads(desk.type("inspect", "--json", f"oci:{project}/dist/image")[0])

    assert record["images"][0]["config"] == held["config_digest"]
    assert record["loaded"]["id"] in (held["config_digest"], record["digest"])
    assert "acme/digits:7: loaded into" in err
    assert held.pop("referrers") == []  # engines keep nothing about an image
    assert {item["kind"] for item in there.pop("referrers")} == {
        "sbom", "provenance", "oms", "evaluation",
    }  # fmt: skip
    for document in (held, there):
        for key in ("digest", "size", "media_type"):  # of the manifest, which the engine made anew
            del document[key]
        for layer in document["layers"]:  # uncompressed in the engine
            for key in ("digest", "size", "media_type"):
                del layer[key]
    assert held == there
    assert held["findings"] == []
    assert len(held["weights"]) == 4


def test_nothing_of_the_image_lies_anywhere_on_the_way(
    desk: Desk, image: str, tmp_path: Path
) -> None:
    desk.type("run", image, *QUIET, "--", "python", "-V", TMPDIR=str(tmp_path))

    assert list(tmp_path.iterdir()) == []


@docker_only
def test_golden_requests_are_answered_at_the_published_port(
    desk: Desk, docker: Engine, digits: Packed, image: str
) -> None:
    out, _ = desk.type("run", image, "--publish", "0", "--user", 54321, "--detach", "--json",
                       "--timeout", "90s")  # fmt: skip
    started = json.loads(out)
    port = started["ports"][0]["host"]
    case = json.loads((digits.project / "golden" / "one-digit.json").read_bytes())

    status, answer = docker.reach("POST", port, "/predict", case["request"]["json"])
    version = docker.reach("GET", port, "/version")[1]
    limits = docker.ask("inspect", "--format={{json .HostConfig}}", started["id"])
    facts = docker.ask("exec", started["id"], "python", "-c",
                       "print(open('/proc/1/status').read())")  # fmt: skip
    docker.ask("stop", f"--time={PATIENCE}", started["id"])

    assert status == case["response"]["status"]
    assert answer["predictions"][0]["label"] == case["response"]["json"]["predictions"][0]["label"]
    assert version["weights_verified"] == "full"
    assert json.loads(limits)["ReadonlyRootfs"] is True
    said = dict(line.split(":\t", 1) for line in facts.splitlines() if ":\t" in line)
    assert (said["Uid"].split()[0], said["Gid"].split()[0]) == ("54321", "0")
    assert (int(said["CapEff"], 16), said["NoNewPrivs"]) == (0, "1")
    assert started["image"] in (digits.config, digits.record["digest"])
    gone(desk, started["id"])


def gone(desk: Desk, container: str) -> None:
    """Wait until the engine has removed a container."""
    end = time.monotonic() + PATIENCE
    while desk.door.state(container) is not None:
        assert time.monotonic() < end
        time.sleep(0.2)


@docker_only
def test_a_port_that_is_taken_is_a_mistake_with_a_hint(
    desk: Desk, docker: Engine, image: str
) -> None:
    first, _ = desk.type("run", image, "--publish", "9100", "--detach")
    try:
        _, err = desk.type("run", image, "--publish", "9100", status=2)
    finally:
        docker.ask("rm", "--force", first.strip())

    assert "the port is taken" in err
    assert "--publish 0" in err
    assert "Created" not in docker.ask("ps", "--all", "--format={{.Status}}")


def test_a_random_user_can_write_in_tmp_and_nowhere_else(desk: Desk, image: str) -> None:
    code = (
        "import os; print(os.getuid(), os.getgid()); open('/tmp/x', 'w').write('y')\n"
        "for path in ('/app/x', '/models/x', '/home/app/x'):\n"
        "    try: open(path, 'w'); print('wrote', path)\n"
        "    except OSError as error: pass"
    )

    out, _ = desk.type("run", image, *QUIET, "--user", 54321, "--", "python", "-c", code)

    assert out == "54321 0\n"


def test_a_command_has_its_status_its_output_and_its_variables(desk: Desk, image: str) -> None:
    code = "import os, sys; print(os.environ['A'], os.environ['TOKEN']); sys.exit(7)"

    out, _ = desk.type(
        "run", image, *QUIET, "--env", "A=1", "--env", "TOKEN", "--", "python", "-c", code,
        status=7, TOKEN="hush",
    )  # fmt: skip

    assert out == "1 hush\n"


@contextmanager
def serving(desk: Desk, *words: object) -> Iterator[subprocess.Popen[bytes]]:
    """Run the service attached, until its guard has let it start."""
    process = desk.start("run", *words, *QUIET)
    try:
        assert process.stderr is not None
        while b"guard.exec" not in (line := process.stderr.readline()):
            assert line, "ended before it served"
        yield process
    finally:
        process.kill()
        process.communicate()


def test_sigterm_ends_the_service_in_its_own_way(desk: Desk, image: str) -> None:
    with serving(desk, image, "--name", "to-be-ended") as process:
        until_it_hears(desk, "to-be-ended")
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=PATIENCE)

    assert process.returncode == 0, err.decode()  # as the service ends, not 137
    assert b"stopping" in err
    assert desk.door.state("to-be-ended") is None


def until_it_hears(desk: Desk, container: str) -> None:
    """Wait until the service answers: then it has its signal handlers."""
    ask = ("python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8080/healthz')")
    end = time.monotonic() + PATIENCE
    while desk.door.execute(container, ask):
        assert time.monotonic() < end
        time.sleep(0.2)


def test_what_is_deaf_is_killed_when_the_time_is_over(desk: Desk, image: str) -> None:
    deaf = ("--stop-timeout", "1s", "--", "python", "-c", "import time; time.sleep(600)")
    process = desk.start("run", image, "--name", "deaf", *QUIET, *deaf)
    until_running(desk, "deaf")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE)

    assert process.returncode == 137, err.decode()
    assert b"memory" not in err  # it was we who killed it
    assert desk.door.state("deaf") is None


def until_running(desk: Desk, container: str) -> None:
    end = time.monotonic() + PATIENCE
    while (state := desk.door.state(container)) is None or not state.running:
        assert time.monotonic() < end
        time.sleep(0.1)
    time.sleep(0.5)  # for the command to wait for it


def test_a_container_that_needs_more_memory_than_it_may_is_explained(
    desk: Desk, image: str
) -> None:
    eat = ("python", "-c", "x = bytearray(500_000_000)")

    _, err = desk.type("run", image, *QUIET, "--memory", "100m", "--", *eat, status=137)

    assert "more memory than 104857600 bytes" in err


def test_limits_are_those_of_the_containers_control_group(desk: Desk, image: str) -> None:
    code = (
        "import pathlib\n"
        "for name in ('cpu.max', 'cpu/cpu.cfs_quota_us', 'memory.max',"
        " 'memory/memory.limit_in_bytes'):\n"
        "    file = pathlib.Path('/sys/fs/cgroup', name)\n"
        "    if file.is_file(): print(file.read_text().split()[0])"
    )

    out, _ = desk.type("run", image, *QUIET, "--cpus", "0.5", "--memory", "300MiB", "--",
                       "python", "-c", code)  # fmt: skip

    assert out.split() == ["50000", str(300 << 20)]  # of 100000 microseconds


@pytest.fixture(scope="module")
def mounting(digits: Packed, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the example with mounted weights, built."""
    project = tmp_path_factory.mktemp("mounting") / "digits"
    shutil.copytree(digits.project, project, ignore=shutil.ignore_patterns("dist"))
    toml = project / "modelpack.toml"
    toml.write_text(toml.read_text().replace("[weights]", '[weights]\nmode = "mount"'))
    for word in ("lock", "build"):
        command = [sys.executable, "-m", "modelpack", word, str(project)]
        done = subprocess.run(command, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()
    return project


def test_weights_of_the_project_are_mounted_and_checked(desk: Desk, mounting: Path) -> None:
    _, err = desk.type("run", *QUIET, "--", "python", "-c", "print('served')", cwd=mounting)
    events = [json.loads(line) for line in err.splitlines() if line.startswith('{"time"')]

    assert [e["event"] for e in events][-2:] == ["guard.verified", "guard.exec"]
    assert "guard.writable" not in err


def test_other_weights_are_refused_and_explained(
    desk: Desk, mounting: Path, tmp_path: Path
) -> None:
    shutil.copytree(mounting / "weights", tmp_path / "w")
    data = bytearray((tmp_path / "w" / SHARD).read_bytes())
    data[-1] ^= 1
    (tmp_path / "w" / SHARD).write_bytes(data)
    layout = f"oci:{mounting}/dist/image:1.0.0"

    _, err = desk.type("run", layout, *QUIET, "--mount-weights", tmp_path / "w", status=78)

    assert f"error: /models/digits/{SHARD}: has other content than was packed (bytes " in err
    assert "error: the service was not started: the weights are not what was packed" in err
    assert "hint: mount the folder that was packed" in err


def test_an_image_of_the_engine_finds_out_where_its_weights_go(desk: Desk, mounting: Path) -> None:
    desk.type("build", mounting, "--load", "--tag", "acme/mounting:1")

    _, missing = desk.type("run", "docker-daemon:acme/mounting:1", status=2)
    out, _ = desk.type(
        "run", "docker-daemon:acme/mounting:1", *QUIET, "--mount-weights", mounting / "weights",
        "--", "python", "-c", "print('served')",
    )  # fmt: skip

    assert "mounted at /models/digits" in missing
    assert out == "served\n"


@docker_only
def test_the_printed_line_starts_the_same(desk: Desk, docker: Engine, image: str) -> None:
    desk.type("run", image, *QUIET, "--", "python", "-V")  # the engine has it now
    line, _ = desk.type("run", image, *QUIET, "--user", 4711, "--memory", "200m", "--print", "--",
                        "python", "-c", "import os; print(os.getuid(), 'a  b')")  # fmt: skip

    done = subprocess.run(
        line, shell=True, capture_output=True, check=True,
        env={"PATH": f"{Path(docker.docker).parent}:{os.defpath}", "DOCKER_HOST": desk.url,
             "HOME": str(docker.home)},
    )  # fmt: skip

    assert done.stdout == b"4711 a  b\n"


# htpasswd -B of `ann` with the password `not-a-secret`.
_PASSWORDS = "ann:$2b$04$abcdefghijklmnopqrstuukiPfWbK4Chx2wQkrCBcuNQWm8D.wM3i\n"
_REGISTRY = """\
version: 0.1
log: {{level: error}}
http: {{addr: "127.0.0.1:5000", secret: none}}
auth: {{htpasswd: {{realm: tests, path: "{0}/passwords"}}}}
storage: {{filesystem: {{rootdirectory: "{0}/content"}}}}
"""


@pytest.fixture
def private(
    docker: Engine, require_tool: Callable[[str], str], digits: Packed, tmp_path: Path
) -> Iterator[str]:
    """Run a registry in the engine's network that asks for a password; return an image in it."""
    inside = ["nsenter", f"--net=/proc/{docker.process}/ns/net"]
    (tmp_path / "passwords").write_text(_PASSWORDS)
    (tmp_path / "config.yml").write_text(_REGISTRY.format(tmp_path))
    process = subprocess.Popen(
        [*inside, require_tool("docker-registry"), "serve", str(tmp_path / "config.yml")],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    copy = [
        *inside, require_tool("skopeo"), "copy", "--insecure-policy", "--dest-tls-verify=false",
        "--dest-creds=ann:not-a-secret", f"oci:{digits.layout}:1.0.0",
        "docker://127.0.0.1:5000/acme/digits:1",
    ]  # fmt: skip
    try:
        end = time.monotonic() + PATIENCE
        while subprocess.run(copy, capture_output=True, check=False).returncode:
            assert process.poll() is None
            assert time.monotonic() < end
            time.sleep(0.5)
        yield "127.0.0.1:5000/acme/digits:1"
    finally:
        process.kill()
        process.wait()


@docker_only
def test_a_private_image_is_pulled_with_the_password_that_docker_keeps(
    desk: Desk, private: str, tmp_path: Path
) -> None:
    known, nobody = tmp_path / "known", tmp_path / "nobody"
    nobody.mkdir()
    known.mkdir()
    auth = {"username": "ann", "password": "not-a-secret"}
    (known / "config.json").write_text(json.dumps({"auths": {"127.0.0.1:5000": auth}}))
    words = ("run", private, *QUIET, "--", "python", "-c", "print('served')")

    _, refused = desk.type(*words, status=3, DOCKER_CONFIG=str(nobody))
    out, _ = desk.type(*words, DOCKER_CONFIG=str(known))

    assert "hint: docker login REGISTRY" in refused
    assert out == "served\n"
