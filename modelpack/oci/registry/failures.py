"""What a registry's refusal means for the person who waits."""

import json

from modelpack.errors import InputError, ModelpackError, Unavailable
from modelpack.oci.manifest import printable
from modelpack.oci.registry.credentials import Credential
from modelpack.web.client import Gone, Reply, raise_if_passing
from modelpack.web.urls import host_of

_LIMIT = 64 << 10
"bytes of an error document"
_DENIED = frozenset({401, 403})
_GONE = frozenset({404, 410})
_UNKNOWN_NAME = frozenset({400, 405})
_MISSING = ("MANIFEST_BLOB_UNKNOWN", "MANIFEST_REFERENCES_UNKNOWN")


def missing_manifest(reply: Reply, name: str) -> ModelpackError:
    """Return the error for a manifest that the registry did not give."""
    if reply.status in _GONE | _UNKNOWN_NAME:
        return InputError(
            f"`{host_of(reply.url)}` has no image `{name}`{said(reply)}", at=reply.at,
            hint="check repository, tag and digest",
        )  # fmt: skip
    return unexpected(reply)


def missing_blob(reply: Reply, digest: str) -> ModelpackError:
    """Return the error for a blob that the registry did not give."""
    if reply.status in _GONE:
        return Gone(f"`{host_of(reply.url)}` has no blob {digest}{said(reply)}", at=reply.at)
    return unexpected(reply)


def refused(reply: Reply, what: str) -> ModelpackError:
    """Return the error for what a registry does not take."""
    told = said(reply)
    if any(code in told for code in _MISSING):
        return InputError(f"a blob of the image is missing in the registry{told}", at=reply.at)
    return Unavailable(f"{what} (status {reply.status}){told}", at=reply.at)


def unexpected(reply: Reply) -> ModelpackError:
    """Return the error for a status that nothing explains."""
    raise_if_passing(reply)
    return Unavailable(f"`{host_of(reply.url)}` answers {reply.status}{said(reply)}", at=reply.at)


def denied(
    reply: Reply, host: str, credential: Credential | None, trouble: list[str], *, verb: str
) -> Unavailable:
    """Return the error for 401 and 403: who was not let in, and how to change that."""
    used = "without credentials"
    if credential is not None:
        who = f"`{printable(credential.username)}` of " if credential.username else "those of "
        used = f"with {who}{credential.source}"
    why = f"; {'; '.join(trouble)}" if trouble and credential is None else ""
    login = f"modelpack login {host}"
    return Unavailable(
        f"`{host_of(reply.url)}` lets nobody {verb} this {used} (status {reply.status})"
        f"{said(reply)}{why}", at=reply.at,
        hint=f"{login}, or docker login; and check that the repository exists",
    )  # fmt: skip


def is_denied(reply: Reply) -> bool:
    """Tell whether the registry wants to know who asks, or does not like who does."""
    return reply.status in _DENIED


def said(reply: Reply) -> str:
    """Return what the registry itself says (distribution-spec, "Error Codes"), to be appended."""
    try:
        errors = json.loads(reply.read(_LIMIT))["errors"]
        texts = [
            " ".join(filter(None, (error.get("code"), error.get("message"))))
            for error in errors[:3]
        ]
    except (ModelpackError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return ""
    told = printable("; ".join(filter(None, texts)))
    return f": {told}" if told else ""
