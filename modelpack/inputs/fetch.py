"""The door to plain http(s) downloads: bounded, timed out, tried again, never downgraded.

Imports the network stack; import this module where it is needed, not at the top of another.
"""

import base64
import http.client
import socket
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, BinaryIO, TypeVar
from urllib.parse import unquote, urlsplit, urlunsplit

from modelpack.errors import Refused, Unavailable
from modelpack.inputs.debian.mirrors import is_web
from modelpack.inputs.downloads import Downloads
from modelpack.progress import Advance

T = TypeVar("T")

TRIES = 3
_TIMEOUT = 30.0
"seconds without a byte"
_CHUNK = 256 << 10
_MAX_REDIRECTS = 5
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
"HTTP statuses that another try may change"
_GONE = frozenset({404, 410})
_PROXY_HINT = "check the network, `https_proxy` and `no_proxy`"


class Gone(Unavailable):
    """The server answers, and does not have it."""


class Client:
    """Reads URLs as `environment` says: http_proxy, https_proxy, no_proxy, SSL_CERT_FILE/_DIR."""

    def __init__(
        self,
        environment: Mapping[str, str],
        *,
        pause: Callable[[float], None] = time.sleep,
        timeout: float = _TIMEOUT,
    ) -> None:
        self._pause, self._timeout = pause, timeout
        self._opener = urllib.request.OpenerDirector()
        for handler in (
            _Proxies(_proxies(environment)),
            urllib.request.HTTPHandler(),
            urllib.request.HTTPSHandler(context=_tls(environment)),
            urllib.request.HTTPDefaultErrorHandler(),
            urllib.request.HTTPErrorProcessor(),
            urllib.request.UnknownHandler(),
            _Redirects(),
        ):
            self._opener.add_handler(handler)

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
        wait = 0.5
        for _ in range(TRIES - 1):
            try:
                return self._once(url, consume, limit=limit, at=at)
            except _PassingError:
                self._pause(wait)
                wait *= 4
        return self._once(url, consume, limit=limit, at=at)

    def _once(self, url: str, consume: Callable[[Iterator[bytes]], T], *, limit: int, at: str) -> T:
        if not is_web(url):
            raise Unavailable("not a http or https URL", at=at)
        try:
            with self._opener.open(_request(url), timeout=self._timeout) as reply:
                return consume(_chunks(reply, limit, url=url, at=at))
        except urllib.error.HTTPError as error:
            error.close()
            raise _of_status(error, url=url, at=at) from error
        except (urllib.error.URLError, http.client.HTTPException, OSError, ValueError) as error:
            raise _of_failure(error, url=url, at=at) from error


def download(
    client: Client,
    url: str,
    *,
    sha256: str,
    size: int,
    downloads: Downloads,
    at: str = "",
    advance: Advance = lambda _: None,
) -> Path:
    """Return the file in `downloads` that `url` brought.

    Raises what `Client.get` does, and Refused when it brings something else.
    """

    def consume(chunks: Iterator[bytes]) -> Path:
        done = 0

        def write(file: BinaryIO) -> None:
            nonlocal done
            for chunk in chunks:
                file.write(chunk)
                done += len(chunk)
                advance(len(chunk))

        try:
            return downloads.add(sha256, size, write)
        except BaseException:
            advance(-done)  # another try starts anew
            raise

    try:
        return client.get(url, consume, limit=size, at=at)
    except Refused as error:
        raise Refused(
            *(f"from `{host_of(url)}`: {finding.message}" for finding in error.findings), at=at
        ) from error


class _PassingError(Unavailable):
    """Another try may get it."""


class _ConnectionCutError(OSError):
    """Fewer bytes came than were announced."""


class _Proxies(urllib.request.ProxyHandler):
    """Goes through the proxies it was given, except for hosts that its own `no` names."""

    def __init__(self, names: dict[str, str]) -> None:
        super().__init__(names)
        self._names = names

    def proxy_open(self, req: urllib.request.Request, proxy: str, type: str) -> Any:  # noqa: A002, ANN401
        host = req.host or ""
        if urllib.request.proxy_bypass_environment(host, self._names):  # type: ignore[attr-defined]
            return None
        return super().proxy_open(req, proxy, type)


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows a few redirects, never from https to http, and takes no password along."""

    max_redirections = _MAX_REDIRECTS
    max_repeats = 2

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        if req.type == "https" and not newurl.startswith("https:"):
            raise _DowngradeError(newurl)
        request = super().redirect_request(req, fp, code, msg, headers, newurl)
        if request is not None and request.host != req.host:
            request.remove_header("Authorization")
        return request


class _DowngradeError(ValueError):
    """A redirect leads from https to http."""


def host_of(url: str) -> str:
    """Return the host of `url`, with its port: what may stand in a message, never a password."""
    return urlsplit(url).netloc.rpartition("@")[2]


def _request(url: str) -> urllib.request.Request:
    parts = urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    headers = {"User-Agent": "modelpack", "Accept-Encoding": "identity"}
    if at:
        token = base64.b64encode(unquote(user).encode()).decode()
        headers["Authorization"] = f"Basic {token}"
    bare = urlunsplit(parts._replace(netloc=host, fragment=""))
    return urllib.request.Request(bare, headers=headers)  # noqa: S310  http(s) only, see is_web


def _proxies(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the proxies by scheme, and under `no` the hosts that need none (curl's names)."""
    found = {}
    for scheme in ("http", "https", "no"):
        # HTTP_PROXY in capitals is what a web server makes of a client's `Proxy:` header.
        names = [f"{scheme}_proxy", *([] if scheme == "http" else [f"{scheme.upper()}_PROXY"])]
        names += [] if scheme == "no" else ["all_proxy", "ALL_PROXY"]
        value = next((environment[name] for name in names if environment.get(name)), "")
        if value:
            found[scheme] = value
    return found


def _tls(environment: Mapping[str, str]) -> ssl.SSLContext:
    file, folder = environment.get("SSL_CERT_FILE"), environment.get("SSL_CERT_DIR")
    try:
        return ssl.create_default_context(cafile=file or None, capath=folder or None)
    except OSError as error:
        raise Unavailable(
            f"cannot load the certificates of SSL_CERT_FILE: {error}",
            at=file or "",
            hint="let SSL_CERT_FILE name a PEM file, or unset it",
        ) from error


def _chunks(reply: http.client.HTTPResponse, limit: int, *, url: str, at: str) -> Iterator[bytes]:
    announced = reply.headers.get("Content-Length", "")
    expected = int(announced) if announced.isdecimal() else -1
    size = 0
    too_long = Unavailable(f"`{host_of(url)}` sends more than {limit} bytes", at=at)
    if expected > limit:
        raise too_long
    while chunk := reply.read(_CHUNK):
        size += len(chunk)
        if size > limit:
            raise too_long
        yield chunk
    if size < expected:
        raise _ConnectionCutError("the connection was cut")


def _of_status(error: urllib.error.HTTPError, *, url: str, at: str) -> Unavailable:
    message = f"`{host_of(url)}` answers {error.code}"
    if error.code in _GONE:
        return Gone(f"`{host_of(url)}` does not have it (status {error.code})", at=at)
    if error.code in _PASSING:
        return _PassingError(message, at=at, hint="try again later")
    return Unavailable(message, at=at, hint=_PROXY_HINT)


def _of_failure(error: Exception, *, url: str, at: str) -> Unavailable:
    """Tell why `url` could not be read, and whether another try makes sense."""
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    host = host_of(url)
    if isinstance(cause, _DowngradeError):
        return Unavailable(f"`{host}` redirects from https to http", at=at)
    if isinstance(cause, ssl.SSLCertVerificationError):
        return Unavailable(
            f"the certificate of `{host}` is not trusted: {cause.verify_message}",
            at=at,
            hint="let SSL_CERT_FILE name the certificates of your network's proxy",
        )
    reason = getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
    message = f"cannot read from `{host}`: {_plain(reason)}"
    unknown_host = isinstance(cause, socket.gaierror) and cause.errno != socket.EAI_AGAIN
    if unknown_host or isinstance(cause, ValueError | str):
        return Unavailable(message, at=at, hint=_PROXY_HINT)
    return _PassingError(message, at=at, hint=_PROXY_HINT)


def _plain(text: str) -> str:
    """Return `text` fit for a message: one line, no control characters, not long."""
    return "".join(c if c.isprintable() else " " for c in text)[:200]
