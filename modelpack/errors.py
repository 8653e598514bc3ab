"""What can be wrong, said so that a person can mend it: what, where, and the next command."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong or doubtful."""

    message: str
    "lowercase, no full stop, literals in backticks"
    at: str = ""
    "dotted path, file, layer or member that it is about"
    hint: str = ""
    "the next command to type or edit to make"
    rule: str = ""
    "stable name of the rule, such as `weights.pickle`"
    severity: Literal["error", "warning"] = "error"


class ModelpackError(Exception):
    """Stop with one or more findings; `exit_code` is the process's exit status."""

    exit_code: ClassVar[int] = 2

    def __init__(self, *findings: Finding | str, at: str = "", hint: str = "") -> None:
        self.findings = tuple(
            Finding(message=f, at=at, hint=hint) if isinstance(f, str) else f for f in findings
        )
        super().__init__(
            "; ".join(f"{f.at}: {f.message}" if f.at else f.message for f in self.findings)
        )


class Refused(ModelpackError):  # noqa: N818  a verdict, not a fault
    """The answer is no: a check, a policy, a verification or a comparison failed."""

    exit_code = 1


class InputError(ModelpackError):
    """The spec, the lock or the command line is wrong."""

    exit_code = 2


class StaleLock(InputError):  # noqa: N818  the field's word
    """The lock was made for another spec; the findings say what moved."""


class Unavailable(ModelpackError):  # noqa: N818  a state of the world
    """Could not find out: network, missing program, missing file on a mirror."""

    exit_code = 3


def joined(errors: Sequence[ModelpackError], *others: Finding) -> ModelpackError:
    """Return one error with all findings of `errors` and `others`, each once.

    The most decisive kind wins: a no stands whatever else is wrong, and a wrong input is wrong
    whether or not the world could be asked.
    """
    kind = type(min(errors, key=lambda error: error.exit_code))
    found = [finding for error in errors for finding in error.findings]
    return kind(*dict.fromkeys((*found, *others)))
