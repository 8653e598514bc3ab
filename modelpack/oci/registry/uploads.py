"""Blobs on their way into a repository: mounted, at once, or in chunks that resume.

Source: OCI distribution-spec 1.1, "Push". The URL to go on with is always the latest one that the
registry gave; it may lead to another host, which gets no credentials. Nothing is closed under its
digest before all that was sent has been hashed here, now or since the file was changed last.
"""

import re
from collections.abc import Sequence
from contextlib import suppress
from urllib.parse import urlsplit

from modelpack.errors import ModelpackError, Unavailable
from modelpack.oci.blobs import nowhere
from modelpack.oci.layer import Absent, Blob, Descriptor, Remote
from modelpack.oci.registry import failures
from modelpack.oci.registry.known import Traits
from modelpack.oci.registry.sending import Hashed, Sending, sending
from modelpack.oci.registry.session import Session
from modelpack.oci.registry.unfinished import Note, Unfinished
from modelpack.oci.registry.upload import Upload, following, started
from modelpack.oci.store import KnownDigests
from modelpack.progress import Advance
from modelpack.reference import Registry
from modelpack.web.client import Client, Passing, raise_if_passing
from modelpack.web.urls import host_of

AT_ONCE = 1 << 20
"bytes of a blob that is sent in one request, from memory"
_CUTS = 100
"how often a connection may be cut in one upload, each time after some bytes"
_PLACES = 3
"repositories that are tried for one blob"
_CREATED = 201
_DONE = range(200, 300)
_LOST = frozenset({400, 404, 410, 413, 416})
"the registry does not know this upload, or not at this place; or the chunk is too large"
_RANGE = re.compile(r"(?:bytes[= ])?0-([0-9]{1,18})")
_OCTETS = {"Content-Type": "application/octet-stream"}


class Uploads:
    """Brings blobs into one repository; safe from several threads."""

    def __init__(
        self, name: Registry, session: Session, *, client: Client, traits: Traits,
        unfinished: Unfinished, known: KnownDigests | None = None,
    ) -> None:  # fmt: skip
        self._name, self._session, self._client = name, session, client
        self._traits, self._unfinished, self._known = traits, unfinished, known
        self._is_careful = False
        "a request failed: the next ones are shorter"

    def push(self, blob: Blob, advance: Advance, *, places: Sequence[str] = ()) -> None:
        """Bring `blob`, which the repository does not have, into it.

        `places` are other repositories of the registry that may have it. Raises InputError naming
        the source when its bytes are not what the descriptor says, Unavailable.
        """
        is_mounted, begun = self._mount(blob, places)
        if is_mounted:
            advance(blob.size)
            return None
        if isinstance(blob.origin, Absent):
            raise nowhere(blob.origin, blob.digest, f"nor in `{self._name.name}`")
        if blob.size <= AT_ONCE:
            small = Hashed(blob, advance)
            data = b"".join(map(bytes, small.read(0, blob.size)))
            small.check()
            return self._send_small(blob, data, begun)
        content = sending(blob, advance, self._known)
        with self._unfinished.note(self._name.name, blob.digest) as note:
            resumed = self._resumed(*note.read())
            if resumed is not None:
                try:
                    return self._complete(content, resumed, note)
                except Passing:
                    raise
                except Unavailable:
                    # What another process sent was something else, or is refused: all of it anew.
                    note.remove()
                    content.tell(0)
                    content = sending(blob, advance, self._known)
            return self._complete(content, begun or Upload(), note)

    def _send_small(self, blob: Blob, data: bytes, begun: Upload | None) -> None:
        def once() -> None:
            nonlocal begun
            upload, begun = begun or self._start(), None  # an upload that failed is not used again
            self._close(upload, blob, data)

        self._client.again(once)

    def mount(self, descriptor: Descriptor, source: str) -> bool:
        """Take a blob from another repository of the registry; False: it cannot be had there."""
        is_mounted, begun = self._mount(Blob(descriptor=descriptor, origin=Absent()), [source])
        if begun:  # the registry would rather be sent it: nobody goes on with that
            with suppress(Unavailable), self._session.open("DELETE", begun.location):
                pass
        return is_mounted

    def _complete(self, content: Sending, upload: Upload, note: Note) -> None:
        """Send what is missing, prove it, and let it have its digest."""
        try:
            self._send(content, upload, note)
            content.check()
            self._client.again(lambda: self._close(upload, content.blob, b""))
        except Passing:
            raise  # another process may go on
        except ModelpackError:
            note.remove()
            raise
        note.remove()

    def _mount(self, blob: Blob, places: Sequence[str]) -> tuple[bool, Upload | None]:
        """Mount the blob from one of `places`; else return the upload that began instead, if any.

        A registry that does not mount begins an upload for the bytes.
        """
        begun: Upload | None = None
        for place in places[:_PLACES]:
            path = f"blobs/uploads/?mount={blob.digest}&from={place}"
            try:
                with self._session.open("POST", path, also=place) as reply:
                    if reply.status == _CREATED:
                        return True, None
                    begun = started(reply) if reply.status in _DONE else begun
            except Unavailable:
                continue  # not to be had there; the bytes are
        return False, begun

    def _start(self) -> Upload:
        with self._session.open("POST", "blobs/uploads/") as reply:
            raise_if_passing(reply)
            if reply.status not in _DONE:
                raise failures.refused(reply, "the registry begins no upload")
            return started(reply)

    def _resumed(self, location: str, least: int) -> Upload | None:
        """Return where the upload stands that another process began; None: it is lost."""
        if not location or self._traits.in_one_request:
            return None
        upload = Upload(location, least=least)
        try:
            return upload if self._client.again(lambda: self._ask(upload)) else None
        except Unavailable:
            return None

    def _ask(self, upload: Upload) -> bool:
        """Learn from the registry where `upload` stands; False when it is lost."""
        with self._session.open("GET", upload.location) as reply:
            raise_if_passing(reply)
            if reply.status not in _DONE:
                return False
            reached = _RANGE.fullmatch(reply.headers.get("Range", "").strip())
            # `0-0` is what some answer for nothing at all.
            upload.offset = int(reached[1]) + 1 if reached and int(reached[1]) else 0
            upload.location = following(reply, or_else=upload.location)
            upload.is_sure = True
            return True

    def _is_there(self, upload: Upload) -> bool:
        """Tell whether an upload that was cut can go on, and not where it was refused."""
        if self._traits.in_one_request or not self._ask(upload):
            return False
        return upload.offset != upload.refused

    def _send(self, content: Sending, upload: Upload, note: Note) -> None:
        """Send what is missing; as long as every try brings some bytes, another one follows."""
        confirmed = [0]
        for _ in range(_CUTS):
            before = confirmed[0]
            try:
                self._client.again(lambda: self._go_on(content, upload, note, confirmed))
            except Passing:
                if confirmed[0] <= before:
                    raise
            else:
                return
        raise Unavailable("the connection is cut again and again", at=str(self._name))

    def _go_on(
        self, content: Sending, upload: Upload, note: Note, confirmed: list[int]
    ) -> None:  # fmt: skip
        self._is_careful |= not upload.is_sure
        if not upload.location or (not upload.is_sure and not self._is_there(upload)):
            fresh = self._start()
            upload.location, upload.least, upload.most = fresh.location, fresh.least, fresh.most
            upload.offset, upload.is_sure, upload.refused = 0, True, -1
        note.write(upload.location, upload.least)
        size = content.blob.size
        step = self._traits.chunk(
            size, least=upload.least, most=upload.most, careful=self._is_careful
        )  # fmt: skip
        content.tell(upload.offset)
        while upload.offset < size:
            before = upload.offset
            self._patch(content, upload, min(step, size - before))
            note.write(upload.location, upload.least)
            confirmed[0] += upload.offset - before

    def _patch(self, content: Sending, upload: Upload, length: int) -> None:
        """Send one chunk and learn how much of it has arrived."""
        start = upload.offset
        headers = {**_OCTETS, "Content-Length": str(length)}
        if not self._traits.in_one_request:
            headers["Content-Range"] = f"{start}-{start + length - 1}"
        upload.is_sure = False
        with self._session.open(
            "PATCH", upload.location, headers=headers, body=lambda: content.read(start, length)
        ) as reply:
            raise_if_passing(reply)
            if reply.status in _LOST:
                upload.refused = start
                raise Passing(
                    f"`{host_of(reply.url)}` does not go on with the upload (status "
                    f"{reply.status}){failures.said(reply)}", at=reply.at, hint="push again",
                )  # fmt: skip
            if reply.status not in _DONE:
                raise failures.refused(reply, "the registry does not take the blob")
            reached = _RANGE.fullmatch(reply.headers.get("Range", "").strip())
            arrived = int(reached[1]) + 1 if reached else start + length
            if not start < arrived <= start + length:
                raise Unavailable(
                    f"`{host_of(reply.url)}` says that it has {arrived} bytes of "
                    f"{start + length}", at=reply.at,
                )  # fmt: skip
            upload.location = following(reply, or_else=upload.location)
            upload.offset, upload.is_sure = arrived, True

    def _close(self, upload: Upload, blob: Blob, data: bytes) -> None:
        """Give what was sent its digest; `data` is all of a small blob."""
        joint = "&" if urlsplit(upload.location).query else "?"
        with self._session.open(
            "PUT", f"{upload.location}{joint}digest={blob.digest}",
            headers={**_OCTETS, "Content-Length": str(len(data))}, body=data,
        ) as reply:  # fmt: skip
            if reply.status in _DONE or self._has(blob):
                return  # at the second try it may be there since the first
            raise_if_passing(reply)
            raise failures.refused(reply, f"the registry does not take {blob.digest}")

    def _has(self, blob: Blob) -> bool:
        with self._session.open("HEAD", f"blobs/{blob.digest}") as reply:
            return reply.status in _DONE


def source_of(blob: Blob, name: Registry) -> str:
    """Return the repository of the same registry that `blob` comes from, or nothing."""
    if not isinstance(blob.origin, Remote):
        return ""
    host, _, repository = blob.origin.place.repository.partition("/")
    return repository if host == name.host and repository != name.repository else ""
