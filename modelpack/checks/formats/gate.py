"""Formats that can carry code, found by what files contain and not by what they are called.

Every file is looked at in a few places only (its head, its tail, the directories of archives, the
heads of their members), so the cost does not grow with the size of weights. What cannot be looked
into is a finding as well.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path

from modelpack.checks.formats import (
    archives,
    inflation,
    numpy_header,
    pickle_opcodes,
    protobuf,
    remote_code,
    signatures,
)
from modelpack.checks.formats.hazard import Budget, Exhausted, Hazard, Pickle, once_per_rule
from modelpack.checks.formats.window import Window, of_bytes, of_descriptor
from modelpack.errors import Finding, InputError
from modelpack.inputs.opening import open_regular
from modelpack.inputs.quoting import quoted

_SCRIPTS = re.compile(
    r".*\.(py|pyw|pyc|pyo|pth|ipynb|sh|bash|zsh|csh|bat|cmd|ps1|psm1|vbs|js|mjs|lua|pl|rb|php|jar|class)",
    re.IGNORECASE | re.DOTALL,
)
_LIBRARIES = re.compile(r".*\.(so(\.[0-9]+)*|pyd|dll|dylib|exe|com|scr)", re.IGNORECASE | re.DOTALL)
_TENSORFLOW = frozenset({"saved_model.pb", "saved_model.pbtxt", "keras_metadata.pb"})
_PICKLES = re.compile(rb"\x80[\x02-\x05]")
_CONTROLS = re.compile(rb"[\x00-\x08\x0e-\x1f]")
_EMBEDDED_LIMIT = 64
_JUNK = b"\xef\xbb\xbf \t\r\n\0"
_SHOWN_CALLS, _EMPTY = 3, "empty"
ALLOWED = "allowed by `weights.allow-unsafe`"
"how the hint of a finding begins that a named exception made a warning"
_HINT = "use safetensors, or name the file in `weights.allow-unsafe`"


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """What a file is, and what it can carry."""

    name: str
    "such as `safetensors`, `zip`, `pickle`, `text`; `unknown` for other binary data"
    hazards: tuple[Hazard, ...] = field(default=())


def findings(files: Mapping[str, Path], allow_unsafe: Sequence[str] = ()) -> tuple[Finding, ...]:
    """Return what in `files` (relative path to path) can carry code, in the order of their paths.

    Findings of files that a pattern of `allow_unsafe` names become warnings and keep their rule,
    for labels and inspection to show; a pattern that excepts nothing is an error itself. Patterns
    are those of `weights.include`: without `/` they are for the base name at any depth.
    """
    from modelpack.runtime.guard import matches  # noqa: PLC0415  late, and one meaning of patterns

    found: list[Finding] = []
    used: set[str] = set()
    for path in sorted(files):
        for hazard in _of_file(files[path], path):
            if hazard.rule == "weights.unknown-format":
                found.append(_warning(path, hazard, hint=""))
                continue
            excepting = [pattern for pattern in allow_unsafe if matches(path, pattern)]
            used.update(excepting)
            if excepting:
                hint = f"{ALLOWED}: {quoted(excepting[0])}"
                found.append(_warning(path, hazard, hint=hint))
            else:
                found.append(Finding(message=hazard.message, at=path, hint=_HINT, rule=hazard.rule))
    return (*found, *_unused(allow_unsafe, used))


def _warning(path: str, hazard: Hazard, *, hint: str) -> Finding:
    return Finding(message=hazard.message, at=path, hint=hint, rule=hazard.rule, severity="warning")


def _unused(allow_unsafe: Sequence[str], used: set[str]) -> Iterator[Finding]:
    for pattern in allow_unsafe:
        if pattern not in used:
            yield Finding(
                message=f"{quoted(pattern)} excepts nothing",
                at="weights.allow-unsafe",
                hint="remove it, so that it does not except a later file unseen",
                rule="weights.unused-exception",
            )


def _of_file(path: Path, name: str) -> tuple[Hazard, ...]:
    try:
        with open_regular(path, at=name) as file:
            return classify(of_descriptor(file.fileno()), name).hazards
    except InputError as error:
        message = error.findings[0].message
        return (Hazard(rule="weights.unreadable", message=message),)


def classify(window: Window, name: str = "", *, pickles: list[Pickle] | None = None) -> Format:
    """Return what the bytes in `window` are and which hazards they carry; `name` is a hint only.

    `pickles` receives each pickle in it, also of its members.
    """
    budget = Budget()
    formats: list[str] = []
    hazards: list[Hazard] = []
    try:
        hazards.extend(
            _look(window, name, budget=budget, depth=0, formats=formats, pickles=pickles)
        )
    except Exhausted:
        message = "unfolds into more than can be looked at"
        hazards.append(Hazard(rule="weights.bomb", message=message))
    return Format(name=formats[0] if formats else "unknown", hazards=once_per_rule(iter(hazards)))


def _look(
    window: Window, name: str, *, budget: Budget, depth: int, formats: list[str] | None = None,
    pickles: list[Pickle] | None,
) -> Iterator[Hazard]:  # fmt: skip
    """Yield the hazards of one file or member; `formats` receives what it is, first by its head."""
    if depth > budget.depth:
        yield Hazard(rule="weights.bomb", message="archives within archives, too deep to look into")
        return
    yield from _of_name(name)
    head = window.read(0, signatures.HEAD)
    found = _formats(window, head)
    pickled = _pickle(window, head, searched=not found)
    if pickled is not None:
        found.append("pickle")
        start, walk = pickled
        _keep(pickles, window, start, name if depth else "")
        yield Hazard(rule="weights.pickle", message=f"a pickle{_calls(walk)}")
    found = found or [_by_fields(window, head)]
    if formats is not None:
        formats.extend(found)
    if len(found) > 1:
        both = " and ".join(dict.fromkeys(found))
        yield Hazard(rule="weights.polyglot", message=f"valid as {both} at once")
    look = partial(_look, budget=budget, depth=depth + 1, pickles=pickles)
    for kind in found:
        if kind == "unknown" and not depth:
            message = "an unknown binary format: nothing can be said of it"
            yield Hazard(rule="weights.unknown-format", message=message)
        if kind == "numpy" and (header := numpy_header.read(window)).objects:
            _keep(pickles, window, header.end, name if depth else "")
        yield from _of_kind(window, kind, name, look, budget)


def _of_name(name: str) -> Iterator[Hazard]:
    base = name.rpartition("/")[2]
    if _SCRIPTS.fullmatch(base):
        yield Hazard(rule="weights.script", message="program text among the weights")
    if _LIBRARIES.fullmatch(base):
        yield Hazard(rule="weights.executable", message="a program or library by its name")
    if base in _TENSORFLOW:
        message = "TensorFlow model: its graph can read and write files and call Python"
        yield Hazard(rule="weights.tensorflow", message=message)


def _formats(window: Window, head: bytes) -> list[str]:
    """Return every format that a reader could take `window` for; the one of its head first."""
    if not window.size:
        return [_EMPTY]
    first = signatures.identify(head, window)
    if first in signatures.WEAK and not _inflates(window, first):
        first = ""
    found = [first] if first else []
    zipped = not window.cut and archives.zip_end(window) >= 0
    if zipped and first != "zip":
        found.append("zip")
    if signatures.is_tar(head):
        found.append("tar")
    if first and first != "hdf5" and signatures.is_hdf5(window):
        found.append("hdf5")
    if first == "safetensors":
        also = [kind for kind in sorted(signatures.COMPRESSED) if _begins(head, kind)]
        found.extend(kind for kind in also if _inflates(window, kind))
    return found


def _begins(head: bytes, kind: str) -> bool:
    magic = {"gzip": b"\x1f\x8b", "bzip2": b"BZh", "lzma": b"\x5d\0\0", "zlib": b"\x78"}
    return head.startswith(magic.get(kind, b"\xfd7zXZ\0"))


def _inflates(window: Window, kind: str) -> bool:
    """Tell whether this is a stream: two magic bytes are not enough, what comes out counts too."""
    inflated = inflation.inflate(window, kind, archives.HEAD_OUTPUT)
    inner = of_bytes(inflated.data, cut=True)
    if inflated.data and not inflated.damaged:
        return True
    return bool(pickle_opcodes.find(inner) or signatures.identify(inflated.data, inner))


def _by_fields(window: Window, head: bytes) -> str:
    """Name what has no magic number: text, protocol buffers."""
    text = signatures.is_text(head, whole=len(head) >= window.size and not window.cut)
    if text and not _CONTROLS.search(head):
        return "text"
    return protobuf.identify(window) or ("text" if text else "unknown")


def _keep(pickles: list[Pickle] | None, window: Window, start: int, member: str) -> None:
    if pickles is not None:
        rest = replace(window.part(start, window.size), cut=window.cut)
        pickles.append(Pickle(member=member, window=rest))


def _pickle(
    window: Window, head: bytes, *, searched: bool
) -> tuple[int, pickle_opcodes.Walk] | None:
    """Return where it starts and how far an unpickler gets.

    It is looked for at the first byte, after junk, and at magic numbers.
    """
    for start in sorted({0, len(head) - len(head.lstrip(_JUNK))}):
        found = pickle_opcodes.find(window, start)
        if found is not None:
            return start, found
    if searched:
        for match in islice(_PICKLES.finditer(head), _EMBEDDED_LIMIT):
            walk = pickle_opcodes.walk(window, match.start())
            if walk.calls and walk.names:
                return match.start(), walk
    return None


def _of_kind(
    window: Window, kind: str, name: str, look: archives.Look, budget: Budget
) -> Iterator[Hazard]:
    """Yield what a format of this kind can carry, looking inside where it is a container."""
    if kind == "zip":
        yield from _of_zip(window, look, budget)
    elif kind == "tar":
        yield from archives.tar_hazards(window, look, budget)
    elif kind in signatures.COMPRESSED:
        yield from archives.inside(window, kind, name, look, budget)
    elif kind == "numpy":
        yield from _of_array(window)
    elif kind == "text":
        yield from _of_text(window)
    else:
        yield from _of_opaque_kind(kind)


def _of_opaque_kind(kind: str) -> Iterator[Hazard]:
    """Kinds that are hazards as they are."""
    if kind in signatures.EXECUTABLE:
        yield Hazard(rule="weights.executable", message=f"executable code ({kind})")
    elif kind in signatures.OPAQUE:
        message = f"{kind} data cannot be looked into"
        yield Hazard(rule="weights.opaque", message=message)
    elif kind == "script":
        yield Hazard(rule="weights.script", message="a script: it begins with `#!`")
    elif kind == "hdf5":
        message = "HDF5, as Keras writes it: its layers can hold Python bytecode"
        yield Hazard(rule="weights.keras", message=message)
    elif kind == "joblib":
        yield Hazard(rule="weights.pickle", message="a compressed pickle, as joblib wrote them")
    elif kind in ("saved-model", "graph-def"):
        message = "TensorFlow graph: its operations can read and write files and call Python"
        yield Hazard(rule="weights.tensorflow", message=message)


def _of_zip(window: Window, look: archives.Look, budget: Budget) -> Iterator[Hazard]:
    end = -1 if window.cut else archives.zip_end(window)
    if end < 0:
        yield Hazard(rule="weights.opaque", message="zip without an end: cut off or damaged")
    else:
        yield from archives.zip_hazards(window, end, look, budget)


def _of_array(window: Window) -> Iterator[Hazard]:
    header = numpy_header.read(window)
    if header.objects:
        message = "NumPy array of Python objects: it is loaded by unpickling"
        yield Hazard(rule="weights.numpy-object", message=message)
    elif header.malformed:
        message = "NumPy array whose header cannot be read"
        yield Hazard(rule="weights.opaque", message=message)


def _of_text(window: Window) -> Iterator[Hazard]:
    for rule, message in remote_code.findings_of_text(window):
        yield Hazard(rule=rule, message=message)


def _calls(walk: pickle_opcodes.Walk) -> str:
    """Name the first few things that the pickle calls when it is loaded."""
    names = list(dict.fromkeys(name for name in walk.calls or walk.names if name))
    more = "…" if len(names) > _SHOWN_CALLS else ""
    shown = ", ".join(quoted(name) for name in names[:_SHOWN_CALLS])
    return f" that calls {shown}{more} when it is loaded" if names else ""
