"""What commands that show one image share: which one of an index, and its documents as they are."""

import platform as this_machine
import sys
from typing import Final

import click

_ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64"}

platform_option = click.option(
    "--platform", default="", metavar="OS/ARCH", help="Choose this image of an index: linux/arm64."
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
