"""A key on a token, such as an HSM, that signs there and never leaves it: PKCS#11."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from modelpack.errors import InputError, ModelpackError, Unavailable
from modelpack.trust.keys.key import Key, Secrets, check_curve
from modelpack.trust.keys.pkcs11_uri import Pkcs11Uri

if TYPE_CHECKING:
    import pkcs11

_PIN_LIMIT: Final = 256


class TokenKey:
    """A private key on a token, with an open session."""

    def __init__(self, private: Any, spki: bytes) -> None:  # noqa: ANN401  its type has no `sign`
        self._private = private
        self.spki = spki

    def sign(self, message: bytes) -> bytes:
        """Return the signature of SHA-256 of `message`; the token is given the hash alone."""
        import pkcs11  # noqa: PLC0415  an extra
        from pkcs11.util.ec import encode_ecdsa_signature  # noqa: PLC0415

        hashed = hashlib.sha256(message).digest()
        try:
            raw = self._private.sign(hashed, mechanism=pkcs11.Mechanism.ECDSA)
        except pkcs11.PKCS11Error as error:
            raise Unavailable(f"the token does not sign: {_name(error)}", at="--key") from error
        return encode_ecdsa_signature(bytes(raw))


@contextmanager
def opened(uri: Pkcs11Uri, secrets: Secrets) -> Iterator[Key]:
    """Yield the key that `uri` names, as long as the session with its token lasts."""
    try:
        import pkcs11  # noqa: PLC0415  an extra
    except ImportError as error:
        raise InputError(
            "a key on a token needs `python-pkcs11`", at="--key",
            hint="pip install 'modelpack-build[pkcs11]'",
        ) from error  # fmt: skip
    token = _token(uri, secrets)
    pin = _pin(uri, secrets)
    try:
        session = token.open(user_pin=pin)
    except pkcs11.PKCS11Error as error:
        raise _refused(error, uri) from error
    with session:
        yield _key(session, uri)


def _token(uri: Pkcs11Uri, secrets: Secrets) -> "pkcs11.Token":
    import pkcs11  # noqa: PLC0415

    path = uri.module_path or secrets.pkcs11_module
    if not path:
        raise InputError(
            "nothing says which library speaks to the token", at="--key",
            hint="add `?module-path=/path/of/library.so`, or set MODELPACK_PKCS11_MODULE",
        )  # fmt: skip
    if not Path(path).is_file():
        raise InputError("there is no such library", at=path)
    chosen: dict[str, Any] = {}
    if uri.token:
        chosen["token_label"] = uri.token
    if uri.serial:
        chosen["token_serial"] = uri.serial.encode()
    try:
        return pkcs11.lib(path).get_token(**chosen)
    except pkcs11.NoSuchToken as error:
        raise InputError("there is no such token", at=str(uri)) from error
    except pkcs11.MultipleTokensReturned as error:
        raise InputError(
            "there are several tokens", at=str(uri), hint="name one with `token=` or `serial=`"
        ) from error
    except (pkcs11.PKCS11Error, RuntimeError) as error:
        raise Unavailable(f"the library does not work: {_name(error)}", at=path) from error


def _pin(uri: Pkcs11Uri, secrets: Secrets) -> str:
    if uri.pin_source:
        try:
            with Path(uri.pin_source).open(encoding="utf-8") as stream:
                pin: str | None = stream.read(_PIN_LIMIT).rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError("the file with the PIN cannot be read", at=uri.pin_source) from error
    else:
        pin = secrets.pin(str(uri))
    if not pin:
        raise InputError(
            "the token asks for a PIN", at=str(uri),
            hint="use `pin-source=file:/path`, or set MODELPACK_PIN",
        )  # fmt: skip
    return pin


def _key(session: "pkcs11.Session", uri: Pkcs11Uri) -> Key:
    import pkcs11  # noqa: PLC0415
    from pkcs11.util.ec import encode_ec_public_key  # noqa: PLC0415

    chosen: dict[str, Any] = {}
    if uri.object:
        chosen["label"] = uri.object
    if uri.id:
        chosen["id"] = uri.id
    try:
        private: Any = session.get_key(object_class=pkcs11.ObjectClass.PRIVATE_KEY, **chosen)
        public: Any = session.get_key(object_class=pkcs11.ObjectClass.PUBLIC_KEY, **chosen)
        if private.key_type is not pkcs11.KeyType.EC:
            raise InputError(
                f"a key of another kind: {private.key_type.name}", at=str(uri),
                hint="use ECDSA on P-256, which every verifier of Sigstore bundles takes",
            )  # fmt: skip
        spki = encode_ec_public_key(public)
    except pkcs11.PKCS11Error as error:
        raise _refused(error, uri) from error
    check_curve(spki, at=str(uri))
    return TokenKey(private, spki)


def _refused(error: "pkcs11.PKCS11Error", uri: Pkcs11Uri) -> ModelpackError:
    import pkcs11  # noqa: PLC0415

    match error:
        case pkcs11.PinIncorrect() | pkcs11.PinInvalid() | pkcs11.PinLenRange():
            return InputError("the token does not take the PIN", at=str(uri))
        case pkcs11.PinLocked():
            return InputError("the PIN is locked: it was wrong too often", at=str(uri))
        case pkcs11.NoSuchKey():
            return InputError(
                "the token has no such pair of keys", at=str(uri),
                hint="the public key must be there too, under the same label and id",
            )  # fmt: skip
        case pkcs11.MultipleObjectsReturned():
            return InputError("the token has several such keys", at=str(uri), hint="add `id=%01`")
        case _:
            return Unavailable(f"the token does not answer: {_name(error)}", at=str(uri))


def _name(error: Exception) -> str:
    """Return what went wrong, without what was passed to the token."""
    return type(error).__name__
