"""One repository of a registry: the half of a Store that reads.

Source: OCI distribution-spec 1.1, "Pull". Every byte is checked against its digest before anybody
gets it under that name.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from modelpack import digest as digests
from modelpack.digest import Digest
from modelpack.digest import of as digest_of
from modelpack.errors import InputError, Refused
from modelpack.oci import referrers as vouching
from modelpack.oci.layer import INDEX, MANIFEST, Blob, Descriptor, Partial, Remote, blob_of
from modelpack.oci.manifest import (
    DOCKER_INDEX,
    DOCKER_MANIFEST,
    INDEXES,
    MANIFEST_LIMIT,
    MANIFESTS,
    Manifest,
    parse,
    printable,
)
from modelpack.oci.registry import failures
from modelpack.oci.registry.credentials import Credentials
from modelpack.oci.registry.lists import Lists
from modelpack.oci.registry.session import Session
from modelpack.oci.registry.settings import Endpoint, Settings
from modelpack.progress import Advance
from modelpack.reference import TAG, Registry
from modelpack.web.client import Client, Passing, Reply, raise_if_passing
from modelpack.web.urls import host_of

DEFAULT_TAG = "latest"
_TAG = re.compile(TAG)
_ACCEPTED = ", ".join((INDEX, MANIFEST, DOCKER_INDEX, DOCKER_MANIFEST))
_OLD = "application/vnd.docker.distribution.manifest.v1"
_OK, _PARTIAL, _NOT_THERE, _BAD_RANGE = 200, 206, 404, 416
_CUTS = 1000
"how often a connection may be cut in one download, each time after some bytes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What has a tag."""

    digest: str
    "as the registry says it"
    version: str
    "its entity tag (RFC 9110, 8.8.3), on which a request can depend; nothing where it gives none"


class Repository:
    """Reads blobs by digest and manifests by tag or digest; safe from several threads."""

    at_once: Final = 8
    "small things that are asked for at once: registries limit requests of one client"

    def __init__(
        self, name: Registry, settings: Settings, *, client: Client | None = None,
        actions: str = "pull",
    ) -> None:  # fmt: skip
        """`actions` are what will be done with the repository, such as `pull,push`."""
        self.name = name
        self._at = str(name)
        self._client = client or Client(settings.environment)
        self._session = Session(
            name,
            Endpoint.of(name, settings),
            client=self._client,
            credentials=Credentials(settings.credential_files, environment=settings.environment),
            actions=actions,
        )
        self._lists = Lists(self._session, at=self._at)
        self._manifests: dict[Digest, bytes] = {}

    @property
    def repository(self) -> str:
        """The name of the repository, with its host."""
        return self.name.name

    def resolve(self, name: str) -> Descriptor:
        """Return the manifest or index that a tag or a digest names; an empty name: `latest`.

        Raises InputError when there is none, Refused when the registry sends another content than
        the digest says, Unavailable when it cannot be asked.
        """
        wanted = digests.parse(name, at=self._at) if name.startswith("sha256:") else None
        if name and wanted is None and not _TAG.fullmatch(name):
            raise InputError(f"not a tag: `{printable(name)}`", at=self._at)
        data, media_type = self._session.call(
            lambda reply: self._manifest(reply, name or DEFAULT_TAG),
            "GET",
            f"manifests/{name or DEFAULT_TAG}",
            headers={"Accept": _ACCEPTED},
        )
        digest = digest_of(data)
        if wanted not in (None, digest):
            raise Refused(f"the registry sends {digest} instead of {wanted}", at=self._at)
        if media_type.startswith(_OLD):
            raise InputError(
                "the image has a manifest of schema 1, which is too old to be trusted",
                at=self._at, hint="push it again with a docker of this decade",
            )  # fmt: skip
        found = parse(data, at=self._at)
        self._manifests[digest] = data
        return Descriptor(media_type=found.media_type, digest=digest, size=len(data))

    def _manifest(self, reply: Reply, name: str) -> tuple[bytes, str]:
        if reply.status != _OK:
            raise failures.missing_manifest(reply, name)
        data = reply.read(MANIFEST_LIMIT)
        claimed = reply.headers.get("Docker-Content-Digest", "")
        if claimed.startswith("sha256:") and claimed != digest_of(data):
            raise Refused(
                f"the registry calls what it sends {printable(claimed)}, but it is "
                f"{digest_of(data)}", at=self._at,
            )  # fmt: skip
        return data, reply.headers.get("Content-Type", "")

    def image(self, digest: Digest) -> Manifest:
        """Return the manifest or index with `digest`, parsed."""
        return parse(self.read(digest), at=digest)

    def read(self, what: Descriptor | Digest, *, limit: int = MANIFEST_LIMIT) -> bytes:
        """Return a blob or manifest of up to `limit` bytes, its digest checked."""
        digest = what.digest if isinstance(what, Descriptor) else what
        if not isinstance(what, Descriptor) or what.media_type in MANIFESTS | INDEXES:
            if digest not in self._manifests:
                self.resolve(digest)
            data = self._manifests[digest]
        else:
            if what.size > limit:
                raise InputError(f"the blob is larger than {limit} bytes", at=digest)
            data = self.small_blob(digest, limit=what.size)
        if isinstance(what, Descriptor) and len(data) != what.size:
            raise Refused(f"{digest} has {len(data)} bytes instead of {what.size}", at=self._at)
        return data

    def blob(self, descriptor: Descriptor) -> Blob:
        """Return a blob to be copied elsewhere; whoever names it there checks its digest."""
        if descriptor.media_type in MANIFESTS | INDEXES:
            return replace(blob_of(self.read(descriptor), ""), descriptor=descriptor)
        return Blob(descriptor=descriptor, origin=Remote(self))

    def small_blob(self, digest: Digest, *, limit: int) -> bytes:
        """Return a blob of at most `limit` bytes, its digest checked."""

        def work(reply: Reply) -> bytes:
            if reply.status != _OK:
                raise failures.missing_blob(reply, digest)
            return reply.read(limit)

        data = self._session.call(work, "GET", f"blobs/{digest}")
        if digest_of(data) != digest:
            raise Refused(f"the registry sends {digest_of(data)} instead of {digest}", at=self._at)
        return data

    def has(self, descriptor: Descriptor) -> bool:
        """Tell whether the registry says that it has exactly this content."""
        kind = "manifests" if descriptor.media_type in MANIFESTS | INDEXES else "blobs"

        def work(reply: Reply) -> bool:
            if reply.status == _NOT_THERE:
                return False
            if reply.status != _OK:
                raise failures.missing_blob(reply, descriptor.digest)
            size = reply.headers.get("Content-Length", "")
            return not size.isdecimal() or int(size) == descriptor.size

        headers = {"Accept": _ACCEPTED} if kind == "manifests" else {}
        return self._session.call(work, "HEAD", f"{kind}/{descriptor.digest}", headers=headers)

    def referrers(self, subject: Digest) -> tuple[Descriptor, ...]:
        """Return what vouches for the image `subject`: type and annotations as it says itself.

        The registry's list is asked for, else the one under the tag for it (OCI distribution-spec,
        "Listing Referrers").
        """
        listed = self._lists.referrers(subject)
        if listed is None:
            listed = self._by_tag(subject)
        bare = [replace(entry, annotations={}) for entry in listed]
        return vouching.found(bare, subject, self.image)

    def listed(self, subject: Digest) -> tuple[Descriptor, ...]:
        """Return all that is listed as vouching for `subject`, unread.

        By the registry and under the tag: a registry that learned to list may have been given
        some before.
        """
        both = (*(self._lists.referrers(subject) or ()), *self._by_tag(subject))
        return tuple({entry.digest: replace(entry, annotations={}) for entry in both}.values())

    def _by_tag(self, subject: Digest) -> tuple[Descriptor, ...]:
        try:
            return self.image(self.resolve(vouching.tag_for(subject)).digest).manifests
        except InputError:  # there is none, or one that cannot be read
            return ()

    def tags(self) -> tuple[str, ...]:
        """Return all tags; nothing where the repository does not exist. Raises Unavailable."""
        return self._lists.tags()

    def held_by(self, tag: str) -> str | None:
        """Return the digest of whatever has `tag`, unread; None: nothing has it."""
        held = self.held(tag)
        return held.digest if held else None

    def held(self, tag: str) -> Held | None:
        """Return what has `tag` at this moment, unread; None: nothing has it."""

        def work(reply: Reply) -> Held | None:
            if reply.status == _NOT_THERE:
                return None
            if reply.status != _OK:
                raise failures.missing_manifest(reply, tag)
            digest = reply.headers.get("Docker-Content-Digest", "") or self.resolve(tag).digest
            return Held(digest=digest, version=_strong(reply.headers.get("ETag", "")))

        return self._session.call(work, "HEAD", f"manifests/{tag}", headers={"Accept": _ACCEPTED})

    def chunks(self, descriptor: Descriptor, start: int, length: int) -> Iterator[bytes]:
        """Yield `length` bytes of a blob from `start` on, unchecked; raises Passing when cut."""
        part = start > 0 or length < descriptor.size
        headers = {"Range": f"bytes={start}-{start + length - 1}"} if part else {}
        with self._session.open("GET", f"blobs/{descriptor.digest}", headers=headers) as reply:
            raise_if_passing(reply)
            if reply.status not in (_OK, _PARTIAL) or not _continues(reply, start):
                raise failures.missing_blob(reply, descriptor.digest)
            skip = start if reply.status == _OK else 0
            for chunk in reply.chunks(descriptor.size):
                wanted = chunk[skip : skip + length]
                skip = max(skip - len(chunk), 0)
                length -= len(wanted)
                if wanted:
                    yield wanted
                if not length:
                    return

    def fill(self, into: Partial, descriptor: Descriptor, advance: Advance) -> None:
        """Write what is missing of a blob to `into`, beginning where it ends.

        The bytes are not checked: whoever names the whole does. As long as every try brings some
        bytes, another one follows. Raises Unavailable.
        """
        advance(into.size)
        for _ in range(_CUTS):
            before = into.size
            try:
                self._client.again(lambda: self._fill(into, descriptor, advance))
            except Passing:
                if into.size <= before:
                    raise
            else:
                return

    def _fill(self, into: Partial, descriptor: Descriptor, advance: Advance) -> None:
        if into.size == descriptor.size:
            return
        start = into.size
        headers = {"Range": f"bytes={start}-{descriptor.size - 1}"} if start else {}
        with self._session.open("GET", f"blobs/{descriptor.digest}", headers=headers) as reply:
            raise_if_passing(reply)
            if reply.status == _OK or (start and reply.status == _BAD_RANGE):
                # All of it again, or what is here is no beginning of it.
                advance(-start)
                into.restart()
            if reply.status == _BAD_RANGE and start:
                raise Passing(
                    f"`{host_of(reply.url)}` cannot go on at byte {start}", at=self._at,
                    hint="run it again",
                )  # fmt: skip
            if reply.status not in (_OK, _PARTIAL) or not _continues(reply, start):
                raise failures.missing_blob(reply, descriptor.digest)
            for chunk in reply.chunks(descriptor.size - into.size):
                into.write(chunk)
                advance(len(chunk))


def _continues(reply: Reply, start: int) -> bool:
    """Tell whether a partial answer begins at byte `start`."""
    unit, _, rest = reply.headers.get("Content-Range", "").partition(" ")
    return reply.status == _OK or (unit == "bytes" and rest.partition("-")[0] == str(start))


def _strong(tag: str) -> str:
    """Return an entity tag that tells whether anything changed; nothing for any other."""
    return tag if re.fullmatch(r'"[\x21\x23-\x7e]{1,200}"', tag) else ""
