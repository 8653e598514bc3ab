"""Whether the locked libraries read the model files, from versions alone: nothing is downloaded.

An error where a file surely cannot be loaded, a warning where that is in doubt; what
`library_table` does not know is passed over.
"""

from collections.abc import Iterator, Mapping, Sequence

from modelpack.checks.libraries import numpy_fit, table, transformers_fit
from modelpack.checks.libraries.locked import RULE, Held, Wheels, text
from modelpack.checks.model_files.gate import ModelFiles
from modelpack.checks.model_files.gguf_header import GgufHeader
from modelpack.checks.model_files.xgboost_model import XgboostModel
from modelpack.errors import Finding
from modelpack.inputs.quoting import quoted
from modelpack.lock import PlatformLock

__all__ = ["RULE", "findings"]


def findings(
    found: ModelFiles, platforms: Sequence[PlatformLock], lockfile: str
) -> tuple[Finding, ...]:
    """Return what the locked libraries cannot load, each thing once for all platforms."""
    every: dict[Finding, None] = {}
    for platform in platforms:
        wheels = {
            table.TWINS.get(wheel.name, wheel.name): wheel.version for wheel in platform.wheels
        }
        twins = {
            table.TWINS[wheel.name]: wheel.name
            for wheel in platform.wheels if wheel.name in table.TWINS
        }  # fmt: skip
        every.update(dict.fromkeys(_findings(found, wheels, twins, lockfile)))
    return tuple(every)


def _findings(
    found: ModelFiles, wheels: Wheels, twins: Mapping[str, str], lockfile: str
) -> Iterator[Finding]:
    def held(path: str) -> Held:
        return Held(at=path, wheels=wheels, twins=twins, lockfile=lockfile)

    for path, config in found.configs.items():
        yield from transformers_fit.findings(held(path), config)
    for path, dtypes in found.dtypes.items():
        yield from _tensors(held(path), dtypes)
    for path in found.paired_merges:
        what = "has its merges as pairs"
        yield from held(path).known(table.TOKENIZER_MERGES, "merges", what)
    for path, header in found.gguf.items():
        yield from _gguf(held(path), header)
    for path, model in found.onnx.items():
        for name in table.RUNTIMES:
            yield from _onnx(held(path), model.ir, model.opsets, name)
    for path, booster in found.xgboost.items():
        yield from _xgboost(held(path), booster)
    for path, array in found.arrays.items():
        yield from numpy_fit.findings(held(path), array)


def _tensors(held: Held, dtypes: Sequence[str]) -> Iterator[Finding]:
    for dtype in dtypes:
        what = f"has tensors of {dtype}"
        yield from held.known(table.SAFETENSORS_DTYPES, dtype, what)
        yield from held.known(table.TORCH_DTYPES, dtype, what)
    yield from numpy_fit.of_safetensors(held, dtypes)


def _gguf(held: Held, header: GgufHeader) -> Iterator[Finding]:
    version = str(header.version)
    yield from held.known(table.GGUF, version, f"is GGUF version {version}")
    what = f"is of the architecture {quoted(header.architecture)}"
    yield from held.known(table.GGUF_ARCHITECTURES, header.architecture, what)
    for kind in header.types:
        yield from held.known(table.GGUF_TYPES, kind, f"has tensors of {kind}")


def _xgboost(held: Held, booster: XgboostModel) -> Iterator[Finding]:
    what = f"is a model of XGBoost in {booster.form.upper()}"
    yield from held.known(table.XGBOOST_FORMATS, booster.form, what)
    if booster.vectors:
        what = "has trees whose leaves are vectors"
        yield from held.known(table.XGBOOST_FORMATS, "vectors", what)
    if booster.listed_base:
        what = "has a list as `base_score`, without which it predicts other values"
        yield from held.known(table.XGBOOST_FORMATS, "base_score", what)
    locked, written = held.version("xgboost"), booster.version
    if locked is not None and written[:2] > locked[:2]:
        yield held.finding(
            f"was written by xgboost {text(written)}, {held.wheels['xgboost']} is locked: "
            "older releases are not promised to read it", "xgboost", sure=False,
        )  # fmt: skip


def _onnx(held: Held, ir: int, opsets: Mapping[str, int], name: str) -> Iterator[Finding]:
    """ONNX Runtime refuses what is newer than it knows."""
    locked = held.version(name)
    limits = table.ONNX_RUNTIME.get(locked[:2]) if locked else None
    if limits is None:
        return
    for what, stated, limit in (
        ("version of its format (IR)", ir, limits.ir),
        ("version of its operators (opset)", opsets.get("", 0), limits.opset),
        ("version of its `ai.onnx.ml` operators", opsets.get("ai.onnx.ml", 0), limits.ml_opset),
    ):
        if stated > limit:
            yield held.finding(
                f"the {what} is {stated}, {name} {held.wheels[name]} is locked and loads up to "
                f"{limit}", name,
            )  # fmt: skip
