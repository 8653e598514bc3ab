"""The vulnerability database: a folder somebody gave, or our own in the cache, kept fresh.

Source: Trivy 0.74, `pkg/db`: `trivy.db` is read only, `metadata.json` says how old it is.
"""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from modelpack.canonical_json import rfc3339
from modelpack.errors import Finding, ModelpackError, Unavailable
from modelpack.evidence.scan import trivy
from modelpack.inputs.machine import Machine
from modelpack.inputs.opening import open_regular
from modelpack.inputs.scratch import scratch_folder
from modelpack.quantity import duration

FILES: Final = ("trivy.db", "metadata.json")
_METADATA_LIMIT = 1 << 16
_SKEW = 86_400
"seconds by which clocks may differ"
_NONE = "there is no vulnerability database"
_FIRST = "run once without `--offline`, or name a folder with a database with `--db`"


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """A vulnerability database on this machine."""

    folder: Path
    updated: int
    "seconds since 1970 when it was made"
    next_update: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which database to use."""

    folder: Path | None = None
    "given; never changed. None: our own"
    repository: str = ""
    "where our own comes from; empty: Trivy's own mirrors"


@contextmanager
def opened(wanted: Wanted, program: str, machine: Machine) -> Iterator[Database]:
    """Yield the database to use, which stays as it is meanwhile; fetch a new one when due.

    Raises Unavailable when there is none.
    """
    if wanted.folder is not None:
        yield _given(wanted.folder)
        return
    place = machine.cache / "trivy"
    place.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not machine.offline and _is_due(place / "db", machine.now):
        _refresh(place, wanted.repository, program, machine)
    with _held(place, fcntl.LOCK_SH):
        if not all((place / "db" / name).is_file() for name in FILES):
            raise Unavailable(_NONE, at=str(place / "db"), hint=_FIRST)
        yield read(place / "db")


def read(folder: Path) -> Database:
    """Return the database in `folder`, or raise Unavailable."""
    at = str(folder / "metadata.json")
    with open_regular(folder / "metadata.json") as file:
        data = file.read(_METADATA_LIMIT)
    try:
        value = json.loads(data)
        updated, due = _seconds(value["UpdatedAt"]), _seconds(value["NextUpdate"])
    except (ValueError, KeyError, TypeError, RecursionError, OverflowError) as error:
        raise Unavailable("not the description of a Trivy database", at=at) from error
    return Database(folder=folder, updated=updated, next_update=due)


def too_old(database: Database, most: str, *, now: int) -> Finding | None:
    """Return what is wrong with the age of `database`, when it counts at `most`, such as `7d`."""
    age = now - database.updated
    if -_SKEW <= age <= duration(most) // 1000:
        return None
    made = rfc3339(database.updated)
    return Finding(
        message=f"the vulnerability database is of {made}"
        + (f", older than {most}" if age > 0 else ", which is yet to come"),
        at=str(database.folder),
        hint="get a newer one (`modelpack scan` without `--offline` does), or raise "
        "`scan.database-max-age`",
        rule="scan.database",
    )


def _given(folder: Path) -> Database:
    """Return the database in `folder`, which may be a whole cache of Trivy's."""
    for place in (folder, folder / "db"):
        if all((place / name).is_file() for name in FILES):
            return read(place)
    raise Unavailable(
        f"{_NONE} (`{FILES[0]}` and `{FILES[1]}`)", at=str(folder),
        hint="trivy image --download-db-only --cache-dir FOLDER",
    )  # fmt: skip


def _is_due(folder: Path, now: int) -> bool:
    try:
        return read(folder).next_update <= now
    except ModelpackError:
        return True


def _refresh(place: Path, repository: str, program: str, machine: Machine) -> None:
    """Put a new database in place, whole; where there is an old one, failing is not the end."""
    machine.progress.say("downloading the vulnerability database")
    with scratch_folder(machine.cache) as work:
        try:
            new = trivy.download(
                program, repository=repository, environment=machine.environment, work=work
            )
            read(new)
        except Unavailable as error:
            if not (place / "db" / FILES[0]).is_file():
                raise Unavailable(*error.findings, Finding(message=_NONE, hint=_FIRST)) from error
            machine.progress.say(f"the old vulnerability database is used: {error}")
            return
        with _held(place, fcntl.LOCK_EX):
            if (place / "db").exists():
                os.rename(place / "db", work / "old")
            os.rename(new, place / "db")


@contextmanager
def _held(folder: Path, how: int) -> Iterator[None]:
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, how)
        yield
    finally:
        os.close(lock)


def _seconds(text: Any) -> int:  # noqa: ANN401  any JSON value
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError("a time without a zone")
    return int(time.timestamp())
