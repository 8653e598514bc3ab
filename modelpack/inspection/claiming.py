"""What one thing beside an image claims, and what does not add up in it: pure, nothing verified."""

from collections.abc import Iterator, Sequence

from modelpack import digest as digests
from modelpack.inputs.quoting import quoted
from modelpack.inspection import summaries
from modelpack.inspection.beside import ReferrerClaim, Said, SignatureClaim
from modelpack.inspection.contents import Content
from modelpack.inspection.referrer_document import SUBJECT, ReferrerDocument
from modelpack.trust import predicate_types
from modelpack.trust.bundle import PREDICATE as BUNDLE_PREDICATE
from modelpack.trust.statement import PREDICATE_TYPE


def claim(document: ReferrerDocument) -> ReferrerClaim:
    """Return what a referrer claims to be."""
    entry, layer, content = document.descriptor, document.layer, document.content
    said = _said(content)
    signature = content.signature if content else None
    return ReferrerClaim(
        digest=entry.digest,
        subject=document.subject,
        artifact_type=entry.artifact_type,
        predicate_type=document.predicate_type,
        kind=document.kind,
        size=entry.size,
        summary=document.trouble or said.line,
        signed=_signed(signature) if signature else "",
        what=document.what,
        by=document.by,
        media_type=layer.media_type if layer else "",
        content=layer.digest if layer else "",
        content_size=layer.size if layer else 0,
        signature=signature,
        provenance=said.provenance,
        sbom=said.sbom,
        scan=said.scan,
        verdict=said.verdict,
        evaluation=said.evaluation,
        said=said.members,
        document=digests.of(content.document) if content else "",
        unreadable=document.trouble,
    )


def _said(content: Content | None) -> Said:
    if content is None:
        return Said()
    if content.statement:
        return summaries.of_statement(content.statement)
    return summaries.of_bom(content.bom) if content.bom is not None else Said()


def _signed(signature: SignatureClaim) -> str:
    """Return who seems to have signed, in words that promise nothing."""
    signer = signature.signer
    name = ", ".join(signer.identities)
    if name:
        who = f"as {quoted(name, 200)}" + (f" by {quoted(signer.issuer)}" if signer.issuer else "")
    elif signer.certificate:
        who = f"with a certificate of {quoted(signer.certificate_issuer)}"
    else:
        who = f"with a key, hint {quoted(signer.key_hint)}" if signer.key_hint else "with a key"
    logged = [f"log entry {one.index}" + (f" at {one.time}" if one.time else "")
              for one in signature.entries]  # fmt: skip
    stamped = [f"timestamp {time or 'that cannot be read'}" for time in signature.timestamps]
    return ", ".join([f"signed {who}", *logged, *stamped])


def findings(documents: Sequence[ReferrerDocument]) -> Iterator[str]:
    """Yield what does not add up in statements and signatures."""
    for document in documents:
        if document.content is None:
            continue
        name = quoted(document.descriptor.digest)
        said, statement = document.descriptor.annotations, document.statement
        if statement:
            stated = said.get(PREDICATE_TYPE) or said.get(BUNDLE_PREDICATE)
            if stated and stated != statement.predicate_type and document.by == SUBJECT:
                is_type = quoted(statement.predicate_type)
                yield f"referrer {name} calls itself {quoted(stated)} and is {is_type}"
            is_oms = statement.predicate_type == predicate_types.OMS
            if not is_oms and not statement.is_about(document.subject):
                yield (
                    f"referrer {name} hangs on this image, and its statement is about something "
                    "else"
                )
        signature = document.content.signature
        if signature and signature.signs and signature.signs != document.subject:
            yield f"referrer {name} hangs on this image, and signs {quoted(signature.signs)}"
