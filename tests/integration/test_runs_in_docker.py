"""Both examples, loaded into a real Docker engine and run as hard as a platform may run them."""

import io
import json
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import tomli

from tests.docker_engine import PATIENCE, Engine
from tests.integration.conftest import REVISION, ROOT, Packed
from tests.running_container import HARDENED, RANDOM_USER, Container, container

pytestmark = [pytest.mark.integration, pytest.mark.slow]

GUARD_REFUSED = 78
NOT_FOUND = 127
NAMESPACE = "dev.modelpack."
PROBED_OFTEN = ("--health-interval=1s", "--health-start-period=60s")
SAY_SERVED = ("python", "-c", "print('served')")

SHELLS = {"sh", "bash", "dash", "rbash", "ash", "zsh", "ksh", "mksh", "csh", "tcsh", "busybox"}
PACKAGE_MANAGERS = {"apt", "apt-get", "dpkg", "dpkg-deb", "dpkg-query", "rpm", "apk", "pip", "pip3"}
WAYS_OUT = {"su", "sudo", "mount", "login", "perl", "curl", "wget", "nc", "ssh"}
# What `docker create` puts into every container; it also touches the folders around.
ENGINE_OWN = {".dockerenv", "dev", "proc", "sys", "etc/hostname", "etc/hosts", "etc/mtab"}
ENGINE_OWN |= {"etc/resolv.conf"}
ENGINE_TOUCHED = {"", ".", "etc"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One example: what was built, and its image in the engine."""

    packed: Packed
    spec: Any
    image: str
    engine: Engine

    def golden(self) -> list[Path]:
        """Return its golden requests."""
        return sorted((self.packed.project / "golden").glob("*.json"))


@pytest.fixture(scope="module", params=["digits", "minilm"])
def example(
    request: pytest.FixtureRequest, packed: Callable[[str], Packed], engine: Engine
) -> Example:
    """Build an example and load it."""
    built = packed(request.param)
    engine.ask("load", "--input", str(built.docker_archive))
    spec = tomli.loads((built.project / "modelpack.toml").read_text("utf-8"))
    return Example(packed=built, spec=spec, image=built.tag, engine=engine)


@pytest.fixture(scope="module")
def served(example: Example) -> Iterator[Container]:
    """Run it hardened and as a user that nobody planned for, until its weights are loaded."""
    options = (*HARDENED, RANDOM_USER, *PROBED_OFTEN)
    with container(example.engine, example.image, *options) as running:
        until_ready(running)
        yield running


def until_ready(running: Container) -> None:
    """Wait until the image's own health check says that the service is ready."""
    running.until("health", lambda: running.state()["Health"]["Status"] == "healthy")


def close(got: Any, want: Any, tolerance: float) -> bool:
    """Tell whether two JSON values are equal, numbers within `tolerance`."""
    if isinstance(want, dict):
        return got.keys() == want.keys() and all(close(got[k], want[k], tolerance) for k in want)
    if isinstance(want, list):
        return len(got) == len(want) and all(map(close, got, want, [tolerance] * len(want)))
    if isinstance(want, float):
        return abs(got - want) <= tolerance
    return bool(got == want)


def counted(metrics: str, line: str) -> float:
    """Return the sum of the Prometheus samples that begin with `line`."""
    return sum(float(row.split()[-1]) for row in metrics.splitlines() if row.startswith(line))


def test_every_golden_request_is_answered_with_the_true_values(
    example: Example, served: Container
) -> None:
    assert example.golden()
    for file in example.golden():
        case = json.loads(file.read_text("utf-8"))
        asked, want = case["request"], case["response"]
        status, body = served.request(asked["method"], asked["path"], asked["json"])

        assert status == want["status"], file.name
        assert close(json.loads(body), want["json"], case["tolerance"]["absolute"]), file.name


def test_version_label_record_and_inspection_name_the_same_weights(
    example: Example, served: Container
) -> None:
    status, body = served.request("GET", "/version")
    version = json.loads(body)
    inspected = inspect(example.packed)

    assert status == 200
    assert version == {
        "model": example.spec["model"]["name"],
        "version": example.spec["model"]["version"],
        "weights_digest": example.packed.record["weights"],
        "weights_verified": "full",
        "revision": REVISION,
    }
    assert labels(example)[f"{NAMESPACE}weights.digest"] == version["weights_digest"]
    assert inspected["claims"]["weights"] == version["weights_digest"]
    assert inspected["digest"] == example.packed.record["digest"]


def inspect(packed: Packed) -> Any:
    """Return what `modelpack inspect` says of the archive that was loaded."""
    image = f"docker-archive:{packed.docker_archive}"
    command = [sys.executable, "-m", "modelpack", "inspect", "--json", image]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    return json.loads(done.stdout)


def labels(example: Example) -> dict[str, str]:
    """Return the labels that the engine shows."""
    shown = example.engine.ask("inspect", "--format={{json .Config.Labels}}", example.image)
    answer: dict[str, str] = json.loads(shown)
    return answer


def test_metrics_count_what_was_answered(example: Example, served: Container) -> None:
    asked = json.loads(example.golden()[0].read_text("utf-8"))["request"]
    line = f'http_requests_total{{path="{asked["path"]}",status="200"}}'
    before = counted(served.request("GET", "/metrics")[1], line)

    assert served.request(asked["method"], asked["path"], asked["json"])[0] == 200

    served.until("count", lambda: counted(served.request("GET", "/metrics")[1], line) > before)


def test_guard_checked_every_byte_before_the_service_started(
    example: Example, served: Container
) -> None:
    events = served.events()
    weights = inspect(example.packed)["weights"]

    assert [event["event"] for event in events][-2:] == ["guard.verified", "guard.exec"]
    assert events[-2]["mode"] == "full"
    assert events[-2]["digest"] == example.packed.record["weights"]
    assert events[-2]["files"] == len(weights)
    assert events[-2]["bytes"] == sum(file["size"] for file in weights)


def test_process_has_no_way_to_write_or_to_gain_rights(example: Example, served: Container) -> None:
    status = served.python("print(open('/proc/1/status').read())")
    facts = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    refused = served.python(
        "import errno\n"
        "for path in ('/app/x', '/models/x', '/usr/share/modelpack/weights.json', '/tmp/x'):\n"
        "    try: open(path, 'a')\n"
        "    except OSError as error: print(errno.errorcode[error.errno])"
    )

    assert facts["Uid"].split() == ["54321"] * 4
    assert facts["Gid"].split() == ["0"] * 4
    assert int(facts["CapEff"], 16) == int(facts["CapPrm"], 16) == 0
    assert facts["NoNewPrivs"] == "1"
    assert len(refused.split()) == 4
    assert set(refused.split()) <= {"EROFS", "EACCES"}
    assert refused.split()[-1] == "EROFS"  # where the mode would allow it


def test_interpreter_finds_certificates_and_libraries(example: Example, served: Container) -> None:
    found = served.python(
        "import ssl, ctypes.util, sqlite3, zoneinfo, hashlib, lzma, bz2, json\n"
        "facts = [len(ssl.create_default_context().get_ca_certs())]\n"
        "facts += [ctypes.util.find_library('c')]\n"
        "print(json.dumps([*facts, zoneinfo.ZoneInfo('Europe/Zurich').key]))"
    )
    certificates, libc, zone = json.loads(found)

    assert certificates > 50
    assert libc == "libc.so.6"
    assert zone == "Europe/Zurich"


def test_service_runs_as_the_images_own_user_and_ends_in_time_on_sigterm(example: Example) -> None:
    with container(example.engine, example.image, *HARDENED, *PROBED_OFTEN) as running:
        until_ready(running)
        assert running.python("import os; print(os.getuid(), os.getgid())") == "10001 0"

        example.engine.ask("stop", f"--time={PATIENCE}", running.name)

        state = running.state()
        assert state["ExitCode"] == 0, running.log()
        assert not state["OOMKilled"]


def corrupt(example: Example, name: str, damage: Callable[[bytearray], None]) -> str:
    """Return the id of an image like the example's, in which a weight file was replaced."""
    folder = example.spec["weights"].get("destination", f"/models/{example.packed.project.name}")
    data = bytearray((example.packed.project / "weights" / name).read_bytes())
    damage(data)
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(data), 0o644
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        archive.addfile(member, io.BytesIO(data))
    with container(example.engine, example.image, command="create") as created:
        example.engine.ask("cp", "-", f"{created.name}:{folder}", stdin=stream.getvalue())
        return example.engine.ask("commit", created.name)


@pytest.fixture(scope="module")
def shard(example: Example) -> Path:
    """Return the example's last shard."""
    return max((example.packed.project / "weights").glob("*.safetensors"))


@pytest.fixture(scope="module")
def flipped(example: Example, shard: Path) -> tuple[str, int]:
    """Return an image with one wrong bit in a shard, and the offset of its byte."""
    offset = shard.stat().st_size * 2 // 3

    def damage(data: bytearray) -> None:
        data[offset] ^= 0x10

    return corrupt(example, shard.name, damage), offset


@pytest.mark.parametrize("mode", ["", "full", "fast", "off"])
def test_one_wrong_bit_is_refused_in_every_mode_that_the_environment_asks_for(
    example: Example, shard: Path, flipped: tuple[str, int], mode: str
) -> None:
    image, offset = flipped
    options = (*HARDENED, RANDOM_USER, f"--env=MODELPACK_VERIFY={mode}")
    with container(example.engine, image, *options) as refused:
        assert refused.wait() == GUARD_REFUSED

        events = {event["event"]: event for event in refused.events()}
        assert events["guard.bad"]["file"].endswith(f"/{shard.name}")
        assert events["guard.bad"]["reason"] == "content"
        assert events["guard.bad"]["first"] <= offset <= events["guard.bad"]["last"]
        assert events["guard.refused"]["bad_files"] == 1
        assert "guard.exec" not in events


def test_truncated_shard_is_refused_and_the_command_never_starts(
    example: Example, shard: Path
) -> None:
    image = corrupt(example, shard.name, lambda data: data.__delitem__(slice(-1, None)))

    refused = example.engine.run("run", "--rm", *HARDENED, RANDOM_USER, image, *SAY_SERVED)
    intact = example.engine.run("run", "--rm", *HARDENED, RANDOM_USER, example.image, *SAY_SERVED)

    assert (refused.returncode, refused.stdout) == (GUARD_REFUSED, b"")
    assert b'"reason": "truncated"' in refused.stderr
    assert (intact.returncode, intact.stdout) == (0, b"served\n")


@pytest.mark.parametrize("program", ["sh", "/bin/sh", "bash", "dash", "apt", "apt-get", "dpkg"])
def test_program_cannot_be_started(example: Example, program: str) -> None:
    done = example.engine.run("run", "--rm", *HARDENED, f"--entrypoint={program}", example.image)

    assert done.returncode == NOT_FOUND
    assert b"not found" in done.stderr or b"no such file" in done.stderr


@pytest.fixture(scope="module")
def files(example: Example) -> list[tarfile.TarInfo]:
    """Return every entry of the container's file system but for the engine's own."""
    with container(example.engine, example.image, command="create") as created:
        export = example.packed.project.parent / "export.tar"
        example.engine.ask("export", f"--output={export}", created.name)
    with tarfile.open(export) as archive:
        members = [
            member for member in archive
            if member.name not in ENGINE_OWN and member.name.split("/")[0] not in ENGINE_OWN
        ]  # fmt: skip
    export.unlink()
    return members


def test_file_system_has_no_shell_no_package_manager_and_no_way_out(
    files: list[tarfile.TarInfo],
) -> None:
    names = {PurePosixPath(member.name).name for member in files if not member.isdir()}
    programs = {
        PurePosixPath(member.name).name
        for member in files
        if not member.isdir() and PurePosixPath(member.name).parent.name in ("bin", "sbin")
    }

    assert "python3.13" in programs  # what is looked for would be found
    assert not programs & (SHELLS | PACKAGE_MANAGERS | WAYS_OUT)
    assert not names & {"dash", "busybox", "apt-get", "dpkg-deb", "dpkg-query"}


def test_file_system_has_no_setuid_and_nothing_that_others_may_write(
    files: list[tarfile.TarInfo],
) -> None:
    writable = {
        member.name: oct(member.mode & 0o7777) for member in files
        if member.mode & 0o002 and not member.issym()
    }  # fmt: skip

    assert len(files) > 1000
    assert not [member.name for member in files if member.mode & 0o6000]
    assert not [member.name for member in files if "security.capability" in str(member.pax_headers)]
    assert writable == {"tmp": "0o1777", "var/tmp": "0o1777"}
    assert not [member.name for member in files if member.isdev()]


def test_file_system_belongs_to_group_0_and_knows_no_time(files: list[tarfile.TarInfo]) -> None:
    owned = {member.name for member in files if member.uid != 0}

    assert {member.gid for member in files} == {0}
    assert owned == {"home/app"}
    touched = [m.name for m in files if m.mtime != 0 and m.name not in ENGINE_TOUCHED]
    assert not touched


def test_labels_say_what_the_author_claimed(example: Example) -> None:
    model, found = example.spec["model"], labels(example)
    data = json.loads(found[f"{NAMESPACE}training.data"])
    claimed = example.spec["training"]["data"]

    assert {key: found[f"{NAMESPACE}model.{key}"] for key in ("name", "version", "task")} == {
        key: model[key] for key in ("name", "version", "task")
    }
    assert found[f"{NAMESPACE}model.architecture"] == model["architecture"]
    assert found[f"{NAMESPACE}model.framework"] == model["framework"]
    assert found.get(f"{NAMESPACE}model.base") == model.get("base")
    assert found["org.opencontainers.image.title"] == model["name"]
    assert found["org.opencontainers.image.version"] == model["version"]
    assert found["org.opencontainers.image.licenses"] == model["license"]
    assert found["org.opencontainers.image.description"] == model["description"]
    assert found["org.opencontainers.image.revision"] == REVISION
    assert found[f"{NAMESPACE}plan.digest"] == example.packed.record["plan"]
    assert found[f"{NAMESPACE}lock.digest"] == example.packed.record["lock"]
    assert [{k: v for k, v in item.items() if v} for item in data] == claimed


def test_configuration_is_what_the_author_asked_for(example: Example) -> None:
    config = json.loads(example.engine.ask("inspect", "--format={{json .Config}}", example.image))
    runtime = example.spec["runtime"]
    size = sum(file["size"] for file in inspect(example.packed)["weights"])
    seconds = config["Healthcheck"]["StartPeriod"] / 1_000_000_000

    assert config["User"] == "10001:0"
    assert config["Cmd"] == example.spec["code"]["command"]
    assert config["Entrypoint"][-1] == "/usr/share/modelpack/guard.py"
    assert config["ExposedPorts"] == {f"{runtime['port']}/tcp": {}}
    assert config["Healthcheck"]["Test"][-1].endswith(runtime["health"]["ready"])
    assert seconds >= 20 + 2 * size / 150_000_000
    for key, value in runtime["environment"].items():
        assert f"{key}={value}" in config["Env"]


def test_history_names_the_layers_in_order(example: Example) -> None:
    made = example.engine.ask("history", "--no-trunc", "--format={{.CreatedBy}}", example.image)
    steps = [layer["step"] for layer in example.packed.record["layers"]]

    assert list(reversed(made.splitlines())) == [f"modelpack {step}" for step in steps]
    assert [step for index, step in enumerate(steps) if step not in steps[:index]] == [
        "base", "dependencies", "weights", "code", "meta",
    ]  # fmt: skip
