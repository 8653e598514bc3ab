"""Whether an image could be made again, and where it differs first: a value and its statement.

The predicate is documented in docs/predicates/rebuild-v1.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from modelpack import __version__
from modelpack.canonical_json import rfc3339
from modelpack.comparison.tar_difference import Place
from modelpack.comparison.value import Change
from modelpack.digest import Digest
from modelpack.oci.layer import Descriptor
from modelpack.trust import predicate_types
from modelpack.trust.statement import Statement, about

KIND: Final = "rebuild"

Origin = Literal["source", "image"]
"`source`: the folder that was given has the same; `image`: nobody vouches for it but the image"
Revision = Literal["checked-out", "other-commit", "no-repository", "not-recorded"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerDifference:
    """The first layer that differs, and where."""

    index: int
    "among the layers, from 0"
    kind: str
    recorded: str
    "digest as stored; empty where the image has no such layer"
    rebuilt: str
    place: Place | None
    "None: one of them is not here, or there is none"


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeFrom:
    """Where what the rebuild was made from comes from."""

    spec: Origin
    lock: Origin
    revision: str
    revision_is: Revision
    weights: Mapping[str, str]
    "by name of the weights: `hashed` here, or taken from the `lock`"
    builder: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What came of making one image again."""

    image: Descriptor
    "its manifest"
    name: str
    "for people"
    platform: str
    rebuilt: Digest
    reproduced: bool
    made_from: MadeFrom
    layer: LayerDifference | None = None
    configuration: tuple[Change[str], ...] = ()
    reasons: tuple[str, ...] = ()
    "what explains a difference, or limits what the verdict says"
    started: int = 0
    finished: int = 0


def statement(verdict: Verdict) -> Statement:
    """Return the verdict about the image, not signed."""
    return Statement(
        subjects=about(verdict.name, verdict.image.digest),
        predicate_type=predicate_types.REBUILD,
        predicate=_predicate(verdict),
    )


def _predicate(verdict: Verdict) -> dict[str, Any]:
    made_from = verdict.made_from
    return {
        "verdict": "reproduced" if verdict.reproduced else "different",
        "platform": verdict.platform,
        "rebuilt": {"digest": {"sha256": verdict.rebuilt.removeprefix("sha256:")}},
        "rebuilder": {"version": {"modelpack": __version__}, "builder": made_from.builder},
        "madeFrom": {
            "spec": made_from.spec,
            "lock": made_from.lock,
            "revision": made_from.revision,
            "revisionIs": made_from.revision_is,
            "weights": dict(made_from.weights),
        },
        "firstDifference": _difference(verdict.layer),
        "configuration": [
            {"key": change.key, "recorded": change.before, "rebuilt": change.after}
            for change in verdict.configuration
        ],
        "reasons": list(verdict.reasons),
        "metadata": {
            "startedOn": rfc3339(verdict.started), "finishedOn": rfc3339(verdict.finished),
        },
    }  # fmt: skip


def _difference(layer: LayerDifference | None) -> dict[str, Any] | None:
    if layer is None:
        return None
    place = layer.place
    return {
        "layer": layer.index,
        "kind": layer.kind,
        "recorded": layer.recorded,
        "rebuilt": layer.rebuilt,
        "place": {
            "what": place.what, "path": place.path, "offset": place.offset,
            "recorded": place.recorded, "rebuilt": place.rebuilt,
        } if place else None,
    }  # fmt: skip
