"""What stands beside an image as text for people: a table, and with `-v` all that it says."""

from collections.abc import Iterator, Mapping, Sequence

from modelpack import digest as digests
from modelpack.cli import display
from modelpack.inspection.beside import ReferrerClaim, SignatureClaim

_LICENSES = 12
"that are shown: `--json` has more"
_HEAD = ("WHAT", "DIGEST", "SAYS")


def report(referrers: Sequence[ReferrerClaim], *, verbose: bool) -> str:
    """Return what is there, with who seems to have signed it; nobody has looked at a signature."""
    rows = [row for one in referrers for row in _rows(one)]
    if not rows:
        return ""
    title = "BESIDE THE IMAGE (claims, not verified)"
    table = f"{title}\n{display.table(rows, head=_HEAD, width=0 if verbose else None)}"
    details = [_details(one) for one in referrers] if verbose else []
    return "\n\n".join([table, *(text for text in details if text)])


def _rows(one: ReferrerClaim) -> Iterator[tuple[str, str, str]]:
    name = one.what or one.predicate_type or one.artifact_type or one.media_type
    said = f"cannot be read: {one.unreadable}" if one.unreadable else one.summary
    lines = [line for line in (said, one.signed) if line] or [""]
    short = digests.short(digests.Digest(one.digest))
    yield name, short, lines[0]
    for line in lines[1:]:
        yield "", "", line


def _details(one: ReferrerClaim) -> str:
    rows = [(name, value) for name, value in facts(one) if value]
    title = display.escape(f"{one.what or one.predicate_type or one.artifact_type} {one.digest}")
    return f"{title}\n{display.table(rows, width=0)}" if rows else ""


def facts(one: ReferrerClaim) -> Iterator[tuple[str, str]]:
    """Yield all that one claim says, name and value; what it does not say is empty."""
    yield "predicate", one.predicate_type
    yield "tag", one.by if one.by != "subject" else ""
    if provenance := one.provenance:
        yield "builder", provenance.builder
        yield "build type", provenance.build_type
        yield "source", provenance.source
        yield "revision", provenance.revision
        yield "built", f"{provenance.started} to {provenance.finished}"
        yield "made of", _counts(provenance.materials)
    if sbom := one.sbom:
        yield "format", sbom.format + ("" if sbom.complete else ", incomplete as it says")
        yield "made by", sbom.made_by
        yield "created", sbom.created
        yield "components", _counts(sbom.components)
        yield "licences", _counts(sbom.licenses, most=_LICENSES)
    if scan := one.scan:
        yield "scanner", scan.scanner
        yield "outcome", scan.outcome
        yield "found", _counts(scan.severities)
        yield "database of", scan.database
        yield "scanned", scan.finished
    if verdict := one.verdict:
        yield "outcome", verdict.outcome
        yield "by", verdict.by
        yield "when", verdict.finished
        yield "counts", _counts(verdict.counts)
    if one.signature:
        yield from _signature(one.signature)


def _signature(signature: SignatureClaim) -> Iterator[tuple[str, str]]:
    signer = signature.signer
    for identity in signer.identities:
        yield "identity", identity
    yield "issuer", signer.issuer
    yield "certificate", signer.certificate
    yield "issued by", signer.certificate_issuer
    yield "valid", f"{signer.not_before} to {signer.not_after}" if signer.not_before else ""
    yield from signer.details.items()
    yield "key hint", signer.key_hint
    for entry in signature.entries:
        when = f" at {entry.time}" if entry.time else ""
        yield "log entry", f"{entry.index} of {entry.log}{when}"
    for time in signature.timestamps:
        yield "timestamp", time
    yield "signs", signature.signs


def _counts(counts: Mapping[str, int], *, most: int | None = None) -> str:
    shown = [f"{count} {name}" for name, count in list(counts.items())[:most]]
    more = len(counts) - len(shown)
    return ", ".join([*shown, *([f"and {more} more"] if more else [])])
