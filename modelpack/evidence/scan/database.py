"""Trivy's databases: in a folder somebody gave, or our own in the cache, kept fresh.

Source: Trivy 0.74, `pkg/db`, `pkg/javadb`: they are only read, `metadata.json` says how old each
is. That of Java archives is large, and asked for only by images that hold some.
"""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from modelpack.canonical_json import rfc3339
from modelpack.errors import Finding, ModelpackError, Unavailable
from modelpack.evidence.scan import trivy
from modelpack.evidence.scan.trivy import JAVA, VULNERABILITIES, Kind
from modelpack.inputs.machine import Machine
from modelpack.inputs.opening import open_regular
from modelpack.inputs.scratch import scratch_folder
from modelpack.quantity import duration

_METADATA_LIMIT = 1 << 16
_SKEW = 86_400
"seconds by which clocks may differ"
_FIRST = "run once without `--offline`, or name a folder with a database with `--db`"


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """A database on this machine."""

    folder: Path
    updated: int
    "seconds since 1970 when it was made"
    next_update: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which databases to use."""

    folder: Path | None = None
    "given; never changed. None: our own"
    repository: str = ""
    "where our own comes from; empty: Trivy's own mirrors"
    java_repository: str = ""


@contextmanager
def opened(
    wanted: Wanted, program: str, machine: Machine, *, java: bool = False
) -> Iterator[Mapping[Kind, Database]]:
    """Yield the databases to use, which stay as they are meanwhile; fetch new ones when due.

    Without `java` there is one of Java archives only if it costs nothing. Raises Unavailable when
    one that is needed cannot be had.
    """
    if wanted.folder is not None:
        yield dict(_given(wanted.folder, java=java))
        return
    place = machine.cache / "trivy"
    place.mkdir(parents=True, exist_ok=True, mode=0o700)
    needed = {VULNERABILITIES: wanted.repository}
    if java:
        needed[JAVA] = wanted.java_repository
    if not machine.offline:
        for kind, repository in needed.items():
            if _is_due(place, kind, machine.now):
                _refresh(place, kind, repository, program, machine)
    with _held(place, fcntl.LOCK_SH):
        found: dict[Kind, Database] = {}
        for kind in (VULNERABILITIES, JAVA):
            if kind in needed or (machine.offline or not _is_due(place, kind, machine.now)):
                found.update(_one(place, kind, needed=kind in needed))
        yield found


def _one(place: Path, kind: Kind, *, needed: bool) -> Mapping[Kind, Database]:
    if _is_there(place / kind.folder, kind):
        return {kind: read(place / kind.folder)}
    if needed:
        raise Unavailable(f"there is no {kind.noun}", at=str(place / kind.folder), hint=_FIRST)
    return {}


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


def _given(folder: Path, *, java: bool) -> Iterator[tuple[Kind, Database]]:
    """Yield the databases in `folder`, which may be a whole cache of Trivy's or one database."""
    for kind, needed in ((VULNERABILITIES, True), (JAVA, java)):
        places = (folder, folder / kind.folder, folder.parent / kind.folder)
        there = next((place for place in places if _is_there(place, kind)), None)
        if there is not None:
            yield kind, read(there)
        elif needed:
            raise Unavailable(
                f"there is no {kind.noun} (`{kind.files[0]}` and `{kind.files[1]}`)",
                at=str(folder), hint=f"trivy image {kind.download} --cache-dir FOLDER",
            )  # fmt: skip


def _is_there(folder: Path, kind: Kind) -> bool:
    return all((folder / name).is_file() for name in kind.files)


def _is_due(place: Path, kind: Kind, now: int) -> bool:
    try:
        return not _is_there(place / kind.folder, kind) or (
            read(place / kind.folder).next_update <= now
        )
    except ModelpackError:
        return True


def _refresh(place: Path, kind: Kind, repository: str, program: str, machine: Machine) -> None:
    """Put a new database in place, whole; where there is an old one, failing is not the end."""
    machine.progress.say(f"downloading the {kind.noun}")
    with scratch_folder(machine.cache) as work:
        try:
            new = trivy.download(
                program, kind, repository=repository, environment=machine.environment, work=work
            )
            read(new)
        except Unavailable as error:
            if not _is_there(place / kind.folder, kind):
                missing = Finding(message=f"there is no {kind.noun}", hint=_FIRST)
                raise Unavailable(*error.findings, missing) from error
            machine.progress.say(f"the old {kind.noun} is used: {error}")
            return
        with _held(place, fcntl.LOCK_EX):
            if (place / kind.folder).exists():
                os.rename(place / kind.folder, work / "old")
            os.rename(new, place / kind.folder)


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
