"""Guesses about the weights: where they are, what model they are of, and its licence."""

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from modelpack.inputs.guessing.files import PLAIN, ProjectFiles, folder_of, join
from modelpack.inputs.guessing.formats import FORMATS, Format
from modelpack.inputs.guessing.value import Project, noted
from modelpack.quantity import counted

_SIDE_FILES = (
    "*.json", "vocab.txt", "merges.txt", "tokenizer.model", "spiece.model",
    "sentencepiece.bpe.model", "*.jinja",
)  # fmt: skip
_REQUIRED = ("tokenizer.json", "tokenizer.model", "spiece.model", "vocab.txt")
_UNSAFE_SUFFIXES = frozenset({".bin", ".pt", ".pth", ".ckpt", ".pkl", ".h5", ".keras", ".joblib"})
_TASKS = (
    ("ForCausalLM", "text-generation"),
    ("ForSequenceClassification", "text-classification"),
    ("ForTokenClassification", "token-classification"),
    ("ForQuestionAnswering", "question-answering"),
    ("ForMaskedLM", "fill-mask"),
    ("ForConditionalGeneration", "text2text-generation"),
    ("ForImageClassification", "image-classification"),
    ("ForObjectDetection", "object-detection"),
    ("ForCTC", "automatic-speech-recognition"),
    ("ForSpeechSeq2Seq", "automatic-speech-recognition"),
    ("LMHeadModel", "text-generation"),
)
_CARD_LICENSE = re.compile(
    r"---\r?\n(?:[^\n]*\n){0,50}?license:[ \t]*[\"']?([A-Za-z0-9.+-]{1,64})[\"']?[ \t]*\r?\n"
)
_LICENSE_FILES = ("LICENSE", "LICENSE.txt", "LICENSE.md", "COPYING")
_LICENSE_TITLES = (("Apache License", "Apache-2.0"), ("MIT License", "MIT"))


def guess_weights(files: ProjectFiles, found: Project) -> Project:
    """Find the folder with most of the weights, of the first format that there is."""
    for form in FORMATS:
        paths = [path for path in files.sizes if path.endswith(form.suffix)]
        if form.begins is not None:
            paths = [path for path in paths if form.begins.match(files.text(path))]
        if paths:
            return _of_format(files, found, form, paths)
    names = ", ".join(dict.fromkeys(form.name for form in FORMATS))
    notes = [f"no weights found ({names}): put them into `weights`, or edit `weights.path`"]
    unsafe = [p for p in files.sizes if PurePosixPath(p).suffix in _UNSAFE_SUFFIXES]
    notes += [f"`{path}` can carry code: convert it to safetensors" for path in unsafe[:1]]
    return replace(found, notes=noted(found, *notes))


def _of_format(files: ProjectFiles, found: Project, form: Format, paths: Sequence[str]) -> Project:
    folders: dict[str, int] = {}
    for path in paths:
        folder = folder_of(path)
        folders[folder] = folders.get(folder, 0) + files.sizes[path]
    chosen = max(folders, key=lambda folder: (folders[folder], folder))
    beside = [PurePosixPath(path).name for path in files.sizes if folder_of(path) == chosen]
    names = [PurePosixPath(path).name for path in paths if folder_of(path) == chosen]
    notes = [f"weights: {counted(len(names), f'{form.name} file')} in `{chosen}`"]
    if form.alternatives and len(names) > 1:
        notes.append(f"all {len(names)} are packed: name in `weights.include` which one is served")
    notes += [
        f"`{other}` holds {form.name} too: make it another `[[weights]]` if it is served"
        for other in folders
        if other != chosen
    ]
    return replace(
        found,
        framework=form.framework,
        weights=chosen,
        weight_patterns=_weight_patterns(form, names, beside, at_top=chosen == "."),
        required=tuple(name for name in _REQUIRED if name in beside),
        notes=noted(found, *notes),
    )


def _weight_patterns(
    form: Format, names: Sequence[str], beside: Sequence[str], *, at_top: bool
) -> tuple[str, ...]:
    """Return the patterns; at the project's top each file by name, as code lies there too."""
    also = [
        pattern
        for pattern in (*form.beside, *_SIDE_FILES)
        if any(PurePosixPath(name).match(pattern) for name in beside)
    ]
    if not at_top:
        return tuple(dict.fromkeys((f"*{form.suffix}", *also)))
    if form.begins is not None:  # not every such file at the top is a model
        return tuple(f"/{name}" for name in names[:100])
    exact = [name for name in sorted(beside) if any(PurePosixPath(name).match(p) for p in also)]
    return (f"/*{form.suffix}", *(f"/{name}" for name in exact[:100]))


def guess_model(files: ProjectFiles, found: Project) -> Project:
    """Read task and architecture from the `config.json` of the transformers library."""
    try:
        config = json.loads(files.text(join(found.weights, "config.json")))
    except (ValueError, RecursionError):
        return found
    if not isinstance(config, dict):
        return found
    classes = config.get("architectures")
    first = str(classes[0]) if isinstance(classes, list) and classes else ""
    task = next((task for suffix, task in _TASKS if first.endswith(suffix)), "")
    if not task and join(found.weights, "modules.json") in files.sizes:
        task = "feature-extraction"
    architecture = str(config.get("model_type") or "")
    if not PLAIN.fullmatch(architecture):
        architecture = ""
    words = " ".join(filter(None, (architecture, task)))
    notes = [f"model: {words}, from `config.json`"] if words else []
    return replace(found, task=task, architecture=architecture, notes=noted(found, *notes))


def guess_license(files: ProjectFiles, found: Project) -> Project:
    """Read the licence from a model card beside the weights or at the top, or a licence file."""
    for folder in dict.fromkeys((found.weights, ".")):
        card = join(folder, "README.md")
        match = _CARD_LICENSE.match(files.text(card))
        if match and (known := _spdx(match[1])):
            note = f"licence: `{known}`, from the model card `{card}`"
            return replace(found, license=known, notes=noted(found, note))
    for name in _LICENSE_FILES:
        head = files.text(name)[:2000]
        for words, known in _LICENSE_TITLES:
            if words in head:
                note = f"licence: `{known}`, from `{name}`; is it the weights' licence too?"
                return replace(found, license=known, notes=noted(found, note))
    return found


def _spdx(text: str) -> str:
    from packaging import licenses  # noqa: PLC0415  long tables

    try:
        return str(licenses.canonicalize_license_expression(text))
    except licenses.InvalidLicenseExpression:
        return ""
