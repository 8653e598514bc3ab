"""An image is promoted to a stage: what the policy asks first, then who may, the tag last."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from modelpack.digest import Digest
from modelpack.errors import Finding, InputError, Refused
from modelpack.inputs.machine import Machine
from modelpack.oci.layer import Descriptor, blob_of
from modelpack.oci.manifest import printable
from modelpack.oci.registry.unfinished import FOLDER as UPLOADS
from modelpack.oci.registry.writing import WritableRepository
from modelpack.oci.store import Root
from modelpack.promoting.memory import Memory
from modelpack.reference import WEIGHTS_SUFFIX, Registry
from modelpack.signing.signing import Prove, Signing, sign
from modelpack.signing.value import Signed, Wanted
from modelpack.stores import opening
from modelpack.trust import verification
from modelpack.trust.bundle import Bundle
from modelpack.trust.policy import Policy
from modelpack.trust.policy.expecting import expected
from modelpack.trust.predicate_types import PROMOTED
from modelpack.trust.promotion import Promotion
from modelpack.trust.proof import Proof
from modelpack.trust.trusted_root import TrustedRoot
from modelpack.verifying import stages
from modelpack.verifying.bench import Bench
from modelpack.verifying.gathering import Gathered, gather
from modelpack.verifying.judging import judge
from modelpack.verifying.proving import Judge
from modelpack.verifying.report import Judged, Report
from modelpack.verifying.stages import Approval


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is to be promoted where, and on which conditions."""

    name: Registry
    stage: str
    "of the policy; the tag that moves"
    reason: str
    policy: Policy
    trusted: TrustedRoot
    signing: Signing
    now: int
    adopt: bool = False
    "whether a tag may be taken over that names an image which nobody promoted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What came of it."""

    report: Report
    promotion: Promotion | None = None
    "None: the report says why not"
    by: str = ""
    attached: tuple[Digest, ...] = ()
    "the manifests that have the statements"
    findings: tuple[Finding, ...] = ()


def carry_out(order: Order, machine: Machine) -> Done:
    """Promote the image, or nothing at all.

    1. The name is resolved once. 2. The policy judges the image. 3. The number is one more than all
    that are proved beside it, beside the image that has the stage, and remembered here. 4. The
    statements are signed, and proved to be by somebody who may promote. 5. The stage's own
    conditions are judged, with that signer. 6. The statements are attached, and listed. 7. The tag
    moves. Raises what stops it before; a promotion that was cut ends as no promotion, or as one
    whose tag is to be moved by promoting again.
    """
    store = WritableRepository(
        order.name, machine.registries, uploads=machine.cache / UPLOADS, replace=True
    )
    _expect_own(order)
    root = opening.found(store, order.name)
    machine.progress.say(f"{order.name} is {root.digest}")
    gathered = gather(store, root, repository=order.name.name)
    report = judge(gathered, order.policy, trusted=order.trusted, now=order.now)
    if report.answer != "verified":
        return Done(report=report)
    before = _before(order, store, root.digest)
    memory = Memory(machine.cache, order.name.name)
    promotion = _next(order, gathered, before, memory)
    new, by = _signed(order, store, root, promotion, machine)
    report = _with_conditions(order, gathered, report, by)
    if report.answer != "verified":
        return Done(report=report)
    _expect_unmoved(order, store, before)
    for one in new:
        store.attach(one.wanted.subject, [one.referrer])
    _name(store, root, gathered, order.stage)
    memory.saw(order.stage, promotion.sequence)
    return Done(
        report=report, promotion=promotion, by=by.signer, findings=_findings(order, before),
        attached=tuple(one.manifest for one in new),
    )  # fmt: skip


def _expect_own(order: Order) -> None:
    """Raise InputError where the policy says that the stage is another repository's."""
    theirs = order.policy.stages[order.stage].repository
    if theirs and theirs != order.name.name:
        raise InputError(
            f"{order.stage} is a stage of `{theirs}`, by the policy", at=order.name.name,
            hint=f"promote the image there: modelpack copy {order.name} {theirs}",
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class _Before:
    """The image that has the stage, and what is beside it."""

    descriptor: Descriptor | None
    gathered: Gathered | None
    moves: Sequence[stages.Move] = ()


def _before(order: Order, store: WritableRepository, new: Digest) -> _Before:
    held = store.held(order.stage)
    if held is None:
        return _Before(descriptor=None, gathered=None)
    descriptor = store.resolve(order.stage)
    found = gather(store, descriptor, repository=order.name.name)
    moves, why = stages.moves(
        _bench(order, found), descriptor.digest, order.stage, order.policy.stages[order.stage]
    )
    if not any(move.here for move in moves) and not order.adopt and descriptor.digest != new:
        raise Refused(
            f"the tag `{order.stage}` names {descriptor.digest}, which nobody has promoted: "
            f"{why or 'there is no such move'}", at=order.name.name,
            hint="find out who moved it; `--adopt` takes it over",
        )  # fmt: skip
    return _Before(descriptor=descriptor, gathered=found, moves=moves)


def _expect_unmoved(order: Order, store: WritableRepository, before: _Before) -> None:
    """Raise Refused where somebody else moved the tag since: both would count on the same."""
    held = store.held(order.stage)
    known = before.descriptor.digest if before.descriptor else None
    if (held.digest if held else None) != known:
        raise Refused(
            f"the tag `{order.stage}` was moved by another meanwhile", at=order.name.name,
            hint="see what it names now, then promote again",
        )  # fmt: skip


def _next(order: Order, gathered: Gathered, before: _Before, memory: Memory) -> Promotion:
    rules = order.policy.stages[order.stage]
    own, _ = stages.moves(_bench(order, gathered), gathered.root, order.stage, rules)
    known = [move.promotion.sequence for move in (*own, *before.moves)]
    if own and own[0].here and before.descriptor and before.descriptor.digest == gathered.root:
        raise InputError(
            f"it has {order.stage} already, by number {own[0].promotion.sequence}",
            at=order.name.name,
        )
    return Promotion(
        stage=order.stage,
        sequence=1 + max([memory.sequence(order.stage), *known]),
        image=gathered.root,
        previous=before.descriptor.digest if before.descriptor else None,
        reason=order.reason,
        repository=order.name.name,
    )


def _signed(
    order: Order, store: WritableRepository, root: Descriptor, promotion: Promotion,
    machine: Machine,
) -> tuple[tuple[Signed, ...], Approval]:  # fmt: skip
    kind = f"stage.{promotion.stage}.{promotion.sequence}"
    wanted = [Wanted(subject=root, kind=kind, statement=promotion.promoted())]
    superseded = promotion.superseded()
    if superseded is not None and promotion.previous is not None:
        before = store.resolve(promotion.previous)
        wanted.append(Wanted(subject=before, kind=kind, statement=superseded))
    signer = order.signing.signer(f"{order.name.name}@{root.digest} for {promotion.stage}")
    new = sign(wanted, signer, _prover(order), progress=machine.progress)
    proof = _proof(order, new[0].bundle, root.digest, PROMOTED)
    return new, Approval(signer=proof.by, time=proof.time or order.now)


def _prover(order: Order) -> Prove:
    """Return what tells whether a move is signed by somebody who may make it."""

    def prove(bundle: Bundle, *, subject: Digest, predicate_type: str, payload: bytes = b"") -> str:
        proof = _proof(order, bundle, subject, predicate_type, payload)
        failed = proof.failure
        if proof.holds or failed is None:
            return "" if proof.holds else "not all steps were taken"
        may = " or ".join(order.policy.stages[order.stage].signers)
        who = failed.name in ("signature", "signer")
        more = f"; {may} may promote to {order.stage}" if who else ""
        return f"{failed.name}: {failed.found}{more}"

    return prove


def _proof(
    order: Order, bundle: Bundle, subject: Digest, predicate_type: str, payload: bytes = b""
) -> Proof:
    signers = order.policy.stages[order.stage].signers
    return verification.verify(
        bundle, subject=subject, trusted=order.trusted, now=order.now, payload=payload,
        expected=expected(order.policy, signers, predicate_type),
    )  # fmt: skip


def _with_conditions(order: Order, gathered: Gathered, report: Report, by: Approval) -> Report:
    """Return the report with what the stage itself asks for, now that it is known who promotes."""
    bench, judged = _bench(order, gathered), list[Judged]()
    facts = {one.digest: one for one in gathered.images}
    for one in report.judged:
        more = tuple(
            stages.before(bench, facts[one.digest], gathered.root, order.stage, by)
            if one.digest in facts else ()
        )  # fmt: skip
        judged.append(replace(one, requirements=(*one.requirements, *more)))
    return replace(report, judged=tuple(judged))


def _bench(order: Order, gathered: Gathered) -> Bench:
    judge_ = Judge(trusted=order.trusted, now=order.now)
    return Bench(gathered=gathered, policy=order.policy, judge=judge_)


def _name(store: WritableRepository, root: Descriptor, gathered: Gathered, stage: str) -> None:
    """Move the stage's tag last, and before it that of the mounted weights."""

    def named(descriptor: Descriptor, tag: str) -> Root:
        manifest = blob_of(store.read(descriptor), descriptor.media_type)
        return Root(manifest=manifest, tags=(tag,))

    mounted = [one.facts.digest for one in gathered.mounted if one.facts]
    weights = [
        named(store.resolve(digest), f"{stage}{WEIGHTS_SUFFIX}")
        for digest in (mounted if len(mounted) == 1 else ())
    ]
    store.commit([*weights, named(root, stage)])


def _findings(order: Order, before: _Before) -> tuple[Finding, ...]:
    if before.descriptor is None or any(move.here for move in before.moves):
        return ()
    return (
        Finding(
            message=f"`{order.stage}` named {printable(before.descriptor.digest)}, which nobody "
            "had promoted", at=order.name.name, rule="promote.adopted", severity="warning",
        ),
    )  # fmt: skip
