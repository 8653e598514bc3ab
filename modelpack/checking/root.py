"""What an image holds as a folder on this machine, with wheels for the checks beside it."""

import hashlib
import itertools
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from modelpack.assembly.assemble import Made
from modelpack.digest import of_hex
from modelpack.errors import Finding, InputError, Refused, Unavailable
from modelpack.inputs.machine import Machine
from modelpack.inputs.python.base_interpreter import BaseInterpreter, runs_here
from modelpack.inputs.quoting import quoted
from modelpack.lock import AssembledBase, Lock, PlatformLock, Wheel
from modelpack.oci.blobs import content_of
from modelpack.oci.layer import TAR, Blob, Descriptor, Layer, StoredFile
from modelpack.oci.plain_layers import write_plain
from modelpack.oci.tar import Entry, FileRange, Kind, bytes_of, chunks, pieces
from modelpack.oci.tar_reading import Header, headers
from modelpack.oci.tree import Tree
from modelpack.plan import VENV

_MEMBERS = 1_000_000
_CHUNK = 1 << 20
_KINDS: Final[Mapping[bytes, Kind]] = {b"5": "directory", b"2": "symlink", b"1": "hardlink"}


def require_assembled(platform: PlatformLock) -> None:
    """Raise unless programs of the image may, and can, be run in a folder of this machine."""
    if not isinstance(platform.base, AssembledBase):
        raise InputError(
            f"nobody here vouches for the programs of `{platform.base.reference}`, so they run in "
            "an engine only", at="checks",
        )  # fmt: skip
    if not runs_here(platform.platform):
        raise Unavailable(f"this machine cannot run programs for {platform.platform}", at="checks")


def assemble(
    made: Iterable[Made],
    development: tuple[Wheel, ...],
    platform: PlatformLock,
    root: Path,
    *,
    machine: Machine,
    scratch: Path,
) -> BaseInterpreter:
    """Write what the layers without weights, and the `development` wheels, hold to `root`.

    Raises Refused when a development wheel would change a file of the image.
    """
    whole = Tree()
    for number, item in enumerate(made):
        if item.step.kind == "weights":
            continue
        place = scratch / f"layer-{number}.tar"
        if isinstance(item.layer.blob.origin, StoredFile):
            write_plain(item.layer, place)
        else:
            place.write_bytes(content_of(item.layer.blob))
        _cover(whole, _layer(place, at=f"the {item.step.kind} layer"))
    if development:
        for entry in _further(whole, _wheels(development, platform, machine, scratch)):
            whole.add(entry)
    return BaseInterpreter.extract(
        whole, root, interpreter=platform.interpreter, platform=platform.platform
    )


def development_layer(
    made: Iterable[Made],
    development: tuple[Wheel, ...],
    platform: PlatformLock,
    *,
    machine: Machine,
    scratch: Path,
) -> Layer | None:
    """Return what `development` wheels add to an image as one more layer; None: nothing.

    Raises Refused when a wheel would change a file of the image's own packages.
    """
    if not development:
        return None
    held = Tree()
    for number, item in enumerate(made):
        if item.step.kind == "dependencies":
            place = scratch / f"held-{number}.tar"
            write_plain(item.layer, place)
            _cover(held, _layer(place, at="the dependencies layer"))
    added = Tree()
    for entry in _further(held, _wheels(development, platform, machine, scratch)):
        added.add(entry)
    place, hashed = scratch / "development.tar", hashlib.sha256()
    with place.open("xb") as file:
        for piece in pieces(added.entries()):
            for chunk in chunks(piece, _CHUNK):
                hashed.update(chunk)
                file.write(chunk)
    digest = of_hex(hashed.hexdigest())
    descriptor = Descriptor(media_type=TAR, digest=digest, size=place.stat().st_size)
    return Layer(
        blob=Blob(descriptor=descriptor, origin=StoredFile(str(place))), diff_id=digest,
        created_by="modelpack check",
    )  # fmt: skip


def weight_files(
    lock: Lock, sources: Mapping[str, Mapping[str, Path]]
) -> Mapping[str, Path]:  # fmt: skip
    """Return where each locked weight file lies here, by its path in the image.

    Raises Unavailable with each one that is not on this machine.
    """
    wanted = list(itertools.chain.from_iterable(
        ((weights, file) for file in weights.files) for weights in lock.weights
    ))  # fmt: skip
    missing = [file.path for weights, file in wanted if file.path not in sources[weights.name]]
    if missing:
        raise Unavailable(
            f"`{missing[0]}` is not on this machine, and checks see all weights", at="weights",
            hint="get the weights",
        )  # fmt: skip
    return {
        f"{weights.destination}/{file.path}": sources[weights.name][file.path]
        for weights, file in wanted
    }


def _layer(place: Path, *, at: str) -> Tree:
    """Return what the tar of a layer of ours holds; contents stay in that file."""
    tree = Tree()
    with place.open("rb") as stream:
        for header in headers(stream, at=at, limit=_MEMBERS):
            name = header.name.removeprefix("./").rstrip("/")
            if name not in ("", "."):
                tree.add(_entry(header, name, place, at))
    return tree


def _entry(header: Header, name: str, place: Path, at: str) -> Entry:
    if header.is_file:
        content = FileRange(path=str(place), offset=header.offset, size=header.size)
        return Entry(path=name, mode=header.mode, content=content if header.size else b"")
    kind = _KINDS.get(header.flag)
    if kind is None:
        raise InputError(f"{quoted(name)} is neither file, folder nor link", at=at)
    return Entry(path=name, kind=kind, mode=header.mode, target=header.target)


def _cover(whole: Tree, layer: Tree) -> None:
    """Lay `layer` over what is there, as an engine does; ours has no whiteouts."""
    for entry in layer.entries():
        below = whole.get(entry.path)
        if below is not None and not below.kind == entry.kind == "directory":
            whole.discard(entry.path)
        whole.add(entry)


def _further(whole: Tree, development: Tree) -> list[Entry]:
    """Return what development wheels bring beside `whole`; what they would change is refused."""
    findings = [
        Finding(
            message=f"would change {quoted(f'/{entry.path}')}, which the image holds",
            at=development.owner(entry.path) or "dependencies.development", rule="checks.conflict",
            hint="take it out of the development lock",
        )
        for entry in development.entries()
        if entry.path in whole and not _alike(whole[entry.path], entry)
    ]  # fmt: skip
    if findings:
        raise Refused(*findings)
    return [entry for entry in development.entries() if entry.path not in whole]


def _alike(one: Entry, other: Entry) -> bool:
    if one.kind != other.kind or one.kind == "directory":
        return one.kind == other.kind
    return one.target == other.target and bytes_of(one.content) == bytes_of(other.content)


def _wheels(
    wheels: tuple[Wheel, ...], platform: PlatformLock, machine: Machine, scratch: Path
) -> Tree:
    from modelpack.inputs.python import locked_wheels  # noqa: PLC0415  only with such wheels
    from modelpack.inputs.python import wheels as environments  # noqa: PLC0415

    paths = locked_wheels.fetch(
        wheels, downloads=machine.downloads, indexes=machine.indexes,
        environment=machine.environment, offline=machine.offline, progress=machine.progress,
    )  # fmt: skip
    folder = scratch / "development"
    folder.mkdir()
    return environments.tree(
        wheels, paths, interpreter=platform.interpreter, scratch=folder, venv=VENV.strip("/")
    )
