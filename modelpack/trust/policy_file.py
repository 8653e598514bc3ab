"""The door to a policy on disk, and to the keys that it names."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from modelpack.errors import InputError, joined
from modelpack.spec.decoding import MAX_SIZE
from modelpack.trust import public_keys
from modelpack.trust.policy import Policy, Signer
from modelpack.trust.policy.decoding import parse


def read(path: Path) -> Policy:
    """Return the policy in a file, its keys as PEM; paths in it are relative to its folder.

    Raises InputError with everything that is wrong with the file and with its keys.
    """
    policy = parse(contents(path, limit=MAX_SIZE), filename=path.name)
    signers, problems = dict(policy.signers), list[InputError]()
    for name, signer in _with_keys(policy):
        at = f"signers.{name}.key"
        try:
            pem = contents(path.parent / signer.key, limit=public_keys.SIZE_LIMIT)
            public_keys.of_pem(pem, at=at)
            signers[name] = replace(signer, key=pem.decode())
        except InputError as error:
            problems.append(InputError(*(replace(f, at=f.at or at) for f in error.findings)))
    if problems:
        raise joined(problems)
    return replace(policy, signers=signers)


def contents(path: Path, *, limit: int) -> bytes:
    """Return the bytes of a file, or raise InputError."""
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        reason = (error.strerror or "cannot be read").lower()
        raise InputError(f"cannot read: {reason}", at=str(path)) from error
    if len(data) > limit:
        raise InputError(f"larger than {limit} bytes", at=str(path))
    return data


def _with_keys(policy: Policy) -> Iterator[tuple[str, Signer]]:
    for name, signer in policy.signers.items():
        if signer.key:
            yield name, signer
