"""`modelpack pull`: an image out of a registry."""

import click

from modelpack.cli.frame.output import Output, with_output


@click.command("pull")
@click.argument("name", metavar="REF")
@click.option(
    "--output", "target", default="", metavar="IMAGE",
    help="Where to: oci:FOLDER[:TAG] (default: a folder named like the repository), "
    "oci-archive:FILE, or docker-daemon:REF, an engine.",
)  # fmt: skip
@click.option("--no-referrers", is_flag=True, help="Leave behind what vouches for the image.")
@with_output
def command(*, output: Output, name: str, target: str, no_referrers: bool) -> None:
    """Fetch the image REF from a registry into an OCI layout and print its digest.

    With it come its platforms, its mounted weights and what vouches for them. Several blobs are
    fetched at once; one that was cut, or whose process was killed, goes on where it stood. Every
    byte is checked before anything has a name.
    """
    from modelpack import reference  # noqa: PLC0415
    from modelpack.cli.frame.place import open_machine  # noqa: PLC0415
    from modelpack.cli.frame.transferring import carry_out, document  # noqa: PLC0415

    source = reference.registry(name.removeprefix("docker://"), at="REF")
    default = reference.Layout(source.repository.rpartition("/")[2], source.tag)
    where = reference.parse(target, at="--output") if target else default
    done = carry_out(
        output, source, where, machine=open_machine(output), referrers=not no_referrers
    )
    output.result(text=done.digest, document=document(done))
