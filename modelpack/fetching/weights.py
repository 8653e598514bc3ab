"""Weights of a source on this machine: listed, fetched into the cache, hashed, and named then."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from modelpack import canonical_json, spec
from modelpack.digest import Digest
from modelpack.digest import of as digest_of
from modelpack.errors import Finding, Unavailable
from modelpack.fetching import choosing
from modelpack.fetching.kept import KeptFiles
from modelpack.fetching.opening import opened
from modelpack.fetching.place import HINT_MOVED, Listing, Place, RemoteFile
from modelpack.inputs.machine import Machine
from modelpack.inputs.weights import SourceFile
from modelpack.lock import FileVersion, WeightFile, WeightsLock, WeightsSource
from modelpack.oci import parallel
from modelpack.oci.content import status_of
from modelpack.oci.layer import Partial
from modelpack.progress import Advance
from modelpack.spec import weight_source

_ONLINE = "run once without `--offline`"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """The files of a source as they are now, on this machine."""

    files: tuple[SourceFile, ...]
    source: WeightsSource


def fetch(weights: spec.Weights, root: Path, *, machine: Machine) -> Fetched:
    """Ask the source of `weights` what it has, and fetch what is not here.

    Raises Refused with every name that cannot be packed, Unavailable when it cannot be asked.
    """
    at = f"weights.{weights.name}.source"
    if machine.offline:
        raise Unavailable("the source cannot be asked offline", at=at, hint=_ONLINE)
    with opened(weights, root, machine=machine, locked=None) as place:
        machine.progress.say(f"asking {weights.source}")
        listing = choosing.listed(place, weights)
        choosing.check(listing, weights)
        wanted = sorted(listing.files, key=lambda file: file.path.encode())
        paths = _bring(place, wanted, listing.revision, machine, at, label=weights.name)
    return Fetched(
        files=tuple(_source_file(path, paths[path]) for path in paths),
        source=_recorded(weights, listing, wanted),
    )


def _recorded(
    weights: spec.Weights, listing: Listing, files: Sequence[RemoteFile]
) -> WeightsSource:
    return WeightsSource(
        uri=weights.source, revision=listing.revision, single=listing.single,
        versions=tuple(
            FileVersion(path=file.path, version=file.version, etag=file.etag)
            for file in files
            if file.version or file.etag
        ),
    )  # fmt: skip


def kept(weights: WeightsLock, *, machine: Machine) -> Mapping[str, Path]:
    """Return the locked files that the cache is known to have, by their path; reads none."""
    store = KeptFiles(machine.cache, digests=machine.digests)
    found = {file.path: store.remembered(file.sha256, file.size) for file in weights.files}
    return {path: place for path, place in found.items() if place is not None}


def fetch_locked(
    written: spec.Weights,
    weights: WeightsLock,
    wanted: Sequence[WeightFile],
    root: Path,
    *,
    machine: Machine,
) -> Mapping[str, Path]:
    """Return where the `wanted` files of locked weights are, having fetched those that are not
    here as they were locked.

    Raises Refused when the source sends another content, Unavailable when it cannot send.
    """
    at = f"weights.{weights.name}.source"
    store = KeptFiles(machine.cache, digests=machine.digests)
    found = {file.path: store.find(file.sha256, file.size) for file in wanted}
    here = {path: place for path, place in found.items() if place is not None}
    wanted = [file for file in wanted if file.path not in here]
    if wanted and machine.offline:
        raise Unavailable(
            *(
                Finding(message=f"`{file.path}` is not in the cache, and offline nothing is "
                        "fetched", at=at, hint=_ONLINE)
                for file in wanted
            )
        )  # fmt: skip
    if not wanted:
        return here
    source = weights.source or WeightsSource(uri=written.source)
    versions = {version.path: version for version in source.versions}
    files = []
    for file in wanted:
        known = versions.get(file.path, FileVersion(path=file.path))
        files.append(RemoteFile(path=file.path, size=file.size, sha256=file.sha256,
                                version=known.version, etag=known.etag))  # fmt: skip
    with opened(written, root, machine=machine, locked=source) as place:
        return {**here, **_bring(place, files, source.revision, machine, at, label=weights.name)}


def _bring(
    place: Place, files: Sequence[RemoteFile], revision: str, machine: Machine, at: str, *,
    label: str,
) -> Mapping[str, Path]:  # fmt: skip
    """Return where each file is on this machine, fetching several at once, the largest first."""
    store = KeptFiles(machine.cache, digests=machine.digests)
    keys = {file.path: _key(place, file) for file in files}
    # A time of the last change is too coarse to tell two contents apart for ever.
    lasting = {f.path: bool(revision or f.version or f.etag.startswith('"')) for f in files}
    digits: dict[str, str] = {}
    for file in files:
        if file.sha256 and store.find(file.sha256, file.size):
            digits[file.path] = file.sha256
        elif not file.sha256 and lasting[file.path] and (
            known := store.known(keys[file.path], file.size)
        ):  # fmt: skip
            digits[file.path] = known
    missing = sorted((f for f in files if f.path not in digits), key=lambda file: -file.size)

    def one(file: RemoteFile, advance: Advance) -> tuple[str, str]:
        def fill(into: Partial) -> None:
            place.fill(into, file, advance)

        return file.path, store.take(
            keys[file.path], file.size, fill, expected=file.sha256, lasting=lasting[file.path],
            at=f"{at}: {file.path}", progress=machine.progress,
        )  # fmt: skip

    if missing:
        total = sum(file.size for file in missing)
        store.expect_room(total - sum(store.begun(keys[file.path]) for file in missing))
        with machine.progress.task(f"fetching {label}", total) as advance:
            digits |= dict(parallel.each(one, missing, advance))
    found = {file.path: store.find(digits[file.path], file.size) for file in files}
    gone = [path for path, there in found.items() if there is None]
    if gone:
        raise Unavailable("the cache was emptied meanwhile", at=f"{at}: {gone[0]}",
                          hint="run it again")  # fmt: skip
    return {path: there for path, there in found.items() if there is not None}


def _key(place: Place, file: RemoteFile) -> Digest:
    return digest_of(
        canonical_json.dumps(
            ["fetched", place.identity, file.path, file.version, file.etag, file.size]
        )
    )


def _source_file(path: str, place: Path) -> SourceFile:
    return SourceFile(path=path, source=place, status=status_of(str(place)))


def source_files(paths: Mapping[str, Path]) -> tuple[SourceFile, ...]:
    """Return files of the cache as weight files, in byte order of their paths."""
    ordered = sorted(paths, key=str.encode)
    return tuple(_source_file(path, paths[path]) for path in ordered)


def moved(
    written: spec.Weights, weights: WeightsLock, root: Path, *, machine: Machine
) -> tuple[Finding, ...]:
    """Ask the source how it differs from what was locked; fetch nothing.

    A warning where the locked content can still be had, an error where it is gone.
    """
    source = weights.source
    if source is None:
        return ()
    at = f"weights.{weights.name}.source"
    with opened(written, root, machine=machine, locked=None) as place:
        listing = choosing.listed(place, written)
    if listing.revision != source.revision:
        return (Finding(
            message=f"`{weight_source.pinned(source.uri, source.revision)}` is locked; the source "
            f"is at {listing.revision} now", at=at, rule="lock.source-moved", severity="warning",
            hint=HINT_MOVED,
        ),)  # fmt: skip
    return tuple(_differences(weights, source, listing, at))


def _differences(
    weights: WeightsLock, source: WeightsSource, listing: Listing, at: str
) -> list[Finding]:
    """Return how single files differ, where there is no revision of all of them."""
    now = {file.path: file for file in listing.files}
    versions = {version.path: version for version in source.versions}
    found = []
    for file in weights.files:
        there, was = now.get(file.path), versions.get(file.path, FileVersion(path=file.path))
        if there is None:
            change = "is gone since it was locked"
        elif there.size != file.size:
            change = f"has {there.size} bytes, {file.size} are locked"
        elif there.etag != was.etag or (there.sha256 and there.sha256 != file.sha256):
            change = "was overwritten since it was locked"
        elif there.version != was.version:
            change = "was written again since it was locked, with what seems to be the same"
        else:
            continue
        found.append(_change(f"`{file.path}` {change}", at, still_there=bool(was.version)))
    found += [
        _change(f"`{path}` is new since the others were locked", at, still_there=True)
        for path in sorted(set(now) - {file.path for file in weights.files})
    ]
    return found


def _change(message: str, at: str, *, still_there: bool) -> Finding:
    """A bucket that keeps versions still has what was locked; others do not."""
    return Finding(
        message=message, at=at, rule="lock.source-moved",
        severity="warning" if still_there else "error", hint=HINT_MOVED,
    )  # fmt: skip
