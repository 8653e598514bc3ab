"""A functional test as JUnit XML, which CI systems show.

Source: the schema of Jenkins' xUnit plugin, `junit-10.xsd`.
"""

from modelpack.functional.value import Tested
from modelpack.inputs.quoting import UNPRINTABLE

_INVALID = UNPRINTABLE
"XML 1.0 has no way to write most of these"


def document(tested: Tested) -> bytes:
    """Return the test as one suite."""
    from xml.etree import ElementTree as ET  # noqa: PLC0415  only written, never parsed

    counts = {
        "tests": len(tested.checks),
        "failures": len(tested.named("failed")),
        "errors": len(tested.named("unknown")),
        "skipped": len(tested.named("skipped")),
    }
    seconds = str(max(tested.finished - tested.started, 0))
    suite = ET.Element("testsuite", {
        "name": _text(f"modelpack test {tested.digest or tested.image}"), "time": seconds,
        **{key: str(value) for key, value in counts.items()},
    })  # fmt: skip
    for check in tested.checks:
        case = ET.SubElement(
            suite, "testcase", {"classname": "modelpack.test", "name": _text(check.name)}
        )
        words = {"failed": "failure", "unknown": "error", "skipped": "skipped"}
        if check.outcome in words:
            first = _text(check.found.split("\n")[0])
            ET.SubElement(case, words[check.outcome], {"message": first}).text = "\n".join(
                _text(line) for line in (*check.found.split("\n"), check.hint) if line
            )
    ET.indent(suite)
    text: bytes = ET.tostring(suite, encoding="utf-8", xml_declaration=True)
    return text + b"\n"


def _text(text: str) -> str:
    return _INVALID.sub("?", text)
