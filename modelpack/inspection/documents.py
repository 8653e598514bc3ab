"""The few documents of an image that an inspection reads, as bytes and where they were found."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from modelpack.inputs.model_artifact.artifact import ModelArtifact
from modelpack.inputs.model_artifact.files import Contents
from modelpack.inspection.referrer_document import ReferrerDocument
from modelpack.inspection.value import PlatformImage
from modelpack.oci.layer import Descriptor
from modelpack.oci.manifest import Manifest

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
    referrers: tuple[ReferrerDocument, ...] = ()
    "what stands beside the image, or beside the index that it was chosen from"
    unlisted: tuple[str, ...] = ()
    "why it may not be all"
