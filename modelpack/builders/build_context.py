"""What BuildKit is given: a folder with the wheels of the lock, pip and one program to run.

Weights and code are never in it. The base is in it as a layer, or beside it as an OCI layout.
"""

import json
import os
import shutil
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from modelpack import canonical_json
from modelpack.digest import Digest
from modelpack.digest import of as digest_of
from modelpack.inputs.python import bytecode, wheels
from modelpack.inputs.python.pip_wheel import PIP
from modelpack.inputs.python.wheel_destination import Layout
from modelpack.lock import PlatformLock
from modelpack.oci.tree import Tree, check_path

PROGRAM: Final = "in_container.py"
BASE: Final = "base"
"the name of the stage or named context that is the base"
_MOUNT = "/modelpack"
_PIP_OPTIONS: Final = (
    "--isolated", "--no-deps", "--no-index", "--find-links=wheels", "--require-hashes",
    "--only-binary=:all:", "--no-compile", "--no-cache-dir", "--ignore-installed",
    "--no-warn-script-location", "--root-user-action=ignore", "--no-input",
    "--disable-pip-version-check", "--progress-bar=off", "--no-color",
    "--requirement=requirements.txt",
)  # fmt: skip
_PIP_ENVIRONMENT: Final = {
    "LC_ALL": "C.UTF-8",
    "PIP_CONFIG_FILE": os.devnull,
    "PYTHONHASHSEED": "0",
    "SOURCE_DATE_EPOCH": "0",
}


@cache
def program() -> bytes:
    """Return the program that runs in BuildKit."""
    return (files("modelpack.builders") / PROGRAM).read_bytes()


def recipe_digest() -> Digest:
    """Return the digest of all that decides what BuildKit makes of given wheels and base."""
    parts = [
        dockerfile([], interpreter="", venv=""), digest_of(program()), PIP.sha256,
        _PIP_OPTIONS, _PIP_ENVIRONMENT,
    ]  # fmt: skip
    return digest_of(canonical_json.dumps(parts))


def dockerfile(first: list[str], *, interpreter: str, venv: str) -> str:
    """Return the Dockerfile whose last stage holds the environment `venv` and nothing else.

    `first` are the lines of the stage that is the base, unless BASE is a named context.
    """
    run = json.dumps([interpreter, "-I", "-B", f"{_MOUNT}/{PROGRAM}"])
    return "\n".join(
        [
            *first,
            f"FROM {BASE} AS environment",
            # Not the user of a foreign base: what it may write is not ours to know.
            "USER 0:0",
            f"RUN --mount=type=bind,target={_MOUNT} {run}",
            "FROM scratch",
            f"COPY --from=environment {venv} {venv}",
            "",
        ]
    )


def write(
    folder: Path,
    platform: PlatformLock,
    *,
    paths: Mapping[str, Path],
    pip: Path,
    venv: str,
    first: list[str],
) -> None:
    """Fill the new `folder`: `paths` are the files of the wheels by sha256, `venv` is absolute."""
    (folder / "wheels").mkdir(parents=True)
    for wheel in platform.wheels:
        check_path(wheel.filename, at=wheel.name)
        _place(paths[wheel.sha256], folder / "wheels" / os.path.basename(wheel.filename))
    _place(pip, folder / PIP.filename)
    text = dockerfile(first, interpreter=platform.interpreter.path, venv=venv)
    (folder / "Dockerfile").write_text(text, encoding="utf-8")
    (folder / PROGRAM).write_bytes(program())
    (folder / "requirements.txt").write_text(_requirements(platform), encoding="utf-8")
    recipe = canonical_json.dumps(_recipe(platform, venv))
    (folder / "recipe.json").write_bytes(recipe)


def _place(source: Path, target: Path) -> None:
    try:  # a hard link costs nothing, and a symbolic one would lead BuildKit nowhere
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _requirements(platform: PlatformLock) -> str:
    # By the name that the wheel gives itself: pip names a folder of C headers after it.
    return "".join(
        f"{wheel.filename.partition('-')[0]}=={wheel.version} --hash=sha256:{wheel.sha256}\n"
        for wheel in platform.wheels
    )


def _recipe(platform: PlatformLock, venv: str) -> dict[str, Any]:
    layout = Layout(venv=venv.strip("/"), minor=platform.interpreter.minor)
    empty = wheels.skeleton(layout, platform.interpreter)
    return {
        "venv": venv,
        "interpreter": platform.interpreter.path,
        "site_packages": f"/{layout.site_packages}",
        "skeleton": _skeleton(empty),
        "pip": PIP.filename,
        "options": _PIP_OPTIONS,
        "environment": _PIP_ENVIRONMENT,
        "bytecode": None if platform.bytecode == "none" else _bytecode(platform),
    }


def _skeleton(empty: Tree) -> list[list[str]]:
    """Return path, target of a link and text of a file of what is no folder."""
    return [
        [f"/{path}", entry.target, entry.content.decode()]
        for path, entry in empty.items()
        if entry.kind != "directory" and isinstance(entry.content, bytes)
    ]


def _bytecode(platform: PlatformLock) -> dict[str, Any]:
    return {
        "flags": bytecode.FLAGS,
        "environment": bytecode.ENVIRONMENT,
        "driver": bytecode.driver(),
        "limit": bytecode.SOURCE_LIMIT,
        "tag": "cpython-" + platform.interpreter.minor.replace(".", ""),
    }
