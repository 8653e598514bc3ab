"""One repository of a registry as a Store: blobs, manifests by digest, referrers, and tags last.

Source: OCI distribution-spec 1.1, "Push", "Pushing Manifests with Subject". A registry keeps what
nobody names, so nothing is ever removed here.
"""

import dataclasses
import re
import time
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from pathlib import Path

from modelpack.digest import Digest
from modelpack.errors import Finding, InputError, Refused, Unavailable
from modelpack.oci import parallel
from modelpack.oci.blobs import content_of
from modelpack.oci.layer import Blob, Descriptor
from modelpack.oci.manifest import INDEXES, MANIFESTS, parse, printable
from modelpack.oci.referrers import Vouching, appended, tag_for
from modelpack.oci.registry import failures
from modelpack.oci.registry.known import traits
from modelpack.oci.registry.repository import DEFAULT_TAG, Repository
from modelpack.oci.registry.settings import Settings
from modelpack.oci.registry.unfinished import Unfinished
from modelpack.oci.registry.uploads import Uploads, source_of
from modelpack.oci.store import Root
from modelpack.progress import Advance
from modelpack.quantity import in_gib
from modelpack.reference import Registry
from modelpack.web.client import Client, Reply, raise_if_passing

_PATIENCE = 600.0
"seconds without a byte: a registry that is given the last one may take its time to hash them all"
_DONE = range(200, 300)
_TRIES = 6
"of a list of referrers that others write too"
_SETTLED = 0.1
"seconds after which a list that others wrote at the same time shows; doubled with every try"
_LIST = re.compile(r"sha256-[0-9a-f]{64}(\..+)?")


class WritableRepository(Repository):
    """A Store in a registry; `replace` lets a version tag move to another image."""

    def __init__(
        self,
        name: Registry,
        settings: Settings,
        *,
        uploads: Path | None = None,
        replace: bool = False,
        client: Client | None = None,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        """`uploads` is a folder in which unfinished uploads are noted for another process."""
        client = client or Client(settings.environment, timeout=_PATIENCE)
        # A mirror is for reading: what is pushed goes to the registry itself.
        own = dataclasses.replace(settings, mirrors={})
        super().__init__(name, own, client=client, actions="pull,push")
        self._replace, self._pause = replace, pause
        self._traits = traits(name.host)
        self._uploads = Uploads(
            name, self._session, client=client, traits=self._traits, unfinished=Unfinished(uploads)
        )
        self._there: set[Digest] = set()
        "what was seen or brought there by this process"

    def has(self, descriptor: Descriptor) -> bool:
        """Tell whether the registry says that it has exactly this content."""
        there = super().has(descriptor)
        if there:
            self._there.add(descriptor.digest)
        return there

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
            self._uploads.push(blob, advance, mount_from=source_of(blob, self.name))
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
        for blob in distinct:
            if _is_manifest(blob.descriptor):
                self.write(blob, advance)

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
            if self._replace or not is_version(tag):
                continue
            held = self.held_by(tag)
            if held not in (None, digest):
                raise Refused(
                    f"`{tag}` is {printable(held or '')} already, and would become {digest}",
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
                self._put(root.manifest, tag)

    def attach(self, subject: Descriptor, referrers: Sequence[Vouching]) -> None:
        """Keep `referrers` with the image `subject`, which is here, beside all others."""
        if not self.has(subject):
            raise InputError("there is no such image", at=subject.digest)
        self._attach(subject, referrers)

    def _attach(self, subject: Descriptor, referrers: Sequence[Vouching]) -> None:
        unlisted = []
        for referrer in referrers:
            *contents, manifest = referrer.blobs(subject)
            for blob in contents:
                self.write(blob, lambda _: None)
            if not self._put(manifest, manifest.digest):
                unlisted.append(referrer.entry(subject))
        if unlisted:
            self._list(subject.digest, unlisted)

    def _list(self, subject: Digest, entries: Sequence[Descriptor]) -> None:
        """Name `entries` in the list under the tag of `subject`: read, write, wait, read again.

        Two who write at once overwrite each other, and no registry without a list of its own can
        prevent that. Raises Unavailable when ours are not in it in the end.
        """
        wanted = {entry.digest for entry in entries}
        for attempt in range(_TRIES):
            if attempt:
                self._pause(_SETTLED * 2 ** (attempt - 1))
            old = self.tag_referrers(subject)
            if wanted <= {entry.digest for entry in old}:
                return
            self._put(appended(entries, old), tag_for(subject))
        self._pause(_SETTLED * 2**_TRIES)
        if wanted <= {entry.digest for entry in self.tag_referrers(subject)}:
            return
        raise Unavailable(
            f"what vouches for {subject} is in the repository, but the list that names it was "
            f"overwritten by others {_TRIES} times", at=self.name.name, hint="push again",
        )  # fmt: skip

    def _check_children(self, manifest: Blob) -> None:
        for child in parse(content_of(manifest), at=manifest.digest).children:
            if child.digest not in self._there and not self.has(child):
                raise InputError("a blob of the image is missing in the registry", at=child.digest)

    def _put(self, manifest: Blob, name: str) -> bool:
        """Send a manifest; return whether the registry itself lists it with its subject."""
        data = content_of(manifest)
        found = parse(data, at=manifest.digest)

        def work(reply: Reply) -> bool:
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

        headers = {"Content-Type": found.media_type}
        listed = self._session.call(
            work, "PUT", f"manifests/{name}", headers=headers, body=data
        )  # fmt: skip
        self._there.add(manifest.digest)
        self._manifests[manifest.digest] = data
        return listed


def is_version(tag: str) -> bool:
    """Tell whether `tag` is to mean one image for ever: it has a digit, and lists nothing."""
    return tag != DEFAULT_TAG and not _LIST.fullmatch(tag) and any(c.isdecimal() for c in tag)


def _is_manifest(descriptor: Descriptor) -> bool:
    return descriptor.media_type in MANIFESTS | INDEXES
