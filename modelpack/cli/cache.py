"""`modelpack cache`: what is kept on disk between builds, and making it less."""

import click

from modelpack.cli.frame.output import Output, with_output
from modelpack.errors import ModelpackError

_DEFAULT_AGE = "30d"


def _quantity(ctx: click.Context, param: click.Parameter, value: str | None) -> int | None:
    """Return bytes or milliseconds, written as in modelpack.toml."""
    from modelpack import quantity  # noqa: PLC0415  not for `--help`

    read = quantity.size if param.name == "max_size" else quantity.duration
    try:
        return None if value is None else read(value)
    except ModelpackError as error:
        finding = error.findings[0]
        raise click.BadParameter(f"{finding.message} — {finding.hint}", ctx, param) from None


@click.group("cache")
def command() -> None:
    """Show or prune what is kept on disk.

    The folder is MODELPACK_CACHE, else `modelpack` in the user's cache folder.
    """


@command.command("info")
@with_output
def info(output: Output) -> None:
    """Show what the cache holds."""
    from modelpack.cli import display, environment  # noqa: PLC0415
    from modelpack.inputs import cache  # noqa: PLC0415

    root, now = environment.cache_folder(), environment.now()
    found = cache.usage(root)
    rows = [
        (
            item.folder,
            str(item.files),
            display.size(item.size),
            display.duration(max(0, now - item.oldest)) if item.oldest else "-",
            cache.FOLDERS[item.folder],
        )
        for item in found
    ]
    total = sum(item.size for item in found)
    rows.append(("total", str(sum(i.files for i in found)), display.size(total), "", str(root)))
    table = display.table(rows, head=("folder", "files", "size", "unused", "what"), right=(1, 2, 3))
    folders = [
        {"folder": i.folder, "files": i.files, "size": i.size, "oldest": i.oldest} for i in found
    ]
    output.result(text=table, document={"path": str(root), "size": total, "folders": folders})


@command.command("prune")
@click.option(
    "--older-than",
    metavar="TIME",
    callback=_quantity,
    help=f"Remove what was not used for this long, such as 7d (default: {_DEFAULT_AGE}, "
    "unless --max-size is given).",
)
@click.option(
    "--max-size",
    metavar="SIZE",
    callback=_quantity,
    help="Then remove the longest unused down to this size.",
)
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
@with_output
def prune(output: Output, older_than: int | None, max_size: int | None, dry_run: bool) -> None:
    """Remove from the cache what is not used any more.

    What was used within the last hour stays, and while a build runs nothing is touched.
    """
    from modelpack import quantity  # noqa: PLC0415
    from modelpack.cli import display, environment  # noqa: PLC0415
    from modelpack.inputs import cache  # noqa: PLC0415
    from modelpack.quantity import counted  # noqa: PLC0415

    if older_than is None and max_size is None:
        older_than = quantity.duration(_DEFAULT_AGE)
    gone = cache.prune(
        environment.cache_folder(),
        now=environment.now(),
        older_than=None if older_than is None else older_than / 1000,
        max_size=max_size,
        dry_run=dry_run,
    )
    size = sum(item.size for item in gone)
    verb = "would remove" if dry_run else "removed"
    output.result(
        text=f"{verb} {counted(len(gone), 'file')}, {display.size(size)}",
        document={
            "removed": 0 if dry_run else len(gone),
            "size": size,
            "dry_run": dry_run,
            "files": [str(item.path) for item in gone],
        },
    )
