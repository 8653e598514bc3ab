"""What a rendered Dockerfile copies, as a folder that `docker build` can be pointed at."""

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from modelpack import dockerfile
from modelpack.assembly.assemble import Inputs, meta_files
from modelpack.dockerfile import Dockerfile
from modelpack.errors import Finding, InputError, Unavailable
from modelpack.inputs import runtime_files
from modelpack.inputs.opening import open_regular
from modelpack.metadata import PLACE
from modelpack.oci.content import total
from modelpack.oci.file_writing import share_file, unwritable, write_file
from modelpack.oci.locking import exclusive_folder
from modelpack.oci.tar import Content, Entry, FileRange, directory
from modelpack.oci.tree import Tree
from modelpack.progress import Advance, Progress

IGNORE = ".dockerignore"
_OURS = re.compile(
    rf"{dockerfile.NAME}(?:\.[a-z0-9]+)?|\.dockerignore|amd64|arm64"
    rf"|{dockerfile.CODE}|{dockerfile.HOMES}|{dockerfile.INSTALL}|{dockerfile.META}|{dockerfile.WEIGHTS}"
)
"the names at the top of a context"


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A context on disk."""

    place: Path
    files: int
    size: int
    "bytes of all files"
    copied: int
    "bytes of large files that could not be shared with their source"


def tree(dockerfiles: Sequence[Dockerfile], inputs: Inputs, files: Mapping[str, Path]) -> Tree:
    """Return the context of `dockerfiles`; `files` are archives, wheels and pip, by path.

    Every mode is the one that the file has in the image. Raises Unavailable naming each weight file
    that is not on this machine.
    """
    result = Tree()
    for one in dockerfiles:
        result.file(one.name, one.text.encode())
        for path, text in one.requirements.items():
            result.file(path, text.encode())
    result.file(IGNORE, dockerfile.ignore_file(dockerfiles).encode())
    for path, place in files.items():
        result.file(path, _content(place))
    if any(one.requirements for one in dockerfiles):
        result.file(f"{dockerfile.SETTLE}/environment.py", runtime_files.environment())
        result.file(f"{dockerfile.SETTLE}/bytecode_driver.py", runtime_files.bytecode_driver())
    for path, source in _weights(dockerfiles, inputs).items():
        result.file(path, _content(source))
    for entry in inputs.code.tree(dockerfile.CODE).entries():
        result.add(entry, owner="code")
    for home in {one.home for one in dockerfiles if one.home}:
        result.add(directory(home, mode=0o775))
    for path, data in meta_files(inputs).items():
        result.file(f"{dockerfile.META}/{path.removeprefix(f'{PLACE}/')}", data)
    return result


def _weights(dockerfiles: Sequence[Dockerfile], inputs: Inputs) -> Mapping[str, Path]:
    """Return the source of each baked weight file by its path in the context."""
    found: dict[str, Path] = {}
    missing: dict[str, Finding] = {}
    for shard in dockerfiles[0].shards:
        sources = inputs.weights[shard.weights]
        for file in shard.files:
            if source := sources.get(file):
                found[f"{shard.folder}/{file}"] = source
                continue
            missing[file] = Finding(
                message=f"`{file}` is not on this machine, and a build context holds every weight",
                at=f"weights.{shard.weights}",
                hint='get the file, or set `mode = "mount"`',
            )
    if missing:
        raise Unavailable(*missing.values())
    return found


def _content(path: Path) -> Content:
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
    return FileRange(path=os.path.realpath(path), size=size) if size else b""


def write(place: Path, context: Tree, *, progress: Progress) -> Written:
    """Make `context` all that is in the folder `place`, whole or not at all.

    It is written beside and renamed. Raises InputError when something stands there that no render
    has written, Unavailable when it cannot be written.
    """
    place = Path(os.path.realpath(place))
    new = [folder for folder in place.parents if not folder.exists()]
    try:
        refuse_strangers(place)
        return _write(place, context, progress)
    except BaseException as error:
        with suppress(OSError):
            for folder in new:
                folder.rmdir()
        if isinstance(error, OSError):
            raise unwritable(str(place), error) from error
        raise


def refuse_strangers(place: Path) -> None:
    """Raise InputError unless `place` is free, an empty folder, or a context of ours."""
    hint = "name another folder with `--output`"
    if not place.exists():
        return
    if not place.is_dir():
        raise InputError("not a folder", at=str(place), hint=hint)
    names = sorted(os.listdir(place))
    others = [name for name in names if not _OURS.fullmatch(name)]
    if others:
        raise InputError(
            f"holds `{others[0]}`, which `modelpack render` did not write", at=str(place), hint=hint
        )
    if names and not _starts_as_ours(place / dockerfile.NAME):
        raise InputError(
            f"the `{dockerfile.NAME}` in it is not from `modelpack render`",
            at=str(place), hint=hint,
        )  # fmt: skip


def _starts_as_ours(path: Path) -> bool:
    line = dockerfile.FIRST_LINE.encode()
    try:
        with open_regular(path) as file:
            return file.read(len(line)) == line
    except InputError:
        return False


def _write(place: Path, context: Tree, progress: Progress) -> Written:
    partial, previous = (place.with_name(f".{place.name}.{end}") for end in ("partial", "previous"))
    lock = exclusive_folder(partial, progress=progress)
    try:
        _clear(partial)
        partial.chmod(0o755)
        size = total(entry.content for entry in context.values())
        with progress.task(f"writing {place}", size) as advance:
            copied = sum(_put(partial, entry, advance) for entry in context.entries())
        shutil.rmtree(previous, ignore_errors=True)
        _swap(partial, place, previous)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    finally:
        os.close(lock)
    shutil.rmtree(previous, ignore_errors=True)
    files = sum(entry.kind == "file" for entry in context.values())
    return Written(place=place, files=files, size=size, copied=copied)


def _clear(folder: Path) -> None:
    """Remove what a killed render left in `folder`, which this process has locked."""
    for entry in list(os.scandir(folder)):
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path)
        else:
            os.unlink(entry.path)


def _swap(partial: Path, place: Path, previous: Path) -> None:
    """Put `partial` in the place of what stands at `place`, which goes to `previous`."""
    if place.exists():
        os.rename(place, previous)
    try:
        os.rename(partial, place)
    except OSError:
        if previous.exists():
            os.rename(previous, place)
        raise


def _put(folder: Path, entry: Entry, advance: Advance) -> int:
    """Write one entry, with its mode whatever the umask; return how many bytes were copied."""
    path = f"{folder}/{entry.path}"
    if entry.kind == "directory":
        os.mkdir(path)
        os.chmod(path, entry.mode)
    elif entry.kind == "symlink":
        os.symlink(entry.target, path)
    elif isinstance(entry.content, FileRange):
        return 0 if share_file(path, entry.content, entry.mode, advance) else entry.size
    else:
        write_file(path, (entry.content,), (), advance)
        os.chmod(path, entry.mode)
    return 0
