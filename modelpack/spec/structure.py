"""TOML values become dataclasses, those of a Spec; every problem is noted, none stops it."""

import re
from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from datetime import date, datetime, time
from functools import cache
from types import MappingProxyType, NoneType, UnionType
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from modelpack.spec import Spec
from modelpack.spec.grammar import MAX_ITEMS, MAX_TEXT, SPEC, Grammar
from modelpack.spec.problems import WRONG, Problems, Wrong, dotted, shown, similar

T = TypeVar("T")
_UNSEEN = re.compile(
    "[\\x00-\\x1f\\x7f-\\x9f\\u061c\\u200b\\u200e\\u200f\\u2028-\\u202e\\u2060-\\u2069\\ufeff\\ufff9-\\ufffb]"
)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_NOUNS: Mapping[type, str] = MappingProxyType({
    str: "a string", bool: "a boolean", int: "an integer", float: "a number", dict: "a table",
    list: "an array", datetime: "a date with time", date: "a date", time: "a time",
})  # fmt: skip


@cache
def table_fields(table: type) -> Mapping[str, tuple[Field[Any], Any]]:
    """Return the fields of a dataclass and their types by key in the file."""
    hints = get_type_hints(table)
    return {key_of(f.name): (f, _required(hints[f.name])) for f in fields(table)}


def _required(kind: Any) -> Any:  # noqa: ANN401  any annotation
    """Return `kind` without the None that stands for a table that may be left out."""
    if get_origin(kind) is not UnionType:
        return kind
    return next(one for one in get_args(kind) if one is not NoneType)


def key_of(name: str) -> str:
    """Return the key in the file of the dataclass field `name`."""
    return name.replace("_", "-")


def is_required(table_field: Field[Any]) -> bool:
    """Tell whether the file must have this field."""
    return table_field.default is MISSING and table_field.default_factory is MISSING


def decode(document: Mapping[str, Any], problems: Problems) -> Spec:
    """Return the Spec that `document` writes; what is wrong is noted and filled with defaults."""
    return decode_as(Spec, document, problems, SPEC)


def decode_as(
    table: type[T], document: Mapping[str, Any], problems: Problems, grammar: Grammar
) -> T:
    """Return the value that `document` writes; what is wrong is noted and filled with defaults."""
    value = _Decoder(problems, grammar, table).table(table, document, at="", place="")
    if not isinstance(value, table):
        raise TypeError("a table decodes to its dataclass")
    return value


@dataclass(frozen=True, slots=True)
class _Decoder:
    problems: Problems
    grammar: Grammar
    root: type

    def table(self, table: type, raw: object, *, at: str, place: str) -> object:
        if not isinstance(raw, Mapping):
            return self._wrong_type(raw, "a table", at)
        known = table_fields(table)
        for key in raw:
            if key not in known:
                self._unknown_key(key, known, at=at, place=place)
        values: dict[str, Any] = {}
        for key, (table_field, kind) in known.items():
            here, below = dotted(at, key), f"{place}.{key}" if place else key
            value: object = WRONG
            if key in raw:
                value = self.value(kind, raw[key], at=here, place=below)
            elif is_required(table_field):
                self._missing(key, kind, at=here)
            if value is not WRONG:
                values[table_field.name] = value
            elif is_required(table_field):
                values[table_field.name] = _placeholder(kind)
        return table(**values)

    def value(  # noqa: PLR0911  one for each kind of annotation
        self,
        kind: Any,  # noqa: ANN401  any annotation of the Spec
        raw: object,
        *,
        at: str,
        place: str,
    ) -> object:
        if is_dataclass(kind) and isinstance(kind, type):
            return self.table(kind, raw, at=at, place=place)
        origin, arguments = get_origin(kind), get_args(kind)
        if origin is tuple:
            return self._array(arguments[0], raw, at=at, place=place)
        if origin is Literal:
            return self._choice(arguments, raw, at=at)
        if origin is not None:
            return self._mapping(arguments[1], raw, at=at, place=place)
        if kind is date:
            return self._date(raw, at=at)
        if kind is str:
            return self._text(raw, at=at, place=place)
        if type(raw) is not kind:
            return self._wrong_type(raw, _NOUNS[kind], at)
        return self._in_range(raw, at=at, place=place)

    def _array(self, kind: Any, raw: object, *, at: str, place: str) -> object:  # noqa: ANN401
        if place in self.grammar.table_or_array and isinstance(raw, Mapping):
            return (self.table(kind, raw, at=at, place=place),)
        if not isinstance(raw, list):
            hint = f"write `[{_quoted(raw)}]`" if isinstance(raw, str) else ""
            return self._wrong_type(raw, "an array", at, hint)
        if len(raw) > MAX_ITEMS:
            return self.problems.add(at, f"more than {MAX_ITEMS} elements", rule="size")
        if not raw and place in self.grammar.not_empty:
            return self.problems.add(at, "is empty", hint="give at least one element", rule="empty")
        values, seen = [], set[str]()
        for position, element in enumerate(raw):
            here = f"{at}[{position}]"
            value = self.value(kind, element, at=here, place=place)
            if value is WRONG and is_dataclass(kind):
                value = _placeholder(kind)  # keeps the positions of the others
            values.append(value)
            if place in self.grammar.repeatable or not isinstance(element, str):
                continue
            if element in seen:
                self.problems.add(here, f"`{shown(element)}` stands here twice", rule="duplicate")
            seen.add(element)
        return tuple(value for value in values if value is not WRONG)

    def _mapping(self, kind: Any, raw: object, *, at: str, place: str) -> object:  # noqa: ANN401
        if not isinstance(raw, Mapping):
            return self._wrong_type(raw, "a table", at)
        if len(raw) > MAX_ITEMS:
            return self.problems.add(at, f"more than {MAX_ITEMS} keys", rule="size")
        values: dict[str, Any] = {}
        for key, element in raw.items():
            here = dotted(at, key)
            if self._key(key, at=here, place=place):
                value = self.value(kind, element, at=here, place=f"{place}.*")
                if value is not WRONG:
                    values[key] = value
        return MappingProxyType(values)

    def _key(self, key: str, *, at: str, place: str) -> bool:
        form = self.grammar.key_forms.get(place)
        limits = self.grammar.limits.get(place)
        if limits is not None and key not in limits:
            hint = similar(key, list(limits)) or _list_of(limits)
            self.problems.add(at, f"unknown limit `{shown(key)}`", hint=hint, rule="unknown-key")
        elif form and not form.fits(key):
            self.problems.add(at, f"`{shown(key)}` is not {form.noun}", hint=form.hint, rule="form")
        return not self.problems.known(at)

    def _choice(self, choices: tuple[str, ...], raw: object, *, at: str) -> object:
        if not isinstance(raw, str):
            return self._wrong_type(raw, "a string", at)
        if raw in choices:
            return raw
        hint = similar(raw, choices) or similar(raw.upper(), choices)
        message = f"`{shown(raw)}` is not one of {', '.join(f'`{c}`' for c in choices)}"
        return self.problems.add(at, message, hint=hint, rule="choice")

    def _text(self, raw: object, *, at: str, place: str) -> object:
        if not isinstance(raw, str):
            number = isinstance(raw, (int, float)) and not isinstance(raw, bool)
            hint = f'write `"{shown(raw)}"`' if number else ""
            return self._wrong_type(raw, "a string", at, hint)
        if len(raw) > MAX_TEXT:
            return self.problems.add(at, f"more than {MAX_TEXT} characters", rule="size")
        if unseen := _UNSEEN.search(raw):
            return self.problems.add(
                at,
                f"control character U+{ord(unseen[0]):04X}",
                hint='end lines with `\\` inside `"""`' if unseen[0] in "\r\n" else "take it out",
                rule="control-character",
            )
        limits = self.grammar.limits.get(place.removesuffix(".*"))
        form = limits.get(at.rpartition(".")[2]) if limits else self.grammar.forms.get(place)
        if not raw:
            element = at.endswith("]") or place.endswith(".*")
            if place in self.grammar.not_blank or (element and form):
                hint = form.hint if form else ""
                return self.problems.add(at, "is empty", hint=hint, rule="empty")
        elif form and not form.fits(raw):
            message = f"`{shown(raw)}` is not {form.noun}"
            return self.problems.add(at, message, hint=form.hint, rule="form")
        return raw

    def _date(self, raw: object, *, at: str) -> object:
        if type(raw) is date:
            return raw
        try:
            if isinstance(raw, str) and _DATE.fullmatch(raw):
                return date.fromisoformat(raw)
        except ValueError:
            return self.problems.add(at, f"`{shown(raw)}` is not a day", rule="form")
        return self._wrong_type(raw, "a date", at, "write it as `2027-01-31`")

    def _in_range(self, raw: object, *, at: str, place: str) -> object:
        if place not in self.grammar.ranges or not isinstance(raw, int):
            return raw
        least, most = self.grammar.ranges[place]
        if not least <= raw <= most:
            hint = "the image never runs as root" if place == "runtime.user" and raw == 0 else ""
            message = f"`{shown(raw)}` is not between {least} and {most}"
            return self.problems.add(at, message, hint=hint, rule="range")
        return raw

    def _wrong_type(self, raw: object, expected: str, at: str, hint: str = "") -> Wrong:
        got = _NOUNS.get(type(raw), "something else")
        return self.problems.add(at, f"expected {expected}, got {got}", hint=hint, rule="type")

    def _missing(self, key: str, kind: Any, *, at: str) -> None:  # noqa: ANN401
        table = is_dataclass(kind) or key in self.grammar.table_or_array
        value = "1" if at == "schema" else "…"
        what = f"a table `[{key}]`" if table else f"`{key} = {value}`"
        self.problems.add(at, "is missing", hint=f"add {what}", rule="missing-key")

    def _unknown_key(self, key: str, known: Mapping[str, object], *, at: str, place: str) -> None:
        here = dotted(at, key)
        if self.problems.full:
            self.problems.add(here, "", rule="unknown-key")
            return
        hint = similar(key.replace("_", "-"), list(known))
        if not hint and (home := _homes(self.root).get(key)) not in (None, place):
            hint = f"`{key}` belongs in `[{home}]`" if home else f"`{key}` stands at the top"
        self.problems.add(
            here, f"unknown key `{shown(key)}`", hint=hint or _list_of(known), rule="unknown-key"
        )


def _placeholder(kind: Any) -> object:  # noqa: ANN401  any annotation of the Spec
    if is_dataclass(kind) and isinstance(kind, type):
        known = table_fields(kind).values()
        return kind(**{f.name: _placeholder(k) for f, k in known if is_required(f)})
    if kind is date:
        return date.min
    match get_origin(kind):
        case None:
            return kind()
        case origin if origin is tuple:
            return ()
        case origin if origin is Literal:
            return get_args(kind)[0]
        case _:
            return MappingProxyType({})


@cache
def _homes(table: type, place: str = "") -> Mapping[str, str]:
    found: dict[str, str] = {}
    for key, (_, kind) in table_fields(table).items():
        found.setdefault(key, place)
        inner = get_args(kind)[0] if get_origin(kind) is tuple else kind
        if isinstance(inner, type) and is_dataclass(inner):
            below = f"{place}.{key}" if place else key
            found = {**_homes(inner, below), **found}
    return found


def _list_of(known: Mapping[str, object]) -> str:
    return "known here: " + ", ".join(f"`{key}`" for key in known)


def _quoted(text: str) -> str:
    return f'"{shown(text)}"'
