"""Manifests and indexes of others, parsed strictly: bounded, typed, nothing guessed."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from modelpack import digest as digests
from modelpack import strict_json
from modelpack.errors import InputError
from modelpack.oci.layer import INDEX, MANIFEST, Descriptor
from modelpack.platform import Platform

MANIFEST_LIMIT = 4 << 20
"bytes; registries refuse larger ones (OCI distribution-spec, pushing manifests)"
_COUNT_LIMIT = 10_000
"descriptors of one manifest or index"
_TEXT_LIMIT = 1 << 20
_SURROGATE = re.compile("[\ud800-\udfff]")
"halves of characters, which JSON can write and nothing can store"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
MANIFESTS = frozenset({MANIFEST, DOCKER_MANIFEST})
INDEXES = frozenset({INDEX, DOCKER_INDEX})


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """An image manifest or an index as found (OCI image-spec, manifest.md, image-index.md)."""

    media_type: str
    config: Descriptor | None
    "None: an index"
    layers: tuple[Descriptor, ...]
    manifests: tuple[Descriptor, ...]
    subject: Descriptor | None
    artifact_type: str
    annotations: Mapping[str, str]

    @property
    def children(self) -> tuple[Descriptor, ...]:
        """Everything directly below, but not the subject."""
        return (*((self.config,) if self.config else ()), *self.layers, *self.manifests)


def parse(data: bytes, *, at: str = "") -> Manifest:
    """Return the manifest or index that `data` holds, or raise InputError."""
    value = parse_object(data, at=at)
    is_index = "manifests" in value
    media_type = _text(value.get("mediaType", INDEX if is_index else MANIFEST), at)
    if media_type not in (INDEXES if is_index else MANIFESTS):
        raise InputError(f"not an image manifest or index: `{printable(media_type)}`", at=at)
    if value.get("schemaVersion") != 2:  # noqa: PLR2004  the one that the specification knows
        raise InputError("`schemaVersion` is not 2", at=at)
    config = value.get("config")
    if not is_index and config is None:
        raise InputError("the manifest has no `config`", at=at)
    subject = value.get("subject")
    return Manifest(
        media_type=media_type,
        config=None if is_index else parse_descriptor(config, at=f"{at}.config"),
        layers=() if is_index else _descriptors(value, "layers", at),
        manifests=_descriptors(value, "manifests", at) if is_index else (),
        subject=parse_descriptor(subject, at=f"{at}.subject") if subject is not None else None,
        artifact_type=_text(value.get("artifactType", ""), at),
        annotations=_texts(value.get("annotations"), f"{at}.annotations"),
    )


def parse_object(data: bytes, *, at: str = "", limit: int = MANIFEST_LIMIT) -> dict[str, Any]:
    """Return the JSON object that `data` holds; refuses repeated keys and what is not UTF-8."""
    if len(data) > limit:
        raise InputError(f"the document is larger than {limit} bytes", at=at)
    try:
        value = strict_json.loads(data.decode())
    except (ValueError, RecursionError) as error:
        raise InputError(f"not valid JSON: {printable(str(error))}", at=at) from error
    if not isinstance(value, dict):
        raise InputError("not a JSON object", at=at)
    return value


def parse_descriptor(value: object, *, at: str = "") -> Descriptor:
    """Return `value` as a Descriptor, or raise InputError."""
    if not isinstance(value, dict):
        raise InputError("not a descriptor", at=at)
    size = value.get("size")
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size < 1 << 63:
        raise InputError("`size` is not a number of bytes", at=at)
    digest = value.get("digest")
    return Descriptor(
        media_type=_text(value.get("mediaType"), f"{at}.mediaType"),
        digest=digests.parse(printable(digest) if isinstance(digest, str) else "", at=at),
        size=size,
        annotations=_texts(value.get("annotations"), f"{at}.annotations"),
        platform=_platform(value.get("platform"), f"{at}.platform"),
        artifact_type=_text(value.get("artifactType", ""), f"{at}.artifactType"),
    )


def printable(text: str) -> str:
    """Return `text` shortened, with everything that a terminal could obey written as an escape."""
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text[:200])


def _descriptors(value: dict[str, Any], key: str, at: str) -> tuple[Descriptor, ...]:
    items = value.get(key)
    if not isinstance(items, list) or len(items) > _COUNT_LIMIT:
        raise InputError(f"`{key}` is not a list of descriptors", at=at)
    return tuple(parse_descriptor(d, at=f"{at}.{key}[{i}]") for i, d in enumerate(items))


def _platform(value: object, at: str) -> Platform | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        raise InputError("not a platform", at=at)
    return Platform(_text(value.get("os"), at), _text(value.get("architecture"), at))


def _texts(value: object, at: str) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InputError("not a table of texts", at=at)
    return {key: _text(text, f"{at}.{printable(key)}") for key, text in value.items()}


def _text(value: object, at: str) -> str:
    if not isinstance(value, str) or len(value) > _TEXT_LIMIT or _SURROGATE.search(value):
        raise InputError("not a text", at=at)
    return value
