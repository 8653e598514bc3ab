"""What `scan` and `test` found out about an image, kept with it; and by whose rules they judge."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from modelpack.cli.frame.output import Output
from modelpack.errors import ModelpackError

if TYPE_CHECKING:
    from modelpack.assembly.evidence import Evidence
    from modelpack.project import Project
    from modelpack.reference import Registry

EXIT: Final = {"passed": 0, "failed": 1, "unknown": 3}

attach_option = click.option(
    "--attach/--no-attach", default=None,
    help="Keep the result with the image, in its layout or registry (default: in a layout).",
)  # fmt: skip


def project_of(image: str, file: Path | None) -> "Project | None":
    """Return the project whose rules count; an image's own claims never do."""
    from modelpack import project, reference  # noqa: PLC0415

    name = reference.parse(image, at="IMAGE")
    if file is not None:
        return project.read(file.parent, file=file)
    if isinstance(name, reference.Project) and (Path(name.path) / project.FILENAME).exists():
        return project.read(Path(name.path))
    return None


def keep(
    image: str,
    said: Sequence["Evidence"],
    output: Output,
    *,
    patterns: Sequence[str],
    asked: bool,
) -> None:
    """Keep what is said of an image with it: in a layout that can be written, and where asked.

    A project gets copies for people as well, in place of others that `patterns` match. Raises
    what is wrong only where it was asked for.
    """
    from modelpack import reference  # noqa: PLC0415
    from modelpack.assembly import outputs, scans  # noqa: PLC0415
    from modelpack.cli.frame import build_record  # noqa: PLC0415
    from modelpack.oci.layout import Layout  # noqa: PLC0415
    from modelpack.stores import opening  # noqa: PLC0415

    match reference.parse(image):
        case reference.Project() as place:
            layout = Layout(opening.built(place))
            outputs.write_copies(layout.root.parent, said, patterns=patterns)
            build_record.amend(layout.root.parent / "build.json", said)
        case reference.Layout() as place:
            layout = Layout(Path(place.path))
        case reference.Registry() as place if asked:
            _attach_far(place, said)
            return
        case _:
            return
    try:
        with layout:
            scans.attach(layout, said)
    except ModelpackError as error:  # it cannot be written, or has another image by now
        if asked:
            raise
        output.say(f"what was found is not kept with the image: {error}")


def _attach_far(place: "Registry", said: Sequence["Evidence"]) -> None:
    from modelpack.assembly import scans  # noqa: PLC0415
    from modelpack.cli.environment import cache_folder, registries  # noqa: PLC0415
    from modelpack.oci.registry.unfinished import FOLDER  # noqa: PLC0415
    from modelpack.oci.registry.writing import WritableRepository  # noqa: PLC0415

    scans.attach(WritableRepository(place, registries(), uploads=cache_folder() / FOLDER), said)


def attaches(image: str, wanted: bool | None, *, engines: bool = False) -> bool:
    """Tell whether what is said is to be kept with the image: in a registry only when asked.

    `engines`: an image of an engine may have a layout beside.
    """
    from modelpack import reference  # noqa: PLC0415

    name = reference.parse(image, at="IMAGE")
    kept = isinstance(name, reference.Project | reference.Layout)
    held = engines and isinstance(name, reference.Daemon | reference.ContainersStorage)
    if wanted and not (kept or held or isinstance(name, reference.Registry)):
        raise click.UsageError("`--attach` is for an image in a layout or a registry")
    return kept if wanted is None else wanted


def name_of(image: str, this: "Project | None") -> str:
    """Return the name under which statements speak of the image."""
    from modelpack import reference  # noqa: PLC0415
    from modelpack.assembly import scans  # noqa: PLC0415

    name = reference.parse(image, at="IMAGE")
    if isinstance(name, reference.Registry):
        return name.name
    return scans.image_name(this.spec) if this else image
