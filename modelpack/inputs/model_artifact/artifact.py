"""A model artifact as it describes itself: claims, layers, and what does not add up.

Source: CNCF ModelPack, model-spec 0.0.7, config.md; KitOps 1.15, Kitfile 1.0.0 (its configuration).
Read leniently: what is not of the type that it must have is left out, and said.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final, Literal

from modelpack.inputs.model_artifact.media_types import (
    CONFIG,
    FILEPATH,
    IMAGE,
    KIT_CONFIG,
    LayerType,
    layer_type,
)
from modelpack.inputs.quoting import quoted
from modelpack.oci.layer import Descriptor
from modelpack.oci.manifest import Manifest, parse_object

CONFIG_LIMIT: Final = 8 << 20
"bytes"
_MOST = 20
"sentences; texts of one list"
_TEXT = 4096
_KIT_PARTS = ("code", "datasets", "docs", "prompts", "mcpServers")


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What an artifact claims about its model; nothing where it does not."""

    name: str = ""
    version: str = ""
    title: str = ""
    description: str = ""
    licenses: tuple[str, ...] = ()
    authors: tuple[str, ...] = ()
    vendor: str = ""
    family: str = ""
    architecture: str = ""
    framework: str = ""
    format: str = ""
    param_size: str = ""
    precision: str = ""
    quantization: str = ""
    source_url: str = ""
    doc_url: str = ""
    datasets: tuple[str, ...] = ()
    revision: str = ""
    created: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactLayer:
    """One layer, and where its content goes when it is unpacked."""

    descriptor: Descriptor
    type: LayerType | None
    "None: of another kind than artifacts have"
    path: str
    "of a file or a folder; empty: it does not say"
    diff_id: str
    "empty where the configuration does not say"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelArtifact:
    """A model artifact, from its manifest and its configuration."""

    kind: Literal["modelpack", "kitops"]
    said: Said
    layers: tuple[ArtifactLayer, ...]
    findings: tuple[str, ...] = field(default=())
    "what does not add up"


def parse(manifest: Manifest, config: bytes, *, at: str) -> ModelArtifact:
    """Return the artifact of a manifest and its configuration, or raise InputError."""
    value = parse_object(config, at=at, limit=CONFIG_LIMIT)
    kit = manifest.config is not None and manifest.config.media_type == KIT_CONFIG
    listed = list(_kit_layers(value)) if kit else []
    by_digest = {digest: (path, diff_id) for digest, path, diff_id in listed}
    diff_ids = _texts(_table(value, "modelfs"), "diffIds", most=len(manifest.layers) + 1)
    whole = len(diff_ids) == len(manifest.layers)
    layers = []
    for number, layer in enumerate(manifest.layers):
        path, diff_id = by_digest.get(layer.digest, ("", ""))
        layers.append(
            ArtifactLayer(
                descriptor=layer, type=layer_type(layer.media_type),
                path=layer.annotations.get(FILEPATH, path)[:_TEXT],
                diff_id=diff_ids[number] if whole else diff_id,
            )
        )  # fmt: skip
    findings = [*_shape(layers)]
    if not kit and not whole:
        findings.append(
            f"the manifest has {len(manifest.layers)} layers, the configuration "
            f"{len(diff_ids)} diffIds"
        )
    return ModelArtifact(
        kind="kitops" if kit else "modelpack",
        said=_kit_said(value) if kit else _said(value),
        layers=tuple(layers),
        findings=tuple(islice(findings, _MOST)),
    )


def is_artifact(manifest: Manifest) -> bool:
    """Tell whether a manifest is that of a model artifact."""
    return manifest.config is not None and manifest.config.media_type in (CONFIG, KIT_CONFIG)


def images(manifest: Manifest) -> tuple[str, ...]:
    """Return the digests of the images that an artifact says it was made from."""
    return tuple(filter(None, manifest.annotations.get(IMAGE, "")[:_TEXT].split(",")))


def _shape(layers: list[ArtifactLayer]) -> Iterator[str]:
    for layer in layers:
        name = quoted(layer.descriptor.digest)
        if layer.type is None:
            yield f"layer {name} is of a kind that models have not: {_type(layer)}"
        elif not layer.path:
            yield f"layer {name} does not say which path it holds"
        plain = layer.type is not None and not layer.type.compression
        if plain and layer.diff_id and layer.diff_id != layer.descriptor.digest:
            yield f"layer {name} is not compressed, but its diffId is {quoted(layer.diff_id)}"


def _type(layer: ArtifactLayer) -> str:
    return quoted(layer.descriptor.media_type)


def _said(value: Mapping[str, Any]) -> Said:
    told, config = _table(value, "descriptor"), _table(value, "config")
    return Said(
        name=_text(told, "name"), version=_text(told, "version"), title=_text(told, "title"),
        description=_text(told, "description"), licenses=_texts(told, "licenses"),
        authors=_texts(told, "authors"), vendor=_text(told, "vendor"),
        family=_text(told, "family"), source_url=_text(told, "sourceURL"),
        doc_url=_text(told, "docURL"), datasets=_texts(told, "datasetsURL"),
        revision=_text(told, "revision"), created=_text(told, "createdAt"),
        architecture=_text(config, "architecture"), format=_text(config, "format"),
        param_size=_text(config, "paramSize"), precision=_text(config, "precision"),
        quantization=_text(config, "quantization"),
    )  # fmt: skip


def _kit_said(value: Mapping[str, Any]) -> Said:
    package, model = _table(value, "package"), _table(value, "model")
    licenses = (_text(package, "license"), _text(model, "license"))
    return Said(
        name=_text(package, "name") or _text(model, "name"),
        version=_text(package, "version") or _text(model, "version"),
        description=_text(package, "description") or _text(model, "description"),
        licenses=tuple(dict.fromkeys(text for text in licenses if text)),
        authors=_texts(package, "authors"), framework=_text(model, "framework"),
        format=_text(model, "format"),
        datasets=tuple(
            _text(item, "remotePath") for item in _tables(value, "datasets")
            if _text(item, "remotePath")
        ),
    )  # fmt: skip


def _kit_layers(value: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield digest, path and diffId of what a Kitfile names; old ones name no digests."""
    model = _table(value, "model")
    parts = [model, *_tables(model, "parts")]
    parts += [item for key in _KIT_PARTS for item in _tables(value, key)]
    for item in parts:
        if _text(item, "digest"):
            yield _text(item, "digest"), _text(item, "path"), _text(item, "diffId")


def _table(value: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = value.get(key)
    return found if isinstance(found, dict) else {}


def _tables(value: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    found = value.get(key)
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def _text(value: Mapping[str, Any], key: str) -> str:
    found = value.get(key)
    return found[:_TEXT] if isinstance(found, str) else ""


def _texts(value: Mapping[str, Any], key: str, *, most: int = _MOST) -> tuple[str, ...]:
    found = value.get(key)
    listed = found if isinstance(found, list) else []
    return tuple(item[:_TEXT] for item in listed[:most] if isinstance(item, str))
