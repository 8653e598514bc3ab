"""The workflows of OCI distribution-spec 1.1 ("Conformance"), carried out by us on real registries.

Each test names the section, and the endpoints of its table ("end-1" to "end-13"), that it is
about. What a workflow asks of any store, stores on disk and in memory are asked too. Faults that
real registries do not have on request are in `tests/unit/test_uploads.py`.
"""

import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from random import Random
from urllib.parse import urljoin

import pytest

from modelpack import reference
from modelpack.digest import of as digest_of
from modelpack.errors import InputError, ModelpackError, Unavailable
from modelpack.oci.layer import Absent, Blob, Descriptor, blob_of
from modelpack.oci.layout import Layout
from modelpack.oci.referrers import tag_for
from modelpack.oci.registry import known, lists
from modelpack.oci.registry.settings import Settings
from modelpack.oci.registry.unfinished import Unfinished
from modelpack.oci.registry.writing import WritableRepository
from modelpack.oci.store import Root, Store
from modelpack.web.client import Client
from tests.counting_proxy import CountingProxy, counting
from tests.fakes.memory_store import MemoryStore
from tests.images import image, nothing, put, vouching
from tests.registries import KINDS, RunningRegistry

MIB = 1 << 20
SMALL = blob_of(b"0123456789", "text/plain")
LARGE = blob_of(Random(5).randbytes(3 * MIB + 5), "application/octet-stream")
EMPTY = blob_of(b"", "application/octet-stream")
NOWHERE = Descriptor(media_type="text/plain", digest=digest_of(b"nowhere"), size=7)

Start = Callable[[str], RunningRegistry]


@pytest.fixture(params=KINDS)
def server(request: pytest.FixtureRequest, registries: Start) -> RunningRegistry:
    return registries(request.param)


@pytest.fixture
def door(server: RunningRegistry) -> Iterator[CountingProxy]:
    """What counts the bytes on their way to the registry."""
    with counting(server.address) as proxy:
        yield proxy


def opened(name: str, *, folder: Path | None = None, deletes: bool = False) -> WritableRepository:
    return WritableRepository(
        reference.registry(name), Settings(), uploads=folder, places=folder, replace=True,
        deletes=deletes, pause=lambda _: None, client=Client({}, pause=lambda _: None),
    )  # fmt: skip


@pytest.fixture
def repository(server: RunningRegistry) -> WritableRepository:
    return opened(server.repository(), deletes=True)


@pytest.fixture(params=["memory", "layout", *KINDS])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    with ExitStack() as stack:
        if request.param == "memory":
            yield MemoryStore()
        elif request.param == "layout":
            yield stack.enter_context(Layout(tmp_path / "layout"))
        else:
            start: Start = request.getfixturevalue("registries")
            yield opened(start(request.param).repository())


# Pull


def test_pull_a_manifest_by_tag_and_by_digest(store: Store) -> None:
    """Pulling manifests: end-3."""
    descriptor = put(store, image("a"), "1.0")
    for name in ("1.0", descriptor.digest):
        found = store.resolve(name)
        assert (found.digest, found.size, found.media_type) == (
            descriptor.digest, descriptor.size, descriptor.media_type,
        )  # fmt: skip
    assert digest_of(store.read(descriptor)) == descriptor.digest


def test_pull_a_manifest_that_is_not_there(store: Store) -> None:
    """Pulling manifests: 404 MANIFEST_UNKNOWN."""
    put(store, image("a"), "1.0")
    for name in ("2.0", NOWHERE.digest):
        with pytest.raises(InputError):
            store.resolve(name)


def test_pull_a_blob(store: Store) -> None:
    """Pulling blobs: end-2."""
    store.write(SMALL, nothing)
    assert store.read(SMALL.descriptor) == b"0123456789"
    with pytest.raises(ModelpackError):
        store.read(NOWHERE)


def test_see_what_is_there_without_pulling_it(store: Store) -> None:
    """Checking if content exists in the registry: HEAD, 200 and 404."""
    descriptor = put(store, image("a"), "1.0")
    store.write(SMALL, nothing)
    assert store.has(SMALL.descriptor)
    assert store.has(descriptor)
    assert not store.has(NOWHERE)
    assert not store.has(replace(descriptor, digest=NOWHERE.digest))


def test_see_what_a_tag_names(repository: WritableRepository) -> None:
    """Checking if content exists in the registry: HEAD of a manifest by tag."""
    descriptor = put(repository, image("a"), "1.0")
    assert repository.held_by("1.0") == descriptor.digest
    assert repository.held_by("2.0") is None


def test_pull_a_part_of_a_blob(repository: WritableRepository) -> None:
    """Pulling blobs: a request with `Range` (RFC 9110, 14.2), from any byte to any byte."""
    repository.write(LARGE, nothing)
    whole = b"".join(repository.chunks(LARGE.descriptor, 0, LARGE.size))
    assert digest_of(whole) == LARGE.digest
    for start, length in ((1, 1), (MIB, 2 * MIB), (LARGE.size - 1, 1)):
        part = b"".join(repository.chunks(LARGE.descriptor, start, length))
        assert part == whole[start : start + length]


def test_pull_a_blob_that_is_not_there(repository: WritableRepository) -> None:
    """Pulling blobs: 404 BLOB_UNKNOWN."""
    put(repository, image("a"), "1.0")
    with pytest.raises(Unavailable, match="has no blob"):
        repository.read(NOWHERE)
    with pytest.raises(Unavailable, match="has no blob"):
        list(repository.chunks(NOWHERE, 0, NOWHERE.size))


# Push


@pytest.mark.parametrize("blob", [SMALL, EMPTY], ids=["small", "empty"])
def test_push_a_blob_in_one_piece(store: Store, blob: Blob) -> None:
    """Pushing a blob monolithically, POST then PUT: end-4a, end-6."""
    assert store.write(blob, nothing)
    assert store.has(blob.descriptor)
    assert digest_of(store.read(blob.descriptor)) == blob.digest


def test_push_a_blob_that_is_there(store: Store) -> None:
    """Pushing blobs: nothing is sent of what is there."""
    assert store.write(SMALL, nothing)
    assert not store.write(replace(SMALL, origin=Absent()), nothing)


@pytest.mark.parametrize("size", [MIB, 64 * MIB], ids=["in chunks", "streamed"])
def test_push_a_blob_in_chunks(
    repository: WritableRepository, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """Pushing a blob in chunks: POST, PATCH with Content-Range, PUT: end-4a, end-5, end-6."""
    monkeypatch.setattr(known, "CHUNK", size)
    assert repository.write(LARGE, nothing)
    assert repository.has(LARGE.descriptor)
    found = b"".join(repository.chunks(LARGE.descriptor, 0, LARGE.size))
    assert digest_of(found) == LARGE.digest


def test_push_the_rest_of_a_blob(
    server: RunningRegistry, door: CountingProxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pushing a blob in chunks: where it stands is asked for, and the rest is sent: end-13."""
    monkeypatch.setattr(known, "CHUNK", MIB)
    name = server.repository().replace(server.address, door.address)
    door.cut_at = int(2.5 * MIB)
    calls: list[int] = []
    opened(name, folder=tmp_path).write(LARGE, calls.append)
    assert door.cut_at is None
    assert sum(calls) == LARGE.size
    there = opened(name)
    assert digest_of(b"".join(there.chunks(LARGE.descriptor, 0, LARGE.size))) == LARGE.digest


def test_go_on_with_an_upload_of_which_nothing_came(
    server: RunningRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pushing a blob in chunks: an upload that another process began, and is empty: end-13."""
    monkeypatch.setattr(known, "CHUNK", MIB)
    name = server.repository()
    begun = urllib.request.Request(
        f"http://{server.address}/v2/{name.partition('/')[2]}/blobs/uploads/", method="POST"
    )
    with urllib.request.urlopen(begun, timeout=30) as reply:
        location = urljoin(begun.full_url, reply.headers["Location"])
    with Unfinished(tmp_path).note(name, LARGE.digest) as note:
        note.write(location, 0)
    opened(name, folder=tmp_path).write(LARGE, nothing)
    there = opened(name)
    assert digest_of(b"".join(there.chunks(LARGE.descriptor, 0, LARGE.size))) == LARGE.digest


def test_push_content_with_another_digest(store: Store) -> None:
    """Pushing blobs: what is not what its digest says is never there."""
    wrong = replace(SMALL, descriptor=replace(SMALL.descriptor, digest=NOWHERE.digest))
    with pytest.raises(InputError):
        store.write(wrong, nothing)
    assert not store.has(wrong.descriptor)


@pytest.mark.parametrize("blob", [SMALL, LARGE], ids=["small", "large"])
def test_mount_a_blob(server: RunningRegistry, door: CountingProxy, blob: Blob) -> None:
    """Mounting a blob from another repository, 201: end-11."""
    source = reference.registry(server.repository())
    opened(str(source)).write(blob, nothing)
    target = opened(server.repository().replace(server.address, door.address))
    target.expect_elsewhere(replace(source, host=door.address), [blob.digest])
    assert target.write(replace(blob, origin=Absent()), nothing)
    assert target.has(blob.descriptor)
    assert door.sent < 10_000


@pytest.mark.parametrize("blob", [SMALL, LARGE], ids=["small", "large"])
def test_mount_a_blob_that_is_not_there(server: RunningRegistry, blob: Blob) -> None:
    """Mounting a blob from another repository, 202: the upload that begins takes the bytes."""
    target = opened(server.repository())
    target.expect_elsewhere(reference.registry(server.repository()), [blob.digest])
    assert target.write(blob, nothing)
    assert target.has(blob.descriptor)


def test_push_a_manifest_by_digest_and_by_tag(store: Store) -> None:
    """Pushing manifests: end-7."""
    untagged = put(store, image("a"))
    assert store.resolve(untagged.digest).digest == untagged.digest
    descriptor = put(store, image("b"), "1.0", "latest")
    assert {store.resolve(name).digest for name in ("1.0", "latest")} == {descriptor.digest}


def test_push_a_manifest_whose_blobs_are_not_there(store: Store) -> None:
    """Pushing manifests: MANIFEST_BLOB_UNKNOWN."""
    with pytest.raises(InputError, match="missing"):
        store.commit([Root(manifest=image("a").manifest_blob, tags=("1.0",))])


def test_push_a_manifest_with_a_subject(store: Store) -> None:
    """Pushing manifests with subject: `OCI-Subject`, or the list under the tag of the subject."""
    subject = put(store, image("a"), "1.0", vouching=[vouching("one")])
    (entry,) = store.referrers(subject.digest)
    assert entry.artifact_type == "application/json"
    assert subject.digest.encode() in store.read(entry)


def test_push_a_manifest_before_its_subject(repository: WritableRepository) -> None:
    """Pushing manifests with subject: the subject may come later."""
    subject = image("a").manifest_blob.descriptor
    one = vouching("one")
    repository._attach(subject, [one])
    assert put(repository, image("a"), "1.0") == subject
    assert [e.digest for e in repository.referrers(subject.digest)] == [
        one.manifest(subject).digest
    ]


# Content discovery


def test_list_no_tags(repository: WritableRepository) -> None:
    """Listing tags: a repository that does not exist, or has none."""
    assert repository.tags() == ()
    put(repository, image("a"))
    assert repository.tags() == ()


@pytest.mark.parametrize("page", [1, 2, 5, 1000])
def test_list_all_tags(
    repository: WritableRepository, monkeypatch: pytest.MonkeyPatch, page: int
) -> None:
    """Listing tags, page by page with `n`, `last` and `Link`: end-8a, end-8b."""
    monkeypatch.setattr(lists, "PAGE", page)
    tags = ["1.0", "2.0", "latest", "a", "Z"]
    put(repository, image("a"), *tags)
    assert sorted(repository.tags()) == sorted(tags)


def test_list_what_vouches(store: Store) -> None:
    """Listing referrers: end-12a; with the types and annotations of the manifests themselves."""
    subject = put(store, image("a"), "1.0", vouching=[vouching("one", "sbom"), vouching("two")])
    found = {e.annotations["said"]: e.artifact_type for e in store.referrers(subject.digest)}
    assert found == {"one": "application/json", "two": "application/json"}
    assert store.referrers(NOWHERE.digest) == ()


# Content management


def test_delete_a_manifest_with_its_tags(repository: WritableRepository) -> None:
    """Deleting manifests: end-9; a second time there is nothing to delete: 404."""
    old = put(repository, image("shared", "old"), "1.0", "old")
    new = put(repository, image("shared", "new"), "2.0")
    assert repository.delete_manifest(old.digest)
    assert repository.tags() == ("2.0",)
    assert not repository.has(old)
    assert repository.resolve("2.0").digest == new.digest
    assert not repository.delete_manifest(old.digest)


def test_delete_what_vouches(repository: WritableRepository) -> None:
    """Deleting manifests with subject: the list of the subject names it no more."""
    one, two = vouching("one"), vouching("two")
    subject = put(repository, image("a"), "1.0", vouching=[one, two])
    assert repository.delete_manifest(one.manifest(subject).digest)
    assert [e.annotations["said"] for e in repository.referrers(subject.digest)] == ["two"]
    assert repository.delete_manifest(two.manifest(subject).digest)
    assert repository.referrers(subject.digest) == ()
    assert tag_for(subject.digest) not in repository.tags()
    assert repository.resolve("1.0").digest == subject.digest


def test_delete_and_push_again(repository: WritableRepository) -> None:
    """Deleting manifests: what was deleted can be there again, by the same client."""
    first = put(repository, image("a"), "1.0")
    repository.delete_manifest(first.digest)
    assert put(repository, image("a"), "1.0") == first
    assert repository.resolve("1.0").digest == first.digest
