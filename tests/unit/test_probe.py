"""The probe tells healthy from unhealthy, quickly, and asks nobody but this machine."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from modelpack.runtime import probe


@contextmanager
def service(answer: bytes, *, pieces: int = 1, hold: bool = False, host: str = "127.0.0.1"):
    """Serve one connection with `answer`, in so many pieces; yield the port and the requests."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    requests: list[bytes] = []
    over = threading.Event()
    with socket.socket(family) as server:
        server.bind((host, 0))
        server.listen()
        server.settimeout(30)

        def serve() -> None:
            with contextlib.suppress(OSError), server.accept()[0] as connection:
                requests.append(connection.recv(4096))
                step = -(-len(answer) // pieces) or 1
                for i in range(0, len(answer), step):
                    connection.sendall(answer[i : i + step])
                if hold:
                    over.wait(30)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server.getsockname()[1], requests
        finally:
            over.set()
            if not requests:  # nobody came
                with contextlib.suppress(OSError), socket.socket(family) as last:
                    last.connect(server.getsockname()[:2])
            thread.join()


@pytest.fixture
def closed_port() -> Iterator[int]:
    """Hold a port on which nobody listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.0 204\r\n\r\n",
        b"HTTP/1.1 299 Anything\n\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\n",
    ],
)
@pytest.mark.parametrize("pieces", [1, 30])
def test_a_2xx_answer_is_healthy(answer: bytes, pieces: int, capsys: pytest.CaptureFixture[str]):
    with service(answer, pieces=pieces) as (port, requests):
        assert probe.main([f"http://127.0.0.1:{port}/healthz?full=1"]) == 0
    assert requests[0].startswith(b"GET /healthz?full=1 HTTP/1.1\r\n")
    assert f"\r\nHost: 127.0.0.1:{port}\r\n".encode() in requests[0]
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("answer", "line"),
    [
        (b"HTTP/1.1 503 Service Unavailable\r\n\r\n", "status 503\n"),
        (b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\n\r\n", "status 302\n"),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", "status 100\n"),
        (b"", "the answer is not HTTP\n"),
        (b"HTTP/1.1 200 OK", "the answer is not HTTP\n"),
        (b"HTTP/1.1 2000 OK\r\n", "the answer is not HTTP\n"),
        (b"SSH-2.0-OpenSSH\r\n\x1b[2J", "the answer is not HTTP\n"),
        (b"HTTP/1.1 200 " + b"x" * 100_000, "the answer is not HTTP\n"),
    ],
    ids=lambda value: repr(value[:20]),
)
def test_any_other_answer_is_unhealthy_in_one_short_line(
    answer: bytes, line: str, capsys: pytest.CaptureFixture[str]
):
    with service(answer) as (port, _):
        assert probe.main([f"http://127.0.0.1:{port}/"]) == 1
    assert capsys.readouterr().out == line


def test_a_closed_port_is_unhealthy(closed_port: int, capsys: pytest.CaptureFixture[str]):
    for host in ("127.0.0.1", "localhost"):
        assert probe.main([f"http://{host}:{closed_port}/"]) == 1
        assert capsys.readouterr().out == "no answer: Connection refused\n"


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 20"])
def test_a_service_that_hangs_is_unhealthy(answer: bytes, capsys: pytest.CaptureFixture[str]):
    with service(answer, hold=True) as (port, _):
        assert probe.main(["--timeout", "0.2", f"http://127.0.0.1:{port}/"]) == 1
    assert capsys.readouterr().out == "no answer within 0.2 s\n"


def test_the_timeout_is_for_everything_and_not_for_each_read(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    clock = iter(range(1000))
    monkeypatch.setattr(probe.time, "monotonic", lambda: float(next(clock)))
    with service(b"H" * 4095, pieces=4095, hold=True) as (port, _):
        assert probe.main([f"http://127.0.0.1:{port}/", "--timeout", "4"]) == 1
    assert capsys.readouterr().out == "no answer within 4 s\n"


@pytest.mark.parametrize("host", ["localhost", "[::1]"])
def test_the_loopback_of_ipv6_is_asked(host: str):
    try:
        with service(b"HTTP/1.1 200 OK\r\n\r\n", host="::1") as (port, _):
            assert probe.main([f"http://{host}:{port}"]) == 0
    except OSError as error:
        pytest.skip(f"no IPv6 here: {error}")


@pytest.mark.parametrize("proxy", ["http_proxy", "HTTP_PROXY", "ALL_PROXY"])
def test_no_proxy_is_asked(proxy: str, monkeypatch: pytest.MonkeyPatch, closed_port: int):
    monkeypatch.setenv(proxy, f"http://127.0.0.1:{closed_port}")
    with service(b"HTTP/1.1 200 OK\r\n\r\n") as (port, _):
        assert probe.main([f"http://localhost:{port}/"]) == 0


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/",
        "http://10.0.0.1/",
        "http://0.0.0.0/",
        "http://128.0.0.1/",
        "http://127.0.0.1.example.com/",
        "http://127.0.0.256/",
        "http://127.1/",
        "http://2130706433/",
        "http://[::]/",
        "http://[::ffff:127.0.0.1]/",
        "http://user@127.0.0.1/",
        "http://127.0.0.1@example.com/",
        "http://localhost.example.com/",
        "http://127.0.0.1:0/",
        "http://127.0.0.1:65536/",
        "http://127.0.0.1:/",
        "http://127.0.0.1:80:80/",
        "https://127.0.0.1/",
        "file:///etc/passwd",
        "127.0.0.1:80",
        "http://127.0.0.1/a b",
        "http://127.0.0.1/\r\nX: y",
        "http://127.0.0.1/\n",
        "http://127.0.0.1/#fragment",
        "http://127.0.0.1/ä",
        "http://127.0.0.1healthz",
        "http://\uff1127.0.0.1/",
        "",
    ],
)
def test_other_hosts_and_strange_urls_are_usage_errors(
    url: str, capsys: pytest.CaptureFixture[str]
):
    assert probe.main([url]) == 2
    assert len(capsys.readouterr().out.splitlines()) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--timeout"],
        ["--timeout", "5"],
        ["http://127.0.0.1/", "--timeout"],
        ["http://127.0.0.1/", "--timeout", "x"],
        ["http://127.0.0.1/", "--timeout", "0"],
        ["http://127.0.0.1/", "--timeout", "-1"],
        ["http://127.0.0.1/", "--timeout", "nan"],
        ["http://127.0.0.1/", "--timeout", "inf"],
        ["http://127.0.0.1/", "http://127.0.0.1/"],
        ["--help"],
        ["http://127.0.0.1/", "--timeout", "1", "--timeout", "1"],
    ],
    ids=" ".join,
)
def test_wrong_arguments_are_usage_errors(arguments: list[str], capsys: pytest.CaptureFixture[str]):
    assert probe.main(arguments) == 2
    assert len(capsys.readouterr().out.splitlines()) == 1
