"""The image that evidence is about: its digest, and the names under which people know it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from modelpack.digest import Digest
from modelpack.lock import purls
from modelpack.plan import Plan
from modelpack.platform import Platform
from modelpack.reference import WEIGHTS_SUFFIX
from modelpack.run_configuration import NAMESPACE
from modelpack.source import Source
from modelpack.spec import Spec

_NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedImage:
    """One manifest, and what its documents call it."""

    digest: Digest
    repository: str
    "`ghcr.io/acme/minilm`, or the name of the model"
    tag: str
    platform: Platform | None
    "None: for every platform"
    created: int
    properties: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    "of this image alone: `source:revision`"

    @property
    def purl(self) -> str:
        """The image's package URL."""
        return purls.image(
            self.digest, repository=self.repository, tag=self.tag,
            architecture=self.platform.architecture if self.platform else "",
        )  # fmt: skip


def of_spec(spec: Spec, digest: Digest, *, plan: Plan, source: Source | None) -> NamedImage:
    """Return the image of `plan` under the name that the spec gives it.

    Without a source it holds weights alone, the same whatever the code is.
    """
    labels = plan.config["Labels"]
    own = {
        "plan": plan.digest,
        "lock": labels.get(f"{NAMESPACE}lock.digest", "") if source else "",
        "weights": labels.get(f"{NAMESPACE}weights.digest", ""),
        "source:digest": source.digest if source else "",
        "source:revision": source.revision if source else "",
        "source:dirty": str(source.dirty).lower() if source and source.dirty is not None else "",
    }
    tag = next(iter(spec.image.tags), spec.model.version)
    return NamedImage(
        digest=digest,
        repository=spec.image.repository or spec.model.name,
        tag=tag if source else f"{tag}{WEIGHTS_SUFFIX}",
        platform=plan.platform if source else None,
        created=plan.created,
        properties={key: value for key, value in own.items() if value},
    )
