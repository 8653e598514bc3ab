"""One copy for push, pull, mirrors and air gaps: an image and everything that belongs to it.

To an image belong, for an index, its images; the image of its mounted weights; and what vouches
for any of them, and for what vouches. Subjects go first, names last.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from modelpack import digest as digests
from modelpack.digest import Digest
from modelpack.errors import Finding, InputError, Unavailable
from modelpack.oci.layer import CONFIGS, Blob, Descriptor
from modelpack.oci.manifest import INDEXES, MANIFEST_LIMIT, MANIFESTS, parse, parse_object
from modelpack.oci.referrers import OLD_TAGS, Copied, Vouching, tag_for
from modelpack.oci.store import Root, Store
from modelpack.progress import Advance, Progress
from modelpack.reference import WEIGHTS_SUFFIX
from modelpack.run_configuration import WEIGHTS_IMAGE_LABEL

_MANIFESTS = 1000
"that belong to one image"
_LONGEST_TAG = 128


class Source(Protocol):
    """What an image is copied from."""

    def read(self, what: Descriptor, *, limit: int = MANIFEST_LIMIT) -> bytes:
        """Return a small blob, its digest checked."""

    def blob(self, descriptor: Descriptor) -> Blob:
        """Return a blob to be copied elsewhere; whoever names it checks its digest."""

    def resolve(self, name: str) -> Descriptor:
        """Return what a tag or digest names."""

    def referrers(self, subject: Digest) -> tuple[Descriptor, ...]:
        """Return what vouches for the image `subject`."""


class Destination(Store, Protocol):
    """A Store that takes many blobs at once."""

    def write_all(self, blobs: Iterable[Blob], advance: Advance) -> None:
        """Keep all `blobs`."""

    def held_by(self, tag: str) -> str | None:
        """Return the digest of whatever has `tag`, unread; None: nothing has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Closure:
    """An image and what belongs to it."""

    blobs: tuple[Blob, ...]
    "everything below the roots, contents before what names them"
    roots: tuple[Root, ...]
    tagged: tuple[Root, ...] = ()
    "what vouches for images under cosign's older tags"
    findings: tuple[Finding, ...] = ()
    "warnings"

    @property
    def digest(self) -> Digest:
        """The digest of the image itself."""
        return self.roots[0].manifest.digest

    @property
    def size(self) -> int:
        """The bytes below the roots."""
        return sum(blob.size for blob in self.blobs)

    @property
    def vouching(self) -> int:
        """How many manifests vouch for something in it."""
        listed = sum(len(new) for root in self.roots for _, new in root.vouching_for())
        return listed + len(self.tagged)


def copy(
    closure: Closure, destination: Destination, *, progress: Progress, label: str
) -> tuple[Finding, ...]:
    """Bring `closure` into `destination`: blobs first, then names in one step.

    Return a warning for each of cosign's older tags that holds something else there and stays:
    one such manifest has all signatures, and nobody but cosign merges two.
    """
    held = [(root, destination.held_by(root.tags[0])) for root in closure.tagged]
    free = [root for root, digest in held if digest in (None, root.manifest.digest)]
    with progress.task(label, closure.size) as advance:
        destination.write_all(closure.blobs, advance)
    destination.commit([*closure.roots, *free])
    return tuple(
        Finding(
            message="the destination has something else under this tag, which stays",
            at=root.tags[0], rule="copy.old-tag", severity="warning",
            hint="cosign copy merges what older cosign attached",
        )
        for root, digest in held
        if digest not in (None, root.manifest.digest)
    )  # fmt: skip


def closure(
    source: Source, root: Descriptor, *, tags: Sequence[str], referrers: bool = True
) -> Closure:
    """Return what belongs to the image `root`, which gets `tags`.

    Without `referrers`, only what is needed to run it. Nothing but manifests and configurations
    is read.
    """
    walk = _Walk(source)
    images = walk.below(root)
    weights, findings = _weights(source, walk.labels)
    beside = [(image, walk.below(image)) for image in weights]
    roots = [_root(source, root, tags)]
    roots += [_root(source, image, _weights_tags(tags)) for image, _ in beside]
    subjects = [images, *(found for _, found in beside)]
    tagged: tuple[Root, ...] = ()
    if referrers:
        roots = [
            _with_referrers(one, walk, found) for one, found in zip(roots, subjects, strict=True)
        ]
        tagged = tuple(_tagged(walk, [one for found in subjects for one in found]))
    return Closure(
        blobs=tuple(walk.blobs.values()), roots=tuple(roots), tagged=tagged,
        findings=tuple(findings),
    )  # fmt: skip


class _Walk:
    """Goes down from manifests, and collects what is met."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.blobs: dict[Digest, Blob] = {}
        self.labels: list[str] = []
        "digests of weights images, as configurations name them"
        self._seen: set[Digest] = set()

    def below(self, root: Descriptor, *, keep: bool = False) -> tuple[Descriptor, ...]:
        """Collect what is below `root`, and with `keep` itself; return all manifests, it first."""
        if root.digest in self._seen:
            return ()
        self._seen.add(root.digest)
        if len(self._seen) > _MANIFESTS:
            raise InputError(f"more than {_MANIFESTS} manifests belong to one image")
        manifest = parse(self.source.read(root), at=root.digest)
        found = [root]
        for child in manifest.children:
            if child.media_type in MANIFESTS | INDEXES:
                found += self.below(child, keep=True)
            else:
                self.blobs.setdefault(child.digest, self.source.blob(_bare(child)))
        if manifest.config and manifest.config.media_type in CONFIGS and not manifest.subject:
            self.labels += _label(self.source, manifest.config)
        if keep:
            self.blobs[root.digest] = self.source.blob(_bare(root))
        return tuple(found)


def _bare(descriptor: Descriptor) -> Descriptor:
    return Descriptor(
        media_type=descriptor.media_type, digest=descriptor.digest, size=descriptor.size
    )


def _root(source: Source, descriptor: Descriptor, tags: Sequence[str]) -> Root:
    return Root(manifest=source.blob(_bare(descriptor)), tags=tuple(tags))


def _weights_tags(tags: Sequence[str]) -> list[str]:
    named = [f"{tag}{WEIGHTS_SUFFIX}" for tag in tags]
    return [tag for tag in named if len(tag) <= _LONGEST_TAG]


def _label(source: Source, config: Descriptor) -> Iterator[str]:
    """Yield the digest of the weights image that a configuration names."""
    value = parse_object(source.read(config), at=config.digest)
    inner = value.get("config")
    labels = inner.get("Labels") if isinstance(inner, dict) else None
    found = labels.get(WEIGHTS_IMAGE_LABEL) if isinstance(labels, dict) else None
    if isinstance(found, str) and found:
        yield found


def _weights(source: Source, labels: Iterable[str]) -> tuple[list[Descriptor], list[Finding]]:
    """Return the weights images that are there, and a warning for each that is not."""
    found, findings = [], []
    for text in dict.fromkeys(labels):
        try:
            found.append(source.resolve(digests.parse(text)))
        except (InputError, Unavailable):
            findings.append(
                Finding(
                    message=f"the image of its weights, {text[:80]}, is not there, and is not "
                    "copied", rule="copy.weights-image", severity="warning",
                )
            )  # fmt: skip
    return found, findings


def _with_referrers(root: Root, walk: _Walk, images: Sequence[Descriptor]) -> Root:
    """Return `root` with what vouches for it, for images below it, and for what vouches."""
    todo, done = list(images), list[tuple[Descriptor, tuple[Vouching, ...]]]()
    while todo:
        subject = todo.pop(0)
        found = [_copied(walk, entry) for entry in walk.source.referrers(subject.digest)]
        new = [one for one in found if one is not None]
        todo += [one.descriptor for one in new]
        done.append((_bare(subject), tuple(new)))
    return replace(
        root, referrers=done[0][1], below=tuple(pair for pair in done[1:] if pair[1])
    )  # fmt: skip


def _tagged(walk: _Walk, images: Sequence[Descriptor]) -> Iterator[Root]:
    """Yield what stands under cosign's older tags of `images`; its contents are collected."""
    for image in images:
        for suffix in OLD_TAGS:
            tag = f"{tag_for(image.digest)}{suffix}"
            try:
                found = walk.source.resolve(tag)
                walk.below(found)
            except InputError:  # there is none, or nothing that can be read
                continue
            yield _root(walk.source, found, [tag])


def _copied(walk: _Walk, entry: Descriptor) -> Copied | None:
    """Return one that vouches; its contents are collected like those of images."""
    if not walk.below(entry):
        return None  # it vouches for two, and goes along once
    return Copied(descriptor=entry, manifest=walk.source.blob(_bare(entry)), contents=())
