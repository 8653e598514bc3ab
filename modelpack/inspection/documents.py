"""The few documents of an image that an inspection reads, as bytes and where they were found."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from modelpack import canonical_json
from modelpack.errors import InputError
from modelpack.inputs.model_artifact.artifact import ModelArtifact
from modelpack.inputs.model_artifact.files import Contents
from modelpack.inspection.value import PlatformImage
from modelpack.oci.layer import Descriptor
from modelpack.oci.manifest import Manifest

if TYPE_CHECKING:
    from modelpack.inspection.vouching import ReferrerDocument

_NO_FILES: Mapping[str, bytes] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class MetaLayer:
    """The layer in which an image of ours describes itself."""

    position: int
    "among the layers, from 0"
    diff_id: str
    "of what was read; empty where it could not be"
    files: Mapping[str, bytes] = field(default_factory=lambda: _NO_FILES)
    "by name: `lock.json`"
    trouble: str = ""
    "why it could not be read"


@dataclass(frozen=True, slots=True, kw_only=True)
class Documents:
    """What was read of one image."""

    descriptor: Descriptor
    manifest: Manifest
    manifest_bytes: bytes
    config_bytes: bytes
    index: Descriptor | None = None
    index_bytes: bytes = b""
    platforms: tuple[PlatformImage, ...] = ()
    meta: MetaLayer | None = None
    nameplates: Mapping[str, bytes] = field(default_factory=lambda: _NO_FILES)
    "of a weights image, by path without the first slash"
    trouble: str = ""
    "why the nameplates could not be read"
    artifact: ModelArtifact | None = None
    "None: no model artifact, but an image"
    contents: Contents | None = None
    "files of an artifact; None: not looked at"
    referrers: "tuple[ReferrerDocument, ...]" = ()
    "what stands beside the image, or beside the index that it was chosen from"
    unlisted: tuple[str, ...] = ()
    "why it may not be all"


def parse_object(data: bytes, *, at: str) -> dict[str, Any]:
    """Return the JSON object in `data`; raise InputError unless it is one that can be encoded.

    Refused are keys said twice, numbers that are no JSON, lone surrogates and absurd depths.
    """
    try:
        value = json.loads(data.decode(), object_pairs_hook=_unique, parse_constant=_constant)
        canonical_json.dumps(value)
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise InputError(f"not valid JSON: {reason}", at=at) from error
    if not isinstance(value, dict):
        raise InputError("not a JSON object", at=at)
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a key stands twice")
    return value


def _constant(name: str) -> object:
    raise ValueError(f"{name} is no number")
