"""The author's evaluation report: which weights it is about, and numbers as written, by name."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from modelpack.digest import Digest
from modelpack.digest import of as digest_of
from modelpack.digest import parse as parse_digest
from modelpack.errors import InputError
from modelpack.inputs.opening import open_regular

_SIZE_LIMIT = 16 << 20
_COUNT_LIMIT = 1000
_DEPTH_LIMIT = 8
_NAME_LIMIT = 200


class _Number(str):
    """Digits as they stand in the report."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationReport:
    """What an evaluation found."""

    digest: Digest
    "of the report's bytes"
    weights: Digest | None
    "that it was made for (its key `weights`); None: it does not say"
    metrics: Mapping[str, str]
    "numbers as written; those in inner objects as `outer.inner`"


def read(path: Path) -> EvaluationReport:
    """Return the report at `path`; raise InputError when it is not a JSON object."""
    at = str(path)
    with open_regular(path, at=at) as file:
        data = file.read(_SIZE_LIMIT + 1)
    if len(data) > _SIZE_LIMIT:
        raise InputError(f"the report is larger than {_SIZE_LIMIT >> 20} MiB", at=at)
    try:
        value = json.loads(data.decode(), parse_float=_Number, parse_int=_Number)
    except (ValueError, RecursionError) as error:
        raise InputError("not valid JSON", at=at) from error
    if not isinstance(value, dict):
        raise InputError("not a JSON object", at=at)
    found = dict(sorted(_numbers(value, "", _DEPTH_LIMIT)))
    return EvaluationReport(
        digest=digest_of(data),
        weights=_weights(value.get("weights"), at=f"{at}: weights"),
        metrics={name: found[name] for name in list(found)[:_COUNT_LIMIT]},
    )


def _weights(value: object, *, at: str) -> Digest | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise InputError("not a digest of weights", at=at)
    return parse_digest(value, at=at)


def _numbers(value: Mapping[str, object], prefix: str, depth: int) -> Iterator[tuple[str, str]]:
    for key, item in value.items():
        name = f"{prefix}{key}"
        if isinstance(item, _Number) and name.isprintable() and len(name) <= _NAME_LIMIT:
            yield name, str(item)
        elif isinstance(item, dict) and depth:
            yield from _numbers(item, f"{name}.", depth - 1)
