"""An image and all that belongs to it, from one named place to another: push, pull and copy."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from modelpack import reference
from modelpack.digest import Digest, short
from modelpack.engine.door import Engine
from modelpack.errors import Finding, InputError, ModelpackError, joined
from modelpack.inputs.machine import Machine
from modelpack.inputs.scratch import scratch_folder
from modelpack.oci import copying
from modelpack.oci.layer import REF_NAME, Descriptor, Remote
from modelpack.oci.overlay import View, Viewer
from modelpack.oci.referrers import Copied, Vouching
from modelpack.oci.registry import places, unfinished
from modelpack.oci.store import Root, local_image
from modelpack.reference import Reference
from modelpack.stores import opening

_Engines = reference.Daemon | reference.ContainersStorage
_Named = TypeVar("_Named", bound=Reference)
_DISK = "docker-archive:FILE of `docker save`, oci:FOLDER"


@dataclass(frozen=True, slots=True, kw_only=True)
class Transferred:
    """What was copied, and where it is now."""

    digest: Digest
    target: str
    tags: tuple[str, ...]
    weights: tuple[Digest, ...]
    "images of mounted weights that went along"
    referrers: int
    "manifests that vouch for something and went along"
    size: int
    "bytes of all blobs, sent or not"
    findings: tuple[Finding, ...]


def transfer(
    source: Reference,
    target: Reference,
    *,
    machine: Machine,
    tags: Sequence[str] = (),
    referrers: bool = True,
    replace_versions: bool = False,
    viewed: Viewer | None = None,
    suffix: str = "",
    engines: opening.Engines | None = None,
) -> Transferred:
    """Copy the image `source` to `target`, under `tags`, else the target's, else its own.

    With `viewed`, that view of the image; where nothing names tags, it gets those of the image
    with `suffix`. An engine of `engines` gets the image of its platform and nothing else. Raises
    Refused when a version tag of a registry holds another image.
    """
    with _source(source, machine) as (store, root, own):
        wanted = tuple(tags) or ((_tag(target),) if _tag(target) else with_suffix(own, suffix))
        if isinstance(target, _Engines):
            if viewed or engines is None:
                raise _no_place(target)
            return _load(store, root, engines(target), target, wanted, machine)
        view = viewed(store, root) if viewed else View(source=store, root=root)
        found = copying.closure(view.source, view.root, tags=wanted, referrers=referrers)
        warnings = (*view.findings, *found.findings)
        label = f"copying to {target}"
        match target:
            case reference.Registry():
                warnings += _push(found, target, machine, label, replace_versions)
            case reference.Layout():
                warnings += _write_layout(found, target, machine, label)
            case reference.Archive():
                warnings += _write_archive(found, source, target, machine, label)
            case _:
                raise _no_place(target)
    return Transferred(
        digest=found.digest, target=str(_bare(target)), tags=wanted,
        weights=tuple(root.manifest.digest for root in found.roots[1:]),
        referrers=found.vouching, size=found.size, findings=warnings,
    )  # fmt: skip


def _no_place(target: Reference) -> InputError:
    return InputError(
        f"cannot copy to `{target}`", at="DST",
        hint="name a registry, a layout, oci:FOLDER[:TAG], oci-archive:FILE, or for an image "
        "docker-daemon:REF",
    )  # fmt: skip


def with_suffix(tags: Sequence[str], suffix: str) -> tuple[str, ...]:
    """Return the names that a view of images with `tags` gets."""
    return tuple(f"{tag}{suffix}" for tag in tags)


def _push(
    found: copying.Closure, target: reference.Registry, machine: Machine, label: str,
    replace_versions: bool,  # noqa: FBT001  private
) -> tuple[Finding, ...]:  # fmt: skip
    from modelpack.oci.registry.writing import WritableRepository  # noqa: PLC0415  the network

    store = WritableRepository(
        target, machine.registries, uploads=machine.cache / unfinished.FOLDER,
        places=machine.cache / places.FOLDER, known=machine.digests, replace=replace_versions,
    )  # fmt: skip
    for root in found.roots:
        store.expect_free(root.tags, root.manifest.digest)  # rather now than after an hour
    doubts = store.findings(found.blobs)
    try:
        left = copying.copy(found, store, progress=machine.progress, label=label)
    except ModelpackError as error:
        raise joined([error], *doubts) from error
    return (*doubts, *left)


def _write_layout(
    found: copying.Closure, target: reference.Layout, machine: Machine, label: str
) -> tuple[Finding, ...]:
    from modelpack.oci.layout import Layout  # noqa: PLC0415

    root, *others = found.roots
    kind = local_image(root.manifest.descriptor.media_type)
    found = replace(found, roots=(replace(root, annotations=kind), *others))
    with Layout(
        Path(target.path), known=machine.digests, progress=machine.progress, resumes=True
    ) as layout:
        return copying.copy(found, layout, progress=machine.progress, label=label)


def _write_archive(
    found: copying.Closure, source: Reference, target: reference.Archive, machine: Machine,
    label: str,
) -> tuple[Finding, ...]:  # fmt: skip
    """Write one file; what is in the network is fetched into a folder first."""
    from modelpack.oci import archive  # noqa: PLC0415
    from modelpack.oci.layout import Layout  # noqa: PLC0415

    root, *others = found.roots
    name = f"{source.name}:" if isinstance(source, reference.Registry) else ""
    named = [replace(one, tags=tuple(f"{name}{tag}" for tag in one.tags)) for one in others]
    vouching: list[tuple[Descriptor, Sequence[Vouching]]] = []
    vouching += [pair for one in found.roots for pair in one.vouching_for() if pair[1]]
    vouching += [(root.manifest.descriptor, [_named(one)]) for one in found.tagged]
    with scratch_folder(machine.cache) as folder, ExitStack() as stack:
        blobs = found.blobs
        if any(isinstance(blob.origin, Remote) for blob in blobs):
            layout = stack.enter_context(Layout(folder / "image"))
            with machine.progress.task(f"fetching {source}", found.size) as advance:
                layout.write_all(blobs, advance)
            blobs = tuple(layout.blob(blob.descriptor) for blob in blobs)
        with machine.progress.task(label, found.size) as advance:
            archive.write(
                Path(target.path), root.manifest, blobs, kind=target.kind,
                names=[f"{name}{tag}" for tag in root.tags], others=named, vouching=vouching,
                advance=advance, progress=machine.progress,
            )  # fmt: skip
    if vouching and target.kind == "docker-archive":
        doubt = "a `docker-archive` holds images alone: what vouches for them is not in it"
        return (Finding(message=doubt, at=str(target), rule="copy.referrers", severity="warning",
                        hint=f"modelpack copy {source} oci-archive:FILE"),)  # fmt: skip
    return ()


def _load(
    store: copying.Source, root: Descriptor, engine: Engine, target: _Engines,
    tags: Sequence[str], machine: Machine,
) -> Transferred:  # fmt: skip
    """Give `engine` the image for its platform; what is in the network is fetched first."""
    from modelpack.engine import loading  # noqa: PLC0415

    bare = _bare(target)
    descriptor, manifest = loading.image_for(engine, store, root)
    blobs = [store.blob(layer) for layer in manifest.layers]
    blobs += [store.blob(manifest.config)] if manifest.config else []
    size = sum(blob.size for blob in blobs)
    with scratch_folder(machine.cache) as folder, ExitStack() as stack:
        is_far = any(isinstance(blob.origin, Remote) for blob in blobs)
        if is_far and loading.held(engine, store, descriptor) is None:
            from modelpack.oci.layout import Layout  # noqa: PLC0415

            loading.check_compression(engine, [layer.media_type for layer in manifest.layers])
            layout = stack.enter_context(Layout(folder / "image"))
            with machine.progress.task(f"fetching {short(descriptor.digest)}", size) as advance:
                layout.write_all([*blobs, store.blob(descriptor)], advance)
            store = layout
        loaded = loading.load(
            engine, store, descriptor, names=[f"{bare.reference.familiar}:{tag}" for tag in tags],
            progress=machine.progress,
        )  # fmt: skip
    return Transferred(
        digest=loaded.manifest, target=str(bare), tags=tuple(tags), weights=(), referrers=0,
        size=size, findings=(),
    )  # fmt: skip


def _named(tagged: Root) -> Copied:
    """Return what has a tag of its own as an entry of the list of all that vouches."""
    entry = replace(tagged.manifest.descriptor, annotations={REF_NAME: tagged.tags[0]})
    return Copied(descriptor=entry, manifest=tagged.manifest, contents=())


@contextmanager
def _source(
    name: Reference, machine: Machine
) -> Iterator[tuple[copying.Source, Descriptor, tuple[str, ...]]]:
    """Open what is copied; yield it, the image in it, and the tags that it has there."""
    match name:
        case reference.Project() | reference.Layout() | reference.Archive():
            with opening.on_disk(name) as (store, root):
                yield store, root, _tags(store.manifests(), root)
        case reference.Registry():
            from modelpack.oci.registry.repository import Repository  # noqa: PLC0415

            repository = Repository(name, machine.registries)
            root = opening.found(repository, name)
            tag = name.tag or ("" if name.digest else "latest")
            yield repository, root, (tag,) if tag else ()
        case _:
            raise InputError(
                f"cannot copy from `{name}`", at="SRC", hint=f"use a registry, or {_DISK}"
            )


def _tags(entries: Sequence[Descriptor], root: Descriptor) -> tuple[str, ...]:
    """Return the tags of `root` among `entries`; of a full name, as in archives, its tag."""
    names = [e.annotations.get(REF_NAME, "") for e in entries if e.digest == root.digest]
    return tuple(dict.fromkeys(name.rpartition(":")[2] for name in names if name))


def _tag(target: Reference) -> str:
    match target:
        case reference.Daemon() | reference.ContainersStorage():
            return _tag(target.reference)
        case reference.Registry() | reference.Layout():
            if target.digest:
                raise InputError(
                    f"the digest of `{target}` follows from the image", at="DST",
                    hint="name a tag, or nothing",
                )  # fmt: skip
            return target.tag
        case _:
            return ""


def _bare(target: _Named) -> _Named:
    """Return the place without a tag."""
    match target:
        case reference.Daemon() | reference.ContainersStorage():
            return replace(target, reference=replace(target.reference, tag=""))
        case reference.Registry() | reference.Layout():
            return replace(target, tag="")
        case _:
            return target
