"""The example services, run as programs on the loopback interface, without an image."""

import http.client
import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
DIGITS = EXAMPLES / "digits"
MINILM = EXAMPLES / "minilm"
CUDA_SMALL = EXAMPLES / "cuda-small"
ALL = sorted(path.parent for path in EXAMPLES.glob("*/modelpack.toml"))
NEEDS = {
    "digits": ("numpy", "safetensors", "prometheus_client"),
    "cuda-small": ("numpy", "safetensors"),
    "minilm": ("numpy", "safetensors", "prometheus_client", "fastapi", "uvicorn", "tokenizers"),
}
FACTS = {
    "MODELPACK_WEIGHTS_DIGEST": "sha256:" + "5" * 64,
    "MODELPACK_WEIGHTS_VERIFIED": "full",
    "MODELPACK_REVISION": "0123abcd",
}
PATIENCE = 60  # seconds until a test gives up; nothing is measured


@dataclass(frozen=True, slots=True)
class Service:
    """A running example."""

    process: subprocess.Popen[bytes]
    port: int

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> tuple[int, bytes]:
        """Return status and body of one answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            given = {"Content-Type": "application/json"} if body is not None else {}
            connection.request(method, path, body=body, headers=given | (headers or {}))
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def until(self, path: str, wanted: Callable[[int, bytes], bool]) -> tuple[int, bytes]:
        """Ask again until the answer is wanted."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            try:
                status, body = self.request("GET", path)
            except ConnectionRefusedError:
                assert self.process.poll() is None, "the service ended"
                status, body = 0, b""
            if wanted(status, body):
                return status, body
            time.sleep(0.02)
        raise AssertionError(f"{path} never answered as wanted")


def free_port() -> int:
    """Return a port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(folder: Path, weights: Path) -> Iterator[Service]:
    """Start an example as its image does, in an environment of its own; kill it at the end."""
    port = free_port()
    environment = {
        "PATH": os.defpath,
        "PORT": str(port),
        "HOME": "/nonexistent",
        "MODELPACK_WEIGHTS": str(weights),
        "PYTHONDONTWRITEBYTECODE": "1",
        "OMP_NUM_THREADS": "1",
    } | FACTS
    process = subprocess.Popen(
        [sys.executable, "-m", "service"], cwd=folder, env=environment, stderr=subprocess.PIPE
    )
    try:
        yield Service(process, port)
    finally:
        process.kill()
        process.communicate()


def require_modules(example: str) -> None:
    """Skip where this interpreter lacks what an example needs; in CI, digits must run."""
    missing = [name for name in NEEDS[example] if importlib.util.find_spec(name) is None]
    if missing and os.environ.get("CI") == "true" and example == "digits":
        pytest.fail(f"missing in CI: {missing}")
    if missing:
        pytest.skip(f"the {example} example needs {', '.join(missing)}")


@pytest.fixture(scope="module")
def digits() -> Iterator[Service]:
    """Run the digits example until its weights are loaded."""
    require_modules("digits")
    with running(DIGITS, DIGITS / "weights") as service:
        service.until("/readyz", lambda status, _: status == 200)
        yield service


@pytest.fixture(scope="module")
def minilm() -> Iterator[Service]:
    """Run the minilm example, if its weights have been fetched."""
    require_modules("minilm")
    if not (MINILM / "weights" / "model.safetensors.index.json").is_file():
        pytest.skip("the weights are not there: `python examples/minilm/get_weights.py`")
    with running(MINILM, MINILM / "weights") as service:
        service.until("/readyz", lambda status, _: status == 200)
        yield service


def close(got: Any, want: Any, tolerance: float) -> bool:
    """Tell whether two JSON values are equal, numbers within `tolerance`."""
    if isinstance(want, dict):
        return got.keys() == want.keys() and all(close(got[k], want[k], tolerance) for k in want)
    if isinstance(want, list):
        return len(got) == len(want) and all(map(close, got, want, [tolerance] * len(want)))
    if isinstance(want, float):
        return abs(got - want) <= tolerance
    return bool(got == want)


def assert_golden(service: Service, file: Path) -> None:
    """Send a golden request and compare."""
    case = json.loads(file.read_text("utf-8"))
    asked, want = case["request"], case["response"]
    status, body = service.request(
        asked["method"], asked["path"], json.dumps(asked["json"]).encode()
    )
    assert status == want["status"]
    assert close(json.loads(body), want["json"], case["tolerance"]["absolute"])


def counted(service: Service, line: str) -> float:
    """Return the value of one line of /metrics, 0 if it is not there."""
    text = service.request("GET", "/metrics")[1].decode()
    values = [row.split()[-1] for row in text.splitlines() if row.startswith(line)]
    return sum(map(float, values))


def golden(folder: Path) -> list[Path]:
    """Return the golden files of an example."""
    return sorted((folder / "golden").glob("*.json"))


@pytest.mark.parametrize("file", golden(DIGITS), ids=lambda file: file.stem)
def test_digits_answers_as_the_trained_model_does(digits: Service, file: Path) -> None:
    assert_golden(digits, file)


def test_digits_answers_a_batch_as_it_answers_each_alone(digits: Service) -> None:
    images = json.loads((DIGITS / "golden" / "all-digits.json").read_text())["request"]["json"]
    together = json.loads(digits.request("POST", "/predict", json.dumps(images).encode())[1])
    for image, expected in zip(images["images"], together["predictions"], strict=True):
        alone = digits.request("POST", "/predict", json.dumps({"images": [image]}).encode())[1]
        assert close(json.loads(alone)["predictions"][0], expected, 1e-6)


def test_digits_tells_what_the_guard_verified(digits: Service) -> None:
    status, body = digits.request("GET", "/version")

    assert status == 200
    assert json.loads(body) == {
        "model": "digits",
        "version": "1.0.0",
        "weights_digest": FACTS["MODELPACK_WEIGHTS_DIGEST"],
        "weights_verified": "full",
        "revision": "0123abcd",
    }


def test_digits_counts_requests_by_path_and_status(digits: Service) -> None:
    line = 'http_requests_total{path="/healthz",status="200"}'
    before = counted(digits, line)

    assert digits.request("GET", "/healthz")[0] == 200

    digits.until("/metrics", lambda *_: counted(digits, line) == before + 1)
    assert counted(digits, 'http_request_duration_seconds_count{path="/healthz"}') >= 1


def test_digits_does_not_count_invented_paths_one_by_one(digits: Service) -> None:
    assert digits.request("GET", "/invented")[0] == 404

    digits.until("/metrics", lambda *_: counted(digits, 'http_requests_total{path="other"') >= 1)
    assert b"invented" not in digits.request("GET", "/metrics")[1]


BLANK = [0] * 64


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"\xff", 400),
        (b"[" * 100_000, 400),
        (b'{"images": [[' + b"9" * 5000 + b"]]}", 400),
        (b"null", 422),
        (b"{}", 422),
        (b'{"images": []}', 422),
        (b'{"images": [[]]}', 422),
        (b'{"images": 1, "images2": 2}', 422),
        (json.dumps({"images": [BLANK[:63]]}).encode(), 422),
        (json.dumps({"images": [[*BLANK[:63], 16.5]]}).encode(), 422),
        (json.dumps({"images": [[*BLANK[:63], -1]]}).encode(), 422),
        (json.dumps({"images": [[*BLANK[:63], True]]}).encode(), 422),
        (json.dumps({"images": [[*BLANK[:63], "1"]]}).encode(), 422),
        (json.dumps({"images": [[*BLANK[:63], float("nan")]]}).encode(), 422),
        (json.dumps({"images": [[*BLANK[:63], 10**400]]}).encode(), 422),
        (json.dumps({"images": [BLANK] * 257}).encode(), 422),
        (b" " * ((1 << 20) + 1), 413),
    ],
)
def test_digits_refuses_a_wrong_request(digits: Service, body: bytes, status: int) -> None:
    try:
        answered, answer = digits.request("POST", "/predict", body)
    except (BrokenPipeError, ConnectionResetError):  # it answered 413 before it had read all
        assert status == 413
        return
    assert answered == status
    assert json.loads(answer)["detail"]


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/predict", {}, 405),
        ("POST", "/readyz", {"Content-Length": "0"}, 405),
        ("DELETE", "/predict", {}, 405),
        ("POST", "/nowhere", {"Content-Length": "0"}, 404),
        ("POST", "/predict", {"Transfer-Encoding": "chunked"}, 411),
        ("POST", "/predict", {"Content-Length": "many"}, 400),
        ("POST", "/predict", {"Content-Length": "9" * 5000}, 413),
    ],
)
def test_digits_answers_a_wrong_head(
    digits: Service, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    assert digits.request(method, path, headers=headers)[0] == status


def test_digits_is_alive_but_not_ready_without_weights(tmp_path: Path) -> None:
    require_modules("digits")
    with running(DIGITS, tmp_path) as service:
        service.until("/readyz", lambda _, body: json.loads(body or b"{}") == {"status": "failed"})

        assert service.request("GET", "/readyz")[0] == 503
        assert service.request("GET", "/healthz")[0] == 503
        body = json.dumps({"images": [BLANK]}).encode()
        assert service.request("POST", "/predict", body)[0] == 503


def test_digits_is_not_ready_before_its_weights_are_loaded(tmp_path: Path) -> None:
    require_modules("digits")
    for file in (DIGITS / "weights").glob("model*"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    os.mkfifo(tmp_path / "config.json")  # loading waits here until somebody writes
    with running(DIGITS, tmp_path) as service:
        status, body = service.until("/readyz", lambda status, _: status != 0)
        assert (status, json.loads(body)) == (503, {"status": "loading"})
        assert service.request("GET", "/healthz")[0] == 200

        (tmp_path / "config.json").write_bytes((DIGITS / "weights" / "config.json").read_bytes())

        service.until("/readyz", lambda status, _: status == 200)


def test_digits_ends_when_it_is_told_to() -> None:
    require_modules("digits")
    with running(DIGITS, DIGITS / "weights") as service:
        service.until("/readyz", lambda status, _: status == 200)
        service.process.send_signal(signal.SIGTERM)

        assert service.process.wait(PATIENCE) == 0


def test_cuda_small_is_alive_and_says_why_there_is_no_gpu() -> None:
    require_modules("cuda-small")
    with running(CUDA_SMALL, CUDA_SMALL / "weights") as service:
        status, body = service.until(
            "/readyz", lambda _, body: b"loading" not in (body or b"loading")
        )
        answer = json.loads(body)

        assert (status, answer["status"]) == (503, "no-device")
        assert answer["reason"]
        assert service.request("GET", "/healthz") == (200, b'{"status": "alive"}')
        assert service.request("POST", "/predict", b'{"points": [[0, 0]]}')[0] == 503


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/nowhere", None, 404),
        ("POST", "/healthz", b"{}", 404),
        ("POST", "/predict", b" " * (70 << 10), 413),
    ],
)
def test_cuda_small_refuses_a_wrong_request(
    method: str, path: str, body: bytes | None, status: int
) -> None:
    require_modules("cuda-small")
    with running(CUDA_SMALL, CUDA_SMALL / "weights") as service:
        service.until("/healthz", lambda status, _: status == 200)
        assert service.request(method, path, body)[0] == status


@pytest.mark.parametrize("file", golden(MINILM), ids=lambda file: file.stem)
def test_minilm_answers_with_the_true_embeddings(minilm: Service, file: Path) -> None:
    assert_golden(minilm, file)


def test_minilm_answers_alike_alone_repeated_and_in_a_batch(minilm: Service) -> None:
    def embed(*texts: str) -> list[list[float]]:
        body = json.dumps({"texts": texts}).encode()
        vectors: list[list[float]] = json.loads(minilm.request("POST", "/embed", body)[1])[
            "embeddings"
        ]
        return vectors

    texts = ["short", "a sentence that is somewhat longer than that", "weights " * 100]
    together = embed(*texts)

    assert close(embed(*texts), together, 1e-6)
    assert close([embed(text)[0] for text in texts], together, 1e-5)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 422),
        (b'{"texts": []}', 422),
        (b'{"texts": [1]}', 422),
        (b'{"texts": NaN}', 422),
        (b'{"texts": ["\\ud800"]}', 422),
        (b'{"texts": ["a"], "\\ud800": 1}', 422),
        (json.dumps({"texts": ["a"] * 33}).encode(), 422),
        (json.dumps({"texts": ["a" * 16385]}).encode(), 422),
        (b"[" * 100_000, 400),
        (b" " * ((1 << 20) + 1), 413),
    ],
)
def test_minilm_refuses_a_wrong_request(minilm: Service, body: bytes, status: int) -> None:
    assert minilm.request("POST", "/embed", body)[0] == status


def test_minilm_counts_what_it_answers(minilm: Service) -> None:
    before = counted(minilm, "embedded_texts_total")
    minilm.request("POST", "/embed", b'{"texts": ["one", "two"]}')

    assert counted(minilm, "embedded_texts_total") == before + 2
    assert counted(minilm, 'http_requests_total{path="/embed",status="200"}') >= 1


@pytest.mark.parametrize("folder", ALL, ids=lambda folder: folder.name)
def test_lockfile_pins_by_hash_and_names_no_host(folder: Path) -> None:
    text = (folder / "requirements.lock").read_text("ascii")
    pins = [line for line in text.splitlines() if line and line[0] not in " #"]

    assert pins
    assert all("==" in line and line.endswith("\\") for line in pins)
    assert text.count("--hash=sha256:") >= len(pins)
    assert "://" not in text
    assert "--index" not in text


@pytest.mark.parametrize("folder", ALL, ids=lambda folder: folder.name)
def test_service_and_spec_name_the_same_model(folder: Path) -> None:
    import tomli

    model = tomli.loads((folder / "modelpack.toml").read_text("utf-8"))["model"]
    code = (folder / "service" / "__init__.py").read_text("utf-8")

    assert f'MODEL = "{model["name"]}"' in code
    assert f'VERSION = "{model["version"]}"' in code
