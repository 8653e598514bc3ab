"""`modelpack run`: what the engine is asked for, what a person sees, how it ends."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from modelpack.oci.archive import Streamed
from modelpack.oci.image import Image
from modelpack.oci.layout import Layout
from modelpack.spec import Weights
from tests import values
from tests.command_line import PATIENCE, Done, run_here
from tests.described_image import complete
from tests.fakes.fake_engine import FakeEngine, Script
from tests.images import put

IMAGE = complete().image()
IMAGE_ID = IMAGE.config_blob.digest
MOUNTED = complete(
    spec=values.spec(
        weights=(
            Weights(name="digits", path="weights", destination="/models/digits", mode="mount"),
        )
    )
)
TOML = """\
schema = 1
[model]
name = "digits"
version = "1.0.0"
[weights]
path = "weights"
mode = "mount"
[code]
command = ["python", "-m", "service"]
"""


@pytest.fixture(autouse=True)
def _here(fake: FakeEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in a folder of the test, with the fake engine."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DOCKER_HOST", fake.url)


@pytest.fixture
def layout(tmp_path: Path) -> str:
    """Return the name of a layout with the image."""
    return layout_of(tmp_path / "layout", IMAGE)


def layout_of(folder: Path, image: Image) -> str:
    with Layout(folder) as store:
        put(store, image, "1.0.0")
    return f"oci:{folder}"


def archive_of(image: Image, name: str) -> bytes:
    """Return a whole image as an engine keeps it."""
    return b"".join(Streamed(image.manifest_blob, image.blobs, names=[name]))


def run(
    capsys: pytest.CaptureFixture[str], *arguments: object, status: int = 0
) -> Done:  # fmt: skip
    """Run the command, which ends with a status that may be a container's."""
    done = run_here(capsys, "run", *arguments, statuses=range(256))
    assert done.status == status, done.err
    return done


def host_config(fake: FakeEngine) -> dict[str, Any]:
    found: dict[str, Any] = fake.last.asked["HostConfig"]
    return found


def test_the_container_can_write_nowhere_and_gain_nothing(
    fake: FakeEngine, layout: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run(capsys, layout)

    asked = host_config(fake)
    assert fake.last.asked["Image"] == IMAGE_ID
    assert asked["ReadonlyRootfs"] is True
    assert asked["CapDrop"] == ["ALL"]
    assert asked["SecurityOpt"] == ["no-new-privileges"]
    assert asked["Tmpfs"] == {"/tmp": "rw,noexec,nosuid,nodev"}
    assert asked["PortBindings"] == {"8080/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8080"}]}
    assert asked["NetworkMode"] == "default"
    assert not asked.get("Mounts")
    assert not asked.get("DeviceRequests")
    assert not asked.get("Privileged")
    assert not fake.last.asked.get("User")  # the image's own


def test_an_image_that_the_engine_has_is_not_loaded_again(
    fake: FakeEngine, layout: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run(capsys, layout)
    run(capsys, layout)

    assert fake.loads == 1
    assert len(fake.removed) == len(fake.containers) == 2


def test_the_image_last_built_of_a_project_gets_its_own_name(
    fake: FakeEngine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    layout_of(tmp_path / "dist" / "image", IMAGE)

    run(capsys)

    assert fake.names == {"digits:1.0.0": IMAGE_ID}


def test_an_image_of_somebody_takes_no_name_away(
    fake: FakeEngine, layout: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run(capsys, layout)

    assert fake.names == {}


@pytest.mark.parametrize("status", [0, 1, 5, 255])
def test_the_exit_status_is_the_containers(
    status: int, fake: FakeEngine, layout: str, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.script = Script(status=status)

    run(capsys, layout, status=status)

    assert fake.removed == [fake.last.id]


def test_everything_that_a_service_writes_is_log(fake: FakeEngine, layout: str) -> None:
    fake.script = Script(stdout=b"to stdout\n", stderr=b"to stderr \xff\n")

    done = written(layout)

    assert done.stdout == b""
    assert b"to stdout\n" in done.stderr
    assert b"to stderr \xff\n" in done.stderr


def test_what_a_command_prints_is_the_result(fake: FakeEngine, layout: str) -> None:
    fake.script = Script(stdout=b"3.13\n", stderr=b"log\n")

    done = written(layout, "--", "python", "-V", "--json")

    assert done.stdout == b"3.13\n"
    assert b"log\n" in done.stderr
    assert fake.last.asked["Cmd"] == ["python", "-V", "--json"]


def written(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    """Run the command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "modelpack", "run", *arguments], capture_output=True, check=True,
        timeout=PATIENCE,
    )  # fmt: skip


def test_words_behind_two_dashes_are_the_command_without_an_image_too(
    fake: FakeEngine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    layout_of(tmp_path / "dist" / "image", IMAGE)

    run(capsys, "--", "-c", "--", "x")

    assert fake.last.asked["Cmd"] == ["-c", "--", "x"]


def test_limits_user_variables_and_gpus_are_passed_on(
    fake: FakeEngine, layout: str, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("TOKEN", "hush")

    run(
        capsys, layout, "--memory", "2 GiB", "--cpus", "1.5", "--user", "4242", "--env", "A=b=c",
        "--env", "TOKEN", "--gpus", "device=0,GPU-4f2a", "--name", "mine", "--publish", "9000",
        "--init",
    )  # fmt: skip

    asked = host_config(fake)
    assert asked["Memory"] == asked["MemorySwap"] == 2 << 30
    assert asked["NanoCpus"] == 1_500_000_000
    assert fake.last.asked["User"] == "4242:0"
    assert sorted(fake.last.asked["Env"]) == ["A=b=c", "TOKEN=hush"]
    assert asked["DeviceRequests"][0]["DeviceIDs"] == ["0", "GPU-4f2a"]
    assert asked["DeviceRequests"][0]["Capabilities"] == [["gpu"]]
    assert fake.last.name == "mine"
    assert asked["Init"] is True
    assert asked["PortBindings"] == {"8080/tcp": [{"HostIp": "127.0.0.1", "HostPort": "9000"}]}


@pytest.mark.parametrize(("text", "count"), [("all", -1), ("2", 2)])
def test_gpus_are_counted(
    text: str, count: int, fake: FakeEngine, layout: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run(capsys, layout, "--gpus", text)

    assert host_config(fake)["DeviceRequests"][0]["Count"] == count


@pytest.mark.parametrize(
    ("text", "binding"),
    [
        ("0", {"HostIp": "127.0.0.1", "HostPort": ""}),
        ("0.0.0.0:80", {"HostIp": "0.0.0.0", "HostPort": "80"}),
        ("9000:8080", {"HostIp": "127.0.0.1", "HostPort": "9000"}),
        ("10.0.0.1:9000:8080", {"HostIp": "10.0.0.1", "HostPort": "9000"}),
        ("[::1]:9000", {"HostIp": "::1", "HostPort": "9000"}),
    ],
)
def test_a_port_is_published_where_it_was_asked_for(
    text: str, binding: object, fake: FakeEngine, layout: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run(capsys, layout, "--publish", text)

    assert host_config(fake)["PortBindings"] == {"8080/tcp": [binding]}


def test_without_a_network_nothing_is_published(
    fake: FakeEngine, layout: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run(capsys, layout, "--network", "none")

    assert host_config(fake)["NetworkMode"] == "none"
    assert not host_config(fake).get("PortBindings")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--publish", "x"], "not a port: `x`"),
        (["--publish", "65536"], "not a port"),
        (["--publish", "1:0"], "not a port"),
        (["--publish", "a.b:1"], "not a port"),
        (["--publish", "1:2:3:4"], "not a port"),
        (["--network", "none", "--publish", "1"], "without a network"),
        (["--memory", "much"], "not a size"),
        (["--gpus", "0"], "not GPUs"),
        (["--gpus", "device="], "not GPUs"),
        (["--user", "0"], "not a user"),
        (["--user", "-1"], "not a user"),
        (["--env", "=x"], "not the name of a variable"),
        (["--env", "NOT_THERE"], "`NOT_THERE` is not set here"),
        (["--name", "x"], "not a name"),
        (["--mount-weights", "."], "the weights are in the image"),
        (["--cpus", "0"], "range"),
        (["--timeout", "soon"], "not a duration"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_loaded(
    options: list[str], message: str, fake: FakeEngine, layout: str,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    done = run(capsys, layout, *options, status=2)

    assert message in done.err
    assert fake.loads == 0
    assert not fake.containers


def test_all_that_is_wrong_is_said_at_once(
    layout: str, capsys: pytest.CaptureFixture[str]
) -> None:  # fmt: skip
    done = run(
        capsys, layout, "--memory", "much", "--env", "1=2", "--env", "NOT_THERE", "--gpus", "x",
        status=2,
    )  # fmt: skip

    assert len(done.messages) == 4


def test_printing_starts_nothing_and_shows_no_secret(
    fake: FakeEngine, layout: str, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("TOKEN", "hush")
    options = ["--memory", "512m", "--user", "7", "--env", "TOKEN", "--env", "A=x y", "--detach"]
    command = ["python", "-c", "print('a')"]

    done = run(capsys, layout, "--print", *options, "--gpus", "device=0,1", "--", *command)

    assert shlex.split(done.out) == [
        "docker", "run", "--detach", "--rm", "--read-only", "--cap-drop=ALL",
        "--security-opt=no-new-privileges", "--tmpfs=/tmp:rw,noexec,nosuid,nodev", "--user=7:0",
        "--publish=127.0.0.1:8080:8080", "--memory=536870912", "--memory-swap=536870912",
        '--gpus="device=0,1"', "--env", "TOKEN", "--env", "A=x y", IMAGE_ID,
        "python", "-c", "print('a')",
    ]  # fmt: skip
    assert not fake.containers
    assert fake.loads == 0
    assert "hush" not in done.out + done.err


def test_weights_of_a_project_are_mounted_without_being_asked(
    fake: FakeEngine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "weights").mkdir()
    (tmp_path / "modelpack.toml").write_text(TOML)
    layout_of(tmp_path / "dist" / "image", MOUNTED.image())

    run(capsys)

    (mount,) = host_config(fake)["Mounts"]
    assert (mount["Type"], mount["ReadOnly"]) == ("bind", True)
    assert (mount["Source"], mount["Target"]) == (str(tmp_path / "weights"), "/models/digits")


@pytest.mark.parametrize("text", ["w", "digits=w"])
def test_a_folder_of_weights_is_mounted_where_the_image_wants_them(
    text: str, fake: FakeEngine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "w").mkdir()

    run(capsys, layout_of(tmp_path / "l", MOUNTED.image()), "--mount-weights", text)

    assert [m["Source"] for m in host_config(fake)["Mounts"]] == [str(tmp_path / "w")]


def test_an_image_of_the_engine_says_itself_where_its_weights_go(
    fake: FakeEngine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.keep(archive_of(MOUNTED.image(), "acme/digits:1"))
    (tmp_path / "w").mkdir()

    run(capsys, "docker-daemon:acme/digits:1", "--mount-weights", "w")

    assert [m["Target"] for m in host_config(fake)["Mounts"]] == ["/models/digits"]
    assert len(fake.removed) == len(fake.containers) == 2  # one was only looked into


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "the weights `digits` are not in the image: they are mounted at /models/digits"),
        (["--mount-weights", "gone"], "there is no such folder"),
        (["--mount-weights", ".", "--mount-weights", "digits=."], "two folders"),
    ],
)
def test_weights_that_are_nowhere_are_asked_for(
    options: list[str], message: str, fake: FakeEngine, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    done = run(capsys, layout_of(tmp_path / "l", MOUNTED.image()), *options, status=2)

    assert message in done.err
    assert not fake.containers


def test_which_of_two_sets_of_weights_must_be_said(
    fake: FakeEngine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = values.spec(
        weights=tuple(
            Weights(name=name, path=name, destination=f"/models/{name}", mode="mount")
            for name in ("base", "adapter")
        )
    )
    lock = replace(MOUNTED.lock, weights=tuple(
        replace(MOUNTED.lock.weights[0], name=name, destination=f"/models/{name}")
        for name in ("base", "adapter")
    ))  # fmt: skip
    layout = layout_of(tmp_path / "l", replace(MOUNTED, spec=spec, lock=lock).image())
    (tmp_path / "b").mkdir()
    (tmp_path / "a").mkdir()

    unclear = run(capsys, layout, "--mount-weights", "b", status=2)
    run(capsys, layout, "--mount-weights", "base=b", "--mount-weights", "adapter=a")

    assert "--mount-weights base=b" in unclear.err
    mounts = {m["Target"]: m["Source"] for m in host_config(fake)["Mounts"]}
    assert mounts == {"/models/base": str(tmp_path / "b"), "/models/adapter": str(tmp_path / "a")}


def test_who_must_have_signed_is_mounted_read_only(
    fake: FakeEngine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    layout = layout_of(tmp_path / "l", IMAGE)
    (tmp_path / "who").mkdir()

    missing = run(capsys, layout, "--trust", "nowhere", status=2)
    run(capsys, layout, "--trust", "who")

    assert "--trust: there is no such folder" in missing.err
    (mount,) = host_config(fake)["Mounts"]
    assert mount["Target"] == "/run/modelpack/trust"
    assert mount["Source"] == str(tmp_path / "who")
    assert mount["ReadOnly"] is True


def test_a_weights_image_is_not_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image = replace(IMAGE, config={"Labels": {"dev.modelpack.role": "weights"}})

    done = run(capsys, layout_of(tmp_path / "l", image), status=2)

    assert "it holds weights only" in done.err


def test_an_image_of_others_runs_with_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done = run(capsys, layout_of(tmp_path / "l", replace(IMAGE, config={"Cmd": ["x"]})))

    assert "nothing checks its weights" in done.err


def event(name: str, **fields: object) -> bytes:
    line = {"event": f"guard.{name}", "component": "modelpack.guard", **fields}
    return json.dumps(line).encode() + b"\n"


def test_refused_weights_are_explained(
    fake: FakeEngine, layout: str, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = event("bad", file="/models/digits/m.safetensors", reason="content", first=7, last=9)
    refused = event("refused", message="the weights are not what was packed")
    fake.script = Script(status=78, stderr=b"{ no json\n" + bad + refused)

    done = run(capsys, layout, status=78)

    assert "/models/digits/m.safetensors: has other content than was packed (bytes 7 to 9)" in (
        done.err
    )
    assert "the service was not started" in done.err
    assert "hint: the image is damaged" in done.err


@pytest.mark.parametrize(
    ("reason", "hint"),
    [("unreadable", "chmod -R go+rX"), ("content", "mount the folder that was packed")],
)
def test_refused_weights_of_a_folder_are_explained_by_the_folder(
    reason: str, hint: str, fake: FakeEngine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = event("bad", file="/models/digits/m.safetensors", reason=reason)
    fake.script = Script(status=78, stderr=bad + event("refused", message="no"))

    layout = layout_of(tmp_path / "l", MOUNTED.image())
    done = run(capsys, layout, "--mount-weights", ".", status=78)

    assert hint in done.err


def test_a_service_that_ends_like_the_guard_is_not_explained_by_it(
    fake: FakeEngine, layout: str, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.script = Script(status=78, stderr=b'{"event": "guard.refused", "message": "forged"}\n')

    assert run(capsys, layout, status=78).messages == []


@pytest.mark.parametrize("told", [True, False])
def test_a_container_without_memory_is_explained(
    told: bool, fake: FakeEngine, layout: str, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.script = Script(status=137, out_of_memory=told)

    done = run(capsys, layout, "--memory", "1g", status=137)

    assert "more memory than 1073741824 bytes" in done.err
    assert ("perhaps" in done.err) is not told


@contextmanager
def typed(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run the command in a process of its own, which may be signalled."""
    process = subprocess.Popen(
        [sys.executable, "-m", "modelpack", "run", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def until(happened: Any) -> None:
    end = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_the_container_and_removes_it(
    number: int, fake: FakeEngine, layout: str
) -> None:
    fake.script = Script(serves=True, stopped_status=3, stderr=b"listening\n")
    with typed(layout, "--stop-timeout", "7s") as process:
        until(lambda: "wait" in " ".join(fake.requests))
        process.send_signal(number)
        _, err = process.communicate(timeout=PATIENCE)

    assert process.returncode == 3
    assert fake.last.stops == ["7"]
    assert fake.removed == [fake.last.id]
    assert b"stopping" in err
    assert b"Traceback" not in err


def test_a_second_signal_kills_it(fake: FakeEngine, layout: str) -> None:
    fake.script = Script(serves=True, deaf=True)
    with typed(layout) as process:
        until(lambda: "wait" in " ".join(fake.requests))
        process.send_signal(signal.SIGINT)
        until(lambda: fake.last.stops)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=PATIENCE)

    assert process.returncode == 130
    assert fake.removed == [fake.last.id]
    assert b"Traceback" not in err


def test_when_nobody_reads_the_output_the_container_ends(fake: FakeEngine, layout: str) -> None:
    fake.script = Script(serves=True, stdout=b"x" * 200_000)
    with typed(layout, "--", "yes") as process:
        assert process.stdout is not None
        process.stdout.close()
        process.stdout = None
        _, err = process.communicate(timeout=PATIENCE)

    assert process.returncode == 141
    assert fake.removed == [fake.last.id]
    assert b"Traceback" not in err


def test_a_detached_container_goes_on_and_its_id_is_printed(
    fake: FakeEngine, layout: str, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.script = Script(serves=True)

    done = run(capsys, layout, "--detach")

    assert done.out.strip() == fake.last.id
    assert "eager_engine_1 at http://127.0.0.1:8080" in done.err
    assert fake.removed == []
    assert host_config(fake)["AutoRemove"] is True


def test_a_detached_container_as_json(
    fake: FakeEngine, layout: str, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.script = Script(serves=True)

    document = run(capsys, layout, "--detach", "--json", "--publish", "0").document

    assert document["id"] == fake.last.id
    assert document["name"] == "eager_engine_1"
    assert document["image"] == IMAGE_ID
    assert document["digest"] == IMAGE.digest
    assert document["ports"][0]["url"] == "http://127.0.0.1:49153"


def test_an_ended_container_as_json(
    fake: FakeEngine, layout: str, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.script = Script(status=137, out_of_memory=True)

    document = run(capsys, layout, "--json", status=137).document

    assert (document["status"], document["out_of_memory"]) == (137, True)
    assert len(document["findings"]) == 1


def test_a_container_may_be_kept(
    fake: FakeEngine, layout: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run(capsys, layout, "--no-rm")

    assert fake.removed == []
    assert not host_config(fake).get("AutoRemove")


def test_it_is_waited_for_until_the_health_check_succeeds(
    fake: FakeEngine, layout: str, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.script = Script(serves=True, health=lambda asked: 0 if asked else 1)

    run(capsys, layout, "--detach", "--timeout", "50s")

    assert len(fake.last.executed) == 2
    assert fake.last.executed[0][-1] == "http://127.0.0.1:8080/readyz"


@pytest.mark.parametrize("options", [["--detach"], []])
def test_what_is_not_ready_in_time_is_stopped(
    options: list[str], fake: FakeEngine, layout: str, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.script = Script(serves=True, health=lambda asked: 1, stderr=b"still loading\n")

    done = run(capsys, layout, "--timeout", "10ms", *options, status=1)

    assert "not ready within 0.01 s" in done.err
    assert fake.last.stops
    assert fake.removed == [fake.last.id]


def test_what_ends_before_it_is_ready_is_explained(
    fake: FakeEngine, layout: str, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = event("bad", file="/models/digits/m", reason="missing")
    fake.script = Script(status=78, stderr=bad + event("refused", message="no"))

    done = run(capsys, layout, "--detach", "--timeout", "9s", status=1)

    assert "ended before it was ready" in done.err
    assert "/models/digits/m: is missing" in done.err


def test_a_container_that_does_not_start_is_removed(
    fake: FakeEngine, layout: str, capsys: pytest.CaptureFixture[str]
) -> None:
    said = "driver failed: Bind for 127.0.0.1:8080 failed: port is already allocated"
    fake.failures["/start"] = (500, said)

    done = run(capsys, layout, status=2)

    assert "the port is taken" in done.err
    assert "--publish 0" in done.err
    assert fake.removed == [fake.last.id]


@pytest.mark.parametrize(
    ("said", "status", "hint"),
    [
        ('could not select device driver "" with capabilities: [[gpu]]', 3, "NVIDIA Container"),
        ("network bridge not found", 3, "--network none"),
        ("write /x: no space left on device", 3, "docker system df"),
        ('Conflict. The container name "/m" is already in use by container "4f"', 2, "--name"),
        ("something\nelse \x1b[2J", 3, ""),
    ],
)
def test_what_the_engine_says_is_passed_on_with_a_hint(
    said: str, status: int, hint: str, fake: FakeEngine, layout: str,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    fake.failures["/containers/create"] = (500, said)

    done = run(capsys, layout, status=status)

    assert hint in done.err


def test_an_engine_that_fails_meanwhile_is_told_of_and_nothing_stays(
    fake: FakeEngine, layout: str, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.script = Script(serves=True)
    fake.failures["/wait"] = (500, "shutting down")

    done = run(capsys, layout, status=3)

    assert "the engine cannot wait for the container: shutting down" in done.err
    assert fake.removed == [fake.last.id]


def test_gpus_through_podmans_socket_are_refused_not_forgotten(
    fake: FakeEngine, layout: str, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.version["Components"] = [{"Name": "Podman Engine"}]

    refused = run(capsys, layout, "--gpus", "all", status=3)
    printed = run(capsys, layout, "--gpus", "all", "--print")

    assert "podman ignores" in refused.err
    assert "podman run" in printed.out
    assert "--device=nvidia.com/gpu=all" in printed.out


def test_an_image_of_a_registry_is_pulled_when_the_engine_has_it_not(
    fake: FakeEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.pullable["ghcr.io/acme/digits:1"] = archive_of(IMAGE, "ghcr.io/acme/digits:1")

    run(capsys, "ghcr.io/acme/digits:1")
    run(capsys, "ghcr.io/acme/digits:1")

    assert fake.pulled_as == [{}]  # once, by nobody


def test_an_image_is_pulled_as_whom_docker_knows_at_that_registry(
    fake: FakeEngine, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    auths = {"ghcr.io": {"username": "ann", "password": "hush"}, "other.io": {"username": "bob"}}
    (tmp_path / "config.json").write_text(json.dumps({"auths": auths}))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    fake.pullable["ghcr.io/acme/digits:latest"] = archive_of(IMAGE, "ghcr.io/acme/digits:latest")

    run(capsys, "ghcr.io/acme/digits")

    assert fake.pulled_as == [{"username": "ann", "password": "hush"}]


@pytest.mark.parametrize("name", ["ghcr.io/acme/gone:1", "docker-daemon:gone"])
def test_an_image_that_is_nowhere_is_named(
    name: str, fake: FakeEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    done = run_here(capsys, "run", name)

    assert done.status in (2, 3)
    assert "gone" in done.err


def test_zstd_layers_are_not_sent_to_an_engine_that_cannot_read_them(
    fake: FakeEngine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.version["Version"] = "20.10.24"
    first = IMAGE.layers[0]
    blob = replace(first.blob, descriptor=replace(
        first.blob.descriptor, media_type="application/vnd.oci.image.layer.v1.tar+zstd"
    ))  # fmt: skip
    image = replace(IMAGE, layers=(replace(first, blob=blob), *IMAGE.layers[1:]))

    done = run(capsys, layout_of(tmp_path / "l", image), status=3)

    assert "cannot read layers compressed with zstd" in done.err
    assert 'compression = "gzip"' in done.err
    assert fake.loads == 0


def test_where_no_engine_answers_it_is_said_how_to_start_one(
    layout: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none")

    done = run(capsys, layout, status=3)
    printed = run(capsys, layout, "--print")

    assert "there is no socket" in done.err
    assert printed.out.startswith("docker run ")  # which needs none


def test_no_word_of_a_secret_is_an_argument_of_anything(fake: FakeEngine, layout: str) -> None:
    fake.script = Script(serves=True)
    environ = {**os.environ, "TOKEN": "hush-hush"}
    command = [sys.executable, "-m", "modelpack", "run", layout, "--env", "TOKEN", "--detach"]

    done = subprocess.run(command, capture_output=True, check=True, env=environ, timeout=PATIENCE)

    assert "TOKEN=hush-hush" in fake.last.asked["Env"]
    assert b"hush" not in done.stdout + done.stderr
