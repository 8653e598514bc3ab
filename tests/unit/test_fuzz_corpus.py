"""What the fuzzers have kept is replayed: every input ends in a value or a finding."""

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

FUZZ = Path(__file__).parents[1] / "fuzz"
NAMES = [
    "base_layer", "elf", "safetensors", "shard_index", "formats", "secrets", "tar_tree",
    "model_artifact", "vouching", "answers",
]  # fmt: skip
INPUTS = [(name, path) for name in NAMES for path in sorted((FUZZ / "corpus" / name).iterdir())]


def target(name: str) -> Callable[[bytes], None]:
    module = sys.modules.get(f"fuzz_{name}")
    if module is None:
        spec = importlib.util.spec_from_file_location(f"fuzz_{name}", FUZZ / f"fuzz_{name}.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return module.TARGET


@pytest.mark.parametrize(("name", "path"), INPUTS, ids=lambda value: getattr(value, "name", value))
def test_kept_input_ends_in_a_value_or_a_finding(name: str, path: Path) -> None:
    target(name)(path.read_bytes())


def test_every_corpus_has_a_harness_and_every_harness_a_corpus() -> None:
    harnesses = {path.stem.removeprefix("fuzz_") for path in FUZZ.glob("fuzz_*.py")}
    corpora = {path.name for path in (FUZZ / "corpus").iterdir() if any(path.iterdir())}
    assert set(NAMES) <= harnesses
    assert corpora <= harnesses
    assert harnesses - corpora == set()


def test_kept_inputs_are_small() -> None:
    assert all(path.stat().st_size <= 16_384 for _, path in INPUTS)
