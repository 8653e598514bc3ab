"""Members of JSON values of anybody: of the type that is wanted, or nothing; never raises."""

import json
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

_TEXT_LIMIT = 2000
"characters of a text that is shown"
_NOTHING: Mapping[str, Any] = {}
_LEAF = 300
"characters of a value of which nothing is known"
_LOOKED_AT = 10_000
"values, with containers"
_SHOWN = 6


def table(value: object, *keys: str) -> Mapping[str, Any]:
    """Return the object that stands below `keys`, else an empty one."""
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value if isinstance(value, Mapping) else _NOTHING


def text(value: object, *keys: str) -> str:
    """Return the text that stands below `keys`, cut where it is long, else an empty one."""
    *above, last = keys
    found = table(value, *above).get(last)
    return found[:_TEXT_LIMIT] if isinstance(found, str) else ""


def array(value: object, *keys: str) -> Sequence[Any]:
    """Return the list that stands below `keys`, else an empty one."""
    *above, last = keys
    found = table(value, *above).get(last)
    return found if isinstance(found, list) else ()


def tables(value: object, *keys: str) -> Iterator[Mapping[str, Any]]:
    """Yield the objects in the list that stands below `keys`."""
    return (item for item in array(value, *keys) if isinstance(item, Mapping))


def leaves(value: object, *, most: int) -> Iterator[tuple[str, str]]:
    """Yield up to `most` values that are no containers, by dotted path, as texts.

    Those that stand higher come first; of a document that is large without saying much, some are
    left out.
    """
    waiting: deque[tuple[str, object]] = deque([("", value)])
    for _ in range(_LOOKED_AT):
        if not waiting or most <= 0:
            return
        at, item = waiting.popleft()
        if isinstance(item, Mapping):
            named = [(f"{at}.{key}" if at else f"{key}", one)
                     for key, one in islice(item.items(), most)]  # fmt: skip
        elif isinstance(item, list):
            named = [(f"{at}[{number}]", one) for number, one in enumerate(item[:most])]
        else:
            if item is not None and item != "":
                most -= 1
                yield at, (item if isinstance(item, str) else json.dumps(item))[:_LEAF]
            continue
        waiting.extend((name[:_LEAF], one) for name, one in named)


def listed(counts: Mapping[str, int]) -> str:
    """Return `3 library, 1 data`: the largest of them."""
    shown = [f"{count} {word}" for word, count in list(counts.items())[:_SHOWN]]
    return ", ".join(shown) + (", …" if len(counts) > _SHOWN else "")
