"""A project on disk: `modelpack.toml`, `modelpack.lock` beside it, and `dist/`."""

import os
from dataclasses import dataclass
from pathlib import Path

from modelpack.errors import InputError
from modelpack.lock import Lock
from modelpack.lock import encoding as lock_encoding
from modelpack.oci.file_writing import fill_file, unwritable
from modelpack.oci.locking import exclusive_file
from modelpack.progress import SILENT
from modelpack.spec import Spec
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
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise InputError(
            f"there is no `{path.name}`", at=str(path.parent), hint=f"modelpack init {folder}"
        ) from error
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", at=str(path)) from error
    spec = parse_spec(data, filename=path.name)
    project = Project(root=folder, file=path, spec=spec, lock=None)
    if ignore_lock:
        return project
    return Project(root=folder, file=path, spec=spec, lock=_read_lock(project.lock_path))


def _read_lock(path: Path) -> Lock | None:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", at=str(path)) from error
    return lock_encoding.parse(data, filename=path.name)


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
