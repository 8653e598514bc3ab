"""A guess about the dependencies, by the names of files and the packages in them."""

import re
from dataclasses import replace

from modelpack.inputs.guessing.files import ProjectFiles
from modelpack.inputs.guessing.value import Project, noted

_FRAMEWORKS = ("torch", "tensorflow", "jax", "onnxruntime", "numpy")
_LOCKS = ("pylock.toml", "requirements.lock", "requirements.txt")
_SOURCES = ("requirements.in", "requirements.txt")
_EXPORTS = {
    "uv.lock": "uv export --format requirements-txt --no-emit-project > requirements.lock",
    "poetry.lock": "poetry export --format requirements.txt --output requirements.lock",
}
_REQUIREMENT = re.compile(r'^(?:name = ")?([A-Za-z0-9][A-Za-z0-9._-]{0,63})', re.MULTILINE)


def guess_dependencies(files: ProjectFiles, found: Project) -> Project:
    """Find what is locked with hashes, else what a lock can be compiled from."""
    lockfile, source, note = _requirements(files)
    texts = [files.text(path) for path in (lockfile, source) if path in files.sizes]
    names = {match[1].lower() for text in texts for match in _REQUIREMENT.finditer(text)}
    return replace(
        found,
        lockfile=lockfile,
        requirements=source,
        framework=found.framework or next((name for name in _FRAMEWORKS if name in names), ""),
        device="cuda" if any(name.startswith("nvidia-") for name in names) else "cpu",
        notes=noted(found, note),
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
