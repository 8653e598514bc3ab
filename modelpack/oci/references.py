"""Names and reachability in an index: pure functions that layouts and archives share."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import BinaryIO, Final

from modelpack import canonical_json
from modelpack.digest import Digest, of_hex
from modelpack.digest import of as digest_of
from modelpack.errors import InputError, ModelpackError
from modelpack.oci.layer import INDEX, REF_NAME, Descriptor
from modelpack.oci.manifest import (
    INDEXES,
    MANIFESTS,
    Manifest,
    parse,
    parse_object,
    printable,
)
from modelpack.oci.referrers import Vouching, found, list_of, tag_for
from modelpack.oci.store import Root
from modelpack.reference import ARTIFACT_SUFFIX, WEIGHTS_SUFFIX

MARKER: Final = canonical_json.dumps({"imageLayoutVersion": "1.0.0"})
"the content of `oci-layout`"
_BESIDE: Final = (WEIGHTS_SUFFIX, ARTIFACT_SUFFIX)
"end the tags of what stands beside an image and is not it"
_FALLBACK = re.compile(r"sha256-([0-9a-f]{64})(\..+)?")
"tag of the list of an image's referrers (OCI distribution-spec, Referrers Tag Schema), or cosign's"
_COSIGN = "dev.cosignproject.cosign/"
"how the kinds of entries begin in layouts that cosign writes"
_CLOSURE_LIMIT = 100_000
"blobs below one index"


def parse_index(marker: bytes, index: bytes, *, at: str) -> tuple[Descriptor, ...]:
    """Return the entries of an `index.json`; `marker` is the content of `oci-layout`."""
    if parse_object(marker, at=f"{at}/oci-layout").get("imageLayoutVersion") != "1.0.0":
        raise InputError("not an OCI layout of version 1.0.0", at=at)
    parsed = parse(index, at=f"{at}/index.json")
    if parsed.config:
        raise InputError("not an index", at=f"{at}/index.json")
    return _tagged_like_cosign(parsed.manifests)


def _tagged_like_cosign(entries: Sequence[Descriptor]) -> tuple[Descriptor, ...]:
    """Return `entries`, where `cosign save` names signatures by kind alone, with their tags.

    It writes one image, and what it found under the tags for it (cosign, pkg/oci/layout/index.go).
    """
    images = [e for e in entries if e.annotations.get("kind", "").startswith(f"{_COSIGN}image")]
    if len(images) != 1:
        return tuple(entries)
    tags = {
        f"{_COSIGN}{kind}": f"{tag_for(images[0].digest)}{suffix}"
        for kind, suffix in (("sigs", ".sig"), ("atts", ".att"))
    }
    return tuple(
        replace(entry, annotations={**entry.annotations, REF_NAME: tags[kind]})
        if (kind := entry.annotations.get("kind", "")) in tags and not tag_of(entry)
        else entry
        for entry in entries
    )


def read_checked(stream: BinaryIO, what: Descriptor | Digest, *, limit: int) -> bytes:
    """Return all of `stream`, at most `limit` bytes, or raise InputError when it is not `what`."""
    digest = what.digest if isinstance(what, Descriptor) else what
    data = stream.read(limit + 1)
    if len(data) > limit:
        raise InputError(f"the blob is larger than {limit} bytes", at=digest)
    if digest_of(data) != digest:
        raise InputError("the blob is damaged: it has another digest", at=digest)
    return data


def tag_of(entry: Descriptor) -> str:
    """Return the tag of an index entry, or an empty string."""
    return entry.annotations.get(REF_NAME, "")


def is_about_image(name: str) -> bool:
    """Tell whether `name` is a tag of what vouches for an image."""
    return _FALLBACK.fullmatch(name) is not None


def held_by(entries: Iterable[Descriptor], tag: str) -> str | None:
    """Return the digest of the entry with `tag`; None: there is none."""
    return next((entry.digest for entry in entries if tag_of(entry) == tag), None)


def resolve(
    entries: Sequence[Descriptor], name: str, image: Callable[[Digest], Manifest], *, at: str
) -> Descriptor:
    """Return what `name`, a tag, a digest or nothing, means among `entries` of an index.

    Nothing means the only image; its weights and its artifact beside it do not count.
    Raises InputError when there is no such image, or more than one.
    """
    images = [entry for entry in entries if not _FALLBACK.fullmatch(tag_of(entry))]
    tags = ", ".join(sorted({f"`{printable(tag_of(e))}`" for e in images if tag_of(e)}))
    if name.startswith("sha256:"):
        found = [entry for entry in entries if entry.digest == name]
        found = found or [
            child
            for entry in images
            if entry.media_type in INDEXES
            for child in image(entry.digest).manifests
            if child.digest == name
        ]
    elif name:
        found = [entry for entry in entries if tag_of(entry) == name]
    else:
        beside = {f"{tag_of(entry)}{suffix}" for entry in images for suffix in _BESIDE}
        found = [entry for entry in images if tag_of(entry) not in beside]
    if not found:
        raise InputError(
            f"there is no image `{printable(name)}`" if name else "there is no image",
            at=at,
            hint=f"there are {tags}" if tags else "",
        )
    if len({entry.digest for entry in found}) > 1:
        hint = f"name one of {tags}" if tags else f"name one by its digest: @{found[0].digest}"
        raise InputError("there is more than one image", at=at, hint=hint)
    return found[0]


def merge(
    old: Iterable[Descriptor], roots: Sequence[Root], image: Callable[[Digest], Manifest]
) -> tuple[Descriptor, ...]:
    """Return the entries of an index after `roots` were named: images first, new ones before old.

    A tag moves. A new image supersedes one without a tag. What vouches for an image goes with it.
    """
    new = [(entry, _subject(entry, image)) for root in roots for entry in entries_of(root)]
    taken = {tag_of(entry) for entry, _ in new} - {""}
    fresh = {entry.digest for entry, _ in new if not tag_of(entry)}
    others = [
        (entry, _subject(entry, image))
        for entry in old
        if tag_of(entry) not in taken and (tag_of(entry) or entry.digest not in fresh)
    ]
    images = [entry for entry, subject in new if subject is None]
    supersede = bool(images)
    images += [e for e, subject in others if subject is None and (tag_of(e) or not supersede)]
    vouching = [entry for entry, subject in new if subject is not None]
    left = [(entry, subject) for entry, subject in others if subject is not None]
    while True:  # what vouches for what vouches stays as well
        reached = closure((*images, *vouching), image)
        kept = [entry for entry, subject in left if subject in reached]
        if not kept:
            return (*images, *vouching)
        vouching += kept
        left = [(entry, subject) for entry, subject in left if subject not in reached]


def lists(
    old: Sequence[Descriptor],
    vouching: Iterable[tuple[Descriptor, Sequence[Vouching]]],
    image: Callable[[Digest], Manifest],
) -> tuple[Root, ...]:
    """Return the lists of referrers that subjects have after each got new ones."""
    return tuple(
        Root(
            manifest=list_of(subject, new, found(old, subject.digest, image)),
            tags=(tag_for(subject.digest),),
        )
        for subject, new in vouching
        if new
    )


def _subject(entry: Descriptor, image: Callable[[Digest], Manifest]) -> Digest | None:
    """Return the digest that an entry vouches for, or None when it is an image."""
    if match := _FALLBACK.fullmatch(tag_of(entry)):
        return of_hex(match[1])
    if tag_of(entry) or entry.media_type not in MANIFESTS | INDEXES:
        return None
    try:
        subject = image(entry.digest).subject
    except ModelpackError:
        return None
    return subject.digest if subject else None


def entries_of(root: Root) -> Iterable[Descriptor]:
    """Yield the entries that name `root` in an index."""
    for tag in root.tags or ("",):
        named = {REF_NAME: tag} if tag else {}
        yield replace(root.manifest.descriptor, annotations={**root.annotations, **named})


def index_of(entries: Sequence[Descriptor]) -> bytes:
    """Return an `index.json` with `entries`."""
    return canonical_json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": INDEX,
            "manifests": [e.as_json() for e in entries],
        }
    )


def closure(roots: Iterable[Descriptor], image: Callable[[Digest], Manifest]) -> set[Digest]:
    """Return `roots` and everything below them; a manifest that cannot be read has nothing."""
    seen: set[Digest] = set()
    todo = list(roots)
    while todo:
        entry = todo.pop()
        if entry.digest in seen:
            continue
        seen.add(entry.digest)
        if len(seen) > _CLOSURE_LIMIT:
            raise InputError(f"more than {_CLOSURE_LIMIT} blobs hang below one index")
        if entry.media_type in MANIFESTS | INDEXES:
            try:
                todo.extend(image(entry.digest).children)
            except ModelpackError:
                continue
    return seen
