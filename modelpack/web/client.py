"""Requests that are bounded, timed out, tried again, never downgraded, and discreet.

Imports the network stack; import this module where it is needed, not at the top of another.
"""

import base64
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from types import MappingProxyType
from typing import TypeVar
from urllib.parse import urljoin

import urllib3
from urllib3.exceptions import HTTPError, NameResolutionError, SSLError

from modelpack.errors import Finding, Unavailable
from modelpack.web.connections import Body, Connections, PrivateAddressError
from modelpack.web.urls import apart, host_of, is_public, is_web, origin

T = TypeVar("T")

TRIES = 3
LONGEST_WAIT = 60.0
"seconds that a server may ask us to wait before the next try"
_TIMEOUT = 30.0
"seconds without a byte"
_CHUNK = 256 << 10
_MAX_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
"HTTP statuses that another try may change"
_GONE = frozenset({404, 410})
_OK = range(200, 300)
_PRIVATE = frozenset({"authorization", "cookie", "proxy-authorization"})
"headers that stay with the server that they were meant for"
_PROXY_HINT = "check the network, `https_proxy` and `no_proxy`"
_NOTHING: Mapping[str, str] = MappingProxyType({})


class Gone(Unavailable):
    """The server answers, and does not have it."""


class Untrusted(Unavailable):
    """The server's certificate is not one that this machine trusts."""


class Passing(Unavailable):
    """Another try may get it."""

    def __init__(
        self, *findings: Finding | str, at: str = "", hint: str = "", wait: float = 0.0
    ) -> None:
        super().__init__(*findings, at=at, hint=hint)
        self.wait = wait
        "seconds that the server asks for"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer, whatever its status; its content is read once, within the `with` of `open`."""

    status: int
    headers: Mapping[str, str]
    "names in any case"
    url: str
    "who answered, after redirects"
    at: str
    response: urllib3.BaseHTTPResponse

    def chunks(self, limit: int) -> Iterator[bytes]:
        """Yield the content, at most `limit` bytes; raises Unavailable when it is longer or cut."""
        host = host_of(self.url)
        too_long = Unavailable(f"`{host}` sends more than {limit} bytes", at=self.at)
        announced = self.headers.get("Content-Length", "")
        if announced.isdecimal() and int(announced) > limit:
            raise too_long
        size = 0
        try:
            for chunk in self.response.stream(_CHUNK, decode_content=False):
                size += len(chunk)
                if size > limit:
                    raise too_long
                yield chunk
        except HTTPError as error:
            raise Passing(
                f"the connection to `{host}` was cut after {size} bytes"
                + (f" of {announced}" if announced.isdecimal() else ""),
                at=self.at, hint=_PROXY_HINT,
            ) from error  # fmt: skip

    def read(self, limit: int) -> bytes:
        """Return the content, at most `limit` bytes."""
        return b"".join(self.chunks(limit))


class Client:
    """Speaks to servers as `environment` says: proxies and certificates (see Connections)."""

    def __init__(
        self,
        environment: Mapping[str, str],
        *,
        pause: Callable[[float], None] = time.sleep,
        timeout: float = _TIMEOUT,
        public: Callable[[str], bool] = is_public,
    ) -> None:
        self._pause = pause
        self._connections = Connections(environment, timeout=timeout, public=public)

    @contextmanager
    def open(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] = _NOTHING,
        body: Body = None,
        at: str = "",
        led_by: str = "",
    ) -> Iterator[Reply]:
        """Yield the answer to one request; redirects of GET and HEAD are followed.

        Credentials do not go along to another host, nothing goes from https to http, and no
        public server leads to a private address; `led_by` is the URL of one that led to `url`.
        Raises Passing when another try may help, Unavailable for all else; a status never raises.
        """
        bare, user = apart(url) if is_web(url) else (url, "")
        sent = {"User-Agent": "modelpack", "Accept-Encoding": "identity", **headers}
        if user:
            sent["Authorization"] = f"Basic {base64.b64encode(user.encode()).decode()}"
        only_public = bool(led_by) and self._connections.met_public(led_by)
        response, last = self._follow(method, bare, sent, body, at=at, only_public=only_public)
        try:
            yield Reply(
                status=response.status, headers=response.headers, url=last, at=at, response=response
            )
        finally:
            response.close()

    def _follow(
        self, method: str, url: str, headers: dict[str, str], body: Body, *, at: str,
        only_public: bool,
    ) -> tuple[urllib3.BaseHTTPResponse, str]:  # fmt: skip
        for _ in range(_MAX_REDIRECTS + 1):
            response = self._send(method, url, headers, body, at=at, only_public=only_public)
            target = response.headers.get("Location")
            if method not in ("GET", "HEAD") or response.status not in _REDIRECTS or not target:
                return response, url
            response.close()
            only_public = only_public or self._connections.met_public(url)
            following = _following(url, target, at=at)
            if origin(following) != origin(url):
                headers = {k: v for k, v in headers.items() if k.lower() not in _PRIVATE}
            url = following
        raise Unavailable(f"`{host_of(url)}` redirects more than {_MAX_REDIRECTS} times", at=at)

    def _send(
        self, method: str, url: str, headers: Mapping[str, str], body: Body, *, at: str,
        only_public: bool,
    ) -> urllib3.BaseHTTPResponse:  # fmt: skip
        if not is_web(url):
            raise Unavailable("not a http or https URL", at=at)
        try:
            return self._connections.send(method, url, headers, body, only_public=only_public)
        except PrivateAddressError as error:
            raise Unavailable(
                f"a public server leads to `{error}`, which has a private address", at=at
            ) from error
        except (HTTPError, OSError, ValueError) as error:
            raise _of_failure(error, url=url, at=at) from error

    def again(self, work: Callable[[], T]) -> T:
        """Return what `work` returns; where it raises Passing it is tried again, three times."""
        wait = 0.5
        for _ in range(TRIES - 1):
            try:
                return work()
            except Passing as error:
                if error.wait > LONGEST_WAIT:
                    raise
                self._pause(max(wait, error.wait))
                wait *= 4
        return work()

    def read(self, url: str, *, limit: int, at: str = "") -> bytes:
        """Return at most `limit` bytes; raises as `get` does."""
        return self.get(url, b"".join, limit=limit, at=at)

    def get(
        self, url: str, consume: Callable[[Iterator[bytes]], T], *, limit: int, at: str = ""
    ) -> T:
        """Return what `consume` makes of the content, in chunks of at most `limit` bytes in all.

        What fails in passing is tried again, with a fresh call of `consume`. `at` names what is
        wanted, such as a package. Raises Gone when the server does not have it, and Unavailable
        for all else.
        """

        def once() -> T:
            with self.open("GET", url, at=at) as reply:
                raise_for_status(reply)
                return consume(reply.chunks(limit))

        return self.again(once)


def raise_for_status(reply: Reply) -> None:
    """Raise Gone, Passing or Unavailable for a status that is no success."""
    host = host_of(reply.url)
    if reply.status in _OK:
        return
    if reply.status in _GONE:
        raise Gone(f"`{host}` does not have it (status {reply.status})", at=reply.at)
    raise_if_passing(reply)
    raise Unavailable(f"`{host}` answers {reply.status}", at=reply.at, hint=_PROXY_HINT)


def raise_if_passing(reply: Reply) -> None:
    """Raise Passing for a status that another try may change."""
    if reply.status not in _PASSING:
        return
    wait = _retry_after(reply.headers)
    raise Passing(
        f"`{host_of(reply.url)}` answers {reply.status}", at=reply.at, wait=wait,
        hint=f"try again in {wait:.0f} seconds" if wait > LONGEST_WAIT else "try again later",
    )  # fmt: skip


def _retry_after(headers: Mapping[str, str]) -> float:
    """Return the seconds that `Retry-After` asks for; a date counts from the server's own."""
    text = headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdecimal():
        return float(text[:9])
    try:
        then, now = parsedate_to_datetime(text), parsedate_to_datetime(headers.get("Date", ""))
        return max(0.0, (then - now).total_seconds())
    except (ValueError, TypeError):
        return 0.0


def _following(url: str, target: str, *, at: str) -> str:
    """Return where a redirect leads, without a user; raise Unavailable where it may not."""
    try:
        following = urljoin(url, target)
    except ValueError:
        following = ""
    if not is_web(following):
        raise Unavailable(f"`{host_of(url)}` redirects to what is no http or https URL", at=at)
    if origin(url)[0] == "https" and origin(following)[0] != "https":
        raise Unavailable(f"`{host_of(url)}` redirects from https to http", at=at)
    return apart(following)[0]


def _of_failure(error: Exception, *, url: str, at: str) -> Unavailable:
    """Tell why nobody answered, and whether another try makes sense."""
    host = host_of(url)
    cause = error.args[0] if isinstance(error, SSLError) and error.args else error
    if isinstance(cause, ssl.SSLCertVerificationError):
        return Untrusted(
            f"the certificate of `{host}` is not trusted: {cause.verify_message}",
            at=at,
            hint="let SSL_CERT_FILE name the certificates of your network's proxy",
        )
    message = f"cannot read from `{host}`: {_plain(_reason(error))}"
    found = error.__cause__ if isinstance(error, NameResolutionError) else None
    unknown_host = isinstance(found, socket.gaierror) and found.errno != socket.EAI_AGAIN
    if unknown_host or isinstance(error, ValueError):
        return Unavailable(message, at=at, hint=_PROXY_HINT)
    return Passing(message, at=at, hint=_PROXY_HINT)


def _reason(error: BaseException) -> str:
    """Return the innermost reason that says something: what the system or the server said."""
    seen = 0
    inner: BaseException | None = error
    while isinstance(inner, BaseException) and seen < 8:  # noqa: PLR2004  no circle is endless
        error, seen = inner, seen + 1
        nested = next((a for a in error.args if isinstance(a, BaseException)), None)
        inner = error.__cause__ or nested or error.__context__
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _plain(text: str) -> str:
    """Return `text` fit for a message: one line, no control characters, not long."""
    return "".join(c if c.isprintable() else " " for c in text)[:200]
