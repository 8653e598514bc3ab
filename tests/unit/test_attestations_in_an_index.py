"""Attestation manifests in an index: which ones are about an image, and what is lost or odd."""

from dataclasses import replace
from typing import Any

from images import image

from modelpack.digest import Digest
from modelpack.digest import of as digest_of
from modelpack.errors import InputError
from modelpack.inspection.describing import describe
from modelpack.inspection.reading import read
from modelpack.inspection.vouching import with_referrers
from modelpack.oci import attestations
from modelpack.oci.blobs import content_of
from modelpack.oci.layer import Blob, Descriptor
from modelpack.oci.manifest import MANIFEST_LIMIT, Manifest, parse
from modelpack.oci.referrers import EMPTY
from modelpack.trust.statement import PREDICATE_TYPE, Statement, about

ONE, OTHER = image("one"), image("other", architecture="arm64")


class Place:
    """A place of images with these blobs, in which nothing is listed beside any."""

    def __init__(self, *blobs: Blob) -> None:
        self.blobs = {blob.digest: blob for blob in blobs}

    def read(self, what: Descriptor, *, limit: int = MANIFEST_LIMIT) -> bytes:
        del limit
        return self.content(what.digest)

    def content(self, digest: Digest) -> bytes:
        if digest not in self.blobs:
            raise InputError("the blob is lost", at=digest)
        return content_of(self.blobs[digest])

    def image(self, digest: Digest) -> Manifest:
        return parse(self.content(digest), at=digest)

    def listed(self, subject: Digest) -> tuple[Descriptor, ...]:
        del subject
        return ()

    def held_by(self, tag: str) -> str | None:
        del tag
        return None

    def resolve(self, name: str) -> Descriptor:
        raise InputError("there is none", at=name)


def said(image: Digest, *, predicate_type: str = "https://spdx.dev/Document") -> Statement:
    return Statement(subjects=about("a", image), predicate_type=predicate_type,
                     predicate={"spdxVersion": "SPDX-2.3", "packages": []})  # fmt: skip


def attested(statement: Statement) -> tuple[Blob, Blob]:
    """Return the attestation manifest about ONE, and its one statement."""
    blob = statement.as_blob()
    layer = replace(blob.descriptor, annotations={PREDICATE_TYPE: statement.predicate_type})
    return attestations.manifest(ONE.manifest_blob.descriptor, [layer]), blob


def entry(of: Blob) -> dict[str, Any]:
    return {**of.descriptor.as_json(), "platform": {"os": "linux", "architecture": "amd64"}}


def index_with(*entries: dict[str, Any]) -> Blob:
    return attestations.index([entry(ONE.manifest_blob), *entries], {})


def place_of(index: Blob, *blobs: Blob) -> Place:
    return Place(index, ONE.manifest_blob, ONE.config_blob, EMPTY, *blobs)


def shown(place: Place, index: Blob) -> Any:
    return describe(with_referrers(place, read(place, index.descriptor)))


def test_only_what_is_marked_and_about_the_image_counts() -> None:
    manifest, _ = attested(said(ONE.digest))
    mine = attestations.entry(ONE.digest, manifest)
    others = attestations.entry(OTHER.digest, manifest)
    odd = {**mine, "annotations": {**mine["annotations"], attestations.TYPE: "something-else"}}
    index = parse(content_of(index_with(mine, others, odd)))
    found = attestations.about(index, ONE.digest)
    assert [(one.digest, str(one.platform)) for one in found] == [
        (manifest.digest, "unknown/unknown")
    ]
    assert [attestations.is_image(one) for one in index.manifests] == [True, False, False, False]


def test_a_statement_in_the_index_is_shown() -> None:
    manifest, statement = attested(said(ONE.digest))
    index = index_with(attestations.entry(ONE.digest, manifest))
    inspection = shown(place_of(index, manifest, statement), index)
    (claim,) = inspection.referrers
    assert (claim.what, claim.by, claim.subject) == ("sbom", "index", ONE.digest)
    assert (claim.digest, claim.content) == (manifest.digest, statement.digest)
    assert not [text for text in inspection.findings if "referrer" in text]
    assert [one.digest for one in inspection.platforms] == [ONE.digest]


def test_a_statement_about_something_else_does_not_add_up() -> None:
    manifest, statement = attested(said(digest_of(b"something else")))
    index = index_with(attestations.entry(ONE.digest, manifest))
    inspection = shown(place_of(index, manifest, statement), index)
    assert any("about something else" in text for text in inspection.findings)


def test_what_is_lost_is_said() -> None:
    manifest, statement = attested(said(ONE.digest, predicate_type="https://a.example/p"))
    index = index_with(attestations.entry(ONE.digest, manifest))
    (claim,) = shown(place_of(index, statement), index).referrers
    assert "the blob is lost" in claim.unreadable
    (claim,) = shown(place_of(index, manifest), index).referrers
    assert "the blob is lost" in claim.unreadable
    assert claim.predicate_type == "https://a.example/p"
