"""The kept inputs of the inspection's fuzzer, run on every test run."""

from pathlib import Path

import pytest

from modelpack.inspection import reading

CORPUS = sorted((Path(__file__).parents[1] / "fuzz" / "corpus" / "inspection").iterdir())


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.name)
def test_a_kept_input_is_shown_or_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "META_LIMIT", reading.META_LIMIT)  # the harness lowers it
    from tests.fuzz.fuzz_inspection import TARGET

    TARGET(path.read_bytes())
