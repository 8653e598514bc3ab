"""A project on disk: `modelpack.toml`, `modelpack.lock` beside it, and `dist/`."""

import os
from dataclasses import dataclass, replace
from pathlib import Path

from modelpack.errors import InputError
from modelpack.inputs.opening import open_regular
from modelpack.lock import Lock
from modelpack.lock import encoding as lock_encoding
from modelpack.oci.file_writing import fill_file, unwritable
from modelpack.oci.locking import exclusive_file
from modelpack.progress import SILENT
from modelpack.spec import Spec
from modelpack.spec.decoding import MAX_SIZE
from modelpack.spec.decoding import parse as parse_spec

FILENAME = "modelpack.toml"
OUTPUT = "dist"


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """What lies in a folder that `modelpack build` is pointed at."""

    root: Path
    file: Path
    spec: Spec
    lock: Lock | None

    @property
    def lock_path(self) -> Path:
        """Where the lock is or will be: the file's name with the suffix `.lock`."""
        return self.file.with_suffix(".lock")

    @property
    def output(self) -> Path:
        """The folder of all outputs."""
        return self.root / OUTPUT

    @property
    def layout(self) -> Path:
        """The OCI layout that a build writes unless told otherwise."""
        return self.output / "image"


def read(folder: Path, *, file: Path | None = None, ignore_lock: bool = False) -> Project:
    """Read the project in `folder`; `file` names another file than `modelpack.toml`.

    Raises InputError with every problem of the file, or when the lock is damaged.
    """
    path = file or folder / FILENAME
    if folder.is_file():
        raise InputError("a file, not a folder", at=str(folder), hint=f"--file {folder}")
    if not folder.is_dir():
        raise InputError("there is no such folder", at=str(folder))
    data = _content(path, limit=MAX_SIZE)
    if data is None:
        hint = "" if file else f"modelpack init {folder}"
        raise InputError(f"there is no `{path.name}`", at=str(path.parent), hint=hint)
    spec = parse_spec(data, filename=path.name)
    project = Project(root=folder, file=path, spec=spec, lock=None)
    if ignore_lock:
        return project
    return replace(project, lock=_read_lock(project.lock_path))


def _read_lock(path: Path) -> Lock | None:
    data = _content(path, limit=lock_encoding.SIZE_LIMIT)
    return None if data is None else lock_encoding.parse(data, filename=path.name)


def _content(path: Path, *, limit: int) -> bytes | None:
    """Return the file's bytes, one more than `limit` at most; None where there is no file."""
    try:
        path.stat()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", at=str(path)) from error
    with open_regular(path) as file:
        return file.read(min(os.fstat(file.fileno()).st_size, limit) + 1)


def write(path: Path, data: bytes) -> None:
    """Put `data` at `path`, or where the link there leads, whole or not at all.

    What a killed process left beside it is used again by the next one. Raises Unavailable.
    """
    place = Path(os.path.realpath(path))
    temporary = place.with_name(f".{place.name}.partial")
    try:
        if place.exists() and not place.is_file():
            raise InputError("not a regular file", at=str(path))
        place.parent.mkdir(parents=True, exist_ok=True)
        file = exclusive_file(temporary, progress=SILENT)
        try:
            fill_file(file, str(temporary), (data,), (), lambda _: None)
            os.rename(temporary, place)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        finally:
            os.close(file)
    except OSError as error:
        raise unwritable(str(path), error) from error
