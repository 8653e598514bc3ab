"""What stands beside an image as something that can be proved: a bundle, whoever wrote it.

Source: cosign, `specs/BUNDLE_SPEC.md`, `SIGNATURE_SPEC.md`, `ATTESTATION_SPEC.md`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from modelpack.digest import Digest
from modelpack.errors import InputError
from modelpack.inspection.contents import is_bundle
from modelpack.inspection.referrer_document import ReferrerDocument
from modelpack.oci.manifest import parse_object
from modelpack.trust import bundle as bundles
from modelpack.trust import dsse, media_types, older_signature, predicate_types
from modelpack.trust import statement as statements
from modelpack.trust.bundle import (
    Bundle,
    MessageSignature,
)
from modelpack.trust.members import Members


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """A bundle that hangs on an image."""

    evidence: Digest
    "of the manifest by which it hangs there"
    subject: Digest
    bundle: Bundle
    predicate_type: str
    "as it says"
    payload: bytes = b""
    "what is signed, where the bundle has no envelope"


def is_signed(document: ReferrerDocument) -> bool:
    """Tell whether `document` is of a kind that somebody has signed."""
    kind = document.layer.media_type if document.layer else document.descriptor.artifact_type
    return is_bundle(kind) or kind in (media_types.DSSE, media_types.SIMPLE_SIGNING)


def is_bare_statement(document: ReferrerDocument) -> bool:
    """Tell whether `document` is a statement that nobody has signed."""
    return document.layer is not None and document.layer.media_type == statements.MEDIA_TYPE


def read(document: ReferrerDocument) -> Signed:
    """Return the bundle in `document`, or raise InputError with what is wrong with it."""
    layer = document.layer
    if layer is None or not document.stored:
        raise InputError(document.trouble or "it has no content")
    found = Signed(
        evidence=document.descriptor.digest,
        subject=document.subject,
        bundle=_bundle(document.stored, layer.media_type, layer.annotations),
        predicate_type=document.predicate_type,
    )
    if layer.media_type == media_types.SIMPLE_SIGNING:
        return replace(
            found, payload=document.stored, predicate_type=predicate_types.SIGNATURE
        )  # fmt: skip
    return found


def _bundle(data: bytes, media_type: str, annotations: Mapping[str, str]) -> Bundle:
    if is_bundle(media_type):
        return bundles.parse(data)
    content: MessageSignature | dsse.Envelope
    if media_type == media_types.DSSE:
        content = dsse.taken(Members(parse_object(data, at="envelope"), at="envelope"))
        if len(content.signatures) != 1:
            raise InputError("not exactly one signature", at="envelope.signatures")
    else:
        content = older_signature.content(annotations)
    return Bundle(
        media_type="",
        material=older_signature.material(annotations),
        entries=older_signature.entries(annotations),
        timestamps=older_signature.timestamps(annotations),
        content=content,
    )
