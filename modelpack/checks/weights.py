"""Whether the weights are whole: strict headers, shards and their index, auxiliary files."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from modelpack.checks.model_files import shard_index
from modelpack.errors import Finding, InputError
from modelpack.inputs import safetensors
from modelpack.inputs.opening import open_regular
from modelpack.inputs.quoting import quoted
from modelpack.inputs.safetensors import Header

_SERIES = re.compile(r"(.*)-(\d{1,9})-of-(\d{1,9})(\.[A-Za-z0-9.]{1,40})", re.DOTALL)
_WEIGHT_SUFFIXES = (
    *(".safetensors", ".gguf", ".ggml", ".onnx", ".tflite", ".npz", ".npy", ".bin", ".pt", ".pth"),
    *(".ckpt", ".h5", ".keras", ".msgpack", ".pb", ".pkl", ".joblib", ".model", ".ubj", ".json"),
    *(".mlmodel", ".engine", ".plan", ".txt", ".cbm", ".pdparams", ".params", ".tar", ".nemo"),
)
_POINTERS = (b"version https://git-lfs", b"version https://hawser", b"# xet version")
_POINTER_SIZE = 1024
_SHOWN = 3
_JSON_LIMIT = 8 << 20


def findings(files: Mapping[str, Path], require: Sequence[str] = ()) -> tuple[Finding, ...]:
    """Return what is missing from or wrong with `files` (relative path to path), in a fixed order.

    `require` are patterns as in `weights.include`; each must match a readable file with content.
    """
    headers, found = read_headers(files)
    found += [finding for path in sorted(files) for finding in _pointer(path, files[path])]
    found += _of_set(files)
    found += _of_series(files)
    indexes = [path for path in sorted(files) if path.endswith(shard_index.SUFFIX)]
    for path in indexes:
        found += shard_index.findings(path, files, headers)
    found += _unindexed(headers, indexes)
    for pattern in require:
        found += _required(pattern, files)
    return tuple(found)


def read_headers(files: Mapping[str, Path]) -> tuple[dict[str, Header], list[Finding]]:
    """Return the headers of all `*.safetensors` files, and findings for those that have none."""
    headers: dict[str, Header] = {}
    found: list[Finding] = []
    for path in sorted(files):
        if not path.endswith(".safetensors") or _is_pointer(path, files[path]):
            continue
        try:
            headers[path] = safetensors.read_header(files[path], at=path)
        except InputError as error:
            found.extend(error.findings)
            continue
        if not headers[path].tensors:
            message = "holds no tensors"
            found.append(
                Finding(message=message, at=path, rule="weights.empty", severity="warning")
            )
    return headers, found


def _head(path: str, file: Path) -> bytes | None:
    """Return the first bytes of a file of pointer size, or None where it is larger or no file."""
    try:
        with open_regular(file, at=path) as opened:
            data = opened.read(_POINTER_SIZE + 1)
    except (InputError, OSError):
        return None
    return data if len(data) <= _POINTER_SIZE else None


def _is_pointer(path: str, file: Path) -> bool:
    return (_head(path, file) or b"").startswith(_POINTERS)


def _pointer(path: str, file: Path) -> Iterator[Finding]:
    if _is_pointer(path, file):
        yield Finding(
            message="is a Git LFS pointer, not the file itself",
            at=path,
            hint="git lfs pull",
            rule="weights.pointer",
        )


def _of_set(files: Mapping[str, Path]) -> Iterator[Finding]:
    if not files:
        hint = "look at `weights.path` and `weights.include`"
        yield Finding(message="no files", at="weights", hint=hint, rule="weights.none")
    elif not any(path.lower().endswith(_WEIGHT_SUFFIXES) for path in files):
        yield Finding(
            message="none of the files looks like weights",
            at="weights",
            hint="look at `weights.include`",
            rule="weights.none",
            severity="warning",
        )


def _of_series(files: Mapping[str, Path]) -> Iterator[Finding]:
    """`model-00001-of-00004.safetensors`: all four must be there, and no fifth."""
    series: dict[tuple[str, str], dict[int, set[int]]] = defaultdict(lambda: defaultdict(set))
    for path in sorted(files):
        match = _SERIES.fullmatch(path)
        if match:
            stem, number, total, suffix = match.groups()
            series[stem, suffix][int(total)].add(int(number))
    for (stem, suffix), totals in series.items():
        at = f"{stem}-*{suffix}"
        if len(totals) > 1:
            counts = " and ".join(str(total) for total in sorted(totals))
            message = f"shards of different series: of {counts}"
            yield Finding(message=message, at=at, rule="weights.shards")
        for total, numbers in totals.items():
            yield from _gaps(at, total, numbers)


def _gaps(at: str, total: int, numbers: set[int]) -> Iterator[Finding]:
    count = len([number for number in numbers if 1 <= number <= total])
    if count < total:
        missing = (number for number in range(1, total + 1) if number not in numbers)
        names = [f"{number:05d}" for number, _ in zip(missing, range(_SHOWN), strict=False)]
        more = f" and {total - count - len(names)} more" if total - count > len(names) else ""
        message = f"{total - count} of {total} shards are missing: {', '.join(names)}{more}"
        yield Finding(message=message, at=at, rule="weights.shards")
    strays = sorted(number for number in numbers if not 1 <= number <= total)
    if strays:
        message = f"shard {strays[0]} of {total} cannot be"
        yield Finding(message=message, at=at, rule="weights.shards")


def _unindexed(headers: Mapping[str, Header], indexes: Sequence[str]) -> Iterator[Finding]:
    """Without an index nothing says which shard has a tensor, so each name may stand only once."""
    folders = {index.rpartition("/")[0] for index in indexes}
    owners: dict[tuple[str, str, str], str] = {}
    unnamed: dict[str, str] = {}
    for path in sorted(headers):
        match, folder = _SERIES.fullmatch(path), path.rpartition("/")[0]
        if match is None or folder in folders:
            continue
        unnamed.setdefault(match[1], path)
        for tensor in headers[path].tensors:
            owner = owners.setdefault((match[1], match[3], tensor.name), path)
            if owner != path:
                message = f"tensor {quoted(tensor.name)} is also in {quoted(owner)}"
                yield Finding(message=message, at=path, rule="weights.shards")
                break
    for stem in unnamed:
        yield Finding(
            message=f"no index names the shards, expected {quoted(stem + shard_index.SUFFIX)}",
            at=f"{stem}-*.safetensors",
            hint="modelpack shard",
            rule="weights.index",
            severity="warning",
        )


def _required(pattern: str, files: Mapping[str, Path]) -> Iterator[Finding]:
    from modelpack.runtime.guard import matches  # noqa: PLC0415  late, and one meaning of patterns

    matching = [path for path in sorted(files) if matches(path, pattern)]
    if not matching:
        yield Finding(
            message=f"required file is missing: {quoted(pattern)}",
            at="weights.require",
            hint="add it, or look at `weights.include`",
            rule="weights.required",
        )
    for path in matching:
        yield from _readable(path, files[path])


def _readable(path: str, file: Path) -> Iterator[Finding]:
    """A required file has content, and JSON is JSON."""
    try:
        with open_regular(file, at=path) as opened:
            size = opened.seek(0, 2)
        if size and path.endswith(".json") and size <= _JSON_LIMIT:
            shard_index.read_json(file, at=path, limit=_JSON_LIMIT)
    except InputError as error:
        for finding in error.findings:
            yield Finding(message=finding.message, at=path, rule="weights.required")
        return
    if not size:
        yield Finding(message="required file is empty", at=path, rule="weights.required")
