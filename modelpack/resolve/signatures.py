"""Weights that their publisher has signed: `weights.signature` must hold for the locked files."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from modelpack.errors import Finding, InputError, ModelpackError, Refused, joined
from modelpack.inputs.machine import Machine
from modelpack.inputs.opening import open_regular
from modelpack.lock import Lock, WeightsLock
from modelpack.spec import Spec, Weights, WeightsSignature

if TYPE_CHECKING:
    from modelpack.trust.expected import Signer
    from modelpack.trust.model_verification import Signed
    from modelpack.trust.trusted_root import TrustedRoot

_VERIFIERS = frozenset({"cryptography", "sigstore"})
"wheels with one of which an image can check a signature at start"


def require_signatures(
    spec: Spec, lock: Lock, root: Path, *, machine: Machine
) -> tuple["Signed", ...]:
    """Return who signed the locked weights; raise unless all that the spec asks for holds."""
    gate_start(spec, lock)
    return verify_signatures(spec, lock.weights, root, machine=machine)


def verify_signatures(
    spec: Spec, locks: Sequence[WeightsLock], root: Path, *, machine: Machine
) -> tuple["Signed", ...]:
    """Return who signed the weights for which the spec asks for it; raise with all that is wrong.

    The digests are those of the lock: whoever writes or reads the files compares them with it.
    """
    locked = {weights.name: weights for weights in locks}
    found: list[Signed] = []
    errors: list[ModelpackError] = []
    for written in spec.weights:
        if not written.signature.file:
            continue
        try:
            found.append(_verified(locked[written.name], written, root, machine))
        except ModelpackError as error:
            errors.append(error)
    if errors:
        raise joined(errors)
    return tuple(found)


def gate_start(spec: Spec, lock: Lock) -> None:
    """Raise Refused where signatures are required at start and the image could not check one."""
    if not spec.runtime.require_signature:
        return
    findings = [
        Finding(
            message=f"no package of the image for {platform.platform} can check a signature",
            at="runtime.require-signature", rule="signature.no-verifier",
            hint="add `cryptography` (for keys) or `sigstore` (for identities) to the lockfile",
        )
        for platform in lock.platforms
        if not _VERIFIERS & {wheel.name for wheel in platform.wheels}
    ]  # fmt: skip
    if findings:
        raise Refused(*findings)


def _verified(weights: WeightsLock, written: Weights, root: Path, machine: Machine) -> "Signed":
    from modelpack.trust import model_verification  # noqa: PLC0415  heavy, and seldom needed

    at, signature = f"weights.{weights.name}.signature", written.signature
    data = _read(root / signature.file, at=f"{at}.file", limit=64 << 20)
    signed, findings = model_verification.verify(
        data, weights, (_signer(signature, root, at),),
        trusted=_trusted(signature, root, at, machine), now=machine.now, at=signature.file,
    )  # fmt: skip
    if signed is None:
        raise Refused(*findings)
    return signed


def _signer(signature: WeightsSignature, root: Path, at: str) -> "Signer":
    from modelpack.trust import public_keys  # noqa: PLC0415
    from modelpack.trust.expected import Identity, Key, Pattern  # noqa: PLC0415

    if signature.key:
        pem = _read(root / signature.key, at=f"{at}.key", limit=public_keys.SIZE_LIMIT)
        return Key(name=signature.key, spki=public_keys.of_pem(pem, at=f"{at}.key"))
    return Identity(
        name=at, identity=Pattern(text=signature.identity), issuer=Pattern(text=signature.issuer)
    )


def _trusted(signature: WeightsSignature, root: Path, at: str, machine: Machine) -> "TrustedRoot":
    from modelpack.trust import trusted_root  # noqa: PLC0415

    if signature.key:
        return trusted_root.TrustedRoot()
    if signature.trusted_root:
        where = f"{at}.trusted-root"
        data = _read(root / signature.trusted_root, at=where, limit=trusted_root.SIZE_LIMIT)
        return trusted_root.parse(data, at=where)
    from modelpack.trust import public_root  # noqa: PLC0415

    return public_root.fetch(offline=machine.offline)


def _read(path: Path, *, at: str, limit: int) -> bytes:
    with open_regular(path, at=at) as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise InputError(f"`{path.name}` has more than {limit} bytes", at=at)
    return data
