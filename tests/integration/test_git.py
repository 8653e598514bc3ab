"""The commit of the code, asked of a real git."""

import os
import subprocess

import pytest

from modelpack.assembly.source_reading import read_source
from modelpack.errors import InputError
from modelpack.inputs import git
from modelpack.inputs.machine import Machine
from modelpack.spec import Code
from tests import values

pytestmark = pytest.mark.integration
ENVIRONMENT = {"PATH": os.environ.get("PATH", ""), "HOME": "/nonexistent"}


@pytest.fixture
def repository(tmp_path, require_tool):
    require_tool("git")
    root = tmp_path / "repository"
    (root / "project").mkdir(parents=True)
    (root / "project" / "app.py").write_text("x = 1\n")
    (root / "other.txt").write_text("not packed\n")
    run(root, "init", "-q")
    commit(root)
    return root


def run(root, *arguments):
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
    environment = {
        **ENVIRONMENT, "GIT_COMMITTER_DATE": "1700000000 +0200",
        "GIT_AUTHOR_DATE": "1600000000 +0200",
    }  # fmt: skip
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=root, env=environment, check=True, capture_output=True
    )
    return done.stdout.decode().strip()


def commit(root):
    run(root, "add", "--all")
    run(root, "commit", "-q", "-m", "x")


def source(root, machine, **options):
    spec = values.spec(code=Code(command=("python", "app.py"), path="."), weights=())
    given = {"committed": (), "epoch": 5, "revision": None, "source_date_epoch": None, **options}
    return read_source(root / "project", spec, machine=machine, **given).source


@pytest.fixture
def machine(tmp_path):
    from modelpack.inputs.debian.mirrors import Mirrors
    from modelpack.inputs.downloads import Downloads
    from modelpack.inputs.file_digests import FileDigests

    return Machine(
        cache=tmp_path / "cache", downloads=Downloads(tmp_path / "cache"),
        digests=FileDigests(tmp_path / "cache"), mirrors=Mirrors(), indexes={},
        environment=ENVIRONMENT, now=0, threads=1, host=None,
    )  # fmt: skip


def test_revision_and_time_are_the_commits(repository, machine):
    found = source(repository, machine)
    assert found.revision == run(repository, "rev-parse", "HEAD")
    assert found.created == 1700000000
    assert not found.dirty


def test_an_edit_of_a_packed_file_is_dirty(repository, machine):
    (repository / "project" / "app.py").write_text("x = 2\n")
    assert source(repository, machine).dirty


def test_an_edit_elsewhere_is_not(repository, machine):
    (repository / "other.txt").write_text("edited\n")
    assert not source(repository, machine).dirty


def test_an_untracked_packed_file_is_dirty(repository, machine):
    (repository / "project" / "new.py").write_text("y = 1\n")
    assert source(repository, machine).dirty


def test_a_lost_executable_bit_is_dirty(repository, machine):
    (repository / "project" / "app.py").chmod(0o755)
    assert source(repository, machine).dirty


def test_a_committed_link_is_clean(repository, machine):
    (repository / "project" / "link.py").symlink_to("app.py")
    commit(repository)
    assert not source(repository, machine).dirty


def test_an_uncommitted_spec_is_dirty(repository, machine):
    toml = repository / "project" / "modelpack.toml"
    toml.write_text("schema = 1\n")
    assert source(repository, machine, committed=(toml,)).dirty


def test_a_given_revision_replaces_gits_and_the_lock_gives_the_time(repository, machine):
    found = source(repository, machine, revision="v1")
    assert (found.revision, found.created, found.dirty) == ("v1", 5, None)
    assert source(repository, machine, revision="none").revision == ""


def test_source_date_epoch_replaces_the_commits_time(repository, machine):
    assert source(repository, machine, source_date_epoch=7).created == 7


def test_without_a_repository_there_is_no_revision(tmp_path, machine, require_tool):
    require_tool("git")
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "app.py").write_text("x = 1\n")
    found = source(tmp_path, machine)
    assert (found.revision, found.created, found.dirty) == ("", 5, None)


def test_a_repository_without_a_commit_is_none(tmp_path, require_tool):
    require_tool("git")
    run(tmp_path, "init", "-q")
    assert git.head(tmp_path, environment=ENVIRONMENT) is None


def test_a_repositorys_configuration_starts_no_program(repository, machine, tmp_path):
    trap = tmp_path / "trap"
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch {trap}\n")
    program.chmod(0o755)
    for key in ("core.fsmonitor", "core.pager", "gpg.program", "diff.external"):
        run(repository, "config", key, str(program))
    run(repository, "config", "log.showSignature", "true")
    assert source(repository, machine).revision
    assert not trap.exists()


def test_another_owners_repository_is_told_with_the_command_to_type(repository):
    if os.getuid() != 0:
        pytest.skip("needs root to give a repository to another user")
    for folder, _, files in os.walk(repository):
        for name in ("", *files):
            os.chown(os.path.join(folder, name), 12345, 12345)
    with pytest.raises(InputError) as caught:
        git.head(repository, environment=ENVIRONMENT)
    assert "safe.directory" in caught.value.findings[0].hint
