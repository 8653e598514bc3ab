"""A model card in Markdown, from what an image and the statements beside it say."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from modelpack.cli import display
from modelpack.cli.display import inspect_report, markdown
from modelpack.inspection.json_values import tables, text
from modelpack.inspection.value import Inspection
from modelpack.spec import Card

if TYPE_CHECKING:
    from modelpack.cli.display.page import Verified

_LONGEST = 4000
"characters of a text"
_LICENSES = 12
"the most frequent"
_MOST = 200
"rows of a table"
_MARKS = {"met": "✓ met", "failed": "✕ failed", "unknown": "? unknown", "waived": "~ waived"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a card is made of."""

    inspection: Inspection
    card: Card | None = None
    "of the spec in the image; None: it has none that can be read"
    evaluations: tuple[Mapping[str, Any], ...] = ()
    "predicates of statements that stand beside it"
    verified: "Verified | None" = None


def card(told: Told) -> str:
    """Return the card; the same image makes the same card."""
    it = told.inspection
    name = f"{it.model.name} {it.model.version}".strip() or "A model without a name"
    sections = [
        f"# {_text(name)}",
        _text(it.model.description),
        _notice(told.verified),
        _section("What was verified", _judged(told.verified) if told.verified else ()),
        _section("What does not add up", [_list(it.findings)]),
        _section("Model", [_facts(inspect_report.identity(it))]),
        _section("Intended use", [_text(told.card.intended_use) if told.card else ""]),
        _section("Limitations", [_text(told.card.limitations) if told.card else ""]),
        _section("Training data", [_data(it)]),
        _section("Evaluation", _evaluations(told)),
        _section("Weights", [_weights(it)]),
        _section("Packages", _packages(it)),
        _section("Provenance", [_facts(inspect_report.origin(it, verbose=True))]),
        _section("Who vouches for it (claims, not verified)", [_beside(it)]),
        _section("What cannot be known", [_list(it.unknown)]),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _section(title: str, parts: Sequence[str] | Iterator[str]) -> str:
    stated = [part for part in parts if part]
    return "\n\n".join([f"## {title}", *stated]) if stated else ""


def _notice(verified: "Verified | None") -> str:
    if verified is None:
        return "**Claims, not verified**: what the image and the statements beside it say\\."
    answer = {"verified": "Verified", "refused": "Refused", "unknown": "Could not be found out"}
    return (
        f"**{answer[verified.report.answer]}** by the policy {_text(verified.policy)}\\. "
        "What the table below does not say is a claim\\."
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


def _evaluations(told: Told) -> Iterator[str]:
    """Yield the numbers of each evaluation, with what was asked of them."""
    for said in told.evaluations:
        weights = text(said, "weights")
        if weights != told.inspection.claims.weights:
            yield f"An evaluation beside it is about other weights: {_text(weights or '?')}"
            continue
        bounds = {text(one, "metric"): text(one, "bound") for one in tables(said, "requirements")}
        rows = []
        for one in tables(said, "metrics"):
            name, part = text(one, "name"), text(one, "slice")
            dotted = f"slices.{part}.{name}" if part else name
            rows.append((_text(name), _text(part), _text(text(one, "value")),
                         _text(bounds.get(dotted, ""))))  # fmt: skip
        yield _table(("metric", "slice", "value", "asked for"), rows)


def _data(it: Inspection) -> str:
    rows = [tuple(_text(part) for part in (data.name, data.version, data.uri, data.digest))
            for data in it.training.data]  # fmt: skip
    return _table(("name", "version", "from", "digest"), rows)


def _weights(it: Inspection) -> str:
    rows = [
        (_text(one.name), str(one.files), display.size(one.size), display.number(one.parameters),
         _text(inspect_report.dtypes(one.dtypes)), markdown.code(one.digest), _text(one.source))
        for one in it.weight_sets
    ]  # fmt: skip
    return _table(("name", "files", "size", "parameters", "of", "digest", "from"), rows)


def _packages(it: Inspection) -> Iterator[str]:
    counts = [
        f"{sum(one.type == kind for one in it.packages)} {word}"
        for kind, word in (("deb", "Debian"), ("wheel", "Python"))
    ]
    if it.packages:
        yield f"{' and '.join(counts)} packages\\. `modelpack sbom` lists them\\."
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
    return _table(("", ""), [(_text(name), _text(value)) for name, value in rows if value])


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
