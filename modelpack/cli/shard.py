"""`modelpack shard`: split safetensors into shards with an index, or merge them again."""

import json
import re
from pathlib import Path

import click

DEFAULT_SIZE = 5 * 10**9
"as Hugging Face's libraries do"

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_BINARY_UNITS = {"KI": 1 << 10, "MI": 1 << 20, "GI": 1 << 30, "TI": 1 << 40}
_SIZE = re.compile(r"(\d{1,15})(?:\.(\d{1,6}))?\s*([KMGT]I?)?B?", re.ASCII | re.IGNORECASE)


def parse_size(text: str) -> int:
    """Return the bytes that `5GB` (10⁹), `500 MiB` (2²⁰) or `4096` mean; ValueError if none."""
    match = _SIZE.fullmatch(text.strip())
    if not match:
        raise ValueError(f"{text!r} is not a size such as `5GB`, `500MiB` or `4096`")
    whole, fraction, prefix = match[1], match[2] or "", (match[3] or "").upper()
    unit = (_UNITS | _BINARY_UNITS)[prefix]
    size: int = int(whole + fraction) * unit // 10 ** len(fraction)
    if size == 0:
        raise ValueError("a shard of 0 bytes holds nothing")
    return size


def _size(_: click.Context, parameter: click.Parameter, value: str | None) -> int | None:
    try:
        return None if value is None else parse_size(value)
    except ValueError as error:
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
    type=click.Path(path_type=Path),
    help="Folder of the shards, or file to merge into (default: beside FILE).",
)
@click.option("--force", is_flag=True, help="Replace what is there.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    *,
    file: Path,
    max_size: int | None,
    parts: int | None,
    merging: bool,
    output: Path | None,
    force: bool,
    as_json: bool,
) -> None:
    """Split FILE (.safetensors) into shards and an index, or merge the shards of an index.

    The result is the one that Hugging Face's libraries write and read:
    NAME-00001-of-0000N.safetensors and NAME.safetensors.index.json.
    """
    from modelpack.inputs import shards  # noqa: PLC0415  not for `--help`

    if max_size and parts:
        raise click.UsageError("give one of `--max-size` and `--parts`")
    if merging and (max_size or parts):
        raise click.UsageError("`--merge` takes neither `--max-size` nor `--parts`")
    if merging:
        names = [str(shards.merge(file, output, force=force))]
    else:
        size = None if parts else max_size or DEFAULT_SIZE
        directory = output or file.parent
        files = shards.split(file, directory, max_size=size, parts=parts, force=force)
        names = [str(path) for path in files]
    click.echo(json.dumps({"schema": 1, "files": names}) if as_json else "\n".join(names))
