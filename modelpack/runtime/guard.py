"""Check the packed weights against their manifest, then become the serving command.

It is the image's entry point, run as ``python3 -I -S /usr/share/modelpack/guard.py COMMAND...``.
``guard.py --check-only`` (no command) verifies and exits, for an init container.
Standard library only, Python 3.9 or newer; reads no standard input, writes nothing to disk.

Manifest, ``weights.json`` beside this file, UTF-8 JSON of at most 64 MiB (parsing it takes up to
five times its size in memory, so tensor headers are better kept elsewhere); keys not named here are
ignored, those named are all required and may not repeat::

    {"schema": 1,
     "model": {"name": "minilm", "version": "1.2.0"},       for messages
     "verify": "full",             full, fast or off
     "override": false,            may MODELPACK_VERIFY ask for less than `verify`?
     "mounts": "warn",             of mounts that can be written to; or strict: refuse them
     "chunk": 67108864,            bytes per chunk, 1 to 2**40
     "digest": "sha256:<hex>",     of the weights as a whole; handed on, not computed here
     "weights": [{                 one or more
       "name": "minilm",
       "path": "/models/minilm",   absolute, normal; itself it may be a symbolic link
       "mounted": false,           does it come from a mount, not from a layer?
       "include": ["*.safetensors"], "exclude": [],    see `matches`; include has one or more
       "digest": "sha256:<hex>",
       "files": [{                 one or more; no file twice, in no two weights
         "path": "a/b.safetensors",    relative to the weights' path, normal
         "size": 123,
         "sha256": "<hex>",            equals chunks[0] where there is one chunk
         "chunks": ["<hex>"]}]}]}      sha256 of each chunk in order; none for an empty file

Modes. ``full`` reads every byte; ``fast`` looks at each file's kind and size and reads its first
and last chunk; ``off`` reads nothing. In full and fast mode a file below the weights' path that
matches include, not exclude, and was not packed is an error, and so is a symbolic link to a folder
there. MODELPACK_VERIFY asks for another mode: a stronger one always holds, a weaker one only where
`override` is true; empty counts as unset.

Place. MODELPACK_WEIGHTS, which tells the command where the first weights are, tells the guard, too:
what is checked is what will be loaded.

Mounts. Before a byte of mounted weights is read, an empty or missing folder is refused, and so is
one whose nameplate (``.modelpack.json``, which lies beside the weights in their own image) claims
other weights; both versions are named, and the claim of a nameplate proves nothing. Where the mount
can be written to, there is a warning, in strict mode a refusal. No check helps against a writer
elsewhere (another container, the server of the volume) who changes a file after it was read.

Exit status, when the command is not started: 0 verified (``--check-only``), 64 usage, 78 weights,
manifest or mode refused, 126 the command cannot be run, 127 it is not found, 128+n stopped by
signal n. Otherwise the process becomes the command, with MODELPACK_WEIGHTS_DIGEST and
MODELPACK_WEIGHTS_VERIFIED (the mode) set.

Events: one JSON object a line on standard error with `time`, `level`, `event` and `component`:
``guard.mode`` (MODELPACK_VERIFY changed the mode, or was not allowed to), ``guard.place`` (the
first weights are elsewhere), ``guard.start``, ``guard.writable`` (a mount), ``guard.progress``,
``guard.bad`` (one for each wrong range: `file`, `reason`, `first` and `last` byte, where there is
one a `hint`), then ``guard.verified``, ``guard.skipped`` (off), ``guard.refused`` or
``guard.stopped`` (by a signal), then ``guard.exec``; ``guard.usage`` and ``guard.failed`` for a
command that is missing or does not start. `reason` is one of missing, truncated, too-long,
not-regular, unreadable, changed (while it was read), content, extra; of a mount not-mounted,
other-weights, writable.
"""

from __future__ import annotations

import hashlib
import json
import os
import queue
import re
import signal
import stat
import sys
import threading
import time
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

EX_USAGE = 64
EX_CONFIG = 78
NOT_EXECUTABLE = 126
NOT_FOUND = 127

MODES = ("off", "fast", "full")  # weakest first
MOUNTS = ("warn", "strict")
NAMEPLATE = ".modelpack.json"
NAMEPLATE_LIMIT = 8 << 20
MANIFEST_LIMIT = 64 << 20
PATH_LIMIT = 4096
BUFFER = 1 << 20  # per thread: large enough that threads seldom meet at the interpreter's lock
ALL_BUFFERS = 24 << 20
MOST_THREADS = 64
PROGRESS_SECONDS = 5.0

_HEX = re.compile(r"[0-9a-f]{64}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFBLK: "a block device",
    stat.S_IFCHR: "a character device",
}


class Refusal(Exception):  # noqa: N818  a verdict, not a fault
    """The manifest or the mode cannot be accepted, so nothing may start."""


# NamedTuple, not dataclass: importing `dataclasses` costs a third of this program's start.


class PackedFile(NamedTuple):
    """One file as it was packed; `path` is absolute, digests are hexadecimal sha256."""

    path: str
    size: int
    sha256: str
    chunks: tuple[str, ...]


class Model(NamedTuple):
    """What the weights are of, in the words of whoever packed them."""

    name: str
    version: str


class Weights(NamedTuple):
    """One folder of packed files and the patterns that chose them.

    `origin` is where they were packed, in the weights image too; `path` is where they are.
    """

    name: str
    path: str
    origin: str
    mounted: bool
    include: tuple[str, ...]
    exclude: tuple[str, ...]
    digest: str
    files: tuple[PackedFile, ...]


class Manifest(NamedTuple):
    """What was packed, and how much of it must be checked."""

    model: Model
    verify: str
    override: bool
    mounts: str
    chunk: int
    digest: str
    weights: tuple[Weights, ...]


_KEYS = frozenset(
    {"schema", *Manifest._fields, *Model._fields, *Weights._fields, *PackedFile._fields}
)


class Chunk(NamedTuple):
    """A byte range of a file of `size` bytes, and the sha256 that it must have."""

    path: str
    size: int
    first: int
    length: int
    expected: str


class Fault(NamedTuple):
    """One thing that is wrong with a file; `first` and `last` are its wrong bytes, inclusive."""

    path: str
    reason: str
    message: str
    first: int | None = None
    last: int | None = None
    expected: int | str | None = None
    found: int | str | None = None
    hint: str | None = None


def matches(path: str, pattern: str) -> bool:
    """Tell whether the relative `path` matches a gitignore-like glob `pattern`.

    Without `/` the pattern is for the base name, at any depth; with `/` for the whole path (a
    leading `/` is only that). `**` alone between slashes is any number of folders, at the end
    everything below, and so is a last `/`. `*`, `?` and `[…]` never match `/`; case counts.
    Takes time linear in both lengths: pattern parts are tried against all depths at once.
    """
    names = path.split("/")
    if "/" not in pattern:
        return fnmatchcase(names[-1], pattern)
    parts = pattern.removeprefix("/").split("/")
    if parts[-1] in ("", "**"):
        parts[-1:] = ["**", "*"]
    depths = {0}
    for part in parts:
        if part == "**":
            depths = set(range(min(depths), len(names) + 1))
        else:
            depths = {d + 1 for d in depths if d < len(names) and fnmatchcase(names[d], part)}
        if not depths:
            return False
    return len(names) in depths


def parse(data: bytes) -> Manifest:
    """Return the manifest in `data`, or raise Refusal naming the first thing that is wrong."""
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=_known_keys)
    except (ValueError, RecursionError) as error:
        raise Refusal(f"manifest is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise Refusal("manifest: expected an object")
    if _take(value, "schema", int, "") != 1:
        raise Refusal("schema: expected 1, this guard knows no other")
    chunk = _take(value, "chunk", int, "")
    if not 1 <= chunk <= 1 << 40:
        raise Refusal("chunk: expected 1 to 2**40 bytes")
    entries = _take(value, "weights", list, "")
    manifest = Manifest(
        model=_model(_take(value, "model", dict, "")),
        verify=_choice(_take(value, "verify", str, ""), MODES, at="verify"),
        override=_take(value, "override", bool, ""),
        mounts=_choice(_take(value, "mounts", str, ""), MOUNTS, at="mounts"),
        chunk=chunk,
        digest=_digest(value, ""),
        weights=tuple(_weights(w, chunk, f"weights[{i}]") for i, w in enumerate(entries)),
    )
    _check_apart(manifest)
    return manifest


def _check_apart(manifest: Manifest) -> None:
    paths = [file.path for weights in manifest.weights for file in weights.files]
    if not paths or len(paths) != len(set(paths)):
        raise Refusal("weights: a file is packed twice" if paths else "weights: there are none")


def _known_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Keep only what the guard reads, so that large tensor headers cost no memory."""
    known = {key: value for key, value in pairs if key in _KEYS}
    if len(known) != sum(key in _KEYS for key, _ in pairs):
        raise Refusal("manifest: a key repeats")
    return known


def _take(value: Any, key: str, kind: type, at: str) -> Any:  # noqa: ANN401  of type `kind`
    at = f"{at}.{key}" if at else key
    if not isinstance(value, dict) or key not in value:
        raise Refusal(f"{at}: missing")
    if type(value[key]) is not kind:  # exact: True is no size
        raise Refusal(f"{at}: expected {kind.__name__}")
    return value[key]


def _model(value: Any) -> Model:  # noqa: ANN401
    name, version = (
        _text(_take(value, key, str, "model"), f"model.{key}") for key in Model._fields
    )
    return Model(name=name, version=version)


def _weights(value: Any, chunk: int, at: str) -> Weights:  # noqa: ANN401
    root = _check_absolute(_take(value, "path", str, at), f"{at}.path")
    files = _take(value, "files", list, at)
    if not files:
        raise Refusal(f"{at}.files: there are none")
    return Weights(
        name=_text(_take(value, "name", str, at), f"{at}.name"),
        path=root,
        origin=root,
        mounted=_take(value, "mounted", bool, at),
        include=_patterns(value, "include", at),
        exclude=_patterns(value, "exclude", at),
        digest=_digest(value, at),
        files=tuple(_file(f, root, chunk, f"{at}.files[{i}]") for i, f in enumerate(files)),
    )


def _file(value: Any, root: str, chunk: int, at: str) -> PackedFile:  # noqa: ANN401
    path = _check_relative(_take(value, "path", str, at), f"{at}.path")
    size = _take(value, "size", int, at)
    if not 0 <= size < 1 << 63:
        raise Refusal(f"{at}.size: out of range")
    sha256 = _hex(_take(value, "sha256", str, at), f"{at}.sha256")
    chunks = tuple(
        _hex(c, f"{at}.chunks[{i}]") for i, c in enumerate(_take(value, "chunks", list, at))
    )
    if len(chunks) != -(-size // chunk):
        raise Refusal(f"{at}.chunks: {len(chunks)} digests do not cover {size} bytes")
    whole = hashlib.sha256().hexdigest() if not chunks else chunks[0]
    if len(chunks) <= 1 and sha256 != whole:
        raise Refusal(f"{at}.sha256: is not that of the only chunk")
    return PackedFile(path=f"{root}/{path}", size=size, sha256=sha256, chunks=chunks)


def _patterns(value: Any, key: str, at: str) -> tuple[str, ...]:  # noqa: ANN401
    patterns = tuple(_text(p, f"{at}.{key}") for p in _take(value, key, list, at))
    if key == "include" and not patterns:
        raise Refusal(f"{at}.include: there are none")
    for pattern in patterns:
        try:
            for part in pattern.split("/"):
                fnmatchcase("", part)
        except re.error:  # Python before 3.11 cannot read a reversed range
            raise Refusal(f"{at}.{key}: not a pattern: `{pattern}`") from None
    return patterns


def _check_absolute(path: str, at: str) -> str:
    if not path.startswith("/"):
        raise Refusal(f"{at}: expected an absolute path")
    _check_relative(path[1:], at)
    return path


def _check_relative(path: str, at: str) -> str:
    _text(path, at)
    if any(part in ("", ".", "..") for part in path.split("/")):
        raise Refusal(f"{at}: not a normal path: `{path}`")
    return path


def _text(value: Any, at: str) -> str:  # noqa: ANN401
    if not isinstance(value, str) or not 0 < len(value) <= PATH_LIMIT or _CONTROL.search(value):
        raise Refusal(f"{at}: expected 1 to {PATH_LIMIT} characters, none of them control")
    try:
        _encode(value)
    except UnicodeEncodeError:
        raise Refusal(f"{at}: not text") from None
    return value


def _digest(value: Any, at: str) -> str:  # noqa: ANN401
    text: str = _take(value, "digest", str, at)
    if not text.startswith("sha256:") or not _HEX.fullmatch(text[7:]):
        raise Refusal(f"{at}.digest: expected `sha256:` and 64 hexadecimal digits".lstrip("."))
    return text


def _hex(value: Any, at: str) -> str:  # noqa: ANN401
    if not isinstance(value, str) or not _HEX.fullmatch(value):
        raise Refusal(f"{at}: expected 64 hexadecimal digits")
    return value


def _choice(text: str, known: tuple[str, ...], at: str) -> str:
    if text not in known:
        raise Refusal(f"{at}: expected {' or '.join(known)}, not `{text}`")
    return text


def load(path: str) -> Manifest:
    """Read the manifest at `path`; raise Refusal when it is missing, strange or damaged."""
    try:
        with _open_regular(path) as stream:
            if os.fstat(stream.fileno()).st_size > MANIFEST_LIMIT:
                raise Refusal(f"manifest `{path}`: larger than {MANIFEST_LIMIT} bytes")
            return parse(stream.readall())
    except OSError as error:
        raise Refusal(f"manifest `{path}`: {error.strerror or error}") from None


def choose_mode(manifest: Manifest, wanted: str) -> str:
    """Return the mode to use when MODELPACK_VERIFY says `wanted`, with an event on a change."""
    packed = manifest.verify
    mode = _choice(wanted or packed, MODES, at="MODELPACK_VERIFY")
    weaker = MODES.index(mode) < MODES.index(packed)
    if weaker and not manifest.override:
        message = "MODELPACK_VERIFY may not weaken what the image asks for"
        emit("warning", "mode", message=message, mode=packed, requested=wanted)
        return packed
    if mode != packed:
        emit("warning" if weaker else "info", "mode", mode=mode, packed=packed)
    return mode


def choose_place(manifest: Manifest, wanted: str) -> Manifest:
    """Return the manifest with its first weights where MODELPACK_WEIGHTS says that they are."""
    first, *others = manifest.weights
    place = wanted.rstrip("/")
    if not wanted or place == first.path:
        return manifest
    _check_absolute(place, "MODELPACK_WEIGHTS")
    files = tuple(f._replace(path=place + f.path[len(first.path) :]) for f in first.files)
    moved = manifest._replace(weights=(first._replace(path=place, files=files), *others))
    _check_apart(moved)
    emit("info", "place", weights=first.name, path=place, packed=first.path)
    return moved


def judge_mount(weights: Weights, manifest: Manifest) -> Fault | None:
    """Judge where mounted weights should be, by what can be seen before a file is read."""
    if fault := _not_mounted(weights, manifest.model) or _other_weights(weights, manifest.model):
        return fault
    places = [weights.path, *(file.path for file in weights.files)]
    writable = next((place for place in places if can_be_written(place)), None)
    if writable is None:
        return None
    message = "stands on a mount that can be written to: it may change after it was checked"
    hint = "mount it read-only (`:ro`, `readOnly: true`)"
    if manifest.mounts == "strict":
        return Fault(writable, "writable", message, hint=hint)
    emit("warning", "writable", file=writable, message=message, hint=hint)
    return None


def _not_mounted(weights: Weights, model: Model) -> Fault | None:
    folder = weights.origin[1:]
    hint = f"mount the folder `{folder}` of the weights image, or a copy of it, at {weights.path}"
    if os.path.lexists(_encode(f"{weights.path}/{folder}/{NAMEPLATE}")):
        message = f"the weights image is mounted as a whole, not its folder `{folder}`"
        return Fault(weights.path, "not-mounted", message, hint=f"{hint} (`subPath: {folder}`)")
    if next(_walk(weights.path), None) is not None:
        return None
    state = "is empty" if os.path.isdir(_encode(weights.path)) else "does not exist"
    message = f"the weights of {model.name} {model.version} are not mounted: the folder {state}"
    return Fault(weights.path, "not-mounted", message, hint=hint)


def _other_weights(weights: Weights, model: Model) -> Fault | None:
    claim = read_nameplate(f"{weights.path}/{NAMEPLATE}")
    if claim is None or claim[1] == weights.digest:
        return None
    other, digest = claim
    message = (
        f"claims to be the weights of {other.name} {other.version}; "
        f"those of {model.name} {model.version} were packed"
    )
    hint = f"mount the weights of {model.name} {model.version}"
    return Fault(weights.path, "other-weights", message, None, None, weights.digest, digest, hint)


def read_nameplate(path: str) -> tuple[Model, str] | None:
    """Return which model and weights digest a nameplate claims; None where none can be read."""
    try:
        with _open_regular(path) as stream:
            if os.fstat(stream.fileno()).st_size > NAMEPLATE_LIMIT:
                return None
            value = json.loads(stream.readall().decode("utf-8"), object_pairs_hook=_known_keys)
        return _model(_take(value, "model", dict, "")), _digest(value, "")
    except (OSError, ValueError, RecursionError, Refusal):
        return None


def can_be_written(path: str) -> bool:
    """Tell whether `path` is there and its mount is not read-only (by the flags of statvfs)."""
    try:
        return not os.statvfs(_encode(path)).f_flag & os.ST_RDONLY
    except OSError:
        return False


def survey(weights: Weights, packed: dict[str, PackedFile]) -> Iterator[Fault]:
    """Yield what is wrong below the weights' path without reading a file.

    `packed` holds the files of all weights: folders of several weights may lie in one another.
    """
    for path, status in _walk(weights.path):
        if isinstance(status, Fault):
            yield status
        elif path not in packed and (fault := _stray(path, status, weights)):
            yield fault
    for file in weights.files:
        if fault := _shape(file):
            yield fault


def _walk(root: str) -> Iterator[tuple[str, os.stat_result | Fault]]:
    """Yield all below `root` but folders, following no symbolic link (the root may be one)."""
    folders = [root]
    while folders:
        folder = folders.pop()
        try:
            with os.scandir(_encode(folder)) as entries:
                for entry in sorted(entries, key=lambda e: e.name):
                    path = f"{folder}/{_decode(entry.name)}"
                    status = entry.stat(follow_symlinks=False)
                    if stat.S_ISDIR(status.st_mode):
                        folders.append(path)
                    else:
                        yield path, status
        except (FileNotFoundError, NotADirectoryError):
            continue  # what was packed there is then reported as missing
        except OSError as error:
            # A folder that this user may not enter either cannot give the command a file
            # (`lost+found` of a volume).
            if not isinstance(error, PermissionError) or os.access(_encode(folder), os.X_OK):
                yield folder, Fault(folder, "unreadable", f"cannot list: {error.strerror}")


def _stray(path: str, status: os.stat_result, weights: Weights) -> Fault | None:
    """Judge something that was not packed."""
    relative = path[len(weights.path) + 1 :]
    if weights.mounted and relative == NAMEPLATE and stat.S_ISREG(status.st_mode):
        return None
    if any(matches(relative, pattern) for pattern in weights.exclude):
        return None
    if any(matches(relative, pattern) for pattern in weights.include):
        return Fault(path, "extra", "was not packed, but its name is that of a weight")
    if stat.S_ISLNK(status.st_mode) and os.path.isdir(_encode(path)):
        return Fault(path, "extra", "a symbolic link to a folder, which may hold weights")
    return None


def _shape(file: PackedFile) -> Fault | None:
    """Judge a packed file by kind and size."""
    try:
        status = os.lstat(_encode(file.path))
    except (FileNotFoundError, NotADirectoryError):
        return Fault(file.path, "missing", "is missing")
    except OSError as error:
        return Fault(file.path, "unreadable", f"cannot be seen: {error.strerror}")
    if not stat.S_ISREG(status.st_mode):
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), "something else")
        return Fault(file.path, "not-regular", f"is {kind}, not a regular file")
    if status.st_size == file.size:
        return None
    first, last = sorted((status.st_size, file.size))
    reason, message = (
        ("truncated", "ends too early")
        if status.st_size < file.size
        else ("too-long", "goes on after its end")
    )
    return Fault(file.path, reason, message, first, last - 1, file.size, status.st_size)


def chunks_to_read(file: PackedFile, chunk: int, mode: str) -> list[Chunk]:
    """Return the chunks of `file` that `mode` reads; an empty file is read too."""
    digests = file.chunks or (file.sha256,)
    which = range(len(digests)) if mode == "full" else sorted({0, len(digests) - 1})
    return [
        Chunk(file.path, file.size, i * chunk, min(chunk, file.size - i * chunk), digests[i])
        for i in which
    ]


def check(chunk: Chunk, buffer: memoryview) -> Fault | None:
    """Read and hash one chunk through `buffer`; never raises for what the disk does."""
    span: tuple[int | None, int | None] = (None, None)  # an empty file has no bytes to name
    if chunk.length:
        span = (chunk.first, chunk.first + chunk.length - 1)
    try:
        found = _hash(chunk, buffer)
    except OSError as error:
        message = f"cannot be read: {error.strerror or error}"
        return Fault(chunk.path, "unreadable", message, *span)
    if found is None:
        return Fault(chunk.path, "changed", "changed while it was read", *span)
    if found != chunk.expected:
        message = f"bytes {span[0]} to {span[1]} are not what was packed"
        return Fault(chunk.path, "content", message, *span, chunk.expected, found)
    return None


def _hash(chunk: Chunk, buffer: memoryview) -> str | None:
    """Return the sha256 of a chunk, or None when the file changed its size.

    Each chunk opens the file anew: descriptors that are shared by threads share the kernel's
    read-ahead window, which then helps none of them.
    """
    digest = hashlib.sha256()
    left = chunk.length
    with _open_regular(chunk.path) as stream:
        stream.seek(chunk.first)
        while left:
            count = stream.readinto(buffer[: min(left, len(buffer))])
            if not count:
                return None
            digest.update(buffer[:count])
            left -= count
        if os.fstat(stream.fileno()).st_size != chunk.size:
            return None
    return digest.hexdigest()


def _open_regular(path: str) -> Any:  # noqa: ANN401  io.FileIO, whose import is not worth it
    """Open a regular file unbuffered, or raise OSError."""
    stream = open(_encode(path), "rb", buffering=0, opener=_open_carefully)  # noqa: SIM115
    if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
        stream.close()
        raise OSError("not a regular file")
    return stream


def _open_carefully(path: bytes | str, flags: int) -> int:
    """Open with flags that let no FIFO block, no terminal take over and no link be followed."""
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY)


def check_all(chunks: list[Chunk], threads: int) -> Iterator[tuple[Chunk, Fault | None] | None]:
    """Check `chunks` in threads; yield each with its result as it is done, None every while."""
    todo: queue.SimpleQueue[Chunk] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[Chunk, Fault | None]] = queue.SimpleQueue()
    for chunk in chunks:
        todo.put(chunk)
    buffer = min(BUFFER, ALL_BUFFERS // threads)
    started = 0
    for _ in range(min(threads, len(chunks))):
        try:
            threading.Thread(target=_work, args=(todo, done, buffer), daemon=True).start()
            started += 1
        except RuntimeError:  # a limit on processes: fewer threads will do
            break
    if not started:
        _work(todo, done, buffer)
    left = len(chunks)
    while left:
        try:
            yield done.get(timeout=PROGRESS_SECONDS)
            left -= 1
        except queue.Empty:
            yield None


def _work(
    todo: queue.SimpleQueue[Chunk],
    done: queue.SimpleQueue[tuple[Chunk, Fault | None]],
    buffer_size: int,
) -> None:
    buffer = memoryview(bytearray(buffer_size))
    while True:
        try:
            chunk = todo.get_nowait()
        except queue.Empty:
            return
        try:
            fault = check(chunk, buffer)
        except Exception as error:  # noqa: BLE001  a thread that dies in silence would hang us
            fault = Fault(chunk.path, "unreadable", f"cannot be checked: {error!r}")
        done.put((chunk, fault))


def merge(faults: list[Fault]) -> list[Fault]:
    """Join neighbouring ranges of one file that are wrong for the same reason."""
    merged: list[Fault] = []
    for fault in sorted(faults, key=lambda f: f.first or 0):
        before = merged[-1] if merged else None
        if before and before.reason == fault.reason and before.last == (fault.first or 0) - 1:
            message = fault.message
            if fault.reason == "content":
                message = f"bytes {before.first} to {fault.last} are not what was packed"
            merged[-1] = Fault(fault.path, fault.reason, message, before.first, fault.last)
        else:
            merged.append(fault)
    return merged


def verify(manifest: Manifest, mode: str) -> bool:
    """Check all weights in `mode` with events; return whether they are what was packed."""
    if mode == "off":
        emit("warning", "skipped", mode=mode, digest=manifest.digest)
        return True
    began = time.monotonic()
    packed = {file.path: file for weights in manifest.weights for file in weights.files}
    total = sum(file.size for file in packed.values())
    names = [weights.name for weights in manifest.weights]
    model = " ".join(manifest.model)
    facts = {"mode": mode, "model": model, "digest": manifest.digest, "files": len(packed)}
    threads = usable_threads()
    emit("info", "start", **facts, bytes=total, weights=names, threads=threads)
    bad: dict[str, Fault] = {}
    readable: list[PackedFile] = []
    for weights in manifest.weights:
        mount = judge_mount(weights, manifest) if weights.mounted else None
        for fault in [mount] if mount else survey(weights, packed):
            if bad.setdefault(fault.path, fault) is fault:  # folders may lie in one another
                report(fault)
        readable += () if mount else weights.files
    chunks = [
        chunk
        for file in readable
        if file.path not in bad
        for chunk in chunks_to_read(file, manifest.chunk, mode)
    ]
    wrong, read = _read_all(chunks, threads, began)
    bad_files = len(bad) + wrong
    facts.update(bytes=read, seconds=round(time.monotonic() - began, 3))
    if bad_files:
        emit(
            "error",
            "refused",
            message="the weights are not what was packed",
            bad_files=bad_files,
            **facts,
        )
    else:
        emit("info", "verified", **facts)
    return not bad_files


def _read_all(chunks: list[Chunk], threads: int, began: float) -> tuple[int, int]:
    """Check `chunks`, report each bad file when it is read; return bad files and bytes read."""
    total = sum(chunk.length for chunk in chunks)
    pending: dict[str, int] = {}
    for chunk in chunks:
        pending[chunk.path] = pending.get(chunk.path, 0) + 1
    faults: dict[str, list[Fault]] = {}
    read = 0
    spoke = time.monotonic()
    for result in check_all(chunks, threads):
        if result:
            chunk, fault = result
            read += chunk.length
            pending[chunk.path] -= 1
            if fault:
                faults.setdefault(chunk.path, []).append(fault)
            if not pending[chunk.path]:
                for found in merge(faults.get(chunk.path, [])):
                    report(found)
        now = time.monotonic()
        if now - spoke >= PROGRESS_SECONDS:
            spoke = now
            emit("info", "progress", bytes=read, total=total, seconds=round(now - began, 3))
    return len(faults), read


def usable_threads(cgroup: str = "/sys/fs/cgroup") -> int:
    """Return how many threads are worth starting: the cores that this container may use.

    At least two, so that one reads while the other hashes.
    """
    try:
        cores = len(os.sched_getaffinity(0))
    except (AttributeError, OSError):
        cores = os.cpu_count() or 1
    for quota in (f"{cgroup}/cpu.max", f"{cgroup}/cpu/cpu.cfs_quota_us"):  # version 2, 1
        try:
            words = _first_line(quota).split()
            if len(words) == 1:
                words += _first_line(f"{cgroup}/cpu/cpu.cfs_period_us").split()
            if int(words[0]) > 0:
                cores = min(cores, -(-int(words[0]) // int(words[1])))
        except (OSError, ValueError, IndexError, ArithmeticError):
            continue  # no such file, or `max`: no limit
    return max(2, min(cores, MOST_THREADS))


def _first_line(path: str) -> str:
    with open(path, encoding="ascii") as stream:
        return stream.readline(100)


def execute(command: list[str], environ: dict[str, str]) -> int:
    """Become `command`, found on the PATH of `environ`; return an exit status if that fails."""
    emit("info", "exec", command=command[0])  # arguments may hold secrets
    for name in ("SIGPIPE", "SIGXFSZ"):  # Python ignores these, which a new program would inherit
        signal.signal(getattr(signal, name), signal.SIG_DFL)
    try:
        os.execvpe(command[0], command, environ)  # noqa: S606  no shell is the point
    except (FileNotFoundError, NotADirectoryError, ValueError):
        emit("error", "failed", message="command not found", command=command[0])
        return NOT_FOUND
    except OSError as error:
        message = f"command cannot be run: {error.strerror}"
        emit("error", "failed", message=message, command=command[0])
        return NOT_EXECUTABLE


def report(fault: Fault) -> None:
    """Emit the event of one fault."""
    fields = fault._asdict()
    emit("error", "bad", file=fields.pop("path"), **fields)


def emit(level: str, event: str, **fields: Any) -> None:  # noqa: ANN401  any JSON value
    """Write one event as a line of JSON to standard error, at once and as a whole."""
    milliseconds = time.time_ns() // 1_000_000
    moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(milliseconds // 1000))
    line = {
        "time": f"{moment}.{milliseconds % 1000:03d}Z",
        "level": level,
        "event": f"guard.{event}",
        "component": "modelpack.guard",
        **{key: value for key, value in fields.items() if value is not None},
    }
    data = json.dumps(line).encode("ascii") + b"\n"
    try:
        while data:
            data = data[os.write(2, data) :]
    except OSError:
        pass  # nobody listens; the exit status still tells


def _encode(path: str) -> bytes:
    """Return a path for the system; names that are not UTF-8 come back as they were."""
    return path.encode("utf-8", "surrogateescape")


def _decode(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


def stop(number: int, _frame: object) -> None:
    """Leave at once on a signal: as process 1 the default would be to ignore it."""
    emit("warning", "stopped", message=f"stopped by {signal.Signals(number).name}")
    os._exit(128 + number)


def main(argv: list[str], environ: dict[str, str], manifest_path: str) -> int:
    """Verify, then become the command in `argv`; return an exit status if it does not start."""
    check_only = argv == ["--check-only"]
    if not check_only and (not argv or not argv[0] or argv[0].startswith("-")):
        emit("error", "usage", message="expected COMMAND [ARGUMENT]... or --check-only alone")
        return EX_USAGE
    try:
        manifest = choose_place(load(manifest_path), environ.get("MODELPACK_WEIGHTS", ""))
        mode = choose_mode(manifest, environ.get("MODELPACK_VERIFY", ""))
        if not verify(manifest, mode):
            return EX_CONFIG
    except Refusal as refusal:
        emit("error", "refused", message=str(refusal))
        return EX_CONFIG
    except Exception as error:  # noqa: BLE001  whatever goes wrong, unverified weights never start
        emit("error", "refused", message=f"internal error: {error!r}")
        return EX_CONFIG
    if check_only:
        return 0
    found = {"MODELPACK_WEIGHTS_DIGEST": manifest.digest, "MODELPACK_WEIGHTS_VERIFIED": mode}
    return execute(argv, {**environ, **found})


if __name__ == "__main__":
    for _number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        if signal.getsignal(_number) is not signal.SIG_IGN:  # as `nohup` wants it
            signal.signal(_number, stop)
    _beside = os.path.join(os.path.dirname(os.path.abspath(__file__)), "weights.json")
    sys.exit(main(sys.argv[1:], dict(os.environ), _beside))
