"""The guard and the probe as the image runs them, under every Python that an image may bring."""

import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from packed_weights import DIGEST, events, manifest, save, weights_entry

import modelpack.runtime
from tests.pythons import VERSIONS, find_python

pytestmark = pytest.mark.integration

RUNTIME = Path(modelpack.runtime.__file__).parent
FILES = {"a.safetensors": bytes(range(100)), "sub/b.json": b"{}"}
NOBODY = 65534

# Says who it is and what it was told, then waits for a signal.
SERVICE = """
import json, os, signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
names = ["MODELPACK_WEIGHTS_DIGEST", "MODELPACK_WEIGHTS_VERIFIED", "KEPT"]
told = {name: os.environ.get(name) for name in names}
print(json.dumps({"pid": os.getpid(), "argv": sys.argv[1:], **told}), flush=True)
while True:
    signal.pause()
"""


@pytest.fixture(scope="module", params=VERSIONS)
def python(request: pytest.FixtureRequest) -> str:
    found = find_python(request.param)
    if found is None:
        pytest.skip(f"Python {request.param} is not installed")
    return found


class Image:
    """Where the image has the guard, its manifest and the weights."""

    def __init__(self, root: Path) -> None:
        self.weights = root / "models"
        self.share = root / "share"
        self.share.mkdir()
        for name in ("guard.py", "probe.py"):
            shutil.copy(RUNTIME / name, self.share)
        self.pack()

    def pack(self, **changes: Any) -> None:
        save(manifest(weights_entry(self.weights, FILES), **changes), self.share / "weights.json")

    def pack_large(self, size: int) -> None:
        """Pack one file of zeros, a hole that costs no disk."""
        chunk = 64 << 20
        zeros = hashlib.sha256(bytes(chunk)).hexdigest()
        entry = weights_entry(self.weights, {"large.bin": b""}, include=["*.bin"])
        os.truncate(self.weights / "large.bin", size)
        entry["files"][0].update(size=size, chunks=[zeros] * (size // chunk))
        save(manifest(entry, chunk=chunk), self.share / "weights.json")

    def argv(self, python: str, *command: str, program: str = "guard.py") -> list[str]:
        return [python, "-I", "-S", str(self.share / program), *command]

    def run(
        self, python: str, *command: str, **options: Any
    ) -> tuple[int, str, list[dict[str, Any]]]:
        """Run the guard to its end; return status, standard output and events."""
        run = subprocess.run(
            self.argv(python, *command), capture_output=True, text=True, timeout=120, check=False,
            **{"stdin": subprocess.DEVNULL, **options},
        )  # fmt: skip
        return run.returncode, run.stdout, events(run.stderr)


@pytest.fixture
def image(tmp_path: Path) -> Image:
    return Image(tmp_path)


def test_the_command_takes_over_the_process_with_its_signals_and_environment(
    python: str, image: Image
):
    environ = {
        "PATH": os.path.dirname(sys.executable),
        "KEPT": "yes",
        "MODELPACK_WEIGHTS_DIGEST": "sha256:forged",
        "MODELPACK_WEIGHTS_VERIFIED": "forged",
    }
    name = os.path.basename(sys.executable)
    argv = image.argv(python, name, "-c", SERVICE, "--flag", "a b", "")
    with subprocess.Popen(
        argv, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 7
    assert told == {
        "pid": process.pid,
        "argv": ["--flag", "a b", ""],
        "MODELPACK_WEIGHTS_DIGEST": DIGEST,
        "MODELPACK_WEIGHTS_VERIFIED": "full",
        "KEPT": "yes",
    }
    lines = events(errors)
    assert [e["event"] for e in lines] == ["guard.start", "guard.verified", "guard.exec"]


def test_signals_that_python_ignores_are_not_ignored_by_the_command(python: str, image: Image):
    code, out, _ = image.run(python, "/bin/sh", "-c", "grep SigIgn /proc/self/status")
    if code == 2:
        pytest.skip("no /proc here")
    ignored = int(out.split()[1], 16)
    assert not ignored & 1 << (signal.SIGPIPE - 1)


def test_bad_weights_start_nothing(python: str, image: Image, tmp_path: Path):
    mark = tmp_path / "started"
    changed = bytearray(FILES["a.safetensors"])
    changed[99] ^= 1
    (image.weights / "a.safetensors").write_bytes(changed)
    (image.weights / "sub/b.json").unlink()
    os.mkfifo(image.weights / "sub/b.json")
    (image.weights / "sub/\x1b[2J.json").touch()
    code, _, lines = image.run(python, "touch", str(mark))
    assert code == 78
    assert not mark.exists()
    found = {(e["file"], e["reason"], e.get("first"), e.get("last")) for e in lines[1:-1]}
    assert found == {
        (f"{image.weights}/a.safetensors", "content", 96, 99),
        (f"{image.weights}/sub/b.json", "not-regular", None, None),
        (f"{image.weights}/sub/\x1b[2J.json", "extra", None, None),
    }
    assert lines[-1]["event"] == "guard.refused"


def test_a_missing_manifest_starts_nothing(python: str, image: Image):
    (image.share / "weights.json").unlink()
    code, out, lines = image.run(python, "echo", "started")
    assert (code, out) == (78, "")
    assert lines[0]["event"] == "guard.refused"


@pytest.mark.parametrize("pattern", ["[z-a].json", "[!z-a].json"])
def test_a_reversed_range_never_crashes(python: str, image: Image, pattern: str):
    entry = weights_entry(image.weights, FILES, exclude=[pattern])
    save(manifest(entry), image.share / "weights.json")
    code, _, lines = image.run(python, "--check-only")
    assert code in {0, 78}
    assert lines[-1]["event"] in {"guard.verified", "guard.refused"}


def test_a_manifest_of_absurd_depth_starts_nothing(python: str, image: Image):
    (image.share / "weights.json").write_text("[" * 1_000_000)
    code, out, _ = image.run(python, "echo", "started")
    assert (code, out) == (78, "")


@pytest.mark.parametrize(
    ("command", "status"),
    [("no-such-command", 127), ("/no/such/command", 127), ("/dev/null/x", 127), ("/", 126)],
)
def test_a_command_that_does_not_start_says_why(
    python: str, image: Image, command: str, status: int
):
    code, _, lines = image.run(python, command)
    assert code == status
    assert lines[-1]["event"] == "guard.failed"


def test_a_file_that_is_not_executable_is_126(python: str, image: Image, tmp_path: Path):
    (tmp_path / "plain").write_text("#!/bin/sh\n")
    (tmp_path / "broken").write_bytes(b"\x00\x01")
    (tmp_path / "broken").chmod(0o755)
    for name in ("plain", "broken"):
        assert image.run(python, str(tmp_path / name))[0] == 126


def test_check_only_starts_nothing_and_tells(python: str, image: Image):
    assert image.run(python, "--check-only")[:2] == (0, "")
    (image.weights / "a.safetensors").unlink()
    assert image.run(python, "--check-only")[:2] == (78, "")
    assert image.run(python)[0] == 64


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_during_verification_ends_it_without_a_start(
    python: str, image: Image, number: signal.Signals
):
    image.pack_large(1 << 38)  # minutes to hash
    argv = image.argv(python, "echo", "started")
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        assert b"guard.start" in process.stderr.readline()
        process.send_signal(number)
        out, errors = process.communicate(timeout=120)
    assert process.returncode == 128 + number
    assert out == b""
    assert [e["event"] for e in events(errors.decode())] == ["guard.stopped"]


def test_memory_stays_small_whatever_the_size(python: str, image: Image):
    image.pack_large(1 << 28)
    # A child's peak starts with its parent's, so a small program starts it, not this large one.
    measure = (
        "import resource, subprocess, sys; code = subprocess.call(sys.argv[1:]);"
        "print(code, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    argv = [sys.executable, "-I", "-S", "-c", measure, *image.argv(python, "--check-only")]
    run = subprocess.run(argv, capture_output=True, text=True, check=True)
    code, peak = run.stdout.split()
    assert code == "0", run.stderr
    assert int(peak) < 50 * 1024 * (1024 if sys.platform == "darwin" else 1)


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """Make a folder that any user may enter, unlike pytest's own."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)


def _for_nobody(python: str) -> dict[str, Any]:
    """Return how to run `python` as a user without rights, or skip."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    options = {"user": NOBODY, "group": 0, "extra_groups": [], "cwd": "/", "env": {}}
    if subprocess.run([python, "-I", "-c", ""], check=False, capture_output=True,
                      **options).returncode:  # fmt: skip
        pytest.skip(f"`{python}` is not for other users")
    return options


@pytest.fixture(scope="module")
def public_python() -> str:
    """Return an interpreter that other users can run too."""
    return next((p for p in ("/usr/bin/python3", "/usr/local/bin/python3") if os.path.exists(p)),
                sys.executable)  # fmt: skip


def test_it_works_as_any_user_where_nothing_can_be_written(public_python: str, public_folder: Path):
    options = _for_nobody(public_python)
    image = Image(public_folder)
    for path in [public_folder, *public_folder.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    lost = image.weights / "lost+found"
    lost.mkdir(0o700)
    code, _, lines = image.run(public_python, "--check-only", **options)
    assert code == 0, lines


def test_what_this_user_cannot_read_is_bad_and_not_a_crash(public_python: str, public_folder: Path):
    options = _for_nobody(public_python)
    image = Image(public_folder)
    (image.weights / "a.safetensors").chmod(0o600)
    (image.weights / "sub").chmod(0o711)
    code, _, lines = image.run(public_python, "--check-only", **options)
    assert code == 78
    bad = {(e["file"], e["reason"]) for e in lines if e["event"] == "guard.bad"}
    assert bad == {
        (f"{image.weights}/a.safetensors", "unreadable"),
        (f"{image.weights}/sub", "unreadable"),
    }


def test_the_probe_runs_without_anything_but_the_standard_library(python: str, image: Image):
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        server.settimeout(60)
        url = f"http://localhost:{server.getsockname()[1]}/healthz"

        def serve() -> None:
            for status in (b"200 OK", b"503 No", b""):
                with server.accept()[0] as connection:
                    connection.recv(4096)
                    connection.sendall(b"HTTP/1.1 " + status + b"\r\n\r\n" if status else b"")
                    if not status:
                        connection.recv(1)  # until the probe has given up

        thread = threading.Thread(target=serve)
        thread.start()
        found = []
        for arguments in ([url], [url], [url, "--timeout", "0.3"]):
            argv = image.argv(python, *arguments, program="probe.py")
            run = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
            found.append((run.returncode, run.stdout, run.stderr))
        thread.join()
    assert found == [
        (0, "", ""),
        (1, "status 503\n", ""),
        (1, "no answer within 0.3 s\n", ""),
    ]
