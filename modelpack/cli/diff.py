"""`modelpack diff`: what differs between two images, and what a node must pull."""

from contextlib import ExitStack

import click

from modelpack.cli.frame.image_options import host_platform, platform_option
from modelpack.cli.frame.output import Output, with_output

_DIFFERENT = 1


@click.command("diff")
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@click.option(
    "--files", "with_files", is_flag=True,
    help="Also read base, dependencies and code layers, and compare every path in them.",
)  # fmt: skip
@platform_option
@with_output
def command(*, output: Output, first: str, second: str, with_files: bool, platform: str) -> None:
    """Show how image B differs from image A; ends with 0 when it does not, with 1 when it does.

    A and B are projects (a folder: the image last built from it), layouts oci:PATH[:TAG|@DIGEST],
    archives oci-archive:FILE or docker-archive:FILE, images in a registry,
    HOST/NAME[:TAG|@DIGEST], or of an engine, docker-daemon:NAME or containers-storage:NAME.
    Compared are settings, packages, weights and their tensors, code and layers, as the images
    state them, and the bytes that a node which has A must pull for B. Weights are never read.
    """
    from modelpack import reference  # noqa: PLC0415  not for `--help`
    from modelpack.cli import display  # noqa: PLC0415
    from modelpack.cli.display import diff_report  # noqa: PLC0415
    from modelpack.cli.environment import engine_for, registries  # noqa: PLC0415
    from modelpack.comparison import layer_files  # noqa: PLC0415
    from modelpack.comparison.comparing import compare  # noqa: PLC0415
    from modelpack.comparison.facts import facts  # noqa: PLC0415
    from modelpack.inspection.reading import read  # noqa: PLC0415
    from modelpack.stores import opening  # noqa: PLC0415  not for `--help`

    names = (reference.parse(first, at="A"), reference.parse(second, at="B"))
    with ExitStack() as stack:
        stores, documents = [], []
        for name in names:
            store, root = stack.enter_context(
                opening.opened(name, engines=engine_for, registries=registries)
            )
            stores.append(store)
            documents.append(read(store, root, platform=platform, host=host_platform()))
        before, after = (facts(item) for item in documents)
        trees = None
        if with_files:
            # What both share is read once.
            known: dict[str, layer_files.Files] = {}
            one, other = (
                layer_files.files(store, item, side.layers, known, progress=output.progress())
                for store, item, side in zip(stores, documents, (before, after), strict=True)
            )
            trees = (one, other)
    difference = compare(before, after, files=trees)
    output.result(
        text="" if output.as_json else diff_report.report(difference),
        document={
            "equal": difference.is_empty,
            "platform": after.platform,
            **display.plain(difference),
        },
    )
    click.get_current_context().exit(0 if difference.is_empty else _DIFFERENT)
