"""podman behind its socket, with storage of the tests' own, as `podman system service` runs it."""

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.docker_engine import PATIENCE, EngineError

# Where a process may not raise its own limits, podman's defaults keep a container from starting.
_CONFIGURATION = """
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
"""


@contextmanager
def running_podman(podman: str) -> Iterator[Path]:
    """Start the service, yield its socket, and end it with all that it started.

    In namespaces of its own, so that no mount, network or process of it stays. Raises EngineError.
    """
    with tempfile.TemporaryDirectory(prefix="podman-") as name:
        folder = Path(name)
        configuration = folder / "containers.conf"
        configuration.write_text(_CONFIGURATION)
        environ = {
            "PATH": os.environ.get("PATH", os.defpath), "HOME": name, "LC_ALL": "C.UTF-8",
            "CONTAINERS_CONF": str(configuration), "XDG_RUNTIME_DIR": name,
        }  # fmt: skip
        command = [
            podman, f"--root={folder / 'root'}", f"--runroot={folder / 'run'}",
            "--storage-driver=overlay", "system", "service", "--time=0",
            f"unix://{folder / 'podman.sock'}",
        ]  # fmt: skip
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [*_ISOLATION, *command], stdout=log, stderr=log, env=environ
            )  # fmt: skip
        try:
            _wait(folder / "podman.sock", process, folder / "log")
            yield folder / "podman.sock"
        finally:
            process.kill()  # and with it, by --kill-child, its namespace
            process.wait()


_ISOLATION = (
    "setpriv", "--pdeathsig", "KILL", "--",
    "unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--",
)  # fmt: skip


def _wait(socket: Path, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + PATIENCE
    while not socket.exists():
        if process.poll() is not None or time.monotonic() > end:
            last = log.read_text("utf-8", "replace").splitlines()[-3:]
            raise EngineError("podman does not start: " + " / ".join(last))
        time.sleep(0.2)
