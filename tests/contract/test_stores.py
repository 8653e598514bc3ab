"""What every Store promises: one suite over all of them.

Stores that own what they keep promise more: what nobody names goes, and one image needs no name.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from fakes.memory_store import MemoryStore
from images import fallback, image, lying, nothing, put, referrer, vouching
from registries import KINDS, RunningRegistry

from modelpack import reference
from modelpack.digest import Digest
from modelpack.errors import InputError, ModelpackError, Unavailable
from modelpack.oci.image import Index
from modelpack.oci.layer import Absent, Blob, Descriptor, blob_of
from modelpack.oci.layout import Layout
from modelpack.oci.referrers import KIND
from modelpack.oci.registry.settings import Settings
from modelpack.oci.registry.writing import WritableRepository
from modelpack.oci.store import Root, Store
from modelpack.oci.tar import FileRange


def opened(kind: str, tmp_path: Path, request: pytest.FixtureRequest, stack: ExitStack) -> Store:
    if kind == "memory":
        return MemoryStore()
    if kind == "layout":
        return stack.enter_context(Layout(tmp_path / "layout"))
    start: Callable[[str], RunningRegistry] = request.getfixturevalue("registries")
    name = reference.registry(start(kind).repository())
    return WritableRepository(
        name, Settings(), uploads=tmp_path / "uploads", replace=True, pause=lambda _: None
    )


@pytest.fixture(params=["memory", "layout", *KINDS])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    with ExitStack() as stack:
        yield opened(request.param, tmp_path, request, stack)


@pytest.fixture(params=["memory", "layout"])
def owner(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """A store in which nothing stays that no name leads to."""
    with ExitStack() as stack:
        yield opened(request.param, tmp_path, request, stack)


BLOB = blob_of(b"some bytes", "text/plain")


def test_a_blob_is_there_after_it_was_written(store: Store) -> None:
    assert not store.has(BLOB.descriptor)
    assert store.write(BLOB, nothing)
    assert store.has(BLOB.descriptor)
    assert store.read(BLOB.descriptor) == b"some bytes"


def test_the_second_write_of_a_blob_writes_nothing_and_still_tells_its_bytes(store: Store) -> None:
    counts: list[int] = []
    assert store.write(BLOB, counts.append)
    assert not store.write(BLOB, counts.append)
    assert sum(counts) == 2 * BLOB.size


def test_a_blob_of_another_size_is_not_there(store: Store) -> None:
    store.write(BLOB, nothing)
    assert not store.has(Descriptor(media_type="text/plain", digest=BLOB.digest, size=1))


def test_content_that_is_not_what_the_descriptor_says_is_refused(store: Store) -> None:
    with pytest.raises(InputError, match="not what was recorded"):
        store.write(lying(BLOB, b"other byte"), nothing)
    assert not store.has(BLOB.descriptor)


def test_a_file_that_is_not_what_the_descriptor_says_is_named(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "shard"
    path.write_bytes(b"other byte")
    with pytest.raises(InputError, match="shard"):
        store.write(lying(BLOB, FileRange(path=str(path), size=10)), nothing)
    assert not store.has(BLOB.descriptor)


def test_a_blob_that_nobody_has_is_unavailable(store: Store) -> None:
    with pytest.raises(Unavailable, match="by digest only"):
        store.write(Blob(descriptor=BLOB.descriptor, origin=Absent()), nothing)


def test_an_absent_blob_that_the_store_has_is_fine(store: Store) -> None:
    store.write(BLOB, nothing)
    assert not store.write(Blob(descriptor=BLOB.descriptor, origin=Absent()), nothing)


def test_reading_what_is_not_there_is_refused(store: Store) -> None:
    with pytest.raises(ModelpackError):
        store.read(BLOB.descriptor)


def test_an_image_is_found_by_tag_by_digest_and_as_the_only_one(store: Store) -> None:
    descriptor = put(store, image("a"), "1.0", "latest")
    for name in ("1.0", "latest", descriptor.digest, ""):
        assert store.resolve(name).digest == descriptor.digest


def test_an_unknown_name_is_refused(store: Store) -> None:
    put(store, image("a"), "1.0")
    with pytest.raises(InputError, match=r"no image `2\.0`"):
        store.resolve("2.0")
    with pytest.raises(InputError):
        store.resolve("sha256:" + "0" * 64)


def test_the_known_names_are_told_to_who_asks_for_another(owner: Store) -> None:
    put(owner, image("a"), "1.0")
    with pytest.raises(InputError) as caught:
        owner.resolve("2.0")
    assert "`1.0`" in caught.value.findings[0].hint


def test_a_tag_moves(store: Store) -> None:
    old = put(store, image("shared", "old"), "1")
    new = put(store, image("shared", "new"), "1")
    assert store.resolve("1").digest == new.digest != old.digest


def test_an_empty_name_among_several_images_is_refused(owner: Store) -> None:
    put(owner, image("a"), "1")
    put(owner, image("b"), "2")
    with pytest.raises(InputError, match="more than one"):
        owner.resolve("")


def test_a_tag_moves_and_the_old_image_goes_with_what_only_it_needed(owner: Store) -> None:
    old = put(owner, image("shared", "old"), "1")
    new = put(owner, image("shared", "new"), "1")
    assert owner.resolve("1").digest == new.digest
    with pytest.raises(InputError):
        owner.resolve(old.digest)
    old_layer = image("shared", "old").layers[1].blob.descriptor
    shared = image("shared", "old").layers[0].blob.descriptor
    assert not owner.has(old_layer)
    assert owner.has(shared)


def test_other_tags_stay(store: Store) -> None:
    first = put(store, image("a"), "1")
    put(store, image("b"), "2")
    assert store.resolve("1").digest == first.digest
    assert store.has(image("a").layers[0].blob.descriptor)


def test_an_image_without_a_tag_is_superseded_by_the_next_image(owner: Store) -> None:
    put(owner, image("a"))
    new = put(owner, image("b"))
    assert owner.resolve("").digest == new.digest
    assert not owner.has(image("a").layers[0].blob.descriptor)


def test_two_images_are_committed_in_one_step(store: Store) -> None:
    serve, weights = image("serve"), image("weights")
    for blob in (*serve.blobs, *weights.blobs):
        store.write(blob, nothing)
    store.commit(
        [
            Root(manifest=serve.manifest_blob, tags=("1",)),
            Root(manifest=weights.manifest_blob, tags=("1-weights",)),
        ]
    )
    assert store.resolve("1").digest == serve.digest
    assert store.resolve("1-weights").digest == weights.digest


def test_an_index_keeps_its_images_which_resolve_by_digest(store: Store) -> None:
    amd, arm = image("a"), image("a", architecture="arm64")
    index = Index(images=(amd, arm))
    for one in (amd, arm):
        for blob in (*one.blobs, one.manifest_blob):
            store.write(blob, nothing)
    store.commit([Root(manifest=index.manifest_blob, tags=("1",))])
    assert store.resolve("1").digest == index.digest
    assert store.resolve(arm.digest).digest == arm.digest
    assert store.has(arm.config_blob.descriptor)


def test_an_image_with_a_missing_blob_is_not_committed(store: Store) -> None:
    put(store, image("a"), "1")
    broken = image("b")
    store.write(broken.config_blob, nothing)
    with pytest.raises(InputError, match="missing"):
        store.commit([Root(manifest=broken.manifest_blob, tags=("1",))])
    assert store.resolve("1").digest == image("a").digest


def test_referrers_stay_with_their_image_and_go_with_it(owner: Store) -> None:
    first = put(owner, image("a"), "1")
    manifest, content = referrer(first, "sbom")
    owner.write(content, nothing)
    owner.write(manifest, nothing)
    owner.commit([fallback(first, [manifest])])
    assert owner.resolve("").digest == first.digest
    put(owner, image("b"), "2")
    assert owner.has(content.descriptor)
    put(owner, image("c"), "1")
    assert not owner.has(content.descriptor)


def test_referrers_do_not_supersede_an_image_without_a_tag(owner: Store) -> None:
    first = put(owner, image("a"))
    manifest, content = referrer(first, "sbom")
    owner.write(content, nothing)
    owner.write(manifest, nothing)
    owner.commit([fallback(first, [manifest])])
    assert owner.resolve("").digest == first.digest


@pytest.mark.parametrize("digest", ["sha256:../../etc/passwd", "md5:0", "sha256:" + "A" * 64])
def test_names_that_only_look_like_digests_are_refused(store: Store, digest: str) -> None:
    put(store, image("a"), "1")
    with pytest.raises(InputError):
        store.resolve(str(Digest(digest)))


def kinds(store: Store, subject: Descriptor) -> list[str]:
    return [entry.annotations.get(KIND, "") for entry in store.referrers(subject.digest)]


def test_what_vouches_for_an_image_is_committed_with_it(store: Store) -> None:
    first = put(store, image("a"), "1", vouching=[vouching("one", "sbom")])
    (entry,) = store.referrers(first.digest)
    assert entry.artifact_type == "application/json"
    assert entry.annotations == {"said": "one", KIND: "sbom"}
    assert store.resolve("1").digest == first.digest
    manifest = store.read(entry)
    assert first.digest.encode() in manifest
    assert store.has(vouching("one").content.descriptor)


def test_a_later_build_replaces_its_own_evidence_and_keeps_that_of_others(owner: Store) -> None:
    first = put(owner, image("a"), "1", vouching=[vouching("one", "sbom")])
    owner.attach(first, [vouching("theirs"), vouching("unkept", "scan")])
    put(owner, image("a"), "1", vouching=[vouching("two", "sbom")])
    owner.attach(first, [vouching("three", "scan")])
    found = [entry.annotations["said"] for entry in owner.referrers(first.digest)]
    assert found == ["theirs", "two", "three"]
    assert owner.has(vouching("theirs").content.descriptor)
    for gone in ("one", "unkept"):
        assert not owner.has(vouching(gone).content.descriptor)


def test_attaching_the_same_twice_keeps_it_once(store: Store) -> None:
    first = put(store, image("a"), "1")
    for _ in range(2):
        store.attach(first, [vouching("theirs"), vouching("ours", "sbom")])
    assert sorted(kinds(store, first)) == ["", "sbom"]


def test_evidence_goes_with_its_image(owner: Store) -> None:
    first = put(owner, image("a"), "1", vouching=[vouching("one", "sbom")])
    put(owner, image("b"), "1")
    assert owner.referrers(first.digest) == ()
    assert not owner.has(vouching("one").content.descriptor)


def test_nothing_vouches_for_what_is_not_there(store: Store) -> None:
    put(store, image("a"), "1")
    with pytest.raises(InputError, match="no such image"):
        store.attach(image("b").manifest_blob.descriptor, [vouching("one")])
    assert store.referrers(image("b").digest) == ()


def test_evidence_of_one_platform_stays_with_the_index(store: Store) -> None:
    index = Index(images=(image("a"), image("a", architecture="arm64")))
    for one in index.images:
        for blob in (*one.blobs, one.manifest_blob):
            store.write(blob, nothing)
    store.commit([Root(manifest=index.manifest_blob, tags=("1",))])
    arm = index.images[1].manifest_blob.descriptor
    store.attach(arm, [vouching("one", "sbom")])
    assert kinds(store, arm) == ["sbom"]
    assert kinds(store, index.manifest_blob.descriptor) == []
    put(store, image("c"), "2")
    assert kinds(store, arm) == ["sbom"]


def test_a_list_that_names_what_is_about_another_image_is_not_believed(store: Store) -> None:
    first, second = put(store, image("a"), "1"), put(store, image("b"), "2")
    manifest, content = referrer(second, "theirs")
    store.write(content, nothing)
    store.write(manifest, nothing)
    store.commit([fallback(first, [manifest])])
    assert store.referrers(first.digest) == ()
    store.attach(first, [vouching("ours")])
    assert len(store.referrers(first.digest)) == 1


def test_a_type_in_a_list_is_not_believed(store: Store) -> None:
    """Older versions of a library wrote the configuration's type there, and no annotations."""
    first = put(store, image("a"), "1", vouching=[vouching("one", "sbom")])
    (entry,) = store.referrers(first.digest)
    lying_list = Blob(
        descriptor=replace(
            entry, artifact_type="application/vnd.oci.empty.v1+json", annotations={}
        ),
        origin=Absent(),
    )
    store.commit([fallback(first, [lying_list])])
    assert store.referrers(first.digest) == (entry,)
