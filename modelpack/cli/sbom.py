"""`modelpack sbom`: the bill of materials of an image, as it stands beside it or made again."""

from typing import TYPE_CHECKING, Any

import click

from modelpack.cli.frame.image_options import host_platform, platform_option, print_exactly
from modelpack.cli.frame.output import Output, with_output

if TYPE_CHECKING:
    from collections.abc import Mapping

    from modelpack.evidence.cyclonedx import Version


@click.command("sbom")
@click.argument("image", default=".", metavar="[IMAGE]")
@click.option(
    "--format", "form", type=click.Choice(["cyclonedx", "spdx"]), default="cyclonedx",
    show_default=True, help="What to print: CycloneDX or SPDX 2.3, both JSON.",
)  # fmt: skip
@click.option(
    "--spec-version", "version", type=click.Choice(["1.6", "1.7"]), default=None,
    help="Version of CycloneDX (default 1.6).",
)  # fmt: skip
@platform_option
@with_output
def command(
    *, output: Output, image: str, form: str, version: "Version | None", platform: str
) -> None:
    """Print the bill of materials of an image.

    IMAGE is a project (a folder, default `.`: the image last built from it), a layout
    oci:PATH[:TAG|@DIGEST], an archive oci-archive:FILE or docker-archive:FILE, or an image in a
    registry. Printed is the document that stands beside the image; where there is none, or in
    another format, it is made from what the image says of itself. Unsigned: a claim.
    """
    from modelpack import reference  # noqa: PLC0415  not for `--help`
    from modelpack.assembly import bill_reading  # noqa: PLC0415
    from modelpack.canonical_json import pretty  # noqa: PLC0415
    from modelpack.cli.environment import engine_for, registries  # noqa: PLC0415
    from modelpack.cli.frame.place import open_machine  # noqa: PLC0415
    from modelpack.inspection.reading import read_image  # noqa: PLC0415
    from modelpack.inspection.vouching import with_referrers  # noqa: PLC0415
    from modelpack.stores import opening  # noqa: PLC0415  not for `--help`

    if version and form == "spdx":
        raise click.UsageError("`--spec-version` is about CycloneDX")
    name = reference.parse(image, at="IMAGE")
    document: Mapping[str, Any] | None = None
    with opening.opened(name, engines=engine_for, registries=registries) as (store, root):
        documents = read_image(store, root, platform=platform, host=host_platform())
        if form == "cyclonedx":
            document = bill_reading.attached(with_referrers(store, documents), version)
        if document is None:
            machine = open_machine(output, offline=True)
            described = bill_reading.Described(documents, store)
            if form == "spdx":
                document = described.spdx(machine)
            else:
                output.say("no SBOM stands beside the image: this one is made from what it says")
                document = described.cyclonedx(machine, version or "1.6")
    print_exactly(pretty(document))
