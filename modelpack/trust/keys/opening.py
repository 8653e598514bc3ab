"""From the name of a key, as `--key` takes it, to the key."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from modelpack.errors import InputError
from modelpack.trust.keys import kms, pem_file, pkcs11, pkcs11_uri
from modelpack.trust.keys.key import Key, Secrets

_SCHEMES = (pkcs11_uri.SCHEME, *kms.SCHEMES)


@contextmanager
def opened(name: str, secrets: Secrets) -> Iterator[Key]:
    """Yield the key that `name` means: a `pkcs11:` or KMS URI, else a file.

    Raises InputError for what is no such key, Unavailable where nobody answers for it.
    """
    if name.startswith(pkcs11_uri.SCHEME):
        with pkcs11.opened(pkcs11_uri.parse(name), secrets) as key:
            yield key
    elif name.startswith(kms.SCHEMES):
        yield kms.opened(name)
    elif "://" in name:
        raise InputError(
            f"keys of `{name.partition(':')[0][:20]}` cannot be used", at="--key",
            hint="use a PEM file, or " + ", ".join(f"`{scheme}…`" for scheme in _SCHEMES),
        )  # fmt: skip
    else:
        yield pem_file.read(Path(name), secrets.password)


def shown(name: str) -> str:
    """Return how a key is named to people, without what opens it."""
    if name.startswith(pkcs11_uri.SCHEME):
        return str(pkcs11_uri.parse(name))
    return name
