"""The Sigstore that everybody may use: where to sign and whom to trust, as its TUF files say.

sigstore-python brings the first root of trust, and keeps what it fetched in a cache of its own.
"""

import logging

from modelpack.errors import Unavailable
from modelpack.oci.manifest import printable


def configuration(*, offline: bool = False) -> bytes:
    """Return the client's trust configuration, JSON; `offline`, as it was last fetched."""
    logging.getLogger("sigstore").addHandler(logging.NullHandler())
    logging.getLogger("tuf").addHandler(logging.NullHandler())
    from sigstore.errors import Error  # noqa: PLC0415  slow to import
    from sigstore.models import ClientTrustConfig  # noqa: PLC0415

    try:
        found = ClientTrustConfig.production(offline=offline)
    except (Error, OSError, ValueError) as error:
        raise Unavailable(
            f"who is trusted cannot be fetched: {printable(str(error) or type(error).__name__)}",
            at="tuf-repo-cdn.sigstore.dev",
            hint="name a file with `--trust-config`; a key needs nobody with `--no-log`",
        ) from error
    # There is no other way to both documents, and none of them holds anything secret.
    return found._inner.to_json().encode()  # noqa: SLF001
