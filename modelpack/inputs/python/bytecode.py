"""Deterministic bytecode, compiled by the base's own interpreter through its own loader.

Bytecode depends on the exact interpreter, on the path in the image, on the source and, since
CPython 3.12, on what the same process compiled before (CPython issue 129724): so there is one
fresh process for each group of files, in sorted order, in an empty environment.
Source: PEP 552, "Deterministic pycs".
"""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from importlib.resources import files
from io import BufferedReader
from pathlib import Path

from modelpack import process
from modelpack.errors import InputError, Unavailable
from modelpack.inputs.python.base_interpreter import BaseInterpreter
from modelpack.lock import Interpreter
from modelpack.oci.tar import Content, FileRange
from modelpack.oci.tree import Tree
from modelpack.platform import Platform
from modelpack.progress import SILENT, Progress

__all__ = ["BaseInterpreter", "compile"]

_TIMEOUT = 1800
"seconds for one group"
_ENVIRONMENT = {"LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "0", "PYTHONUTF8": "1"}
"all that the compiler sees of its surroundings"
_FLAGS = ("-B", "-P", "-S", "-s", "-W", "ignore")
"nothing but the standard library; not `-I`, which would ignore the hash seed"
_SOURCE_LIMIT = 64 << 20
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class _Group:
    """The sources of one process, in order."""

    label: str
    paths: tuple[str, ...]
    sources: tuple[FileRange, ...]

    @property
    def size(self) -> int:
        return sum(source.size for source in self.sources)


def compile(  # noqa: A001  the field's word
    tree: Tree,
    *,
    sources: Sequence[tuple[str, tuple[str, ...]]],
    base_root: Path,
    interpreter: Interpreter,
    platform: Platform,
    scratch: Path,
    cache: Path | None = None,
    progress: Progress = SILENT,
) -> Mapping[str, Content]:
    """Return the bytecode of `sources` (label, paths in `tree`) by its path in the image.

    Files that do not compile have none, as with pip. Contents lie in `scratch`, a folder that
    must outlive them; `cache` remembers groups by everything that they depend on. Raises
    Unavailable when this machine cannot run the interpreter in `base_root`.
    """
    base = BaseInterpreter(root=base_root, interpreter=interpreter, platform=platform)
    if not base.runnable:
        raise Unavailable(
            f"this machine cannot run the base's interpreter for {platform}",
            hint='build on such a machine, or set `bytecode = "none"` and lock again',
        )
    driver = files("modelpack.inputs.python").joinpath("bytecode_driver.py").read_text("utf-8")
    argv = (*base.argv, *_FLAGS, "-c", driver)
    identity = _identity(base, argv) if cache else ""
    folder = Path(tempfile.mkdtemp(prefix="bytecode-", dir=scratch))
    groups = [
        _group(tree, label, paths, folder / f"{number}.py")
        for number, (label, paths) in enumerate(sources)
        if paths
    ]
    results: dict[str, Content] = {}
    with (
        progress.task("bytecode", sum(group.size for group in groups)) as advance,
        ThreadPoolExecutor(os.cpu_count()) as pool,
    ):

        def run(number: int, group: _Group) -> Path:
            output = folder / f"{number}.pyc"
            _compile_group(argv, group, output, identity=identity, cache=cache)
            advance(group.size)
            return output

        # The largest first, so that no core waits for it in the end.
        numbered = sorted(enumerate(groups), key=lambda item: -item[1].size)
        jobs = [(group, pool.submit(run, number, group)) for number, group in numbered]
        try:
            for group, job in jobs:
                results.update(_read(job.result(), group, interpreter))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return results


def _group(tree: Tree, label: str, paths: tuple[str, ...], spill: Path) -> _Group:
    """Return the group of `paths`; sources that lie in memory are written to `spill`."""
    ordered, ranges, position = list[str](), list[FileRange](), 0
    with spill.open("wb") as output:
        for path in sorted(set(paths), key=str.encode):
            content = tree[path].content
            if tree[path].kind != "file" or tree[path].size > _SOURCE_LIMIT:
                continue
            if isinstance(content, bytes):
                output.write(content)
                content = FileRange(path=str(spill), offset=position, size=len(content))
                position += content.size
            ordered.append(path)
            ranges.append(content)
    return _Group(label=label, paths=tuple(ordered), sources=tuple(ranges))


def _compile_group(
    argv: Sequence[str], group: _Group, output: Path, *, identity: str, cache: Path | None
) -> None:
    remembered = cache / _key(identity, group) if cache else None
    if remembered and _recall(remembered, output):
        return
    fields: list[bytes] = []
    for path, source in zip(group.paths, group.sources, strict=True):
        fields += [b"%d" % source.offset, b"%d" % source.size]
        fields += [b"/" + path.encode(), os.fsencode(source.path)]
    done = process.run(
        [*argv, str(output)],
        environment=_ENVIRONMENT,
        cwd="/",
        stdin=b"\0".join(fields),
        timeout=_TIMEOUT,
    )
    if done.status:
        raise Unavailable(
            f"the base's interpreter failed to compile (status {done.status}): "
            f"{done.last_lines(1)}",
            at=group.label,
        )
    if remembered:
        _remember(output, remembered)


def _read(output: Path, group: _Group, interpreter: Interpreter) -> Iterator[tuple[str, Content]]:
    """Yield where each bytecode goes and where it lies in `output`."""
    tag = "cpython-" + interpreter.minor.replace(".", "")
    position = 0
    with output.open("rb") as file:
        end = os.fstat(file.fileno()).st_size
        for path in group.paths:
            file.seek(position)
            head = file.read(8)
            length = int.from_bytes(head, "little", signed=True)
            position += 8
            if len(head) != 8 or length < -1 or position + length > end:  # noqa: PLR2004
                raise InputError("the base's interpreter wrote no bytecode", at=group.label)
            if length < 0:
                continue
            folder, _, name = path.rpartition("/")
            place = f"{folder}/__pycache__/{name.removesuffix('.py')}.{tag}.pyc"
            yield place, FileRange(path=str(output), offset=position, size=length)
            position += length


def _identity(base: BaseInterpreter, argv: Sequence[str]) -> str:
    """Return a digest of all of the interpreter that can change what it compiles."""
    digest = hashlib.sha256(repr((_FLAGS, sorted(_ENVIRONMENT.items()), argv[-1])).encode())
    library = base.standard_library
    modules = [*library.glob("*.py")]
    for package in ("collections", "encodings", "importlib"):
        modules.extend((library / package).glob("*.py"))
    for path in (base.executable, *sorted(modules)):
        content = path.read_bytes()
        digest.update(b"%d %d " % (len(path.name), len(content)))
        digest.update(path.name.encode() + content)
    return digest.hexdigest()


def _key(identity: str, group: _Group) -> str:
    digest = hashlib.sha256(identity.encode())
    for path, source in zip(group.paths, group.sources, strict=True):
        with open(source.path, "rb") as file:
            file.seek(source.offset)
            content = hashlib.sha256(file.read(source.size)).hexdigest()
        digest.update(f"{content} {path}\n".encode())
    return digest.hexdigest()


def _recall(remembered: Path, output: Path) -> bool:
    """Copy what is `remembered` to `output`; tell whether it was there and whole."""
    size = hashlib.sha256().digest_size
    try:
        with remembered.open("rb") as source, output.open("wb") as copy:
            expected = source.read(size)
            shutil.copyfileobj(source, copy, _CHUNK)
        with output.open("rb") as copy:
            return _digest(copy) == expected
    except OSError:
        return False


def _remember(output: Path, remembered: Path) -> None:
    """Keep a copy of `output` behind its digest; a full disk only costs the memory."""
    with suppress(OSError):
        remembered.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=".part-", dir=remembered.parent)
        try:
            with open(descriptor, "wb") as copy, output.open("rb") as source:
                copy.write(_digest(source))
                source.seek(0)
                shutil.copyfileobj(source, copy, _CHUNK)
            Path(name).replace(remembered)
        except OSError:
            Path(name).unlink(missing_ok=True)


def _digest(file: BufferedReader) -> bytes:
    return hashlib.file_digest(file, "sha256").digest()
