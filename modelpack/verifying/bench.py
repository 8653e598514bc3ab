"""What every requirement is judged with: the policy, what was gathered, and the proofs."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Literal

from modelpack.canonical_json import rfc3339
from modelpack.digest import Digest
from modelpack.inspection.referrer_document import ReferrerDocument
from modelpack.trust.policy import TYPES, Policy, Waiver
from modelpack.trust.policy.expecting import expected
from modelpack.verifying.facts import Facts
from modelpack.verifying.gathering import Gathered
from modelpack.verifying.proving import Accepted, Judge
from modelpack.verifying.report import Refusal, Requirement
from modelpack.verifying.times import finished

_NOBODY = "nothing that is signed says so"
_SHOWN = 3
_HINTS: Mapping[str, str] = MappingProxyType({
    "image": "name an image, or an index that has one",
    "signature": "who may sign it does so with `modelpack sign IMAGE`",
    "provenance": "build it where the policy allows it, and sign it there",
    "base": "build on another base, or allow this one in the policy",
    "sbom": "modelpack build makes one; modelpack sign IMAGE signs it",
    "scan": "scan and sign it again: modelpack scan IMAGE; modelpack sign IMAGE",
    "malware": "look and sign again: modelpack scan IMAGE --malware; modelpack sign IMAGE",
    "test": "test and sign it again: modelpack test IMAGE; modelpack sign IMAGE",
    "checks": "run and sign them again: modelpack check --run; modelpack sign IMAGE",
    "evaluation": "evaluate these weights, and build and sign with the report",
    "licenses": "use another package, or accept the licence in `[[waivers]]`",
    "labels": "set them in `[image] labels` and build again",
    "formats": "convert the weights to safetensors and build again",
    "rebuild": "make and sign it again: modelpack rebuild IMAGE; modelpack sign IMAGE",
    "weights image": "modelpack copy brings both; where only its files come, `--no-weights-image`",
    "weights": "who made the model signs its weights (OpenSSF Model Signing)",
})  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Sought:
    """What was found of a statement that somebody must have made."""

    accepted: tuple[Accepted, ...]
    "the newest first"
    sure: bool
    "whether everything was looked at"
    why: str
    "where nothing was accepted"

    @property
    def otherwise(self) -> Literal["failed", "unknown"]:
        """What it means that nothing was accepted."""
        return "failed" if self.sure else "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """A policy at work; keeps what was refused of what it looked for."""

    gathered: Gathered
    policy: Policy
    judge: Judge
    refused: list[Refusal] = field(default_factory=list)

    def seek(
        self, name: str, digest: Digest, types: Sequence[str], signers: tuple[str, ...],
        max_age: str = "", *, alone: bool = False,
    ) -> Sought:  # fmt: skip
        """Return the statements of `types` about an image, or about its index, that are proved.

        `signers` are names of the policy; without any, who may sign the image. `alone`: those about
        its index do not count.
        """
        names = self.policy.signers_of(signers)
        wanted = [expected(self.policy, names, kind, max_age=max_age) for kind in types]
        accepted, refused = self.judge.prove(name, self.beside(digest, alone=alone), wanted)
        self.refused.extend(one for one in refused if one.predicate_type in ("", *types))
        places = {digest} if alone else {digest, self.gathered.within.get(digest, digest)}
        if places & self.gathered.unavailable:
            why = "not all that is beside the image could be read"
            return Sought(accepted=tuple(accepted), sure=False, why=why)
        return Sought(accepted=tuple(accepted), sure=True, why=_why(refused, types))

    def beside(self, digest: Digest, *, alone: bool = False) -> list[ReferrerDocument]:
        """Return what is beside an image and, unless `alone`, beside its index."""
        index = self.gathered.within.get(digest)
        places = [digest] if alone or index is None else [digest, index]
        return [one for place in places for one in self.gathered.beside.get(place, ())]

    def newest(
        self, name: str, facts: Facts, signers: tuple[str, ...], max_age: str, *, wanted: str,
        complaints: Callable[[Accepted], Iterator[str]],
        counts: Callable[[Accepted], bool] = lambda _: True,
    ) -> Requirement:  # fmt: skip
        """Judge the newest statement of a kind alone: an older yes hides no newer no.

        Of one type there are several kinds: others than those that `counts` accepts are not there.
        """
        sought = self.seek(name, facts.digest, TYPES[name], signers, max_age)
        if others := [one for one in sought.accepted if not counts(one)]:
            left = tuple(one for one in sought.accepted if one not in others)
            sought = replace(sought, accepted=left, why=sought.why or _NOBODY)
        wanted = f"{wanted}, says {self.named(signers)}"
        if not sought.accepted:
            return unmet(name, wanted, sought.why, outcome=sought.otherwise)
        for one in _newest(sought.accepted):
            if wrong := "; ".join(complaints(one)):
                return unmet(name, wanted, wrong, one=one)
        if not sought.sure:  # what could not be read may be newer
            return unmet(name, wanted, sought.why, outcome="unknown", one=sought.accepted[0])
        return met(name, wanted, sought.accepted[0])

    def named(self, signers: tuple[str, ...]) -> str:
        """Return who may say something, for people."""
        return " or ".join(self.policy.signers_of(signers))

    def waivers(self, name: str, facts: Facts) -> list[Waiver]:
        """Return what is accepted today of a requirement for an image."""
        today = datetime.fromtimestamp(self.judge.now, tz=UTC).date()
        return [
            waiver for waiver in self.policy.waivers
            if waiver.requirement == name and today <= waiver.expires
            and waiver.image in ("", facts.digest, self.gathered.root)
        ]  # fmt: skip


def _newest(accepted: Sequence[Accepted]) -> list[Accepted]:
    """Return what may be the newest: several where they are of one time, or do not say theirs."""
    times = [finished(one.proof) for one in accepted]
    last = max((time for time in times if time is not None), default=None)
    return [one for one, time in zip(accepted, times, strict=True) if time in (None, last)]


def met(name: str, wanted: str, one: Accepted, found: str = "") -> Requirement:
    """Return a requirement that a proof meets."""
    proof = one.proof
    who = proof.identity or f"the key {proof.signer}"
    when = f" at {rfc3339(proof.time)}" if proof.time is not None else ""
    return Requirement(name=name, outcome="met", wanted=wanted, found=found or f"by {who}{when}",
                       evidence=one.signed.evidence, proof=proof)  # fmt: skip


def unmet(
    name: str, wanted: str, why: str, *, outcome: Literal["failed", "unknown"] = "failed",
    one: Accepted | None = None,
) -> Requirement:  # fmt: skip
    """Return a requirement that is not met, or of which nobody knows."""
    return Requirement(
        name=name, outcome=outcome, wanted=wanted, found=why,
        hint=_HINTS.get(name, "who may say so signs it; `modelpack attach` brings it there"),
        evidence=one.signed.evidence if one else "", proof=one.proof if one else None,
    )  # fmt: skip


def _why(refused: Sequence[Refusal], types: Sequence[str]) -> str:
    """Return why nothing was accepted: of what claims to be of the type, else of everything."""
    fitting = [one for one in refused if one.predicate_type in types]
    if not fitting:
        others = [one for one in refused if one.predicate_type not in ("", *types)]
        more = f" ({len(others)} of other types are beside it)" if others else ""
        broken = [one.reason for one in refused if not one.predicate_type]
        return "; ".join([_NOBODY + more, *broken[:_SHOWN]])
    reasons = list(dict.fromkeys(f"{one.step}: {one.reason}" for one in fitting))
    more = f"; and {len(reasons) - _SHOWN} more" if len(reasons) > _SHOWN else ""
    return "; ".join(reasons[:_SHOWN]) + more
