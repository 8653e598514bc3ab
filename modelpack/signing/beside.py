"""What stands beside an image already: statements that may be signed, and bundles."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from modelpack.digest import of as digest_of
from modelpack.errors import ModelpackError
from modelpack.oci.copying import Source
from modelpack.oci.layer import Descriptor
from modelpack.oci.manifest import parse as parse_manifest
from modelpack.oci.referrers import KIND
from modelpack.signing.value import Wanted
from modelpack.trust import bundle as bundles
from modelpack.trust import model_signature, predicate_types
from modelpack.trust import statement as statements
from modelpack.trust.bundle import Bundle
from modelpack.trust.made_here import MadeHere
from modelpack.trust.media_types import BUNDLES
from modelpack.trust.statement import Statement

_READ: Final = 200
"referrers of one image that are read"


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """What stands beside one image."""

    own: tuple[Wanted, ...]
    "statements made here, of each kind the last"
    others: int
    "unsigned statements that were not made here, and are never signed"
    bundles: tuple[tuple[Descriptor, Bundle], ...]
    "with the manifests that have them; nothing is proved"


def read(store: Source, subject: Descriptor, made: MadeHere) -> Beside:
    """Return what stands beside `subject`; what cannot be read is passed over."""
    own: dict[str, tuple[float, Wanted]] = {}
    others, found = 0, list[tuple[Descriptor, Bundle]]()
    for entry in _readable(store.referrers(subject.digest)):
        data = _content(store, entry)
        if data is None:
            continue
        if entry.artifact_type != statements.MEDIA_TYPE:
            parsed = _bundle(data)
            found += [(entry, parsed)] if parsed else []
            continue
        statement = _statement(data)
        if statement is None or not _belongs(statement, subject):
            continue
        since = made.since(digest_of(data))
        if since is None or statement.as_bytes() != data:
            others += 1
            continue
        kind = entry.annotations.get(KIND, "") or statement.predicate_type
        wanted = Wanted(subject=subject, kind=kind, statement=statement)
        if kind not in own or own[kind][0] < since:
            own[kind] = (since, wanted)
    return Beside(
        own=tuple(wanted for _, wanted in own.values()), others=others, bundles=tuple(found)
    )


def _belongs(statement: Statement, subject: Descriptor) -> bool:
    """Tell whether a statement is about the image, or about weights."""
    if statement.predicate_type != predicate_types.OMS:
        return statement.is_about(subject.digest)
    try:
        model_signature.read(statement)
    except ModelpackError:
        return False
    return True


def _readable(entries: Sequence[Descriptor]) -> list[Descriptor]:
    wanted = [
        entry
        for entry in entries
        if entry.artifact_type in (statements.MEDIA_TYPE, model_signature.ARTIFACT_TYPE)
        or entry.artifact_type.startswith(BUNDLES)
    ]
    return wanted[:_READ]


def _content(store: Source, entry: Descriptor) -> bytes | None:
    try:
        (layer,) = parse_manifest(store.read(entry), at=entry.digest).layers
        return store.read(layer, limit=bundles.SIZE_LIMIT)
    except (ModelpackError, ValueError):
        return None


def _bundle(data: bytes) -> Bundle | None:
    try:
        return bundles.parse(data)
    except ModelpackError:
        return None


def _statement(data: bytes) -> Statement | None:
    try:
        return statements.parse(data)
    except ModelpackError:
        return None


def statement_in(bundle: Bundle) -> Statement | None:
    """Return the statement that `bundle` is about; None: it is about something else."""
    try:
        return statements.parse(bundle.envelope.payload)
    except ModelpackError:
        return None
