"""What the author's checks said, as values and as an in-toto statement.

Shaped like in-toto's test result (`spec/predicates/test-result.md`, v0.1), under a type of its own:
an author's check must never pass for the functional test that a policy asks for.
Source: docs/predicates/checks-v1.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from modelpack import canonical_json
from modelpack.canonical_json import rfc3339
from modelpack.checking.room import Runner
from modelpack.digest import Digest, hex_of
from modelpack.digest import of as digest_of
from modelpack.lock import Wheel
from modelpack.platform import Platform
from modelpack.trust.predicate_types import CHECKS
from modelpack.trust.statement import Statement, about

NAMESPACE: Final = "dev.modelpack.checks"
KIND: Final = "checks"
State = Literal["passed", "failed", "late"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One check, as it was run."""

    name: str
    argv: tuple[str, ...]
    state: State
    status: int
    "exit status; negative: the signal that ended it"
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether it ended by itself, with 0."""
        return self.state == "passed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """All checks of a project, in one platform's image."""

    platform: Platform
    checks: tuple[Check, ...]
    plan: Digest
    lock: Digest
    weights: Digest
    image: Digest
    "of the manifest: what a build makes of the plan"
    development: tuple[Wheel, ...]
    runner: Runner
    started: int
    "seconds since 1970"
    finished: int

    @property
    def passed(self) -> bool:
        """Whether every check passed."""
        return all(check.passed for check in self.checks)


def statement(checked: Checked, name: str, *subjects: Digest) -> Statement:
    """Return what the checks say of the images `subjects`, under `name`."""
    return Statement(
        subjects=about(name, *subjects),
        predicate_type=CHECKS,
        predicate=predicate(checked),
    )


def predicate(checked: Checked) -> Mapping[str, Any]:
    """Return the test result: its configuration is all that was run, and all it was run with."""
    names = {True: [], False: []}  # type: dict[bool, list[str]]
    for check in checked.checks:
        names[check.passed].append(check.name)
    return {
        "result": "PASSED" if checked.passed else "FAILED",
        "configuration": [
            _input("plan", checked.plan),
            _input("modelpack.lock", checked.lock),
            _input("weights", checked.weights),
            *(
                {"name": f"development/{wheel.filename}", "digest": {"sha256": wheel.sha256}}
                for wheel in checked.development
            ),
            *(_command(check) for check in checked.checks),
        ],
        "passedTests": names[True],
        "warnedTests": [],
        "failedTests": names[False],
        "metadata": {
            "kind": KIND,
            "platform": str(checked.platform),
            "runner": _runner(checked.runner),
            "startedOn": rfc3339(checked.started),
            "finishedOn": rfc3339(checked.finished),
        },
    }


def _runner(runner: Runner) -> Mapping[str, str]:
    return {"name": runner.name, **({"version": runner.version} if runner.version else {})}


def _input(name: str, digest: Digest) -> Mapping[str, Any]:
    return {"name": name, "digest": {"sha256": hex_of(digest)}}


def _command(check: Check) -> Mapping[str, Any]:
    """Return a check as a resource: its digest is that of its command as canonical JSON."""
    argv = list(check.argv)
    return {
        **_input(f"check/{check.name}", digest_of(canonical_json.dumps(argv))),
        "annotations": {
            f"{NAMESPACE}.command": argv,
            f"{NAMESPACE}.state": check.state,
            f"{NAMESPACE}.status": check.status,
        },
    }
