"""`modelpack inspect`: what an image claims to be, where it came from, what does not add up."""

import platform as this_machine
import sys

import click

from modelpack.cli.output import Output, with_output

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def complete_raw(*_: object) -> list[str]:
    """Return the kinds of documents, for shells."""
    from modelpack.cli.inspect_raw import KINDS  # noqa: PLC0415

    return list(KINDS)


@click.command("inspect")
@click.argument("image", default=".", metavar="[IMAGE]")
@click.option(
    "--platform", default="", metavar="OS/ARCH", help="Choose this image of an index: linux/arm64."
)
@click.option(
    "--raw", default="", metavar="KIND", shell_complete=complete_raw,
    help="Print this document as it is: manifest, config, index, spec, lock, source, weights; of "
    "what stands beside the image sbom, provenance, oms, scan, test, rebuild, vex, verification, "
    "signature, attestation:TYPE, or the digest of a referrer.",
)  # fmt: skip
@with_output
def command(*, output: Output, image: str, platform: str, raw: str) -> None:
    """Show what an image claims to be and where it came from.

    IMAGE is a project (a folder, default `.`: the image last built from it), a layout
    oci:PATH[:TAG|@DIGEST], an archive oci-archive:FILE or docker-archive:FILE, an image in a
    registry, HOST/NAME[:TAG|@DIGEST], or of an engine, docker-daemon:NAME or (podman's)
    containers-storage:NAME. Read are its manifest, its configuration and its small last layer,
    never the weights; an engine sends all, and the rest is let pass. With it is shown what stands
    beside it, whoever made it: signatures, SBOMs, provenance, scans. All are claims, not
    verified.
    """
    from modelpack import opening, reference  # noqa: PLC0415  not for `--help`
    from modelpack.cli import inspect_raw  # noqa: PLC0415
    from modelpack.cli.environment import engine_for, registries  # noqa: PLC0415
    from modelpack.inspection.artifacts import with_contents  # noqa: PLC0415
    from modelpack.inspection.reading import read  # noqa: PLC0415
    from modelpack.inspection.vouching import with_referrers  # noqa: PLC0415

    name = reference.parse(image, at="IMAGE")
    kind = inspect_raw.expect(raw) if raw else ""
    with opening.opened(name, engines=engine_for, registries=registries) as (store, root):
        documents = read(store, root, platform=platform, host=host_platform())
        if not kind or inspect_raw.is_beside(kind):
            documents = with_referrers(store, documents)
        if not kind:
            documents = with_contents(store, documents)
    if kind:
        print_exactly(inspect_raw.document(documents, kind))
        return
    from modelpack.cli import display  # noqa: PLC0415
    from modelpack.cli.inspect_report import report  # noqa: PLC0415
    from modelpack.inspection.describing import describe  # noqa: PLC0415

    inspection = describe(documents)
    output.result(
        text="" if output.as_json else report(inspection, verbose=output.verbose),
        document=display.plain(inspection),
    )


def host_platform() -> str:
    """Return the platform whose image of an index is shown: this machine's, as Linux."""
    machine = this_machine.machine()
    return f"linux/{_ARCHITECTURES.get(machine, machine)}"


def print_exactly(data: bytes) -> None:
    """Print exact bytes; on a terminal with what could steer it made visible."""
    from modelpack.cli import display  # noqa: PLC0415

    if sys.stdout.isatty():
        click.echo(display.escape_lines(data.decode(errors="surrogateescape")))
    else:
        click.echo(data, nl=False)
