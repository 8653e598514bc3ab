"""A build's image straight into registries: from the source files, with nothing on disk between."""

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelpack import reference
from modelpack.assembly.image_names import expect_room, of_weights
from modelpack.assembly.outputs import Vouched, blobs_of
from modelpack.errors import Finding, InputError, ModelpackError, joined
from modelpack.inputs.machine import Machine
from modelpack.lock import ImageBase, Lock
from modelpack.oci.image import Image, Index
from modelpack.oci.registry import places, unfinished
from modelpack.oci.store import Root
from modelpack.reference import Registry

if TYPE_CHECKING:
    from modelpack.oci.registry.writing import WritableRepository


@dataclass(frozen=True, slots=True, kw_only=True)
class Push:
    """A repository that gets the image, and its names there."""

    repository: Registry
    "without a tag"
    tags: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The full names."""
        return tuple(f"{self.repository.name}:{tag}" for tag in self.tags)


def parse_all(names: Iterable[str]) -> tuple[Push, ...]:
    """Return what `names`, full ones with tags, ask for: one push for each repository."""
    tags: dict[Registry, list[str]] = {}
    for name in names:
        parsed = reference.registry(name, at="--push")
        tags.setdefault(dataclasses.replace(parsed, tag=""), []).append(parsed.tag)
    for found in tags.values():
        if not all(found):
            raise InputError("a name without a tag", at="--push")
    return tuple(Push(repository=one, tags=tuple(found)) for one, found in tags.items())


def check_room(pushes: Iterable[Push]) -> None:
    """Raise InputError where the weights image would take a name of the image."""
    for push in pushes:
        expect_room(push.tags, at=push.repository.name)


class Registries:
    """The repositories of one build's pushes."""

    def __init__(self, pairs: "Sequence[tuple[Push, WritableRepository]]") -> None:
        self._pairs = pairs

    @property
    def stores(self) -> "tuple[WritableRepository, ...]":
        """All of them."""
        return tuple(store for _, store in self._pairs)

    @property
    def names(self) -> tuple[str, ...]:
        """All full names that the image gets."""
        return tuple(name for push, _ in self._pairs for name in push.names)

    def check_free(self, whole: Image | Index, weights: Image | None) -> None:
        """Raise Refused when a version tag names another image already."""
        for push, store in self._pairs:
            store.expect_free(push.tags, whole.digest)
            if weights is not None:
                store.expect_free(of_weights(push.tags), weights.digest)

    def write_content(
        self, whole: Image | Index, weights: Image | None, *, lock: Lock, machine: Machine
    ) -> tuple[Finding, ...]:
        """Bring what the image, and that of its `weights`, is made of there; return warnings."""
        bases = [one.base for one in lock.platforms if isinstance(one.base, ImageBase)]
        content = blobs_of(whole, weights)
        size = sum(blob.size for blob in content)
        findings: list[Finding] = []
        for push, store in self._pairs:
            doubts = store.findings(content)
            for base in bases:
                store.expect_elsewhere(
                    reference.registry(base.reference), [layer.digest for layer in base.layers]
                )
            try:
                with machine.progress.task(f"pushing {push.repository.name}", size) as advance:
                    store.write_all(content, advance)
            except ModelpackError as error:
                raise joined([error], *doubts) from error
            findings += doubts
        return tuple(findings)

    def name_images(
        self, whole: Image | Index, weights: Image | None, vouching: Vouched
    ) -> None:  # fmt: skip
        """Let the images be seen: by digest, with what vouches for them, and at last by tag."""
        said = dict(vouching)
        _, own = said.pop(whole.digest, (None, ()))
        _, of_mounted = said.pop(weights.digest, (None, ())) if weights else (None, ())
        for push, store in self._pairs:
            roots = [
                Root(
                    manifest=whole.manifest_blob, tags=push.tags, referrers=own,
                    below=tuple(said.values()),
                )
            ]  # fmt: skip
            if weights is not None:
                tags = of_weights(push.tags)
                roots.append(Root(manifest=weights.manifest_blob, tags=tags, referrers=of_mounted))
            store.commit(roots)


def opened(pushes: Iterable[Push], machine: Machine, *, replace: bool) -> Registries:
    """Return the repositories; nothing is asked of them yet."""
    pushes = tuple(pushes)
    if not pushes:
        return Registries(())
    from modelpack.oci.registry.writing import WritableRepository  # noqa: PLC0415  the network

    def of(push: Push) -> WritableRepository:
        return WritableRepository(
            push.repository, machine.registries, uploads=machine.cache / unfinished.FOLDER,
            places=machine.cache / places.FOLDER, known=machine.digests, replace=replace,
        )  # fmt: skip

    return Registries([(push, of(push)) for push in pushes])
