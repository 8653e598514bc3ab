"""The image that is to be run: what it says, and how it gets into the engine."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from modelpack import project, reference
from modelpack.digest import Digest
from modelpack.engine import loading
from modelpack.engine.door import Engine
from modelpack.errors import InputError, ModelpackError, Unavailable
from modelpack.inspection.reading import Readable, read_image
from modelpack.oci.layer import Descriptor
from modelpack.oci.manifest import Manifest
from modelpack.oci.registry.credentials import Credentials
from modelpack.progress import Progress
from modelpack.reference import ContainersStorage, Daemon, Reference, Registry
from modelpack.running import facts
from modelpack.running.facts import Facts
from modelpack.stores import opening


class Identify(Protocol):
    """Somebody who can tell the manifest of an image that an engine has."""

    def far(self, name: Registry) -> tuple[Readable, Descriptor]:
        """Return a registry's repository, and the manifest or index that `name` stands for."""

    def held(self, engine: Engine, name: str) -> Descriptor | None:
        """Return the manifest of an image that the engine has by itself; None: nobody knows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """An image that was looked at; its layers may still be elsewhere than in the engine."""

    facts: Facts
    name: str
    "under which the engine knows it, or will: a name where it has one, else its id"
    digest: Digest | None
    "of the manifest; None: an engine's image, whose manifest nobody sees"
    source: tuple[loading.Source, Descriptor] | None
    "where its layers are; None: in the engine already"
    known: Descriptor | None = None
    "the manifest of an image in the engine, where somebody can tell it"
    size: int
    "bytes: manifest, configuration and layers as stored, else unpacked as the engine counts"

    @property
    def manifest(self) -> Descriptor | None:
        """Its manifest; None: an engine's image, whose manifest nobody sees."""
        return self.source[1] if self.source else self.known

    def held(self, engine: Engine) -> str | None:
        """Return a name or id under which the engine has exactly this image, if it has it."""
        if self.source is None:
            return self.name
        known = loading.held(engine, *self.source)
        if known is None or not self.facts.names or self.name not in self.facts.names:
            return known
        named = engine.image(self.name)
        return self.name if named is not None and named.id == known else known

    def load(self, engine: Engine, progress: Progress) -> str:
        """Bring it into the engine if it is not there, and return the engine's id of it."""
        if self.source is None:
            return self.name
        store, descriptor = self.source
        names = self.facts.names if self.name in self.facts.names else ()
        return loading.load(engine, store, descriptor, names=names, progress=progress).id


@contextmanager
def found(
    name: Reference,
    *,
    engine: Engine | None,
    host: str,
    credentials: Credentials | None,
    progress: Progress,
    identify: Identify | None = None,
) -> Iterator[Found]:
    """Look at the image that `name` names; without an engine at the one for the platform `host`.

    What only a registry has is pulled with `credentials`, unless they are None. With `identify`,
    an image of an engine is known by its manifest, where that can be told: one in a registry is
    the one that its name stands for there now, whatever the engine has under that name.
    """
    match name:
        case Registry() if engine and identify:
            yield _pinned(name, engine, credentials, identify, progress)
        case Daemon() | ContainersStorage() | Registry():
            if engine is None:
                raise InputError("which engine?", at=str(name))
            held = _held(name, engine, credentials, progress)
            yield replace(held, known=identify.held(engine, held.name)) if identify else held
        case _:
            with opening.on_disk(name) as (store, root):
                platform = str(engine.about.platform) if engine else host
                yield of_store(store, root, host=platform,
                               named=isinstance(name, reference.Project))  # fmt: skip


def of_store(
    store: loading.Source, root: Descriptor, *, host: str, named: bool = False
) -> Found:  # fmt: skip
    """Look at the image for the platform `host` that `root` in a store leads to.

    `named`: it gets the names in the engine that its author gives it.
    """
    documents = read_image(store, root, host=host)
    said = facts.of_documents(documents)
    config = documents.manifest.config
    own = said.names if named else ()
    return Found(
        facts=said,
        name=own[0] if own else config.digest if config else "",
        digest=documents.descriptor.digest,
        source=(store, documents.descriptor),
        size=_size(documents.manifest, documents.descriptor),
    )


def _held(
    name: Daemon | ContainersStorage | Registry,
    engine: Engine,
    credentials: Credentials | None,
    progress: Progress,
) -> Found:
    wanted = name if isinstance(name, Registry) else name.reference
    wanted = _with_tag(wanted)
    known = wanted.familiar
    held = engine.image(known)
    if held is None and isinstance(name, Registry) and credentials is not None:
        progress.say(f"pulling {known}")
        engine.pull(known, credentials.find(wanted), progress)
        held = engine.image(known)
    if held is None:
        raise InputError(
            f"the engine has no image `{known}`", at=str(engine.about),
            hint=f"docker pull {known}" if isinstance(name, Registry) else "modelpack build --load",
        )  # fmt: skip
    return Found(facts=facts.of_held(engine, held), name=known, digest=None, source=None,
                 size=held.size)  # fmt: skip


def _pinned(
    name: Registry,
    engine: Engine,
    credentials: Credentials | None,
    identify: Identify,
    progress: Progress,
) -> Found:
    """Return exactly the image that a registry has under a name, pulled if it is not here."""
    store, root = identify.far(name)
    documents = read_image(store, root, host=str(engine.about.platform))
    manifest, config = documents.descriptor, documents.manifest.config
    said = facts.of_documents(documents)
    # An engine knows an image by its configuration; with containerd's store by manifest or index.
    ids = {root.digest, manifest.digest, *([config.digest] if config else [])}
    pinned = Registry(name.host, name.repository, "", manifest.digest).familiar
    held = engine.image(_with_tag(name).familiar) or engine.image(pinned)
    if held is None or held.id not in ids:
        progress.say(f"pulling {pinned}")
        engine.pull(pinned, credentials.find(name) if credentials else None, progress)
        held = engine.image(pinned)
    if held is None or held.id not in ids:
        raise Unavailable(f"the engine has another image as `{pinned}`", at=str(engine.about))
    return Found(facts=said, name=held.id, digest=manifest.digest, source=None, known=manifest,
                 size=_size(documents.manifest, manifest))  # fmt: skip


def _with_tag(name: Registry) -> Registry:
    return name if name.tag or name.digest else Registry(name.host, name.repository, "latest")


def _size(manifest: Manifest, descriptor: Descriptor) -> int:
    parts = (descriptor, *manifest.layers, *([manifest.config] if manifest.config else []))
    return sum(part.size for part in parts)


def folders(name: Reference) -> dict[str, Path] | None:
    """Return the folders of weights that a project has here, by name; None: no project."""
    if not isinstance(name, reference.Project):
        return None
    try:
        this = project.read(Path(name.path), ignore_lock=True)
    except ModelpackError:  # another file than modelpack.toml, or one that was edited
        return None
    return {
        weights.name: this.root / weights.path for weights in this.spec.weights if weights.path
    }  # fmt: skip
