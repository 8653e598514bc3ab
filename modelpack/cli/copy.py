"""`modelpack copy`: an image from one place to another."""

import click

from modelpack.cli.frame.output import Output, with_output
from modelpack.cli.frame.transferring import artifact_option, attestations_option


@click.command("copy")
@click.argument("source", metavar="SRC")
@click.argument("target", metavar="DST")
@click.option("--no-referrers", is_flag=True, help="Leave behind what vouches for the image.")
@click.option("--replace", is_flag=True, help="Let a version tag move to this image.")
@artifact_option
@attestations_option
@with_output
def command(
    *, output: Output, source: str, target: str, no_referrers: bool, replace: bool,
    artifact: str | None, attested: bool,
) -> None:  # fmt: skip
    """Copy the image SRC to DST, with all that belongs to it, and print its digest.

    SRC is a project, a layout oci:PATH[:TAG|@DIGEST], an archive, or an image in a registry; DST a
    layout, a registry, or an archive oci-archive:FILE, which carries across an air gap what vouches
    for the image, too (a docker-archive cannot), or an engine, docker-daemon:REF, which gets the
    image of its platform alone. Without a tag, DST gets those of SRC. Within a registry, blobs are
    mounted and not sent.
    """
    from modelpack import reference  # noqa: PLC0415
    from modelpack.cli.frame.place import open_machine  # noqa: PLC0415
    from modelpack.cli.frame.transferring import carry_out, document  # noqa: PLC0415

    done = carry_out(
        output, reference.parse(source, at="SRC"), reference.parse(target, at="DST"),
        machine=open_machine(output), referrers=not no_referrers, replace=replace,
        artifact=artifact or "", attested=attested,
    )  # fmt: skip
    output.result(text=done.digest, document=document(done))
