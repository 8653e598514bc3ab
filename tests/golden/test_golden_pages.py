"""Pages of `inspect --html`, whole, as they were looked at in a browser: `make golden`."""

from dataclasses import replace
from pathlib import Path

import pytest

from modelpack.cli.display.page import html as page
from tests import pages

HERE = Path(__file__).parent / "pages"
IT = pages.full()
CASES = {
    "refused": (IT, pages.judged(IT, refused=True), pages.tensors_of()),
    "verified": (replace(IT, findings=()), pages.judged(IT), {}),
    "claims": (IT, None, {}),
    "silent": (pages.bare(), None, {}),
}


@pytest.mark.parametrize("name", CASES)
def test_the_page_is_the_one_that_was_reviewed(name: str, *, rewrite: bool) -> None:
    expected = HERE / name / "page.html"
    inspection, verified, tensors = CASES[name]
    found = page.page(inspection, pages.SHEETS, verified=verified, tensors=tensors)
    if rewrite:
        expected.parent.mkdir(parents=True, exist_ok=True)
        expected.write_text(found, encoding="utf-8")
    assert found == expected.read_text(encoding="utf-8"), "if that was meant, `make golden`"
