"""From the documents of an image to its Inspection: pure, total, nothing verified."""

import json
from collections.abc import Iterator, Mapping

from modelpack.inputs.quoting import quoted
from modelpack.inspection import (
    agreement,
    artifacts,
    claiming,
    configuration,
    description,
    interfaces,
    parts,
)
from modelpack.inspection.configuration import Configuration
from modelpack.inspection.description import Description
from modelpack.inspection.documents import Documents
from modelpack.inspection.value import (
    Claims,
    DataClaim,
    Inspection,
    ModelClaim,
    SourceClaim,
    TrainingClaim,
)
from modelpack.lock import ImageBase, PlatformLock
from modelpack.oci.layer import CONFIGS
from modelpack.run_configuration import (
    NAMESPACE,
    PLAN_LABEL,
    ROLE_LABEL,
    WEIGHTS_IMAGE_LABEL,
    WEIGHTS_ROLE,
)

_OCI = "org.opencontainers.image."
_NO_META = "the image has no layer in which modelpack describes it"
_DATA_LIMIT = 1000
"data sets shown"


def describe(documents: Documents) -> Inspection:
    """Return what the image claims; damaged and contradictory documents make sentences."""
    if documents.artifact is not None:
        return artifacts.describe(documents, documents.artifact)
    config = documents.manifest.config
    media_type = config.media_type if config else ""
    settings = configuration.parse(documents.config_bytes, media_type)
    meta = documents.meta
    legible = meta is not None and not meta.trouble
    told = description.parse(meta.files) if meta is not None and legible else Description()
    if documents.nameplates or documents.trouble:
        told = description.parse_nameplates(documents.nameplates, documents.trouble)
    platform = parts.platform_lock(told.lock, settings.platform)
    blobs = (config, *documents.manifest.layers)
    return Inspection(
        digest=documents.descriptor.digest,
        config_digest=config.digest if config else "",
        index=documents.index.digest if documents.index else "",
        platform=settings.platform,
        platforms=documents.platforms,
        media_type=documents.manifest.media_type,
        size=len(documents.manifest_bytes) + sum(blob.size for blob in blobs if blob),
        claims=_claims(documents, settings, told),
        model=_model(settings.labels, told),
        training=_training(settings.labels, told),
        interface=interfaces.claim(told),
        source=_source(settings.labels, told),
        weights=parts.weight_files(told.weight_sets),
        weight_sets=parts.weight_sets(told),
        packages=parts.packages(platform),
        layers=parts.layers(documents, settings, told, platform),
        config=settings.run,
        referrers=tuple(claiming.claim(document) for document in documents.referrers),
        findings=(
            *agreement.findings(documents, settings, told, platform),
            *claiming.findings(documents.referrers),
        ),
        unknown=(
            *_unknown(documents, settings, media_type, platform),
            *told.unknown,
            *(f"all that vouches for it: {reason}" for reason in documents.unlisted),
        ),
    )


def _claims(documents: Documents, settings: Configuration, told: Description) -> Claims:
    labels = settings.labels
    label = labels.get(f"{NAMESPACE}weights.unsafe", "")
    unsafe = [item for item in label.split("; ") if item]
    if told.lock:
        unsafe += [item for weights in told.lock.weights for item in weights.unsafe]
    return Claims(
        labels=labels,
        annotations=dict(sorted(documents.manifest.annotations.items())),
        created=settings.created,
        format=labels.get(f"{NAMESPACE}format", ""),
        plan=labels.get(PLAN_LABEL, ""),
        lock=labels.get(f"{NAMESPACE}lock.digest", ""),
        weights=labels.get(f"{NAMESPACE}weights.digest", ""),
        role=labels.get(ROLE_LABEL, ""),
        weights_image=labels.get(WEIGHTS_IMAGE_LABEL, ""),
        base_name=labels.get(f"{_OCI}base.name", ""),
        base_digest=labels.get(f"{_OCI}base.digest", ""),
        unsafe=tuple(dict.fromkeys(unsafe)),
    )


def _model(labels: Mapping[str, str], told: Description) -> ModelClaim:
    """Return the labels' words; the meta layer's where there is no label."""
    spec = told.spec.model if told.spec else None
    return ModelClaim(
        name=labels.get(f"{NAMESPACE}model.name", spec.name if spec else ""),
        version=labels.get(f"{NAMESPACE}model.version", spec.version if spec else ""),
        license=labels.get(f"{_OCI}licenses", spec.license if spec else ""),
        description=labels.get(f"{_OCI}description", spec.description if spec else ""),
        task=labels.get(f"{NAMESPACE}model.task", spec.task if spec else ""),
        architecture=labels.get(
            f"{NAMESPACE}model.architecture", spec.architecture if spec else ""
        ),
        framework=labels.get(f"{NAMESPACE}model.framework", spec.framework if spec else ""),
        base=labels.get(f"{NAMESPACE}model.base", spec.base if spec else ""),
    )


def _training(labels: Mapping[str, str], told: Description) -> TrainingClaim:
    spec = told.spec.training if told.spec else None
    data = tuple(_data(labels.get(f"{NAMESPACE}training.data", "")))
    if not data and spec:
        data = tuple(
            DataClaim(name=d.name, version=d.version, uri=d.uri, digest=d.digest) for d in spec.data
        )
    return TrainingClaim(
        run=labels.get(f"{NAMESPACE}training.run", spec.run if spec else ""),
        source=labels.get(f"{NAMESPACE}training.source", spec.source if spec else ""),
        data=data,
    )


def _data(label: str) -> Iterator[DataClaim]:
    """Yield the data sets of the label, a JSON array of objects; nothing where it is damaged."""
    try:
        value = json.loads(label) if label else []
    except (ValueError, RecursionError):
        return
    for item in value[:_DATA_LIMIT] if isinstance(value, list) else []:
        if isinstance(item, dict):
            texts = {k: v for k, v in item.items() if isinstance(v, str)}
            yield DataClaim(
                name=texts.get("name", ""),
                version=texts.get("version", ""),
                uri=texts.get("uri", ""),
                digest=texts.get("digest", ""),
            )


def _source(labels: Mapping[str, str], told: Description) -> SourceClaim:
    source = told.source
    dirty = {"true": True, "false": False}.get(labels.get(f"{NAMESPACE}source.dirty", ""))
    if dirty is None and source:
        dirty = source.dirty
    return SourceClaim(
        revision=labels.get(f"{_OCI}revision", source.revision if source else ""),
        dirty=dirty,
        digest=labels.get(f"{NAMESPACE}source.digest", source.digest if source else ""),
        files=len(source.files) if source else None,
    )


def _unknown(
    documents: Documents, settings: Configuration, media_type: str, platform: PlatformLock | None
) -> Iterator[str]:
    if media_type not in CONFIGS:
        kind = documents.manifest.artifact_type or media_type
        yield f"what {quoted(kind)} holds cannot be shown: it is not a container image"
        return
    meta = documents.meta
    if settings.labels.get(ROLE_LABEL) == WEIGHTS_ROLE:
        return  # it has no code, no packages, and was made of no revision and at no time
    if meta is None or meta.trouble:
        reason = _NO_META
        if meta is not None:
            reason = f"the layer in which modelpack describes it cannot be read ({meta.trouble})"
        yield f"which model and weights it holds, and with which tensors: {reason}"
        yield f"which Debian and Python packages it holds: {reason}"
        yield f"which source files it was built from: {reason}"
    if f"{_OCI}revision" not in settings.labels:
        yield f"which revision of its source it was built from: there is no label `{_OCI}revision`"
    name = settings.run.user.partition(":")[0].strip()
    if name and name != "root" and not name.isdecimal():
        yield f"whether user {quoted(name)} is root: that stands in the image's /etc/passwd"
    if documents.manifest.layers and not settings.history:
        yield "what its layers hold: there is no history"
    if platform is not None and isinstance(platform.base, ImageBase):
        base = quoted(platform.base.reference)
        yield f"which packages its base {base} holds: they are not listed"
    if documents.manifest.layers and not settings.created:
        yield "when it was made: the configuration does not say"
