"""A view of an image without its weights: a manifest and configuration over the same blobs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from modelpack import canonical_json
from modelpack.digest import Digest
from modelpack.errors import InputError
from modelpack.evidence.scan.subject import Subject
from modelpack.inspection.reading import CONFIG_LIMIT
from modelpack.oci.layer import Blob, blob_of
from modelpack.oci.manifest import parse_object

HEALTHCHECK: Final = {"created_by": "HEALTHCHECK", "empty_layer": True}
"what a Dockerfile leaves in the history, where scanners look for it, not in the configuration"


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What a scanner is shown."""

    manifest: Blob
    config: Blob
    layers: tuple[Blob, ...]

    @property
    def image_id(self) -> Digest:
        """The digest of the configuration: how a report says what it is about."""
        return self.config.digest


def of(subject: Subject) -> View:
    """Return the view of `subject`; of an image without weights it is the image itself."""
    layers = tuple(layer for layer in subject.layers if layer.digest not in subject.weights)
    config = blob_of(_config(subject), subject.config_type)
    manifest = {
        "schemaVersion": 2,
        "mediaType": subject.manifest.media_type,
        "config": config.descriptor.as_json(),
        "layers": [layer.descriptor.as_json() for layer in layers],
    }
    return View(
        manifest=blob_of(canonical_json.dumps(manifest), subject.manifest.media_type),
        config=config,
        layers=layers,
    )


def _config(subject: Subject) -> bytes:
    """Return the configuration of what is left; of a whole image it is the image's own."""
    value = parse_object(subject.config, at="configuration", limit=CONFIG_LIMIT)
    left = [layer.digest not in subject.weights for layer in subject.layers]
    healthy = "Healthcheck" in _table(value, "config")
    if all(left) and not healthy:
        return subject.config
    rootfs = _table(value, "rootfs")
    diff_ids = rootfs.get("diff_ids")
    if not isinstance(diff_ids, list) or len(diff_ids) != len(left):
        raise InputError("`rootfs` and the layers do not fit together", at="configuration")
    kept = [diff_id for diff_id, stays in zip(diff_ids, left, strict=True) if stays]
    history = _history(value.get("history"), left)
    if healthy and not any("HEALTHCHECK" in str(step.get("created_by")) for step in history):
        history.append(HEALTHCHECK)
    return canonical_json.dumps(
        {**value, "rootfs": {**rootfs, "diff_ids": kept}, "history": history}
    )


def _history(steps: object, left: Sequence[bool]) -> list[Mapping[str, Any]]:
    """Return the steps of the layers that are left, and those without one; or none at all."""
    known = [step for step in steps if isinstance(step, dict)] if isinstance(steps, list) else []
    if sum(step.get("empty_layer") is not True for step in known) != len(left):
        return []
    stays = iter(left)
    return [step for step in known if step.get("empty_layer") is True or next(stays)]


def _table(value: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = value.get(key)
    return found if isinstance(found, dict) else {}
