"""Who somebody is: an OpenID Connect token of this job, of a file, or by a browser.

The token is a secret for as long as it lives: it goes to Fulcio and nowhere else.
"""

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Final

from modelpack.errors import InputError, Unavailable
from modelpack.oci.manifest import printable

if TYPE_CHECKING:
    from sigstore.oidc import IdentityToken

AUDIENCE: Final = "sigstore"
_LIMIT: Final = 64 << 10


def of_job() -> str | None:
    """Return the token of this job of GitHub, GitLab, Google, Buildkite or CircleCI; None: no job.

    Raises Unavailable where there is such a job and it may not have a token.
    """
    _silence()
    from sigstore.oidc import IdentityError, detect_credential  # noqa: PLC0415  slow to import

    try:
        token = detect_credential(AUDIENCE)
    except IdentityError as error:
        raise Unavailable(
            f"this job gets no identity: {printable(str(error))}", at="identity",
            hint="GitHub: `permissions: id-token: write`; GitLab: `id_tokens: SIGSTORE_ID_TOKEN`",
        ) from error  # fmt: skip
    return checked(token, at="the identity of this job") if token else None


def of_file(path: Path) -> str:
    """Return the token in the file at `path`."""
    try:
        with path.open(encoding="ascii") as stream:
            text = stream.read(_LIMIT + 1)
    except FileNotFoundError as error:
        raise InputError("there is no such file", at=str(path)) from error
    except UnicodeDecodeError:
        raise InputError("not an identity token", at=str(path)) from None
    except OSError as error:
        raise Unavailable(f"cannot be read: {error.strerror}", at=str(path)) from error
    if len(text) > _LIMIT:
        raise InputError("too large for an identity token", at=str(path))
    return checked(text.strip(), at=str(path))


def by_browser(issuer: str) -> str:
    """Return the token that a person gets from `issuer` with a browser."""
    _silence()
    from sigstore.errors import Error  # noqa: PLC0415  slow to import
    from sigstore.oidc import Issuer, IssuerError  # noqa: PLC0415

    try:
        return str(Issuer(issuer).identity_token())
    except (Error, IssuerError) as error:
        raise Unavailable(f"no identity: {printable(str(error))}", at=issuer) from error


def checked(token: str, *, at: str) -> str:
    """Return `token` if it can be one for Sigstore and is in time; never says what is in it."""
    _silence()
    from sigstore.oidc import IdentityError  # noqa: PLC0415  slow to import
    from sigstore.oidc import IdentityToken as Token  # noqa: PLC0415

    problem = ""
    found: IdentityToken | None = None
    try:
        found = Token(token, client_id=AUDIENCE)
    except IdentityError as error:
        problem = printable(str(error)).lower()
    if found is None:
        raise InputError(
            problem or "not an identity token", at=at,
            hint=f"it must be an OpenID Connect token for the audience `{AUDIENCE}`, not expired",
        )  # fmt: skip
    return token


def _silence() -> None:
    """Keep what libraries log, such as answers that hold tokens, from reaching stderr."""
    for name in ("sigstore", "id", "urllib3"):
        logging.getLogger(name).addHandler(logging.NullHandler())
