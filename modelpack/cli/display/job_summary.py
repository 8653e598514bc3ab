"""What a build, a scan and a test put on the page of a CI job, in Markdown."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from modelpack.cli import display
from modelpack.cli.display import markdown

if TYPE_CHECKING:
    from modelpack.evidence.scan.scanning import Scanned
    from modelpack.functional.value import Tested

_MOST = 50
"rows of a table: a page of GitHub's holds 1 MiB for each step"
_WORST = {"failed": 0, "unknown": 1, "passed": 2}


def built(name: str, document: Mapping[str, Any]) -> str:
    """Return what `modelpack build` made; `document` is what `--json` prints."""
    distinct = {layer["digest"]: layer["size"] for layer in document["layers"]}
    dirty = " and files that it does not hold" if document["dirty"] else ""
    facts = [
        ("digest", markdown.code(document["digest"])),
        ("size", f"{display.size(sum(distinct.values()))} in {len(distinct)} layers"),
        ("commit", f"{markdown.code(document['revision'])}{dirty}" if document["revision"] else ""),
        ("lock", markdown.code(document["lock"])),
        ("pushed", "<br>".join(markdown.code(each) for each in document["pushed"])),
    ]
    rows = [
        (markdown.text(layer["step"]), markdown.text(layer["platform"] or layer["role"]),
         markdown.text(layer["name"]), display.size(layer["size"]),
         markdown.code(layer["digest"][7:19]), "reused" if layer["reused"] else "")
        for layer in document["layers"]
    ]  # fmt: skip
    head = ("layer", "image", "content", "size", "digest", "")
    return "\n\n".join([
        f"### {markdown.text(name)}: built",
        markdown.table(("", ""), [fact for fact in facts if fact[1]]),
        markdown.table(head, rows[:_MOST], right=[3]),
        *_more(rows),
    ])  # fmt: skip


def outcome(scans: Sequence["Scanned"]) -> str:
    """Return the answer of several scans: a no stands, whatever else could not be found out."""
    return min((one.outcome for one in scans), key=_WORST.__getitem__)


def scanned(name: str, scans: Sequence["Scanned"]) -> str:
    """Return what scans of the image `name` found, without what is below the gate."""
    parts = [f"### {markdown.text(name)}: scan {outcome(scans)}"]
    for one in scans:
        parts += _scan(one)
    return "\n\n".join(parts)


def tested(name: str, tested: "Tested") -> str:
    """Return what a functional test of the image `name` found."""
    from modelpack.cli.display import testing_report  # noqa: PLC0415

    rows = [tuple(map(markdown.text, row)) for row in testing_report.rows(tested)]
    numbers = [tuple(map(markdown.text, row)) for row in testing_report.numbers(tested)]
    return "\n\n".join([
        f"### {markdown.text(name)}: test {tested.outcome}",
        markdown.table(("", "check", "found"), rows[:_MOST]),
        *_more(rows),
        markdown.table(("measured", ""), numbers),
    ])  # fmt: skip


def _scan(scanned: "Scanned") -> Iterator[str]:
    from modelpack.cli.display import scan_report  # noqa: PLC0415

    counts = scanned.summary["counts"]
    yield (
        f"{markdown.code(scanned.digest)} {markdown.text(scanned.platform)}: {counts['fails']} "
        f"above the gate, {counts['waived']} accepted, {counts['below']} below"
    )
    rows = [tuple(map(markdown.text, row)) for row in scan_report.rows(scanned)]
    if rows:
        yield markdown.table([name.lower() for name in scan_report.HEAD], rows[:_MOST])
        yield from _more(rows)
    for finding in scan_report.notices(scanned):
        yield f"- {finding.severity}: {markdown.text(finding.message)}"


def _more(rows: Sequence[object]) -> Iterator[str]:
    if len(rows) > _MOST:
        yield f"and {len(rows) - _MOST} more"
