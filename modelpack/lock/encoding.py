"""`modelpack.lock` as bytes: JSON for reviewers, refused when it was damaged or edited.

The member `integrity` is the digest of everything else. A lock that does not add up is never
repaired silently: it is what people reviewed, or it is nothing.
"""

import json
from dataclasses import MISSING, fields, is_dataclass
from functools import lru_cache
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from modelpack import canonical_json, strict_json
from modelpack.digest import Digest
from modelpack.digest import of as digest_of
from modelpack.digest import parse as parse_digest
from modelpack.errors import InputError
from modelpack.lock import FORMAT, VERSION, Lock

SIZE_LIMIT = 256 << 20
"bytes; a lock of a million tensors is a tenth of it"
_MEND = "restore it from version control, or delete it and run `modelpack lock`"


def digest(lock: Lock) -> Digest:
    """Return the digest of the lock's content: its name in labels and provenance."""
    return _encoded(_This(lock))[0]


def dump(lock: Lock) -> bytes:
    """Return the text of `modelpack.lock`."""
    return _encoded(_This(lock))[1]


class _This:
    """One lock as itself: a build names the same one in many places, and looks at it once."""

    __slots__ = ("lock",)

    def __init__(self, lock: Lock) -> None:
        self.lock = lock

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _This) and self.lock is other.lock

    def __hash__(self) -> int:
        return id(self.lock)


@lru_cache(maxsize=2)
def _encoded(this: _This) -> tuple[Digest, bytes]:
    """Return the digest and the text of a lock."""
    members = _members(this.lock)
    digest = digest_of(canonical_json.dumps(members))
    return digest, canonical_json.pretty({**members, "integrity": digest})


def _members(lock: Lock) -> dict[str, Any]:
    """Return the lock as JSON values; what came later and is not used is not written."""
    value: dict[str, Any] = canonical_json.plain(lock)
    if lock.runtime.signature is None:
        del value["runtime"]["signature"]
    for weights in value["weights"]:
        if weights["source"] is None:
            del weights["source"]
    return value


def parse(data: bytes, *, filename: str = "modelpack.lock") -> Lock:
    """Return the Lock that `data` holds; raise InputError when it is not whole."""
    if len(data) > SIZE_LIMIT:
        raise InputError("the lock is too large to be one", at=filename, hint=_MEND)
    try:
        value = json.loads(data, object_pairs_hook=strict_json.once)
    except (ValueError, RecursionError) as error:
        conflict = b"\n<<<<<<< " in data or data.startswith(b"<<<<<<< ")
        what = "holds an unresolved merge" if conflict else f"is not JSON ({error})"
        raise InputError(f"the lock {what}", at=filename, hint=_MEND) from error
    if not isinstance(value, dict):
        raise InputError("the lock is not a JSON object", at=filename, hint=_MEND)
    for key, known in (("version", VERSION), ("format", FORMAT)):
        if value.get(key) != known:
            raise InputError(
                f"the lock has {key} {value.get(key)!r}, this modelpack knows {known}",
                at=filename,
                hint="use the modelpack that wrote it, or delete it and run `modelpack lock`",
            )
    integrity = value.pop("integrity", None)
    found = _digest_of(value)
    if found is None or integrity != found:
        raise InputError(
            "the lock was damaged or edited by hand: its digest is another", at=filename, hint=_MEND
        )
    lock: Lock = _decode(Lock, value, filename)
    return lock


def _digest_of(value: object) -> Digest | None:
    """Return the digest of a JSON value; None when it has no canonical form."""
    try:
        return digest_of(canonical_json.dumps(value))
    except (ValueError, RecursionError):  # lone surrogates, NaN, depth
        return None


def _decode(kind: Any, value: Any, at: str) -> Any:  # noqa: ANN401  any annotation
    """Return `value` as the annotated `kind`, or raise InputError with the dotted path."""
    if is_dataclass(kind):
        return _decode_object(kind, value, at)
    origin = get_origin(kind)
    if origin in (Union, UnionType):
        return _decode_union(get_args(kind), value, at)
    if origin is tuple:
        if not isinstance(value, list):
            raise InputError("expected an array", at=at, hint=_MEND)
        return tuple(_decode(get_args(kind)[0], v, f"{at}[{i}]") for i, v in enumerate(value))
    if origin is Literal:
        if value not in get_args(kind):
            raise InputError(f"unexpected value {value!r}", at=at, hint=_MEND)
        return value
    if kind is Digest:
        return parse_digest(value if isinstance(value, str) else repr(value), at=at)
    if type(value) is not kind or (kind is int and value < 0):
        raise InputError(f"expected {kind.__name__}", at=at, hint=_MEND)
    return value


def _decode_union(kinds: tuple[Any, ...], value: Any, at: str) -> Any:  # noqa: ANN401
    if value is None and NoneType in kinds:
        return None
    rest = [kind for kind in kinds if kind is not NoneType]
    keys = set(value) if isinstance(value, dict) else set()
    for kind in rest:
        if len(rest) == 1 or keys == {f.name.replace("_", "-") for f in fields(kind)}:
            return _decode(kind, value, at)
    raise InputError("unknown kind of object", at=at, hint=_MEND)


def _decode_object(kind: Any, value: Any, at: str) -> Any:  # noqa: ANN401
    if not isinstance(value, dict):
        raise InputError("expected an object", at=at, hint=_MEND)
    hints = get_type_hints(kind)
    names = {field.name.replace("_", "-"): field for field in fields(kind)}
    unknown = set(value) - set(names)
    missing = {
        key
        for key, field in names.items()
        if key not in value and field.default is MISSING and field.default_factory is MISSING
    }
    if unknown or missing:
        raise InputError(
            f"unexpected or missing members: {', '.join(sorted(unknown | missing))}",
            at=at,
            hint=_MEND,
        )
    return kind(
        **{
            names[key].name: _decode(hints[names[key].name], item, f"{at}.{key}")
            for key, item in value.items()
        }
    )
