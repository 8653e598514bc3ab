"""Install wheels with pip and compile them; this text is run in BuildKit by the base's interpreter.

Standard library only, Python 3.9 and newer. `recipe.json` beside it says what to do, and what lies
beside it is all that there is: no network, no shell.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = os.path.dirname(os.path.abspath(__file__))
TEMPORARY = "/tmp"


def say(message: str) -> None:
    """Tell modelpack, which reads these lines."""
    print("modelpack: " + message, flush=True)


def make_environment(recipe: dict[str, Any]) -> None:
    """Write an environment without packages (PEP 405)."""
    for path, target, text in recipe["skeleton"]:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if target:
            os.symlink(target, path)
        else:
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)


def install(recipe: dict[str, Any]) -> None:
    """Let pip install exactly the wheels that lie here; end with its status where it fails."""
    python = os.path.join(recipe["venv"], "bin", "python")
    pip = os.path.join(HERE, recipe["pip"], "pip")
    done = subprocess.run(
        [python, "-I", "-B", "-W", "ignore", pip, "install", *recipe["options"]],
        cwd=HERE,
        env={"PATH": os.defpath, "HOME": TEMPORARY, "TMPDIR": TEMPORARY, **recipe["environment"]},
        stdin=subprocess.DEVNULL,
        check=False,
    )
    if done.returncode:
        sys.exit(done.returncode)
    for folder, folders, _ in os.walk(recipe["venv"]):
        if "__pycache__" in folders:  # of a wheel: compiled by who knows whom
            folders.remove("__pycache__")
            shutil.rmtree(os.path.join(folder, "__pycache__"))


def installed(recipe: dict[str, Any], wheel: str) -> Iterator[str]:
    """Yield the paths of what a wheel has installed, as its RECORD lists them."""
    with zipfile.ZipFile(os.path.join(HERE, "wheels", wheel)) as archive:
        tops = {name.partition("/")[0] for name in archive.namelist()}
    (information,) = [top for top in tops if top.endswith(".dist-info")]
    root = recipe["site_packages"]
    with open(os.path.join(root, information, "RECORD"), encoding="utf-8", newline="") as file:
        for row in csv.reader(file):
            yield os.path.normpath(os.path.join(root, row[0]))


def groups(recipe: dict[str, Any]) -> list[list[str]]:
    """Return the modules of each wheel: one of several wheels belongs to the first of them."""
    seen: set[str] = set()
    result: list[list[str]] = []
    for wheel in sorted(os.listdir(os.path.join(HERE, "wheels"))):
        own = {
            path
            for path in installed(recipe, wheel)
            if path.endswith(".py") and "/site-packages/" in path and os.path.isfile(path)
        }
        result.append(sorted(own - seen, key=os.fsencode))
        seen |= own
    return [group for group in result if group]


def compile_group(recipe: dict[str, Any], group: list[str], output: str) -> None:
    """Compile modules in one process of their own and write their bytecode beside them."""
    settings = recipe["bytecode"]
    paths = [path for path in group if os.path.getsize(path) <= settings["limit"]]
    fields = []
    for path in paths:
        size = str(os.path.getsize(path)).encode()
        fields += [b"0", size, os.fsencode(path), os.fsencode(path)]
    subprocess.run(
        [recipe["interpreter"], *settings["flags"], "-c", settings["driver"], output],
        cwd="/",
        env=settings["environment"],
        input=b"\0".join(fields),
        check=True,
    )
    with open(output, "rb") as results:
        for path in paths:
            length = int.from_bytes(results.read(8), "little", signed=True)
            if length < 0:
                continue  # does not compile, as with pip
            folder, name = os.path.split(path[: -len(".py")])
            os.makedirs(os.path.join(folder, "__pycache__"), exist_ok=True)
            place = os.path.join(folder, "__pycache__", f"{name}.{settings['tag']}.pyc")
            with open(place, "xb") as file:
                file.write(results.read(length))


def main() -> None:
    """Carry out the recipe."""
    os.umask(0o022)
    os.makedirs(TEMPORARY, exist_ok=True)
    with open(os.path.join(HERE, "recipe.json"), encoding="utf-8") as file:
        recipe = json.load(file)
    say(f"installing {len(os.listdir(os.path.join(HERE, 'wheels')))} wheels with pip")
    make_environment(recipe)
    install(recipe)
    if not recipe["bytecode"]:
        return
    say("compiling bytecode")
    with (
        tempfile.TemporaryDirectory(dir=TEMPORARY) as folder,
        ThreadPoolExecutor(os.cpu_count()) as pool,
    ):
        jobs = [
            pool.submit(compile_group, recipe, group, os.path.join(folder, str(number)))
            for number, group in enumerate(groups(recipe))
        ]
        for job in jobs:
            job.result()


if __name__ == "__main__":
    main()
