"""Whether one JSON Schema accepts all that another accepts, as far as that can be read off.

What cannot be compared (`anyOf`, `not`, patterns …) and changed counts as a difference: a
change that nobody can judge is no compatible one. Source: JSON Schema 2020-12, Validation.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

from modelpack.interface.pointers import resolved
from modelpack.interface.reading import escaped

Side = Literal["request", "response"]
_TYPES: Final = ("null", "boolean", "integer", "number", "string", "array", "object")
_LEAST: Final = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_MOST: Final = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
_OPAQUE: Final = (
    "pattern", "multipleOf", "uniqueItems", "format", "not", "anyOf", "oneOf", "allOf",
    "if", "then", "else", "prefixItems", "contains", "minContains", "maxContains",
    "patternProperties", "propertyNames", "dependentRequired", "dependentSchemas",
    "dependencies", "unevaluatedItems", "unevaluatedProperties", "additionalItems",
    "$dynamicRef", "$recursiveRef", "contentEncoding", "contentMediaType", "contentSchema",
    "discriminator",
)  # fmt: skip
_ADDED: Final = frozenset({"uniqueItems"})
_DEPTH: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Where a schema changed so that somebody breaks."""

    rule: str
    at: str
    "JSON pointer in the value"
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """The same place in the old and the new document."""

    old: Any
    new: Any
    old_document: Any
    new_document: Any
    side: Side
    at: str = ""
    depth: int = 0
    seen: set[tuple[int, int]] = field(default_factory=set)
    "what was compared already, by identity in the documents; shared, for there may be circles"

    @property
    def wide(self) -> Any:  # noqa: ANN401  a schema
        """The side whose values must go on to be accepted."""
        return self.old if self.side == "request" else self.new

    @property
    def narrow(self) -> Any:  # noqa: ANN401  a schema
        """The side that must accept them."""
        return self.new if self.side == "request" else self.old

    def below(self, old: object, new: object, key: str) -> "Pair":
        """Return the pair of two schemas inside this one."""
        return replace(self, old=old, new=new, at=f"{self.at}/{key}", depth=self.depth + 1)


def differences(pair: Pair) -> Iterator[Difference]:
    """Yield what breaks between two schemas.

    Of a request, all that the old one accepts must be accepted. Of a response, nothing may come
    that the old one does not describe, nothing that it promises may be missing.
    """
    key = (id(pair.old), id(pair.new))
    if key in pair.seen:
        return
    pair.seen.add(key)
    pair = replace(
        pair,
        old=_plain(resolved(pair.old_document, pair.old)),
        new=_plain(resolved(pair.new_document, pair.new)),
    )
    if pair.depth > _DEPTH:
        yield _found(pair, "opaque", "nested too deeply to compare")
        return
    yield from _types(pair)
    yield from _values(pair)
    yield from _bounds(pair)
    yield from _opaque(pair)
    yield from _items(pair)
    yield from _fields(pair)


def _plain(schema: Any) -> Mapping[str, Any]:  # noqa: ANN401  any JSON value
    """Return a schema as an object: true accepts all, false nothing."""
    if isinstance(schema, Mapping):
        return schema
    return {} if schema is True else {"enum": []}


def _found(pair: Pair, rule: str, message: str) -> Difference:
    return Difference(rule=rule, at=pair.at or "/", message=message)


def types_of(schema: Mapping[str, Any]) -> frozenset[str]:
    """Return the types that `schema` accepts; OpenAPI 3.0's `nullable` adds null."""
    stated = schema.get("type", list(_TYPES))
    listed = stated if isinstance(stated, list) else [stated]
    found = {one for one in listed if isinstance(one, str)}
    if schema.get("nullable") is True and "type" in schema:
        found.add("null")
    if "number" in found:
        found.add("integer")
    return frozenset(found)


def _types(pair: Pair) -> Iterator[Difference]:
    lost = types_of(pair.wide) - types_of(pair.narrow)
    if lost:
        words = ", ".join(sorted(lost))
        how = "no longer accepted" if pair.side == "request" else "may come now"
        yield _found(pair, "type", f"{words}: {how}")


def _enum(schema: Mapping[str, Any]) -> list[Any] | None:
    if "const" in schema:
        return [schema["const"]]
    stated = schema.get("enum")
    return stated if isinstance(stated, list) else None


def _values(pair: Pair) -> Iterator[Difference]:
    wide, narrow = _enum(pair.wide), _enum(pair.narrow)
    if narrow is None:
        return
    if wide is None:
        yield _found(pair, "enum", "only some values are left" if pair.side == "request"
                     else "other values than those listed may come now")  # fmt: skip
        return
    lost = [one for one in wide if not any(_same(one, other) for other in narrow)]
    if lost:
        shown = ", ".join(repr(one)[:40] for one in lost[:3])
        how = "no longer accepted" if pair.side == "request" else "may come now"
        yield _found(pair, "enum", f"{shown}: {how}")


def _same(one: object, other: object) -> bool:
    """Compare as JSON does: true is not 1."""
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def _bounds(pair: Pair) -> Iterator[Difference]:
    how = "tightened" if pair.side == "request" else "loosened"
    for keys, sign in ((_LEAST, 1), (_MOST, -1)):
        for key in keys:
            wide, narrow = pair.wide.get(key), pair.narrow.get(key)
            if narrow is None or narrow is False or wide == narrow:
                continue
            if sign == 1 and key.startswith("min") and key != "minimum" and not narrow:
                continue  # at least none is no bound
            if not (_number(wide) and _number(narrow)) or sign * (wide - narrow) < 0:
                yield _found(pair, "bound", f"`{key}` {how}: {pair.old.get(key)} became "
                             f"{pair.new.get(key)}")  # fmt: skip


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _opaque(pair: Pair) -> Iterator[Difference]:
    for key in _OPAQUE:
        if key not in pair.narrow or (key in _ADDED and pair.narrow[key] is False):
            continue
        wide, narrow = pair.wide.get(key), pair.narrow[key]
        documents = (pair.old_document, pair.new_document)
        if pair.side == "response":
            documents = (pair.new_document, pair.old_document)
        if key not in pair.wide or not same(wide, narrow, *documents):
            yield _found(pair, "opaque", f"`{key}` changed")


def same(
    one: Any, other: Any, first: Any, second: Any, seen: set[tuple[int, int]] | None = None  # noqa: ANN401
) -> bool:  # fmt: skip
    """Tell whether two schemas say the same, with what their references lead to.

    `first` and `second` are the documents in which references are followed.
    """
    seen = set() if seen is None else seen
    if isinstance(one, Mapping | list) and isinstance(other, Mapping | list):
        if (id(one), id(other)) in seen:
            return True  # compared elsewhere: a difference there counts
        seen.add((id(one), id(other)))
    one, other = resolved(first, one), resolved(second, other)
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        one, other = _without_words(one), _without_words(other)
        return one.keys() == other.keys() and all(
            same(one[key], other[key], first, second, seen) for key in one
        )
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(
            same(a, b, first, second, seen) for a, b in zip(one, other, strict=True)
        )
    return _same(one, other)


def _without_words(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Leave out what is for people; a field that is called so has an object here, and stays."""
    return {
        key: item for key, item in schema.items()
        if not (key in ("title", "description", "$comment") and isinstance(item, str))
    }  # fmt: skip


def _items(pair: Pair) -> Iterator[Difference]:
    if "items" in pair.narrow or "items" in pair.wide:
        old, new = pair.old.get("items", True), pair.new.get("items", True)
        if "array" in types_of(pair.wide):
            yield from differences(pair.below(old, new, "*"))


def _fields(pair: Pair) -> Iterator[Difference]:
    if "object" not in types_of(pair.wide):
        return
    old, new = (_properties(one) for one in (pair.old, pair.new))
    was, now = (_required(one) for one in (pair.old, pair.new))
    if pair.side == "request":
        for name in sorted(now - was):
            yield _found(pair, "required", f"new required field `{name}`")
    else:
        for name in sorted(was - now):
            yield _found(pair, "promised", f"field `{name}` may be missing now")
        for name in sorted(old.keys() - new.keys() - (was - now)):
            yield _found(pair, "promised", f"field `{name}` is no longer described")
    for name in old.keys() & new.keys():
        yield from differences(pair.below(old[name], new[name], escaped(name)))
    yield from _others(pair, old, new)


def _others(
    pair: Pair, old: Mapping[str, Any], new: Mapping[str, Any]
) -> Iterator[Difference]:  # fmt: skip
    """Compare what is said of fields without a description of their own."""
    before = pair.old.get("additionalProperties", True)
    after = pair.new.get("additionalProperties", True)
    if pair.side == "request":
        for name in sorted(old.keys() - new.keys()):
            if after is False:
                yield _found(pair, "refused", f"field `{name}` is no longer accepted")
            elif after is not True:
                yield from differences(pair.below(old[name], after, escaped(name)))
        if isinstance(before, Mapping):
            for name in sorted(new.keys() - old.keys()):
                yield from differences(pair.below(before, new[name], escaped(name)))
        if before is not False:
            yield from differences(pair.below(before, after, "*"))
    elif after is not False and before is not False:
        # Fields may always be added to an answer: clients pass over what they do not know.
        yield from differences(pair.below(before, after, "*"))


def _properties(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    found = schema.get("properties")
    return found if isinstance(found, Mapping) else {}


def _required(schema: Mapping[str, Any]) -> frozenset[str]:
    found = schema.get("required")
    return frozenset(one for one in found if isinstance(one, str)) if (
        isinstance(found, list)
    ) else frozenset()  # fmt: skip
