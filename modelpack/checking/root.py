"""What an image holds as a folder on this machine, with wheels for the checks beside it."""

import itertools
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from modelpack.assembly.assemble import Made
from modelpack.errors import Finding, InputError, Refused, Unavailable
from modelpack.inputs.machine import Machine
from modelpack.inputs.python.base_interpreter import BaseInterpreter, runs_here
from modelpack.inputs.quoting import quoted
from modelpack.lock import AssembledBase, Lock, PlatformLock, Wheel
from modelpack.oci.blobs import content_of
from modelpack.oci.layer import StoredFile
from modelpack.oci.plain_layers import write_plain
from modelpack.oci.tar import Entry, FileRange, Kind, bytes_of
from modelpack.oci.tar_reading import Header, headers
from modelpack.oci.tree import Tree
from modelpack.plan import VENV

ELSEWHERE: Final = "modelpack render, then docker build --target check"
_MEMBERS = 1_000_000
_KINDS: Final[Mapping[bytes, Kind]] = {b"5": "directory", b"2": "symlink", b"1": "hardlink"}


def require_assembled(platform: PlatformLock) -> None:
    """Raise unless programs of the image may, and can, be run in a folder of this machine."""
    if not isinstance(platform.base, AssembledBase):
        raise InputError(
            f"nobody here vouches for the programs of `{platform.base.reference}`, so they run in "
            "an engine only", at="checks", hint=ELSEWHERE,
        )  # fmt: skip
    if not runs_here(platform.platform):
        raise Unavailable(
            f"this machine cannot run programs for {platform.platform}", at="checks",
            hint=f"check on such a machine, or {ELSEWHERE}",
        )  # fmt: skip


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
        _add(whole, _wheels(development, platform, machine, scratch))
    return BaseInterpreter.extract(
        whole, root, interpreter=platform.interpreter, platform=platform.platform
    )


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


def _add(whole: Tree, development: Tree) -> None:
    """Put development wheels beside what is there; what they would change is refused."""
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
    for entry in development.entries():
        if entry.path not in whole:
            whole.add(entry)


def _alike(one: Entry, other: Entry) -> bool:
    if one.kind != other.kind or one.kind == "directory":
        return one.kind == other.kind
    return one.target == other.target and bytes_of(one.content) == bytes_of(other.content)


def _wheels(
    wheels: tuple[Wheel, ...], platform: PlatformLock, machine: Machine, scratch: Path
) -> Tree:
    from modelpack.inputs.python import package_index  # noqa: PLC0415  only with such wheels
    from modelpack.inputs.python import wheels as environments  # noqa: PLC0415

    paths = package_index.fetch(
        wheels, downloads=machine.downloads, indexes=machine.indexes,
        environment=machine.environment, offline=machine.offline, progress=machine.progress,
    )  # fmt: skip
    folder = scratch / "development"
    folder.mkdir()
    return environments.tree(
        wheels, paths, interpreter=platform.interpreter, scratch=folder, venv=VENV.strip("/")
    )
