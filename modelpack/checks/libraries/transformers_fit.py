"""What a config.json of transformers asks for, against the locked transformers and what it needs.

A model that brings its own code (`auto_map`) is `modelpack.checks.formats.remote_code`'s: which
classes it has is not looked up.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from modelpack.checks.libraries import quantiser_table, transformers_releases
from modelpack.checks.libraries import table as library_table
from modelpack.checks.libraries.locked import Held, text, version
from modelpack.checks.libraries.table import Version
from modelpack.checks.libraries.transformers_releases import Minor, Span
from modelpack.errors import Finding
from modelpack.inputs.quoting import quoted

_NAME = "transformers"
_SHOWN = 3
T = TypeVar("T")


def findings(held: Held, config: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield what the locked libraries have not, or may not have."""
    for key in ("dtype", "torch_dtype"):
        dtype = config.get(key)
        if isinstance(dtype, str):
            yield from held.known(library_table.TORCH_DTYPES, dtype, f"`{key}` is {quoted(dtype)}")
    locked = held.version(_NAME)
    if locked is None:
        return
    written = version(str(config.get("transformers_version", ""))[:40])
    if written is not None and written[:2] > locked[:2]:
        yield held.finding(
            f"was written by transformers {text(written)}, {held.wheels[_NAME]} is locked",
            _NAME, sure=False,
        )  # fmt: skip
    if library_table.READERS & held.wheels.keys():
        return
    if "auto_map" not in config:
        yield from _model(held, config, locked[:2])
    yield from _quantised(held, config, locked)


def _model(held: Held, config: Mapping[str, Any], locked: Minor) -> Iterator[Finding]:
    """Judge the kind of model, and unless that is refused its classes.

    Where its class is there, only the automatic classes lack the kind: so it is with parts of
    models, such as `clip_text_model`, which others load by their class.
    """
    known = transformers_releases.table()
    kind, classes = config.get("model_type"), config.get("architectures")
    named = [name for name in classes[:_SHOWN] if isinstance(name, str)] if (
        isinstance(classes, list)
    ) else []  # fmt: skip
    there = any(_has(known.classes.get(name), locked) for name in named)
    refused = False
    if isinstance(kind, str):
        for one in _judged(held, f"`model_type` is {quoted(kind)}", known.types.get(kind), locked):
            doubtful = replace(one, severity="warning") if there else one
            refused = refused or doubtful.severity == "error"
            yield doubtful
    for name in named if not refused else ():
        what = f"`architectures` names {quoted(name)}"
        yield from _judged(held, what, known.classes.get(name), locked)


def _has(span: Span | None, locked: Minor) -> bool:
    return span is not None and span.first <= locked and (span.gone is None or locked < span.gone)


def _judged(held: Held, what: str, span: Span | None, locked: Minor) -> Iterator[Finding]:
    """Yield an error where the locked release surely lacks it, a warning where nobody knows."""
    known = transformers_releases.table()
    now = held.wheels[_NAME]
    if span is None:
        if locked > known.last:
            which = f"which {_NAME} {now} may know: releases up to {text(known.last)} do not"
        elif locked >= known.earliest:
            which = f"which no release of {_NAME} up to {text(known.last)} knows"
        else:
            return
        yield held.finding(
            f"{what}, {which}", _NAME, sure=False,
            hint="start it once (`modelpack test`); code of the model's own has to be loaded by "
            "the service",
        )  # fmt: skip
    elif locked < span.first != known.earliest:
        yield held.finding(
            f"{what}: {_NAME} reads that from {text(span.first)} on, {now} is locked", _NAME
        )
    elif span.gone is not None and locked >= span.gone:
        yield held.finding(
            f"{what}, which {_NAME} {text(span.gone)} dropped: {now} is locked", _NAME
        )


def _quantised(held: Held, config: Mapping[str, Any], locked: Version) -> Iterator[Finding]:
    quantised = config.get("quantization_config")
    if not isinstance(quantised, dict):
        return
    method = quantised.get("quant_method")
    if method is None and (quantised.get("load_in_4bit") or quantised.get("load_in_8bit")):
        method = "bitsandbytes"
    if not isinstance(method, str):
        return
    what = f"`quantization_config.quant_method` is {quoted(method)}"
    yield from held.known(quantiser_table.METHODS, method, what)
    if method not in quantiser_table.METHODS.first:
        if locked[:2] <= quantiser_table.LAST[:2]:
            yield held.finding(
                f"{what}, which no release of {_NAME} up to {text(quantiser_table.LAST)} knows: "
                "the weights are taken for such as are not quantised", _NAME, sure=False,
                hint="serve it by what quantised it, such as `vllm`",
            )  # fmt: skip
        return
    eras = quantiser_table.NEEDED.get(method.removesuffix("_4bit").removesuffix("_8bit"), {})
    own = {name for groups in eras.values() for group in groups for name in group}
    sure = not (own & quantiser_table.LOADERS & held.wheels.keys())
    for group in _of_era(eras, locked) or ():
        yield from _needed(held, what, group, locked, sure=sure)
    yield from _slow(held, what, method)


def _needed(
    held: Held, what: str, group: tuple[str, ...], locked: Version, *, sure: bool
) -> Iterator[Finding]:
    """Yield a finding unless one of `group` is locked and new enough."""
    here = [name for name in group if name in held.wheels]
    either = " or ".join(f"`{name}`" for name in group)
    if not here:
        yield held.finding(
            f"{what}: {_NAME} needs {either} for it, which is not locked", group[0],
            sure=sure, hint=held.add(group),
        )  # fmt: skip
        return
    old: list[tuple[str, Version]] = []
    for name in here:
        least = _of_era(quantiser_table.LEAST.get(name, {}), locked)
        found = held.version(name)
        if least is None or found is None or found >= least:
            return
        old.append((name, least))
    for name, least in old[:1]:
        yield held.finding(
            f"{what}: {_NAME} {held.wheels[_NAME]} needs `{name}` {text(least)} or newer for it, "
            f"{held.wheels[name]} is locked", name, sure=sure,
        )  # fmt: skip


def _slow(held: Held, what: str, method: str) -> Iterator[Finding]:
    wanted = quantiser_table.FAST.get(method, {})
    lacking = [
        name
        for name, least in wanted.items()
        if name not in held.wheels or (held.version(name) or least) < least
    ]
    if lacking:
        packages = " and ".join(
            f"`{name}`" + (f" {text(wanted[name])}" if any(wanted[name]) else "")
            for name in lacking
        )
        yield held.finding(
            f"{what}: without {packages} {_NAME} dequantises the model, which then takes four "
            "times the memory", lacking[0], sure=False, hint=held.add(lacking[:1]),
        )  # fmt: skip


def _of_era(eras: Mapping[Version, T], locked: Version) -> T | None:
    """Return what holds for the locked release."""
    since = [first for first in eras if first <= locked]
    return eras[max(since)] if since else None
