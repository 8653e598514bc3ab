"""Image and Index: pure values; configuration and manifest follow from the layers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from modelpack import canonical_json
from modelpack.canonical_json import rfc3339
from modelpack.digest import Digest
from modelpack.oci.layer import CONFIG, INDEX, MANIFEST, Blob, Descriptor, Layer, blob_of
from modelpack.platform import Platform

AUTHOR = "modelpack"


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """Layers and a run configuration for one platform (OCI image-spec, config.md, manifest.md)."""

    platform: Platform
    layers: tuple[Layer, ...]
    config: Mapping[str, Any]
    "the `config` member: User, Env, Entrypoint, Cmd, WorkingDir, Labels, ExposedPorts …"
    created: int
    "seconds since 1970"
    annotations: Mapping[str, str] = field(default_factory=dict)

    @property
    def config_blob(self) -> Blob:
        """The image configuration."""
        created = rfc3339(self.created)
        value = {
            "architecture": self.platform.architecture,
            "os": self.platform.os,
            "author": AUTHOR,
            "created": created,
            "config": dict(self.config),
            "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in self.layers]},
            "history": [
                {"created": created, "created_by": layer.created_by} for layer in self.layers
            ],
        }
        return blob_of(canonical_json.dumps(value), CONFIG)

    @property
    def manifest_blob(self) -> Blob:
        """The image manifest."""
        value: dict[str, Any] = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": self.config_blob.descriptor.as_json(),
            "layers": [layer.blob.descriptor.as_json() for layer in self.layers],
        }
        if self.annotations:
            value["annotations"] = dict(self.annotations)
        return blob_of(canonical_json.dumps(value), MANIFEST)

    @property
    def digest(self) -> Digest:
        """The digest of the manifest: the image's name."""
        return self.manifest_blob.digest

    @property
    def blobs(self) -> tuple[Blob, ...]:
        """Everything below the manifest: layers in order, then the configuration."""
        return (*(layer.blob for layer in self.layers), self.config_blob)


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """Images of several platforms under one digest (OCI image-spec, image-index.md)."""

    images: tuple[Image, ...]
    annotations: Mapping[str, str] = field(default_factory=dict)

    @property
    def manifest_blob(self) -> Blob:
        """The index itself."""
        value: dict[str, Any] = {
            "schemaVersion": 2,
            "mediaType": INDEX,
            "manifests": [
                Descriptor(
                    media_type=MANIFEST,
                    digest=image.digest,
                    size=image.manifest_blob.size,
                    platform=image.platform,
                ).as_json()
                for image in self.images
            ],
        }
        if self.annotations:
            value["annotations"] = dict(self.annotations)
        return blob_of(canonical_json.dumps(value), INDEX)

    @property
    def digest(self) -> Digest:
        """The digest of the index."""
        return self.manifest_blob.digest
