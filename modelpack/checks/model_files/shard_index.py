"""Whether `*.safetensors.index.json` tells the truth about the shards beside it."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from modelpack import strict_json
from modelpack.errors import Finding, InputError
from modelpack.inputs.opening import open_regular
from modelpack.inputs.quoting import UNPRINTABLE, quoted
from modelpack.inputs.safetensors import Header
from modelpack.strict_json import RepeatedKey

SUFFIX = ".safetensors.index.json"
LIMIT = 64 << 20
"bytes of an index; those of the largest models have a few megabytes"
_RULE = "weights.index"
_SHOWN = 3


def read_json(path: Path, *, at: str, limit: int = LIMIT) -> Any:  # noqa: ANN401  any JSON value
    """Return the JSON value in the file at `path`, or raise InputError; no key may stand twice."""
    with open_regular(path, at=at) as file:
        size = file.seek(0, 2)
        if size > limit:
            raise InputError(f"{size} bytes of JSON, the limit is {limit}", at=at)
        file.seek(0)
        data = file.read(limit)
    return parse_json(data, at=at)


def parse_json(data: bytes, *, at: str) -> Any:  # noqa: ANN401  any JSON value
    """Return the JSON value in `data`, or raise InputError; no key may stand twice."""
    try:
        return json.loads(data.decode("utf-8-sig"), object_pairs_hook=strict_json.once)
    except UnicodeDecodeError:
        raise InputError("is not UTF-8", at=at) from None
    except RecursionError:
        raise InputError("is nested too deeply", at=at) from None
    except RepeatedKey as error:
        raise InputError(
            f"is not valid JSON: key {quoted(error.key)} stands twice", at=at
        ) from None
    except ValueError as error:
        raise InputError(f"is not valid JSON: {error}", at=at) from None


def findings(
    path: str, files: Mapping[str, Path], headers: Mapping[str, Header]
) -> tuple[Finding, ...]:
    """Return what is wrong with the index at `path`; `headers` are of the shards that have one."""
    try:
        value = read_json(files[path], at=path)
    except InputError as error:
        return tuple(Finding(message=f.message, at=path, rule=_RULE) for f in error.findings)
    return judge(value, path, tuple(files), headers)


def judge(
    value: object, path: str, files: Sequence[str], headers: Mapping[str, Header]
) -> tuple[Finding, ...]:
    """Return what is wrong with the index `value`, which stands at `path` among `files`."""
    weight_map = value.get("weight_map") if isinstance(value, dict) else None
    if not isinstance(weight_map, dict):
        return (_finding(path, "`weight_map` is missing or no object"),)
    problems = [
        f"tensor {quoted(name)}: {problem}"
        for name, shard in weight_map.items()
        for problem in _path_problems(shard)
    ]
    if problems:
        return tuple(_shortened(path, problems))
    folder = path.rpartition("/")[0]
    shards = {name: f"{folder}/{shard}".lstrip("/") for name, shard in weight_map.items()}
    metadata = value.get("metadata") if isinstance(value, dict) else None
    return (
        *_missing(path, shards, files),
        *_unnamed(path, shards, files),
        *_misplaced(path, shards, headers),
        *_total(path, metadata, shards, headers),
    )


def _path_problems(shard: object) -> Iterator[str]:
    """A shard is a plain relative path, so that no reader is led elsewhere."""
    if not isinstance(shard, str):
        yield "its shard is not a string"
    elif UNPRINTABLE.search(shard) or "\\" in shard or ":" in shard:
        yield f"odd characters in the path of its shard: {quoted(shard)}"
    elif any(part in ("", ".", "..") for part in shard.split("/")):
        yield f"the path of its shard is not plain: {quoted(shard)}"


def _missing(path: str, shards: Mapping[str, str], files: Sequence[str]) -> Iterator[Finding]:
    absent = sorted(set(shards.values()) - set(files))
    yield from _shortened(path, [f"names a missing shard: {quoted(shard)}" for shard in absent])


def _unnamed(path: str, shards: Mapping[str, str], files: Sequence[str]) -> Iterator[Finding]:
    stem = path.removesuffix(SUFFIX)
    series = {
        file for file in files if file.startswith(f"{stem}-") and file.endswith(".safetensors")
    }
    strays = sorted(series - set(shards.values()))
    yield from _shortened(path, [f"does not name the shard {quoted(shard)}" for shard in strays])


def _misplaced(
    path: str, shards: Mapping[str, str], headers: Mapping[str, Header]
) -> Iterator[Finding]:
    named = sorted(set(shards.values()) & headers.keys())
    owners = {tensor.name: shard for shard in named for tensor in headers[shard].tensors}
    problems: list[str] = []
    for name in sorted(shards):
        shard = shards[name]
        if shard not in headers or owners.get(name) == shard:
            continue
        if name in owners:
            there = "is in " + quoted(owners[name])
            problems.append(f"tensor {quoted(name)} {there}, not in {quoted(shard)}")
        else:
            problems.append(f"tensor {quoted(name)} is not in {quoted(shard)}")
    yield from _shortened(path, problems)
    strays = [
        f"does not name the tensor {quoted(tensor.name)} of {quoted(shard)}"
        for shard in named
        for tensor in headers[shard].tensors
        if shards.get(tensor.name) is None
    ]
    twice = [
        f"tensor {quoted(tensor.name)} is in {quoted(shard)} and in {quoted(owners[tensor.name])}"
        for shard in named
        for tensor in headers[shard].tensors
        if tensor.name in shards and owners[tensor.name] != shard
    ]
    yield from _shortened(path, strays)
    yield from _shortened(path, twice)


def _total(
    path: str, metadata: object, shards: Mapping[str, str], headers: Mapping[str, Header]
) -> Iterator[Finding]:
    """`total_size` is what people's tools show; only whole sets can be compared."""
    stated = metadata.get("total_size") if isinstance(metadata, dict) else None
    named = set(shards.values())
    if stated is None or not named <= headers.keys():
        return
    actual = sum(headers[shard].data_size for shard in named)
    if isinstance(stated, bool) or stated != actual:
        message = f"`metadata.total_size` is {quoted(str(stated))}, the shards hold {actual} bytes"
        yield Finding(message=message, at=path, rule=_RULE, severity="warning")


def _shortened(path: str, problems: Sequence[str]) -> Iterator[Finding]:
    for message in problems[:_SHOWN]:
        yield _finding(path, message)
    if len(problems) > _SHOWN:
        yield _finding(path, f"and {len(problems) - _SHOWN} more of the kind: {problems[-1]}")


def _finding(path: str, message: str) -> Finding:
    return Finding(message=message, at=path, rule=_RULE)
