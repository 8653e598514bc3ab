"""A proof, step by step: what was looked at in one bundle, and what was found."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Literal

from modelpack.trust.statement import Statement

STEPS: Final = (
    "envelope", "statement", "subject", "predicate type", "signature", "transparency log", "time",
    "certificate", "certificate log", "signer", "freshness", "second opinion",
)  # fmt: skip
"in order; each has its number, from 1"
_NOTHING: Mapping[str, str] = MappingProxyType({})

Outcome = Literal["passed", "failed", "not needed", "not reached"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of a proof."""

    number: int
    name: str
    outcome: Outcome
    found: str
    "for people: what was found, or why it is refused"
    hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What is known of one bundle after all steps, or up to the one that failed.

    What it says of signer and statement is worth something only when it `holds`.
    """

    steps: tuple[Step, ...]
    statement: Statement | None = None
    predicate_type: str = ""
    signer: str = ""
    "whom it was expected from: the name in the policy, or the option"
    identity: str = ""
    "of the certificate; empty for a key"
    issuer: str = ""
    key: str = ""
    "sha256 of the key, hexadecimal; of the certificate's key, too"
    extensions: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    "what the certificate authority wrote into the certificate, by Fulcio's names"
    time: int | None = None
    "seconds since 1970: the earliest proved time at which the signature existed"
    log_index: int | None = None

    @property
    def by(self) -> str:
        """Who signed, as the certificate or the key says it."""
        return f"{self.identity} (issuer {self.issuer})" if self.identity else f"key {self.key}"

    @property
    def holds(self) -> bool:
        """Whether every step was taken and passed."""
        done = tuple(step.name for step in self.steps if step.outcome in ("passed", "not needed"))
        return done == STEPS and self.statement is not None

    @property
    def failure(self) -> Step | None:
        """The step that failed."""
        return next((step for step in self.steps if step.outcome == "failed"), None)


class Unproved(Exception):  # noqa: N818  a finding of a step, which makes it a failed one
    """What a step looked for is not so."""

    def __init__(self, reason: str, *, hint: str = "") -> None:
        """`reason` and `hint` are for people."""
        super().__init__(reason)
        self.reason = reason
        self.hint = hint
