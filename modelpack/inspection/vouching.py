"""What stands beside an image and says something about it: found, read within limits, summed up.

Found by the list of its referrers, which is not relied on, and under the tags that cosign used
before there were such lists (cosign, SIGNATURE_SPEC.md), and in the image's index, where BuildKit
keeps them. Nothing is proved; what cannot be read is
shown as that, and ends nothing.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final, Protocol, runtime_checkable

from modelpack import digest as digests
from modelpack.digest import Digest
from modelpack.errors import ModelpackError, Unavailable
from modelpack.inputs.quoting import quoted
from modelpack.inspection import contents, predicates, summaries
from modelpack.inspection.beside import ReferrerClaim, Said, SignatureClaim
from modelpack.inspection.contents import Content
from modelpack.inspection.documents import Documents
from modelpack.inspection.referrer_document import INDEX, SUBJECT, ReferrerDocument
from modelpack.oci import attestations
from modelpack.oci.layer import MANIFEST, Descriptor
from modelpack.oci.manifest import MANIFEST_LIMIT, Manifest
from modelpack.oci.manifest import parse as parse_manifest
from modelpack.oci.referrers import OLD_TAGS, checked, tag_for
from modelpack.trust.bundle import PREDICATE as BUNDLE_PREDICATE
from modelpack.trust.statement import PREDICATE_TYPE

CONTENT_LIMIT: Final = 16 << 20
"bytes of one content that is read"
_ROOM: Final = 128 << 20
"bytes of everything that is read beside one image"
_MANIFESTS: Final = 200
"that are looked at"
_LAYERS: Final = 50
"contents of one manifest that are looked at"


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
    """Reads what vouches for an image until the room for that is used up."""

    def __init__(self, store: Vouched) -> None:
        self._store, self._room, self._manifests = store, _ROOM, _MANIFESTS

    def by_subject(self, subject: Digest) -> Iterator[ReferrerDocument]:
        """Yield what is listed as naming `subject`."""
        for entry in self._store.listed(subject):
            unread = ReferrerDocument(subject=subject, descriptor=entry)
            try:
                self._expect_room()
                known = checked(entry, subject, self._store.image)
                manifest = self._store.image(entry.digest)
            except ModelpackError as error:
                self._room -= MANIFEST_LIMIT
                yield replace(unread, trouble=error.findings[0].message,
                              unavailable=isinstance(error, Unavailable))  # fmt: skip
                continue
            yield from self._contents(replace(unread, descriptor=known), manifest)

    def by_tag(self, subject: Digest) -> Iterator[ReferrerDocument]:
        """Yield what stands under the tags of older cosign."""
        for suffix in OLD_TAGS:
            tag = f"{tag_for(subject)}{suffix}"
            held = self._store.held_by(tag)
            if held is None:
                continue
            unread = ReferrerDocument(subject=subject, by=tag, descriptor=Descriptor(
                media_type=MANIFEST, digest=digests.parse(held, at=tag), size=0
            ))  # fmt: skip
            try:
                self._expect_room()
                found = self._store.resolve(tag)
                manifest = self._store.image(found.digest)
            except ModelpackError as error:
                yield replace(unread, trouble=error.findings[0].message,
                              unavailable=isinstance(error, Unavailable))  # fmt: skip
                continue
            config = manifest.config.media_type if manifest.config else ""
            known = replace(found, artifact_type=manifest.artifact_type or config,
                            annotations=manifest.annotations)  # fmt: skip
            yield from self._contents(replace(unread, descriptor=known), manifest)

    def by_index(
        self, subject: Digest, entries: Sequence[Descriptor]
    ) -> Iterator[ReferrerDocument]:  # fmt: skip
        """Yield what the index has beside the image `subject`."""
        for entry in entries:
            unread = ReferrerDocument(subject=subject, by=INDEX, descriptor=entry)
            try:
                self._expect_room()
                manifest = self._store.image(entry.digest)
            except ModelpackError as error:
                yield replace(unread, trouble=error.findings[0].message)
                continue
            known = replace(entry, artifact_type=manifest.artifact_type or attestations.ARTIFACT,
                            annotations=manifest.annotations)  # fmt: skip
            yield from self._contents(replace(unread, descriptor=known), manifest)

    def _expect_room(self) -> None:
        self._manifests -= 1
        if self._manifests < 0 or self._room < 0:
            raise Unavailable("not looked at: there is too much beside this image")

    def _contents(self, bare: ReferrerDocument, manifest: Manifest) -> Iterator[ReferrerDocument]:
        """Yield each content of `manifest`; where it has none, it alone."""
        self._room -= bare.descriptor.size
        if not manifest.layers:
            yield bare
        for layer in manifest.layers[:_LAYERS]:
            one = replace(bare, layer=layer)
            if not contents.is_known(layer):
                yield one
                continue
            try:
                stored = self._read(layer)
                yield replace(one, stored=stored, content=contents.parse(stored, layer))
            except ModelpackError as error:
                at = f"{error.findings[0].at}: " if error.findings[0].at else ""
                yield replace(one, trouble=f"{at}{error.findings[0].message}",
                              unavailable=isinstance(error, Unavailable))  # fmt: skip

    def _read(self, layer: Descriptor) -> bytes:
        if layer.size > CONTENT_LIMIT:
            raise Unavailable(f"not read: it is larger than {CONTENT_LIMIT >> 20} MiB")
        if layer.size > self._room:
            raise Unavailable("not read: there is too much beside this image")
        self._room -= layer.size
        return self._store.read(layer, limit=CONTENT_LIMIT)


def claim(document: ReferrerDocument) -> ReferrerClaim:
    """Return what a referrer claims to be."""
    entry, layer, content = document.descriptor, document.layer, document.content
    said = _said(content)
    signature = content.signature if content else None
    return ReferrerClaim(
        digest=entry.digest,
        subject=document.subject,
        artifact_type=entry.artifact_type,
        predicate_type=document.predicate_type,
        kind=document.kind,
        size=entry.size,
        summary=document.trouble or said.line,
        signed=_signed(signature) if signature else "",
        what=document.what,
        by=document.by,
        media_type=layer.media_type if layer else "",
        content=layer.digest if layer else "",
        content_size=layer.size if layer else 0,
        signature=signature,
        provenance=said.provenance,
        sbom=said.sbom,
        scan=said.scan,
        verdict=said.verdict,
        evaluation=said.evaluation,
        said=said.members,
        document=digests.of(content.document) if content else "",
        unreadable=document.trouble,
    )


def _said(content: Content | None) -> Said:
    if content is None:
        return Said()
    if content.statement:
        return summaries.of_statement(content.statement)
    return summaries.of_bom(content.bom) if content.bom is not None else Said()


def _signed(signature: SignatureClaim) -> str:
    """Return who seems to have signed, in words that promise nothing."""
    signer = signature.signer
    name = ", ".join(signer.identities)
    if name:
        who = f"as {quoted(name, 200)}" + (f" by {quoted(signer.issuer)}" if signer.issuer else "")
    elif signer.certificate:
        who = f"with a certificate of {quoted(signer.certificate_issuer)}"
    else:
        who = f"with a key, hint {quoted(signer.key_hint)}" if signer.key_hint else "with a key"
    logged = [f"log entry {one.index}" + (f" at {one.time}" if one.time else "")
              for one in signature.entries]  # fmt: skip
    stamped = [f"timestamp {time or 'that cannot be read'}" for time in signature.timestamps]
    return ", ".join([f"signed {who}", *logged, *stamped])


def findings(documents: Sequence[ReferrerDocument]) -> Iterator[str]:
    """Yield what does not add up in statements and signatures."""
    for document in documents:
        if document.content is None:
            continue
        name = quoted(document.descriptor.digest)
        said, statement = document.descriptor.annotations, document.statement
        if statement:
            stated = said.get(PREDICATE_TYPE) or said.get(BUNDLE_PREDICATE)
            if stated and stated != statement.predicate_type and document.by == SUBJECT:
                is_type = quoted(statement.predicate_type)
                yield f"referrer {name} calls itself {quoted(stated)} and is {is_type}"
            is_oms = statement.predicate_type == predicates.OMS
            if not is_oms and not statement.is_about(document.subject):
                yield (
                    f"referrer {name} hangs on this image, and its statement is about something "
                    "else"
                )
        signature = document.content.signature
        if signature and signature.signs and signature.signs != document.subject:
            yield f"referrer {name} hangs on this image, and signs {quoted(signature.signs)}"
