"""What a folder seems to hold: guesses for a first `modelpack.toml`, each with its reason."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from modelpack.inputs.project_files import PLAIN, ProjectFiles, folder_of, join
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
_FRAMEWORKS = ("torch", "tensorflow", "jax", "onnxruntime", "numpy")
_LOCKS = ("pylock.toml", "requirements.lock", "requirements.txt")
_SOURCES = ("requirements.in", "requirements.txt")
_EXPORTS = {
    "uv.lock": "uv export --format requirements-txt --no-emit-project > requirements.lock",
    "poetry.lock": "poetry export --format requirements.txt --output requirements.lock",
}
_PACKAGES = ("service", "server", "serve", "serving", "app", "api")
_SCRIPTS = ("app.py", "main.py", "server.py", "serve.py")
_APPLICATION = re.compile(
    r"^(\w{1,64})(?:\s*:\s*[\w.]{1,64})?\s*=\s*(?:\w{1,64}\.)?(?:FastAPI|Starlette)\(", re.MULTILINE
)
_PORT = re.compile(r"(?:port\s*=\s*|--port[=\s\"',]+|\bPORT[\"'],\s*[\"']?)(\d{2,5})\b")
_EXPOSE = re.compile(r"^EXPOSE\s+(\d{1,5})", re.MULTILINE | re.IGNORECASE)
_HEALTH = {
    "live": ("/healthz", "/livez", "/health", "/health/live"),
    "ready": ("/readyz", "/ready", "/health/ready"),
    "version": ("/version",),
    "metrics": ("/metrics",),
}
_CARD_LICENSE = re.compile(
    r"---\r?\n(?:[^\n]*\n){0,50}?license:[ \t]*[\"']?([A-Za-z0-9.+-]{1,64})[\"']?[ \t]*\r?\n"
)
_LICENSE_FILES = ("LICENSE", "LICENSE.txt", "LICENSE.md", "COPYING")
_LICENSE_TITLES = (("Apache License", "Apache-2.0"), ("MIT License", "MIT"))
_REQUIREMENT = re.compile(r'^(?:name = ")?([A-Za-z0-9][A-Za-z0-9._-]{0,63})', re.MULTILINE)
_ANYWHERE = "0.0.0.0"  # noqa: S104  inside a container
_DEFAULT_PORT = 8000
_LARGEST_PORT = 65_535


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """What a first `modelpack.toml` says, and how each of it was found."""

    name: str
    version: str
    license: str = ""
    task: str = ""
    architecture: str = ""
    framework: str = ""
    weights: str = "weights"
    weight_patterns: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    code: str = "."
    code_patterns: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    lockfile: str = ""
    requirements: str = ""
    device: str = "cpu"
    port: int = 0
    health: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    "what was guessed from what, and what could not be found"


def look(root: Path) -> Project:
    """Return what the folder `root` seems to hold; raises InputError when it cannot be read."""
    files = ProjectFiles(root)
    found = Project(name=_name(root.resolve().name), version=_version(files))
    for guess in (_guess_weights, _guess_model, _guess_license, _guess_code, _guess_dependencies):
        found = guess(files, found)
    return found


def _noted(found: Project, *notes: str) -> tuple[str, ...]:
    return (*found.notes, *notes)


def _guess_weights(files: ProjectFiles, found: Project) -> Project:
    folders: dict[str, int] = {}
    for path, size in files.sizes.items():
        if path.endswith(".safetensors"):
            folder = folder_of(path)
            folders[folder] = folders.get(folder, 0) + size
    if not folders:
        notes = ["no safetensors found: put the weights into `weights`, or edit `weights.path`"]
        unsafe = [p for p in files.sizes if PurePosixPath(p).suffix in _UNSAFE_SUFFIXES]
        notes += [f"`{path}` can carry code: convert it to safetensors" for path in unsafe[:1]]
        return replace(found, notes=_noted(found, *notes))
    chosen = max(folders, key=lambda folder: (folders[folder], folder))
    beside = [PurePosixPath(path).name for path in files.sizes if folder_of(path) == chosen]
    count = sum(name.endswith(".safetensors") for name in beside)
    notes = [f"weights: {counted(count, 'safetensors file')} in `{chosen}`"]
    notes += [
        f"`{other}` holds safetensors too: make it another `[[weights]]` if it is served"
        for other in folders
        if other != chosen
    ]
    return replace(
        found,
        weights=chosen,
        weight_patterns=_weight_patterns(beside, at_top=chosen == "."),
        required=tuple(name for name in _REQUIRED if name in beside),
        notes=_noted(found, *notes),
    )


def _weight_patterns(names: Sequence[str], *, at_top: bool) -> tuple[str, ...]:
    """Return the patterns; at the project's top each file by name, as code lies there too."""
    beside = [
        pattern for pattern in _SIDE_FILES if any(PurePosixPath(n).match(pattern) for n in names)
    ]
    if not at_top:
        return ("*.safetensors", *beside)
    exact = [n for n in sorted(names) if any(PurePosixPath(n).match(p) for p in beside)]
    return ("/*.safetensors", *(f"/{name}" for name in exact[:100]))


def _guess_model(files: ProjectFiles, found: Project) -> Project:
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
    return replace(found, task=task, architecture=architecture, notes=_noted(found, *notes))


def _guess_license(files: ProjectFiles, found: Project) -> Project:
    """Read the licence from a model card beside the weights or at the top, or a licence file."""
    for folder in dict.fromkeys((found.weights, ".")):
        card = join(folder, "README.md")
        match = _CARD_LICENSE.match(files.text(card))
        if match and (known := _spdx(match[1])):
            note = f"licence: `{known}`, from the model card `{card}`"
            return replace(found, license=known, notes=_noted(found, note))
    for name in _LICENSE_FILES:
        head = files.text(name)[:2000]
        for words, known in _LICENSE_TITLES:
            if words in head:
                note = f"licence: `{known}`, from `{name}`; is it the weights' licence too?"
                return replace(found, license=known, notes=_noted(found, note))
    return found


def _spdx(text: str) -> str:
    from packaging import licenses  # noqa: PLC0415  long tables

    try:
        return str(licenses.canonicalize_license_expression(text))
    except licenses.InvalidLicenseExpression:
        return ""


def _guess_code(files: ProjectFiles, found: Project) -> Project:
    """Find the entry point, and the port and paths that its text shows."""
    found, read = _entry(files, found)
    text = "\n".join(files.text(path) for path in read[:50])
    serves = "uvicorn" in text or "uvicorn" in found.command or "PORT" in text
    port = _port(files, text) or (_DEFAULT_PORT if serves else 0)
    if not port:
        return found
    written = {
        key: next((path for path in paths if f'"{path}"' in text or f"'{path}'" in text), "")
        for key, paths in _HEALTH.items()
    }
    return replace(
        found,
        command=(*found.command, *(("--port", str(port)) if "uvicorn" in found.command else ())),
        port=port,
        health=tuple((key, path) for key, path in written.items() if path),
        notes=_noted(found, f"port: {port}"),
    )


def _entry(files: ProjectFiles, found: Project) -> tuple[Project, list[str]]:
    """Return `found` with command and patterns, and the files that they are about."""
    packages = [p for p in files.sizes if p.endswith("/__main__.py") and p.count("/") <= 1]
    packages = [p for p in packages if not p.startswith(("test", "doc"))]
    packages.sort(key=lambda p: (_rank(folder_of(p)), p))
    if packages:
        return _package(files, found, folder_of(packages[0]))
    for path in _candidates(files):
        if match := _APPLICATION.search(files.text(path)):
            module = path.removesuffix(".py").replace("/", ".")
            command = ("python", "-m", "uvicorn", f"{module}:{match[1]}", "--host", _ANYWHERE)
            note = f"command: uvicorn with `{module}:{match[1]}`, from `{path}`"
            return replace(found, command=command, notes=_noted(found, note)), [path]
    if script := files.named(*_SCRIPTS):
        notes = _noted(found, f"command: `python {script}`")
        return replace(found, command=("python", script), notes=notes), [script]
    note = "no entry point found: edit `code.command`"
    return replace(found, notes=_noted(found, note)), []


def _package(files: ProjectFiles, found: Project, package: str) -> tuple[Project, list[str]]:
    own = [path for path in files.sizes if path.startswith(f"{package}/")]
    python = [path for path in own if path.endswith(".py")]
    pattern = f"{package}/**/*.py" if len(python) == len(own) else f"{package}/**"
    note = f"command: `python -m {package}`, from `{package}/__main__.py`"
    return (
        replace(
            found,
            command=("python", "-m", package),
            code_patterns=(pattern,),
            notes=_noted(found, note),
        ),
        python,
    )


def _candidates(files: ProjectFiles) -> list[str]:
    """Return the Python files that may make an ASGI application, likeliest first."""
    paths = [p for p in files.sizes if p.endswith(".py") and p.count("/") <= 1]
    paths = [p for p in paths if not p.startswith(("test", "doc"))]
    names = [*_SCRIPTS]
    paths.sort(key=lambda p: (p.count("/"), (PurePosixPath(p).name not in names), p))
    return paths[:200]


def _rank(package: str) -> int:
    return _PACKAGES.index(package) if package in _PACKAGES else len(_PACKAGES)


def _port(files: ProjectFiles, text: str) -> int:
    exposed = _EXPOSE.search(files.text("Dockerfile"))
    match = exposed or _PORT.search(text)
    port = int(match[1]) if match else 0
    return port if port <= _LARGEST_PORT else 0


def _guess_dependencies(files: ProjectFiles, found: Project) -> Project:
    """Find what is locked with hashes, else what a lock can be compiled from."""
    lockfile, source, note = _requirements(files)
    texts = [files.text(path) for path in (lockfile, source) if path in files.sizes]
    names = {match[1].lower() for text in texts for match in _REQUIREMENT.finditer(text)}
    return replace(
        found,
        lockfile=lockfile,
        requirements=source,
        framework=next((name for name in _FRAMEWORKS if name in names), ""),
        device="cuda" if any(name.startswith("nvidia-") for name in names) else "cpu",
        notes=_noted(found, note),
    )


def _requirements(files: ProjectFiles) -> tuple[str, str, str]:
    """Return the lockfile, its source and a note."""
    source = files.named("requirements.in")
    for name in _LOCKS:
        if name in files.sizes and (name == "pylock.toml" or "--hash=" in files.text(name)):
            compiled = source if name != "pylock.toml" else ""
            return name, compiled, f"dependencies: `{name}`, locked with hashes"
    if name := files.named(*_SOURCES):
        note = f"dependencies: `{name}`; `modelpack lock` compiles `requirements.lock` from it"
        return "requirements.lock", name, note
    for name, export in _EXPORTS.items():
        if name in files.sizes:
            note = f"dependencies: `{name}` is exported by `{export}`"
            return "requirements.lock", "", note
    return "", "", "no requirements found: nothing but the standard library is in the image"


def _version(files: ProjectFiles) -> str:
    match = re.search(
        r'^version = "([A-Za-z0-9_][A-Za-z0-9._-]{0,63})"',
        files.text("pyproject.toml"),
        re.MULTILINE,
    )
    return match[1] if match else "0.1.0"


def _name(text: str) -> str:
    words = re.findall(r"[a-z0-9]+", text.lower()[:100])
    return "-".join(words) or "model"
