"""Whether what an image says in different places agrees; sentences about what does not add up."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from modelpack import canonical_json, metadata, plan
from modelpack.digest import of as digest_of
from modelpack.errors import ModelpackError
from modelpack.inputs import weights_image
from modelpack.inputs.quoting import quoted
from modelpack.inputs.weights import weights_digest
from modelpack.inspection import interfaces, weights_agreement
from modelpack.inspection.configuration import Configuration
from modelpack.inspection.description import Description
from modelpack.inspection.documents import Documents
from modelpack.inspection.shape import shape
from modelpack.lock import ImageBase, Lock, PlatformLock, WeightsLock
from modelpack.lock import encoding as lock_encoding
from modelpack.run_configuration import NAMESPACE, ROLE_LABEL, WEIGHTS_ROLE

_MOST = 50
"sentences: more are counted only"


def findings(
    documents: Documents, configuration: Configuration, description: Description,
    platform: PlatformLock | None,
) -> tuple[str, ...]:  # fmt: skip
    """Return what contradicts itself, and what every image should not do."""
    if configuration.labels.get(ROLE_LABEL) == WEIGHTS_ROLE:
        return _shortened(weights_agreement.findings(documents, configuration, description))
    made = _plan(description, platform)
    planned = made.config if made else {}
    return _shortened(
        (
            *configuration.findings,
            *_user(configuration),
            *shape(documents, configuration),
            *_meta(documents, configuration),
            *_labels(configuration, description, planned),
            *_digests(description),
            *_guard(description),
            *interfaces.findings(description),
            *_layers(documents, configuration, description, platform),
            *_settings(configuration, planned),
        )
    )


def _shortened(sentences: Iterable[str]) -> tuple[str, ...]:
    found = list(dict.fromkeys(sentences))
    if len(found) > _MOST:
        return (*found[:_MOST], f"and {len(found) - _MOST} more contradictions")
    return tuple(found)


def _user(configuration: Configuration) -> Iterator[str]:
    """Tell whether the container starts as root (Docker reads `00` as a number, too)."""
    if not configuration.is_image:
        return
    name = configuration.run.user.partition(":")[0].strip()
    if name in ("", "root") or (name.isdecimal() and not name.strip("0")):
        stated = quoted(configuration.run.user) if configuration.run.user else "nobody"
        yield f"the container runs as root: the configuration names {stated} as user"


def _meta(documents: Documents, configuration: Configuration) -> Iterator[str]:
    meta = documents.meta
    if meta is None:
        return
    added = len(documents.manifest.layers) - meta.position - 1
    if added:
        yield (
            f"{added} layers follow the one that describes the image: what they hold is not "
            "described"
        )
    diff_ids = configuration.diff_ids
    if meta.diff_id and meta.position < len(diff_ids) and diff_ids[meta.position] != meta.diff_id:
        yield "the layer that describes the image is not the one that the configuration names"


def _labels(
    configuration: Configuration, description: Description, planned: Mapping[str, Any]
) -> Iterator[str]:
    """Compare the labels with those that the meta layer gives.

    The digests come last: a spec in the image that names labels of its own cannot hide them.
    """
    expected: dict[str, str] = {
        **planned.get("Labels", {}),
        **_source_labels(description),
        **_lock_labels(description.lock),
    }
    labels = configuration.labels
    for key, value in sorted(expected.items()):
        if key not in labels:
            yield f"there is no label {quoted(key)}; the meta layer gives {quoted(value)}"
        elif labels[key] != value:
            stated = quoted(labels[key])
            yield f"label {quoted(key)} says {stated}; the meta layer gives {quoted(value)}"
    for key in labels if planned else ():
        if key not in expected:
            yield f"label {quoted(key)} is not one that the image was built with"


def _lock_labels(lock: Lock | None) -> dict[str, str]:
    if lock is None:
        return {}
    return {
        f"{NAMESPACE}lock.digest": lock_encoding.digest(lock),
        f"{NAMESPACE}weights.digest": metadata.weights_digest(lock),
        f"{NAMESPACE}format": str(lock.format),
    }


def _source_labels(description: Description) -> dict[str, str]:
    source = description.source
    if source is None:
        return {}
    found = {f"{NAMESPACE}source.digest": str(source.digest)}
    if interface := metadata.interface_digest(source):
        found[f"{NAMESPACE}interface.digest"] = interface
    if source.revision:
        found["org.opencontainers.image.revision"] = source.revision
    if source.dirty is not None:
        found[f"{NAMESPACE}source.dirty"] = str(source.dirty).lower()
    return found


def _plan(description: Description, platform: PlatformLock | None) -> plan.Plan | None:
    """Make the plan once more from the Spec, Lock and Source in the image."""
    spec, lock, source = description.spec, description.lock, description.source
    if spec is None or lock is None or source is None or platform is None:
        return None
    try:
        weights = weights_image.digest(spec, lock)
    except ModelpackError:  # sizes, paths or layers that no weights image can have
        return None
    return plan.make(spec, lock, source, platform, weights_image=weights)


def _digests(description: Description) -> Iterator[str]:
    for weights in description.lock.weights if description.lock else ():
        if weights_digest(weights.files) != weights.digest:
            yield f"the digest of weights {quoted(weights.name)} is not the one of their files"
    source = description.source
    if source is None:
        return
    if digest_of(canonical_json.dumps(canonical_json.plain(source.files))) != source.digest:
        yield "the digest of the source is not the one of the files in source.json"


def _guard(description: Description) -> Iterator[str]:
    lock, spec = description.lock, description.spec
    if lock is None:
        return
    programs = {"guard.py": lock.runtime.guard, "probe.py": lock.runtime.probe}
    if lock.runtime.signature:
        programs["signature.py"] = lock.runtime.signature
    for name, digest in programs.items():
        if name not in description.files:
            yield f"the meta layer has no `{name}`"
        elif digest_of(description.files[name]) != digest:
            yield f"`{name}` in the image is not the one that lock.json names"
    if spec is None or description.weights is None:
        return
    names = {weights.name for weights in spec.weights}
    if names != {weights.name for weights in lock.weights}:
        yield "spec.json and lock.json name different weights"
    elif description.weights != metadata.weights_manifest(spec, lock):
        yield "what the guard checks (weights.json) is not what spec.json and lock.json give"


def _layers(
    documents: Documents, configuration: Configuration, description: Description,
    platform: PlatformLock | None,
) -> Iterator[str]:  # fmt: skip
    lock = description.lock
    if lock is None:
        return
    modes = {w.name: w.mode for w in description.spec.weights} if description.spec else {}
    diff_ids = set(configuration.diff_ids)
    for weights in lock.weights:
        if modes.get(weights.name) == "mount":
            continue
        for file in weights.files:
            layer = file.layer if plan.is_own_layer(file) else weights.bundle
            if layer is not None and layer not in diff_ids:
                where = quoted(f"{weights.destination}/{file.path}")
                yield f"lock.json names a layer for {where} that the image does not have"
    if platform is None:
        stated = quoted(configuration.platform)
        yield f"lock.json holds nothing for the image's platform {stated}"
    else:
        yield from _base(configuration, platform)
        baked = [item for item in lock.weights if modes.get(item.name) != "mount"]
        yield from _count(documents, baked, platform)


def _base(configuration: Configuration, platform: PlatformLock) -> Iterator[str]:
    """Tell whether the first layers are those of the locked base image."""
    if not isinstance(platform.base, ImageBase):
        return
    expected = [layer.diff_id for layer in platform.base.layers]
    if list(configuration.diff_ids[: len(expected)]) != expected:
        base = quoted(platform.base.reference)
        yield f"the image does not begin with the layers of its base {base} as lock.json has them"


def _count(
    documents: Documents, baked: Sequence[WeightsLock], platform: PlatformLock
) -> Iterator[str]:
    base = len(platform.base.layers) if isinstance(platform.base, ImageBase) else 1
    weights = sum(len(plan.weights_steps(item)) for item in baked)
    expected = base + bool(platform.wheels) + weights + 2
    found = len(documents.manifest.layers)
    if found != expected:
        yield f"lock.json gives an image of {expected} layers, this one has {found}"


def _settings(configuration: Configuration, expected: Mapping[str, Any]) -> Iterator[str]:
    """Compare how the container is started with what the meta layer gives."""
    actual = configuration.raw
    if not expected:
        return
    for key in sorted({*actual, *expected} - {"Labels"}):
        # Engines add members that say nothing: null, an empty text or list.
        if (actual.get(key) or None) != (expected.get(key) or None):
            yield (
                f"{quoted(key)} in the configuration is {_shown(actual.get(key))}; "
                f"the meta layer gives {_shown(expected.get(key))}"
            )


def _shown(value: object) -> str:
    if value is None:
        return "not set"
    return quoted(canonical_json.dumps(value).decode())
