"""What fickling says of the pickles in files with an exception: a named format is no named verdict.

`weights.allow-unsafe` excepts a format that can carry code. What that code would call, our own walk
names and fickling judges, in a process of its own with little time and memory: what it calls
malicious is refused all the same, unless `weights.allow-imports` names it. It is asked about each
name that our walk saw as well as about the whole, since its own interpreter gives up where a stream
is broken, and the real one has called something by then (docs/adr/0037-malware.md).
"""

import importlib.metadata
import json
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from modelpack import process
from modelpack.checks.formats import gate as formats
from modelpack.checks.formats import pickle_names
from modelpack.checks.formats.hazard import Pickle
from modelpack.checks.formats.window import Window, of_descriptor
from modelpack.errors import Finding, InputError, Unavailable
from modelpack.inputs.opening import open_regular
from modelpack.inputs.quoting import quoted

TIMEOUT: Final = 120.0
"seconds for all pickles of one file"
_MOST = 64
"pickles of one file"
_ANSWER = 16 << 20
_CHUNK = 1 << 20
_SHOWN = 4
_IMPORT = re.compile(r"from (\S+) import (\S+)")
INSTALL: Final = "pip install 'modelpack-build[malware]'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Opinion:
    """What was said of one file."""

    malicious: tuple[str, ...] = ()
    suspicious: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    "why not all of it was looked at"


@dataclass(slots=True, kw_only=True)
class _Answer:
    """What the other process has said so far; mutable, lives for one file."""

    malicious: list[str] = field(default_factory=list)
    suspicious: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)
    done: bool = False


def available() -> str:
    """Return the version of fickling that is installed; empty: none."""
    try:
        return importlib.metadata.version("fickling")
    except importlib.metadata.PackageNotFoundError:
        return ""


def findings(files: Mapping[str, Path], allow_imports: Sequence[str] = ()) -> Iterator[Finding]:
    """Yield what is said of `files`, all of which have an exception."""
    if files and not available():
        yield Finding(
            message="what the files with an exception would call was not judged by fickling, "
            "which is not installed",
            at="weights.allow-unsafe", hint=INSTALL, rule="weights.no-second-opinion",
            severity="warning",
        )  # fmt: skip
        return
    used = set[str]()
    for path, source in sorted(files.items()):
        yield from _said(path, _opinion_of(source, path, allow_imports, used))
    for name in allow_imports:
        if files and name not in used:
            yield Finding(
                message=f"{quoted(name)} excepts nothing", at="weights.allow-imports",
                hint="remove it, so that it does not except a later file unseen",
                rule="weights.unused-exception",
            )  # fmt: skip


def _said(path: str, opinion: Opinion) -> Iterator[Finding]:
    if opinion.malicious:
        yield Finding(
            message=f"fickling calls it malicious: {_listed(opinion.malicious)}", at=path,
            hint="do not load it; an exception for its format is none for what it does. What it "
            "has to import all the same can be named in `weights.allow-imports`",
            rule="weights.malicious",
        )  # fmt: skip
    elif opinion.suspicious:
        yield Finding(
            message=f"fickling is not sure of {_listed(opinion.suspicious)}", at=path,
            hint="look at each: it is imported or called when the file is loaded",
            rule="weights.suspicious", severity="warning",
        )  # fmt: skip
    if opinion.unread:
        yield Finding(
            message=f"not all of it could be judged: {_listed(opinion.unread)}", at=path,
            hint="nothing is known of what follows there", rule="weights.unread",
            severity="warning",
        )  # fmt: skip


def _listed(texts: Sequence[str]) -> str:
    more = f" and {len(texts) - _SHOWN} more" if len(texts) > _SHOWN else ""
    return f"{', '.join(quoted(text) for text in texts[:_SHOWN])}{more}"


def _opinion_of(source: Path, path: str, allowed: Sequence[str], used: set[str]) -> Opinion:
    pickles: list[Pickle] = []
    try:
        with open_regular(source, at=path) as file:
            formats.classify(of_descriptor(file.fileno()), path, pickles=pickles)
            if not pickles:
                return Opinion()
            answer = _ask(pickles)
    except InputError as error:
        return Opinion(unread=(error.findings[0].message,))
    used.update(name for name in allowed if name in answer.malicious)
    return Opinion(
        malicious=tuple(dict.fromkeys(name for name in answer.malicious if name not in allowed)),
        suspicious=tuple(dict.fromkeys(answer.suspicious)),
        unread=tuple(dict.fromkeys(answer.unread)),
    )


def _ask(pickles: Sequence[Pickle]) -> _Answer:
    """Let the other process look; whatever becomes of it, what it said until then counts."""
    answer = _Answer()
    if len(pickles) > _MOST:
        answer.unread.append(f"it holds {len(pickles)} pickles, of which {_MOST} were looked at")
    driver = files("modelpack.checks.formats").joinpath("opcode_driver.py").read_text("utf-8")
    with tempfile.TemporaryDirectory(prefix="modelpack-opcodes-") as work:
        names = []
        for which, pickle in enumerate(pickles[:_MOST]):
            named = pickle_names.of(pickle.window)
            names.append([named.names, named.behind])
            if named.broken >= 0:
                answer.unread.append(f"from byte {named.broken} on it cannot be followed")
            if _spill(pickle.window, Path(work, str(which))):
                answer.unread.append(f"more than {pickle_names.LONGEST >> 20} MiB, or cut off")
        Path(work, "names.json").write_text(json.dumps(names), encoding="utf-8")
        with tempfile.TemporaryFile(dir=work) as output:
            try:
                process.stream(
                    [sys.executable, "-I", "-c", driver, work], cwd="/", output=output,
                    environment={"LC_ALL": "C.UTF-8"}, said=lambda _: None, timeout=TIMEOUT,
                )  # fmt: skip
            except Unavailable as error:
                answer.unread.append(error.findings[0].message)
            output.seek(0)
            for line in output.read(_ANSWER).splitlines():
                _take(line, answer)
    if not answer.done:
        answer.unread.append("what looked at it has ended before it was through")
    return answer


def _take(line: bytes, answer: _Answer) -> None:
    try:
        said: dict[str, Any] = json.loads(line)
    except ValueError:  # cut where the process was killed
        return
    what = str(said.get("what", ""))
    if found := _IMPORT.fullmatch(what):
        what = ".".join(found.groups())
    if said.get("level") == "malicious":
        answer.malicious.append(what)
    elif said.get("level") == "suspicious":
        answer.suspicious.append(what)
    elif "unread" in said:
        answer.unread.append(str(said["unread"]))
    answer.done = answer.done or bool(said.get("done"))


def _spill(window: Window, path: Path) -> bool:
    """Write the window to a file, and tell whether that is not all of it."""
    size = min(window.size, pickle_names.LONGEST)
    with path.open("wb") as file:
        for at in range(0, size, _CHUNK):
            file.write(window.read(at, min(_CHUNK, size - at)))
    return window.cut or size < window.size
