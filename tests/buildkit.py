"""A BuildKit of the tests' own: its socket, data, network and processes are nobody else's."""

import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.docker_engine import ISOLATION, PATIENCE, kill_namespace

NAME = "far"
"what buildx calls it"
_SETTINGS = """\
root = "{folder}/root"
[grpc]
address = ["unix://{folder}/buildkitd.sock"]
[worker.containerd]
enabled = false
[worker.oci]
enabled = true
binary = "{runc}"
"""


class BuildKitError(Exception):
    """BuildKit cannot run on this machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildKit:
    """A running BuildKit."""

    folder: Path
    process: "subprocess.Popen[bytes]"

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"unix://{self.folder}/buildkitd.sock"

    def kill(self) -> None:
        """End it at once, with all that it runs, as a machine that goes away does."""
        kill_namespace(self.process)


@contextmanager
def running_buildkit(buildkitd: str, runc: str, *, room: str = "") -> Iterator[BuildKit]:
    """Start BuildKit, wait until it answers, and end it with everything that it started.

    In namespaces of its own, as `running_engine`. With `room`, such as `40m`, its data lie on a
    file system of that size. Raises BuildKitError.
    """
    with tempfile.TemporaryDirectory(prefix="buildkit-") as name:
        folder = Path(name)
        (folder / "root").mkdir()
        settings = folder / "buildkitd.toml"
        settings.write_text(_SETTINGS.format(folder=folder, runc=runc), "utf-8")
        command = [buildkitd, "--config", str(settings)]
        if room:
            mount = f'mount -t tmpfs -o size={room} tmpfs "$1/root" && shift && exec "$@"'
            command = ["sh", "-c", mount, "sh", str(folder), *command]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen([*ISOLATION, *command], stdout=log, stderr=log)
        try:
            _wait(process, folder)
            yield BuildKit(folder=folder, process=process)
        finally:
            kill_namespace(process)


def _wait(process: "subprocess.Popen[bytes]", folder: Path) -> None:
    log = folder / "log"
    end = time.monotonic() + PATIENCE
    while "running server on" not in log.read_text("utf-8", "replace"):
        if process.poll() is not None or time.monotonic() > end:
            last = log.read_text("utf-8", "replace").splitlines()[-3:]
            raise BuildKitError("BuildKit does not start: " + " / ".join(last))
        time.sleep(0.1)


def desk(folder: Path, **programs: str) -> dict[str, str]:
    """Return the environment in `folder` of somebody who has these Docker programs and no other."""
    (folder / "bin").mkdir(parents=True)
    for name, path in {"git": shutil.which("git") or "", **programs}.items():
        if path:
            (folder / "bin" / name.replace("_", "-")).symlink_to(path)
    return {
        "PATH": str(folder / "bin"), "HOME": str(folder), "LC_ALL": "C.UTF-8",
        "TMPDIR": tempfile.gettempdir(),
    }  # fmt: skip


def name_builder(environment: dict[str, str], address: str, *, name: str = NAME) -> None:
    """Tell the buildx of a desk about a BuildKit."""
    subprocess.run(
        ["docker-buildx", "create", "--name", name, "--driver", "remote", address],
        env=environment, check=True, capture_output=True,
    )  # fmt: skip
