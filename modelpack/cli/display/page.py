"""An Inspection as one page for a browser: whatever a value holds, it is shown as text.

The template's text is passed in. Everything that it prints goes through `_shown`, then through
jinja2's escaping; nothing is a link, and the page's policy forbids scripts and requests.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from modelpack.cli import display
from modelpack.cli.display import inspect_evidence, inspect_report, page_lineage, page_treemap
from modelpack.inspection.beside import ReferrerClaim
from modelpack.inspection.value import Inspection

if TYPE_CHECKING:
    from modelpack.verifying.report import Refusal, Report

TEMPLATE: Final = "report/page.html.j2"
_LONGEST: Final = 2000
"characters of a value that are shown"
_MOST: Final = 2000
"rows of a table that are shown"
_SEVERITIES: Final = ("CRITICAL", "HIGH", "MEDIUM", "LOW", "UNKNOWN")
_WORDS: Final = {"sbom": "Bill of materials", "oms": "Digests of the model",
                 "vex": "What is exploitable", "stage": "Stage"}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What was proved about the image, by whose rules."""

    policy: str
    "the file's name"
    report: "Report"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """The rows of a table, and how many more there are."""

    shown: Sequence[Any]
    more: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What stands beside the image, for a reader."""

    title: str
    summary: str
    signed: str
    facts: tuple[tuple[str, str], ...]
    severities: tuple[tuple[str, int, float], ...]
    "of a scan, the worst first: how many, and how long the bar is"


def page(inspection: Inspection, template: str, *, verified: Verified | None = None) -> str:
    """Return the page; with `verified`, what of it is proved."""
    from jinja2 import Environment, StrictUndefined  # noqa: PLC0415  only where one is rendered

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, finalize=_shown, trim_blocks=True,
        lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    environment.filters.update(
        size=display.size, number=display.number, dtypes=inspect_report.dtypes, rows=_rows,
        digits=_digits, percent=_percent, noun=inspect_report.count,
    )  # fmt: skip
    return environment.from_string(template).render(_values(inspection, verified))


def _values(inspection: Inspection, verified: Verified | None) -> dict[str, Any]:
    model = inspection.model
    stages = page_lineage.stages(inspection)
    layers = inspection.layers
    ordered = {layer.index: length for layer, length in zip(
        layers, page_treemap.bars([layer.size for layer in layers]), strict=True)}  # fmt: skip
    noun = "artifact" if inspection.artifact else "image"
    name = f"{model.name} {model.version}".strip()
    return {
        "it": inspection,
        "noun": noun,
        "name": name or f"An {noun} without a name",
        "verified": verified,
        "refused": _refused(verified),
        "identity": _stated(inspect_report.identity(inspection)),
        "origin": _stated(inspect_report.origin(inspection, verbose=True)),
        "start": _stated(inspect_report.start(inspection, verbose=True)),
        "tiles": page_treemap.tiles(layers),
        "shares": page_treemap.shares(layers),
        "bars": ordered,
        "kind_of": page_treemap.kind_of,
        "drawings": (("wide", page_lineage.wide(stages)), ("narrow", page_lineage.narrow(stages))),
        "sentences": page_lineage.sentences(stages),
        "claims": [_claim(one) for one in inspection.referrers],
        "packages": [
            (title, [one for one in inspection.packages if one.type == kind])
            for kind, title in (("wheel", "Python packages"), ("deb", "Debian packages"))
        ],
    }  # fmt: skip


def _refused(verified: Verified | None) -> "list[Refusal]":
    """Return what was refused as proof, but for contents that are about something else."""
    found = verified.report.refused if verified else ()
    return [one for one in found if one.step != "predicate type"]


def _shown(value: object) -> str:
    """Return what the page prints of `value` (jinja2's finalize): on one line, nothing hidden.

    Text of the template itself has been escaped when it comes here again, out of a macro.
    """
    from markupsafe import Markup  # noqa: PLC0415

    if isinstance(value, Markup):
        return value
    if not isinstance(value, str | int):
        raise TypeError(f"a page cannot show {type(value).__name__}")
    text = str(value)
    if len(text) > _LONGEST:
        text = f"{text[:_LONGEST]}… ({len(text)} characters)"
    return display.escape(text)


def _rows(values: Sequence[Any]) -> Rows:
    return Rows(shown=values[:_MOST], more=max(len(values) - _MOST, 0))


def _digits(value: float) -> str:
    """Return a coordinate."""
    return f"{value:.2f}"


def _percent(value: float) -> str:
    """Return a share as people read it."""
    if 0 < value < 0.1:  # noqa: PLR2004  a tenth
        return "< 0.1 %"
    return f"{value:.1f} %"


def _stated(rows: Iterator[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return what is stated; a name that goes on below the one before it has its name."""
    found, last = list[tuple[str, str]](), ""
    for name, value in rows:
        last = name or last
        if value:
            found.append((last, value))
    return found


def _claim(one: ReferrerClaim) -> Claim:
    word = one.what or one.predicate_type or one.artifact_type or one.media_type
    counts = one.scan.severities if one.scan else {}
    known = {name: counts[name] for name in (*_SEVERITIES, *counts) if name in counts}
    lengths = page_treemap.bars(list(known.values()))
    return Claim(
        title=_WORDS.get(word, word[:1].upper() + word[1:]),
        summary=f"cannot be read: {one.unreadable}" if one.unreadable else one.summary,
        signed=one.signed,
        facts=(("manifest", one.digest), *(row for row in inspect_evidence.facts(one) if row[1])),
        severities=tuple(
            (name, count, length)
            for (name, count), length in zip(known.items(), lengths, strict=True)
        ),
    )
