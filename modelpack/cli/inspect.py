"""`modelpack inspect`: what an image claims to be, where it came from, what does not add up."""

import platform as this_machine
import sys
from typing import TYPE_CHECKING

import click

from modelpack.cli.output import Output, with_output
from modelpack.errors import InputError

if TYPE_CHECKING:
    from modelpack.inspection.documents import Documents

RAW = ("manifest", "config", "index", "spec", "lock", "source", "weights", "sbom", "provenance",
       "oms", "scan", "rebuild")  # fmt: skip
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_STATEMENTS = frozenset({"sbom", "provenance", "oms", "scan", "rebuild"})


@click.command("inspect")
@click.argument("image", default=".", metavar="[IMAGE]")
@click.option(
    "--platform", default="", metavar="OS/ARCH", help="Choose this image of an index: linux/arm64."
)
@click.option(
    "--raw", type=click.Choice(RAW), default=None, help="Print this document as it is, unparsed."
)
@with_output
def command(*, output: Output, image: str, platform: str, raw: str | None) -> None:
    """Show what an image claims to be and where it came from.

    IMAGE is a project (a folder, default `.`: the image last built from it), a layout
    oci:PATH[:TAG|@DIGEST], an archive oci-archive:FILE or docker-archive:FILE, an image in a
    registry, HOST/NAME[:TAG|@DIGEST], or of an engine, docker-daemon:NAME or (podman's)
    containers-storage:NAME. Read are its manifest, its configuration and its small last layer,
    never the weights; an engine sends all, and the rest is let pass. What is shown are claims,
    not verified.
    """
    from modelpack import opening, reference  # noqa: PLC0415  not for `--help`
    from modelpack.cli.environment import engine_for, registries  # noqa: PLC0415
    from modelpack.inspection.reading import read  # noqa: PLC0415
    from modelpack.inspection.vouching import with_referrers  # noqa: PLC0415

    name = reference.parse(image, at="IMAGE")
    with opening.opened(name, engines=engine_for, registries=registries) as (store, root):
        documents = read(store, root, platform=platform, host=host_platform())
        if raw is None or raw in _STATEMENTS:
            documents = with_referrers(store, documents)
    if raw:
        print_exactly(_raw(documents, raw))
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


def _raw(documents: "Documents", kind: str) -> bytes:
    match kind:
        case "manifest":
            return documents.manifest_bytes
        case "config":
            return documents.config_bytes
        case "index" if documents.index:
            return documents.index_bytes
        case "index":
            raise InputError("the image stands in no index", at=documents.descriptor.digest)
        case _ if kind in _STATEMENTS:
            return _raw_statement(documents, kind)
        case _:
            return _raw_meta(documents, f"{kind}.json")


def _raw_statement(documents: "Documents", kind: str) -> bytes:
    """Return the statement that stands beside the image under this name, ours or of its type."""
    from modelpack.inspection.vouching import PREDICATES  # noqa: PLC0415

    readable = [document for document in documents.referrers if document.statement]
    ours = [one for one in readable if one.kind.partition(".")[0] == kind]
    others = [
        one for one in readable
        if one.statement and one.statement.predicate_type in PREDICATES[kind]
    ]  # fmt: skip
    found = ours or others
    if not found:
        raise InputError(f"no {kind} statement stands beside the image",
                         at=documents.descriptor.digest)  # fmt: skip
    if len({one.content for one in found}) > 1:
        raise InputError(
            f"{len(found)} {kind} statements stand beside the image",
            at=documents.descriptor.digest, hint="modelpack inspect --json shows them",
        )  # fmt: skip
    return found[0].content


def _raw_meta(documents: "Documents", name: str) -> bytes:
    meta = documents.meta
    if meta is None:
        raise InputError(
            "the image has no layer in which modelpack describes it", at=documents.descriptor.digest
        )
    if name not in meta.files:
        raise InputError(meta.trouble or f"the meta layer has no `{name}`", at="meta layer")
    return meta.files[name]
