"""What is kept on disk: counted, pruned, and never more than asked."""

import fcntl
import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from modelpack.cli.cache import command
from modelpack.errors import Unavailable
from modelpack.inputs import cache

NOW = 1_700_000_000.0
HOUR, DAY = 3600, 86_400


def keep(root: Path, path: str, *, age: float, size: int = 10) -> Path:
    """Write a file that was last used `age` seconds before NOW."""
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"x" * size)
    os.utime(file, (NOW - age, NOW - age))
    return file


def digits(number: int) -> str:
    """Return a name as digests are."""
    return f"{number:064x}"


@pytest.fixture
def root(tmp_path) -> Path:
    """A cache with old and young files."""
    keep(tmp_path, f"downloads/sha256/{digits(1)}", age=40 * DAY, size=100)
    keep(tmp_path, f"downloads/sha256/{digits(2)}", age=2 * DAY, size=200)
    keep(tmp_path, f"blobs/sha256/{digits(3)}", age=3 * DAY, size=300)
    keep(tmp_path, f"steps/{digits(4)}.json", age=10, size=5)
    keep(tmp_path, f"digests/{digits(5)}", age=31 * DAY, size=5)
    return tmp_path


def left(root: Path) -> set[str]:
    """Return the names of all files below `root`."""
    return {str(p.relative_to(root)) for p in root.rglob("*") if p.is_file()}


def test_usage_counts_every_folder(root):
    found = {u.folder: (u.files, u.size) for u in cache.usage(root)}
    assert found == {
        "downloads/sha256": (2, 300), "blobs/sha256": (1, 300), "steps": (1, 5),
        "digests": (1, 5), "bytecode": (0, 0), "bases": (0, 0), "scratch": (0, 0),
        "uploads": (0, 0), "places": (0, 0), "weights/sha256": (0, 0),
        "trivy/db": (0, 0), "trivy/java-db": (0, 0),
        "contents": (0, 0), "components": (0, 0), "statements": (0, 0),
    }  # fmt: skip


def test_an_old_vulnerability_database_goes_too(root):
    for name in ("trivy.db", "metadata.json", "something.else"):
        keep(root, f"trivy/db/{name}", age=40 * DAY, size=900)
    assert {u.folder: u.files for u in cache.usage(root)}["trivy/db"] == 2
    cache.prune(root, now=NOW, older_than=30 * DAY)
    assert [path.name for path in (root / "trivy" / "db").iterdir()] == ["something.else"]


def test_what_is_unused_for_long_goes(root):
    gone = cache.prune(root, now=NOW, older_than=30 * DAY)
    assert {item.path.name for item in gone} == {digits(1), digits(5)}
    assert not any(item.path.exists() for item in gone)
    assert len(left(root)) == 3


def test_the_longest_unused_goes_first_down_to_a_size(root):
    gone = cache.prune(root, now=NOW, max_size=505)
    assert [item.path.name for item in gone] == [digits(1), digits(5)]
    assert sum(u.size for u in cache.usage(root)) == 505


def test_what_was_used_within_the_hour_stays_whatever_is_asked(root):
    cache.prune(root, now=NOW, older_than=0, max_size=0)
    assert left(root) == {f"steps/{digits(4)}.json"}


def test_leftovers_of_killed_builds_go_after_an_hour(root):
    for path in ("downloads/sha256/.part-abc_1234", "blobs/sha256/.abcd1234", "steps/.abcd1234",
                 f"digests/{digits(5)}.1f.partial", "scratch/tmpabcd1234/deep/file"):  # fmt: skip
        keep(root, path, age=2 * HOUR)
    os.utime(root / "scratch" / "tmpabcd1234", (NOW - 2 * HOUR, NOW - 2 * HOUR))
    keep(root, "downloads/sha256/.part-young_12", age=60)
    gone = {item.path.name for item in cache.prune(root, now=NOW)}
    assert gone == {
        ".part-abc_1234", ".abcd1234", f"{digits(5)}.1f.partial", "tmpabcd1234"
    }  # fmt: skip
    assert not (root / "scratch" / "tmpabcd1234").exists()


def test_files_with_other_names_and_links_are_never_touched(root, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    precious = keep(elsewhere, digits(9), age=90 * DAY)
    keep(root, "downloads/thesis.pdf", age=90 * DAY)
    keep(root, "downloads/sha256/thesis.pdf", age=90 * DAY)
    keep(root, "photos/1.jpg", age=90 * DAY)
    (root / "downloads" / "sha256" / digits(8)).symlink_to(precious)
    (root / "scratch").symlink_to(elsewhere)
    cache.prune(root, now=NOW, older_than=0, max_size=0)
    assert {"downloads/thesis.pdf", "downloads/sha256/thesis.pdf", "photos/1.jpg"} <= left(root)
    assert precious.exists()


def test_a_dry_run_removes_nothing(root):
    before = left(root)
    assert cache.prune(root, now=NOW, older_than=0, dry_run=True)
    assert left(root) == before


def test_nothing_goes_while_a_build_holds_the_cache(root):
    before = left(root)
    building = os.open(root, os.O_RDONLY)
    fcntl.flock(building, fcntl.LOCK_SH)
    try:
        with pytest.raises(Unavailable):
            cache.prune(root, now=NOW, older_than=0)
    finally:
        os.close(building)
    assert left(root) == before
    assert cache.prune(root, now=NOW, older_than=0)


def test_builds_hold_the_cache_together_and_make_it_private(tmp_path):
    root = tmp_path / "new"
    with cache.hold(root), cache.hold(root):
        assert root.stat().st_mode & 0o777 == 0o700
        with pytest.raises(Unavailable):
            cache.prune(root, now=NOW)
    assert cache.prune(root, now=NOW) == ()


def test_a_cache_that_is_not_there_is_empty(tmp_path):
    assert cache.prune(tmp_path / "none", now=NOW, max_size=0) == ()
    assert sum(u.files for u in cache.usage(tmp_path / "none")) == 0


def test_info_shows_a_table_and_json(root, monkeypatch):
    monkeypatch.setenv("MODELPACK_CACHE", str(root))
    table = CliRunner().invoke(command, ["info"]).stdout.splitlines()
    assert table[0].split() == ["folder", "files", "size", "unused", "what"]
    assert table[-1].split()[:3] == ["total", "5", "610"]
    document = json.loads(CliRunner().invoke(command, ["info", "--json"]).stdout)
    assert (document["schema"], document["size"]) == (1, 610)


def test_prune_says_what_went(root, monkeypatch):
    monkeypatch.setenv("MODELPACK_CACHE", str(root))
    result = CliRunner().invoke(command, ["prune", "--max-size", "505B", "--json"])
    document = json.loads(result.stdout)
    assert (document["removed"], document["size"]) == (2, 105)
    assert "0 files" in CliRunner().invoke(command, ["prune", "--max-size", "1GB"]).stdout


@pytest.mark.parametrize("option", [["--max-size", "10"], ["--older-than", "month"]])
def test_prune_refuses_what_is_no_quantity(option):
    result = CliRunner().invoke(command, ["prune", *option])
    assert result.exit_code == 2
    assert option[1] in result.output
