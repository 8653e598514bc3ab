"""Manifests under their digests and under tags, and the lists under tags that others write too.

Source: OCI distribution-spec 1.1, "Pushing Manifests", "Pushing Manifests with Subject", "Deleting
Manifests". A tag can change between a look and the writing. What is written is therefore made to
depend on what was seen (RFC 9110, 13.1), which few registries heed, and is read again.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from types import MappingProxyType

from modelpack import digest as digests
from modelpack.digest import Digest
from modelpack.errors import InputError, Refused, Unavailable
from modelpack.oci.blobs import content_of
from modelpack.oci.layer import Blob, Descriptor
from modelpack.oci.manifest import parse, printable
from modelpack.oci.referrers import appended, tag_for
from modelpack.oci.registry import failures
from modelpack.oci.registry.repository import Held, Repository
from modelpack.oci.registry.session import Session
from modelpack.web.client import Reply, raise_if_passing

_TRIES = 6
"of a list of referrers that others write too"
_SETTLED = 0.1
"seconds after which what others wrote at the same time shows; doubled with every try"
_DONE = range(200, 300)
_NOT_THERE, _CHANGED = 404, 412
_NO_CONDITIONS = frozenset({304, 400, 405, 501})
"what a server may say that knows no conditions for writing"
_CANNOT_DELETE = frozenset({400, 405})
_NOTHING: Mapping[str, str] = MappingProxyType({})


class Naming:
    """Puts manifests into one repository, and takes them out."""

    def __init__(
        self, repository: Repository, session: Session, *, pause: Callable[[float], None]
    ) -> None:
        self._repository, self._session, self._pause = repository, session, pause
        self._at = repository.repository

    def put(self, manifest: Blob, name: str, *, condition: Mapping[str, str] = _NOTHING) -> bool:
        """Send a manifest; return whether the registry itself lists it with its subject.

        Raises ChangedError where `condition`, the headers of one, does not hold any more.
        """
        data = content_of(manifest)
        found = parse(data, at=manifest.digest)

        def work(reply: Reply) -> bool | None:
            if condition and reply.status == _CHANGED:
                raise ChangedError(f"`{name}` was written by another meanwhile", at=self._at)
            if condition and reply.status in _NO_CONDITIONS:
                return None
            raise_if_passing(reply)
            if reply.status not in _DONE:
                raise failures.refused(reply, f"the registry does not take the manifest `{name}`")
            claimed = reply.headers.get("Docker-Content-Digest", manifest.digest)
            if claimed != manifest.digest:
                raise Unavailable(
                    f"the registry keeps {manifest.digest} as something else", at=reply.at
                )
            subject = found.subject.digest if found.subject else ""
            return bool(subject) and reply.headers.get("OCI-Subject", "") == subject

        headers = {"Content-Type": found.media_type, **condition}
        listed = self._session.call(work, "PUT", f"manifests/{name}", headers=headers, body=data)
        return self.put(manifest, name) if listed is None else listed

    def tag(self, manifest: Blob, tag: str, *, held: Held | None) -> None:
        """Let `tag`, which was seen to be `held`, name `manifest`.

        Raises Refused when another wrote it at the same time, whoever was the last.
        """
        with suppress(ChangedError):  # perhaps by ourselves, by a request whose answer was lost
            self.put(manifest, tag, condition=_unless_changed(held))
        # Some registries answer for a while what was there before.
        for wait in (0.0, *(_SETTLED * 2**attempt for attempt in range(_TRIES))):
            if wait:
                self._pause(wait)
            now = self._repository.held(tag)
            if now is not None and now.digest == manifest.digest:
                return
            if now is not None and (held is None or now.digest != held.digest):
                break
        is_now = f"names {printable(now.digest)}" if now else "names nothing"
        raise Refused(
            f"`{tag}` was written by another at the same time, and {is_now}, not "
            f"{manifest.digest}", at=self._at, hint="look what is there, and push again",
        )  # fmt: skip

    def add_to_list(self, subject: Digest, entries: Sequence[Descriptor]) -> None:
        """Name `entries` in the list under the tag of `subject`: read, write, wait, read again.

        Two who write at once overwrite each other, and no registry without conditions can
        prevent that. Raises Unavailable when ours are not in it in the end.
        """
        wanted = {entry.digest for entry in entries}
        self._change(
            subject,
            lambda old: None if wanted <= {one.digest for one in old} else appended(entries, old),
            "what vouches for {} is in the repository, but the list that names it was "
            "overwritten by others {} times",
        )

    def delete(self, digest: Digest) -> bool:
        """Remove a manifest, with its tags and from the list that names it; False: not there."""
        if self._repository.held(digest) is None:
            return False
        try:
            subject = self._repository.image(digest).subject
        except (InputError, Refused):
            subject = None  # what nobody can read may go
        if not self._delete(digest):
            return False
        if subject:  # a registry that lists by itself may have a list under a tag besides
            self._take_from_list(subject.digest, digest)
        return True

    def _take_from_list(self, subject: Digest, digest: Digest) -> None:
        def without(old: Sequence[Descriptor]) -> Blob | None:
            left = [one for one in old if one.digest != digest]
            return None if len(left) == len(old) else appended((), left)

        self._change(
            subject, without,
            "the list of what vouches for {} was overwritten by others {} times, and names what "
            "is deleted",
        )  # fmt: skip
        held = self._repository.held(tag_for(subject))
        if held is not None and not self._entries(held):
            self._delete(digests.parse(held.digest, at=self._at))

    def _change(
        self, subject: Digest, make: Callable[[Sequence[Descriptor]], Blob | None], lost: str
    ) -> None:
        """Write what `make` makes of the list of `subject` until it returns None: nothing to do."""
        tag = tag_for(subject)
        for attempt in range(_TRIES + 1):
            if attempt:
                self._pause(_SETTLED * 2 ** (attempt - 1))
            held = self._repository.held(tag)
            made = make(self._entries(held))
            if made is None:
                return
            if attempt < _TRIES:
                try:
                    self.put(made, tag, condition=_unless_changed(held))
                except ChangedError:
                    continue
        raise Unavailable(lost.format(subject, _TRIES), at=self._at, hint="push again")

    def _entries(self, held: Held | None) -> tuple[Descriptor, ...]:
        """Return what a list names; raises InputError where something else has its tag."""
        if held is None:
            return ()
        return self._repository.image(digests.parse(held.digest, at=self._at)).manifests

    def _delete(self, name: Digest) -> bool:
        def work(reply: Reply) -> bool:
            if reply.status in _CANNOT_DELETE:
                raise Unavailable(
                    f"the registry deletes nothing{failures.said(reply)}", at=reply.at,
                    hint="let its administrator allow it, or use the registry's own clean-up",
                )  # fmt: skip
            if reply.status not in _DONE and reply.status != _NOT_THERE:
                raise failures.unexpected(reply)
            return reply.status != _NOT_THERE

        return self._session.call(work, "DELETE", f"manifests/{name}")


class ChangedError(Refused):
    """What was to be written depends on something that is not so any more."""


def _unless_changed(held: Held | None) -> Mapping[str, str]:
    """Return the headers that let a server write only over what was seen."""
    if held is None:
        return {"If-None-Match": "*"}
    return {"If-Match": held.version} if held.version else {}
