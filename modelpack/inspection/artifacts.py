"""A model artifact, ours or another tool's, to its Inspection: claims, nothing verified."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Protocol, runtime_checkable

from modelpack.inputs.model_artifact import files
from modelpack.inputs.model_artifact.artifact import ModelArtifact, Said, images
from modelpack.inputs.model_artifact.files import ArtifactFile
from modelpack.inputs.quoting import quoted
from modelpack.inspection import claiming, description, parts
from modelpack.inspection.description import Description
from modelpack.inspection.documents import Documents
from modelpack.inspection.value import (
    ArtifactClaim,
    Claims,
    DataClaim,
    Inspection,
    LayerClaim,
    ModelClaim,
    RunClaim,
    SourceClaim,
    TrainingClaim,
    WeightFileClaim,
    WeightSetClaim,
)
from modelpack.lock import WeightsLock
from modelpack.oci.layer import Blob, Descriptor
from modelpack.plan import is_own_layer

_HERE = "."
"where an artifact's files are: below whichever folder it is unpacked to"


@runtime_checkable
class Shelf(Protocol):
    """A place of images whose blobs can be read by range."""

    def blob(self, descriptor: Descriptor) -> Blob:
        """Return a blob; nobody has checked it."""


def with_contents(store: object, documents: Documents) -> Documents:
    """Return `documents` with the files of a foreign artifact, if `store` can be read by range."""
    if documents.artifact is None or _told(documents).lock or not isinstance(store, Shelf):
        return documents
    return replace(documents, contents=files.contents(store, documents.artifact))


def describe(documents: Documents, artifact: ModelArtifact) -> Inspection:
    """Return what the artifact claims."""
    told, said = _told(documents), artifact.said
    found = documents.contents.files if documents.contents else ()
    config = documents.manifest.config
    blobs = (config, *documents.manifest.layers)
    annotations = dict(sorted(documents.manifest.annotations.items()))
    return Inspection(
        digest=documents.descriptor.digest,
        config_digest=config.digest if config else "",
        index=documents.index.digest if documents.index else "",
        platform="",
        platforms=documents.platforms,
        media_type=documents.manifest.media_type,
        size=len(documents.manifest_bytes) + sum(blob.size for blob in blobs if blob),
        claims=Claims(annotations=annotations, created=said.created),
        artifact=_claim(documents, artifact),
        model=_model(said, told),
        training=TrainingClaim(
            run=told.spec.training.run if told.spec else "", source=said.source_url,
            data=tuple(DataClaim(uri=uri) for uri in said.datasets),
        ),
        source=SourceClaim(revision=said.revision),
        weights=parts.weight_files(told.weight_sets) or _weights(said, found),
        weight_sets=parts.weight_sets(told) or _sets(said, found),
        packages=(),
        layers=_layers(artifact),
        config=RunClaim(),
        referrers=tuple(claiming.claim(document) for document in documents.referrers),
        findings=(
            *artifact.findings,
            *_lost(artifact, told.weight_sets),
            *claiming.findings(documents.referrers),
        ),
        unknown=(*_unknown(documents, told, found), *told.unknown),
    )  # fmt: skip


def _told(documents: Documents) -> Description:
    meta = documents.meta
    return description.parse(meta.files) if meta and not meta.trouble else Description()


def _claim(documents: Documents, artifact: ModelArtifact) -> ArtifactClaim:
    said = artifact.said
    return ArtifactClaim(
        kind=artifact.kind, type=documents.manifest.artifact_type,
        images=images(documents.manifest), title=said.title, family=said.family,
        authors=said.authors, vendor=said.vendor, format=said.format, parameters=said.param_size,
        precision=said.precision, quantization=said.quantization, documentation=said.doc_url,
    )  # fmt: skip


def _model(said: Said, told: Description) -> ModelClaim:
    """Return the artifact's words; where it has none for it, those of the image it came from."""
    model = told.spec.model if told.spec else None
    return ModelClaim(
        name=said.name, version=said.version, license=", ".join(said.licenses),
        description=said.description, task=model.task if model else "",
        architecture=said.architecture or said.family,
        framework=said.framework or (model.framework if model else ""),
        base=model.base if model else "",
    )  # fmt: skip


def _weights(said: Said, found: Sequence[ArtifactFile]) -> tuple[WeightFileClaim, ...]:
    return tuple(
        WeightFileClaim(
            set=said.name, path=file.path, size=file.size, sha256=file.sha256,
            tensors=file.tensors,
            parameters=sum(file.dtypes.values()) if file.dtypes is not None else None,
            dtypes=file.dtypes or {},
        )
        for file in found
    )  # fmt: skip


def _sets(said: Said, found: Sequence[ArtifactFile]) -> tuple[WeightSetClaim, ...]:
    if not found:
        return ()
    dtypes: dict[str, int] = {}
    for file in found:
        for dtype, count in (file.dtypes or {}).items():
            dtypes[dtype] = dtypes.get(dtype, 0) + count
    return (
        WeightSetClaim(
            name=said.name, destination=_HERE, digest="", mode="", files=len(found),
            size=sum(file.size for file in found), tensors=sum(file.tensors or 0 for file in found),
            parameters=sum(dtypes.values()), dtypes=dict(sorted(dtypes.items())),
        ),
    )  # fmt: skip


def _layers(artifact: ModelArtifact) -> tuple[LayerClaim, ...]:
    return tuple(
        LayerClaim(
            index=number, kind=layer.type.kind if layer.type else "",
            digest=layer.descriptor.digest, diff_id=layer.diff_id, size=layer.descriptor.size,
            media_type=layer.descriptor.media_type, created_by="", content=layer.path,
        )
        for number, layer in enumerate(artifact.layers)
    )  # fmt: skip


def _lost(artifact: ModelArtifact, sets: Sequence[WeightsLock]) -> Iterator[str]:
    """Yield the layers of weights that the description names and the artifact has not."""
    here = {layer.diff_id for layer in artifact.layers}
    for weights in sets:
        named = {file.layer for file in weights.files if file.layer and is_own_layer(file)}
        for lost in sorted({*named, *([weights.bundle] if weights.bundle else [])} - here):
            yield f"the lock names a layer of weights that is not there: {quoted(lost)}"


def _unknown(
    documents: Documents, told: Description, found: Sequence[ArtifactFile]
) -> Iterator[str]:
    if documents.meta and documents.meta.trouble:
        yield f"what the image it was made from says of itself: {documents.meta.trouble}"
    if told.lock:
        return
    if documents.contents is None:
        yield "which files its layers hold: this place cannot be read by range"
        return
    yield from documents.contents.unknown
    if any(not file.sha256 for file in found):
        yield "digests of single files in tars: only their layers have one"
