"""Downloads are bounded, tried again where it helps, and never go where they should not."""

import base64
import hashlib
import urllib.request
from collections.abc import Mapping
from pathlib import Path

import pytest
from debian_archive import serve, serve_files

from modelpack.errors import Refused, Unavailable
from modelpack.inputs import fetch
from modelpack.inputs.downloads import Downloads
from modelpack.inputs.fetch import Client, Gone

Answer = tuple[int, Mapping[str, str], bytes]


class Script:
    """Answers with one reply after the other and remembers what was asked."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, Mapping[str, str]]] = []

    def __call__(self, path: str, headers: Mapping[str, str]) -> Answer:
        self.asked.append((path, headers))
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@pytest.fixture
def waits() -> list[float]:
    return []


@pytest.fixture
def client(waits: list[float]) -> Client:
    return Client({}, pause=waits.append, timeout=5)


def test_content_is_read(client: Client) -> None:
    with serve_files({"/x": b"content"}) as root:
        assert client.read(f"{root}/x", limit=100) == b"content"


def test_what_is_not_there_is_gone_at_once(client: Client, waits: list[float]) -> None:
    with serve_files({}) as root, pytest.raises(Gone) as caught:
        client.read(f"{root}/x", limit=100, at="libc6")
    assert caught.value.findings[0].at == "libc6"
    assert "127.0.0.1" in caught.value.findings[0].message
    assert waits == []


def test_a_passing_failure_is_tried_again(client: Client, waits: list[float]) -> None:
    script = Script((503, {}, b"busy"), (502, {}, b""), (200, {}, b"content"))
    with serve(script) as root:
        assert client.read(f"{root}/x", limit=100) == b"content"
    assert len(script.asked) == 3
    assert waits == sorted(waits)
    assert len(waits) == 2


def test_after_three_tries_it_is_unavailable(client: Client) -> None:
    script = Script((500, {}, b""))
    with serve(script) as root, pytest.raises(Unavailable, match="answers 500"):
        client.read(f"{root}/x", limit=100)
    assert len(script.asked) == 3


def test_a_cut_connection_is_tried_again_from_the_start(client: Client, tmp_path: Path) -> None:
    content = b"0123456789" * 100
    sha256 = hashlib.sha256(content).hexdigest()
    cut = (200, {"Content-Length": str(len(content))}, content[:500])
    steps: list[int] = []
    with serve(Script(cut, (200, {}, content))) as root:
        path = fetch.download(
            client,
            f"{root}/x",
            sha256=sha256,
            size=len(content),
            downloads=Downloads(tmp_path),
            advance=steps.append,
        )
    assert path.read_bytes() == content
    assert sum(steps) == len(content)


def test_other_content_than_pinned_is_refused_naming_the_host(
    client: Client, tmp_path: Path
) -> None:
    with serve_files({"/x": b"evil"}) as root, pytest.raises(Refused) as caught:
        fetch.download(
            client, f"{root}/x", sha256="0" * 64, size=4, downloads=Downloads(tmp_path), at="libc6"
        )
    assert root.removeprefix("http://") in caught.value.findings[0].message
    assert caught.value.findings[0].at == "libc6"


@pytest.mark.parametrize("headers", [{}, {"Transfer-Encoding": "identity", "Content-Length": "9"}])
def test_more_than_the_limit_is_not_read(client: Client, headers: Mapping[str, str]) -> None:
    with (
        serve(Script((200, headers, b"123456789"))) as root,
        pytest.raises(Unavailable, match="more than 8 bytes"),
    ):
        client.read(f"{root}/x", limit=8)


def test_a_redirect_is_followed_without_the_password(client: Client) -> None:
    target = Script((200, {}, b"content"))
    with serve(target) as other:
        elsewhere = other.replace("127.0.0.1", "localhost")
        source = Script((302, {"Location": f"{elsewhere}/y"}, b""))
        with serve(source) as root:
            url = root.replace("http://", "http://me:s%40crt@") + "/x"
            assert client.read(url, limit=100) == b"content"
    sent = source.asked[0][1]["Authorization"]
    assert base64.b64decode(sent.removeprefix("Basic ")) == b"me:s@crt"
    assert "Authorization" not in target.asked[0][1]


def test_a_circle_of_redirects_ends(client: Client) -> None:
    with serve(Script((302, {"Location": "/x"}, b""))) as root, pytest.raises(Unavailable):
        client.read(f"{root}/x", limit=100)


def test_a_redirect_to_another_scheme_is_refused(client: Client) -> None:
    with (
        serve(Script((302, {"Location": "file:///etc/passwd"}, b""))) as root,
        pytest.raises(Unavailable),
    ):
        client.read(f"{root}/x", limit=100)


def test_a_redirect_from_https_to_http_is_refused() -> None:
    request = urllib.request.Request("https://a.example/x")
    with pytest.raises(ValueError, match=r"http://a\.example/y"):
        fetch._Redirects().redirect_request(request, None, 302, "Found", {}, "http://a.example/y")
    assert fetch._Redirects().redirect_request(
        request, None, 302, "Found", {}, "https://b.example/y"
    )


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://x/y", "http:///x", "data:,x", ""])
def test_only_the_web_is_read(client: Client, url: str) -> None:
    with pytest.raises(Unavailable, match="not a http or https URL"):
        client.read(url, limit=100)


def test_a_password_is_in_no_message(client: Client) -> None:
    with serve_files({}) as root, pytest.raises(Gone) as caught:
        client.read(root.replace("http://", "http://me:secret@") + "/x", limit=100)
    assert "secret" not in str(caught.value)


def test_a_proxy_of_the_environment_is_used_except_where_it_says_no() -> None:
    proxy, direct = Script((200, {}, b"by proxy")), Script((200, {}, b"direct"))
    with serve(proxy) as via, serve(direct) as root:
        environment = {"http_proxy": via}
        url = root.replace("127.0.0.1", "localhost") + "/x"
        assert Client(environment).read(url, limit=100) == b"by proxy"
        environment["no_proxy"] = "localhost"
        assert Client(environment).read(url, limit=100) == b"direct"
    assert proxy.asked[0][0] == url


def test_an_unknown_host_is_not_tried_again(client: Client, waits: list[float]) -> None:
    with pytest.raises(Unavailable) as caught:
        client.read("http://no-such-host.invalid/x", limit=100)
    assert "no-such-host.invalid" in caught.value.findings[0].message
    assert "proxy" in caught.value.findings[0].hint


def test_a_refused_connection_is_unavailable(client: Client) -> None:
    with serve_files({}) as root:
        pass
    with pytest.raises(Unavailable, match="cannot read from"):
        client.read(f"{root}/x", limit=100)


def test_a_missing_certificate_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="SSL_CERT_FILE"):
        Client({"SSL_CERT_FILE": str(tmp_path / "missing.pem")})
