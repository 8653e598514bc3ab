"""From the name of an image, wherever it is, to what a scan looks at."""

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, cast

from modelpack import reference
from modelpack.digest import Digest
from modelpack.evidence.scan import subject
from modelpack.evidence.scan.sources import Far, OnDisk, Source
from modelpack.evidence.scan.subject import Subject
from modelpack.inputs.machine import Machine
from modelpack.inputs.scratch import scratch_folder
from modelpack.inspection.documents import Documents
from modelpack.inspection.reading import read_image
from modelpack.reference import Reference
from modelpack.stores import opening

if TYPE_CHECKING:
    from modelpack.evidence.scan.sources import Fetchable, Openable
    from modelpack.stores.opening import Engines, Readable


@contextmanager
def subjects(
    name: Reference,
    *,
    platform: str,
    engines: "Engines",
    machine: Machine,
    known: AbstractSet[Digest] = frozenset(),
) -> Iterator[Sequence[Subject]]:
    """Open the image, or all of an index, as long as its layers are read.

    With `platform`, this image of an index. Layers that are `known` to be weights are not looked
    at in a registry. Of an image in an engine the layers that are looked at
    are kept in a folder meanwhile.
    """
    with (
        opening.opened(name, engines=engines, registries=lambda: machine.registries) as (
            store, root,
        ),
        ExitStack() as stack,
    ):  # fmt: skip
        first = read_image(store, root, platform=platform)
        others = [] if platform else [one.platform for one in first.platforms]
        each = [read_image(store, root, platform=other) for other in others] or [first]
        if isinstance(name, reference.Registry):
            far = Far(cast("Fetchable", store))
            yield [subject.stored(far, one, known=known, by_headers=True) for one in each]
        else:
            yield [_subject(name, store, documents, engines, machine, stack) for documents in each]


def _subject(
    name: Reference, store: "Readable", documents: Documents, engines: "Engines",
    machine: Machine, stack: ExitStack,
) -> Subject:  # fmt: skip
    match name:
        case reference.Daemon() | reference.ContainersStorage():
            source = _kept(name, documents, engines, machine, stack)
            return subject.stored(source, documents)
        case _:
            return subject.stored(OnDisk(cast("Openable", store)), documents)


def _kept(
    name: reference.Daemon | reference.ContainersStorage, documents: Documents,
    engines: "Engines", machine: Machine, stack: ExitStack,
) -> Source:  # fmt: skip
    """Let the engine send the image once more, and keep the layers that are not weights."""
    from modelpack.engine import saved_layers  # noqa: PLC0415

    sizes = {layer.digest: layer.size for layer in documents.manifest.layers}
    said = subject.said_weights(documents)
    while True:
        machine.progress.say(f"reading {name}")
        weights = {layer.digest for layer, _ in said}
        kept = saved_layers.keep(
            engines(name),
            name.reference.familiar,
            wanted={digest: size for digest, size in sizes.items() if digest not in weights},
            others={digest: size for digest, size in sizes.items() if digest in weights},
            folder=stack.enter_context(scratch_folder(machine.cache)),
        )
        true = tuple(pair for pair in said if subject.holds_only(kept, *pair))
        if true == said:
            return kept
        said = true  # what holds something else is looked at, too
