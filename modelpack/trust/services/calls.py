"""One question to a service, and its answer or the reason that it gives; discreet."""

import json
from collections.abc import Mapping
from typing import Final
from urllib.parse import urljoin

from modelpack.errors import ModelpackError, Refused, Unavailable
from modelpack.oci.manifest import printable
from modelpack.web.client import Client, Reply, raise_if_passing
from modelpack.web.urls import host_of, is_web, origin

_DONE = range(200, 300)
_CONFLICT: Final = 409
_NO: Final = frozenset({400, 401, 403, _CONFLICT, 422})
"statuses by which a service says that it will not"
_REASON: Final = 64 << 10
"bytes of what a service says of it"
_SHORTEST: Final = 12
"characters of a part of a secret that a message may not repeat"


class There(Refused):
    """The service has exactly this already, and says where."""

    def __init__(self, message: str, *, at: str, url: str) -> None:
        super().__init__(message, at=at)
        self.url = url
        "of what it has; empty: it does not say"


def post(
    client: Client,
    url: str,
    body: bytes,
    *,
    what: str,
    limit: int,
    headers: Mapping[str, str],
    secret: str = "",
) -> bytes:
    """Return the answer to `body`; `what` is what was asked for, as messages say it.

    Raises Refused when the service says no, There when it has that already, Unavailable for all
    else. No message repeats `secret`.
    """

    def once() -> bytes:
        with client.open("POST", url, headers=headers, body=body, at=host_of(url)) as reply:
            raise_if_passing(reply)
            if reply.status not in _DONE:
                raise _error(reply, what, secret)
            return reply.read(limit)

    return client.again(once)


def _error(reply: Reply, what: str, secret: str) -> ModelpackError:
    said = _without(_said(reply), secret)
    message = f"no {what}: status {reply.status}" + (f", `{printable(said)}`" if said else "")
    if reply.status == _CONFLICT:
        return There(message, at=reply.at, url=_location(reply))
    kind = Refused if reply.status in _NO else Unavailable
    return kind(message, at=reply.at)


def _location(reply: Reply) -> str:
    """Return where the service says that something is, on the service itself."""
    found = urljoin(reply.url, reply.headers.get("Location", ""))
    return found if is_web(found) and origin(found) == origin(reply.url) else ""


def _said(reply: Reply) -> str:
    """Return what the service says, where it is JSON with a message."""
    try:
        value = json.loads(reply.read(_REASON))
    except (ModelpackError, ValueError, RecursionError):
        return ""
    message = value.get("message") if isinstance(value, dict) else ""
    return message if isinstance(message, str) else ""


def _without(text: str, secret: str) -> str:
    for part in sorted({secret, *secret.split(".")}, key=len, reverse=True):
        if len(part) >= _SHORTEST:
            text = text.replace(part, "…")
    return text
