"""One repository of a registry as a Store: blobs, manifests by digest, referrers, and tags last.

Source: OCI distribution-spec 1.1, "Push", "Content Management". A registry keeps what nobody
names: only what is asked for is removed.
"""

import dataclasses
import time
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from pathlib import Path

from modelpack.digest import Digest
from modelpack.errors import Finding, InputError, Refused
from modelpack.oci import parallel
from modelpack.oci.blobs import content_of
from modelpack.oci.layer import Blob, Descriptor
from modelpack.oci.manifest import INDEXES, MANIFESTS, parse, printable
from modelpack.oci.referrers import LISTS, Vouching
from modelpack.oci.registry.known import traits
from modelpack.oci.registry.naming import Naming
from modelpack.oci.registry.places import Places
from modelpack.oci.registry.repository import DEFAULT_TAG, Held, Repository
from modelpack.oci.registry.settings import Settings
from modelpack.oci.registry.unfinished import Unfinished
from modelpack.oci.registry.uploads import Uploads, source_of
from modelpack.oci.store import KnownDigests, Root
from modelpack.progress import Advance
from modelpack.quantity import in_gib
from modelpack.reference import Registry
from modelpack.web.client import Client

_PATIENCE = 600.0
"seconds without a byte: a registry that is given the last one may take its time to hash them all"


class WritableRepository(Repository):
    """A Store in a registry; `replace` lets a version tag move to another image."""

    def __init__(
        self,
        name: Registry,
        settings: Settings,
        *,
        uploads: Path | None = None,
        places: Path | None = None,
        known: KnownDigests | None = None,
        replace: bool = False,
        deletes: bool = False,
        client: Client | None = None,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        """`uploads` is a folder in which unfinished uploads are noted for another process.

        `places` is one in which stands what this machine knows of where blobs are. What `known`
        proves of a file is not hashed again. With `deletes`, the right to remove manifests is asked
        for too.
        """
        client = client or Client(settings.environment, timeout=_PATIENCE)
        # A mirror is for reading: what is pushed goes to the registry itself.
        own = dataclasses.replace(settings, mirrors={})
        actions = "pull,push,delete" if deletes else "pull,push"
        super().__init__(name, own, client=client, actions=actions)
        self._replace = replace
        self._naming = Naming(self, self._session, pause=pause)
        self._traits = traits(name.host)
        self._uploads = Uploads(
            name, self._session, client=client, traits=self._traits,
            unfinished=Unfinished(uploads), known=known,
        )  # fmt: skip
        self._places, self._bases = Places(places), dict[Digest, str]()
        self._there: set[Digest] = set()
        "what was seen or brought there by this process"

    def has(self, descriptor: Descriptor) -> bool:
        """Tell whether the registry says that it has exactly this content."""
        there = super().has(descriptor)
        if there:
            self._there.add(descriptor.digest)
        return there

    def mount(self, descriptor: Descriptor, source: Registry) -> bool:
        """Take a blob from another repository of this registry; False where that cannot be."""
        if source.host != self.name.host or source.repository == self.name.repository:
            return False
        if not self._uploads.mount(descriptor, source.repository):
            return False
        self._there.add(descriptor.digest)
        return True

    def write(self, blob: Blob, advance: Advance) -> bool:
        """Keep `blob`; False when it was here already. `advance` gets the bytes either way.

        Raises InputError naming the source when its bytes are not what the descriptor says,
        Unavailable when nobody has them or the registry does not take them.
        """
        if blob.digest in self._there or self.has(blob.descriptor):
            advance(blob.size)
            return False
        if _is_manifest(blob.descriptor):
            self._put(blob, blob.digest)
            advance(blob.size)
        else:
            self._uploads.push(blob, advance, places=self._places_of(blob))
        self._there.add(blob.digest)
        return True

    def write_all(
        self, blobs: Iterable[Blob], advance: Advance, *, threads: int = parallel.THREADS
    ) -> None:
        """Keep all `blobs`: contents several at once, the largest first, then manifests in order.

        One error stops the others.
        """
        distinct = {blob.digest: blob for blob in blobs}.values()
        contents = [blob for blob in distinct if not _is_manifest(blob.descriptor)]
        contents.sort(key=lambda blob: -blob.size)
        parallel.each(self.write, contents, advance, threads=threads)
        self._places.keep(self.name.host, self.name.repository, [blob.digest for blob in contents])
        for blob in distinct:
            if _is_manifest(blob.descriptor):
                self.write(blob, advance)

    def expect_elsewhere(self, name: Registry, digests: Iterable[Digest]) -> None:
        """Know that the repository `name`, perhaps of another registry, has these blobs."""
        if name.host == self.name.host:
            self._bases |= dict.fromkeys(digests, name.repository)

    def _places_of(self, blob: Blob) -> tuple[str, ...]:
        """Return other repositories of the registry that may have `blob`, the surest one first."""
        known = self._places.of(self.name.host, blob.digest)
        found = (source_of(blob, self.name), self._bases.get(blob.digest, ""), *known)
        return tuple(
            dict.fromkeys(name for name in found if name not in ("", self.name.repository))
        )

    def findings(self, blobs: Iterable[Blob]) -> tuple[Finding, ...]:
        """Return a warning for each layer that is larger than what the registry takes."""
        most = self._traits.layer_limit
        if most is None:
            return ()
        return tuple(
            Finding(
                message=f"the layer has {in_gib(blob.size)}; `{self.name.host}` takes "
                f"{in_gib(most)}",
                at=blob.digest, rule="registry.layer-limit", severity="warning",
                hint=f"modelpack shard FILE --max-size {most * 9 // 10 // 10**9}GB",
            )
            for blob in blobs
            if blob.size > most
        )  # fmt: skip

    def expect_free(self, tags: Iterable[str], digest: Digest) -> None:
        """Raise Refused when one of `tags` is a version that names another image already."""
        for tag in tags:
            if not self._replace and is_version(tag):
                self._expect(tag, self.held(tag), digest)

    def _expect(self, tag: str, held: Held | None, digest: Digest) -> None:
        """Raise Refused when `tag` is a version that is `held` by another image."""
        if self._replace or not is_version(tag) or held is None or held.digest == digest:
            return
        raise Refused(
            f"`{tag}` is {printable(held.digest)} already, and would become {digest}",
            at=self.name.name,
            hint="choose another version, or let the tag move with `--replace`",
        )  # fmt: skip

    def commit(self, roots: Sequence[Root]) -> None:
        """Make `roots`, whose blobs are here, visible: by digest, what vouches for them, by tag.

        Raises InputError when a blob is missing, Refused when a version would change.
        """
        for root in roots:
            self._check_children(root.manifest)
            self.expect_free(root.tags, root.manifest.digest)
        for root in roots:
            self.write(root.manifest, lambda _: None)
        for subject, new in chain.from_iterable(root.vouching_for() for root in roots):
            self._attach(subject, new)
        for root in roots:
            for tag in root.tags:
                self._name(root.manifest, tag)

    def _name(self, manifest: Blob, tag: str) -> None:
        held = self.held(tag)
        if held is None or held.digest != manifest.digest:
            self._expect(tag, held, manifest.digest)
            self._naming.tag(manifest, tag, held=held)

    def attach(self, subject: Descriptor, referrers: Sequence[Vouching]) -> None:
        """Keep `referrers` with the image `subject`, which is here, beside all others."""
        if not self.has(subject):
            raise InputError("there is no such image", at=subject.digest)
        self._attach(subject, referrers)

    def _attach(self, subject: Descriptor, referrers: Sequence[Vouching]) -> None:
        """Put what vouches for `subject`: contents several at once, then manifests in order.

        Registries that list referrers lose one of two that come at the same moment (olareg 0.1).
        """
        blobs = [referrer.blobs(subject) for referrer in referrers]
        contents = {blob.digest: blob for own in blobs for blob in own[:-1]}
        parallel.each(self.write, contents.values(), lambda _: None)
        unlisted = [
            referrer.entry(subject)
            for referrer, (*_, manifest) in zip(referrers, blobs, strict=True)
            if not self._put(manifest, manifest.digest)
        ]
        if unlisted:
            self._naming.add_to_list(subject.digest, unlisted)

    def delete_manifest(self, digest: Digest) -> bool:
        """Remove a manifest, with its tags and from the list that names it; False: not there.

        What it names stays, and what vouches for it: whoever removes an image removes that first.
        Raises Unavailable where the registry does not let anybody.
        """
        there = self._naming.delete(digest)
        self._there.discard(digest)
        self._manifests.pop(digest, None)
        return there

    def _check_children(self, manifest: Blob) -> None:
        for child in parse(content_of(manifest), at=manifest.digest).children:
            if child.digest not in self._there and not self.has(child):
                raise InputError("a blob of the image is missing in the registry", at=child.digest)

    def _put(self, manifest: Blob, name: str) -> bool:
        """Send a manifest; return whether the registry itself lists it with its subject."""
        listed = self._naming.put(manifest, name)
        self._there.add(manifest.digest)
        self._manifests[manifest.digest] = content_of(manifest)
        return listed


def is_version(tag: str) -> bool:
    """Tell whether `tag` is to mean one image for ever: it has a digit, and lists nothing."""
    return tag != DEFAULT_TAG and not LISTS.fullmatch(tag) and any(c.isdecimal() for c in tag)


def _is_manifest(descriptor: Descriptor) -> bool:
    return descriptor.media_type in MANIFESTS | INDEXES
