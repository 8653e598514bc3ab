"""What a repository need not keep: old versions that no stage, no rollback and no index needs.

What decides that something stays is believed without proof; what goes is named before it goes.
Manifests that no tag leads to cannot be found in a registry, and are left to it.
"""

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from modelpack.digest import Digest
from modelpack.errors import Finding, ModelpackError, Unavailable
from modelpack.inspection import configuration
from modelpack.oci.layer import Descriptor
from modelpack.oci.manifest import parse as parse_manifest
from modelpack.oci.manifest import printable
from modelpack.oci.referrers import LISTS, OLD_TAGS
from modelpack.oci.registry.writing import WritableRepository, is_version
from modelpack.progress import Progress
from modelpack.signing import subjects
from modelpack.signing.beside import statement_in
from modelpack.trust import bundle as bundles
from modelpack.trust import promotion
from modelpack.trust.predicate_types import PROMOTED
from modelpack.trust.promotion import Promotion
from modelpack.trust.statement import PREDICATE_TYPE
from modelpack.verifying.times import moment

_DEPTH = 3
"of what vouches for what vouches"
_SUFFIXES = ("", *OLD_TAGS)
"of the tags that list what vouches for a digest"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What may go."""

    keep: int | None = None
    "the newest versions that stay, how old they may be; None: any number may go"
    older_than: int | None = None
    "seconds: younger ones stay; None: whatever their age"


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """An image or index by its tags, with all that goes or stays with it."""

    tags: tuple[str, ...]
    root: Descriptor
    created: int | None
    "seconds since 1970, as it says itself; None: it does not"
    below: tuple[Digest, ...]
    "images of an index, and mounted weights"
    stays: str = ""
    "why; empty: it goes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What is in a repository."""

    versions: tuple[Version, ...]
    "the newest first"
    findings: tuple[Finding, ...]

    @property
    def going(self) -> tuple[Version, ...]:
        """What may be removed."""
        return tuple(one for one in self.versions if not one.stays)

    @property
    def needed(self) -> frozenset[Digest]:
        """Every manifest that something which stays leads to."""
        return frozenset(
            digest
            for one in self.versions if one.stays
            for digest in (one.root.digest, *one.below)
        )  # fmt: skip


def look(store: WritableRepository, rules: Rules, *, now: int, progress: Progress) -> Found:
    """Return what is in the repository, and what of it stays; nothing is removed.

    Raises Unavailable where the registry does not tell everything: what is not known to be needed
    would go.
    """
    tags = store.tags()
    names: dict[Digest, list[str]] = {}
    findings, roots = list[Finding](), dict[Digest, Descriptor]()
    with progress.task("reading manifests", len(tags)) as advance:
        for tag in tags:
            advance(1)
            if LISTS.fullmatch(tag):
                continue
            try:
                found = store.resolve(tag)
            except Unavailable:
                raise  # nobody knows what this tag needs
            except ModelpackError as error:
                findings.append(_unreadable(tag, error))
                continue
            names.setdefault(found.digest, []).append(tag)
            roots[found.digest] = found
    read = [_read(store, roots[digest], own, findings) for digest, own in names.items()]
    claims = {one.root.digest: _claims(store, one.root.digest) for one in read}
    judged = _judged(read, claims, rules, now)
    return Found(versions=tuple(judged), findings=tuple(findings))


def remove(store: WritableRepository, found: Found, *, progress: Progress) -> tuple[Digest, ...]:
    """Remove what goes, what vouches for it first; return the manifests that went.

    Raises Unavailable where the registry does not let anybody; what is removed by then is removed.
    """
    tags, gone = store.tags(), list[Digest]()
    kept = {*found.needed, *_named_since(store, found, tags), *_lists(store, found.needed, tags)}
    with progress.task("removing", len(found.going)) as advance:
        for version in found.going:
            for digest in (version.root.digest, *version.below):
                gone += _removed(store, digest, kept, _DEPTH)
                kept.add(digest)
            advance(1)
    return tuple(gone)


def _named_since(
    store: WritableRepository, found: Found, tags: Iterable[str]
) -> Iterator[Digest]:  # fmt: skip
    """Yield what a tag was given to since everything was looked at, with all that it needs."""
    known = {tag: one.root.digest for one in found.versions for tag in one.tags}
    names = (tag for tag in tags if not LISTS.fullmatch(tag))
    moved = {held for tag in names if (held := store.held_by(tag)) != known.get(tag)}
    for one in found.going:
        if one.root.digest in moved:
            yield from (one.root.digest, *one.below)


def _lists(
    store: WritableRepository, digests: Iterable[Digest], tags: Iterable[str]
) -> Iterator[Digest]:  # fmt: skip
    """Yield what the tags name that list what vouches for `digests`.

    Two images of one bill of materials have one manifest under both of their tags.
    """
    wanted = {_list_of(digest) for digest in digests}
    for tag in tags:
        if LISTS.fullmatch(tag) and tag.partition(".")[0] in wanted and (
            held := store.held_by(tag)
        ):  # fmt: skip
            yield Digest(held)


def _list_of(digest: Digest) -> str:
    return digest.replace(":", "-")


def _removed(
    store: WritableRepository, digest: Digest, kept: Container[Digest], depth: int
) -> Iterator[Digest]:  # fmt: skip
    """Remove a manifest, before it what vouches for it and the lists of that; yield what went.

    What is `kept` stays with all of that, whoever refers to what goes.
    """
    if digest in kept:
        return
    if depth:
        for entry in store.referrers(digest):
            yield from _removed(store, entry.digest, kept, depth - 1)
        for end in _SUFFIXES:
            held = store.held_by(f"{_list_of(digest)}{end}")
            if held and held not in kept and store.delete_manifest(Digest(held)):
                yield Digest(held)
    if store.delete_manifest(digest):
        yield digest


def _read(
    store: WritableRepository, root: Descriptor, tags: list[str], findings: list[Finding]
) -> Version:
    below: tuple[Digest, ...] = ()
    try:
        images, missing = subjects.of(store, root)
        findings += missing
        below = tuple(one.descriptor.digest for one in images if one.descriptor != root)
        times = (_created(store, one.descriptor) for one in images)
        created = max((time for time in times if time is not None), default=None)
    except Unavailable:
        raise  # nobody knows what it needs
    except ModelpackError as error:
        findings.append(_unreadable(tags[0], error))
        return Version(tags=tuple(sorted(tags)), root=root, created=None, below=(),
                       stays="it cannot be read")  # fmt: skip
    return Version(tags=tuple(sorted(tags)), root=root, created=created, below=below)


def _created(store: WritableRepository, descriptor: Descriptor) -> int | None:
    """Return when an image says that it was made; mounted weights and indexes say nothing."""
    manifest = parse_manifest(store.read(descriptor), at=descriptor.digest)
    if manifest.config is None:
        return None
    settings = configuration.parse(store.read(manifest.config), manifest.config.media_type)
    time = moment(settings.created)
    return time or None


def _claims(store: WritableRepository, image: Digest) -> tuple[Promotion, ...]:
    """Return the moves of stages that something beside an image speaks of, unproved."""
    found = []
    for entry in store.referrers(image):
        if entry.annotations.get(PREDICATE_TYPE) != PROMOTED:
            continue
        try:
            (layer,) = parse_manifest(store.read(entry), at=entry.digest).layers
            said = statement_in(bundles.parse(store.read(layer, limit=bundles.SIZE_LIMIT)))
            found += [promotion.read(said)] if said else []
        except Unavailable:
            raise  # it may be what keeps an image
        except (ModelpackError, ValueError):
            continue
    return tuple(found)


def _judged(
    read: Sequence[Version], claims: Mapping[Digest, Sequence[Promotion]], rules: Rules, now: int
) -> list[Version]:
    """Return everything, the newest first, with the reason for which it stays."""
    stages = {move.stage for moves in claims.values() for move in moves}
    rollback = {
        previous: stage
        for one in read for stage in stages.intersection(one.tags)
        for previous in _before(claims[one.root.digest], stage)
    }  # fmt: skip
    reasons = {one.root.digest: _reason(one, stages, rollback) for one in read}
    order = sorted(read, key=lambda one: (-(one.created or now), one.tags))
    below = {digest for one in order for digest in one.below}
    ranked = [one for one in order if one.root.digest not in below and one.created is not None]
    rank = {one.root.digest: place for place, one in enumerate(ranked)}
    judged = []
    for one in order:
        digest = one.root.digest
        why = one.stays or reasons[digest] or _young(one, rank.get(digest), rules, now)
        judged.append(_staying(one, why))
    needed = {digest for one in judged if one.stays for digest in one.below}
    return [
        _staying(one, "something that stays needs it")
        if not one.stays and one.root.digest in needed else one
        for one in judged
    ]  # fmt: skip


def _before(moves: Sequence[Promotion], stage: str) -> Iterator[Digest]:
    """Yield what had `stage` before the last of its `moves`, in each repository that says so."""
    last: dict[str, Promotion] = {}
    for move in sorted(moves, key=lambda move: move.sequence):
        if move.stage == stage:
            last[move.repository] = move
    yield from (move.previous for move in last.values() if move.previous)


def _reason(one: Version, stages: Iterable[str], rollback: Mapping[Digest, str]) -> str:
    known = set(stages)
    names = [tag for tag in one.tags if tag in known or not is_version(tag)]
    if names:
        return f"it is {', '.join(names)}"
    if one.root.digest in rollback:
        return f"{rollback[one.root.digest]} would be rolled back to it"
    return ""


def _young(one: Version, rank: int | None, rules: Rules, now: int) -> str:
    if one.created is None and rank is None:
        return "" if _is_weights(one) else "it does not say when it was made"
    if rules.keep is not None and rank is not None and rank < rules.keep:
        return f"one of the newest {rules.keep}"
    if rules.older_than is not None and one.created and now - one.created <= rules.older_than:
        return "it is young"
    return ""


def _is_weights(one: Version) -> bool:
    """Tell whether it is mounted weights, which go with the last image that needs them."""
    return all(tag.endswith("-weights") for tag in one.tags)


def _staying(one: Version, why: str) -> Version:
    return Version(tags=one.tags, root=one.root, created=one.created, below=one.below, stays=why)


def _unreadable(tag: str, error: ModelpackError) -> Finding:
    reason = printable(error.findings[0].message)
    return Finding(message=f"it stays, because it cannot be read: {reason}", at=tag,
                   rule="prune.unreadable", severity="warning")  # fmt: skip
