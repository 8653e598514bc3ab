"""An image made again from what it says of itself and from its code, and compared to the byte.

Nothing of the project is written: finished layers lie in a folder of this process, and weights
are hashed where they are.
"""

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path
from typing import Any, BinaryIO, cast

from modelpack import plan
from modelpack.assembly.assemble import Inputs, Made, image
from modelpack.assembly.weights_at_hand import AtHand, weights_at_hand
from modelpack.builders.choice import open_builder
from modelpack.comparison.comparing import changes
from modelpack.comparison.facts import flat
from modelpack.comparison.layer_files import opened
from modelpack.comparison.recorded import Recorded, RecordedCode
from modelpack.comparison.tar_difference import first_difference
from modelpack.comparison.value import Change
from modelpack.comparison.verdict import LayerDifference, MadeFrom, Verdict
from modelpack.errors import Finding, InputError, Refused, StaleLock, Unavailable
from modelpack.inputs import weights_image
from modelpack.inputs.base_image import allowed
from modelpack.inputs.machine import Machine
from modelpack.inputs.scratch import scratch_folder
from modelpack.inspection.json_document import parse_object
from modelpack.lock import FORMAT, ImageBase, Lock
from modelpack.oci.blobs import pieces_of
from modelpack.oci.chunks import Chunks
from modelpack.oci.content import blocks, pump
from modelpack.oci.file_writing import unwritable
from modelpack.oci.hashing import Sha256
from modelpack.oci.image import Image
from modelpack.oci.layer import Absent, Layer, StoredFile
from modelpack.oci.layer_cache import LayerCache
from modelpack.oci.layout import Layout
from modelpack.resolve.runtime import runtime_lock

_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How to build again; none of it changes what is built."""

    builder: str = "embedded"
    keeps_manifests: bool = True
    "whether the image lies where manifests stay as they were pushed; else its id must be the same"
    clock: Callable[[], int] = lambda: 0


def rebuild(
    recorded: Recorded, code: RecordedCode, store: object, *, machine: Machine, options: Options
) -> Verdict:
    """Make the image again and return where it differs first, if it does.

    `store` holds the image. Raises Refused when the weights here are not the recorded ones,
    Unavailable when something that is needed is not to be had.
    """
    started = options.clock()
    spec, lock = recorded.spec, recorded.lock
    allowed.require(spec.runtime.base, machine.bases)
    _refuse_strange_interpreter(recorded, code)
    at_hand = _weights(recorded, code.root, machine)
    planned = plan.make(
        spec, lock, code.source, recorded.platform,
        weights_image=weights_image.digest(spec, lock),
    )  # fmt: skip
    inputs = Inputs(
        spec=spec, lock=lock, source=code.source, code=code.code, weights=at_hand.sources,
        digests=machine.digests, threads=machine.threads, interface=code.interface,
    )  # fmt: skip
    with _scratch(machine) as folder:
        layers = LayerCache(folder, known=machine.digests, use=False)
        with open_builder(
            options.builder, recorded.platform, planned, lock, user=spec.runtime.user,
            machine=machine, layers=layers, use_cache=False,
            stores=[store] if isinstance(store, Layout) else [],
        ) as builder:  # fmt: skip
            made_image, made = image(planned, inputs, builder=builder, layers=layers)
        _prove_weights(made, machine)
        return replace(
            _verdict(recorded, code, made_image, made, store, options, at_hand),
            started=started, finished=options.clock(),
        )  # fmt: skip


@contextmanager
def _scratch(machine: Machine) -> Iterator[Path]:
    try:
        with scratch_folder(machine.cache) as folder:
            yield folder
    except OSError as error:
        raise unwritable(str(machine.cache), error) from error


def _refuse_strange_interpreter(recorded: Recorded, code: RecordedCode) -> None:
    """Refuse to run a program of an image for which nobody but the image itself vouches.

    Bytecode is compiled by the interpreter of the base: packages of a distribution, or an image
    from anywhere.
    """
    strange = isinstance(recorded.platform.base, ImageBase)
    if code.lock_from == "image" and strange and recorded.platform.bytecode != "none":
        raise Refused(
            "the folder has no lock like the image's, by which this base would be trusted to "
            "compile bytecode here",
            at=recorded.spec.runtime.base,
            hint="give the checkout that has the image's modelpack.lock as `--source`",
        )  # fmt: skip


def _weights(recorded: Recorded, root: Path, machine: Machine) -> AtHand:
    """Return where the recorded weights are here; none is no fault, others are."""
    for weights in recorded.spec.weights:
        if weights.path and not (root / weights.path).resolve().is_relative_to(root.resolve()):
            raise Refused("the weights' folder is not below the project", at=weights.path)
    try:
        return weights_at_hand(recorded.spec, recorded.lock, root, machine=machine, targets=())
    except StaleLock as stale:
        hint = "restore them, or move them away: then they are taken by their digests"
        raise Refused(*(_not_ours(finding, hint) for finding in stale.findings)) from stale


def _not_ours(finding: Finding, hint: str) -> Finding:
    return replace(finding, rule="rebuild.weights", hint=hint)


def _prove_weights(made: Sequence[Made], machine: Machine) -> None:
    """Hash the layers of weights that are here: the lock's word for them is not enough."""
    here = [
        item.layer for item in made
        if item.step.kind == "weights" and not isinstance(item.layer.blob.origin, Absent)
    ]  # fmt: skip
    total = sum(layer.blob.size for layer in here)
    with machine.progress.task("hashing weights", total) as advance:
        for layer in here:
            whole = Sha256()
            pump(pieces_of(layer.blob), [whole], advance)
            if whole.digest != layer.blob.digest:
                raise Refused(
                    f"the weights here make {whole.digest} instead of {layer.blob.digest}",
                    at=layer.created_by,
                    hint="restore them, or move them away: then they are taken by their digests",
                )  # fmt: skip


def _verdict(
    recorded: Recorded, code: RecordedCode, rebuilt: Image, made: Sequence[Made], store: object,
    options: Options, at_hand: AtHand,
) -> Verdict:  # fmt: skip
    documents = recorded.documents
    config = documents.manifest.config
    same_config = config is not None and config.digest == rebuilt.config_blob.digest
    same = documents.descriptor.digest == rebuilt.digest
    reproduced = same or (same_config and not options.keeps_manifests)
    layer = None if reproduced else _first_layer(recorded, made, store)
    reasons = list(_reasons(recorded, code, options, made))
    if layer is not None and layer.place is not None and layer.place.what == "compression":
        reasons.append("the files are the same: another compressor, or another version, packed it")
    if not reproduced and layer is None and same_config:
        reasons.append("only the manifest differs: annotations or media types")
    proofs: dict[str, str] = {}
    for (name, _), proof in at_hand.proofs.items():
        proofs[name] = "lock" if "lock" in (proof, proofs.get(name)) else "hashed"
    return Verdict(
        image=documents.descriptor,
        name=recorded.spec.image.repository or recorded.spec.model.name,
        platform=str(rebuilt.platform),
        rebuilt=rebuilt.digest,
        reproduced=reproduced,
        made_from=MadeFrom(
            spec=code.spec_from, lock=code.lock_from, revision=code.source.revision,
            revision_is=code.revision_is, weights=proofs, builder=options.builder,
        ),
        layer=layer,
        configuration=() if reproduced else _configuration(documents.config_bytes, rebuilt),
        reasons=tuple(reasons),
    )  # fmt: skip


def _first_layer(recorded: Recorded, made: Sequence[Made], store: object) -> LayerDifference | None:
    """Return the first layer whose bytes differ, and where in it."""
    for index, (descriptor, item) in enumerate(
        zip_longest(recorded.documents.manifest.layers, made)
    ):
        if descriptor is not None and item is not None:
            if descriptor.digest == item.layer.blob.digest:
                continue
            place = None
            if not isinstance(item.layer.blob.origin, Absent):
                try:
                    place = first_difference(
                        lambda found=descriptor: opened(store, found),  # type: ignore[misc]
                        lambda layer=item.layer: _stream(layer),  # type: ignore[misc]
                        at=descriptor.digest,
                    )
                except Unavailable:
                    place = None  # an engine does not hand it out
        else:
            place = None
        return LayerDifference(
            index=index,
            kind=item.step.kind if item else "",
            recorded=descriptor.digest if descriptor else "",
            rebuilt=item.layer.blob.digest if item else "",
            place=place,
        )
    return None


def _stream(layer: Layer) -> BinaryIO:
    """Open what was made, from wherever its bytes are."""
    if isinstance(layer.blob.origin, StoredFile):
        return open(layer.blob.origin.path, "rb")
    chunks = Chunks(blocks(pieces_of(layer.blob), _BLOCK))
    return cast("BinaryIO", io.BufferedReader(chunks, _BLOCK))


def _configuration(recorded: bytes, rebuilt: Image) -> tuple[Change[str], ...]:
    """Return what differs in the configuration, but for the layers' digests."""
    sides = []
    for data in (recorded, b"".join(map(_as_bytes, pieces_of(rebuilt.config_blob)))):
        try:
            value: Mapping[str, Any] = parse_object(data, at="configuration")
        except InputError:
            value = {}
        sides.append(flat({key: item for key, item in value.items() if key != "rootfs"}))
    return changes(sides[0], sides[1])


def _as_bytes(piece: object) -> bytes:
    return piece if isinstance(piece, bytes) else b""


def _reasons(
    recorded: Recorded, code: RecordedCode, options: Options, made: Sequence[Made]
) -> Iterator[str]:
    lock: Lock = recorded.lock
    here = runtime_lock(recorded.spec)
    for name in ("guard", "probe", "signature"):
        if getattr(lock.runtime, name) != getattr(here, name):
            yield f"the {name} of this modelpack is not the locked one{_with(recorded)}"
    if lock.format != FORMAT:
        yield f"this modelpack assembles format {FORMAT}, the image is of {lock.format}"
    if recorded.builder and recorded.builder != options.builder:
        yield f"the image was built with `--builder {recorded.builder}`, not `{options.builder}`"
    if not all(item.reproducible for item in made):
        yield f"`{options.builder}` does not promise the same bytes twice"
    if code.spec_from == "image":
        yield "the folder has no modelpack.toml like the image's: its settings are its own word"
    if code.lock_from == "image":
        yield "the folder has no lock like the image's: what it is locked to is its own word"


def _with(recorded: Recorded) -> str:
    return f": modelpack {recorded.version} made the image" if recorded.version else ""
