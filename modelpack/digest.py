"""Content digests as OCI writes them: `sha256:` and 64 lowercase hexadecimal digits."""

import hashlib
import re
from typing import NewType

from modelpack.errors import InputError

Digest = NewType("Digest", str)

_PATTERN = re.compile(r"sha256:[0-9a-f]{64}")


def parse(text: str, *, at: str = "") -> Digest:
    """Return `text` as a Digest, or raise InputError (OCI image-spec, descriptor, "Digests")."""
    if not _PATTERN.fullmatch(text):
        raise InputError(f"not a sha256 digest: `{text}`", at=at)
    return Digest(text)


def of(data: bytes) -> Digest:
    """Return the digest of `data`."""
    return of_hex(hashlib.sha256(data).hexdigest())


def of_hex(digits: str) -> Digest:
    """Return the digest written with these 64 hexadecimal `digits`."""
    return parse("sha256:" + digits)


def hex_of(digest: Digest) -> str:
    """Return the 64 hexadecimal digits of `digest`."""
    return digest.removeprefix("sha256:")


def short(digest: Digest) -> str:
    """Return the first 12 digits of `digest`, for people."""
    return hex_of(digest)[:12]
