"""A Docker engine of the tests' own: its socket, data, network and processes are nobody else's."""

import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PATIENCE = 90
"seconds until a test gives up waiting; nothing is measured"


class EngineError(Exception):
    """The engine cannot run on this machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """A running engine and the command that speaks to it."""

    docker: str
    socket: Path
    home: Path
    process: int = 0
    "whose network is the engine's: ports are published there"

    def run(
        self, *arguments: str, stdin: bytes = b"", **variables: str
    ) -> subprocess.CompletedProcess[bytes]:
        """Run `docker ARGUMENTS` with no configuration but this engine's socket."""
        return subprocess.run(
            [self.docker, "--host", f"unix://{self.socket}", *arguments],
            input=stdin,
            capture_output=True,
            check=False,
            env={"PATH": os.defpath, "HOME": str(self.home), "LC_ALL": "C.UTF-8", **variables},
            timeout=2 * PATIENCE,
        )

    def ask(self, *arguments: str, stdin: bytes = b"") -> str:
        """Run `docker ARGUMENTS`, which must succeed, and return what it printed."""
        done = self.run(*arguments, stdin=stdin)
        assert done.returncode == 0, f"docker {arguments[0]}: {done.stderr.decode()}"
        return done.stdout.decode().strip()

    def build(
        self, context: Path, tag: str, *options: str, buildkit: bool
    ) -> subprocess.CompletedProcess[bytes]:
        """Run `docker build`, with the classic builder or with BuildKit."""
        return self.run(
            "build", f"--tag={tag}", *options, str(context), DOCKER_BUILDKIT=str(int(buildkit))
        )

    def reach(self, method: str, port: int, path: str, value: Any = None) -> tuple[int, Any]:
        """Ask a published port, on the loopback of the engine's network; return status and JSON."""
        asked = json.dumps([method, port, path, value])
        done = subprocess.run(
            ["nsenter", f"--net=/proc/{self.process}/ns/net", sys.executable, "-c", _CLIENT, asked],
            capture_output=True, check=True, timeout=PATIENCE,
        )  # fmt: skip
        status, body = json.loads(done.stdout)
        return status, json.loads(body)


_CLIENT = """
import http.client, json, sys
method, port, path, value = json.loads(sys.argv[1])
connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
body = None if value is None else json.dumps(value)
connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
answer = connection.getresponse()
json.dump([answer.status, answer.read().decode()], sys.stdout)
"""
# Interface flags of netdevice(7): a new network's loopback is down.
_LOOPBACK_UP = """
import fcntl, os, socket, struct, sys
SIOCSIFFLAGS, IFF_UP = 0x8914, 1
with socket.socket() as any_socket:
    fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", IFF_UP))
os.execv(sys.argv[1], sys.argv[1:])
"""


@contextmanager
def running_engine(dockerd: str, docker: str, *, bridge: bool = False) -> Iterator[Engine]:
    """Start an engine, wait until it answers, and end it with everything that it started.

    It lives in a network, mount and process namespace of its own: no bridge or firewall rule of
    another engine is touched, its mounts vanish with it, and no process of it outlives it, nor
    this one (`setpriv --pdeathsig`). With `bridge` its containers have a network, which ends in
    that namespace. Raises EngineError.
    """
    with tempfile.TemporaryDirectory(prefix="engine-") as name:
        folder = Path(name)
        network = _BRIDGE if bridge else ["--bridge=none"]
        command = [sys.executable, "-c", _LOOPBACK_UP, dockerd, *_options(folder), *network]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen([*ISOLATION, *command], stdout=log, stderr=log)
        engine = Engine(
            docker=docker, socket=folder / "docker.sock", home=folder, process=process.pid
        )
        try:
            _wait(engine, process, folder / "log")
            yield engine
        finally:
            kill_namespace(process)


ISOLATION = (
    "setpriv", "--pdeathsig", "KILL", "--",
    "unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--",
)  # fmt: skip


def _options(folder: Path) -> list[str]:
    return [
        f"--host=unix://{folder / 'docker.sock'}",
        f"--data-root={folder / 'data'}",
        f"--exec-root={folder / 'exec'}",
        f"--pidfile={folder / 'pid'}",
        "--iptables=false",
    ]


_BRIDGE = ["--ip-forward=false", "--ip-masq=false"]


def _wait(engine: Engine, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + PATIENCE
    while engine.run("version").returncode != 0:
        if process.poll() is not None or time.monotonic() > end:
            last = log.read_text("utf-8", "replace").splitlines()[-3:]
            raise EngineError("the Docker engine does not start: " + " / ".join(last))
        time.sleep(0.2)


def kill_namespace(process: subprocess.Popen[bytes]) -> None:
    """Kill it: the first process of the namespace dies with it, and all others with that one."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    words = children.read_text("ascii").split() if children.exists() else []
    handles = [os.pidfd_open(int(child)) for child in words]
    process.kill()
    process.wait()
    for handle in handles:  # readable when the process has ended, and so its namespace
        ended = select.poll()  # unlike select(), takes numbers above 1023
        ended.register(handle, select.POLLIN)
        ended.poll(PATIENCE * 1000)
        os.close(handle)


def programs() -> tuple[str | None, str | None]:
    """Return the paths of an engine and of a command that speaks to it.

    The command that came with the engine goes before another in PATH.
    """
    dockerd = shutil.which("dockerd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    docker = shutil.which("docker", path=f"/usr/bin:{os.environ.get('PATH', '')}")
    return dockerd, docker
