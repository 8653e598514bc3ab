"""A look at a folder, guess by guess."""

import re
from pathlib import Path

from modelpack.inputs.guessing.dependencies import guess_dependencies
from modelpack.inputs.guessing.files import ProjectFiles
from modelpack.inputs.guessing.service import guess_service
from modelpack.inputs.guessing.value import Project
from modelpack.inputs.guessing.weights import guess_license, guess_model, guess_weights

_GUESSES = (guess_weights, guess_model, guess_license, guess_service, guess_dependencies)
"in this order: later ones look where earlier ones found something"


def look(root: Path) -> Project:
    """Return what the folder `root` seems to hold; raises InputError when it cannot be read."""
    files = ProjectFiles(root)
    found = Project(name=_name(root.resolve().name), version=_version(files))
    for guess in _GUESSES:
        found = guess(files, found)
    return found


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
