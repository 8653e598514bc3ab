"""A container of one of the examples: what a test asks it, through the image's own Python."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.docker_engine import PATIENCE, Engine

HARDENED = (
    "--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--network=none",
)  # fmt: skip
RANDOM_USER = "--user=54321:0"

_CLIENT = """
import http.client, json, sys
asked = json.load(sys.stdin)
connection = http.client.HTTPConnection("127.0.0.1", 8080, timeout=60)
connection.request(asked["method"], asked["path"], asked["body"], asked["headers"])
answer = connection.getresponse()
json.dump({"status": answer.status, "body": answer.read().decode()}, sys.stdout)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """A container that was created; it may have ended."""

    engine: Engine
    name: str

    def state(self) -> Any:
        """Return what the engine says about it."""
        return json.loads(self.engine.ask("inspect", "--format={{json .State}}", self.name))

    def events(self) -> list[Any]:
        """Return the events that the guard logged."""
        done = self.engine.run("logs", self.name)
        lines = done.stderr.decode().splitlines()
        return [json.loads(line) for line in lines if line.startswith('{"time"')]

    def log(self) -> str:
        """Return all that it printed."""
        done = self.engine.run("logs", self.name)
        return (done.stdout + done.stderr).decode()

    def python(self, code: str, stdin: bytes = b"") -> str:
        """Run code inside, with the image's own interpreter, isolated."""
        return self.engine.ask(
            "exec", "--interactive", self.name, "python", "-I", "-c", code, stdin=stdin
        )

    def request(self, method: str, path: str, value: Any = None) -> tuple[int, str]:
        """Ask the service over the container's loopback; return status and body."""
        headers = {} if value is None else {"Content-Type": "application/json"}
        body = None if value is None else json.dumps(value)
        asked = {"method": method, "path": path, "body": body, "headers": headers}
        answer = json.loads(self.python(_CLIENT, json.dumps(asked).encode()))
        return answer["status"], answer["body"]

    def until(self, what: str, happened: Callable[[], bool]) -> None:
        """Wait until something happened; fail when the container ends before."""
        end = time.monotonic() + PATIENCE
        while not happened():
            assert self.state()["Running"], f"ended before {what}: {self.log()}"
            assert time.monotonic() < end, f"no {what}: {self.log()}"
            time.sleep(0.2)

    def wait(self) -> int:
        """Wait until it ends and return its exit status."""
        return int(self.engine.ask("wait", self.name))


@contextmanager
def container(
    engine: Engine, image: str, *options: str, command: str = "run", arguments: Sequence[str] = ()
) -> Iterator[Container]:
    """Run (or only `create`) a container of `image`, and remove it at the end."""
    words = [command, *(["--detach"] if command == "run" else []), *options, image, *arguments]
    name = engine.ask(*words)
    try:
        yield Container(engine=engine, name=name)
    finally:
        engine.ask("rm", "--force", "--volumes", name)
