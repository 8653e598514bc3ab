"""Weights, packages and layers as the Lock and the history describe them."""

from collections.abc import Iterator, Mapping, Sequence

from modelpack.inspection.configuration import Configuration, is_for
from modelpack.inspection.description import Description
from modelpack.inspection.documents import Documents
from modelpack.inspection.reading import CREATED_BY
from modelpack.inspection.value import (
    LayerClaim,
    PackageClaim,
    WeightFileClaim,
    WeightSetClaim,
)
from modelpack.lock import (
    AssembledBase,
    ImageBase,
    Lock,
    PlatformLock,
    WeightFile,
    WeightsLock,
    purls,
    sources,
    tensors,
)
from modelpack.metadata import NAMEPLATE, PLACE
from modelpack.plan import is_own_layer

_KINDS = frozenset({"base", "dependencies", "weights", "code", "meta", "nameplate"})
_NAMES_SHOWN = 4
_NOP = "/bin/sh -c #(nop) "
"how Docker's old builder writes what runs nothing"


def platform_lock(lock: Lock | None, platform: str) -> PlatformLock | None:
    """Return what the lock holds for `platform`; for its only one where that is not stated."""
    if lock is None:
        return None
    for item in lock.platforms:
        if platform and is_for(platform, str(item.platform)):
            return item
    return lock.platforms[0] if not platform and len(lock.platforms) == 1 else None


def weight_files(sets: Sequence[WeightsLock]) -> tuple[WeightFileClaim, ...]:
    """Return all weight files in the order in which they are locked."""
    return tuple(_weight_file(weights, file) for weights in sets for file in weights.files)


def _weight_file(weights: WeightsLock, file: WeightFile) -> WeightFileClaim:
    dtypes = tensors.parameters(file)
    return WeightFileClaim(
        set=weights.name,
        path=f"{weights.destination.rstrip('/')}/{file.path}",
        size=file.size,
        sha256=file.sha256,
        tensors=len(file.tensors) or None,
        parameters=sum(dtypes.values()) if dtypes else None,
        dtypes=dtypes,
    )


def weight_sets(description: Description) -> tuple[WeightSetClaim, ...]:
    """Return the totals of each `[weights]`; those with a nameplate are there to be mounted."""
    spec = description.spec
    modes: dict[str, str] = {p.weights.name: "mount" for p in description.nameplates}
    modes |= {weights.name: weights.mode for weights in spec.weights} if spec else {}
    return tuple(
        _weight_set(weights, modes.get(weights.name, "")) for weights in description.weight_sets
    )


def _weight_set(weights: WeightsLock, mode: str) -> WeightSetClaim:
    dtypes = tensors.total(weights.files)
    return WeightSetClaim(
        name=weights.name,
        destination=weights.destination,
        digest=weights.digest,
        mode=mode,
        files=len(weights.files),
        size=sum(file.size for file in weights.files),
        tensors=sum(len(file.tensors) for file in weights.files),
        parameters=sum(dtypes.values()),
        dtypes=dtypes,
        source=sources.pinned(weights),
    )


def packages(platform: PlatformLock | None) -> tuple[PackageClaim, ...]:
    """Return the Debian packages, then the wheels (purl-spec, types `deb` and `pypi`)."""
    if platform is None:
        return ()
    return (*_debian_packages(platform), *_wheels(platform))


def _debian_packages(platform: PlatformLock) -> Iterator[PackageClaim]:
    base = platform.base
    if not isinstance(base, AssembledBase):
        return
    for item in base.packages:
        yield PackageClaim(
            type="deb", name=item.name, version=item.version, sha256=item.sha256,
            purl=purls.of_package(item, base),
        )  # fmt: skip


def _wheels(platform: PlatformLock) -> Iterator[PackageClaim]:
    for item in platform.wheels:
        yield PackageClaim(
            type="wheel", name=item.name, version=item.version, sha256=item.sha256,
            purl=purls.of_wheel(item),
        )  # fmt: skip


def layers(
    documents: Documents, configuration: Configuration, description: Description,
    platform: PlatformLock | None,
) -> tuple[LayerClaim, ...]:  # fmt: skip
    """Return the layers in order, each with what it is said to hold."""
    found = documents.manifest.layers
    diff_ids = configuration.diff_ids if len(configuration.diff_ids) == len(found) else ()
    steps = [step.created_by for step in configuration.history if not step.empty_layer]
    steps = steps if len(steps) == len(found) else []
    weights = _weights_by_layer(description.weight_sets)
    base = _base_by_layer(platform)
    claims = []
    for index, layer in enumerate(found):
        diff_id = diff_ids[index] if diff_ids else ""
        created_by = steps[index] if steps else ""
        kind = _kind(created_by)
        content = weights.get(diff_id) or base.get(diff_id)
        content = content or _content(kind, description, platform)
        claims.append(
            LayerClaim(
                index=index,
                kind="weights" if diff_id in weights else kind,
                digest=layer.digest,
                diff_id=diff_id,
                size=layer.size,
                media_type=layer.media_type,
                created_by=created_by,
                content=content or created_by.removeprefix(_NOP),
            )
        )
    return tuple(claims)


def _kind(created_by: str) -> str:
    if not created_by.startswith(CREATED_BY):
        return ""
    kind = created_by.removeprefix(CREATED_BY).partition(" ")[0]
    return kind if kind in _KINDS else ""


def _weights_by_layer(sets: Sequence[WeightsLock]) -> Mapping[str, str]:
    """Return what the weight layers hold, by diff_id, which no engine changes."""
    found: dict[str, str] = {}
    for weights in sets:
        for file in weights.files:
            if file.layer is not None and is_own_layer(file):
                found[file.layer] = file.path
        small = [file.path for file in weights.files if not is_own_layer(file)]
        if weights.bundle is not None and small:
            more = f" and {len(small) - _NAMES_SHOWN} more" if len(small) > _NAMES_SHOWN else ""
            found[weights.bundle] = ", ".join(small[:_NAMES_SHOWN]) + more
    return found


def _base_by_layer(platform: PlatformLock | None) -> Mapping[str, str]:
    """Return which layer of a base image each one is, by diff_id."""
    if platform is None or not isinstance(platform.base, ImageBase):
        return {}
    layers = platform.base.layers
    return {
        layer.diff_id: f"{platform.base.reference}, {number} of {len(layers)}"
        for number, layer in enumerate(layers, start=1)
    }


def _content(kind: str, description: Description, platform: PlatformLock | None) -> str:
    spec, source = description.spec, description.source
    match kind:
        case "base" if platform and isinstance(platform.base, AssembledBase):
            return f"{platform.base.distribution}, {_count(platform.base.packages, 'package')}"
        case "dependencies" if platform:
            return _count(platform.wheels, "wheel")
        case "code" if spec and source:
            return f"{_count(source.files, 'file')} at {spec.code.workdir}"
        case "meta":
            return PLACE
        case "nameplate":
            return NAMEPLATE
        case _:
            return ""


def _count(things: Sequence[object], noun: str) -> str:
    return f"{len(things)} {noun}{'' if len(things) == 1 else 's'}"
