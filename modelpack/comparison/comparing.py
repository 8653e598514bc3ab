"""Facts of two images to their Difference: pure, total, and the same in both directions."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

from modelpack.comparison.value import (
    Change,
    Difference,
    Facts,
    FileFact,
    LayerFact,
    LayerRow,
    LayerState,
)

T = TypeVar("T")
Files = Mapping[str, FileFact]


def changes(before: Mapping[str, T], after: Mapping[str, T]) -> tuple[Change[T], ...]:
    """Return what differs between two tables, by key."""
    return tuple(
        Change(key=key, before=before.get(key), after=after.get(key))
        for key in sorted({*before, *after})
        if before.get(key) != after.get(key)
    )


def compare(before: Facts, after: Facts, *, files: tuple[Files, Files] | None = None) -> Difference:
    """Return how `after` differs from `before`; `files` are all paths of their layers."""
    parameters: Change[int] | None = None
    if before.parameters != after.parameters:
        parameters = Change(key="parameters", before=before.parameters, after=after.parameters)
    return Difference(
        before=before.digest,
        after=after.digest,
        platforms=_platforms(before, after),
        configuration=_configuration(before, after),
        settings=changes(before.settings, after.settings),
        build=changes(before.build, after.build),
        packages=changes(before.packages, after.packages),
        weights=changes(before.weights, after.weights),
        tensors=changes(before.tensors, after.tensors),
        parameters=parameters,
        code=changes(before.code, after.code),
        layers=tuple(_layers(before.layers, after.layers)),
        pull=pull(before, after),
        files=changes(*files) if files else None,
        unknown=tuple(dict.fromkeys(_unknown(before, after))),
    )


def pull(before: Facts, after: Facts) -> int:
    """Return the bytes of layers and configuration that only `after` has, each blob once.

    Counted as a registry stores them: a layer that is compressed in another way is another blob.
    """
    here = {layer.digest for layer in before.layers}
    missing = {layer.digest: layer.size for layer in after.layers if layer.digest not in here}
    configuration = 0 if before.config_digest == after.config_digest else after.config_size
    return sum(missing.values()) + configuration


def _platforms(before: Facts, after: Facts) -> tuple[Change[str], ...]:
    """Return which other images two indexes have; nothing where one side is a single image."""
    if not (before.platforms and after.platforms):
        return ()
    own = {before.platform, after.platform}
    return tuple(
        change for change in changes(before.platforms, after.platforms) if change.key not in own
    )


def _configuration(before: Facts, after: Facts) -> tuple[Change[str], ...]:
    found = changes(before.configuration, after.configuration)
    same_layers = _identities(before.layers) == _identities(after.layers)
    if same_layers:  # else the list of the layers tells
        found = (*found, *changes(before.history, after.history))
    moved = sorted(_identities(before.layers)) != sorted(_identities(after.layers))
    if not found and not moved and before.config_digest != after.config_digest:
        # The order of layers, of variables, of keys: it cannot be said shorter.
        return (
            Change(key="configuration", before=before.config_digest, after=after.config_digest),
        )
    return found


def _identities(layers: Sequence[LayerFact]) -> list[str]:
    return [layer.identity for layer in layers]


def _layers(before: Sequence[LayerFact], after: Sequence[LayerFact]) -> Iterator[LayerRow]:
    """Yield the layers of `after` in their order, then those that only `before` has."""
    known: dict[str, set[str]] = {}
    for layer in before:
        known.setdefault(layer.identity, set()).add(layer.digest)
    for layer in after:
        state: LayerState = "added"
        if layer.identity in known:
            same = layer.digest in known[layer.identity]
            state = "shared" if same else "stored-otherwise"
        yield LayerRow(state=state, layer=layer)
    left = {layer.identity for layer in after}
    for layer in before:
        if layer.identity not in left:
            yield LayerRow(state="removed", layer=layer)


def _unknown(before: Facts, after: Facts) -> Iterator[str]:
    for name, facts in (("first", before), ("second", after)):
        for reason in facts.unknown:
            yield f"of the {name} image: {reason}"
