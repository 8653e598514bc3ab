"""The inputs that fuzzing of modelpack.toml and references has kept never fail again."""

import importlib.util
from pathlib import Path

import pytest

FUZZ = Path(__file__).parents[1] / "fuzz"
SPEC = importlib.util.spec_from_file_location("fuzz_spec", FUZZ / "fuzz_spec.py")
fuzz_spec = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(fuzz_spec)


@pytest.mark.parametrize("file", sorted((FUZZ / "corpus" / "spec").iterdir()), ids=lambda f: f.name)
def test_kept_inputs_end_in_a_value_or_a_finding(file):
    fuzz_spec.one_input(file.read_bytes())


def test_the_harness_finds_an_error_of_another_kind(monkeypatch):
    def broken(data):
        raise KeyError(data)

    monkeypatch.setattr(fuzz_spec.spec_decoding, "parse", broken)
    with pytest.raises(KeyError):
        fuzz_spec.one_input(b"x")
