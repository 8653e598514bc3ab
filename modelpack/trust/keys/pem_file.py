"""A private key in a PEM file: PKCS#8, encrypted or not (RFC 5958), SEC 1 as openssl writes it, or
as cosign encrypts it.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from modelpack.errors import InputError, Unavailable
from modelpack.trust.keys import cosign_file
from modelpack.trust.keys.key import Key, check_curve

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

_LIMIT: Final = 64 << 10
"bytes of a file; a key has some hundred"
_MAKE_ONE: Final = (
    "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -aes256 -out key.pem"
)


class PemKey:
    """A key that was read into this process."""

    def __init__(self, private: "PrivateKeyTypes", *, at: str) -> None:
        """Take a key of P-256, or raise InputError."""
        from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415
        from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415
            Encoding,
            PublicFormat,
        )

        self.spki: bytes = private.public_key().public_bytes(
            Encoding.DER, PublicFormat.SubjectPublicKeyInfo
        )
        check_curve(self.spki, at=at)
        if not isinstance(private, ec.EllipticCurvePrivateKey):
            raise InputError("not a key that can sign", at=at)
        self._private = private

    def sign(self, message: bytes) -> bytes:
        """Return the signature of SHA-256 of `message`."""
        from cryptography.hazmat.primitives import hashes  # noqa: PLC0415
        from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415

        return self._private.sign(message, ec.ECDSA(hashes.SHA256()))


def ephemeral() -> tuple[Key, bytes]:
    """Return a new key that ends with this process, and a request to certify it (PKCS#10, PEM)."""
    from cryptography import x509  # noqa: PLC0415
    from cryptography.hazmat.primitives import hashes  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import Encoding  # noqa: PLC0415

    private = ec.generate_private_key(ec.SECP256R1())
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    request = builder.sign(private, hashes.SHA256()).public_bytes(Encoding.PEM)
    return PemKey(private, at="a new key"), request


def read(path: Path, password: Callable[[str], bytes | None]) -> Key:
    """Return the key in the file at `path`; raises InputError, never with what is in it."""
    return load(_content(path), password, at=str(path))


def load(data: bytes, password: Callable[[str], bytes | None], *, at: str) -> Key:
    """Return the key that `data` holds."""
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415
        load_der_private_key,
        load_pem_private_key,
    )

    _check_kind(data, at=at)
    given = password(at) if b"ENCRYPTED" in data else None
    of_cosign = cosign_file.is_one(data)
    if b"ENCRYPTED" in data and (given is None or not (given or of_cosign)):
        raise InputError(
            "the key is encrypted, and there is no password", at=at,
            hint="set MODELPACK_KEY_PASSWORD, or name a file with `--password-file`",
        )  # fmt: skip
    # What fails is not chained: some messages of libraries quote what they were given.
    problem = ""
    try:
        if of_cosign:
            private = load_der_private_key(cosign_file.opened(data, given or b"", at=at), None)
        else:
            private = load_pem_private_key(data, given)
    except UnsupportedAlgorithm:
        problem = "a key of an unknown kind"
    except (ValueError, TypeError):
        problem = "the password does not open the key" if given else "not a private key in PEM"
    if problem:
        raise InputError(problem, at=at, hint="" if given else _MAKE_ONE)
    return PemKey(private, at=at)


def _check_kind(data: bytes, *, at: str) -> None:
    """Raise InputError for what people mistake for a private key in PEM."""
    if b"PRIVATE KEY-----" not in data:
        public = b"PUBLIC KEY-----" in data or b"CERTIFICATE-----" in data
        raise InputError(
            "a public key or certificate, which cannot sign" if public
            else "not a private key in PEM",
            at=at, hint=_MAKE_ONE,
        )  # fmt: skip


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            data = stream.read(_LIMIT + 1)
    except FileNotFoundError as error:
        raise InputError("there is no such file", at=str(path)) from error
    except OSError as error:
        raise Unavailable(f"cannot be read: {error.strerror}", at=str(path)) from error
    if len(data) > _LIMIT:
        raise InputError("too large for a key", at=str(path))
    return data
