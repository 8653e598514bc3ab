"""Weights on a web server: one file, or the files of a folder that the spec names one by one.

A web server lists nothing: names without wildcards in `include` are asked for, and the shards that
an index among them names come along.
"""

import base64
import json
import netrc
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from modelpack import spec
from modelpack.checks.model_files import shard_index
from modelpack.errors import InputError, Unavailable
from modelpack.fetching import ranges
from modelpack.fetching.place import Listing, RemoteFile, Wanted
from modelpack.inputs.patterns import matches
from modelpack.oci.layer import Partial
from modelpack.oci.parallel import each
from modelpack.progress import Advance
from modelpack.spec.weight_source import Website
from modelpack.web.client import Client, Gone, raise_for_status
from modelpack.web.urls import host_of

_WILD = re.compile(r"[*?\[]")
_INDEX_LIMIT = 64 << 20
_DENIED = "give the host's user and password in ~/.netrc, or the file that NETRC names"


class WebPlace:
    """Files by https, with credentials of ~/.netrc where it has some for the host."""

    def __init__(
        self, source: Website, weights: spec.Weights, *, environment: Mapping[str, str], at: str
    ) -> None:
        self._base, self._weights, self._at = source.url, weights, at
        self._client = Client(environment)
        self._headers = _authorization(source.url, environment)

    @property
    def identity(self) -> str:
        """What its contents are remembered under."""
        return self._base

    def listing(self, wanted: Wanted) -> Listing:
        """Return the one file, or the files that `include` and an index name."""
        if not self._base.endswith("/"):
            name = unquote(urlsplit(self._base).path.rpartition("/")[2])
            return Listing(files=(self._look(name, self._base),), single=True)
        names = [name for name in self._weights.include if not _WILD.search(name) and wanted(name)]
        if not names:
            raise InputError(
                "a web server does not list its files, and `include` names none", at=self._at,
                hint='name them in `include`, such as "config.json", '
                '"model.safetensors.index.json"; shards of an index come along',
            )  # fmt: skip
        for name in [name for name in names if name.endswith(shard_index.SUFFIX)]:
            names += self._shards(name)
        paths = dict.fromkeys(names)
        return Listing(
            files=each(lambda path, _: self._look(path, self._url(path)), paths, lambda _: None)
        )

    def _url(self, path: str) -> str:
        return self._base + quote(path)

    def _look(self, path: str, url: str) -> RemoteFile:
        """Ask for size and version of a file."""
        at = f"{self._at}: {path}"

        def once() -> RemoteFile:
            with self._client.open("HEAD", url, headers=self._headers, at=at) as reply:
                ranges.raise_if_denied(reply, hint=_DENIED)
                raise_for_status(reply)
                size = reply.headers.get("Content-Length", "")
                if not size.isdecimal():
                    raise Unavailable(
                        f"`{host_of(reply.url)}` does not say how long the file is", at=at
                    )
                return RemoteFile(path=path, size=int(size), etag=_version(reply.headers))

        try:
            return self._client.again(once)
        except Gone as error:
            raise InputError(error.findings[0].message, at=at, hint="check the URL") from error

    def _shards(self, index: str) -> list[str]:
        """Return the names of the shards of an index, below the source."""
        at = f"{self._at}: {index}"

        def once() -> bytes:
            with self._client.open("GET", self._url(index), headers=self._headers, at=at) as reply:
                ranges.raise_if_denied(reply, hint=_DENIED)
                raise_for_status(reply)
                return reply.read(_INDEX_LIMIT)

        try:
            names = set(json.loads(self._client.again(once))["weight_map"].values())
        except Gone as error:
            raise InputError(error.findings[0].message, at=at, hint="check the URL") from error
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise InputError("is no index of shards", at=at) from error
        folder = index.rpartition("/")[0]
        shards = sorted(
            f"{folder}/{name}" if folder else name for name in names if isinstance(name, str)
        )
        excluded = self._weights.exclude
        return [name for name in shards if not any(matches(name, one) for one in excluded)]

    def fill(self, into: Partial, file: RemoteFile, advance: Advance) -> None:
        """Write what is missing of `file` to `into`, unchecked."""
        url = self._url(file.path) if self._base.endswith("/") else self._base
        request = ranges.Request(
            url=url, size=file.size, at=f"{self._at}: {file.path}", condition=file.etag,
            headers=self._headers, denied_hint=_DENIED,
        )  # fmt: skip
        ranges.fill(self._client, request, into, advance)


def _version(headers: Mapping[str, str]) -> str:
    """Return by what the server tells contents apart: strong ETag, else time of the change."""
    etag = headers.get("ETag", "").strip()
    if re.fullmatch(r'"[\x21\x23-\x7e]{1,200}"', etag):
        return etag
    changed = headers.get("Last-Modified", "").strip()
    return changed if re.fullmatch(r"[A-Za-z0-9,: +-]{1,64}", changed) else ""


def _authorization(url: str, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the credentials that ~/.netrc has for the host (curl's NETRC names another file)."""
    home = environment.get("HOME", "")
    path = Path(environment.get("NETRC", "") or (Path(home) / ".netrc" if home else "/nowhere"))
    if not path.is_file():
        return {}
    try:
        found = netrc.netrc(path).hosts.get(urlsplit(url).hostname or "")  # no `default` of all
    except (netrc.NetrcParseError, OSError, UnicodeDecodeError):
        return {}
    if not found:
        return {}
    text = f"{found[0]}:{found[2] or ''}"
    return {"Authorization": f"Basic {base64.b64encode(text.encode()).decode()}"}
