"""A model card in Markdown, from what an image and the statements beside it say."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelpack.cli import display
from modelpack.cli.display import card_metadata, inspect_report, markdown, measures
from modelpack.inspection.beside import EvaluationClaim
from modelpack.inspection.value import Inspection
from modelpack.spec import Card

if TYPE_CHECKING:
    from modelpack.cli.display.page.html import Verified

_LONGEST = 4000
"characters of a text"
_LICENSES = 12
"the most frequent"
_MOST = 200
"rows of a table"
_SILENT = "Not stated."
_ELSEWHERE = frozenset({"model", "about", "image id", "trained on", "weights"})
_PLACE = re.compile(r"[A-Za-z0-9._:/-]{1,400}")
_MARKS = {"met": "✓ met", "failed": "✕ failed", "unknown": "? unknown", "waived": "~ waived"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a card is made of."""

    inspection: Inspection
    card: Card | None = None
    "of the spec in the image; None: it has none that can be read"
    repository: str = ""
    "where the image is to be had; empty: not known"
    verified: "Verified | None" = None


def card(told: Told) -> str:
    """Return the card; the same image makes the same card."""
    it = told.inspection
    name = f"{it.model.name} {it.model.version}".strip() or "A model without a name"
    stated = told.card or Card()
    sections = [
        card_metadata.head(it, [one for one, _ in _evaluated(it)]),
        f"# {_text(name)}",
        _text(it.model.description),
        _notice(told.verified),
        _section("What was verified", _judged(told.verified) if told.verified else ()),
        _section("What does not add up", [_list(it.findings)]),
        _section("Intended use", [_text(stated.intended_use) or _SILENT]),
        _section("Limitations", [_text(stated.limitations) or _SILENT]),
        _section("Model", [_facts(_model(it))]),
        _section("Training data", [_data(it) or _SILENT]),
        _section("Evaluation", _evaluations(it)),
        _section("Functional test", [_measured(it)]),
        _section("Weights", _weights(it)),
        _section("Get it, and prove what it is", _usage(told)),
        _section("Packages", _packages(it)),
        _section("Provenance", [_facts(_origin(it))]),
        _section("Who vouches for it (claims, not verified)", [_beside(it)]),
        _section("What cannot be known", [_list(it.unknown)]),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _model(it: Inspection) -> Iterator[tuple[str, str]]:
    """Yield what the model and its image are, but for what stands in other places of the card."""
    yield from (row for row in inspect_report.identity(it) if row[0] not in _ELSEWHERE)
    if not it.model.license:
        yield "license", "not stated"
    if count := sum(one.parameters for one in it.weight_sets):
        yield "parameters", display.number(count)


def _origin(it: Inspection) -> Iterator[tuple[str, str]]:
    """Yield what the image was built from, but for what stands in other places of the card."""
    return (
        row for row in inspect_report.origin(it, verbose=True) if row[0] not in _ELSEWHERE
    )  # fmt: skip


def _section(title: str, parts: Sequence[str] | Iterator[str]) -> str:
    stated = [part for part in parts if part]
    return "\n\n".join([f"## {title}", *stated]) if stated else ""


def _notice(verified: "Verified | None") -> str:
    if verified is None:
        return "**Claims, not verified**: what the image and the statements beside it say."
    answer = {"verified": "Verified", "refused": "Refused", "unknown": "Could not be found out"}
    stage = f", stage {_text(verified.stage)}" if verified.stage else ""
    return (
        f"**{answer[verified.report.answer]}** by the policy {_text(verified.policy)}{stage}. "
        "What the table below does not say is a claim."
    )


def _judged(verified: "Verified") -> Iterator[str]:
    for judged in verified.report.judged:
        yield f"{_text(f'{judged.role} {judged.platform}'.strip())} {markdown.code(judged.digest)}"
        yield _table(
            ("outcome", "asked for", "found", "hint"),
            [(_MARKS[one.outcome], _text(f"{one.name}: {one.wanted}"), _text(one.found),
              _text(one.hint if one.outcome in ("failed", "unknown") else ""))
             for one in judged.requirements],
        )  # fmt: skip


def _evaluated(it: Inspection) -> Iterator[tuple[EvaluationClaim, tuple[str, ...]]]:
    """Yield each evaluation of these weights, once, and who seems to have signed it."""
    found: dict[str, tuple[EvaluationClaim, list[str]]] = {}
    for one in it.referrers:
        if one.evaluation and one.evaluation.weights == it.claims.weights != "":
            _, signed = found.setdefault(one.document or one.digest, (one.evaluation, []))
            signed += [one.signed] if one.signed else []
    yield from ((evaluation, tuple(signed)) for evaluation, signed in found.values())


def _evaluations(it: Inspection) -> Iterator[str]:
    """Yield the numbers of each evaluation, with what was asked of them."""
    others = {one.evaluation.weights for one in it.referrers
              if one.evaluation and one.evaluation.weights != it.claims.weights}  # fmt: skip
    for weights in sorted(others):
        yield f"An evaluation beside it is about other weights: {_text(weights or '?')}"
    found = list(_evaluated(it))
    if not found:
        yield _SILENT
    for evaluation, signed in found:
        by = _text("; ".join(dict.fromkeys(signed)) or "signed by nobody")
        yield f"Numbers of the author, of exactly these weights ({by})."
        yield _table(
            ("metric", "slice", "value", "asked for"),
            [tuple(_text(part) for part in (one.name, one.slice, one.value, one.bound))
             for one in evaluation.metrics],
        )  # fmt: skip


def _measured(it: Inspection) -> str:
    """Return what functional tests measured of the running image, and their limits."""
    rows = dict.fromkeys(
        (_text(name), _text(measures.written(name, value)),
         _text(verdict.limits.get(name, "")))
        for one in it.referrers
        if one.what == "test" and (verdict := one.verdict)
        for name, value in verdict.measured.items()
    )  # fmt: skip
    return _table(("measured", "", "limit"), list(rows))


def _data(it: Inspection) -> str:
    rows = [tuple(_text(part) for part in (data.name, data.version, data.uri, data.digest))
            for data in it.training.data]  # fmt: skip
    return _table(("name", "version", "from", "digest"), rows)


def _weights(it: Inspection) -> Iterator[str]:
    yield _table(
        ("name", "files", "size", "parameters", "of", "digest", "from"),
        [(_text(one.name), str(one.files), display.size(one.size), display.number(one.parameters),
          _text(inspect_report.dtypes(one.dtypes)), markdown.code(one.digest), _text(one.source))
         for one in it.weight_sets],
    )  # fmt: skip
    yield _table(
        ("file", "size", "sha256"),
        [(_text(one.path), display.size(one.size), markdown.code(one.sha256) if one.sha256 else "")
         for one in it.weights],
    )  # fmt: skip


def _usage(told: Told) -> Iterator[str]:
    """Yield the commands to type; whom to trust stands in no card."""
    it = told.inspection
    if it.artifact is not None:
        return
    place = told.repository if _PLACE.fullmatch(told.repository) else "IMAGE"
    name = f"{place}@{it.index or it.digest}"
    if _PLACE.fullmatch(name.replace("@", "/")):
        yield (
            "Name it by its digest, and prove who signed it. Whom to expect must be known from "
            "elsewhere: a card says nothing about whom to trust."
        )
        yield "\n".join([
            "```sh",
            f"modelpack verify {name} \\",
            f"  {_whom(it)}",
            f"modelpack pull {name}",
            "```",
        ])  # fmt: skip
        yield (
            "`cosign verify` takes the same options. At its start the container checks every "
            "weight file against the digests above, and serves no others."
        )


def _whom(it: Inspection) -> str:
    """Return the options that say whom to expect: a key where all that is signed is so by keys."""
    signers = [one.signature.signer for one in it.referrers if one.signature]
    if signers and not any(signer.identities for signer in signers):
        return "--key KEY.pub"
    return "--certificate-identity WHO --certificate-oidc-issuer WHERE"


def _packages(it: Inspection) -> Iterator[str]:
    counts = [
        f"{sum(one.type == kind for one in it.packages)} {word}"
        for kind, word in (("deb", "Debian"), ("wheel", "Python"))
    ]
    if it.packages:
        yield f"{' and '.join(counts)} packages. `modelpack sbom` lists them."
    licenses = next((one.sbom.licenses for one in it.referrers if one.sbom), {})
    rows = [(_text(name), str(count)) for name, count in licenses.items()]
    if len(rows) > _LICENSES:
        rows = [*rows[:_LICENSES], (f"and {len(rows) - _LICENSES} more", "")]
    yield _table(("licence", "how often"), rows)


def _beside(it: Inspection) -> str:
    rows = [
        (_text(one.what or one.predicate_type or one.artifact_type),
         _text(f"cannot be read: {one.unreadable}" if one.unreadable else one.summary),
         _text(one.signed or "signed by nobody"))
        for one in it.referrers
    ]  # fmt: skip
    return _table(("what", "says", "signed"), rows)


def _facts(rows: Iterator[tuple[str, str]]) -> str:
    return _table(("", ""), [(_text(name), _value(value)) for name, value in rows if value])


def _value(value: str) -> str:
    """Return a digest as code, which is there to be copied, and all else as text."""
    return markdown.code(value) if value.startswith("sha256:") else _text(value)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return ""
    more = f"\n\nand {len(rows) - _MOST} more" if len(rows) > _MOST else ""
    return markdown.table(head, rows[:_MOST]) + more


def _list(sentences: Sequence[str]) -> str:
    return "\n".join(f"- {_text(sentence)}" for sentence in sentences[:_MOST])


def _text(value: str) -> str:
    value = value.strip()
    return markdown.text(f"{value[:_LONGEST]}…" if len(value) > _LONGEST else value)
