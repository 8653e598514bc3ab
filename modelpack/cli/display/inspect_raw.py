"""One document of an image or beside it, byte for byte: what `inspect --raw` prints."""

from typing import TYPE_CHECKING, Final

from modelpack.errors import InputError
from modelpack.inspection.predicates import WORDS, word

if TYPE_CHECKING:
    from modelpack.inspection.documents import Documents
    from modelpack.inspection.referrer_document import ReferrerDocument

_OF_THE_IMAGE: Final = (
    "manifest", "config", "index", "spec", "lock", "source", "weights",
    "interface", "interface-input", "interface-output",
)  # fmt: skip
_INTERFACE: Final = {
    "interface": "openapi",
    "interface-input": "input",
    "interface-output": "output",
}
KINDS: Final = (*_OF_THE_IMAGE, *WORDS)
ATTESTATION: Final = "attestation:"
"before a predicate type"
_DIGEST: Final = "sha256:"


def expect(kind: str) -> str:
    """Return `kind` if `--raw` knows it, or raise InputError."""
    if kind in KINDS or kind.startswith((ATTESTATION, _DIGEST)):
        return kind
    raise InputError(
        f"not a kind of document: `{kind}`", at="--raw",
        hint=f"{', '.join(KINDS)}, attestation:TYPE, or the digest of a referrer",
    )  # fmt: skip


def is_beside(kind: str) -> bool:
    """Tell whether it stands beside the image and not in it."""
    return kind not in _OF_THE_IMAGE


def document(documents: "Documents", kind: str) -> bytes:
    """Return the document as it is stored, or raise InputError."""
    match kind:
        case "manifest":
            return documents.manifest_bytes
        case "config":
            return documents.config_bytes
        case "index" if documents.index:
            return documents.index_bytes
        case "index":
            raise InputError("the image stands in no index", at=documents.descriptor.digest)
        case _ if is_beside(kind):
            return _beside(documents, kind)
        case _ if kind in _INTERFACE:
            return _meta(documents, f"interface/{_INTERFACE[kind]}.json")
        case _:
            return _meta(documents, f"{kind}.json")


def _beside(documents: "Documents", kind: str) -> bytes:
    """Return what stands beside the image under this name, ours before that of others."""
    readable = [one for one in documents.referrers if one.content]
    chosen = [one for one in readable if _matches(one, kind)]
    ours = [one for one in chosen if one.kind]
    found = ours or chosen
    if not found:
        raise InputError(f"no `{kind}` stands beside the image", at=documents.descriptor.digest,
                         hint=_why_not(documents, kind))  # fmt: skip
    texts = {_text(one, kind) for one in found}
    if len(texts) > 1:
        digests = dict.fromkeys(one.descriptor.digest for one in found)
        raise InputError(
            f"{len(texts)} of `{kind}` stand beside the image",
            at=documents.descriptor.digest,
            hint=f"choose one by its digest: {' '.join(f'--raw {one}' for one in digests)}",
        )  # fmt: skip
    return texts.pop()


def _matches(one: "ReferrerDocument", kind: str) -> bool:
    if kind.startswith(_DIGEST):
        return one.descriptor.digest == kind
    if kind.startswith(ATTESTATION):
        wanted = kind.removeprefix(ATTESTATION)
        return bool(one.statement) and wanted in (one.predicate_type, word(one.predicate_type))
    if kind == "signature":
        return bool(one.content and one.content.signature) and one.what == kind
    return one.what == kind


def _text(one: "ReferrerDocument", kind: str) -> bytes:
    """Return a signature as it is stored, of all else what is in the envelope."""
    if kind == "signature" or kind.startswith(_DIGEST) or one.content is None:
        return one.stored
    return one.content.document


def _why_not(documents: "Documents", kind: str) -> str:
    unreadable = [
        one.descriptor.digest for one in documents.referrers
        if one.trouble and kind in (one.what, one.descriptor.digest)
    ]  # fmt: skip
    return f"{unreadable[0]} cannot be read: modelpack inspect says why" if unreadable else ""


def _meta(documents: "Documents", name: str) -> bytes:
    meta = documents.meta
    if meta is None:
        raise InputError(
            "the image has no layer in which modelpack describes it", at=documents.descriptor.digest
        )
    if name not in meta.files:
        raise InputError(meta.trouble or f"the meta layer has no `{name}`", at="meta layer")
    return meta.files[name]
