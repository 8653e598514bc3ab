"""From an open store to all that verifying needs: each image of an index, and what is beside it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from modelpack import digest as digests
from modelpack.digest import Digest
from modelpack.errors import Finding, InputError, ModelpackError, Unavailable
from modelpack.inputs.quoting import quoted
from modelpack.inspection.documents import Documents
from modelpack.inspection.reading import Readable, read
from modelpack.inspection.referrer_document import ReferrerDocument
from modelpack.inspection.vouching import Vouched, with_referrers
from modelpack.oci import attestations
from modelpack.oci.layer import Descriptor
from modelpack.oci.manifest import INDEXES, MANIFESTS, printable
from modelpack.oci.manifest import parse as parse_manifest
from modelpack.run_configuration import ROLE_LABEL, WEIGHTS_ROLE
from modelpack.verifying import facts
from modelpack.verifying.facts import Facts, WeightSet

_IMAGES: Final = 100
_DEPTH: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Mounted:
    """The image of mounted weights that images which serve name."""

    named: str
    "its digest, by their label"
    facts: Facts | None
    "None: it cannot be read, or is none"
    sets: tuple[WeightSet, ...]
    "what is mounted of it, by those images"
    why: str = ""
    "where it cannot be read"
    gone: bool = False
    "whether it is known not to be there, or to be no such image"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """One name, resolved once, and everything beside what it stands for."""

    root: Digest
    indexes: tuple[Digest, ...]
    "`root` first, if it is one, and those in it"
    images: tuple[Facts, ...]
    within: Mapping[Digest, Digest]
    "the index that each image or index was named by"
    beside: Mapping[Digest, tuple[ReferrerDocument, ...]]
    notes: tuple[Finding, ...]
    unavailable: frozenset[Digest]
    "of what not all that is beside it could be read"
    repository: str = ""
    "HOST/NAME, where it was read; empty: not in a registry"
    mounted: tuple[Mounted, ...] = ()


def gather(
    store: Readable, root: Descriptor, *, repository: str = "", weights: bool = True
) -> Gathered:
    """Read the images below `root` and what vouches for them; raises what cannot be passed over.

    `repository` is the name of the `store`, where it is one of a registry. The image of mounted
    `weights` is read from the same store.
    """
    if not isinstance(store, Vouched):
        raise Unavailable(
            "nothing vouches for an image here: engines keep no signatures", at=root.digest,
            hint="verify it under its name in the registry, or in a layout",
        )  # fmt: skip
    walk = _Walk(store)
    walk.visit(root, depth=0)
    images = tuple(facts.of(one) for one in walk.images)
    mounted = tuple(walk.mounted(images)) if weights else ()
    return Gathered(
        root=root.digest,
        indexes=tuple(walk.indexes),
        images=images,
        within=walk.within,
        beside=walk.beside,
        notes=tuple(walk.notes),
        unavailable=frozenset(walk.unavailable),
        repository=repository,
        mounted=mounted,
    )


class _Walk:
    """What was found so far on the way down from a name."""

    def __init__(self, store: Vouched) -> None:
        self._store = store
        self.indexes: list[Digest] = []
        self.images: list[Documents] = []
        self.within: dict[Digest, Digest] = {}
        self.beside: dict[Digest, tuple[ReferrerDocument, ...]] = {}
        self.notes: list[Finding] = []
        self.unavailable: set[Digest] = set()

    def visit(self, descriptor: Descriptor, *, depth: int) -> None:
        """Take in `descriptor` and, of an index, the images in it."""
        digest = descriptor.digest
        if digest in self.beside:
            return
        if depth > _DEPTH or len(self.images) >= _IMAGES:
            raise Unavailable(f"more than {_IMAGES} images, or {_DEPTH} indexes in each other",
                              at=digest)  # fmt: skip
        manifest = parse_manifest(self._store.read(descriptor), at=digest)
        if manifest.config is None:
            self.indexes.append(digest)
            bare = Documents(descriptor=descriptor, manifest=manifest, manifest_bytes=b"",
                             config_bytes=b"")  # fmt: skip
            self._look_beside(bare)
            for child in self._children(digest, manifest.manifests):
                self.within.setdefault(child.digest, digest)
                self.visit(child, depth=depth + 1)
            return
        documents = read(self._store, descriptor)
        self.images.append(documents)
        self._look_beside(documents)

    def mounted(self, images: Sequence[Facts]) -> Iterator[Mounted]:
        """Yield the weights images that `images` name, each once, with what is beside it."""
        named: dict[str, list[Facts]] = {}
        for one in images:
            if one.weights_image:
                named.setdefault(one.weights_image, []).append(one)
        for text, serving in named.items():
            sets = {item.name: item for one in serving for item in one.weights if item.mounted}
            yield self._mounted(text, tuple(sets.values()))

    def _mounted(self, named: str, sets: tuple[WeightSet, ...]) -> Mounted:
        try:
            descriptor = self._store.resolve(digests.parse(named))
            documents = read(self._store, descriptor)
            if documents.descriptor.digest != named:
                raise InputError("it is an index of several")
        except ModelpackError as error:
            why, gone = error.findings[0].message, isinstance(error, InputError)
            return Mounted(named=printable(named), facts=None, sets=sets, why=why, gone=gone)
        found = facts.of(documents)
        if found.labels.get(ROLE_LABEL) != WEIGHTS_ROLE:
            why = "it is not an image of weights"
            return Mounted(named=named, facts=None, sets=sets, why=why, gone=True)
        self._look_beside(documents)
        return Mounted(named=named, facts=found, sets=sets)

    def _children(self, index: Digest, entries: tuple[Descriptor, ...]) -> Iterator[Descriptor]:
        unsigned = 0
        for entry in entries:
            if _is_attestation(entry):
                unsigned += 1
            elif entry.media_type in MANIFESTS | INDEXES:
                yield entry
            else:
                raise Unavailable(f"the index names what is not read: {quoted(entry.media_type)}",
                                  at=index)  # fmt: skip
        if unsigned:
            self.notes.append(Finding(
                message=f"{unsigned} attestations of BuildKit in the index are signed by nobody, "
                "and were not looked at", at=index, rule="verify.buildkit", severity="warning",
            ))  # fmt: skip

    def _look_beside(self, documents: Documents) -> None:
        digest = documents.descriptor.digest
        found = with_referrers(self._store, replace(documents, index=None))
        self.beside[digest] = found.referrers
        for reason in found.unlisted:
            self.unavailable.add(digest)
            self.notes.append(Finding(
                message=f"not all that vouches for it could be found: {reason}", at=digest,
                rule="verify.unlisted", severity="warning",
            ))  # fmt: skip
        if any(one.unavailable for one in found.referrers):
            self.unavailable.add(digest)


def _is_attestation(entry: Descriptor) -> bool:
    """Tell whether an entry is BuildKit's, and for no platform: an engine would run all others."""
    return attestations.TYPE in entry.annotations and str(entry.platform) == "unknown/unknown"
