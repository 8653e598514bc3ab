"""Statements: one value, one text; and what others write, taken only where it is as specified."""

import json

import pytest

from modelpack.digest import Digest
from modelpack.errors import InputError
from modelpack.oci.layer import MANIFEST, Descriptor
from modelpack.oci.manifest import parse as parse_manifest
from modelpack.trust import statement
from modelpack.trust.statement import V01, V1, Statement, Subject, about

IMAGE = Digest("sha256:" + "a" * 64)
SAID = Statement(
    subjects=about("ghcr.io/acme/minilm", IMAGE),
    predicate_type="https://slsa.dev/provenance/v1",
    predicate={"b": [1, "ü"], "a": None},
)


def foreign(**changes: object) -> bytes:
    """Return a statement as others write it, with other members."""
    value = {
        "_type": V1,
        "subject": [{"name": "x", "digest": {"sha256": "a" * 64}}],
        "predicateType": "https://example.org/p",
        "predicate": {"said": True},
        **changes,
    }
    return json.dumps({key: item for key, item in value.items() if item != "absent"}).encode()


def test_a_statement_is_one_text() -> None:
    assert SAID.as_bytes() == (
        b'{"_type":"https://in-toto.io/Statement/v1","predicate":{"a":null,"b":[1,"\xc3\xbc"]},'
        b'"predicateType":"https://slsa.dev/provenance/v1","subject":[{"digest":{"sha256":"'
        + b"a" * 64
        + b'"},"name":"ghcr.io/acme/minilm"}]}'
    )


def test_what_was_written_is_read_back() -> None:
    assert statement.parse(SAID.as_bytes()) == SAID
    assert SAID.is_about(IMAGE)
    assert not SAID.is_about(Digest("sha256:" + "b" * 64))


@pytest.mark.parametrize("version", [V1, V01])
def test_both_versions_are_read(version: str) -> None:
    parsed = statement.parse(foreign(_type=version))
    assert parsed.subjects == (Subject(name="x", digest={"sha256": "a" * 64}),)
    assert parsed.predicate == {"said": True}


def test_version_1_needs_neither_name_nor_predicate() -> None:
    """As `cosign sign` writes it."""
    parsed = statement.parse(
        foreign(subject=[{"digest": {"sha256": "a" * 64}, "annotations": {}}], predicate="absent")
    )
    assert parsed.subjects[0].sha256 == IMAGE
    assert parsed.predicate == {}


def test_other_digests_are_kept_and_are_no_image() -> None:
    commit = statement.parse(foreign(subject=[{"digest": {"gitCommit": "c" * 40}}]))
    assert commit.subjects[0].sha256 is None
    assert not commit.is_about(IMAGE)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"_type": "https://in-toto.io/Statement/v2"}, "not an in-toto statement"),
        ({"_type": 1}, "not an in-toto statement"),
        ({"subject": []}, "`subject` is not a list"),
        ({"subject": {"digest": {}}}, "`subject` is not a list"),
        ({"subject": ["x"]}, "not an artifact"),
        ({"subject": [{"name": "x"}]}, "without a digest"),
        ({"subject": [{"name": "x", "digest": {}}]}, "without a digest"),
        ({"subject": [{"name": 1, "digest": {"sha256": "a" * 64}}]}, "`name` is not a text"),
        ({"subject": [{"digest": {"sha256": "A" * 64}}]}, "not lowercase"),
        ({"subject": [{"digest": {"sha256": "a" * 63}}]}, "not a sha256"),
        ({"subject": [{"digest": {"sha256": 1}}]}, "not a digest"),
        ({"subject": [{"digest": {"sha 256": "a" * 64}}]}, "not a digest"),
        ({"predicateType": ""}, "`predicateType`"),
        ({"predicateType": ["x"]}, "`predicateType`"),
        ({"predicate": []}, "`predicate`"),
        (
            {"_type": V01, "subject": [{"digest": {"sha256": "a" * 64}}]},
            "`name` is not a text",
        ),
    ],
)
def test_what_is_not_as_specified_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        statement.parse(foreign(**changes))


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{", b'{"_type": NaN}', b'{"a": 1, "a": 2}', b"\xff", b"[" * 9999]
)
def test_what_is_no_document_is_refused(data: bytes) -> None:
    with pytest.raises(InputError):
        statement.parse(data)


def test_text_that_cannot_be_written_is_refused() -> None:
    with pytest.raises(InputError, match="cannot be written"):
        statement.parse(foreign(predicate={"a": "\ud800"}))


def test_an_unsigned_statement_refers_to_its_image() -> None:
    """The form that Docker Scout, buildx and Trivy look for (OCI 1.1)."""
    subject = Descriptor(
        media_type=MANIFEST, digest=IMAGE, size=7, annotations={"kind": "of the entry"}
    )
    referrer = statement.referrer(SAID, kind="provenance")
    content, empty, manifest = referrer.blobs(subject)
    assert content.descriptor.media_type == "application/vnd.in-toto+json"
    assert empty.descriptor.as_json() == {
        "mediaType": "application/vnd.oci.empty.v1+json",
        "digest": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
        "size": 2,
    }
    written = parse_manifest(manifest.origin.pieces[0])  # type: ignore[union-attr,arg-type]
    assert written.artifact_type == "application/vnd.in-toto+json"
    assert written.subject == Descriptor(media_type=MANIFEST, digest=IMAGE, size=7)
    assert written.config is not None
    assert written.config.media_type == "application/vnd.oci.empty.v1+json"
    assert written.layers == (content.descriptor,)
    assert written.annotations == {
        "in-toto.io/predicate-type": "https://slsa.dev/provenance/v1",
        "dev.modelpack.evidence": "provenance",
    }
    entry = referrer.entry(subject)
    assert (entry.digest, entry.artifact_type) == (manifest.digest, written.artifact_type)
    assert entry.annotations == written.annotations
