"""`modelpack shard`: split safetensors into shards with an index, or merge them again."""

import re
from pathlib import Path

import click

from modelpack import quantity
from modelpack.cli.frame.output import Output, with_output
from modelpack.errors import InputError

DEFAULT_SIZE = 5 * 10**9
"as Hugging Face's libraries do"


def parse_size(text: str) -> int:
    """Return the bytes that `5GB` (10⁹), `500 MiB` (2²⁰) or `4096` mean, or raise InputError."""
    size = int(text) if re.fullmatch(r"[0-9]{1,18}", text) else quantity.size(text)
    if size == 0:
        raise InputError("a shard of 0 bytes holds nothing")
    return size


def _size(_: click.Context, parameter: click.Parameter, value: str | None) -> int | None:
    try:
        return None if value is None else parse_size(value)
    except InputError as error:
        raise click.BadParameter(str(error), param=parameter) from error


@click.command("shard")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--max-size",
    metavar="SIZE",
    callback=_size,
    help="Most bytes of tensors in one shard (default 5GB).",
)
@click.option("--parts", type=click.IntRange(min=1), help="Make this many shards instead.")
@click.option("--merge", "merging", is_flag=True, help="FILE is an index: merge its shards.")
@click.option(
    "--output",
    "target",
    type=click.Path(path_type=Path),
    help="Folder of the shards, or file to merge into (default: beside FILE).",
)
@click.option("--force", is_flag=True, help="Replace what is there.")
@with_output
def command(
    *,
    output: Output,
    file: Path,
    max_size: int | None,
    parts: int | None,
    merging: bool,
    target: Path | None,
    force: bool,
) -> None:
    """Split safetensors into shards with an index, or merge them.

    FILE is a .safetensors file to split, or with --merge the index of shards. The result is the
    one that Hugging Face's libraries write and read: NAME-00001-of-0000N.safetensors and
    NAME.safetensors.index.json.
    """
    from modelpack.inputs import shards  # noqa: PLC0415  not for `--help`

    if max_size and parts:
        raise click.UsageError("give one of `--max-size` and `--parts`")
    if merging and (max_size or parts):
        raise click.UsageError("`--merge` takes neither `--max-size` nor `--parts`")
    if merging:
        merged = shards.merge(file, target, force=force, progress=output.progress())
        files: tuple[Path, ...] = (merged,)
    else:
        files = shards.split(
            file,
            target or file.parent,
            max_size=None if parts else max_size or DEFAULT_SIZE,
            parts=parts,
            force=force,
            progress=output.progress(),
        )
    names = [str(path) for path in files]
    output.result(text="\n".join(names), document={"files": names})
