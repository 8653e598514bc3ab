"""What must have passed for an image before it is signed: `[sign] require`."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from modelpack.digest import Digest
from modelpack.errors import Finding, Refused
from modelpack.trust.predicate_types import CHECKS, MALWARE, TEST, VULN
from modelpack.trust.statement import Statement

_TYPES: Final = {"scan": VULN, "malware": MALWARE, "test": TEST, "checks": CHECKS}
_COMMANDS: Final = {
    "scan": "modelpack scan", "malware": "modelpack scan --malware", "test": "modelpack test",
    "checks": "modelpack check --run",
}  # fmt: skip


def require(
    gates: Iterable[str],
    images: Iterable[Digest],
    said: Mapping[Digest, Iterable[tuple[str, Statement]]],
) -> None:
    """Raise Refused unless each of `gates` has passed for each of `images`, as `said` of them.

    Statements are given with their kinds; whoever gives them has made sure that they are ours.
    """
    findings = [
        finding
        for image in images
        for gate in dict.fromkeys(gates)
        for finding in _missing(gate, image, said.get(image, ()))
    ]
    if findings:
        raise Refused(*findings)


def _missing(
    gate: str, image: Digest, said: Iterable[tuple[str, Statement]]
) -> Iterator[Finding]:  # fmt: skip
    found = [
        statement
        for kind, statement in said
        if statement.predicate_type == _TYPES[gate]
        and kind.partition(".")[0] == gate
        and statement.is_about(image)
    ]
    if found and all(_passed(statement) for statement in found):
        return
    problem = "did not pass" if found else "was not run here"
    yield Finding(
        message=f"`{gate}` {problem} for {image}", at="sign.require", rule="sign.require",
        hint=f"{_COMMANDS[gate]}, then sign again",
    )  # fmt: skip


def _passed(statement: Statement) -> bool:
    if statement.predicate_type in (TEST, CHECKS, MALWARE):
        return statement.predicate.get("result") == "PASSED"
    result = _table(_table(statement.predicate.get("scanner")).get("result"))
    return _table(result.get("modelpack")).get("outcome") == "passed"


def _table(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
