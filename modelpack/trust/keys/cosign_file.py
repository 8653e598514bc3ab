"""A private key as `cosign generate-key-pair` encrypts it: scrypt, and NaCl's secretbox.

Source: secure-systems-lab/go-securesystemslib, `encrypted/encrypted.go`.
"""

import base64
import binascii
from typing import Final

from modelpack.errors import InputError, ModelpackError
from modelpack.oci.manifest import parse_object
from modelpack.trust.keys import secretbox
from modelpack.trust.members import Members

LABELS: Final = ("ENCRYPTED SIGSTORE PRIVATE KEY", "ENCRYPTED COSIGN PRIVATE KEY")
_MOST: Final = 18
"power of two that scrypt's N may be; with r = 8, 256 MiB"
_R, _P = 8, 1
_TEXT: Final = 64 << 10


def is_one(data: bytes) -> bool:
    """Tell whether `data` is such a key."""
    return any(f"-----BEGIN {label}-----".encode() in data for label in LABELS)


def opened(data: bytes, password: bytes, *, at: str) -> bytes:
    """Return the key that `data` holds, DER PKCS#8; raises InputError."""
    try:
        members = Members(parse_object(_body(data), at=at), at=at)
        kdf, cipher = members.child("kdf"), members.child("cipher")
        names = kdf.text("name", limit=64), cipher.text("name", limit=64)
        parameters = kdf.child("params")
        n, r, p = (parameters.number(name) for name in ("N", "r", "p"))
        salt = kdf.data("salt", limit=1024)
        nonce = cipher.data("nonce", limit=1024)
        box = members.data("ciphertext", limit=_TEXT)
    except (ModelpackError, binascii.Error, ValueError) as error:
        raise InputError("not a key as cosign writes it", at=at) from error
    if names != ("scrypt", "nacl/secretbox") or (r, p) != (_R, _P):
        raise InputError("encrypted in another way than cosign does it", at=at)
    if n not in (1 << power for power in range(1, _MOST + 1)):
        raise InputError("encrypted with more than this program spends on a password", at=at)
    key = secretbox.open_box(box, nonce, _derived(password, salt, n))
    if key is None:
        raise InputError("the password does not open the key", at=at)
    return key


def _derived(password: bytes, salt: bytes, n: int) -> bytes:
    from cryptography.hazmat.primitives.kdf.scrypt import Scrypt  # noqa: PLC0415  slow to import

    return Scrypt(salt=salt, length=secretbox.KEY, n=n, r=_R, p=_P).derive(password)


def _body(data: bytes) -> bytes:
    """Return what the lines of PEM hold (RFC 7468)."""
    lines = data.decode("ascii").strip().splitlines()
    return base64.b64decode("".join(lines[1:-1]), validate=True)
