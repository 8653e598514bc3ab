"""A key in a cloud's KMS, that signs there and never leaves it, through securesystemslib.

Only AWS is tested. Each cloud finds its credentials as its own tools do.
"""

import logging
import re
from collections.abc import Callable
from importlib import import_module
from typing import Any, Final

from modelpack.errors import InputError, Unavailable
from modelpack.oci.manifest import printable
from modelpack.trust.keys.key import Key, check_curve

SCHEMES: Final = ("awskms:", "gcpkms:", "azurekms:")
_AZURE = re.compile(r"//([A-Za-z0-9-]+)\.vault\.azure\.net/keys/([A-Za-z0-9-]+)(?:/.*)?")


class KmsKey:
    """A key in a KMS."""

    def __init__(self, signer: Any, spki: bytes, uri: str) -> None:  # noqa: ANN401  has no types
        self._signer = signer
        self._uri = uri
        self.spki = spki

    def sign(self, message: bytes) -> bytes:
        """Return the signature of SHA-256 of `message`; the KMS is given the hash alone."""
        return bytes.fromhex(_asked(lambda: self._signer.sign(message), self._uri).signature)


def opened(uri: str) -> Key:
    """Return the key that `uri` names, such as `awskms:alias/release`."""
    try:
        providers = import_module("securesystemslib.signer").SIGNER_FOR_URI_SCHEME  # an extra
    except ImportError as error:
        raise _missing(str(error)) from error
    for name in ("botocore", "boto3", "securesystemslib"):
        # What they log of requests and answers is nobody's business here.
        logging.getLogger(name).addHandler(logging.NullHandler())
    scheme, _, name = uri.partition(":")
    provider, parts = providers[scheme], _names(scheme, name, uri)
    address, public = _asked(lambda: provider.import_(*parts), uri)
    spki = _spki(public.keyval["public"], uri)
    signer = _asked(lambda: provider.from_priv_key_uri(address, public), uri)
    return KmsKey(signer, spki, uri)


def _names(scheme: str, name: str, uri: str) -> tuple[str, ...]:
    """Return how a provider asks for its key to be named."""
    if scheme != "azurekms":
        return (name.removeprefix("///"),)
    if not (found := _AZURE.fullmatch(name)):
        raise InputError(
            "not the name of a key", at=uri,
            hint="azurekms://VAULT.vault.azure.net/keys/NAME",
        )  # fmt: skip
    return found.groups()


def _spki(pem: str, uri: str) -> bytes:
    from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415
        Encoding,
        PublicFormat,
        load_pem_public_key,
    )

    spki = load_pem_public_key(pem.encode()).public_bytes(
        Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    )
    check_curve(spki, at=uri)
    return spki


def _asked(question: Callable[[], Any], uri: str) -> Any:  # noqa: ANN401  what the provider returns
    """Return the provider's answer; each has errors of its own."""
    from securesystemslib.exceptions import UnsupportedLibraryError  # noqa: PLC0415

    try:
        return question()
    except UnsupportedLibraryError as error:
        raise _missing(str(error)) from error
    except Exception as error:
        raise Unavailable(
            f"the KMS does not help: {printable(str(error))}", at=uri,
            hint="check the name of the key, and the credentials of this machine",
        ) from error  # fmt: skip


def _missing(what: str) -> InputError:
    return InputError(
        f"a key in a KMS needs a library: {printable(what)}", at="--key",
        hint="pip install 'modelpack-build[kms]'",
    )  # fmt: skip
