"""Whether the locked libraries read the model files, from versions alone: nothing is downloaded.

An error where a file surely cannot be loaded, a warning where that is in doubt; what
`library_table` does not know is passed over.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from modelpack.checks import library_table as table
from modelpack.checks.library_table import Table, Version
from modelpack.checks.model_files import ModelFiles
from modelpack.errors import Finding
from modelpack.inputs.quoting import quoted
from modelpack.lock import PlatformLock

RULE = "weights.library"
_VERSION = re.compile(r"(\d{1,6})\.(\d{1,6})(?:\.(\d{1,6}))?")
Wheels = Mapping[str, str]
"names to versions, of one platform"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """The file that is judged, and the lockfile to change."""

    at: str
    lockfile: str

    def finding(self, message: str, library: str, *, sure: bool = True, hint: str = "") -> Finding:
        if not hint:
            hint = f"change `{library}` in {self.lockfile}, then `modelpack lock --upgrade deps`"
        return Finding(
            message=message, at=self.at, hint=hint, rule=RULE,
            severity="error" if sure else "warning",
        )  # fmt: skip


def findings(
    found: ModelFiles, platforms: Sequence[PlatformLock], lockfile: str
) -> tuple[Finding, ...]:
    """Return what the locked libraries cannot load, each thing once for all platforms."""
    every: dict[Finding, None] = {}
    for platform in platforms:
        wheels = {
            table.TWINS.get(wheel.name, wheel.name): wheel.version for wheel in platform.wheels
        }
        every.update(dict.fromkeys(_findings(found, wheels, lockfile)))
    return tuple(every)


def _findings(found: ModelFiles, wheels: Wheels, lockfile: str) -> Iterator[Finding]:
    for path, config in found.configs.items():
        yield from _config(_Place(at=path, lockfile=lockfile), config, wheels)
    for path, dtypes in found.dtypes.items():
        place = _Place(at=path, lockfile=lockfile)
        for dtype in dtypes:
            what = f"has tensors of {dtype}"
            yield from _known(place, table.SAFETENSORS_DTYPES, dtype, what, wheels)
            yield from _known(place, table.TORCH_DTYPES, dtype, what, wheels)
    for path in found.paired_merges:
        place, what = _Place(at=path, lockfile=lockfile), "has its merges as pairs"
        yield from _known(place, table.TOKENIZER_MERGES, "merges", what, wheels)
    for path, header in found.gguf.items():
        place = _Place(at=path, lockfile=lockfile)
        yield from _known(place, table.GGUF, "gguf", "is GGUF", wheels)
        what = f"is of the architecture {quoted(header.architecture)}"
        yield from _known(place, table.GGUF_ARCHITECTURES, header.architecture, what, wheels)
        for kind in header.types:
            what = f"has tensors of {kind}"
            yield from _known(place, table.GGUF_TYPES, kind, what, wheels)
    yield from _models(found, wheels, lockfile)


def _models(found: ModelFiles, wheels: Wheels, lockfile: str) -> Iterator[Finding]:
    for path, model in found.onnx.items():
        place = _Place(at=path, lockfile=lockfile)
        for name in table.RUNTIMES:
            yield from _onnx(place, model.ir, model.opsets, name, wheels.get(name, ""))
    for path, booster in found.xgboost.items():
        place = _Place(at=path, lockfile=lockfile)
        what = f"is a model of XGBoost in {booster.form.upper()}"
        yield from _known(place, table.XGBOOST_FORMATS, booster.form, what, wheels)
        locked = _version(wheels.get("xgboost", ""))
        if locked is not None and booster.version[:2] > locked[:2]:
            yield place.finding(
                f"was written by xgboost {_text(booster.version)}, {wheels['xgboost']} is locked: "
                "older releases are not promised to read it", "xgboost", sure=False,
            )  # fmt: skip


def _config(place: _Place, config: Mapping[str, Any], wheels: Wheels) -> Iterator[Finding]:
    """What a config.json of transformers asks for."""
    locked = _version(wheels.get("transformers", ""))
    for key in ("dtype", "torch_dtype"):
        dtype = config.get(key)
        if isinstance(dtype, str):
            what = f"`{key}` is {quoted(dtype)}"
            yield from _known(place, table.TORCH_DTYPES, dtype, what, wheels)
    if locked is None:
        return
    written = _version(str(config.get("transformers_version", ""))[:40])
    if written is not None and written[:2] > locked[:2]:
        yield place.finding(
            f"was written by transformers {_text(written)}, {wheels['transformers']} is locked",
            "transformers", sure=False,
        )  # fmt: skip
    if table.READERS & wheels.keys():
        return
    yield from _model_type(place, config, locked, wheels)
    yield from _quantised(place, config, wheels)


def _model_type(
    place: _Place, config: Mapping[str, Any], locked: Version, wheels: Wheels
) -> Iterator[Finding]:
    kind = config.get("model_type")
    if not isinstance(kind, str) or "auto_map" in config:  # the model brings its own code
        return
    what = f"`model_type` is {quoted(kind)}"
    yield from _known(place, table.TRANSFORMERS_MODELS, kind, what, wheels)
    removed = table.TRANSFORMERS_REMOVED.get(kind)
    if removed is not None and locked >= removed:
        yield place.finding(
            f"{what}, which transformers {_text(removed)} dropped: {wheels['transformers']} is "
            "locked", "transformers",
        )  # fmt: skip


def _quantised(place: _Place, config: Mapping[str, Any], wheels: Wheels) -> Iterator[Finding]:
    quantised = config.get("quantization_config")
    if not isinstance(quantised, dict):
        return
    method = quantised.get("quant_method")
    if method is None and (quantised.get("load_in_4bit") or quantised.get("load_in_8bit")):
        method = "bitsandbytes"
    if not isinstance(method, str):
        return
    what = f"`quantization_config.quant_method` is {quoted(method)}"
    yield from _known(place, table.TRANSFORMERS_QUANTISED, method, what, wheels)
    needed = table.QUANTISERS.get(method, ())
    if needed and not wheels.keys() & set(needed):
        names = " or ".join(f"`{name}`" for name in needed)
        yield place.finding(
            f"{what}: transformers needs {names} for it, which is not locked", needed[0],
            hint=f"add {names} to {place.lockfile}, then `modelpack lock --upgrade deps`",
        )  # fmt: skip


def _known(place: _Place, rows: Table, key: str, what: str, wheels: Wheels) -> Iterator[Finding]:
    """Yield a finding where the locked release is older than the first one that reads it."""
    first, locked = rows.first.get(key), _version(wheels.get(rows.library, ""))
    if first is not None and locked is not None and locked < first:
        yield place.finding(
            f"{what}: {rows.library} reads that from {_text(first)} on, "
            f"{wheels[rows.library]} is locked", rows.library,
        )  # fmt: skip


def _onnx(
    place: _Place, ir: int, opsets: Mapping[str, int], name: str, version: str
) -> Iterator[Finding]:
    """ONNX Runtime refuses what is newer than it knows."""
    locked = _version(version)
    limits = table.ONNX_RUNTIME.get(locked[:2]) if locked else None
    if limits is None:
        return
    for what, stated, limit in (
        ("version of its format (IR)", ir, limits.ir),
        ("version of its operators (opset)", opsets.get("", 0), limits.opset),
        ("version of its `ai.onnx.ml` operators", opsets.get("ai.onnx.ml", 0), limits.ml_opset),
    ):
        if stated > limit:
            yield place.finding(
                f"the {what} is {stated}, {name} {version} is locked and loads up to {limit}", name
            )


def _version(text: str) -> Version | None:
    match = _VERSION.match(text)
    return (int(match[1]), int(match[2]), int(match[3] or 0)) if match else None


def _text(version: Iterable[int]) -> str:
    return ".".join(map(str, version))
