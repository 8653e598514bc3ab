"""Split a safetensors file into shards with an index, as Hugging Face names them, and merge."""

import json
import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from modelpack import strict_json
from modelpack.errors import Finding, InputError, Unavailable
from modelpack.inputs import safetensors_writer as writer
from modelpack.inputs.quoting import quoted
from modelpack.inputs.safetensors import read_header
from modelpack.inputs.safetensors_writer import TensorRange
from modelpack.progress import SILENT, Progress

SUFFIX = ".safetensors"
INDEX_SUFFIX = ".safetensors.index.json"
MAX_PARTS = 99_999
_MAX_INDEX = 64 << 20
_FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]*\.safetensors")

Shard = Sequence[TensorRange]


def arrange_by_size(tensors: Shard, max_size: int) -> list[Shard]:
    """Fill shards in order up to `max_size` bytes of tensors; a larger tensor stands alone."""
    shards: list[list[TensorRange]] = []
    room = -1
    for tensor in tensors:
        if tensor.size > room:
            shards.append([])
            room = max_size
        shards[-1].append(tensor)
        room -= tensor.size
    return list(shards)


def arrange_by_count(tensors: Shard, parts: int) -> list[Shard]:
    """Cut `tensors` into exactly `parts` runs, each about its share of the bytes that are left."""
    shards: list[Shard] = []
    rest, left = list(tensors), writer.total_size(tensors)
    for still in range(parts, 0, -1):
        take, size = 0, 0
        while len(rest) - take >= still and (not take or still == 1 or size * still < left):
            size += rest[take].size
            take += 1
        shards.append(rest[:take])
        rest, left = rest[take:], left - size
    return shards


def split(
    source: Path,
    directory: Path,
    *,
    max_size: int | None = None,
    parts: int | None = None,
    force: bool = False,
    progress: Progress = SILENT,
) -> tuple[Path, ...]:
    """Write shards of `source` and their index into `directory`; return them, the index last.

    Give one of `max_size` (bytes of tensors in a shard) and `parts` (shards to make). Existing
    shards of this name are replaced with `force`, else InputError. The index appears last.
    """
    stem = _stem(source, SUFFIX)
    tensors, metadata = read(source)
    shards = _arrange(tensors, max_size=max_size, parts=parts, at=str(source))
    names = [f"{stem}-{n:05}-of-{len(shards):05}{SUFFIX}" for n in range(1, len(shards) + 1)]
    targets = [*(directory / name for name in names), directory / (stem + INDEX_SUFFIX)]
    stale = _refuse_existing(_shards_beside(directory, stem), force=force)
    with (
        _staged(targets) as staged,
        progress.task("writing shards", writer.total_size(tensors)) as advance,
    ):
        for path, shard in zip(staged, shards, strict=False):
            writer.write(path, shard, metadata, advance)
            verify(path)
        staged[-1].write_bytes(_encode_index(dict(zip(names, shards, strict=True))))
    for path in stale - set(targets):
        path.unlink(missing_ok=True)
    return tuple(targets)


def merge(
    index: Path, output: Path | None = None, *, force: bool = False, progress: Progress = SILENT
) -> Path:
    """Write the tensors of all shards that `index` names into one file and return its path.

    `output` is by default the index's name without `.index.json`, beside it. A file that exists is
    replaced with `force`, else InputError; so are shards that are not as the index says.
    """
    target = output or index.with_name(_stem(index, INDEX_SUFFIX) + SUFFIX)
    tensors, metadata = _read_sharded(index)
    _refuse_existing({target} if os.path.lexists(target) else set(), force=force)
    with (
        _staged([target]) as staged,
        progress.task("writing " + target.name, writer.total_size(tensors)) as advance,
    ):
        writer.write(staged[0], tensors, metadata, advance)
        verify(staged[0])
    return target


def verify(path: Path) -> None:
    """Read back a file just written: with our parser, and with the library where NumPy is there.

    (The library opens no file without NumPy or another framework.) InputError if one refuses.
    """
    read_header(path)
    if find_spec("numpy") is None:
        return
    from safetensors import SafetensorError, safe_open  # noqa: PLC0415  only here

    try:
        with safe_open(path, framework="numpy"):
            pass
    except SafetensorError as error:
        raise InputError(f"the safetensors library refuses it: {error}", at=path.name) from error


def _arrange(
    tensors: Shard, *, max_size: int | None, parts: int | None, at: str
) -> Sequence[Shard]:
    if not tensors:
        raise InputError("holds no tensors", at=at)
    if max_size is not None and parts is None:
        shards = arrange_by_size(tensors, max_size)
        if len(shards) > MAX_PARTS:
            raise InputError(f"would make {len(shards)} shards", at=at, hint="raise `--max-size`")
        return shards
    if parts is None or max_size is not None:
        raise InputError("give one of `--max-size` and `--parts`")
    if not 1 <= parts <= min(len(tensors), MAX_PARTS):
        raise InputError(f"{len(tensors)} tensors cannot make {parts} shards", at=at)
    return arrange_by_count(tensors, parts)


def _stem(path: Path, suffix: str) -> str:
    stem = path.name.removesuffix(suffix)
    if not stem or stem == path.name:
        raise InputError(f"its name does not end with `{suffix}`", at=str(path))
    return stem


def _shards_beside(directory: Path, stem: str) -> set[Path]:
    """Return what an earlier split of `stem` left in `directory`, with any number of parts."""
    pattern = re.compile(
        re.escape(stem) + r"(-\d{5}-of-\d{5}\.safetensors|\.safetensors\.index\.json)"
    )
    names = os.listdir(directory) if directory.is_dir() else ()
    return {directory / name for name in names if pattern.fullmatch(name)}


def _refuse_existing(paths: set[Path], *, force: bool) -> set[Path]:
    if paths and not force:
        raise InputError(
            *(
                Finding(
                    message="exists already",
                    at=str(path),
                    hint="`--force` replaces it, `--output` names another place",
                )
                for path in sorted(paths)
            )
        )
    return paths


@contextmanager
def _staged(targets: Sequence[Path]) -> Iterator[list[Path]]:
    """Yield paths in a hidden folder beside `targets`; rename them there in order at the end.

    Whatever fails, nothing stays at the targets; Unavailable if the disk is full or read-only.
    """
    directory = targets[0].parent
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".modelpack-shard-", dir=directory) as hidden:
            staged = [Path(hidden) / target.name for target in targets]
            yield staged
            _rename(staged, targets)
    except OSError as error:
        at = str(error.filename or directory)
        raise Unavailable((error.strerror or str(error)).lower(), at=at) from error


def _rename(staged: Sequence[Path], targets: Sequence[Path]) -> None:
    new = [target for target in targets if not os.path.lexists(target)]
    try:
        for path, target in zip(staged, targets, strict=True):
            path.replace(target)
    except OSError:
        for target in new:
            target.unlink(missing_ok=True)
        raise


def _encode_index(shards: Mapping[str, Shard]) -> bytes:
    """Return the index as `transformers` writes it: indented by two, keys sorted."""
    size = sum(writer.total_size(shard) for shard in shards.values())
    weight_map = {tensor.name: name for name, shard in shards.items() for tensor in shard}
    index = {"metadata": {"total_size": size}, "weight_map": weight_map}
    return json.dumps(index, indent=2, sort_keys=True).encode() + b"\n"


def read(path: Path) -> tuple[list[TensorRange], Mapping[str, str]]:
    """Return the tensors of one file in the order of their bytes, and its metadata.

    Raises InputError where the header is damaged.
    """
    header = read_header(path)
    tensors = [
        TensorRange(
            name=tensor.name,
            dtype=tensor.dtype,
            shape=tensor.shape,
            path=path,
            offset=header.data_start + tensor.begin,
            size=tensor.end - tensor.begin,
        )
        for tensor in header.tensors
    ]
    return tensors, header.metadata


def _read_sharded(index: Path) -> tuple[list[TensorRange], Mapping[str, str]]:
    """Return all tensors, shard after shard, and the shards' metadata together."""
    weight_map = _read_weight_map(index)
    problems: list[Finding] = []
    tensors: list[TensorRange] = []
    metadata: dict[str, str] = {}
    for name in sorted(set(weight_map.values())):
        path = index.with_name(name)
        try:
            held, said = read(path)
        except InputError as error:
            problems += error.findings
            continue
        tensors += held
        problems += _misplaced(path, {tensor.name for tensor in held}, weight_map)
        problems += [
            Finding(message=f"metadata {quoted(key)} differs between shards", at=str(path))
            for key, value in said.items()
            if metadata.setdefault(key, value) != value
        ]
    if problems:
        raise InputError(*problems)
    return tensors, metadata


def _misplaced(path: Path, held: set[str], weight_map: Mapping[str, str]) -> list[Finding]:
    expected = {tensor for tensor, shard in weight_map.items() if shard == path.name}
    missing = [f"does not hold tensor {quoted(name)}" for name in sorted(expected - held)]
    extra = [
        f"holds tensor {quoted(name)}, which the index does not place there"
        for name in sorted(held - expected)
    ]
    return [Finding(message=message, at=str(path)) for message in missing + extra]


def _read_weight_map(index: Path) -> Mapping[str, str]:
    with writer.open_unchanged(index) as source:
        data = source.read(_MAX_INDEX + 1)
    if len(data) > _MAX_INDEX:
        raise InputError(f"over {_MAX_INDEX} bytes", at=str(index))
    try:
        document = json.loads(data, object_pairs_hook=strict_json.once)
    except (ValueError, RecursionError) as error:
        raise InputError(f"not JSON: {error}", at=str(index)) from error
    weight_map = document.get("weight_map") if isinstance(document, dict) else None
    if not isinstance(weight_map, dict) or not weight_map:
        raise InputError("has no `weight_map`", at=str(index))
    for name, shard in weight_map.items():
        if not isinstance(shard, str) or not _FILE_NAME.fullmatch(shard):
            raise InputError(f"names no shard beside it for tensor {quoted(name)}", at=str(index))
    return weight_map
