"""Measure pushing an image side by side: crane, skopeo, kit, docker, and modelpack.

Self-contained: makes a model of safetensors shards, a project around it and a ready layout, starts
a registry on loopback, and measures in one run: each tool's push of the layout, `docker build` and
`docker push`, modelpack from the source files (hashed while they are sent, and hashed before), with
one code file changed, and modelpack to a sink that throws everything away, which shows how much of
the time is the registry's own. Every push goes to an empty registry but the one after the change.
Tools that are not installed are left out; `sh tests/tools/build.sh crane` builds one.
"""

import argparse
import hashlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from measuring import Row, describe, hash_all, installed, measured, stage, table
from model import MIB, make_project, make_shards, settle, size_of

DOCKERFILE = """\
FROM scratch
COPY weights /models/bench
COPY app /app/app
"""
TOOLS = Path(__file__).parents[1] / "tests" / "tools" / "build.sh"


def main() -> int:
    """Make model, lock and layout, push them with everybody, print the table."""
    arguments = parse_arguments()
    if arguments.work:
        arguments.work.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=arguments.work, prefix="modelpack-bench-") as folder:
        root = Path(folder)
        project = make_project(root / "project")
        print(describe(root, arguments), flush=True)
        with stage(f"making {arguments.shards} shards of {arguments.size} bytes, and a layout"):
            shards = make_shards(project / "weights", arguments.shards, arguments.size)
            settle()
            built = modelpack(root, "build", str(project), "-q")
            if built.seconds is None:
                print(built.note, file=sys.stderr)
                return 1
        rows = [Row("sha256 once, all cores", hash_all(shards)[0])]
        program = tool("registry") or shutil.which("docker-registry")
        if program is None:
            print("no registry: sh tests/tools/build.sh registry", file=sys.stderr)
            return 1
        for name, contender in contenders(root, project):
            with registry(program, root) as (address, content), stage(name):
                settle()
                rows.append(named(name, contender(f"{address}/bench:1")))
        with registry(program, root) as (address, content), stage("modelpack build --push"):
            for path in shards:
                os.utime(path)  # a file of another time is another file, to be hashed again
            settle()
            first = modelpack(root, *build(project, f"{address}/bench:1"))
        rows.append(named("modelpack build --push, hashed while it is sent", first))
        with registry(program, root) as (address, content), stage("again, and an edit"):
            settle()
            again = modelpack(root, *build(project, f"{address}/bench:1"))
            edit(project)
            before = stored(content)
            second = modelpack(root, *build(project, f"{address}/bench:2"))
            second.note = f"{(stored(content) - before) / 1e6:.2f} MB new in the registry"
        rows.append(named("modelpack build --push, hashed before", again))
        rows.append(named("the same, one code file changed", second))
        with sink() as address, stage("a sink that throws everything away"):
            row = modelpack(root, *push(project, f"{address}/bench:1"), "--no-referrers")
        rows.append(named("modelpack push, of the layout, to a null sink", row))
        print(table(rows))
        print(compared(rows))
    return 0


def stored(folder: Path) -> int:
    """Return the bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def compared(rows: Sequence[Row]) -> str:
    """Return our pushes as ratios to those of others."""
    lines = []
    others = ("crane push", "docker build + docker push")
    for theirs in (row for row in rows if row.name in others and row.seconds):
        lines += [
            f"{ours.name}: {ours.seconds / theirs.seconds:.2f} x {theirs.name}"
            for ours in rows
            if ours.name.startswith("modelpack") and ours.seconds and theirs.seconds
        ]
    return "\n".join(lines)


def parse_arguments() -> argparse.Namespace:
    """Return the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--shards", type=int, default=4)
    parser.add_argument("--size", type=size_of, default="1GiB", help="of one shard")
    parser.add_argument("--work", type=Path, help="folder for model, layout and registry")
    return parser.parse_args()


# Who takes part

Push = Callable[[str], Row]


def contenders(root: Path, project: Path) -> Iterator[tuple[str, Push]]:
    """Yield everybody on this machine who can push a ready layout."""
    layout = root / "bare"  # crane and skopeo take a layout of one image only
    modelpack(root, "copy", f"oci:{project}/dist/image:1", f"oci:{layout}:1", "--no-referrers")
    if crane := tool("crane"):
        yield "crane push", lambda name: run(root, [crane, "push", "--insecure", str(layout), name])
    if skopeo := shutil.which("skopeo"):
        yield "skopeo copy", lambda name: run(
            root, [skopeo, "copy", "-q", "--preserve-digests", "--dest-tls-verify=false",
                   f"oci:{layout}:1", f"docker://{name}"])  # fmt: skip
    if kit := tool("kit"):
        home = {"KITOPS_HOME": str(root / "kit")}
        (project / "Kitfile").write_text(
            "manifestVersion: 1.0.0\npackage: {name: bench}\nmodel: {name: bench, path: weights}\n"
        )

        def kit_push(name: str) -> Row:
            packed = run(root, [kit, "pack", str(project), "-t", name], **home)
            return together(packed, run(root, [kit, "push", "--plain-http", name], **home))

        yield "kit pack + kit push (not an image that runs)", kit_push
    if docker_answers():

        def docker_push(name: str) -> Row:
            modelpack(root, "build", str(project), "-q", "--load", "--tag", name)
            pushed = run(root, ["docker", "push", "-q", name])
            run(root, ["docker", "rmi", "-f", name])
            return pushed

        yield "docker push", docker_push

        def docker_build(name: str) -> Row:
            (project / "Dockerfile").write_text(DOCKERFILE)
            built = run(root, ["docker", "build", "-q", "-t", name, str(project)],
                        DOCKER_BUILDKIT="1")  # fmt: skip
            pushed = run(root, ["docker", "push", "-q", name])
            run(root, ["docker", "rmi", "-f", name])
            return together(built, pushed)

        yield "docker build + docker push", docker_build
    yield "modelpack push, of the layout", lambda name: modelpack(root, *push(project, name))


def together(first: Row, second: Row) -> Row:
    """Return what both took, one after the other; the first that failed."""
    for row in (first, second):
        if row.seconds is None:
            return row
    assert first.seconds is not None
    assert second.seconds is not None
    return Row(
        "", first.seconds + second.seconds,
        megabytes=max(first.megabytes or 0, second.megabytes or 0),
        note=f"{first.seconds:.1f} + {second.seconds:.1f}",
    )  # fmt: skip


def push(project: Path, name: str) -> tuple[str, ...]:
    """Return the words that push the ready layout, with all that vouches for it."""
    return ("push", f"oci:{project}/dist/image:1", name, "-q")


def build(project: Path, name: str) -> tuple[str, ...]:
    """Return the words that build and push from the source files."""
    return ("build", str(project), "-q", "--push", "--tag", name)


def edit(project: Path) -> None:
    """Change one code file."""
    with (project / "app" / "__main__.py").open("a") as stream:
        stream.write("# edited\n")


def named(name: str, row: Row) -> Row:
    """Return `row` under a name."""
    row.name = name
    return row


def run(root: Path, command: Sequence[str], **variables: str) -> Row:
    """Measure a program."""
    return measured(command, cwd=root, environment=installed(**variables))


def modelpack(root: Path, *words: str) -> Row:
    """Measure ourselves, with a cache of our own."""
    cache = {"MODELPACK_CACHE": str(root / "cache")}
    return run(root, [sys.executable, "-m", "modelpack", *words], **cache)


def tool(name: str) -> str | None:
    """Return a pinned program that was built, or one that is installed."""
    done = subprocess.run(["sh", str(TOOLS), "--cached", name], capture_output=True, check=False)
    return done.stdout.decode().strip() or shutil.which(name)


def docker_answers() -> bool:
    """Tell whether there is an engine."""
    if not shutil.which("docker"):
        return False
    return subprocess.run(["docker", "info"], capture_output=True, check=False).returncode == 0


# Where to


@contextmanager
def registry(program: str, root: Path) -> Iterator[tuple[str, Path]]:
    """Run an empty registry on loopback; yield its address, and where its content is."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    with tempfile.TemporaryDirectory(dir=root, prefix="registry-") as folder:
        config = Path(folder) / "config.yml"
        config.write_text(
            f"version: 0.1\nlog: {{level: error}}\nhttp: {{addr: '{address}', secret: bench}}\n"
            f"storage: {{filesystem: {{rootdirectory: '{folder}/content'}}}}\n"
        )
        process = subprocess.Popen(
            [program, "serve", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env={**os.environ, "OTEL_TRACES_EXPORTER": "none"},
        )  # fmt: skip
        try:
            wait_for(address)
            yield address, Path(folder) / "content"
        finally:
            process.kill()
            process.wait()


def wait_for(address: str) -> None:
    """Wait until somebody answers, ten seconds at most."""
    for _ in range(100):
        try:
            urllib.request.urlopen(f"http://{address}/v2/", timeout=5).close()
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError(f"no registry at {address}")


class NullSink(BaseHTTPRequestHandler):
    """Takes uploads, and keeps nothing but which manifests have which names."""

    protocol_version = "HTTP/1.1"
    names: dict[str, str] = {}  # noqa: RUF012  of the one server there is

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def answer(self) -> None:
        """Read the body, and be content with it."""
        left, buffer = int(self.headers.get("Content-Length", "0")), memoryview(bytearray(MIB))
        running = hashlib.sha256()
        is_manifest = "/manifests/" in self.path
        while self.command != "GET" and left:
            count = self.rfile.readinto(buffer[:left])
            if is_manifest:
                running.update(buffer[:count])
            left -= count or left
        if self.command == "PUT" and is_manifest:
            self.names[self.path] = f"sha256:{running.hexdigest()}"
        status = {"POST": 202, "PATCH": 202, "PUT": 201}.get(self.command, 404)
        held = self.names.get(self.path) if self.command == "HEAD" else None
        self.send_response_only(200 if self.path == "/v2/" or held else status)
        self.send_header("Content-Length", "0")
        if held:
            self.send_header("Docker-Content-Digest", held)
        self.send_header("Location", "/v2/bench/blobs/uploads/1")
        self.end_headers()

    do_GET = do_HEAD = do_POST = do_PATCH = do_PUT = answer  # noqa: N815  as http.server calls them


@contextmanager
def sink() -> Iterator[str]:
    """Run the null sink in a process of its own; yield its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), NullSink)
    child = os.fork()
    if child == 0:
        threading.Thread(target=server.serve_forever, daemon=False).start()
        threading.Event().wait()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)
        server.server_close()


if __name__ == "__main__":
    sys.exit(main())
