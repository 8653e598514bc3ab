"""From a Policy to what an admission controller can demand: statements, signers, conditions.

Pure. What a controller cannot judge is not left out silently: it is listed.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from modelpack.deploy.admission import conditions
from modelpack.deploy.admission.conditions import Condition
from modelpack.errors import InputError
from modelpack.trust.policy import TYPES, Policy
from modelpack.trust.policy import Signer as Written

_KINDS: Final = (
    "signature", "provenance", "sbom", "scan", "malware", "test", "checks", "evaluation", "rebuild",
)  # fmt: skip
_NOT_A_WORD: Final = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """Somebody by whom a statement may be signed."""

    name: str
    "in the policy"
    id: str
    "a word in every language that is rendered"
    identity: Mapping[str, str]
    "as both controllers spell it; empty for a key"
    key: str
    "PEM"


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """A statement that must be there, by one of some signers, and what it must say."""

    name: str
    id: str
    type: str
    "predicate type: the one that modelpack writes"
    who: tuple[Signer, ...]
    conditions: tuple[Condition, ...] = ()

    @property
    def signers(self) -> tuple[str, ...]:
        """Their names, for people."""
        return tuple(signer.name for signer in self.who)


@dataclass(frozen=True, slots=True, kw_only=True)
class Demands:
    """All that a controller is to demand of an image."""

    signers: tuple[Signer, ...]
    "each once"
    demands: tuple[Demand, ...]
    log: bool
    "a transparency log must have what keys signed"
    left_out: tuple[str, ...]
    "what the policy asks for and a controller cannot judge"


def of(policy: Policy) -> Demands:
    """Return what `policy` demands; raises InputError where it demands nothing signed."""
    names = sorted(policy.signers)
    ids = dict(zip(names, _words(names), strict=True))
    known = {name: _signer(name, ids[name], policy.signers[name]) for name in names}
    demands = tuple(_demands(policy, known))
    if not demands:
        raise InputError("the policy asks for nothing that an admission controller can demand",
                         at="signature", hint="name who must sign the image")  # fmt: skip
    used = {signer.name for demand in demands for signer in demand.who}
    return Demands(
        signers=tuple(known[name] for name in names if name in used),
        demands=demands,
        log=policy.log,
        left_out=tuple(_left_out(policy)),
    )


def _demands(policy: Policy, known: Mapping[str, Signer]) -> Iterator[Demand]:
    for kind in _KINDS:
        section = getattr(policy, kind)
        if section is not None:
            yield Demand(
                name=kind, id=kind, type=TYPES[kind][0],
                who=tuple(known[name] for name in policy.signers_of(section.signers)),
                conditions=tuple(conditions.of(policy, kind)),
            )  # fmt: skip
    for index, required in enumerate(policy.statements):
        yield Demand(
            name=required.type, id=f"statement{index}", type=required.type,
            who=tuple(known[name] for name in policy.signers_of(required.signers)),
        )  # fmt: skip


def _signer(name: str, word: str, written: Written) -> Signer:
    spelled = {
        "issuer": written.issuer,
        "issuerRegExp": _whole(written.issuer_regexp),
        "subject": written.identity,
        "subjectRegExp": _whole(written.identity_regexp),
    }
    identity = {key: value for key, value in spelled.items() if value}
    return Signer(name=name, id=word, identity=identity, key=written.key)


def _whole(regexp: str) -> str:
    """Return a pattern that finds nothing but what the whole of `regexp` matches."""
    return f"^(?:{regexp})$" if regexp else ""


def _words(names: list[str]) -> Iterator[str]:
    """Yield a word for each name, none twice: `release-bot` becomes `releasebot`."""
    taken = set[str]()
    for name in names:
        word = f"s{_NOT_A_WORD.sub('', name)}"
        while word in taken:
            word += "x"
        taken.add(word)
        yield word


def _left_out(policy: Policy) -> Iterator[str]:
    """Yield what of the policy no admission controller is asked."""
    for kind in (*_KINDS, "statements"):
        section = getattr(policy, kind)
        sections = section if isinstance(section, tuple) else (section,) if section else ()
        if kind not in ("scan", "malware") and any(one.max_age for one in sections):
            yield f"{kind}.max-age, the age of a signature"
    if policy.provenance and (policy.provenance.repositories or policy.provenance.refs):
        yield "provenance.repositories and refs, but as far as a signer's identity names them"
    if policy.scan and policy.scan.database_max_age:
        yield "scan.database-max-age"
    if policy.malware and policy.malware.database_max_age:
        yield "malware.database-max-age"
    if policy.evaluation:
        yield "evaluation: whether it is of the weights in the image"
    for key in ("base", "licenses", "labels", "formats", "weights", "stages"):
        if getattr(policy, key):
            yield key
    if any(not (one.requirement == "scan" and one.id and not one.image) for one in policy.waivers):
        yield "waivers, but those of single findings of scans: the rest is insisted on here"
