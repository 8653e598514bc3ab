"""A container engine in this process: the Docker Engine API on a Unix socket, as far as we ask it.

Images are kept as the archives that were loaded. A container runs no program: a test says what
it writes and how it ends.
"""

import base64
import io
import json
import re
import socketserver
import struct
import tarfile
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from modelpack.digest import of as digest_of

PATIENCE = 30


@dataclass
class Script:
    """What a container does."""

    stdout: bytes = b""
    stderr: bytes = b""
    status: int = 0
    "with which it ends, if it ends by itself"
    serves: bool = False
    "it goes on until it is stopped"
    stopped_status: int = 0
    deaf: bool = False
    "it does not hear the stop signal, and has to be killed"
    out_of_memory: bool = False
    health: Callable[[int], int] = lambda asked: 0
    "status of a command inside, by how many were run before"
    answers: Callable[[list[str], bytes], bytes] | None = None
    "what a command inside that is told something writes"
    memory: Callable[[], int] = lambda: 30 << 20
    "bytes that it needs"


@dataclass
class FakeContainer:
    """A container as the engine knows it."""

    id: str
    asked: dict[str, Any]
    "the body of the request that created it"
    script: Script
    name: str
    started: bool = False
    status: int = 0
    out_of_memory: bool = False
    ended: threading.Event = field(default_factory=threading.Event)
    executed: list[list[str]] = field(default_factory=list)
    stops: list[str] = field(default_factory=list)
    "with which patience it was stopped"

    def end(self, status: int) -> None:
        self.status = status
        self.ended.set()

    def state(self) -> dict[str, Any]:
        running = self.started and not self.ended.is_set()
        return {
            "Status": "running" if running else "exited" if self.started else "created",
            "Running": running, "ExitCode": self.status, "OOMKilled": self.out_of_memory,
            "Error": "",
        }  # fmt: skip


class FakeEngine:
    """The engine; everything that happened to it can be looked at."""

    def __init__(self, socket: Path) -> None:
        self.url = f"unix://{socket}"
        self.version: dict[str, Any] = {
            "Version": "28.5.2", "ApiVersion": "1.51", "MinAPIVersion": "1.24", "Os": "linux",
            "Arch": "amd64", "Components": [{"Name": "Engine", "Version": "28.5.2"}],
        }  # fmt: skip
        self.images: dict[str, bytes] = {}
        "archives by id"
        self.names: dict[str, str] = {}
        self.pullable: dict[str, bytes] = {}
        self.pulled_as: list[Any] = []
        "whom it was told to be at a registry"
        self.containers: dict[str, FakeContainer] = {}
        self.script = Script()
        "what the next container does"
        self.failures: dict[str, tuple[int, str]] = {}
        "status and message by the end of a path, instead of an answer"
        self.removed: list[str] = []
        self.requests: list[str] = []
        self.loads = 0
        self.descriptors: dict[str, Any] = {}
        "manifests of images by id, which engines with containerd's store tell"

    def keep(self, archive: bytes) -> str:
        """Keep the first image of an archive and return its id."""
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            (listed,) = json.loads(_member(tar, "manifest.json"))
            config = _member(tar, listed["Config"])
        self.images[digest_of(config)] = archive
        for name in listed["RepoTags"] or ():
            self.names[name] = digest_of(config)
        return digest_of(config)

    def find(self, name: str) -> str | None:
        """Return the id that a name or an id means."""
        short = name.removeprefix("docker.io/").removeprefix("library/")
        return name if name in self.images else self.names.get(short)

    def config(self, image: str) -> dict[str, Any]:
        """Return the configuration of an image."""
        with tarfile.open(fileobj=io.BytesIO(self.images[image])) as tar:
            (listed,) = json.loads(_member(tar, "manifest.json"))
            value: dict[str, Any] = json.loads(_member(tar, listed["Config"]))
        return value

    def file(self, image: str, path: str) -> bytes | None:
        """Return a file of an image's uncompressed layers."""
        with tarfile.open(fileobj=io.BytesIO(self.images[image])) as tar:
            (listed,) = json.loads(_member(tar, "manifest.json"))
            for layer in reversed(listed["Layers"]):
                with tarfile.open(fileobj=io.BytesIO(_member(tar, layer))) as files:
                    if path.strip("/") in files.getnames():
                        return _member(files, path.strip("/"))
        return None

    @property
    def last(self) -> FakeContainer:
        """The container that was created last."""
        return list(self.containers.values())[-1]


def _member(tar: tarfile.TarFile, name: str) -> bytes:
    stream = tar.extractfile(name)
    assert stream is not None
    return stream.read()


@contextmanager
def fake_engine() -> Iterator[FakeEngine]:
    """Run an engine of one's own."""
    with tempfile.TemporaryDirectory(prefix="fake-") as folder:  # a socket's path must be short
        engine = FakeEngine(Path(folder) / "s")
        server = _Server(str(Path(folder) / "s"), engine)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield engine
        finally:
            for container in engine.containers.values():
                container.ended.set()
            server.shutdown()
            thread.join()
            server.server_close()


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 128
    """as engines have it. With Python's 5 a client that waits no longer than so long is refused at
    once, EAGAIN, where the processor is too busy to accept as many (unix(7))"""

    def __init__(self, path: str, engine: FakeEngine) -> None:
        self.engine = engine
        super().__init__(path, _Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: a client that goes away is part of what is tested."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def address_string(self) -> str:
        return "client"

    def log_message(self, *args: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_DELETE(self) -> None:
        self._answer()

    def _answer(self) -> None:
        engine = self.server.engine
        url = urlsplit(self.path)
        path = re.sub(r"^/v1\.[0-9]+", "", unquote(url.path))
        self.query = {key: values[0] for key, values in parse_qs(url.query).items()}
        self.body = self._read()
        engine.requests.append(f"{self.command} {path}")
        for end, (status, message) in engine.failures.items():
            if path.endswith(end):
                self._json({"message": message}, status)
                return
        for method, pattern, answer in _ROUTES:
            match = re.fullmatch(pattern, path)
            if match and method == self.command:
                answer(self, engine, *match.groups())
                return
        self._json({"message": f"page not found: {path}"}, 404)

    def _read(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _json(self, value: object, status: int = 200) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _nothing(self, status: int = 204) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _chunks(self, parts: Iterator[bytes]) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for part in parts:
            self.wfile.write(b"%x\r\n%b\r\n" % (len(part), part))
            self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")

    # images

    def version(self, engine: FakeEngine) -> None:
        self._json(engine.version)

    def load(self, engine: FakeEngine) -> None:
        try:
            image = engine.keep(self.body)
        except (tarfile.TarError, KeyError, ValueError) as error:
            self._json({"message": f"unexpected EOF: {error}"}, 500)
            return
        engine.loads += 1
        said = json.dumps({"stream": f"Loaded image ID: {image}\n"}).encode()
        self._chunks(iter([said]))

    def pull(self, engine: FakeEngine) -> None:
        tag = self.query["tag"]
        header = self.headers.get("X-Registry-Auth", "")
        engine.pulled_as.append(json.loads(base64.urlsafe_b64decode(header)) if header else None)
        name = f"{self.query['fromImage']}{'@' if ':' in tag else ':'}{tag}"
        if name not in engine.pullable:
            self._json({"message": f"manifest for {name} not found"}, 404)
            return
        engine.names[name] = engine.keep(engine.pullable[name])
        self._chunks(iter([json.dumps({"status": "Download complete"}).encode()]))

    def image(self, engine: FakeEngine, name: str) -> None:
        image = engine.find(name)
        if image is None:
            self._json({"message": f"No such image: {name}"}, 404)
            return
        config = engine.config(image)
        self._json({
            "Id": image, "RepoTags": [n for n, i in engine.names.items() if i == image],
            "Config": config["config"], "Os": config["os"],
            "Architecture": config["architecture"],
            "RootFS": {"Type": "layers", "Layers": config["rootfs"]["diff_ids"]},
            **({"Descriptor": engine.descriptors[image]} if image in engine.descriptors else {}),
        })  # fmt: skip

    def tag(self, engine: FakeEngine, name: str) -> None:
        image = engine.find(name)
        assert image is not None
        engine.names[f"{self.query['repo']}:{self.query['tag']}"] = image
        self._nothing(201)

    def forget(self, engine: FakeEngine, name: str) -> None:
        image = engine.find(name)
        if image is None:
            self._json({"message": f"No such image: {name}"}, 404)
            return
        engine.names.pop(name, None)
        if image in engine.names.values():
            self._json([{"Untagged": name}])
            return
        used = {one.asked["Image"] for id_, one in engine.containers.items()
                if id_ not in engine.removed}  # fmt: skip
        if image in used:
            self._json({"message": "conflict: image is being used by a container"}, 409)
            return
        del engine.images[image]
        self._json([{"Deleted": image}])

    def save(self, engine: FakeEngine, name: str) -> None:
        image = engine.find(name)
        if image is None:
            self._json({"message": f"No such image: {name}"}, 404)
            return
        archive = engine.images[image]
        self._chunks(archive[at : at + 1000] for at in range(0, len(archive), 1000))

    # containers

    def create(self, engine: FakeEngine) -> None:
        asked = json.loads(self.body)
        if engine.find(asked["Image"]) is None:
            self._json({"message": f"No such image: {asked['Image']}"}, 404)
            return
        number = len(engine.containers) + 1
        name = self.query.get("name", f"eager_engine_{number}")
        container = FakeContainer(
            id=f"{number:064x}", asked=asked, script=engine.script, name=name
        )  # fmt: skip
        engine.containers[container.id] = container
        self._json({"Id": container.id, "Warnings": []}, 201)

    def start(self, engine: FakeEngine, name: str) -> None:
        container = engine.containers[name]
        container.started = True
        if not container.script.serves:
            container.out_of_memory = container.script.out_of_memory
            container.end(container.script.status)
        self._nothing()

    def inspect(self, engine: FakeEngine, name: str) -> None:
        if name not in engine.containers or name in engine.removed:
            self._json({"message": f"No such container: {name}"}, 404)
            return
        container = engine.containers[name]
        bindings = container.asked["HostConfig"].get("PortBindings") or {}
        ports = {
            port: [{"HostIp": p["HostIp"], "HostPort": p["HostPort"] or "49153"} for p in places]
            for port, places in bindings.items()
        }
        self._json({
            "Id": name, "Name": f"/{container.name}", "State": container.state(),
            "Config": {"Tty": False}, "NetworkSettings": {"Ports": ports},
        })  # fmt: skip

    def logs(self, engine: FakeEngine, name: str) -> None:
        container = engine.containers[name]

        def frames() -> Iterator[bytes]:
            for number, stream in ((1, "stdout"), (2, "stderr")):
                data = getattr(container.script, stream)
                if self.query.get(stream) == "1" and data:
                    yield struct.pack(">BxxxL", number, len(data)) + data
            container.ended.wait(PATIENCE)

        self._chunks(frames())

    def wait(self, engine: FakeEngine, name: str) -> None:
        container = engine.containers[name]
        container.ended.wait(PATIENCE)
        self._json({"StatusCode": container.status, "Error": None})

    def stop(self, engine: FakeEngine, name: str) -> None:
        container = engine.containers[name]
        container.stops.append(self.query["t"])
        if container.script.deaf:
            container.ended.wait(float(self.query["t"]))
            container.end(137)
        else:
            container.end(container.script.stopped_status)
        self._nothing()

    def remove(self, engine: FakeEngine, name: str) -> None:
        container = engine.containers.get(name)
        if container is None or name in engine.removed:
            self._json({"message": f"No such container: {name}"}, 404)
            return
        engine.removed.append(name)
        if not container.ended.is_set():
            container.end(137)
        self._nothing()

    def file(self, engine: FakeEngine, name: str) -> None:
        path = self.query["path"]
        data = engine.file(engine.containers[name].asked["Image"], path)
        if data is None:
            self._json({"message": f"Could not find the file {path}"}, 404)
            return
        tar = io.BytesIO()
        with tarfile.open(fileobj=tar, mode="w") as archive:
            member = tarfile.TarInfo(path.rpartition("/")[2])
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
        self.send_response(200)
        stat = base64.b64encode(json.dumps({"name": member.name, "size": len(data)}).encode())
        self.send_header("X-Docker-Container-Path-Stat", stat.decode())
        self.send_header("Content-Length", str(len(tar.getvalue())))
        self.end_headers()
        self.wfile.write(tar.getvalue())

    def exec_create(self, engine: FakeEngine, name: str) -> None:
        container = engine.containers[name]
        if not container.state()["Running"]:
            self._json({"message": f"Container {name} is not running"}, 409)
            return
        container.executed.append(json.loads(self.body)["Cmd"])
        self._json({"Id": f"{name}x{len(container.executed) - 1}"}, 201)

    def exec_start(self, engine: FakeEngine, name: str, number: str) -> None:
        self.close_connection = True  # what an upgraded connection says at its end
        self.send_response(200)
        self.end_headers()
        container = engine.containers[name]
        if container.script.answers is not None:
            self.wfile.flush()
            line = self.rfile.readline()
            told = line + self.rfile.read(int(line))
            data = container.script.answers(container.executed[int(number)], told)
            self.wfile.write(struct.pack(">BxxxL", 1, len(data)) + data)

    def stats(self, engine: FakeEngine, name: str) -> None:
        memory = engine.containers[name].script.memory()
        cached = 5 << 20
        self._json(
            {"memory_stats": {"usage": memory + cached, "stats": {"inactive_file": cached}}}
        )  # fmt: skip

    def exec_inspect(self, engine: FakeEngine, name: str, number: str) -> None:
        status = engine.containers[name].script.health(int(number))
        self._json({"ExitCode": status, "Running": False})


_ID = "([0-9a-f]{64})"
_ROUTES: tuple[tuple[str, str, Callable[..., None]], ...] = (
    ("GET", "/version", _Handler.version),
    ("POST", "/images/load", _Handler.load),
    ("POST", "/images/create", _Handler.pull),
    ("GET", "/images/(.+)/json", _Handler.image),
    ("POST", "/images/(.+)/tag", _Handler.tag),
    ("GET", "/images/(.+)/get", _Handler.save),
    ("DELETE", "/images/(.+)", _Handler.forget),
    ("POST", "/containers/create", _Handler.create),
    ("POST", f"/containers/{_ID}/start", _Handler.start),
    ("GET", f"/containers/{_ID}/json", _Handler.inspect),
    ("GET", f"/containers/{_ID}/logs", _Handler.logs),
    ("POST", f"/containers/{_ID}/wait", _Handler.wait),
    ("POST", f"/containers/{_ID}/stop", _Handler.stop),
    ("DELETE", f"/containers/{_ID}", _Handler.remove),
    ("GET", f"/containers/{_ID}/archive", _Handler.file),
    ("GET", f"/containers/{_ID}/stats", _Handler.stats),
    ("POST", f"/containers/{_ID}/exec", _Handler.exec_create),
    ("POST", f"/exec/{_ID}x([0-9]+)/start", _Handler.exec_start),
    ("GET", f"/exec/{_ID}x([0-9]+)/json", _Handler.exec_inspect),
)
