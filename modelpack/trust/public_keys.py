"""Public keys and what they have signed, by algorithms that are written down, never guessed.

Source: sigstore/protobuf-specs, `algorithm-registry.md`: the curve or the kind of a key says how
it signs.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

from modelpack.errors import InputError
from modelpack.trust.proof import Unproved

SIZE_LIMIT: Final = 64 << 10
"bytes of a file with a key"
_SMALLEST_RSA: Final = 2048
_HASHES: Mapping[str, hashes.HashAlgorithm] = MappingProxyType({
    "secp256r1": hashes.SHA256(), "secp384r1": hashes.SHA384(), "secp521r1": hashes.SHA512(),
})  # fmt: skip

PublicKey = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey


def of_pem(data: bytes, *, at: str) -> bytes:
    """Return the DER SubjectPublicKeyInfo of the public key in `data`, or raise InputError."""
    if b"PRIVATE KEY" in data:
        raise InputError(
            "a private key", at=at, hint="give the public half: openssl pkey -pubout -in FILE"
        )
    try:
        key = serialization.load_pem_public_key(data[:SIZE_LIMIT])
    except (ValueError, UnsupportedAlgorithm) as error:
        raise InputError("not a public key in PEM", at=at) from error
    try:
        _hash_of(key)
    except Unproved as error:
        raise InputError(error.reason, at=at) from error
    return spki(key)


def load(der: bytes) -> PublicKey:
    """Return the key that a DER SubjectPublicKeyInfo holds, or raise Unproved."""
    try:
        key = serialization.load_der_public_key(der)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise Unproved("a public key that cannot be read") from error
    if not isinstance(key, PublicKey):
        raise Unproved("a key of a kind that is not used for signatures")
    _hash_of(key)
    return key


def spki(key: PublicKeyTypes) -> bytes:
    """Return a public key as DER SubjectPublicKeyInfo."""
    return key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def has_signed(key: PublicKeyTypes, signature: bytes, data: bytes) -> bool:
    """Tell whether `signature` is that of `key` over `data`; raises Unproved for odd keys."""
    algorithm = _hash_of(key)
    try:
        match key:
            case ec.EllipticCurvePublicKey() if algorithm:
                key.verify(signature, data, ec.ECDSA(algorithm))
            case rsa.RSAPublicKey() if algorithm:
                key.verify(signature, data, padding.PKCS1v15(), algorithm)
            case ed25519.Ed25519PublicKey():
                key.verify(signature, data)
            case _:
                return False
    except InvalidSignature:
        return False
    return True


def digest(key: PublicKeyTypes, data: bytes) -> bytes:
    """Return the digest of `data` that `key` signs."""
    hashing = hashes.Hash(_hash_of(key) or hashes.SHA256())
    hashing.update(data)
    return hashing.finalize()


def _hash_of(key: PublicKeyTypes) -> hashes.HashAlgorithm | None:
    """Return what `key` hashes with; None: it takes the whole message."""
    match key:
        case ec.EllipticCurvePublicKey() if key.curve.name in _HASHES:
            return _HASHES[key.curve.name]
        case ec.EllipticCurvePublicKey():
            raise Unproved(f"a key on the curve {key.curve.name}, which is not used for signatures")
        case rsa.RSAPublicKey() if key.key_size >= _SMALLEST_RSA:
            return hashes.SHA256()
        case rsa.RSAPublicKey():
            raise Unproved(f"an RSA key of {key.key_size} bits, which is too small")
        case ed25519.Ed25519PublicKey():
            return None
        case _:
            raise Unproved("a key of a kind that is not used for signatures")
