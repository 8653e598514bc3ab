"""What a plan would reuse, and why the rest would be made: the plan against the last build."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from modelpack.builders.choice import EMBEDDED, key
from modelpack.errors import ModelpackError
from modelpack.inputs.machine import Machine
from modelpack.oci import references
from modelpack.oci.layer import Layer
from modelpack.oci.layer_cache import LayerCache
from modelpack.oci.layout import Layout
from modelpack.plan import Plan, Step

State = Literal["reuse", "write", "make"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """A step, and what a build would do with it."""

    step: Step
    state: State
    "`reuse`: the layer is in the layout; `write`: it exists, to be copied there; `make`: anew"
    why: str


def explain(plan: Plan, layout: Path, machine: Machine) -> tuple[Explained, ...]:
    """Return what a build of `plan` into `layout` with the last builder would do with each step."""
    layers = LayerCache(machine.cache, known=machine.digests)
    store = Layout(layout, known=machine.digests)
    builder, before = _last_build(layout.parent / "build.json")
    present = _present(store)
    return tuple(
        _explain(step, layers.find(key(builder, step)), present, before) for step in plan.steps
    )


def _present(store: Layout) -> frozenset[str]:
    """Return the digests of all that the layout's images hold."""
    try:
        return frozenset(references.closure(store.manifests(), store.image))
    except ModelpackError:
        return frozenset()


def _last_build(path: Path) -> tuple[str, Mapping[str, list[dict[str, Any]]]]:
    """Return the last build's builder and its layers by step kind; none where it is not known."""
    try:
        record = json.loads(path.read_bytes())
        layers = record["layers"]
        kinds = {str(layer["step"]) for layer in layers}
        builder = str(record.get("builder", EMBEDDED))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return EMBEDDED, {}
    return builder, {kind: [layer for layer in layers if layer["step"] == kind] for kind in kinds}


def _explain(
    step: Step,
    made: Layer | None,
    present: frozenset[str],
    before: Mapping[str, list[dict[str, Any]]],
) -> Explained:
    if step.kind in ("meta", "nameplate"):
        return Explained(step=step, state="make", why="always: it is small and describes the rest")
    known = made if step.known is None else None
    digest = step.known or (known.blob.digest if known else None)
    if digest is not None and digest in present:
        return Explained(step=step, state="reuse", why="")
    if known is not None or (step.kind == "base" and step.known):
        why = "made before, not in the layout" if known else "of the image that is the base"
        return Explained(step=step, state="write", why=why)
    if step.kind not in before:
        return Explained(step=step, state="make", why="nothing was built here before")
    if any(layer.get("key") == step.digest for layer in before[step.kind]):
        return Explained(step=step, state="make", why="made before, kept nowhere any more")
    why = {
        "base": "its packages, user or format changed",
        "dependencies": "its wheels, interpreter or format changed",
        "weights": "its content changed",
        "code": "a code file changed",
    }[step.kind]
    return Explained(step=step, state="make", why=why)
