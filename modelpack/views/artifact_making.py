"""From an image in some place to its model artifact there: reads documents, and no layer."""

from collections.abc import Iterator

from modelpack import digest as digests
from modelpack import metadata
from modelpack.errors import Finding, InputError
from modelpack.inspection import configuration, description
from modelpack.inspection.documents import Documents
from modelpack.inspection.reading import CREATED_BY, read, read_image
from modelpack.inspection.vouching import with_referrers
from modelpack.lock import Lock
from modelpack.oci.copying import Source
from modelpack.oci.layer import Descriptor
from modelpack.oci.overlay import Overlay, View
from modelpack.oci.referrers import Referrer
from modelpack.run_configuration import WEIGHTS_IMAGE_LABEL
from modelpack.spec import Spec
from modelpack.trust import model_signature
from modelpack.trust import statement as statements
from modelpack.views.model_artifact import ImageLayer, Told, missing, of_image

_HINT = "modelpack build makes one that does"


def view(source: Source, root: Descriptor) -> View:
    """Return the model artifact of the image that `root`, a manifest or an index, leads to.

    Which platform's image of an index is read does not matter: weights, code and description are
    the same in all. Raises InputError when the image is none of ours.
    """
    documents = with_referrers(source, read_image(source, root))
    told = _told(source, documents)
    images = [image.digest for image in documents.platforms] or [documents.descriptor.digest]
    made = of_image(told, [digests.parse(image, at=root.digest) for image in images])
    subject = made.manifest.descriptor
    vouching = tuple(_vouching(documents, told.spec, told.lock))
    return View(
        source=Overlay(source, (made.manifest, made.config), [(subject, vouching)]),
        root=subject,
        findings=tuple(
            Finding(message=f"the artifact holds no code: {reason}", at=root.digest,
                    rule="artifact.links", severity="warning")
            for reason in made.left_out
        ),
    )  # fmt: skip


def _told(source: Source, documents: Documents) -> Told:
    """Return what the image says of itself, or raise InputError when it does not, or not all."""
    at = documents.descriptor.digest
    told = description.parse(documents.meta.files if documents.meta else {})
    if told.spec is None or told.lock is None or told.source is None:
        raise InputError("the image does not say which weights it holds", at=at, hint=_HINT)
    layers = list(_layers(documents))
    label = _settings(documents).labels.get(WEIGHTS_IMAGE_LABEL, "")
    if metadata.mounted(told.spec, told.lock):
        weights = source.resolve(digests.parse(label, at=f"{at} {WEIGHTS_IMAGE_LABEL}"))
        layers = [*_layers(read(source, weights)), *layers]
    found = Told(spec=told.spec, lock=told.lock, source=told.source, layers=tuple(layers))
    if lost := missing(found):
        raise InputError(f"a layer of weights is not in the image: {lost[0]}", at=at)
    return found


def _settings(documents: Documents) -> configuration.Configuration:
    config = documents.manifest.config
    return configuration.parse(documents.config_bytes, config.media_type if config else "")


def _layers(documents: Documents) -> Iterator[ImageLayer]:
    settings, found = _settings(documents), documents.manifest.layers
    steps = [step.created_by for step in settings.history if not step.empty_layer]
    if not len(steps) == len(found) == len(settings.diff_ids):
        raise InputError(
            "manifest and configuration of the image disagree on its layers",
            at=documents.descriptor.digest, hint="modelpack inspect shows more",
        )  # fmt: skip
    for layer, diff_id, step in zip(found, settings.diff_ids, steps, strict=True):
        kind = step.removeprefix(CREATED_BY).partition(" ")[0] if (
            step.startswith(CREATED_BY)
        ) else ""  # fmt: skip
        yield ImageLayer(
            descriptor=layer, diff_id=digests.parse(diff_id, at=layer.digest), kind=kind
        )


def _vouching(documents: Documents, spec: Spec, lock: Lock) -> Iterator[Referrer]:
    """Yield the digests of the weights, where the image has the statement about just these."""
    separate = metadata.mounted(spec, lock)
    wanted = {
        model_signature.statement(weights, mounted=weights in separate).as_bytes()
        for weights in lock.weights
    }
    seen = set()
    for one in documents.referrers:
        said = one.statement
        if said and one.kind and said.as_bytes() in wanted and said.as_bytes() not in seen:
            seen.add(said.as_bytes())
            yield statements.referrer(said, kind=one.kind)
