"""Licences of the model and of every package that a signed bill of materials names."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from modelpack.evidence.scan.licenses import denied
from modelpack.inputs.quoting import quoted
from modelpack.inspection.json_values import table, tables, text
from modelpack.trust.policy import Licenses, Waiver

_WORD: Final = re.compile(r"[^\s()]+")
_PACKAGES: Final = frozenset({"library", "framework", "application"})
_NOTHING: Final = frozenset({"", "NOASSERTION", "NONE"})
_SHOWN: Final = 10


def of_model(license: str, rules: Licenses) -> Iterator[str]:  # noqa: A002  the field's word
    """Yield what is wrong with the model's own licence."""
    if rules.model and not license:
        yield "the model states no licence"
    elif rules.model and not _is_among(license, rules.model):
        yield f"licence {quoted(license)} of the model is not allowed"
    if found := denied(license, rules.deny):
        yield f"licence {quoted(found[0])} of the model is denied"


def of_packages(
    bom: Mapping[str, Any], rules: Licenses, waivers: Sequence[Waiver]
) -> Iterator[str]:
    """Yield what is wrong with the licences of packages, each complaint once."""
    accepted = {waiver.id for waiver in waivers if waiver.id}
    packages = list(_packages(bom))
    if not packages:
        yield "the bill of materials names no package"
    found = [one for name, stated in packages for one in _package(name, stated, rules)]
    lines = list(dict.fromkeys(line for license, line in found if license not in accepted))  # noqa: A001
    yield from lines[:_SHOWN]
    if len(lines) > _SHOWN:
        yield f"and {len(lines) - _SHOWN} more"


def _package(name: str, licenses: Sequence[str], rules: Licenses) -> Iterator[tuple[str, str]]:
    """Yield each licence that may not be, and a line for people."""
    if rules.allow and not licenses:
        yield "", f"{quoted(name)} states no licence"
    for expression in licenses:
        if rules.allow and not _is_among(expression, rules.allow):
            yield expression, f"licence {quoted(expression)} of {quoted(name)} is not allowed"
        elif bad := denied(expression, rules.deny):
            yield bad[0], f"licence {quoted(bad[0])} of {quoted(name)} is denied"


def _is_among(expression: str, allowed: Sequence[str]) -> bool:
    """Tell whether one may use something under `expression` with the `allowed` ones alone."""
    words = _WORD.findall(expression)
    names = [
        word for before, word in zip(["", *words], words, strict=False)
        if word.upper() not in ("AND", "OR", "WITH") and before.upper() != "WITH"
    ]  # fmt: skip
    others = [name for name in names if not denied(name, allowed)]
    return bool(names) and not denied(expression, others)


def _packages(bom: Mapping[str, Any]) -> Iterator[tuple[str, list[str]]]:
    if text(bom, "spdxVersion") or text(table(bom, "Data"), "spdxVersion"):
        for package in tables(table(bom, "Data") or bom, "packages"):
            stated = (text(package, "licenseConcluded"), text(package, "licenseDeclared"))
            known = [one for one in stated if one not in _NOTHING][:1]
            yield text(package, "name"), known
        return
    for component in tables(bom, "components"):
        if text(component, "type") in _PACKAGES:
            yield text(component, "name"), list(_stated(component))


def _stated(component: Mapping[str, Any]) -> Iterator[str]:
    for item in tables(component, "licenses"):
        found = table(item, "license")
        name = text(item, "expression") or text(found, "id") or text(found, "name")
        if name:
            yield name
