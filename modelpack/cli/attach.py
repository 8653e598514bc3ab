"""`modelpack attach`: evidence of others beside an image."""

from pathlib import Path

import click

from modelpack.cli.frame.output import Output, with_output


def complete_kind(*_: object) -> list[str]:
    """Return the short names of kinds, for shells."""
    from modelpack.trust.attachment import KINDS  # noqa: PLC0415

    return list(KINDS)


@click.command("attach")
@click.argument("image", metavar="IMAGE")
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--type", "kind", required=True, metavar="KIND", shell_complete=complete_kind,
    help="sbom, sbom-cyclonedx, sbom-spdx, statement (in-toto), vex (OpenVEX), bundle (Sigstore), "
    "sarif, or a media type.",
)  # fmt: skip
@click.option(
    "--platform", default="", metavar="OS/ARCH", help="Beside this image of an index: linux/arm64."
)
@with_output
def command(*, output: Output, image: str, file: Path, kind: str, platform: str) -> None:
    """Keep FILE beside IMAGE, as its referrer, and print the digest by which it refers.

    IMAGE is a project (the image last built there), a layout oci:PATH[:TAG|@DIGEST] or an image in
    a registry. The document is checked where its format is known: a statement must be about this
    image. Attached is what the file holds, byte for byte (OpenVEX as an in-toto statement, as
    scanners look for it); nothing is signed by that. Attaching it again changes nothing.
    """
    from modelpack import reference  # noqa: PLC0415
    from modelpack.cli.frame.place import open_machine  # noqa: PLC0415
    from modelpack.stores.attaching import attach  # noqa: PLC0415

    done = attach(
        reference.parse(image, at="IMAGE"), kind, file, platform=platform,
        machine=open_machine(output),
    )  # fmt: skip
    output.say(f"beside {done.subject}: {done.artifact_type}")
    output.result(
        text=done.digest,
        document={
            "digest": done.digest,
            "subject": done.subject,
            "artifact_type": done.artifact_type,
            "content": done.content.digest,
            "size": done.content.size,
        },
    )
