"""What stands beside an image and says something about it: found, read within limits, summed up.

Found by the list of its referrers, which is not relied on, and under the tags that cosign used
before there were such lists (cosign, SIGNATURE_SPEC.md), and in the image's index, where BuildKit
keeps them. Nothing is proved; what cannot be read is
shown as that, and ends nothing.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Final, Protocol, TypeVar, runtime_checkable

from modelpack import digest as digests
from modelpack.digest import Digest
from modelpack.errors import ModelpackError, Unavailable
from modelpack.inspection import contents
from modelpack.inspection.documents import Documents
from modelpack.inspection.referrer_document import INDEX, ReferrerDocument
from modelpack.oci import attestations, parallel
from modelpack.oci.layer import MANIFEST, Descriptor
from modelpack.oci.manifest import MANIFEST_LIMIT, Manifest
from modelpack.oci.manifest import parse as parse_manifest
from modelpack.oci.referrers import OLD_TAGS, checked, tag_for

CONTENT_LIMIT: Final = 16 << 20
"bytes of one content that is read"
_ROOM: Final = 128 << 20
"bytes of everything that is read beside one image"
_MANIFESTS: Final = 200
"that are looked at"
_LAYERS: Final = 50
"contents of one manifest that are looked at"
_TOO_MUCH: Final = "not looked at: there is too much beside this image"
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


@runtime_checkable
class Vouched(Protocol):
    """A place of images that knows what vouches for each."""

    def listed(self, subject: Digest) -> tuple[Descriptor, ...]:
        """Return what is listed as vouching for `subject`, unread."""

    def held_by(self, tag: str) -> str | None:
        """Return the digest of whatever has `tag`, unread; None: nothing has it."""

    def resolve(self, name: str) -> Descriptor:
        """Return the manifest that a tag names."""

    def image(self, digest: Digest) -> Manifest:
        """Return the manifest or index with `digest`, parsed."""

    def read(self, what: Descriptor, *, limit: int = MANIFEST_LIMIT) -> bytes:
        """Return a blob of up to `limit` bytes, its digest and size checked."""


@runtime_checkable
class Distant(Protocol):
    """A place where one may ask for several things at once, and every answer takes its time."""

    at_once: int
    "how many"


_Found = tuple[Descriptor, Manifest]
"a manifest, with type and annotations as it says itself"


def with_referrers(store: object, documents: Documents) -> Documents:
    """Return `documents` with what stands beside the image, if `store` is a place that knows."""
    if not isinstance(store, Vouched):
        return documents
    look, found, unlisted = _Look(store), list[ReferrerDocument](), list[str]()
    for one in (documents.descriptor, *((documents.index,) if documents.index else ())):
        for source in (look.by_subject, look.by_tag):
            try:
                found += source(one.digest)
            except ModelpackError as error:
                unlisted.append(error.findings[0].message)
    if documents.index:
        index = parse_manifest(documents.index_bytes, at=documents.index.digest)
        within = attestations.about(index, documents.descriptor.digest)
        both = {entry.digest for entry in within}  # some name the image as well: said once
        found = [one for one in found if one.descriptor.digest not in both]
        found += look.by_index(documents.descriptor.digest, within)
    return replace(documents, referrers=tuple(found), unlisted=tuple(dict.fromkeys(unlisted)))


class _Look:
    """Reads what vouches for an image until the room for that is used up.

    Several at once where the store is far away; what is found and its order are the same.
    """

    def __init__(self, store: Vouched) -> None:
        self._store, self._room, self._manifests = store, _ROOM, _MANIFESTS
        self._threads = store.at_once if isinstance(store, Distant) else 1

    def by_subject(self, subject: Digest) -> Iterator[ReferrerDocument]:
        """Yield what is listed as naming `subject`."""

        def known(unread: ReferrerDocument) -> _Found:
            entry = unread.descriptor
            return checked(entry, subject, self._store.image), self._store.image(entry.digest)

        return self._documents(
            [ReferrerDocument(subject=subject, descriptor=entry)
             for entry in self._store.listed(subject)], known,
        )  # fmt: skip

    def by_tag(self, subject: Digest) -> Iterator[ReferrerDocument]:
        """Yield what stands under the tags of older cosign."""
        tags = [f"{tag_for(subject)}{suffix}" for suffix in OLD_TAGS]

        def known(unread: ReferrerDocument) -> _Found:
            found = self._store.resolve(unread.by)
            manifest = self._store.image(found.digest)
            config = manifest.config.media_type if manifest.config else ""
            return replace(found, artifact_type=manifest.artifact_type or config,
                           annotations=manifest.annotations), manifest  # fmt: skip

        unread = []
        for tag, held in zip(tags, self._at_once(self._store.held_by, tags), strict=True):
            if isinstance(held, ModelpackError):
                raise held
            if held is not None:
                entry = Descriptor(media_type=MANIFEST, digest=digests.parse(held, at=tag), size=0)
                unread.append(ReferrerDocument(subject=subject, by=tag, descriptor=entry))
        return self._documents(unread, known)

    def by_index(
        self, subject: Digest, entries: Sequence[Descriptor]
    ) -> Iterator[ReferrerDocument]:  # fmt: skip
        """Yield what the index has beside the image `subject`."""

        def known(unread: ReferrerDocument) -> _Found:
            manifest = self._store.image(unread.descriptor.digest)
            kind = manifest.artifact_type or attestations.ARTIFACT
            return replace(unread.descriptor, artifact_type=kind,
                           annotations=manifest.annotations), manifest  # fmt: skip

        return self._documents(
            [ReferrerDocument(subject=subject, by=INDEX, descriptor=entry) for entry in entries],
            known,
        )

    def _documents(
        self, unread: Sequence[ReferrerDocument], known: Callable[[ReferrerDocument], _Found]
    ) -> Iterator[ReferrerDocument]:
        """Yield the contents of all `unread`, in their order, a few manifests at once."""
        for start in range(0, len(unread), 2 * self._threads):
            some = unread[start : start + 2 * self._threads]
            asked = some[: max(self._manifests, 0)] if self._room >= 0 else ()
            found: list[_Found | ModelpackError] = [*self._at_once(known, asked)]
            found += [Unavailable(_TOO_MUCH)] * (len(some) - len(found))
            planned = [one for bare, each in zip(some, found, strict=True)
                       for one in self._planned(bare, each)]  # fmt: skip
            yield from self._at_once_read(planned)

    def _planned(
        self, bare: ReferrerDocument, found: _Found | ModelpackError
    ) -> Iterator[ReferrerDocument]:
        """Yield what is to be read of one manifest, as far as there is room; it alone: nothing."""
        self._manifests -= 1
        if self._room < 0:
            found = Unavailable(_TOO_MUCH)
        if isinstance(found, ModelpackError):
            self._room -= MANIFEST_LIMIT
            yield _troubled(bare, found)
            return
        entry, manifest = found
        self._room -= bare.descriptor.size
        one = replace(bare, descriptor=entry)
        if not manifest.layers:
            yield one
        for layer in manifest.layers[:_LAYERS]:
            yield self._with_room(replace(one, layer=layer), layer)

    def _with_room(self, one: ReferrerDocument, layer: Descriptor) -> ReferrerDocument:
        """Return `one` with why its content is not read; take the room for it where it is."""
        if not contents.is_known(layer):
            return one
        if layer.size > CONTENT_LIMIT:
            return _troubled(
                one, Unavailable(f"not read: it is larger than {CONTENT_LIMIT >> 20} MiB")
            )
        if layer.size > self._room:
            return _troubled(one, Unavailable("not read: there is too much beside this image"))
        self._room -= layer.size
        return one

    def _at_once_read(self, planned: Sequence[ReferrerDocument]) -> Iterator[ReferrerDocument]:
        """Yield the documents with their contents, where these are of a kind that is read."""

        def read(one: ReferrerDocument) -> ReferrerDocument:
            if one.trouble or one.layer is None or not contents.is_known(one.layer):
                return one
            stored = self._store.read(one.layer, limit=CONTENT_LIMIT)
            return replace(one, stored=stored, content=contents.parse(stored, one.layer))

        for one, found in zip(planned, self._at_once(read, planned), strict=True):
            if isinstance(found, ModelpackError):
                at = f"{found.findings[0].at}: " if found.findings[0].at else ""
                yield _troubled(one, found, at=at)
            else:
                yield found

    def _at_once(
        self, work: Callable[[_Item], _Result], items: Sequence[_Item]
    ) -> Sequence[_Result | ModelpackError]:
        """Return what `work` makes of all items, or why it cannot, in their order."""

        def attempt(item: _Item, _: object) -> _Result | ModelpackError:
            try:
                return work(item)
            except ModelpackError as error:
                return error

        return parallel.each(attempt, items, lambda _: None, threads=self._threads)


def _troubled(one: ReferrerDocument, error: ModelpackError, *, at: str = "") -> ReferrerDocument:
    return replace(one, trouble=f"{at}{error.findings[0].message}",
                   unavailable=isinstance(error, Unavailable))  # fmt: skip
