"""Requests are bounded, tried again where it helps, and never go where they should not."""

import base64
import gc
import os
from collections.abc import Mapping
from pathlib import Path

import pytest
from debian_archive import serve, serve_files
from scripted_server import Script

from modelpack.errors import Unavailable
from modelpack.web.client import Client, Gone, Passing
from modelpack.web.urls import is_loopback, is_public, is_web


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


@pytest.mark.parametrize(
    ("headers", "waited"),
    [
        ({"Retry-After": "7"}, 7.0),
        ({"Retry-After": "0"}, 0.5),
        ({"Retry-After": "soon"}, 0.5),
        ({"Retry-After": "Fri, 31 Dec 1999 23:59:59 GMT"}, 59.0),
    ],
)
def test_a_server_may_ask_for_time(
    client: Client, waits: list[float], headers: Mapping[str, str], waited: float
) -> None:
    answer = (429, {**headers, "Date": "Fri, 31 Dec 1999 23:59:00 GMT"}, b"")
    with serve(Script(answer, (200, {}, b"content"))) as root:
        assert client.read(root, limit=100) == b"content"
    assert waits == [waited]


def test_nobody_waits_for_an_hour(client: Client, waits: list[float]) -> None:
    with (
        serve(Script((429, {"Retry-After": "3600"}, b""))) as root,
        pytest.raises(Passing, match="answers 429") as caught,
    ):
        client.read(root, limit=100)
    assert "3600 seconds" in caught.value.findings[0].hint
    assert waits == []


def test_after_three_tries_it_is_unavailable(client: Client) -> None:
    script = Script((500, {}, b""))
    with serve(script) as root, pytest.raises(Unavailable, match="answers 500"):
        client.read(f"{root}/x", limit=100)
    assert len(script.asked) == 3


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


def test_a_redirect_within_a_host_keeps_the_authorization(client: Client) -> None:
    script = Script((307, {"Location": "/y"}, b""), (200, {}, b"content"))
    with serve(script) as root, client.open("GET", root, headers={"Authorization": "x"}) as reply:
        assert reply.read(100) == b"content"
    assert [headers.get("Authorization") for _, headers in script.asked] == ["x", "x"]


def test_authorization_that_was_left_behind_does_not_come_back(client: Client) -> None:
    home = Script((302, {}, b""), (200, {}, b"content"))
    other = Script((302, {}, b""))
    with serve(home) as root, serve(other) as elsewhere:
        home.answers[0] = (302, {"Location": f"{elsewhere}/a"}, b"")
        other.answers[0] = (302, {"Location": f"{root}/b"}, b"")
        with client.open("GET", root, headers={"authorization": "x"}) as reply:
            assert reply.read(100) == b"content"
    asked = [*home.asked, *other.asked]
    assert ["Authorization" in headers or "authorization" in headers for _, headers in asked] == [
        True, False, False,
    ]  # fmt: skip


def test_another_port_is_another_host(client: Client) -> None:
    target = Script((200, {}, b"content"))
    with (
        serve(target) as other,
        serve(Script((302, {"Location": f"{other}/y"}, b""))) as root,
        client.open("GET", root, headers={"Authorization": "x", "Cookie": "y"}) as reply,
    ):
        assert reply.read(100) == b"content"
    assert not {"Authorization", "Cookie"} & set(target.asked[0][1])


@pytest.mark.parametrize("private", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]"])
def test_a_public_server_leads_to_no_private_address(private: str) -> None:
    # 127.0.0.2 stands for a public address here.
    client = Client({}, timeout=5, public=lambda host: host in ("127.0.0.2", "localhost"))
    target = Script((200, {}, b"secret of the inner network"))
    with serve(target) as inner:
        port = inner.rpartition(":")[2]
        lead = Script((302, {"Location": f"http://{private}:{port}/y"}, b""))
        with serve(lead, host="127.0.0.2") as outer:
            with pytest.raises(Unavailable, match="has a private address"):
                client.read(outer, limit=100)
            with (
                pytest.raises(Unavailable, match="has a private address"),
                client.open("GET", f"http://{private}:{port}/y", led_by=outer),
            ):
                pass
    assert target.asked == []


def test_a_private_server_leads_where_it_likes(client: Client) -> None:
    with (
        serve_files({"/y": b"content"}) as other,
        serve(Script((302, {"Location": f"{other}/y"}, b""))) as root,
    ):
        assert client.read(root, limit=100) == b"content"


def test_a_circle_of_redirects_ends(client: Client) -> None:
    with serve(Script((302, {"Location": "/x"}, b""))) as root, pytest.raises(Unavailable):
        client.read(f"{root}/x", limit=100)


def test_a_redirect_to_another_scheme_is_refused(client: Client) -> None:
    with (
        serve(Script((302, {"Location": "file:///etc/passwd"}, b""))) as root,
        pytest.raises(Unavailable),
    ):
        client.read(f"{root}/x", limit=100)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://x/y", "http:///x", "data:,x", ""])
def test_only_the_web_is_read(client: Client, url: str) -> None:
    with pytest.raises(Unavailable, match="not a http or https URL"):
        client.read(url, limit=100)


def test_a_password_is_in_no_message(client: Client) -> None:
    with serve_files({}) as root, pytest.raises(Gone) as caught:
        client.read(root.replace("http://", "http://me:secret@") + "/x", limit=100)
    assert "secret" not in str(caught.value)


def test_a_proxy_of_the_environment_is_used_except_where_it_says_no() -> None:
    proxy = Script((200, {}, b"by proxy"))
    with serve(proxy) as via:
        environment = {"http_proxy": via}
        url = "http://mirror.invalid/x"
        assert Client(environment).read(url, limit=100) == b"by proxy"
        environment["no_proxy"] = ".invalid"
        with pytest.raises(Unavailable, match=r"cannot read from `mirror\.invalid`"):
            Client(environment).read(url, limit=100)
    assert [path for path, _ in proxy.asked] == [url]


def test_a_proxy_gets_its_own_password_and_no_other() -> None:
    proxy = Script((200, {}, b"by proxy"))
    with serve(proxy) as via:
        environment = {"http_proxy": via.replace("http://", "http://me:pw@")}
        Client(environment).read("http://mirror.invalid/x", limit=100)
    sent = {name.lower(): value for name, value in proxy.asked[0][1].items()}
    assert base64.b64decode(sent["proxy-authorization"].removeprefix("Basic ")) == b"me:pw"
    assert "authorization" not in sent


def test_this_machine_is_never_reached_through_a_proxy() -> None:
    with serve_files({"/x": b"direct"}) as root:
        environment = {"http_proxy": "http://proxy.invalid:3128"}
        assert Client(environment).read(f"{root}/x", limit=100) == b"direct"


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


def test_every_status_is_an_answer_to_who_wants_to_see_it(client: Client) -> None:
    with (
        serve(Script((503, {"X-Why": "busy"}, b"why"))) as root,
        client.open("GET", root) as reply,
    ):
        assert (reply.status, reply.headers["x-why"], reply.read(9)) == (503, "busy", b"why")


def test_a_cut_answer_says_how_much_came(client: Client) -> None:
    with (
        serve(Script((200, {"Content-Length": "10"}, b"12345"))) as root,
        client.open("GET", root) as reply,
        pytest.raises(Passing, match="after 5 bytes of 10"),
    ):
        reply.read(100)


@pytest.mark.parametrize(
    ("host", "public", "loopback"),
    [
        ("example.com", True, False),
        ("localhost", False, True),
        ("registry.localhost", False, True),
        ("127.8.8.8", False, True),
        ("[::1]", False, True),
        ("::ffff:127.0.0.1", False, True),
        ("10.0.0.1", False, False),
        ("169.254.169.254", False, False),
        ("100.64.0.1", False, False),
        ("fd00::1", False, False),
        ("fe80::1%eth0", False, False),
        ("1.1.1.1", True, False),
        ("2606:4700::1111", True, False),
    ],
)
def test_addresses_are_told_apart(host: str, public: bool, loopback: bool) -> None:
    assert (is_public(host), is_loopback(host)) == (public, loopback)


@pytest.mark.parametrize("url", ["http://a b/", "http://a:0/", "http://a:99999/", "http://[x/"])
def test_what_is_no_url_is_not_the_web(url: str) -> None:
    assert not is_web(url)


def test_connections_close_with_the_client_that_opened_them() -> None:
    before = len(os.listdir("/proc/self/fd"))
    with serve_files({"/x": b"content"}) as root:
        passing = Client({}, pause=[].append, timeout=5)
        passing.read(f"{root}/x", limit=100)
        del passing
        gc.collect()
    assert len(os.listdir("/proc/self/fd")) == before
