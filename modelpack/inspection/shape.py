"""Whether manifest, configuration and index of an image agree on what layers there are."""

from collections.abc import Iterator

from modelpack.inputs.quoting import quoted
from modelpack.inspection.configuration import Configuration, is_for
from modelpack.inspection.documents import Documents
from modelpack.oci.layer import DOCKER_TAR, TAR

_PLAIN = frozenset({TAR, DOCKER_TAR})
"media types of layers that are not compressed"


def shape(documents: Documents, configuration: Configuration) -> Iterator[str]:
    """Yield a sentence for each contradiction."""
    layers, diff_ids = documents.manifest.layers, configuration.diff_ids
    if configuration.is_image and len(layers) != len(diff_ids):
        yield f"the manifest has {len(layers)} layers, the configuration {len(diff_ids)} diff_ids"
    steps = [step for step in configuration.history if not step.empty_layer]
    if configuration.history and diff_ids and len(steps) != len(diff_ids):
        yield f"the history has {len(steps)} layers, the configuration {len(diff_ids)} diff_ids"
    for layer, diff_id in zip(layers, diff_ids, strict=False):
        if layer.media_type in _PLAIN and layer.digest != diff_id:
            yield (
                f"layer {quoted(layer.digest)} is not compressed, but its diff_id is "
                f"{quoted(diff_id)}"
            )
    for image in documents.platforms:
        if (
            image.digest == documents.descriptor.digest
            and configuration.platform
            and image.platform
            and not is_for(configuration.platform, image.platform)
        ):
            yield (
                f"the index says {quoted(image.platform)}, the configuration "
                f"{quoted(configuration.platform)}"
            )
