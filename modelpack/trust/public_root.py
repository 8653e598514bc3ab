"""Sigstore's public-good instance: whom everybody trusts unless told otherwise.

Fetched by TUF as sigstore-python does it, with the root of trust that it ships with, and kept in
its cache. Source: The Update Framework 1.0; sigstore `client spec`, "Trusted root".
"""

from modelpack.errors import Unavailable
from modelpack.trust import trusted_root
from modelpack.trust.trusted_root import TrustedRoot


def configuration(*, offline: bool) -> bytes:
    """Return the public client trust configuration (trusted root, services), as JSON.

    Offline, what was fetched before, else what sigstore-python ships with. Raises Unavailable.
    """
    from sigstore.errors import Error  # noqa: PLC0415  heavy
    from sigstore.models import ClientTrustConfig  # noqa: PLC0415

    try:
        found = ClientTrustConfig.production(offline=offline)
        return found._inner.to_json().encode()  # noqa: SLF001  there is no other way to the text
    except (Error, OSError) as error:
        reason = str(error).partition("\n")[0][:200] or type(error).__name__
        raise Unavailable(
            f"cannot get Sigstore's public trusted root: {reason}",
            hint="give one with `--trusted-root FILE`, or try again with `--offline`",
        ) from error


def fetch(*, offline: bool) -> TrustedRoot:
    """Return the public trusted root; raises Unavailable."""
    return trusted_root.parse(configuration(offline=offline), at="Sigstore's public trusted root")
