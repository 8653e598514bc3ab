"""The door to Trivy and its database: what is run, with what, and what makes no answer."""

import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from textwrap import dedent

import pytest

from modelpack.canonical_json import rfc3339
from modelpack.errors import ModelpackError, Unavailable
from modelpack.evidence.scan import database, trivy
from modelpack.evidence.scan.database import Database, Wanted, opened, too_old
from modelpack.inputs.machine import Machine
from tests import projects, vulnerability_database

NOW = projects.EPOCH
DAY = 86_400
SECRETS = {
    "TRIVY_SEVERITY": "LOW", "TRIVY_SKIP_DIRS": "/", "HTTPS_PROXY": "http://proxy.example:3128",
    "GITHUB_TOKEN": "none of its business", "HOME": "/home/somebody",
}  # fmt: skip


def program(folder: Path, text: str) -> str:
    """Write a `trivy` that runs this Python, and return the PATH to it."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "trivy"
    file.write_text(f"#!{sys.executable}\nimport json, os, sys\n{dedent(text)}")
    file.chmod(0o755)
    return f"{folder}{os.pathsep}{os.defpath}"


@pytest.fixture
def work(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


def scan(work: Path, text: str, tmp_path: Path) -> bytes:
    """Run the door with a `trivy` that does what `text` says."""
    path = program(tmp_path / "bin", text)
    environment = {**SECRETS, "PATH": path}
    return trivy.scan(
        trivy.find(environment), "127.0.0.1:1/x/image@sha256:0", environment=environment, work=work,
        databases={trivy.VULNERABILITIES: tmp_path / "db"},
    )  # fmt: skip


def test_without_trivy_there_is_a_hint_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(Unavailable) as missing:
        trivy.find({"PATH": str(tmp_path)})
    assert "go install github.com/aquasecurity/trivy" in missing.value.findings[0].hint
    with pytest.raises(Unavailable):
        trivy.find({})


def test_it_runs_apart_from_what_the_user_has_set(work: Path, tmp_path: Path) -> None:
    says_all = """
        json.dump({"argv": sys.argv[1:], "cwd": os.getcwd(), "environment": dict(os.environ),
                   "db": os.readlink("cache/db"), "around": os.listdir()},
                  open(sys.argv[sys.argv.index("--output") + 1], "w"))
    """
    said = json.loads(scan(work, says_all, tmp_path))
    assert said["cwd"] == str(work)
    assert set(said["around"]) <= {"cache", "output", "report.json"}
    assert set(said["environment"]) - {"LC_CTYPE"} == {"PATH", "HOME", "TMPDIR", "LC_ALL"}
    assert said["environment"]["HOME"] == str(work)
    assert said["db"] == str(tmp_path / "db")
    words = said["argv"]
    assert (words[0], words[-1]) == ("image", "127.0.0.1:1/x/image@sha256:0")
    assert words[words.index("--scanners") + 1] == "vuln,secret,misconfig,license"
    for word in (
        "--skip-db-update", "--skip-java-db-update", "--skip-check-update", "--offline-scan",
        "--skip-version-check", "--disable-telemetry", "--skip-vex-repo-update",
    ):  # fmt: skip
        assert word in words
    assert not any("severity" in word or "ignore" in word for word in words)


def test_a_failure_is_told_in_its_last_words(work: Path, tmp_path: Path) -> None:
    failing = """
        for number in range(100_000):
            print("line", number, file=sys.stderr)
        sys.exit(1)
    """
    with pytest.raises(Unavailable) as failed:
        scan(work, failing, tmp_path)
    message = failed.value.findings[0].message
    assert message.splitlines()[0] == "Trivy ended with 1:"
    assert message.splitlines()[-1] == "line 99999"
    assert len(message.splitlines()) == 6


def test_an_old_trivy_is_told_apart(work: Path, tmp_path: Path) -> None:
    text = 'sys.exit(print("unknown flag: --disable-telemetry", file=sys.stderr) or 1)'
    with pytest.raises(Unavailable) as failed:
        scan(work, text, tmp_path)
    assert "0.65" in failed.value.findings[0].hint


def test_no_report_and_an_absurd_one_are_no_answer(
    work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Unavailable, match="no report"):
        scan(work, "", tmp_path)
    monkeypatch.setattr(trivy, "LIMIT", 10)
    (work / "cache" / "db").unlink()
    (work / "cache").rmdir()
    with pytest.raises(Unavailable, match="no report, or one of more than 10 bytes"):
        scan(work, 'open("report.json", "w").write("x" * 11)', tmp_path)


def test_one_that_does_not_end_is_ended(
    work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trivy, "TIMEOUT", 0.2)
    with pytest.raises(Unavailable, match="did not end within"):
        scan(work, "import time; time.sleep(600)", tmp_path)


def machine(tmp_path: Path, text: str = "sys.exit(9)", *, offline: bool = False) -> Machine:
    """Return a machine whose `trivy` does what `text` says."""
    path = program(tmp_path / "bin", text)
    return replace(
        projects.machine_of(tmp_path / "cache"), environment={**SECRETS, "PATH": path},
        offline=offline,
    )  # fmt: skip


def downloading(tmp_path: Path) -> Machine:
    """Return a machine whose `trivy` makes a database, and writes to `log` how it was called."""
    times = {"UpdatedAt": rfc3339(NOW - 60), "NextUpdate": rfc3339(NOW + DAY)}
    text = f"""
        java = "--download-java-db-only" in sys.argv
        folder, file = ("java-db", "trivy-java.db") if java else ("db", "trivy.db")
        os.makedirs(f"cache/{{folder}}")
        open(f"cache/{{folder}}/{{file}}", "w").write("new")
        json.dump({times!r}, open(f"cache/{{folder}}/metadata.json", "w"))
        with open({str(tmp_path / "log")!r}, "a") as log:
            print(json.dumps([sys.argv[1:], sorted(os.environ)]), file=log)
    """
    return machine(tmp_path, text)


def open_all(
    this: Machine, wanted: Wanted | None = None, *, java: bool = False
) -> dict[trivy.Kind, Database]:
    found = trivy.find(this.environment)
    with opened(wanted or Wanted(), found, this, java=java) as databases:
        return dict(databases)


def open_it(this: Machine, wanted: Wanted | None = None) -> Database:
    return open_all(this, wanted)[trivy.VULNERABILITIES]


def test_a_missing_database_is_downloaded_once(tmp_path: Path) -> None:
    this = downloading(tmp_path)
    first = open_it(this)
    assert first.updated == NOW - 60
    assert (first.folder / "trivy.db").read_text() == "new"
    assert open_it(this) == first
    (line,) = (tmp_path / "log").read_text().splitlines()
    argv, environment = json.loads(line)
    assert argv[:2] == ["image", "--download-db-only"]
    assert "HTTPS_PROXY" in environment
    assert not {"GITHUB_TOKEN", "TRIVY_SEVERITY"} & set(environment)
    assert list((tmp_path / "cache" / "scratch").iterdir()) == []


def test_a_database_comes_from_the_chosen_repository(tmp_path: Path) -> None:
    open_it(downloading(tmp_path), Wanted(repository="mirror.example/trivy-db:2"))
    argv, _ = json.loads((tmp_path / "log").read_text())
    assert argv[-2:] == ["--db-repository", "mirror.example/trivy-db:2"]


def test_a_database_that_is_due_gives_way_to_a_new_one(tmp_path: Path) -> None:
    own = tmp_path / "cache" / "trivy" / "db"
    vulnerability_database.write(own, updated=NOW - 2 * DAY)
    assert open_it(downloading(tmp_path)).updated == NOW - 60
    assert (own / "trivy.db").read_text() == "new"


def test_offline_the_database_stays_as_it_is(tmp_path: Path) -> None:
    own = tmp_path / "cache" / "trivy" / "db"
    vulnerability_database.write(own, updated=NOW - 2 * DAY)
    assert open_it(machine(tmp_path, offline=True)).updated == NOW - 2 * DAY


def test_without_any_database_nothing_can_be_said(tmp_path: Path) -> None:
    with pytest.raises(Unavailable) as missing:
        open_it(machine(tmp_path, offline=True))
    assert "`--offline`" in missing.value.findings[0].hint
    with pytest.raises(Unavailable) as failed:
        open_it(machine(tmp_path, 'print("no route to host", file=sys.stderr); sys.exit(1)'))
    assert "no route to host" in failed.value.findings[0].message
    assert len(failed.value.findings) == 2


def test_when_no_new_one_can_be_had_the_old_one_is_used(tmp_path: Path) -> None:
    own = tmp_path / "cache" / "trivy" / "db"
    vulnerability_database.write(own, updated=NOW - 2 * DAY)
    assert open_it(machine(tmp_path)).updated == NOW - 2 * DAY


def test_a_given_database_is_never_changed(tmp_path: Path) -> None:
    for place in (tmp_path / "plain", tmp_path / "whole" / "db"):
        vulnerability_database.write(place, updated=NOW - 90 * DAY)
    this = machine(tmp_path)
    assert open_it(this, Wanted(folder=tmp_path / "plain")).folder == tmp_path / "plain"
    assert open_it(this, Wanted(folder=tmp_path / "whole")).folder == tmp_path / "whole" / "db"
    with pytest.raises(Unavailable, match=r"no vulnerability database \(`trivy.db` and"):
        open_it(this, Wanted(folder=tmp_path / "bin"))


def test_the_database_of_java_archives_comes_only_when_it_is_needed(tmp_path: Path) -> None:
    this = downloading(tmp_path)
    assert set(open_all(this)) == {trivy.VULNERABILITIES}
    assert set(open_all(this, java=True)) == {trivy.VULNERABILITIES, trivy.JAVA}
    calls = [json.loads(line)[0][1] for line in (tmp_path / "log").read_text().splitlines()]
    assert calls == ["--download-db-only", "--download-java-db-only"]
    # What is there and fresh costs nothing.
    assert set(open_all(this)) == {trivy.VULNERABILITIES, trivy.JAVA}


def test_a_given_folder_has_the_database_of_java_archives_beside_it(tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    vulnerability_database.write(whole / "db", updated=NOW)
    this = machine(tmp_path)
    for place in (whole, whole / "db"):
        with pytest.raises(Unavailable) as missing:
            open_all(this, Wanted(folder=place), java=True)
        assert "--download-java-db-only" in missing.value.findings[0].hint
    vulnerability_database.write_java(whole / "java-db", updated=NOW)
    for place in (whole, whole / "db"):
        assert set(open_all(this, Wanted(folder=place))) == {trivy.VULNERABILITIES, trivy.JAVA}


def test_an_image_with_java_archives_is_told_apart(work: Path, tmp_path: Path) -> None:
    said = "Java DB update failed: '--skip-java-db-update' cannot be specified on the first run"
    with pytest.raises(trivy.NeedsJava):
        scan(work, f"print({said!r}, file=sys.stderr); sys.exit(1)", tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "{}", "[" * 60_000, '{"UpdatedAt": 3, "NextUpdate": 4}',
        '{"UpdatedAt": "yesterday", "NextUpdate": "2026-01-01T00:00:00Z"}',
        '{"UpdatedAt": "2026-01-01T00:00:00", "NextUpdate": "2026-01-01T00:00:00"}',
    ],
)  # fmt: skip
def test_damaged_metadata_is_no_database(tmp_path: Path, text: str) -> None:
    (tmp_path / "metadata.json").write_text(text)
    with pytest.raises(Unavailable, match="not the description"):
        database.read(tmp_path)


def test_metadata_that_is_no_file_is_no_database(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "metadata.json")
    with pytest.raises(ModelpackError, match="FIFO"):
        database.read(tmp_path)


def test_nanoseconds_are_read(tmp_path: Path) -> None:
    times = {"UpdatedAt": "2023-11-14T22:13:20.123456789Z", "NextUpdate": "2023-11-14T22:13:21Z"}
    (tmp_path / "metadata.json").write_text(json.dumps(times))
    assert database.read(tmp_path).updated == NOW


@pytest.mark.parametrize(
    ("age", "fits"),
    [(0, True), (7 * DAY, True), (7 * DAY + 1, False), (-DAY, True), (-DAY - 1, False)],
)
def test_the_age_of_a_database(age: int, fits: bool) -> None:
    one = Database(folder=Path("db"), updated=NOW - age, next_update=NOW)
    finding = too_old(one, "7d", now=NOW)
    assert (finding is None) is fits
    if finding:
        assert ("older than 7d" if age > 0 else "yet to come") in finding.message
