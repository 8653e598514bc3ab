"""Whether labels, nameplates and layers of a weights image agree."""

from collections.abc import Iterator, Sequence

from modelpack import plan
from modelpack.inputs.quoting import quoted
from modelpack.inputs.weights import weights_digest
from modelpack.inspection.configuration import Configuration
from modelpack.inspection.description import Description
from modelpack.inspection.documents import Documents
from modelpack.inspection.shape import shape
from modelpack.lock import WeightsLock
from modelpack.run_configuration import NAMESPACE


def findings(
    documents: Documents, configuration: Configuration, description: Description
) -> Iterator[str]:
    """Yield a sentence for each thing that does not add up."""
    yield from configuration.findings
    yield from shape(documents, configuration)
    if configuration.run.entrypoint or configuration.run.command:
        yield "a weights image starts nothing, but the configuration names a command"
    yield from _labels(configuration, description)
    sets = description.weight_sets
    for weights in sets:
        if weights_digest(weights.files) != weights.digest:
            yield f"the digest of weights {quoted(weights.name)} is not the one of their files"
    if sets and not description.unknown:
        yield from _layers(documents, configuration, sets)


def _labels(configuration: Configuration, description: Description) -> Iterator[str]:
    """Compare the labels with the nameplates; one digest names several weights in their order."""
    labels, plates = configuration.labels, description.nameplates
    for plate in plates:
        expected = {"model.name": plate.model, "model.version": plate.version}
        if len(plates) == 1:
            expected["weights.digest"] = plate.weights.digest
        for key, value in expected.items():
            stated = labels.get(f"{NAMESPACE}{key}", "")
            if stated != value:
                name = quoted(f"{NAMESPACE}{key}")
                yield f"label {name} says {quoted(stated)}; the nameplate says {quoted(value)}"


def _layers(
    documents: Documents, configuration: Configuration, sets: Sequence[WeightsLock]
) -> Iterator[str]:
    for weights in sets:
        for file in weights.files:
            layer = file.layer if plan.is_own_layer(file) else weights.bundle
            if layer is None or layer not in configuration.diff_ids:
                where = quoted(f"{weights.destination}/{file.path}")
                yield f"the image does not have the layer that its nameplate names for {where}"
    expected = sum(len(plan.weights_steps(weights)) for weights in sets) + 1
    found = len(documents.manifest.layers)
    if found != expected:
        yield f"the nameplates give an image of {expected} layers, this one has {found}"
