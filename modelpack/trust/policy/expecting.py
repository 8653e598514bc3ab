"""From the names in a Policy to who must have signed: keys read, patterns made."""

from modelpack import quantity
from modelpack.trust import public_keys
from modelpack.trust.expected import Expected, Identity, Key, Pattern, Signer
from modelpack.trust.policy import Policy
from modelpack.trust.policy import Signer as Written


def expected(
    policy: Policy, signers: tuple[str, ...], predicate_type: str, *, max_age: str = ""
) -> Expected:
    """Return what a statement of `predicate_type` by one of `signers` must be."""
    return Expected(
        predicate_type=predicate_type,
        signers=tuple(_signer(name, policy.signers[name]) for name in signers),
        log=policy.log,
        max_age=seconds(max_age),
    )


def seconds(duration: str) -> int | None:
    """Return a duration in seconds; None: it is not limited."""
    return quantity.duration(duration) // 1000 if duration else None


def _signer(name: str, written: Written) -> Signer:
    if written.key:
        return Key(name=name, spki=public_keys.of_pem(written.key.encode(), at=f"signers.{name}"))
    return Identity(
        name=name,
        identity=_pattern(written.identity, written.identity_regexp),
        issuer=_pattern(written.issuer, written.issuer_regexp),
    )


def _pattern(exact: str, regexp: str) -> Pattern:
    return Pattern(text=exact) if exact else Pattern(text=regexp, regexp=True)
