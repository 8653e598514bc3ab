"""What stands beside an image as text for people: a table, and with `-v` all that it says."""

from collections.abc import Iterator, Mapping, Sequence

from modelpack import digest as digests
from modelpack.cli import display
from modelpack.cli.display import measures
from modelpack.inspection.beside import ReferrerClaim, SignatureClaim

_LICENSES = 12
"that are shown: `--json` has more"
_VULNERABILITIES = 20
"""of a scan, likewise"""
_HEAD = ("WHAT", "DIGEST", "SAYS")


def report(referrers: Sequence[ReferrerClaim], *, verbose: bool) -> str:
    """Return what is there, with who seems to have signed it; nobody has looked at a signature."""
    grouped: dict[str, list[ReferrerClaim]] = {}
    for one in referrers:
        grouped.setdefault(one.document or one.digest, []).append(one)
    rows = [row for group in grouped.values() for row in _rows(group)]
    if not rows:
        return ""
    title = "BESIDE THE IMAGE (claims, not verified)"
    table = f"{title}\n{display.table(rows, head=_HEAD, wrap=True)}"
    details = [_details(one) for one in referrers] if verbose else []
    return "\n\n".join([table, *(text for text in details if text)])


def _rows(group: Sequence[ReferrerClaim]) -> Iterator[tuple[str, str, str]]:
    """Yield what one document says, and where else the same stands, signed by whom."""
    one, *more = group
    other = "" if one.what else one.predicate_type or one.artifact_type or one.media_type
    said = f"cannot be read: {one.unreadable}" if one.unreadable else one.summary
    lines = [line for line in (other, said, one.signed) if line] or [""]
    yield one.what or "other", _short(one), lines[0]
    for line in lines[1:]:
        yield "", "", line
    for same in more:
        yield "", _short(same), f"the same, {same.signed or 'signed by nobody'}"


def _short(one: ReferrerClaim) -> str:
    return digests.short(digests.Digest(one.digest))


def _details(one: ReferrerClaim) -> str:
    rows = [(name, value) for name, value in (*facts(one), *_found(one)) if value]
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
        yield "not looked at", ", ".join(scan.not_looked_at)
    if verdict := one.verdict:
        yield "outcome", verdict.outcome
        yield "by", verdict.by
        yield "when", verdict.finished
        yield "counts", _counts(verdict.counts)
    if one.signature:
        yield from _signature(one.signature)


def _found(one: ReferrerClaim) -> Iterator[tuple[str, str]]:
    """Yield what a scan, a test, checks or an evaluation found, one by one."""
    yield from (("finding", finding) for finding in (one.scan.findings if one.scan else ()))
    yield from (("exception", waiver) for waiver in (one.scan.waived if one.scan else ()))
    for bug in one.scan.vulnerabilities[:_VULNERABILITIES] if one.scan else ():
        fixed = f", mended in {bug.fixed}" if bug.fixed else ""
        yield bug.severity.lower(), f"{bug.id} in {bug.package} {bug.installed}{fixed}"
    if verdict := one.verdict:
        for outcome in ("failed", "warned"):
            yield outcome, ", ".join(verdict.names.get(outcome, ()))
        for row in measures.of(verdict):
            yield row.name.lower(), row.value + (f" (limit {row.limit})" if row.limit else "")
        yield from verdict.commands.items()
    for metric in one.evaluation.metrics if one.evaluation else ():
        of = f" in {metric.slice}" if metric.slice else ""
        yield metric.name + of, metric.value + (f" ({metric.bound})" if metric.bound else "")
    yield from one.said.items()


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
