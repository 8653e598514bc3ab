"""The plan is a function of what is written, not of how it is written or where it lies."""

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any

import pytest
import tomli
from hypothesis import given, settings
from hypothesis import strategies as st

from modelpack import pipeline, project
from modelpack.lock import Lock, encoding
from modelpack.pipeline import project_lock
from modelpack.plan import Plan
from tests import projects

TOML = """\
schema = 1
[model]
name = "tiny"
version = "1.0.0"
license = "Apache-2.0"
[weights]
path = "weights"
include = ["*.safetensors", "*.json"]
[code]
include = ["service/**/*.py"]
command = ["python", "-m", "service"]
[runtime]
bytecode = "none"
port = 8080
user = 10007
environment = { A = "1", B = "2", C = "3" }
health = { live = "/healthz", ready = "/readyz" }
[image]
labels = { "com.acme.team" = "search", "com.acme.stage" = "test" }
tags = ["1.0.0"]
[card]
intended-use = "tests"
"""


class Original:
    """A locked project that examples copy from."""

    def __init__(self, root: Path) -> None:
        self.cache = root / "cache"
        self.folder = projects.make_project(root / "project", self.cache, toml=TOML)
        self.plan = plan_of(self.folder, self.cache)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Original:
    return Original(tmp_path_factory.mktemp("original"))


def plan_of(folder: Path, cache: Path, *, revision: str = "4f2a") -> Plan:
    """Return the plan of a project and its own lock, which must be fresh."""
    this, machine = project.read(folder), projects.machine_of(cache)
    lock = project_lock.require_fresh(this)
    read = pipeline.read_code(
        this, machine=machine, epoch=lock.epoch, options=pipeline.Options(revision=revision)
    )
    ((_, plan),) = pipeline.make_plans(this, lock, read)
    return plan


def shuffled(value: Any, chance: Random) -> Any:
    """Return equal TOML values whose tables have another order of keys."""
    if isinstance(value, dict):
        keys = list(value)
        chance.shuffle(keys)
        return {key: shuffled(value[key], chance) for key in keys}
    return value


def written(document: Mapping[str, Any]) -> str:
    """Return TOML text: plain values first, as the format demands, then tables."""
    plain = {name: value for name, value in document.items() if not isinstance(value, dict)}
    lines = [f"{name} = {literal(value)}" for name, value in plain.items()]
    for name, table in document.items():
        if name not in plain:
            lines.append(f"[{name}]")
            lines += [f"{key(k)} = {literal(v)}" for k, v in table.items()]
    return "\n".join(lines) + "\n"


def key(name: str) -> str:
    return name if name.replace("-", "").isalnum() else f'"{name}"'


def literal(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key(k)} = {literal(v)}" for k, v in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(literal(item) for item in value) + "]"
    return str(value) if isinstance(value, int) else f'"{value}"'


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1 << 32), comment=st.text("abc é#[]=", max_size=20))
def test_the_order_of_keys_and_files_moves_nothing(
    original: Original, seed: int, comment: str
) -> None:
    chance = Random(seed)
    with tempfile.TemporaryDirectory() as root:
        folder = projects.copy_shuffled(original.folder, Path(root, "x" * (seed % 50 + 1)),
                                        seed=seed)  # fmt: skip
        toml = f"# {comment}\n" + written(shuffled(tomli.loads(TOML), chance))
        assert tomli.loads(toml) == tomli.loads(TOML)
        (folder / "modelpack.toml").write_text(toml, encoding="utf-8")
        found = plan_of(folder, original.cache)
    assert found == original.plan
    assert found.digest == original.plan.digest


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1 << 32))
def test_locking_again_anywhere_gives_the_same_lock(original: Original, seed: int) -> None:
    with tempfile.TemporaryDirectory() as root:
        folder = projects.copy_shuffled(original.folder, Path(root, "copy"), seed=seed)
        (folder / "modelpack.lock").unlink()
        projects.write_lock(folder, Path(root, "cache"))
        again = (folder / "modelpack.lock").read_bytes()
    assert again == (original.folder / "modelpack.lock").read_bytes()


EDITS = {
    "user": ("user = 10007", "user = 10008", {"base", "meta"}),
    "workdir": ("command = [", 'workdir = "/srv/app"\ncommand = [', {"code", "meta"}),
    "license": ('"Apache-2.0"', '"MIT"', {"meta"}),
    "port": ("port = 8080", "port = 8081", {"meta"}),
    "variable": ('A = "1"', 'A = "one"', {"meta"}),
    "label": ('"search"', '"sea"', {"meta"}),
    "tags": ('tags = ["1.0.0"]', 'tags = ["1.0.1"]', {"meta"}),
    "card": ('"tests"', '"other"', {"meta"}),
}
"text of the file, what replaces it, and which steps are made anew because of that"


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_moves_only_the_steps_that_depend_on_it(
    name: str, original: Original, tmp_path: Path
) -> None:
    folder = tmp_path / "project"
    shutil.copytree(original.folder, folder)
    before, after, anew = EDITS[name]
    assert before in TOML
    (folder / "modelpack.toml").write_text(TOML.replace(before, after, 1), encoding="utf-8")
    found = plan_of(folder, original.cache)
    assert moved(original.plan, found) == anew
    assert found.digest != original.plan.digest


def test_an_edit_of_the_code_moves_only_the_code(original: Original, tmp_path: Path) -> None:
    folder = tmp_path / "project"
    shutil.copytree(original.folder, folder)
    (folder / "service" / "__main__.py").write_text("print(2)\n", encoding="utf-8")
    assert moved(original.plan, plan_of(folder, original.cache)) == {"code", "meta"}


def test_another_commit_moves_only_what_says_so(original: Original) -> None:
    found = plan_of(original.folder, original.cache, revision="beef")
    assert moved(original.plan, found) == {"meta"}


def test_a_weight_moves_its_own_layer(original: Original, tmp_path: Path) -> None:
    folder = tmp_path / "project"
    shutil.copytree(original.folder, folder)
    (folder / "weights" / "config.json").write_text('{"x": 1}\n', encoding="utf-8")
    lock: Lock = projects.write_lock(folder, original.cache)
    assert moved(original.plan, plan_of(folder, original.cache)) == {"weights", "meta"}
    before = encoding.parse((original.folder / "modelpack.lock").read_bytes())
    assert (lock.platforms, lock.fingerprints) == (before.platforms, before.fingerprints)


def moved(before: Plan, after: Plan) -> set[str]:
    """Return the kinds of the steps whose digest is another one."""
    known = {step.digest for step in before.steps}
    return {step.kind for step in after.steps if step.digest not in known}
