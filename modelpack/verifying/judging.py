"""What a policy says of what was gathered: every requirement, one after the other; pure.

An index is judged by its signature alone; each image in it must satisfy everything, and the image
of its mounted weights all that is about weights. What the policy leaves out is not asked. Nothing
counts that is not proved.
"""

from collections.abc import Iterator
from dataclasses import replace

from modelpack.digest import Digest
from modelpack.trust.policy import TYPES, Policy, Sbom, Signature
from modelpack.trust.trusted_root import TrustedRoot
from modelpack.verifying import (
    evaluations,
    malware,
    model_signatures,
    requirements,
    signed,
    stages,
)
from modelpack.verifying.bench import Bench, met, unmet
from modelpack.verifying.facts import Facts
from modelpack.verifying.gathering import Gathered, Mounted
from modelpack.verifying.proving import Judge
from modelpack.verifying.report import Judged, Report, Requirement


def judge(
    gathered: Gathered, policy: Policy, *, trusted: TrustedRoot, now: int, stage: str = "",
    remembered: int = 0,
) -> Report:  # fmt: skip
    """Return what `policy` says of everything that was gathered.

    With `stage`, also whether the image has it now; `remembered` is the highest number of its moves
    that was ever seen.
    """
    bench = Bench(gathered=gathered, policy=policy, judge=Judge(trusted=trusted, now=now))
    judged = list[Judged]()
    covered = set[Digest]()
    for digest in gathered.indexes:
        if policy.signature is None:
            break
        found = _signature(bench, digest, policy.signature, covered)
        judged.append(Judged(role="index", digest=digest, platform="", requirements=(found,)))
    if not gathered.images:
        nothing = unmet("image", "there is one", "the index names no image")
        judged.append(
            Judged(role="index", digest=gathered.root, platform="", requirements=(nothing,))
        )
    for facts in gathered.images:
        found_of = tuple(_of_image(bench, facts, covered))
        judged.append(Judged(role="image", digest=facts.digest, platform=facts.platform,
                             requirements=found_of))  # fmt: skip
    judged += [_of_mounted(bench, one, covered) for one in gathered.mounted]
    if stage:
        if gathered.root not in {one.digest for one in judged}:
            judged.insert(0, Judged(role="index", digest=gathered.root, platform="",
                                    requirements=()))  # fmt: skip
        judged = [_with_stage(bench, one, stage, remembered) for one in judged]
    return Report(
        digest=gathered.root,
        judged=tuple(judged),
        refused=tuple(dict.fromkeys(bench.refused)),
        unsigned=_unsigned(gathered),
        notes=gathered.notes,
    )


def _unsigned(gathered: Gathered) -> tuple[Digest, ...]:
    """Return the statements that nobody signed: of which no bundle is here either."""
    documents = [one for beside in gathered.beside.values() for one in beside]
    within = [one.statement for one in documents if signed.is_signed(one)]
    bare = (one for one in documents if signed.is_bare_statement(one))
    return tuple(dict.fromkeys(
        one.descriptor.digest for one in bare if one.statement not in within
    ))  # fmt: skip


def _signature(
    bench: Bench, digest: Digest, rules: Signature, covered: set[Digest]
) -> Requirement:  # fmt: skip
    """Judge a signature; `covered` are the indexes whose own holds, and it grows."""
    wanted = f"signed by {bench.named(rules.signers)}"
    sought = bench.seek(
        "signature", digest, TYPES["signature"], rules.signers, rules.max_age, alone=True
    )
    if sought.accepted:
        covered.add(digest)
        return met("signature", wanted, sought.accepted[0])
    index = bench.gathered.within.get(digest)
    if index in covered:
        covered.add(digest)
        return Requirement(name="signature", outcome="met", wanted=wanted,
                           found=f"named by {index}, which is signed")  # fmt: skip
    return unmet("signature", wanted, sought.why, outcome=sought.otherwise)


def _of_image(bench: Bench, facts: Facts, covered: set[Digest]) -> Iterator[Requirement]:
    if bench.policy.signature:
        yield _signature(bench, facts.digest, bench.policy.signature, covered)
    for found in _asked(bench, facts):
        yield _waived(bench, facts, found)


def _waived(bench: Bench, facts: Facts, found: Requirement) -> Requirement:
    """Return what was found, or that somebody accepts it for a while."""
    whole = [waiver for waiver in bench.waivers(found.name, facts) if not waiver.id]
    if found.outcome == "met" or not whole:
        return found
    why = f"{found.found}; accepted until {whole[0].expires}: {whole[0].reason}"
    return replace(found, outcome="waived", found=why)


def _sbom(bench: Bench, facts: Facts, rules: Sbom) -> Requirement:
    return requirements.statement(
        bench, facts, name="sbom", types=TYPES["sbom"], signers=rules.signers,
        max_age=rules.max_age,
    )  # fmt: skip


def _of_mounted(bench: Bench, mounted: Mounted, covered: set[Digest]) -> Judged:
    """Judge an image of weights: who signed and built it, and what else holds of a model alone.

    It has no base, packages or code, and nothing of it runs.
    """
    facts = mounted.facts
    if facts is None:
        found = unmet("weights image", "the image of the mounted weights is here", mounted.why,
                      outcome="failed" if mounted.gone else "unknown")  # fmt: skip
        return Judged(role="weights", digest=Digest(mounted.named), platform="",
                      requirements=(found,))  # fmt: skip
    policy, found_of = bench.policy, list[Requirement]()
    if policy.signature:
        found_of.append(_signature(bench, facts.digest, policy.signature, covered))
    if policy.provenance:
        found_of.append(requirements.provenance(bench, facts, policy.provenance))
    if policy.sbom:
        found_of.append(_sbom(bench, facts, policy.sbom))
    if policy.weights and mounted.sets:
        stated = replace(facts, weights=mounted.sets)
        found_of.append(model_signatures.requirement(bench, stated, policy.weights))
    if not found_of:
        found_of.append(Requirement(
            name="weights image", outcome="met", wanted="the image of the mounted weights is here",
            found="it is, as the image that serves names it",
        ))  # fmt: skip
    return Judged(role="weights", digest=facts.digest, platform="",
                  requirements=tuple(_waived(bench, facts, one) for one in found_of))  # fmt: skip


def _with_stage(bench: Bench, judged: Judged, stage: str, remembered: int) -> Judged:
    """Return what was judged of an image, or of the whole, with what its stage asks."""
    root = bench.gathered.root
    more = list[Requirement]()
    if judged.digest == root:
        more.append(stages.current(bench, root, stage, remembered=remembered))
    approval = stages.approval_of(bench, root, stage)
    facts = next((one for one in bench.gathered.images if one.digest == judged.digest), None)
    if facts is not None and approval is not None:
        more += stages.before(bench, facts, root, stage, approval)
    return replace(judged, requirements=(*judged.requirements, *more))


def _asked(bench: Bench, facts: Facts) -> Iterator[Requirement]:
    """Yield what each table of the policy but the first says of an image."""
    policy = bench.policy
    if policy.provenance:
        yield requirements.provenance(bench, facts, policy.provenance)
    if policy.base:
        yield requirements.base(facts, policy.base)
    if policy.sbom:
        yield _sbom(bench, facts, policy.sbom)
    yield from _gates(bench, facts)
    if policy.licenses:
        yield requirements.licenses(bench, facts, policy.licenses)
    if policy.labels:
        yield requirements.labels(bench, facts)
    if policy.formats:
        yield requirements.formats(facts, policy.formats)
    if policy.rebuild:
        yield requirements.rebuild(bench, facts, policy.rebuild)
    if policy.weights:
        yield model_signatures.requirement(bench, facts, policy.weights)
    for one in policy.statements:
        yield requirements.statement(
            bench, facts, name=one.type, types=(one.type,), signers=one.signers,
            max_age=one.max_age,
        )  # fmt: skip


def _gates(bench: Bench, facts: Facts) -> Iterator[Requirement]:
    """Yield what the policy says of results: what was found out by running something."""
    policy = bench.policy
    if policy.scan:
        yield requirements.scan(bench, facts, policy.scan)
    if policy.malware:
        yield malware.requirement(bench, facts, policy.malware)
    if policy.test:
        yield requirements.test(bench, facts, policy.test)
    if policy.checks:
        yield requirements.checks(bench, facts, policy.checks)
    if policy.evaluation:
        yield evaluations.requirement(bench, facts, policy.evaluation)
