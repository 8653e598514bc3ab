"""What model files say of themselves, read from their headers, and whether they are whole.

ONNX, GGUF, XGBoost, NumPy, safetensors, and the config.json and tokenizer.json beside them. Each is
looked at by what it contains where it has a magic number, and by its name where it has none.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modelpack.checks.formats import archives, numpy_header
from modelpack.checks.formats.numpy_header import ArrayHeader
from modelpack.checks.formats.window import Window, of_descriptor
from modelpack.checks.model_files import gguf_header, onnx_model, tokenizer, xgboost_model
from modelpack.checks.model_files.gguf_header import GgufHeader
from modelpack.checks.model_files.onnx_model import OnnxModel
from modelpack.checks.model_files.shard_index import read_json
from modelpack.checks.model_files.xgboost_model import XgboostModel
from modelpack.errors import Finding, InputError
from modelpack.inputs import safetensors
from modelpack.inputs.opening import open_regular
from modelpack.inputs.quoting import UNPRINTABLE, quoted
from modelpack.inputs.safetensors import Tensor
from modelpack.lock import tensors as lock_tensors

_CONFIG = "config.json"
_CONFIG_LIMIT = 8 << 20
_SHOWN = 3
_ABSENT = ", which is not among the files"
_NPY, _NPZ = ".npy", ".npz"
_ARRAYS_LIMIT = 1 << 16
"arrays of one `.npz`"


@dataclass(slots=True)
class ModelFiles:
    """What the files of one `[weights]` say; filled once, by `look`."""

    onnx: dict[str, OnnxModel] = field(default_factory=dict)
    gguf: dict[str, GgufHeader] = field(default_factory=dict)
    xgboost: dict[str, XgboostModel] = field(default_factory=dict)
    arrays: dict[str, ArrayHeader] = field(default_factory=dict)
    "by the path of the file, with `: NAME` behind that of a `.npz`"
    tensors: dict[str, tuple[str, ...]] = field(default_factory=dict)
    "of each file but safetensors, as the lock writes them"
    dtypes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    "of the tensors of each safetensors file, sorted"
    configs: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    "config.json as transformers writes them"
    paired_merges: list[str] = field(default_factory=list)
    "tokenizer.json whose merges are pairs"
    findings: list[Finding] = field(default_factory=list)


def look(files: Mapping[str, Path]) -> ModelFiles:
    """Return what `files` (relative path to path) say, and what is wrong with their structure.

    Damaged safetensors and unreadable files are `modelpack.checks.weights`' and passed over here.
    """
    found = ModelFiles()
    tensors: dict[str, dict[str, Tensor]] = {}
    for path in sorted(files):
        try:
            _look_at(path, files, found, tensors)
        except InputError as error:
            found.findings += [one for one in error.findings if one.rule in _RULES]
    _fit_vocabularies(files, found, tensors)
    return found


_RULES = frozenset({
    gguf_header.RULE, numpy_header.RULE, onnx_model.RULE, tokenizer.RULE, xgboost_model.RULE,
})  # fmt: skip


def _look_at(
    path: str,
    files: Mapping[str, Path],
    found: ModelFiles,
    tensors: dict[str, dict[str, Tensor]],
) -> None:
    folder, _, name = path.rpartition("/")
    if name == _CONFIG:
        value = read_json(files[path], at=path, limit=_CONFIG_LIMIT)
        if isinstance(value, dict) and value.keys() & {"model_type", "transformers_version"}:
            found.configs[path] = value
    elif name.endswith(".safetensors"):
        header = safetensors.read_header(files[path], at=path)
        found.dtypes[path] = tuple(sorted({tensor.dtype for tensor in header.tensors}))
        tensors.setdefault(folder, {}).update({one.name: one for one in header.tensors})
    elif name != tokenizer.NAME:
        with open_regular(files[path], at=path) as file:
            _look_into(of_descriptor(file.fileno()), path, files, found)


def _look_into(window: Window, path: str, files: Mapping[str, Path], found: ModelFiles) -> None:
    suffix = path.rpartition(".")[2].lower()
    form = xgboost_model.form_of(window)
    if suffix == "gguf" or window.read(0, 4) == gguf_header.MAGIC:
        found.gguf[path] = header = gguf_header.read(window, at=path)
        found.tensors[path] = header.tensors
    elif path.lower().endswith(_NPZ):
        _look_at_arrays(window, path, found)
    elif path.lower().endswith(_NPY) or window.read(0, 6) == numpy_header.MAGIC:
        found.arrays[path] = array = numpy_header.check(window, at=path)
        name = path.rpartition("/")[2]
        found.tensors[path] = (lock_tensors.line(array.dtype, array.shape, _stem(name)),)
    elif suffix == "onnx":
        found.onnx[path] = model = onnx_model.read(window, at=path)
        found.tensors[path] = model.tensors
        found.findings += _outside(path, model, files)
        found.findings += _foreign(path, model)
    elif form or suffix == "ubj":
        found.xgboost[path] = booster = xgboost_model.read(window, at=path, form=form or "ubj")
        found.tensors[path] = booster.tensors


def _look_at_arrays(window: Window, path: str, found: ModelFiles) -> None:
    """Look at the arrays of a `.npz`, each a member whose name ends in `.npy`."""
    lines: list[str] = []
    for name, member in archives.members(window):
        if name.endswith(_NPY) and len(lines) < _ARRAYS_LIMIT and not UNPRINTABLE.search(name):
            at = f"{path}: {name}"
            found.arrays[at] = array = numpy_header.check(member, at=at)
            lines.append(lock_tensors.line(array.dtype, array.shape, _stem(name)))
    found.tensors[path] = tuple(lines)


def _stem(name: str) -> str:
    return name[: -len(_NPY)] if name.lower().endswith(_NPY) else name


def _foreign(path: str, model: OnnxModel) -> Iterator[Finding]:
    """Operators that need native code from elsewhere."""
    if model.foreign:
        names = ", ".join(quoted(name) for name in model.foreign[:_SHOWN])
        yield Finding(
            message=f"has operators of {names}, which ONNX Runtime does not bring", at=path,
            rule="weights.onnx-operators", severity="warning",
            hint="lock the package that registers them, and call it before the model is loaded",
        )  # fmt: skip


def _outside(path: str, model: OnnxModel, files: Mapping[str, Path]) -> Iterator[Finding]:
    """Yield what is wrong with the places of tensors in other files; the first few."""
    folder = path.rpartition("/")[0]
    sizes: dict[str, int] = {}
    problems: dict[str, None] = {}
    for one in model.external:
        problem = _place_problem(one.location)
        target = f"{folder}/{one.location}".lstrip("/")
        if not problem and target not in files:
            problem = f"its data are in {quoted(one.location)}{_ABSENT}"
        if not problem:
            if target not in sizes:
                sizes[target] = files[target].stat().st_size
            if one.offset + one.length > sizes[target]:
                problem = (
                    f"its data reach to byte {one.offset + one.length} of "
                    f"{quoted(one.location)}, which has {sizes[target]}"
                )
        if problem:
            problems[f"tensor {quoted(one.tensor)}: {problem}"] = None
    for message in list(problems)[:_SHOWN]:
        absent = message.endswith(_ABSENT)
        hint = "put it beside the model, and name it in `weights.include`" if absent else ""
        yield Finding(message=message, at=path, rule="weights.onnx-data", hint=hint)
    if len(problems) > _SHOWN:
        message = f"and {len(problems) - _SHOWN} more tensors of the kind"
        yield Finding(message=message, at=path, rule="weights.onnx-data")


def _place_problem(location: str) -> str:
    """A place is a plain path below the model's folder, so that no runtime is led elsewhere."""
    if UNPRINTABLE.search(location) or "\\" in location or ":" in location:
        return f"odd characters in the path of its data: {quoted(location)}"
    if any(part in ("", ".", "..") for part in location.split("/")):
        return f"the path of its data is not plain: {quoted(location)}"
    return ""


def _fit_vocabularies(
    files: Mapping[str, Path], found: ModelFiles, tensors: Mapping[str, Mapping[str, Tensor]]
) -> None:
    """Hold each tokenizer.json against the configuration and the embeddings beside it."""
    folders = {path.rpartition("/")[0] for path in found.configs}
    named = {path.rpartition("/")[0]: path for path in sorted(files)
             if path.rpartition("/")[2] == tokenizer.NAME}  # fmt: skip
    for folder in sorted({*folders, *named}):
        at = f"{folder}/{tokenizer.NAME}".lstrip("/")
        vocabulary = None
        if folder in named:
            try:
                vocabulary, pairs = tokenizer.read(files[at], at=at)
            except InputError as error:
                found.findings += error.findings
                continue
            found.paired_merges += [at] if pairs else []
        config = found.configs.get(f"{folder}/{_CONFIG}".lstrip("/"), {})
        found.findings += tokenizer.findings(at, vocabulary, config, tensors.get(folder, {}))
