"""A file from a web server, from where its beginning ends: cut connections are gone on with.

Imports the network stack; import this module where it is needed, not at the top of another.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from modelpack.errors import Unavailable
from modelpack.fetching.place import moved
from modelpack.oci.layer import Partial
from modelpack.progress import Advance
from modelpack.web.client import Client, Passing, Reply, raise_for_status, raise_if_passing
from modelpack.web.urls import host_of

CUTS = 1000
"how often a connection may be cut in one download, each time after some bytes"
_OK, _PARTIAL, _CHANGED, _BAD_RANGE = 200, 206, 412, 416
_DENIED = frozenset({401, 403})


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is asked for, and what a refusal means."""

    url: str
    size: int
    at: str
    condition: str = ""
    "a strong ETag or a time of change: the server goes on with this content, and no other"
    lasting: bool = False
    "the URL never means another content"
    headers: Mapping[str, str] = field(default_factory=dict)
    denied_hint: str = ""


def fill(client: Client, request: Request, into: Partial, advance: Advance) -> None:
    """Write what is missing to `into`, unchecked.

    As long as every try brings some bytes, another one follows. Raises Refused when the server
    has another content by now, Unavailable when it cannot send.
    """
    advance(into.size)
    keep_trying(lambda: client.again(lambda: _once(client, request, into, advance)), into)


def keep_trying(work: Callable[[], None], into: Partial, *, patience: int = 0) -> None:
    """Do `work` again after each cut that brought some bytes, and `patience` times in a row after
    one that did not; raises what it raises.
    """
    fruitless = 0
    for _ in range(CUTS):
        before = into.size
        try:
            work()
        except Passing:
            fruitless = 0 if into.size > before else fruitless + 1
            if fruitless > patience:
                raise
        else:
            return


def _once(client: Client, request: Request, into: Partial, advance: Advance) -> None:
    start = into.size
    if start == request.size:
        return
    if start and not (request.condition or request.lasting):
        advance(-start)  # the rest might be that of another content
        into.restart()
        start = 0
    headers = dict(request.headers)
    if start:
        headers["Range"] = f"bytes={start}-{request.size - 1}"
        if request.condition:
            headers["If-Range"] = request.condition
    with client.open("GET", request.url, headers=headers, at=request.at) as reply:
        raise_if_denied(reply, hint=request.denied_hint)
        raise_if_passing(reply)
        if reply.status == _CHANGED or (reply.status == _BAD_RANGE and start):
            raise moved("the server has another one by now", at=request.at)
        raise_for_status(reply)
        if reply.status == _OK:
            advance(-start)
            into.restart()
            start = 0
        _expect_same(reply, request, start)
        for chunk in reply.chunks(request.size - start):
            into.write(chunk)
            advance(len(chunk))
    if into.size < request.size:
        raise Passing(
            f"`{host_of(reply.url)}` ends after {into.size} of {request.size} bytes",
            at=request.at, hint="run it again",
        )  # fmt: skip


def _expect_same(reply: Reply, request: Request, start: int) -> None:
    """Raise Refused unless the answer is about a content of the wanted size, from `start` on."""
    if reply.status == _OK:
        length = reply.headers.get("Content-Length", "")
        whole = int(length) if length.isdecimal() else request.size
    else:
        unit, _, rest = reply.headers.get("Content-Range", "").partition(" ")
        span, _, total = rest.partition("/")
        if unit != "bytes" or span.partition("-")[0] != str(start):
            raise Unavailable(
                f"`{host_of(reply.url)}` sends another part than was asked for", at=request.at
            )
        whole = int(total) if total.isdecimal() else request.size
    if whole != request.size:
        raise moved(f"it has {whole} bytes instead of {request.size}", at=request.at)


def raise_if_denied(reply: Reply, *, hint: str) -> None:
    """Raise Unavailable where the server wants to know who asks, or does not like who does."""
    if reply.status in _DENIED:
        raise Unavailable(
            f"`{host_of(reply.url)}` lets nobody read this without the right credentials "
            f"(status {reply.status})", at=reply.at, hint=hint,
        )  # fmt: skip
