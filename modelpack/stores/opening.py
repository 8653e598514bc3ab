"""From the name of an image to what holds it, open to be read."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from modelpack import reference
from modelpack.engine.door import Engine
from modelpack.errors import InputError, ModelpackError
from modelpack.inputs.model_artifact.artifact import is_artifact
from modelpack.oci import copying
from modelpack.oci.layer import Descriptor
from modelpack.oci.manifest import MANIFEST_LIMIT
from modelpack.oci.registry.settings import Settings
from modelpack.reference import Reference

if TYPE_CHECKING:
    from modelpack.oci.registry.repository import Repository


class Readable(Protocol):
    """What every place of images can do."""

    def read(self, what: Descriptor, *, limit: int = MANIFEST_LIMIT) -> bytes:
        """Return a blob of up to `limit` bytes, its digest and size checked."""


class OnDisk(copying.Source, Protocol):
    """A layout or an archive, whose layers can be copied."""

    def manifests(self) -> tuple[Descriptor, ...]:
        """Return the images, one entry for each name."""


@contextmanager
def on_disk(
    name: reference.Project | reference.Layout | reference.Archive,
) -> Iterator[tuple[OnDisk, Descriptor]]:
    """Open a layout or an archive, whose layers can be copied, and find the image in it."""
    match name:
        case reference.Archive():
            from modelpack.oci.archive_reading import Archive  # noqa: PLC0415

            with Archive(Path(name.path)) as archive:
                yield archive, archive.resolve("")
        case reference.Layout():
            from modelpack.oci.layout import Layout  # noqa: PLC0415

            layout = Layout(Path(name.path))
            with layout.reading():
                yield layout, layout.resolve(name.digest or name.tag)
        case reference.Project():
            from modelpack.oci.layout import Layout  # noqa: PLC0415

            layout = Layout(built(name))
            with layout.reading():
                # The image last built stands first, but for an artifact made from it since.
                images = (
                    entry for entry in layout.manifests()
                    if not is_artifact(layout.image(entry.digest))
                )  # fmt: skip
                yield layout, next(images, None) or layout.resolve("")


Engines = Callable[[Reference], Engine]
"returns the engine that a `docker-daemon:` or `containers-storage:` name is about"


@contextmanager
def opened(
    name: Reference, *, engines: Engines, registries: Callable[[], Settings]
) -> Iterator[tuple[Readable, Descriptor]]:
    """Open what `name` names, and find the image in it.

    `registries` returns how registries are reached, once that is wanted.
    """
    match name:
        case reference.Project() | reference.Layout() | reference.Archive():
            with on_disk(name) as image:
                yield image
        case reference.Daemon() | reference.ContainersStorage():
            from modelpack.engine import saved  # noqa: PLC0415

            yield saved.documents(engines(name), name.reference.familiar)
        case reference.Registry():
            from modelpack.oci.registry.repository import Repository  # noqa: PLC0415  the network

            repository = Repository(name, registries())
            yield repository, found(repository, name)


def found(repository: "Repository", name: reference.Registry) -> Descriptor:
    """Find the image, or fail with a thought for who meant a folder of that name."""
    try:
        return repository.resolve(name.digest or name.tag)
    except ModelpackError as error:
        if not Path(name.familiar).exists():
            raise
        hint = f"that is an image in a registry; the folder is `./{name.familiar}`"
        raise type(error)(*(replace(f, hint=hint) for f in error.findings)) from error


def built(project: reference.Project) -> Path:
    """Return the layout of the image last built in a folder, or raise InputError."""
    folder = Path(project.path)
    layout = folder / "dist" / "image"
    if (layout / "index.json").is_file():
        return layout
    if (folder / "index.json").is_file():
        raise InputError("an OCI layout, not a project", at=str(folder), hint=f"oci:{folder}")
    if folder.is_file():
        raise InputError("a file, not a project", at=str(folder),
                         hint=f"modelpack inspect oci-archive:{folder}")  # fmt: skip
    if not folder.is_dir():
        raise InputError("there is no such folder", at=str(folder))
    raise InputError(
        "no image was built here yet", at=str(folder), hint=f"modelpack build {folder}"
    )
