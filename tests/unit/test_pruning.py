"""What `modelpack prune` removes: nothing that stays, whoever points at it, and nothing unseen."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from modelpack.digest import Digest, hex_of
from modelpack.digest import of as digest_of
from modelpack.errors import Unavailable
from modelpack.oci.layer import MANIFEST, Descriptor
from modelpack.progress import Silent
from modelpack.promoting import pruning
from modelpack.promoting.pruning import Found, Rules, Version

OLD, KEPT, SBOM, NOTICE = (digest_of(name.encode()) for name in ("old", "kept", "sbom", "notice"))


@dataclass
class Repository:
    """Manifests by tag, and what refers to which."""

    tagged: dict[str, Digest] = field(default_factory=dict)
    beside: dict[Digest, tuple[Digest, ...]] = field(default_factory=dict)
    gone: list[Digest] = field(default_factory=list)

    def tags(self) -> tuple[str, ...]:
        return tuple(self.tagged)

    def held_by(self, tag: str) -> str | None:
        return self.tagged.get(tag)

    def referrers(self, subject: Digest) -> tuple[Descriptor, ...]:
        return tuple(described(digest) for digest in self.beside.get(subject, ()))

    def delete_manifest(self, digest: Digest) -> bool:
        there = digest not in self.gone
        self.gone.append(digest)
        return there

    def resolve(self, tag: str) -> Descriptor:
        raise Unavailable("the registry answers 503", at=tag)


def described(digest: Digest) -> Descriptor:
    return Descriptor(media_type=MANIFEST, digest=digest, size=1)


def version(digest: Digest, tag: str, *, stays: str = "") -> Version:
    return Version(tags=(tag,), root=described(digest), created=1, below=(), stays=stays)


def removed(repository: Repository) -> tuple[Digest, ...]:
    found = Found(
        versions=(version(KEPT, "stable", stays="it is stable"), version(OLD, "1")), findings=()
    )
    store: Any = repository
    return pruning.remove(store, found, progress=Silent())


def test_what_vouches_for_an_old_version_goes_with_it() -> None:
    assert removed(Repository(beside={OLD: (NOTICE,)})) == (NOTICE, OLD)


def test_what_stays_is_not_removed_because_it_refers_to_something_old() -> None:
    repository = Repository(beside={OLD: (KEPT,), KEPT: (NOTICE,)})
    assert removed(repository) == (OLD,)
    assert repository.gone == [OLD]


def test_one_bill_of_materials_of_two_images_stays_for_the_other() -> None:
    """cosign names it by a tag for each image; a manifest goes with all of its tags."""
    tags = {f"sha256-{hex_of(digest)}.sbom": SBOM for digest in (OLD, KEPT)}
    assert removed(Repository(tagged=tags)) == (OLD,)
    assert removed(Repository(tagged=dict([*tags.items()][:1]))) == (SBOM, OLD)


def test_a_tag_that_cannot_be_had_ends_it() -> None:
    store: Any = Repository(tagged={"index-1": OLD})
    with pytest.raises(Unavailable):
        pruning.look(store, Rules(keep=1), now=1, progress=Silent())


def test_an_old_version_that_got_a_tag_meanwhile_stays() -> None:
    """Somebody promotes it between the look and the removal."""
    assert removed(Repository(tagged={"1": OLD, "stable": KEPT})) == (OLD,)
    assert removed(Repository(tagged={"1": OLD, "live": OLD})) == ()
