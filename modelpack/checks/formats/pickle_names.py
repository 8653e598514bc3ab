"""Every global that the pickles in a window name: those that are walked, and what stands behind.

joblib writes the bytes of an array where its loader expects them, between opcodes: there no walk
goes on, and the loader does. So what stands behind such a break is searched for names as they are
written; one that is put together from the memo is not found, which whoever asks is told.
"""

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final

from modelpack.checks.formats import pickle_opcodes
from modelpack.checks.formats.window import Window

LONGEST: Final = 256 << 20
"bytes that are looked at"
_OPCODES: Final = 500_000
_NAMES: Final = 5_000
_CHUNK: Final = 1 << 20
_LONGEST_NAME: Final = 512
_DOTTED: Final = rb"[A-Za-z_][\w.]{0,200}"
_LINES: Final = re.compile(rb"(?<![\w.])[ci](" + _DOTTED + rb")\n(" + _DOTTED + rb")\n")
"GLOBAL and INST"
_TEXTS: Final = re.compile(
    rb"\x8c.(" + _DOTTED + rb")\x94?\x8c.(" + _DOTTED + rb")\x94?\x93", re.DOTALL
)
"two texts and STACK_GLOBAL"
_MODULES: Final = sys.stdlib_module_names | {"__builtin__", "commands", "numpy", "torch"}
"prose looks like a name, but seldom like one of these"


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """What is named, and how far it was followed."""

    names: tuple[str, ...]
    "dotted, each once"
    behind: tuple[str, ...]
    "what stands behind a break and may be names: text may look like it"
    broken: int
    "where a pickle that calls something breaks off; -1: none does"


def of(window: Window) -> Names:
    """Return what the pickles in `window`, one after the other, name."""
    found: dict[str, None] = {}
    behind: tuple[str, ...] = ()
    offset, left, broken = 0, _OPCODES, -1
    while left > 0 and len(found) < _NAMES:
        walk = pickle_opcodes.walk(window, offset, limit=left)
        found.update(dict.fromkeys(name for name in walk.names if "\n" not in name))
        left -= max(walk.opcodes, 1)
        if not walk.finished:
            if walk.calls and not walk.cut and walk.end < window.size:
                broken = walk.end
                behind = tuple(islice(dict.fromkeys(_written(window, broken)), _NAMES))
            break
        if walk.end <= offset:
            break
        offset = walk.end
    return Names(names=tuple(found)[:_NAMES], behind=behind, broken=broken)


def _written(window: Window, start: int) -> Iterator[str]:
    """Yield the names that stand in the bytes from `start` on, whatever else is there."""
    for at in range(start, min(window.size, LONGEST), _CHUNK):
        data = window.read(at, _CHUNK + _LONGEST_NAME)
        for form in (_LINES, _TEXTS):
            for module, name in form.findall(data):
                if module.partition(b".")[0].decode() in _MODULES:
                    yield f"{module.decode()}.{name.decode()}"
