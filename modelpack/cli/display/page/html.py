"""An Inspection as one page for a browser: whatever a value holds, it is shown as text.

The template's text is passed in. Everything that it prints goes through `_shown`, then through
jinja2's escaping; nothing is a link, and the page's policy forbids scripts and requests.
"""

from base64 import b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from modelpack.cli import display
from modelpack.cli.display import inspect_report, inspect_tensors
from modelpack.cli.display.page import evidence, glance, lineage, treemap, weights
from modelpack.cli.display.page.weights import Tensors
from modelpack.inspection.value import Inspection
from modelpack.quantity import counted
from modelpack.trust.predicate_types import OMS

if TYPE_CHECKING:
    from modelpack.verifying.report import Refusal, Report

TEMPLATE: Final = "report/page.html.j2"
STYLE: Final = "report/page.css"
_LONGEST: Final = 2000
"characters of a value that are shown"
_MOST: Final = 2000
"rows of a table that are shown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What was proved about the image, by whose rules."""

    policy: str
    "the file's name"
    report: "Report"
    stage: str = ""
    "of the policy, that the image must have; empty: none is asked for"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """The rows of a table, and how many more there are."""

    shown: Sequence[Any]
    more: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheets:
    """The files that a page is made of, as text."""

    page: str
    style: str

    @property
    def policy(self) -> str:
        """What the page forbids: everything but its own style, by its digest (CSP 3)."""
        digest = b64encode(sha256(self.style.encode()).digest()).decode()
        return f"default-src 'none'; style-src 'sha256-{digest}'"


def page(
    inspection: Inspection, sheets: Sheets, *, verified: Verified | None = None,
    tensors: Tensors | None = None,
) -> str:  # fmt: skip
    """Return the page; with `verified`, what of it is proved; with the `tensors` of its files."""
    from jinja2 import Environment, StrictUndefined  # noqa: PLC0415  only where one is rendered
    from markupsafe import Markup  # noqa: PLC0415

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, finalize=_shown, trim_blocks=True,
        lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    environment.filters.update(
        size=display.size, number=display.number, dtypes=inspect_report.dtypes, rows=_rows,
        digits=_digits, percent=_percent, noun=counted, shape=inspect_tensors.shape,
    )  # fmt: skip
    said = values(inspection, verified, tensors or {})
    # The one text that is not escaped is a file of ours.
    return environment.from_string(sheets.page).render(
        said,
        style=Markup(sheets.style),  # noqa: S704
        policy=sheets.policy,
    )


def values(inspection: Inspection, verified: Verified | None, tensors: Tensors) -> dict[str, Any]:
    """Return all that a page is made of."""
    model = inspection.model
    stages = lineage.stages(inspection)
    layers = inspection.layers
    ordered = {layer.index: length for layer, length in zip(
        layers, treemap.bars([layer.size for layer in layers]), strict=True)}  # fmt: skip
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
        "tiles": treemap.tiles(layers),
        "shares": treemap.shares(layers),
        "bars": ordered,
        "kind_of": treemap.kind_of,
        "drawings": (("wide", lineage.wide(stages)), ("narrow", lineage.narrow(stages))),
        "sentences": lineage.sentences(stages),
        "answer": glance.answer(inspection, verified.report if verified else None),
        "signs": glance.signs(inspection, verified.report if verified else None),
        "cards": evidence.cards(inspection.referrers),
        "weight_sets": weights.sets(inspection, tensors),
        "packages": [
            (title, [one for one in inspection.packages if one.type == kind])
            for kind, title in (("wheel", "Python packages"), ("deb", "Debian packages"))
        ],
    }  # fmt: skip


def _refused(verified: Verified | None) -> "list[Refusal]":
    """Return what was refused as proof, but for contents that are about something else."""
    found = verified.report.refused if verified else ()
    return [one for one in found if one.step != "predicate type" and not _is_of_weights(one)]


def _is_of_weights(one: "Refusal") -> bool:
    """Tell whether a signature is over the model, as it is meant to be, and over no image."""
    return one.predicate_type == OMS and one.step == "subject" and one.requirement != "weights"


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
