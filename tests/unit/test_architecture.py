"""docs/architecture.md: it shows every room, and names no file that is not there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "architecture.md").read_text("utf-8")
ROOMS = TEXT.partition("## Where things are")[2].partition("## Invariants")[0]
FILES = sorted(set(re.findall(r"`((?:[\w.*-]+/)*[\w*-]+\.py)`", TEXT)))


def test_every_room_is_shown_with_what_it_holds():
    shown = {
        word.rstrip("/")
        for line in ROOMS.splitlines() if line.startswith("| `")
        for word in re.findall(r"`([a-z_]+/?)`", line.split("|")[1])
    }  # fmt: skip
    found = {path.stem for path in (ROOT / "modelpack").iterdir() if path.suffix in ("", ".py")}
    found -= {"__init__", "__main__", "__pycache__"}
    assert found - shown == set()


@pytest.mark.parametrize("name", FILES)
def test_every_file_that_it_names_is_there(name):
    beside = [path for top in ("modelpack", "tests") for path in (ROOT / top).rglob(name)]
    assert beside or [*ROOT.glob(name)]
