"""Evidence of others beside an image, in a layout or a registry: read, checked, attached."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from modelpack import reference
from modelpack.digest import Digest
from modelpack.errors import InputError, Unavailable
from modelpack.inputs.machine import Machine
from modelpack.inputs.opening import open_regular
from modelpack.inspection import reading
from modelpack.oci.layer import Descriptor
from modelpack.oci.manifest import MANIFEST_LIMIT, Manifest, parse
from modelpack.oci.referrers import Vouching
from modelpack.oci.registry.unfinished import FOLDER
from modelpack.reference import Reference
from modelpack.stores import opening
from modelpack.trust import attachment
from modelpack.trust.attachment import Image


@dataclass(frozen=True, slots=True, kw_only=True)
class Attached:
    """What stands beside the image now."""

    digest: Digest
    "of the manifest by which it refers"
    subject: Digest
    artifact_type: str
    content: Descriptor


class Attachable(Protocol):
    """A store that keeps what vouches for an image."""

    def read(self, what: Descriptor, *, limit: int = MANIFEST_LIMIT) -> bytes:
        """Return a blob of up to `limit` bytes, its digest and size checked."""

    def attach(self, subject: Descriptor, referrers: list[Vouching]) -> None:
        """Keep `referrers` with the image `subject`."""


def attach(
    name: Reference, kind: str, file: Path, *, platform: str = "", machine: Machine
) -> Attached:
    """Keep the document in `file` beside the image `name`; twice is once.

    With `platform`, beside this image of an index. Raises InputError when the document is not of
    its kind, or about something else.
    """
    data = _document(file)
    with _opened(name, machine) as (store, root):
        subject, manifest = _subject(store, root, platform)
        config = frozenset({manifest.config.digest} if manifest.config else ())
        image = Image(digest=subject.digest, name=_name(name), others=config)
        referrer = attachment.referrer(kind, data, image)
        store.attach(subject, [referrer])
        return Attached(
            digest=referrer.manifest(subject).digest, subject=subject.digest,
            artifact_type=referrer.artifact_type, content=referrer.content.descriptor,
        )  # fmt: skip


def _document(file: Path) -> bytes:
    with open_regular(file) as stream:
        data = stream.read(attachment.SIZE_LIMIT + 1)
    if len(data) > attachment.SIZE_LIMIT:
        raise InputError(f"larger than {attachment.SIZE_LIMIT >> 20} MiB", at=str(file))
    if not data:
        raise InputError("the file is empty", at=str(file))
    return data


@contextmanager
def _opened(name: Reference, machine: Machine) -> Iterator[tuple[Attachable, Descriptor]]:
    """Open the store to be written, and find the image in it."""
    match name:
        case reference.Project() | reference.Layout():
            from modelpack.oci.layout import Layout  # noqa: PLC0415

            with opening.on_disk(name) as (_, root):
                pass
            place = opening.built(name) if isinstance(name, reference.Project) else Path(name.path)
            with Layout(place, known=machine.digests, progress=machine.progress) as layout:
                yield layout, root
        case reference.Registry():
            from modelpack.oci.registry.writing import WritableRepository  # noqa: PLC0415

            if machine.offline:
                raise Unavailable("a registry cannot be written to offline", at=str(name))
            store = WritableRepository(name, machine.registries, uploads=machine.cache / FOLDER)
            yield store, opening.found(store, name)
        case _:
            raise InputError(
                f"nothing can be kept beside `{name}`", at="IMAGE",
                hint="name the image in a layout (oci:FOLDER) or in a registry",
            )  # fmt: skip


def _subject(
    store: Attachable, root: Descriptor, platform: str
) -> tuple[Descriptor, Manifest]:  # fmt: skip
    """Return the image or index itself, or with `platform` one image of the index."""
    if not platform:
        return root, parse(store.read(root), at=root.digest)
    documents = reading.read(store, root, platform=platform)
    return documents.descriptor, documents.manifest


def _name(name: Reference) -> str:
    """Return the name under which a statement that is made here speaks of the image."""
    match name:
        case reference.Registry():
            return name.name
        case _:
            return Path(str(name).removeprefix("oci:")).name or "image"
