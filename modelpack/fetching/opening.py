"""From a source to the place that it names, open to be asked."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

from modelpack import spec
from modelpack.digest import parse as parse_digest
from modelpack.errors import InputError
from modelpack.fetching.place import Place
from modelpack.inputs.machine import Machine
from modelpack.lock import WeightsSource
from modelpack.reference import Archive, Layout, Registry
from modelpack.spec import weight_source
from modelpack.spec.weight_source import Bucket, Hub, Stored, Website
from modelpack.stores import opening


@contextmanager
def opened(
    weights: spec.Weights, root: Path, *, machine: Machine, locked: WeightsSource | None
) -> Iterator[Place]:
    """Open the place of `weights.source`: as it is now, or as it was `locked`.

    Paths are below the project `root`. Raises Unavailable when what it needs is not installed.
    """
    at = f"weights.{weights.name}.source"
    source = weight_source.parse(weights.source, at=at)
    match source:
        case Hub():
            from modelpack.fetching.hub import HubPlace  # noqa: PLC0415  the network

            commit = locked.revision if locked else ""
            yield HubPlace(source, commit=commit, environment=machine.environment, at=at)
        case Bucket():
            from modelpack.fetching.bucket import BucketPlace  # noqa: PLC0415  the network

            single = locked is not None and locked.single
            with closing(BucketPlace(source, single=single, at=at)) as bucket:
                yield bucket
        case Website():
            from modelpack.fetching.website import WebPlace  # noqa: PLC0415  the network

            yield WebPlace(source, weights, environment=machine.environment, at=at)
        case Stored():
            with _stored(source, weights, root, machine, locked, at) as place:
                yield place


@contextmanager
def _stored(
    source: Stored, weights: spec.Weights, root: Path, machine: Machine,
    locked: WeightsSource | None, at: str,
) -> Iterator[Place]:  # fmt: skip
    from modelpack.fetching.image import ImagePlace  # noqa: PLC0415  the network

    digest = parse_digest(locked.revision, at=at) if locked else None
    name = source.name
    if isinstance(name, Registry):
        from modelpack.oci.registry.repository import Repository  # noqa: PLC0415  the network

        repository = Repository(name, machine.registries)
        manifest = repository.resolve(digest or name.digest or name.tag)
        yield ImagePlace(repository, manifest, name=weights.name, at=at)
        return
    path = str(root / name.path)
    here: Layout | Archive = replace(name, path=path)
    if isinstance(here, Layout) and digest:
        here = Layout(path, "", digest)
    if not Path(path).exists():
        raise InputError("there is nothing at the source", at=f"{at}: {path}")
    with opening.on_disk(here) as (store, manifest):
        yield ImagePlace(store, manifest, name=weights.name, at=at)
