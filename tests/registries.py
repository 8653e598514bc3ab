"""Real registries on loopback: Debian's distribution 2.8, distribution 3, olareg."""

import itertools
import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

USER = ("me", "right")
_HASH = "$2b$05$VznlHtJZ9o2WbVzc9Nb2EOZfAL2zZwW9oI1vDXQubvExEYRmm4lL2"
"of that password (bcrypt)"
KINDS = ("distribution-2", "distribution-3", "olareg")


@dataclass
class RunningRegistry:
    """One that runs; each test takes a repository of its own."""

    kind: str
    address: str
    names: Iterator[int] = field(default_factory=itertools.count)

    def repository(self) -> str:
        """Return the name of a repository that nobody has used."""
        return f"{self.address}/test/{next(self.names)}"


@contextmanager
def running(
    kind: str,
    folder: Path,
    *,
    go_tool: Callable[[str], str],
    require_tool: Callable[[str], str],
    closed: bool = False,
) -> Iterator[RunningRegistry]:
    """Start one with its content below `folder`; with `closed`, distribution lets in only USER."""
    address = f"127.0.0.1:{_free_port()}"
    if kind == "olareg":
        host, _, port = address.partition(":")
        command = [
            go_tool("olareg"), "serve", "--addr", host, "--port", port,
            "--store-type", "dir", "--dir", str(folder / "content"), "--api-delete",
        ]  # fmt: skip
    else:
        tool = require_tool("docker-registry") if kind == "distribution-2" else go_tool("registry")
        config = folder / "config.yml"
        (folder / "users").write_text(f"{USER[0]}:{_HASH}\n", "utf-8")
        auth = f"auth: {{htpasswd: {{realm: test, path: '{folder / 'users'}'}}}}\n"
        config.write_text(
            f"version: 0.1\nlog: {{level: error}}\nhttp: {{addr: '{address}', "
            "secret: not-a-secret}\n"
            f"storage: {{filesystem: {{rootdirectory: '{folder / 'content'}'}}, "
            f"delete: {{enabled: true}}}}\n{auth if closed else ''}",
            "utf-8",
        )
        command = [tool, "serve", str(config)]
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "OTEL_TRACES_EXPORTER": "none"}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            _wait(address, process, folder / "log")
            yield RunningRegistry(kind, address)
        finally:
            process.kill()
            process.wait()


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port


def _wait(address: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    for _ in range(200):
        try:
            urllib.request.urlopen(f"http://{address}/v2/", timeout=5).close()
        except urllib.error.HTTPError:
            return
        except OSError:
            if process.poll() is not None:
                break
            time.sleep(0.05)
        else:
            return
    raise RuntimeError(f"no registry at {address}: {log.read_text(errors='replace')[-2000:]}")
