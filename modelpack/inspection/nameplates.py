"""What a weights image says of its weights: the nameplate in each folder, as values."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from modelpack.digest import Digest
from modelpack.digest import parse as parse_digest
from modelpack.errors import InputError
from modelpack.inspection.json_document import parse_object
from modelpack.lock import WeightFile, WeightsLock
from modelpack.metadata import NAMEPLATE

_SIZE_LIMIT = 1 << 63


@dataclass(frozen=True, slots=True, kw_only=True)
class Nameplate:
    """Which weights of which model a folder claims to hold."""

    model: str
    version: str
    weights: WeightsLock
    "what was locked of them, without chunks and tensors"


def parse(path: str, data: bytes) -> Nameplate:
    """Return the nameplate `data` that stands at `path` in the image, or raise InputError."""
    value = parse_object(data, at=path)
    if _member(value, "schema", int) != 1:
        raise InputError("the nameplate is of another version", at=path)
    model = _member(value, "model", dict)
    return Nameplate(
        model=_member(model, "name", str),
        version=_member(model, "version", str),
        weights=WeightsLock(
            name=_member(value, "name", str),
            destination="/" + path.strip("/").removesuffix(NAMEPLATE).rstrip("/"),
            digest=parse_digest(_member(value, "digest", str), at=path),
            files=tuple(_file(item) for item in _member(value, "files", list)),
            bundle=_layer(value, "bundle"),
        ),
    )


def _file(value: Any) -> WeightFile:  # noqa: ANN401  any JSON value
    size = _member(value, "size", int)
    if not 0 <= size < _SIZE_LIMIT:
        raise InputError("a size is absurd", at="files")
    return WeightFile(
        path=_member(value, "path", str), size=size, sha256=_member(value, "sha256", str),
        chunks=(), layer=_layer(value, "layer"),
    )  # fmt: skip


def _layer(value: Mapping[str, Any], key: str) -> Digest | None:
    return None if value.get(key) is None else parse_digest(_member(value, key, str), at=key)


def _member(value: Any, key: str, kind: type) -> Any:  # noqa: ANN401  of type `kind`
    found = value.get(key) if isinstance(value, dict) else None
    if type(found) is not kind:
        raise InputError(f"expected {kind.__name__}", at=key)
    return found
