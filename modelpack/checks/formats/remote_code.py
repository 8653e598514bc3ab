"""Configuration that makes a loader import or run code: `auto_map` and its kin, at any depth."""

import json
import re
from collections.abc import Iterator

from modelpack.checks.formats.window import Window
from modelpack.inputs.quoting import quoted

JSON_LIMIT = 8 << 20
"bytes of a JSON file that names such a key and is then parsed"

_KEYS = {
    "auto_map": "makes `transformers` load classes from Python files",
    "custom_pipelines": "makes `transformers` load a pipeline from a Python file",
    "custom_pipeline": "makes `diffusers` load a pipeline from a Python file",
    "trust_remote_code": "asks for code beside the weights to be run",
    "_target_": "names a callable that Hydra calls",
    "py/object": "names a class that `jsonpickle` makes",
    "py/reduce": "holds a call that `jsonpickle` carries out",
    "py/function": "names a function that `jsonpickle` imports",
    "py/type": "names a class that `jsonpickle` imports",
    "py/newobj": "holds a call that `jsonpickle` carries out",
}
_LAMBDA = "Lambda"
_CLASS_KEY = "class_name"
_WORDS = (
    *(key.encode() for key in _KEYS if "/" not in key),
    *(b"py/", b"py\\/", b"!!python/", f'"{_CLASS_KEY}"'.encode()),
)
_ESCAPED = re.compile(rb"\\u00(?:2[fF]|[4-7][0-9a-fA-F])")
"a letter, `_` or `/` that is escaped, as no writer of JSON does"
_NAMED = re.compile(rf'"({"|".join(map(re.escape, _KEYS))})"\s*:'.encode())
_MODULES = re.compile(rb'"idx"')
_MODULES_LIMIT = 1 << 16
_YAML = re.compile(rb"!!python/(object|name|module)|^\s*_target_\s*:", re.MULTILINE)
_CHUNK = 1 << 20
_OVERLAP = 64


def findings_of_text(window: Window) -> Iterator[tuple[str, str]]:
    """Yield (rule, message) for what a text file in `window` asks a loader to run."""
    if not _is_candidate(window):
        return
    if window.read(0, 64).lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"{", b"["):
        yield from _of_json(window)
    elif _YAML.search(window.read(0, _CHUNK)):
        yield "weights.remote-code", "YAML that names Python objects to make"


def _is_candidate(window: Window) -> bool:
    """Scan without keeping: tokenizers are tens of megabytes of JSON and name nothing of this."""
    if window.size <= _MODULES_LIMIT and _MODULES.search(window.read(0, _MODULES_LIMIT)):
        return True
    for offset in range(0, window.size, _CHUNK):
        chunk = window.read(offset, _CHUNK + _OVERLAP)
        if any(word in chunk for word in _WORDS) or _ESCAPED.search(chunk):
            return True
    return False


def _of_json(window: Window) -> Iterator[tuple[str, str]]:
    if window.size > JSON_LIMIT or window.cut:
        yield "weights.opaque", f"JSON over {JSON_LIMIT >> 20} MiB that may name code to load"
        return
    found: dict[str, str] = {}

    def note(pairs: list[tuple[str, object]]) -> dict[str, object]:
        for key, value in pairs:
            for rule, message in _of_pair(key, value):
                found.setdefault(message, rule)
        return dict(pairs)

    try:
        text = window.read(0, window.size).decode("utf-8-sig")
        value = json.loads(text, object_pairs_hook=note)
    except (ValueError, RecursionError):
        if _NAMED.search(window.read(0, window.size)):
            yield "weights.remote-code", "JSON that cannot be parsed and names keys that load code"
        return
    yield from ((rule, message) for message, rule in found.items())
    yield from _of_modules(value)


def _of_pair(key: str, value: object) -> Iterator[tuple[str, str]]:
    if key in _KEYS and value:
        yield "weights.remote-code", f"{quoted(key)} {_KEYS[key]}{_names(value)}"
    if key == _CLASS_KEY and value == _LAMBDA:
        yield "weights.keras", "a Keras `Lambda` layer holds Python bytecode"


def _names(value: object) -> str:
    """Return `: ` and the first text in `value`, where there is one."""
    for _ in range(4):
        if isinstance(value, dict) and value:
            value = next(iter(value.values()))
        elif isinstance(value, list) and value:
            value = value[0]
    return f": {quoted(value)}" if isinstance(value, str) else ""


def _of_modules(value: object) -> Iterator[tuple[str, str]]:
    """`modules.json` of sentence-transformers: each `type` is imported by its dotted name."""
    if not isinstance(value, list):
        return
    for module in value:
        if not (isinstance(module, dict) and {"idx", "name", "path", "type"} <= module.keys()):
            continue
        kind = module["type"]
        if not (isinstance(kind, str) and kind.startswith("sentence_transformers.")):
            yield "weights.remote-code", f"imports a module of its own: {quoted(str(kind))}"
