"""Whether an image is what a stage has now: promoted by who may, replaced by nothing since.

What has the stage is the image that the move with the highest number names. A move is known beside
the image that it promoted and beside the one that it replaced, so that an image which was replaced
cannot pass for the current one, whatever the stage's tag says. An attacker who can remove what is
beside an image is caught by whoever remembers a higher number.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from modelpack.canonical_json import rfc3339
from modelpack.digest import Digest
from modelpack.errors import InputError
from modelpack.inputs.quoting import quoted
from modelpack.trust import promotion
from modelpack.trust.policy import TYPES, Checks, Evaluation, Kind, Malware, Stage, Test
from modelpack.trust.predicate_types import PROMOTED, SUPERSEDED
from modelpack.trust.promotion import Promotion
from modelpack.verifying import evaluations, malware, requirements
from modelpack.verifying.bench import Bench, met, unmet
from modelpack.verifying.facts import Facts
from modelpack.verifying.proving import Accepted
from modelpack.verifying.report import Report, Requirement
from modelpack.verifying.times import moment

_SHOWN = 3
"names of repositories in one message"
_HINT = "who may promote it does so: modelpack promote IMAGE --to {stage}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """A move of the stage that is proved."""

    promotion: Promotion
    here: bool
    "it made this image the one of the stage; otherwise it replaced it"
    accepted: Accepted


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """Somebody who wants to promote, before anything of it is attached."""

    signer: str
    "identity and issuer, or key: as of a proof"
    time: int


def moves(bench: Bench, digest: Digest, stage: str, rules: Stage) -> tuple[list[Move], str]:
    """Return the proved moves of `stage` that concern an image, the last first, else why none.

    Those of another repository are not there: the same image may have a stage in several, and
    whoever copies an image brings its moves along.
    """
    sought = bench.seek("stage", digest, (PROMOTED, SUPERSEDED), rules.signers, alone=True)
    found = []
    for one in sought.accepted:
        try:
            move = promotion.read(one.proof.statement) if one.proof.statement else None
        except InputError:
            continue
        if move is not None and move.stage == stage:
            here = one.proof.predicate_type == PROMOTED
            found.append(Move(promotion=move, here=here, accepted=one))
    found.sort(key=lambda move: (-move.promotion.sequence, move.here))
    own, why = _of(rules.repository or bench.gathered.repository, found, stage)
    return own, why or sought.why


def _of(repository: str, found: list[Move], stage: str) -> tuple[list[Move], str]:
    """Return the moves of a stage of `repository`, or of the only one that there are any of."""
    names = sorted({move.promotion.repository for move in found})
    listed = " and ".join(quoted(name) for name in names[:_SHOWN])
    pointer = f"which one is meant, `stages.{stage}.repository` says"
    if not repository:
        return (found, "") if len(names) <= 1 else ([], f"{stage} is of {listed}; {pointer}")
    own = [move for move in found if move.promotion.repository == repository]
    if own or not found:
        return own, ""
    return [], f"{stage} is of {listed}, not of {quoted(repository)}; {pointer}"


def current(bench: Bench, digest: Digest, stage: str, *, remembered: int = 0) -> Requirement:
    """Judge that the image has `stage` now; `remembered` is the highest number ever seen."""
    rules = bench.policy.stages[stage]
    wanted = f"promoted to {stage} by {bench.named(rules.signers)}, and not replaced since"
    found, why = moves(bench, digest, stage, rules)
    unsure = digest in bench.gathered.unavailable
    if not found:
        return _no(stage, wanted, why, outcome="unknown" if unsure else "failed")
    last = found[0]
    said = last.promotion
    if not last.here:
        return _no(stage, wanted, f"superseded: number {said.sequence} gave {stage} to "
                   f"{said.image}", one=last.accepted)  # fmt: skip
    if said.sequence < remembered:
        return _no(stage, wanted, f"replayed: its number is {said.sequence}, and number "
                   f"{remembered} has been seen here", one=last.accepted)  # fmt: skip
    if unsure:  # what could not be read may say that it was replaced
        return _no(stage, wanted, why, one=last.accepted, outcome="unknown")
    when = f" at {rfc3339(last.accepted.proof.time)}" if last.accepted.proof.time else ""
    by = last.accepted.proof.by
    return met("stage", wanted, last.accepted, f"number {said.sequence}, by {by}{when}")


def approval_of(bench: Bench, digest: Digest, stage: str) -> Approval | None:
    """Return who gave `stage` to an image last, and when; None: nobody."""
    found, _ = moves(bench, digest, stage, bench.policy.stages[stage])
    given = next((move.accepted for move in found if move.here), None)
    return Approval(signer=given.proof.by, time=given.proof.time or bench.judge.now) if (
        given
    ) else None  # fmt: skip


def before(
    bench: Bench, facts: Facts, root: Digest, stage: str, approval: Approval
) -> Iterator[Requirement]:
    """Yield what must be so of an image when somebody promotes it to `stage`."""
    rules = bench.policy.stages[stage]
    if rules.after:
        yield _after(bench, root, stage, rules, approval)
    for kind in rules.statements:
        if getattr(bench.policy, kind) is None:  # else the policy itself asks for it
            yield _statement(bench, facts, kind)
    if rules.scan_max_age:
        yield _scan_age(bench, facts, rules, approval)
    if rules.approver_not_builder:
        yield _another(bench, facts, root, approval)


def sequence_of(report: Report) -> int:
    """Return the number of the move that a report proves; 0: none."""
    proofs = (one.proof for judged in report.judged for one in judged.requirements
              if one.name == "stage" and one.outcome == "met" and one.proof)  # fmt: skip
    found = (promotion.read(proof.statement).sequence for proof in proofs if proof.statement)
    return max(found, default=0)


def _after(
    bench: Bench, root: Digest, stage: str, rules: Stage, approval: Approval
) -> Requirement:  # fmt: skip
    earlier = bench.policy.stages[rules.after]
    wanted = f"promoted to {rules.after} by {bench.named(earlier.signers)} before {stage}"
    found, why = moves(bench, root, rules.after, earlier)
    times = [(move.accepted.proof.time or 0, move) for move in found if move.here]
    good = [move for time, move in times if time <= approval.time]
    if good:
        return replace(met("stage", wanted, good[0].accepted), name=f"after {rules.after}")
    reason = f"it never had {rules.after}" if found else why
    return _no(rules.after, wanted, reason, name=f"after {rules.after}")


def _statement(bench: Bench, facts: Facts, kind: Kind) -> Requirement:
    match kind:  # the policy has no section of it
        case "test":
            return requirements.test(bench, facts, Test())
        case "malware":
            return malware.requirement(bench, facts, Malware())
        case "checks":
            return requirements.checks(bench, facts, Checks())
        case "evaluation":
            return evaluations.requirement(bench, facts, Evaluation())
        case _:
            pass
    return requirements.statement(
        bench, facts, name=kind, types=TYPES[kind], signers=(), max_age=""
    )


def _scan_age(bench: Bench, facts: Facts, rules: Stage, approval: Approval) -> Requirement:
    from modelpack.trust.policy.expecting import seconds  # noqa: PLC0415

    wanted = f"scanned at most {rules.scan_max_age} before"
    section = bench.policy.scan
    sought = bench.seek("scan", facts.digest, TYPES["scan"], section.signers if section else ())
    limit = seconds(rules.scan_max_age) or 0
    for one in sought.accepted:
        said = one.proof.statement.predicate if one.proof.statement else {}
        metadata = said.get("metadata")
        finished = metadata.get("scanFinishedOn") if isinstance(metadata, dict) else None
        known = [t for t in (one.proof.time, moment(finished or "")) if t is not None]
        if known and 0 <= approval.time - min(known) <= limit:
            return replace(met("scan", wanted, one), name="scan age")
    why = "no scan is of that time" if sought.accepted else sought.why
    return replace(unmet("scan", wanted, why, outcome=sought.otherwise), name="scan age")


def _another(bench: Bench, facts: Facts, root: Digest, approval: Approval) -> Requirement:
    """Judge that who promotes did not also build: sign the image or its provenance."""
    wanted = "who promotes is not who built"
    policy = bench.policy
    builders = {
        one.proof.by
        for kind, section in (("provenance", policy.provenance), ("signature", policy.signature))
        for digest in {facts.digest, root}
        for one in bench.seek(
            kind, digest, TYPES[kind], section.signers if section else ()
        ).accepted
    }  # fmt: skip
    found = Requirement(
        name="approver", outcome="failed", wanted=wanted, found="nobody is known to have built it",
        hint="sign the image and its provenance first: modelpack sign IMAGE",
    )  # fmt: skip
    if approval.signer in builders:
        hint = "let somebody else promote it"
        return replace(found, found=f"{approval.signer} did both", hint=hint)
    if {facts.digest, root} & bench.gathered.unavailable:
        why = "not all that is beside the image could be read"
        return replace(found, outcome="unknown", found=why, hint="")
    if builders:
        by = ", ".join(sorted(builders))
        said = f"{approval.signer}; built by {by}"
        return replace(found, outcome="met", found=said, hint="")
    return found


def _no(
    stage: str, wanted: str, why: str, *, one: Accepted | None = None, name: str = "stage",
    outcome: Literal["failed", "unknown"] = "failed",
) -> Requirement:  # fmt: skip
    found = unmet("stage", wanted, why, one=one, outcome=outcome)
    return replace(found, name=name, hint=_HINT.format(stage=stage))
