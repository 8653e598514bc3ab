"""Statements to bundles: each signed once, witnessed, and proved before anybody gets it."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from modelpack.digest import Digest
from modelpack.errors import Refused
from modelpack.oci import parallel
from modelpack.progress import Progress
from modelpack.quantity import counted
from modelpack.signing.value import Signed, Wanted
from modelpack.trust.bundle import Bundle
from modelpack.trust.signer import Signer

_THREADS: Final = 8
"signatures that wait for logs at once: Rekor v2 answers once a second"


class Prove(Protocol):
    """Judges bundles as whoever meets them will."""

    def __call__(
        self, bundle: Bundle, *, subject: Digest, predicate_type: str, payload: bytes = b""
    ) -> str:
        """Return why `bundle` proves nothing about `subject`; empty: it does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signing:
    """How to sign: by whom, and how it is proved to have worked."""

    signer: Callable[[str], Signer]
    """given what is to be signed, for people; called once, when all of it is known: what certifies
    a signer lasts some minutes"""
    prove: Callable[[Signer], Prove]


def sign(
    wanted: Iterable[Wanted], signer: Signer, prove: Prove, *, progress: Progress
) -> tuple[Signed, ...]:
    """Return the bundles of all that is `wanted`; raises Refused when one does not prove it.

    One text is signed once, whatever number of images it stands beside.
    """
    todo = list(wanted)
    distinct = {item.digest: item.statement for item in todo}
    signed = [signer.sign(statement) for statement in distinct.values()]
    progress.say(f"signing {counted(len(signed), 'statement')} as {signer.identity}")

    def witness(bundle: Bundle, _: Callable[[int], None]) -> Bundle:
        return signer.witness(bundle)

    witnessed = parallel.each(witness, signed, lambda _: None, threads=_THREADS)
    bundles = dict(zip(distinct, witnessed, strict=True))
    made = tuple(
        Signed(wanted=item, bundle=bundles[item.digest], identity=signer.identity) for item in todo
    )
    _check(made, prove)
    return made


def _check(made: Sequence[Signed], prove: Prove) -> None:
    """Raise Refused unless every bundle proves what it is to prove."""
    for one in made:
        wanted = one.wanted
        reason = prove(
            one.bundle, subject=wanted.about,
            predicate_type=wanted.statement.predicate_type,
        )  # fmt: skip
        if reason:
            raise Refused(
                f"what was signed does not verify, and goes nowhere: {reason}", at=wanted.kind,
                hint="the trusted root must be that of the services which signed",
            )  # fmt: skip
