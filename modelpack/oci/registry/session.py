"""Requests to one registry with whatever authorization it asks for.

Source: OCI distribution-spec 1.1; distribution's "Token Authentication Specification" and "OAuth2
Token Authentication".
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from threading import Lock
from types import MappingProxyType
from typing import TypeVar
from urllib.parse import urlencode, urlsplit

from modelpack.errors import Unavailable
from modelpack.oci.registry import failures
from modelpack.oci.registry.challenge import Challenge, parse
from modelpack.oci.registry.credentials import Credential, Credentials
from modelpack.oci.registry.settings import Endpoint
from modelpack.reference import Registry
from modelpack.web.client import Client, Passing, Reply, Untrusted, raise_if_passing
from modelpack.web.connections import Body, Chunk
from modelpack.web.urls import is_web, origin

T = TypeVar("T")

Made = bytes | Callable[[], Iterator[Chunk]] | None
"a body, or what makes one for each try"
_BAD_REQUEST = 400
_UNAUTHORIZED = 401
_OK = 200
_TOKEN_LIMIT = 1 << 20
_NOTHING: Mapping[str, str] = MappingProxyType({})


class Session:
    """Speaks to the registry of one repository; safe from several threads."""

    def __init__(
        self, name: Registry, endpoint: Endpoint, *, client: Client, credentials: Credentials,
        actions: str = "pull",
    ) -> None:  # fmt: skip
        """`actions` are what will be done with the repository, such as `pull,push,delete`."""
        self._name, self._endpoint = name, endpoint
        self._client, self._credentials = client, credentials
        self._root = "" if endpoint.may_be_plain else f"https://{endpoint.host}"
        self._own_scope = (
            f"repository:{endpoint.repository}:{actions}" if endpoint.repository else ""
        )
        self._verb = "write" if "push" in actions else "read"
        self._authorization: dict[str, str] = {}
        self._lock = Lock()

    def call(
        self,
        work: Callable[[Reply], T],
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] = _NOTHING,
        body: Made = None,
    ) -> T:
        """Return what `work` makes of the answer; what fails in passing is tried again.

        `path` is what follows the repository in the URL. A status that means "not allowed" raises
        Unavailable, every other is for `work` to judge.
        """

        def once() -> T:
            with self.open(method, path, headers=headers, body=body) as reply:
                raise_if_passing(reply)
                return work(reply)

        return self._client.again(once)

    def open_root(self) -> AbstractContextManager[Reply]:
        """Return the answer to who may come in at all: the check of credentials."""
        return self.open("GET", f"{self._reached()}/v2/")

    @contextmanager
    def open(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] = _NOTHING,
        body: Made = None,
        also: str = "",
    ) -> Iterator[Reply]:
        """Yield the answer to one request, made a second time when authorization was missing.

        `path` follows the repository in the URL, or is a whole URL that the registry gave. A
        `body` that can be called is called for each try. `also` is a repository of the registry
        that is read besides.
        """
        root = self._reached()
        url = path if is_web(path) else f"{root}/v2/{self._endpoint.repository}/{path}"
        if origin(url) != origin(root):  # another host: no credentials, and no private address
            with self._client.open(
                method, url, headers=headers, body=_fresh(body), at=str(self._name), led_by=root
            ) as reply:
                yield reply
            return
        scope = f"{self._own_scope} repository:{also}:pull" if also else self._own_scope
        at = str(self._name)

        def sent() -> Mapping[str, str]:
            known = self._authorization.get(scope)
            return {**headers, "Authorization": known} if known else headers

        with ExitStack() as stack:
            before = sent()
            reply = stack.enter_context(
                self._client.open(method, url, headers=before, body=_fresh(body), at=at)
            )
            # Only the registry itself may ask; not a store that it redirects to.
            if reply.status == _UNAUTHORIZED and origin(reply.url) == origin(url):
                challenges = parse(reply.headers.get("WWW-Authenticate", ""))
                if self._authorize(challenges, scope, before.get("Authorization"), reply):
                    stack.close()
                    reply = stack.enter_context(
                        self._client.open(method, url, headers=sent(), body=_fresh(body), at=at)
                    )
            if failures.is_denied(reply):
                raise self._denied(reply)
            yield reply

    def _denied(self, reply: Reply) -> Unavailable:
        found = self._credentials.find(self._name)
        return failures.denied(
            reply, self._name.host, found, self._credentials.trouble, verb=self._verb
        )

    def _reached(self) -> str:
        """Return scheme and host: https, or http where that is allowed and what is spoken."""
        with self._lock:
            if not self._root:
                ways = ("http", "https") if self._endpoint.is_here else ("https", "http")
                roots = [f"{scheme}://{self._endpoint.host}" for scheme in ways]
                self._root = roots[0] if self._answers(roots[0]) else roots[1]
            return self._root

    def _answers(self, root: str) -> bool:
        try:
            with self._client.open("GET", f"{root}/v2/", at=str(self._name)) as reply:
                return reply.status != _BAD_REQUEST  # what a TLS server says to plain http
        except Untrusted:
            raise
        except Passing:
            return False

    def _authorize(
        self, challenges: tuple[Challenge, ...], scope: str, tried: str | None, reply: Reply
    ) -> bool:
        """Get an authorization for `scope`; False where there is no other than the `tried` one."""
        with self._lock:
            if self._authorization.get(scope) != tried:
                return True  # another thread got one meanwhile
            credential = self._credentials.find(self._name)
            ways = {challenge.scheme: challenge for challenge in reversed(challenges)}
            if bearer := ways.get("bearer"):
                found = f"Bearer {self._token(bearer, scope, credential, reply)}"
            elif "basic" in ways and credential is not None:
                found = credential.basic
            else:
                return False
            self._authorization[scope] = found
            return found != tried

    def _token(
        self, challenge: Challenge, scope: str, credential: Credential | None, reply: Reply
    ) -> str:
        if credential is not None and credential.registry_token:
            return credential.registry_token
        realm = challenge.parameters.get("realm", "")
        if not is_web(realm) or (
            urlsplit(realm).scheme == "http" and not self._endpoint.may_be_plain
        ):
            raise Unavailable(
                f"`{self._endpoint.host}` wants a token from what is no https URL", at=reply.at
            )
        wanted = challenge.parameters.get("scope", "").split()
        fields = [("scope", item) for item in dict.fromkeys((*scope.split(), *wanted))]
        if service := challenge.parameters.get("service"):
            fields = [("service", service), *fields]
        return self._client.again(lambda: self._asked(realm, fields, credential, reply))

    def _asked(
        self, realm: str, fields: list[tuple[str, str]], credential: Credential | None,
        led_by: Reply,
    ) -> str:  # fmt: skip
        """Return the token that the server at `realm` gives."""
        headers: dict[str, str] = {}
        method, url, body = "GET", f"{realm}{'&' if '?' in realm else '?'}{urlencode(fields)}", b""
        if credential is not None and credential.identity_token:
            scopes = " ".join(value for key, value in fields if key == "scope")
            form = {
                **dict(fields), "scope": scopes, "grant_type": "refresh_token",
                "client_id": "modelpack", "refresh_token": credential.identity_token,
            }  # fmt: skip
            method, url, body = "POST", realm, urlencode(form).encode()
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        elif credential is not None:
            headers["Authorization"] = credential.basic
        with self._client.open(
            method, url, headers=headers, body=body or None, at=led_by.at, led_by=led_by.url
        ) as reply:
            raise_if_passing(reply)
            if failures.is_denied(reply):
                raise self._denied(reply)
            return _token_of(reply)


def _fresh(body: Made) -> Body:
    """Return what is to be sent: a stream is made anew for each try."""
    return body() if callable(body) else body


def _token_of(reply: Reply) -> str:
    """Return the token of a token server's answer."""
    told = Unavailable(f"the token server answers {reply.status} and no token", at=reply.at)
    if reply.status != _OK:
        raise told
    try:
        answer = json.loads(reply.read(_TOKEN_LIMIT))
        token = answer.get("token") or answer.get("access_token")
    except (ValueError, AttributeError, RecursionError) as error:
        raise told from error
    if not isinstance(token, str) or not token.isascii() or not token.isprintable():
        raise told
    return token
