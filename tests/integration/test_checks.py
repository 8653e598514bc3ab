"""The author's checks run with what the image holds, and with nothing of this machine."""

import gzip
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tests import base_images, projects
from tests.docker_engine import Engine, EngineError
from tests.fakes.registry_server import running_registry
from tests.podman_engine import running_podman

pytestmark = [pytest.mark.integration, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
REFUSED, WRONG, UNAVAILABLE = 1, 2, 3
SECRET = "a-secret-of-this-machine"
DEVTOOL = {
    "devtool/__init__.py": b"def answer():\n    return 42\n",
    "devtool-1.0.dist-info/entry_points.txt": b"[console_scripts]\ndevtool = devtool:answer\n",
}
HOSTS_VERSION = "import numpy; assert numpy.__version__ == '1.0+host', numpy.__version__"
LATE = (
    "import subprocess, sys, time; print('started', flush=True); "
    "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep({0})'], "
    "start_new_session=True); time.sleep({0})"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """An example that was built, and wheels that only its checks may see."""

    project: Path
    wheels: Path
    host: Path
    "packages that this machine has"
    spec: str
    engine: str = ""
    "address of an engine; empty: there is none"
    namespaces: bool = True
    "whether this machine gives them to users"

    def write(self, checks: dict[str, list[str]], *, development: dict[str, str]) -> None:
        """Give the project these checks, and a development lock of these wheels."""
        lines = [f"{name} = {json.dumps(argv)}\n" for name, argv in checks.items()]
        key = 'development = "dev.lock"\n' if development else ""
        spec = self.spec.replace("[dependencies]\n", f"[dependencies]\n{key}")
        text = f"{spec}\n[checks]\n{''.join(lines)}"
        (self.project / "modelpack.toml").write_text(text, "utf-8")
        pins = [f"{line} --hash=sha256:{digest}\n" for line, digest in development.items()]
        (self.project / "dev.lock").write_text("".join(pins), "utf-8")

    def wheel(self, name: str, version: str, files: dict[str, bytes]) -> dict[str, str]:
        """Put a wheel where pip finds it; return what pins it."""
        content = projects.wheel(name, version, files)
        (self.wheels / f"{name}-{version}-py3-none-any.whl").write_bytes(content)
        return {f"{name}=={version}": hashlib.sha256(content).hexdigest()}

    def command(self, *options: str) -> list[str]:
        """Return the command line of a check."""
        options = (*(["--engine"] if self.engine else []), *options)
        return [sys.executable, "-m", "modelpack", "check", "--run", *options, str(self.project)]

    @property
    def environment(self) -> dict[str, str]:
        """Return an environment with a secret, and no package index but the folder of wheels."""
        return {
            **os.environ, "SECRET_TOKEN": SECRET, "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(self.wheels),
            "PYTHONPATH": str(self.host),
            "DOCKER_HOST": self.engine or f"unix://{self.project}/nobody.sock",
        }  # fmt: skip

    def run(self, *options: str) -> subprocess.CompletedProcess[str]:
        """Run the checks."""
        return subprocess.run(
            self.command(*options), cwd=ROOT, env=self.environment, capture_output=True, text=True,
            check=False,
        )  # fmt: skip


@pytest.fixture(scope="module")
def desk(
    tmp_path_factory: pytest.TempPathFactory, unavailable: Callable[[str], None]
) -> Desk:  # fmt: skip
    folder = tmp_path_factory.mktemp("checks")
    project = folder / "digits"
    ignored = shutil.ignore_patterns("dist", ".download")
    shutil.copytree(ROOT / "examples" / "digits", project, ignore=ignored)
    (project / "notes.txt").write_text("not packed", "utf-8")
    (folder / "wheels").mkdir()
    (folder / "host").mkdir()
    (folder / "host" / "numpy.py").write_text('__version__ = "1.0+host"\n', "utf-8")
    spec = (project / "modelpack.toml").read_text("utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "modelpack", "build", "--revision", "none", str(project)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode == UNAVAILABLE:
        unavailable(f"building digits: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
    made = Desk(project=project, wheels=folder / "wheels", host=folder / "host", spec=spec)
    made.write({"namespaces": ["true-is-not-here"]}, development={})
    tried = made.run()
    return replace(made, namespaces="gives no namespaces" not in tried.stderr)


@pytest.fixture(params=["namespaces", "docker", "podman"])
def room(request: pytest.FixtureRequest, desk: Desk, unavailable: Callable[[str], None]) -> Desk:
    """Return the desk with one way to run checks, and no other."""
    if request.param == "namespaces":
        if not desk.namespaces:
            unavailable("this machine gives no namespaces to users")
        return desk
    if request.param == "docker":
        running: Engine = request.getfixturevalue("engine")
        return replace(desk, engine=f"unix://{running.socket}")
    return replace(desk, engine=f"unix://{request.getfixturevalue('podman_socket')}")


@pytest.fixture(scope="module")
def podman_socket(
    require_tool: Callable[[str], str], unavailable: Callable[[str], None]
) -> Iterator[Path]:
    if os.geteuid() != 0:
        unavailable("a podman of one's own needs root")
    with ExitStack() as stack:
        try:
            running = stack.enter_context(running_podman(require_tool("podman")))
        except EngineError as error:
            unavailable(str(error))
            raise
        yield running


def states(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    document = json.loads(done.stdout)
    return {check["name"]: check["status"] for check in document["checks"]["checks"]}


def python(code: str) -> list[str]:
    return ["python", "-c", code]


def test_checks_see_the_image_and_nothing_else(room: Desk) -> None:
    desk = room
    pin = desk.wheel("devtool", "1.0", DEVTOOL)
    weights = "/models/digits/model-00001-of-00002.safetensors"
    desk.write({
        "own-packages": python("import numpy, sys; assert sys.prefix == '/opt/venv'"),
        "development": python("import devtool; assert devtool.answer() == 42"),
        "code": python("import service, os; assert os.getcwd() == '/app'"),
        "weights": python(f"assert open({weights!r}, 'rb').read(8)"),
        "user": python("import os; assert (os.getuid(), os.getgid()) == (10001, 0)"),
        "home": python("import pathlib; (pathlib.Path.home() / 'x').write_text('x')"),
        "loopback": python(
            "import socket; s = socket.create_server(('127.0.0.1', 0)); "
            "socket.create_connection(s.getsockname(), 3)"
        ),
        "host-packages": python("import hypothesis"),
        "host-versions": python(HOSTS_VERSION),
        "host-files": python(f"open({str(desk.project / 'notes.txt')!r})"),
        "not-packed": python("open('notes.txt')"),
        "network": python("import socket; socket.create_connection(('192.0.2.1', 80), 3)"),
        "environment": python(
            "import os; assert os.environ['HOME'] == '/home/app'; "
            "assert os.environ['PATH'].startswith('/opt/venv/bin:'); "
            "assert 'SECRET_TOKEN' not in os.environ and 'PIP_NO_INDEX' not in os.environ"
        ),
        "others": python(
            "import glob; found = [open(p, 'rb').read() for p in glob.glob('/proc/[0-9]*/cmdline')]"
            "; assert len(found) < 4, found"
        ),
        "write-code": python("open('service/new.py', 'w')"),
        "write-weights": python(f"open({weights!r}, 'ab')"),
        "status": python("raise SystemExit(7)"),
        "signal": python("import os; os.kill(os.getpid(), 11)"),
        "script": ["devtool"],
        "temporary": python(
            "import os, pathlib, subprocess; tool = pathlib.Path('/var/tmp/tool'); "
            "tool.write_text('#!/usr/bin/python3\\n'); tool.chmod(0o755); "
            "subprocess.run([tool], check=True)"
        ),
        "program": ["nothing-of-this-name"],
    }, development=pin)  # fmt: skip
    done = desk.run("--json")
    assert done.returncode == REFUSED, done.stderr
    assert states(done) == {
        "own-packages": 0, "development": 0, "code": 0, "weights": 0, "user": 0, "home": 0,
        "loopback": 0, "environment": 0, "others": 0,
        "signal": -11, "script": 42, "temporary": 0,
        "host-packages": 1, "host-versions": 1, "host-files": 1, "not-packed": 1,
        "network": 1, "write-code": 1, "write-weights": 1, "status": 7, "program": 127,
    }  # fmt: skip
    assert "No module named 'hypothesis'" in done.stderr
    assert "Network is unreachable" in done.stderr
    # With what this machine has that check passes.
    here = [sys.executable, "-c", HOSTS_VERSION]
    subprocess.run(here, env=desk.environment, check=True, cwd="/")
    assert SECRET not in done.stdout + done.stderr


def test_what_they_say_is_kept_and_signed_only_if_all_passed(desk: Desk, tmp_path: Path) -> None:
    pin = desk.wheel("devtool", "1.0", DEVTOOL)
    key = tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", str(key)],
        check=True,
    )
    modelpack = [sys.executable, "-m", "modelpack"]
    sign = [*modelpack, "sign", str(desk.project), f"--key={key}", "--no-log"]

    def signing() -> subprocess.CompletedProcess[str]:
        return subprocess.run(sign, cwd=ROOT, capture_output=True, text=True, check=False)

    def build() -> None:
        subprocess.run(
            [*modelpack, "build", "-q", "--revision", "none", str(desk.project)], cwd=ROOT,
            check=True, capture_output=True,
        )  # fmt: skip

    def write(code: str) -> None:
        desk.write({"tool": python(code)}, development=pin)
        path = desk.project / "modelpack.toml"
        path.write_text(path.read_text("utf-8") + '[sign]\nrequire = ["checks"]\n', "utf-8")

    write("import devtool; print('ran'); raise SystemExit(3)")
    build()
    assert not (desk.project / "dist" / "checks.json").exists()
    assert "was not run here" in signing().stderr
    failed = desk.run("--json")
    assert failed.returncode == REFUSED, failed.stderr
    assert json.loads(failed.stdout)["checks"]["attached"] is True
    statement = json.loads((desk.project / "dist" / "checks.json").read_text("utf-8"))
    assert statement["predicate"]["result"] == "FAILED"
    assert statement["predicate"]["failedTests"] == ["tool"]
    refused = signing()
    assert refused.returncode == REFUSED
    assert "did not pass" in refused.stderr

    write("import devtool")
    unkept = desk.run("--json")  # of a spec that no image was built of yet
    assert unkept.returncode == 0, unkept.stderr
    assert json.loads(unkept.stdout)["checks"]["attached"] is False
    build()
    passed = desk.run("--json")
    assert json.loads(passed.stdout)["checks"]["attached"] is True
    statement = json.loads((desk.project / "dist" / "checks.json").read_text("utf-8"))
    names = [item["name"] for item in statement["predicate"]["configuration"]]
    assert "development/devtool-1.0-py3-none-any.whl" in names
    (command,) = [i for i in statement["predicate"]["configuration"] if i["name"] == "check/tool"]
    assert command["annotations"]["dev.modelpack.checks.status"] == 0
    signed = signing()
    assert signed.returncode == 0, signed.stderr
    assert "predicates/checks/v1" in signed.stdout
    assert_judged(desk, key)
    # Nothing of it is in the image.
    bill = (desk.project / "dist" / "sbom.cdx.json").read_text("utf-8")
    assert "numpy" in bill
    assert "devtool" not in bill


def assert_judged(desk: Desk, key: Path) -> None:
    """A policy asks for checks by name, and for metrics by bounds that are not the author's."""
    public, policy = key.with_name("key.pub"), key.with_name("policy.toml")
    subprocess.run(
        ["openssl", "ec", "-in", str(key), "-pubout", "-out", str(public)], check=True,
        capture_output=True,
    )  # fmt: skip

    def verify(check: str, bound: str) -> tuple[int, dict[str, str]]:
        policy.write_text(
            'schema = 1\nlog = false\n[signers.release]\nkey = "key.pub"\n'
            '[signature]\nsigners = ["release"]\n'
            f'[checks]\nrequired = ["{check}"]\nmax-age = "1d"\n'
            f'[evaluation]\nrequire = {{ accuracy = "{bound}" }}\n', "utf-8",
        )  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-m", "modelpack", "verify", str(desk.project), "--json",
             f"--policy={policy}"], cwd=ROOT, capture_output=True, text=True, check=False,
        )  # fmt: skip
        (judged,) = json.loads(done.stdout)["judged"]
        return done.returncode, {one["name"]: one["outcome"] for one in judged["requirements"]}

    met = {"signature": "met", "checks": "met", "evaluation": "met"}
    assert verify("tool", ">= 0.97") == (0, met)
    assert verify("lint", ">= 0.97") == (REFUSED, {**met, "checks": "failed"})
    assert verify("tool", ">= 0.98") == (REFUSED, {**met, "evaluation": "failed"})


def test_the_statement_says_the_same_wherever_they_ran(room: Desk) -> None:
    room.write({"good": python("import numpy"), "bad": ["false-is-not-here"]}, development={})
    subprocess.run(
        [sys.executable, "-m", "modelpack", "build", "-q", "--revision", "none",
         str(room.project)], cwd=ROOT, check=True, capture_output=True,
    )  # fmt: skip
    done = room.run("--json")
    assert done.returncode == REFUSED, done.stderr
    said = json.loads(done.stdout)["checks"]
    assert said["attached"] is True
    predicate = json.loads((room.project / "dist" / "checks.json").read_text("utf-8"))["predicate"]
    runner = predicate["metadata"]["runner"]
    assert runner["name"] == ("namespaces" if not room.engine else said["runner"]["name"])
    assert ("version" in runner) == bool(room.engine)
    built = json.loads((room.project / "dist" / "build.json").read_text("utf-8"))
    given = {one["name"]: one["digest"]["sha256"] for one in predicate["configuration"]}
    assert f"sha256:{given['plan']}" == built["plan"]
    assert (predicate["passedTests"], predicate["failedTests"]) == (["good"], ["bad"])
    states = {
        one["name"]: one["annotations"]["dev.modelpack.checks.status"]
        for one in predicate["configuration"] if "annotations" in one
    }  # fmt: skip
    assert states == {"check/good": 0, "check/bad": 127}
    shown = subprocess.run(
        [sys.executable, "-m", "modelpack", "inspect", "--json", str(room.project)], cwd=ROOT,
        check=True, capture_output=True,
    )  # fmt: skip
    (claim,) = [
        one["verdict"] for one in json.loads(shown.stdout)["referrers"] if one["what"] == "checks"
    ]
    assert claim["by"] == " ".join(runner.values())
    assert claim["names"] == {"failed": ["bad"], "passed": ["good"]}


def without_namespaces(root: Path, command: list[str], engine: str) -> tuple[int, str, str]:
    """Run a command where the kernel gives no user namespace: below another root.

    Source: unshare(2), EPERM.
    """
    root.mkdir()
    script = 'mount --rbind / "$0" && exec chroot "$0" env --chdir="$1" -- "${@:2}"'
    done = subprocess.run(
        ["unshare", "--mount", "--", "bash", "-c", script, root, ROOT, *command],
        env={**os.environ, "DOCKER_HOST": engine}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def test_a_machine_without_namespaces_takes_an_engine(
    desk: Desk, engine: Engine, tmp_path: Path
) -> None:
    desk.write({"numpy": python("import numpy"), "host": python("import hypothesis")},
               development={})  # fmt: skip
    command = desk.command("--json")
    status, out, err = without_namespaces(
        tmp_path / "one", command, f"unix://{engine.socket}"
    )  # fmt: skip
    assert status == REFUSED, err
    found = json.loads(out)["checks"]
    assert {one["name"]: one["status"] for one in found["checks"]} == {"numpy": 0, "host": 1}
    assert found["runner"]["name"] == "docker"
    assert "this machine gives no namespaces to users" in err
    assert not engine.ask("images", "--all", "--quiet")
    assert not engine.ask("ps", "--all", "--quiet")

    status, out, err = without_namespaces(
        tmp_path / "other", desk.command(), f"unix://{tmp_path}/nobody.sock"
    )  # fmt: skip
    assert status == UNAVAILABLE, err
    assert "gives no namespaces" in err
    assert "nobody.sock" in err
    assert "start Docker or podman" in err


def test_programs_of_a_base_of_others_are_run_in_an_engine_only(
    desk: Desk, engine: Engine, tmp_path: Path
) -> None:
    """The base is the example's own, put into a registry as somebody's image."""
    desk.write({"any": python("pass")}, development={})
    built = [sys.executable, "-m", "modelpack", "build", "-q", "--revision", "none"]
    subprocess.run([*built, str(desk.project)], cwd=ROOT, check=True, capture_output=True)
    layout = desk.project / "dist" / "image"
    record = json.loads((desk.project / "dist" / "build.json").read_text("utf-8"))
    base = next(one for one in record["layers"] if one["step"] == "base")["digest"]
    tar = gzip.decompress((layout / "blobs" / base.replace(":", "/")).read_bytes())
    foreign = tmp_path / "foreign"
    ignored = shutil.ignore_patterns("dist", "modelpack.lock")
    shutil.copytree(desk.project, foreign, ignore=ignored)
    with running_registry() as registry:
        name = base_images.image(tar, run={"Env": ["PATH=/usr/bin"]}).put(registry, "a/py", "1")
        spec = desk.spec.replace('base = "debian:13"', f'base = "{name}"')
        other = replace(desk, project=foreign, spec=spec, engine=f"unix://{engine.socket}")
        other.write({"own": python("import numpy, service"), "host": python("import hypothesis")},
                    development=other.wheel("devtool", "1.0", DEVTOOL))  # fmt: skip
        lock = [sys.executable, "-m", "modelpack", "lock", str(foreign)]
        subprocess.run(lock, cwd=ROOT, check=True, capture_output=True)
        command = [word for word in other.command("--json") if word != "--engine"]
        done = subprocess.run(
            command, cwd=ROOT, env=other.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == REFUSED, done.stderr
        assert states(done) == {"own": 0, "host": 1}
        assert json.loads(done.stdout)["checks"]["runner"]["name"] == "docker"
        assert f"nobody here vouches for the programs of `{name}`" in done.stderr


def test_other_versions_than_the_images_are_refused(desk: Desk) -> None:
    pin = desk.wheel("numpy", "1.0", {"numpy/__init__.py": b""})
    desk.write({"any": python("import numpy")}, development=pin)
    done = desk.run()
    assert done.returncode == REFUSED, done.stderr
    assert "`dev.lock` pins numpy 1.0, the image has" in done.stderr


@pytest.mark.parametrize("room", ["namespaces", "docker"], indirect=True)
def test_a_wheel_that_changes_a_file_of_the_image_is_refused(room: Desk) -> None:
    desk = room
    pin = desk.wheel("sneaky", "1.0", {"numpy/__init__.py": b"evil"})
    desk.write({"any": python("import numpy")}, development=pin)
    done = desk.run()
    assert done.returncode == REFUSED, done.stderr
    assert "numpy/__init__.py`, which the image holds" in done.stderr


@pytest.mark.parametrize("room", ["namespaces", "podman"], indirect=True)
def test_output_cannot_steer_a_terminal_and_ends_somewhere(room: Desk) -> None:
    desk = room
    code = "import sys; sys.stdout.write(chr(27) + '[31mred\\n' + ('x' * 60 + '\\n') * 60000)"
    desk.write({"loud": python(code)}, development={})
    done = desk.run()
    assert done.returncode == 0
    assert "\x1b" not in done.stderr
    assert "\\x1b[31mred" in done.stderr
    assert "left out" in done.stderr
    assert len(done.stderr) < 3_000_000


@pytest.mark.parametrize("room", ["namespaces", "docker"], indirect=True)
def test_what_takes_too_long_is_killed_with_all_that_it_started(room: Desk) -> None:
    seconds = 100_000 + os.getpid()
    room.write({"slow": python(LATE.format(seconds))}, development={})
    done = room.run("--timeout", "2", "--json")
    assert done.returncode == REFUSED
    (check,) = json.loads(done.stdout)["checks"]["checks"]
    assert check["state"] == "late"
    assert not sleeping(seconds)


@pytest.mark.parametrize("room", ["namespaces", "docker"], indirect=True)
def test_ctrl_c_kills_all_that_a_check_started(room: Desk) -> None:
    desk = room
    seconds = 200_000 + os.getpid()
    desk.write({"slow": python(LATE.format(seconds))}, development={})
    with subprocess.Popen(
        desk.command(), cwd=ROOT, env=desk.environment, stderr=subprocess.PIPE, text=True
    ) as running:
        assert running.stderr is not None
        for line in running.stderr:
            if "started" in line:
                break
        running.send_signal(signal.SIGINT)
        running.communicate(timeout=60)
    assert running.returncode not in (0, REFUSED)
    assert not sleeping(seconds)


def sleeping(seconds: int) -> bool:
    """Tell whether a process with this number in its command is left, after a moment."""
    mark = f"time.sleep({seconds})".encode()
    for _ in range(50):
        if not any(mark in command_of(path) for path in Path("/proc").glob("[0-9]*/cmdline")):
            return False
        time.sleep(0.1)
    return True


def command_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_docker_build_runs_them_too_and_keeps_nothing(
    desk: Desk, engine: Engine, tmp_path: Path
) -> None:  # fmt: skip
    pin = desk.wheel("devtool", "1.0", DEVTOOL)
    good = python(
        "import devtool, numpy, os; assert (os.getuid(), os.getcwd()) == (10001, '/app'); "
        "print('all', 'is', 'there', sep='-')"
    )
    alone = python("import socket; socket.create_connection(('192.0.2.1', 80), 3)")

    def render(checks: dict[str, list[str]]) -> Path:
        desk.write(checks, development=pin)
        place = tmp_path / "context"
        subprocess.run(
            [sys.executable, "-m", "modelpack", "render", "-q", "--wheels",
             "--revision", "none", f"--output={place}", str(desk.project)],
            cwd=ROOT, env=desk.environment, check=True, capture_output=True,
        )  # fmt: skip
        return place

    def build(place: Path, tag: str, *options: str) -> tuple[int, str]:
        done = engine.build(place, tag, "--network=none", *options, buildkit=True)
        return done.returncode, (done.stdout + done.stderr).decode()

    place = render({"good": good, "network": alone})
    status, said = build(place, "checked", "--target=check")
    assert status != 0
    assert "all-is-there" in said
    assert "Network is unreachable" in said
    # A plain build runs none of them, and its image has none of what they need.
    status, said = build(place, "plain")
    assert status == 0, said
    # All that it is stands before the stage: no layer, no step, no setting of the checks.
    status, said = build(place, "before", "--target=image")
    assert status == 0, said
    of_both = {
        engine.ask("inspect", "--format={{json .RootFS}} {{json .Config}}", tag)
        for tag in ("plain", "before")
    }
    assert len(of_both) == 1
    assert "all-is-there" not in engine.ask("history", "--no-trunc", "plain")
    site = "import importlib.util as i; assert i.find_spec('numpy') and not i.find_spec('devtool')"
    engine.ask("run", "--rm", "--network=none", "--entrypoint=/opt/venv/bin/python", "plain", "-c",
               site)  # fmt: skip
    config = json.loads(engine.ask("inspect", "--format={{json .Config}}", "plain"))
    assert config["User"] == "10001:0"
    assert config["Cmd"] == ["python", "-m", "service"]
