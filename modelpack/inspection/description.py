"""The documents of the meta layer as values: Spec, Lock, Source; what is damaged is left out."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from modelpack.digest import Digest
from modelpack.digest import parse as parse_digest
from modelpack.errors import InputError, ModelpackError
from modelpack.inputs.quoting import quoted
from modelpack.inspection import nameplates
from modelpack.inspection.json_document import parse_object
from modelpack.inspection.nameplates import Nameplate
from modelpack.interface import KINDS
from modelpack.lock import Lock, WeightsLock
from modelpack.lock import encoding as lock_encoding
from modelpack.source import CodeFile, Source
from modelpack.spec import Spec
from modelpack.spec import decoding as spec_decoding

_SIZE_LIMIT = 1 << 63
_LAST_TIME = 253_402_300_799
"9999-12-31T23:59:59Z"
_NOT_STATED = "which {} cannot be known: {}"
_TOLD_BY: Mapping[str, str] = {
    "spec.json": "settings the image was built with",
    "lock.json": "packages and weights it holds",
    "source.json": "code it was built from",
    "weights.json": "files the guard checks",
}

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What the image says about itself; None where it does not, or not legibly."""

    spec: Spec | None = None
    lock: Lock | None = None
    source: Source | None = None
    weights: Mapping[str, Any] | None = None
    "what the guard checks: `weights.json`"
    files: Mapping[str, bytes] = field(default_factory=dict)
    nameplates: tuple[Nameplate, ...] = ()
    "of a weights image"
    unknown: tuple[str, ...] = ()

    @property
    def weight_sets(self) -> tuple[WeightsLock, ...]:
        """What is known of the weights by file."""
        return self.lock.weights if self.lock else tuple(p.weights for p in self.nameplates)


def parse(files: Mapping[str, bytes]) -> Description:
    """Return the description that the files of a meta layer hold; never raises."""
    unknown: list[str] = []

    def read(name: str, parser: Callable[[bytes], T]) -> T | None:
        reason = "the meta layer has no such file"
        if name in files:
            try:
                return parser(files[name])
            except ModelpackError as error:
                first = error.findings[0]
                reason = f"{first.at}: {first.message}" if first.at != name else first.message
            except (ValueError, RecursionError):
                reason = "it holds text that cannot be written or is nested too deeply"
        unknown.append(_NOT_STATED.format(_TOLD_BY[name], f"`{name}`: {reason}"))
        return None

    return Description(
        spec=read("spec.json", _spec),
        lock=read("lock.json", _lock),
        source=read("source.json", _source),
        weights=read("weights.json", lambda data: parse_object(data, at="weights.json")),
        files=files,
        unknown=tuple(unknown),
    )


def parse_nameplates(files: Mapping[str, bytes], trouble: str) -> Description:
    """Return the description that the nameplates of a weights image give; never raises."""
    found, unknown = [], [f"which weights it holds cannot be known: {trouble}"] if trouble else []
    for path, data in sorted(files.items()):
        try:
            found.append(nameplates.parse(path, data))
        except InputError as error:
            first = error.findings[0]
            unknown.append(
                f"which weights stand beside {quoted(path)} cannot be known: {first.message}"
            )
    return Description(nameplates=tuple(found), unknown=tuple(unknown))


def _spec(data: bytes) -> Spec:
    return spec_decoding.decode_document(parse_object(data, at="spec.json"))


def _lock(data: bytes) -> Lock:
    lock = lock_encoding.parse(data, filename="lock.json")
    sizes = [file.size for weights in lock.weights for file in weights.files]
    if any(size >= _SIZE_LIMIT for size in sizes):
        raise InputError("a size is absurd", at="lock.json")
    return lock


def _source(data: bytes) -> Source:
    value = parse_object(data, at="source.json")
    created = _member(value, "created", int)
    if not 0 <= created <= _LAST_TIME:
        raise InputError("no time", at="source.json.created")
    return Source(
        files=tuple(_code_file(item) for item in _member(value, "files", list)),
        revision=_member(value, "revision", str),
        dirty=None if value.get("dirty") is None else _member(value, "dirty", bool),
        created=created,
        digest=_digest(_member(value, "digest", str)),
        interface=_interface(value),
    )


def _interface(value: Mapping[str, Any]) -> Mapping[str, Digest]:
    stated = _member(value, "interface", dict) if "interface" in value else {}
    if strange := stated.keys() - {*KINDS}:
        raise InputError(f"{quoted(min(strange))} is no document", at="source.json.interface")
    return {kind: _digest(_member(stated, kind, str)) for kind in stated}


def _code_file(value: object) -> CodeFile:
    if not isinstance(value, dict):
        raise InputError("not an object", at="source.json.files")
    return CodeFile(
        path=_member(value, "path", str),
        size=_member(value, "size", int),
        sha256=_member(value, "sha256", str),
        executable=_member(value, "executable", bool),
        link=_member(value, "link", str),
    )


def _member(value: Mapping[str, Any], key: str, kind: type[T]) -> T:
    found = value.get(key)
    if type(found) is not kind:
        raise InputError(f"expected {kind.__name__}", at=f"source.json.{key}")
    return found


def _digest(text: str) -> Digest:
    return parse_digest(text, at="source.json.digest")
