"""A real registry of the tests' own: on loopback, its data in a folder, gone in the end."""

import http.client
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from modelpack.digest import Digest, hex_of

PATIENCE = 60
"seconds until a test gives up waiting; nothing is measured"
USER, PASSWORD = "me", "right"
_HTPASSWD = "me:$2b$04$J811vGy1HET7v7TwkmmaDuewe7PpK19Zq3KZqkxAJnAiVXT4EJRBC\n"
"bcrypt, the only kind that these registries take"
_CONFIGURATION = """\
version: 0.1
log: {{level: error}}
storage:
  filesystem: {{rootdirectory: "{folder}/data"}}
http:
  addr: "{address}"
{auth}"""
_AUTH = """\
auth:
  htpasswd: {{realm: "of this test", path: "{folder}/htpasswd"}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """A registry that answers at `address`, `127.0.0.1:PORT`."""

    address: str
    folder: Path

    def blob(self, digest: Digest) -> Path:
        """Return the file in which it keeps a blob."""
        digits = hex_of(digest)
        below = f"data/docker/registry/v2/blobs/sha256/{digits[:2]}/{digits}/data"
        return self.folder / below

    def push(
        self, layout: Path, name: str, skopeo: str, *, login: bool = False, tag: str = ""
    ) -> str:
        """Push an image or index of an OCI layout, the only one or `tag`; return its full name."""
        credentials = [f"--dest-creds={USER}:{PASSWORD}"] if login else []
        done = subprocess.run(
            [skopeo, "copy", "--quiet", "--all", "--preserve-digests", "--dest-tls-verify=false",
             *credentials, f"oci:{layout}{tag and f':{tag}'}", f"docker://{self.address}/{name}"],
            capture_output=True, text=True, check=False, timeout=PATIENCE,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return f"{self.address}/{name}"


@contextmanager
def running_registry(program: str, folder: Path, *, login: bool = False) -> Iterator[Registry]:
    """Start the registry `program` (distribution's), wait until it answers, and end it.

    With `login` it lets nobody in but USER with PASSWORD.
    """
    folder.mkdir(parents=True, exist_ok=True)
    address = f"127.0.0.1:{_free_port()}"
    auth = _AUTH.format(folder=folder) if login else ""
    (folder / "htpasswd").write_text(_HTPASSWD, "utf-8")
    configuration = folder / "config.yml"
    configuration.write_text(
        _CONFIGURATION.format(folder=folder, address=address, auth=auth), "utf-8"
    )
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [program, "serve", str(configuration)], stdout=log, stderr=log,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    try:
        _wait(address, process, folder / "log")
        yield Registry(address=address, folder=folder)
    finally:
        process.kill()
        process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait(address: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    end = time.monotonic() + PATIENCE
    while not _answers(address):
        last = log.read_text("utf-8", "replace").splitlines()[-3:]
        assert process.poll() is None, f"the registry ended: {last}"
        assert time.monotonic() < end, f"the registry does not answer: {last}"
        time.sleep(0.05)


def _answers(address: str) -> bool:
    connection = http.client.HTTPConnection(address, timeout=5)
    try:
        connection.request("GET", "/v2/")
        return connection.getresponse().status in (200, 401)
    except OSError:
        return False
    finally:
        connection.close()
