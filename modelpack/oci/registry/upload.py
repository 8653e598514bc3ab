"""Where one upload stands, as the registry said last.

Source: OCI distribution-spec 1.1, "Pushing a blob in chunks".
"""

from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit, urlunsplit

from modelpack.errors import Unavailable
from modelpack.web.client import Reply
from modelpack.web.urls import host_of, is_web, origin


@dataclass
class Upload:
    """Where an upload stands."""

    location: str = ""
    offset: int = 0
    least: int = 0
    most: int = 0
    is_sure: bool = True
    "nothing was sent that the registry did not confirm"
    refused: int = -1
    "where the registry did not let it go on; `0-0` may mean that it has a byte, or none"


def started(reply: Reply) -> Upload:
    """Return the upload that an answer begins."""
    return Upload(
        following(reply),
        least=_number(reply, "OCI-Chunk-Min-Length"),
        most=_number(reply, "OCI-Chunk-Max-Length"),
    )


def following(reply: Reply, *, or_else: str = "") -> str:
    """Return the URL to go on with; raise where it leads from https to http, or to nothing."""
    target = reply.headers.get("Location", "")
    if not target and or_else:
        return or_else
    try:
        url = urljoin(reply.url, target)
    except ValueError:
        url = ""
    if not target or not is_web(url):
        raise Unavailable(f"`{host_of(reply.url)}` gives no URL to upload to", at=reply.at)
    before, after = origin(reply.url), origin(url)
    if before[0] == "https" and after[0] == "http":
        if before[1] != after[1]:
            raise Unavailable(
                f"`{host_of(reply.url)}` leads an upload from https to http", at=reply.at
            )
        # A registry behind a proxy that speaks TLS for it, and does not know.
        url = urlunsplit(urlsplit(url)._replace(scheme="https", netloc=urlsplit(reply.url).netloc))
    return url


def _number(reply: Reply, name: str) -> int:
    text = reply.headers.get(name, "").strip()
    return int(text[:12]) if text.isascii() and text.isdecimal() else 0
