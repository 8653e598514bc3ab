"""Connections that are kept open and used again: direct ones, and those of each proxy.

Imports the network stack; import this module where it is needed, not at the top of another.
"""

import ssl
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection

from modelpack.errors import Unavailable
from modelpack.web.spans import Span
from modelpack.web.urls import apart, host_of, is_loopback, is_public, origin

Chunk = bytes | memoryview | Span
Body = bytes | Iterable[Chunk] | None
_KEPT = 8
"connections to one host that are kept open; more may be in use"
_PATIENCE = 30.0
"seconds until somebody answers at all"


class Connections:
    """Sends requests as `environment` says: http_proxy, https_proxy, no_proxy, SSL_CERT_FILE/_DIR.

    A loopback address is never reached through a proxy, whatever `no_proxy` says.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        *,
        timeout: float,
        public: Callable[[str], bool] = is_public,
    ) -> None:
        """`public` tells whether a host, written as name or address, may be anybody's."""
        self._who = _Acquaintances(public)
        self._proxies = _proxies(environment)
        self._tls = _tls(environment)
        self._timeout = urllib3.Timeout(connect=min(timeout, _PATIENCE), read=timeout)
        self._managers: dict[tuple[str, bool], urllib3.PoolManager] = {}

    def send(
        self, method: str, url: str, headers: Mapping[str, str], body: Body, *, only_public: bool
    ) -> urllib3.BaseHTTPResponse:
        """Return the answer to one request, whose body is yet to be read.

        With `only_public` no private address is spoken to: raises PrivateAddressError. Raises what
        urllib3 raises.
        """
        if only_public and not self._who.is_public(origin(url)[1]):
            raise PrivateAddressError(host_of(url))
        return self._manager(self._proxy(url), only_public=only_public).urlopen(
            method, url, headers=dict(headers), body=body, redirect=False, retries=False,
            timeout=self._timeout, preload_content=False, decode_content=False,
            assert_same_host=False,
        )  # fmt: skip

    def met_public(self, url: str) -> bool:
        """Tell whether who answered for `url` has a public address, as far as this can be seen."""
        _, host, port = origin(url)
        return self._who.met.get((host, port), self._who.is_public(host))

    def _proxy(self, url: str) -> str:
        scheme, host, port = origin(url)
        no = {"no": self._proxies.get("no", "")}
        if is_loopback(host) or proxy_bypass_environment(f"{host}:{port}", no):
            return ""
        return self._proxies.get(scheme, "")

    def _manager(self, proxy: str, *, only_public: bool) -> urllib3.PoolManager:
        key = (proxy, only_public)
        if key not in self._managers:
            self._managers[key] = self._new_manager(proxy, only_public=only_public)
        return self._managers[key]

    def _new_manager(self, proxy: str, *, only_public: bool) -> urllib3.PoolManager:
        if proxy:
            bare, user = apart(proxy if "://" in proxy else f"http://{proxy}")
            credentials = urllib3.make_headers(proxy_basic_auth=user) if user else None
            return urllib3.ProxyManager(
                bare, proxy_headers=credentials, maxsize=_KEPT, ssl_context=self._tls
            )
        manager = urllib3.PoolManager(maxsize=_KEPT, ssl_context=self._tls)
        manager.pool_classes_by_scheme = _pools(self._who, only_public=only_public)
        return manager


class _Acquaintances:
    """Who answered at which address. Knows of no pool: urllib3 keeps a pool open while one of
    its connections can reach it.
    """

    def __init__(self, is_public: Callable[[str], bool]) -> None:
        self.is_public = is_public
        self.met: dict[tuple[str, int], bool] = {}

    def look(self, connection: HTTPConnection, *, only_public: bool) -> None:
        """Note, and refuse where it must be, the address that a name turned out to have.

        Looked at once connected: a name can be given another address between two look-ups.
        """
        public = connection.sock is not None and self.is_public(connection.sock.getpeername()[0])
        self.met[connection.host, connection.port] = public
        if only_public and not public:
            connection.close()
            raise PrivateAddressError(connection.host)


def _pools(
    who: _Acquaintances, *, only_public: bool
) -> dict[str, type[urllib3.HTTPConnectionPool]]:
    look = partial(who.look, only_public=only_public)

    class Plain(HTTPConnection):
        def connect(self) -> None:
            super().connect()
            look(self)

        def send(self, data: Any) -> None:  # noqa: ANN401  as http.client has it
            if isinstance(data, Span) and self.sock is not None:
                data.send_to(self.sock)
            else:  # as bytes, or block by block
                super().send(data)

    class Secure(HTTPSConnection):
        def connect(self) -> None:
            super().connect()
            look(self)

    class PlainPool(urllib3.HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(urllib3.HTTPSConnectionPool):
        ConnectionCls = Secure

    return {"http": PlainPool, "https": SecurePool}


class PrivateAddressError(Exception):
    """A host has a private address where only public ones may be spoken to."""


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
