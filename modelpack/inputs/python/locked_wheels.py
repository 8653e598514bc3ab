"""The files of locked wheels: from the cache, else fetched through pip and kept there."""

import hashlib
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from modelpack.errors import Finding, Unavailable
from modelpack.inputs.downloads import Downloads
from modelpack.inputs.python import pip_command
from modelpack.lock import Wheel
from modelpack.progress import SILENT, Advance, Progress
from modelpack.quantity import counted

_CHUNK = 1 << 20


def fetch(
    wheels: Sequence[Wheel],
    *,
    downloads: Downloads,
    indexes: Mapping[str, str | None],
    environment: Mapping[str, str],
    offline: bool = False,
    progress: Progress = SILENT,
) -> Mapping[str, Path]:
    """Return the file of each wheel by sha256, downloading what `downloads` does not have.

    Raises Unavailable naming every wheel that no index has any more, or that is not there when
    `offline`.
    """
    found: dict[str, Path] = {}
    missing: dict[str, Wheel] = {}
    for wheel in wheels:
        path = downloads.path(wheel.sha256)
        if path is None:
            missing[wheel.sha256] = wheel
        else:
            found[wheel.sha256] = path
    if not missing:
        return found
    if offline:
        hint = "run once without `--offline`"
        raise Unavailable(
            *(_gone(wheel, "is not in the cache", hint) for wheel in missing.values())
        )
    progress.say(f"downloading {counted(len(missing), 'wheel')}")
    lines = [f"{w.name}=={w.version} --hash=sha256:{w.sha256}" for w in missing.values()]
    options = pip_command.wheel_options(tuple(missing.values()))
    with (
        tempfile.TemporaryDirectory(prefix="modelpack-") as folder,
        progress.task("wheels", len(missing)) as advance,
    ):
        gone = pip_command.download(
            lines, options, tuple(indexes.values()), environment, Path(folder)
        )
        found.update(_keep(Path(folder), missing, downloads, advance))
    left = [wheel for sha256, wheel in missing.items() if sha256 not in found]
    if gone or left:
        hint = "modelpack lock --upgrade deps"
        raise Unavailable(*(_gone(wheel, "is on no index any more", hint) for wheel in left))
    return found


def _keep(
    folder: Path, wanted: Mapping[str, Wheel], downloads: Downloads, advance: Advance
) -> Mapping[str, Path]:
    """Move the wanted files from `folder` into `downloads`; an index may have renamed them."""
    kept: dict[str, Path] = {}
    for path in sorted(folder.glob("*.whl")):
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            if sha256 not in wanted:
                continue
            file.seek(0)

            def write(output: BinaryIO, source: BinaryIO = file) -> None:
                shutil.copyfileobj(source, output, _CHUNK)

            kept[sha256] = downloads.add(sha256, wanted[sha256].size, write)
        path.unlink()
        advance(1)
    return kept


def _gone(wheel: Wheel, what: str, hint: str) -> Finding:
    return Finding(
        message=f"`{wheel.filename}` (sha256 `{wheel.sha256}`) {what}", at=wheel.name, hint=hint
    )
