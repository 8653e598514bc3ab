"""`modelpack lock` as people use it, against a Debian archive and a package index of this machine.

In this process, so that the archive can be signed with a key of ours and be read on its day.
"""

import hashlib
import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from modelpack.cli import environment
from modelpack.inputs.debian import distributions
from modelpack.inputs.debian import keys as debian_keys
from modelpack.lock import AssembledBase
from modelpack.lock import encoding as lock_encoding
from tests import debian_archive, projects
from tests.command_line import Done, run_here, state_of
from tests.debian_archive import NOW, Repository, deb, serve_files
from tests.model_bytes import ubj, xgboost
from tests.wheel_files import build as build_wheel

pytestmark = pytest.mark.integration

MINOR = ".".join(platform.python_version_tuple()[:2])
SECTIONS = """
[dependencies]
lockfile = "requirements.lock"
"""
SOURCE = 'source = "requirements.in"\n'
# A base that is put together and whose interpreter no machine can start.
INTERPRETER = tuple(
    debian_archive.file(path, b"cannot be started", mode=0o755)
    for path in (f"./usr/bin/python{MINOR}", "./usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2")
)
NEWER_DAY = {"Date": "Sat, 21 Nov 2026 02:00:00 UTC"}


@dataclass
class Desk:
    """A project, and the Debian archive and wheels that this machine can reach."""

    folder: Path
    wheels: Path
    repository: Repository
    run: Callable[..., Done]

    @property
    def toml(self) -> Path:
        return self.folder / "modelpack.toml"

    @property
    def lock_file(self) -> Path:
        return self.folder / "modelpack.lock"

    @property
    def pins(self) -> str:
        return (self.folder / "requirements.lock").read_text(encoding="utf-8")

    def lock(self, *options: str) -> Done:
        return self.run("lock", self.folder, *options)

    def edit(self, old: str, new: str) -> None:
        text = self.toml.read_text(encoding="utf-8")
        assert old in text
        self.toml.write_text(text.replace(old, new), encoding="utf-8")

    def add(self, text: str) -> None:
        with self.toml.open("a", encoding="utf-8") as file:
            file.write(text)

    def require(self, text: str) -> None:
        """Let pip-tools compile what `text` asks for."""
        self.add(SECTIONS + SOURCE)
        (self.folder / "requirements.in").write_text(text, encoding="utf-8")

    def pin(self, *lines: str) -> None:
        """Write a lockfile by hand; `NAME==VERSION` gets the hashes of its wheels."""
        if "[dependencies]" not in self.toml.read_text(encoding="utf-8"):
            self.add(SECTIONS)
        hashed = [f"{line} {self._hashes(line)}" if "==" in line else line for line in lines]
        (self.folder / "requirements.lock").write_text("\n".join(hashed) + "\n", encoding="utf-8")

    def _hashes(self, line: str) -> str:
        name, _, version = line.partition("==")
        return " ".join(
            f"--hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
            for path in sorted(self.wheels.glob(f"{name}-{version}[.-]*"))
        )

    def publish(self, name: str, version: str) -> None:
        """Let Debian release another version of a package."""
        self.repository.add(name, package(name, version), version=version)
        self.repository.publish("debian", "trixie", fields=NEWER_DAY)


def package(name: str, version: str) -> bytes:
    """Return a package of the base; the one of the interpreter has files."""
    return deb(name, *(INTERPRETER if name.endswith("-minimal") else ()), version=version)


@pytest.fixture(scope="module")
def signer() -> object:
    pysequoia = pytest.importorskip("pysequoia")
    return pysequoia.Tsk.generate("Test Archive <test@example.org>")


@pytest.fixture
def desk(
    tmp_path: Path,
    signer: object,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Desk]:
    # The archive's Python is the one that runs the tests, so that it can compile requirements.
    ours = replace(distributions.DISTRIBUTIONS["debian:13"], python=MINOR)
    monkeypatch.setitem(distributions.DISTRIBUTIONS, "debian:13", ours)
    repository = Repository(signer)
    versions = {"libc6": "2.41-12", f"python{MINOR}-minimal": f"{platform.python_version()}-1"}
    for name in ours.roots:
        version = versions.get(name, "1.0-1")
        repository.add(name, package(name, version), version=version)
    repository.publish_all()
    folder = tmp_path / "project"
    for path, data in {
        "modelpack.toml": projects.TOML.encode(),
        **projects.CODE,
        **{f"weights/{name}": data for name, data in projects.WEIGHTS.items()},
    }.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    monkeypatch.setattr(debian_keys, "keyring", lambda: (signer.extract_certificate().__bytes__(),))
    monkeypatch.setattr(environment, "now", lambda: NOW)
    with serve_files(repository.files) as root:
        settings = {
            "MODELPACK_CACHE": str(tmp_path / "cache"),
            "MODELPACK_CONFIG": str(tmp_path / "none.toml"),
            "MODELPACK_DEBIAN_MIRROR": f"{root}/debian",
            "MODELPACK_DEBIAN_SECURITY_MIRROR": f"{root}/debian-security",
            "MODELPACK_DEBIAN_SNAPSHOT": f"{root}/snapshot",
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_FIND_LINKS": str(wheels),
            "PIP_NO_INDEX": "1",
            "PIP_TOOLS_CACHE_DIR": str(tmp_path / "pip-tools"),
            "no_proxy": "127.0.0.1",
        }
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        yield Desk(folder, wheels, repository, lambda *words: run_here(capsys, *words))


def test_a_build_makes_the_missing_lock_and_never_changes_it(desk: Desk) -> None:
    first = desk.run("build", desk.folder)
    assert first.status == 0, first.err
    assert "wrote modelpack.lock" in first.err
    made = desk.lock_file.read_bytes()
    desk.publish("libc6", "2.41-13")
    again = desk.run("build", desk.folder)
    assert (again.status, again.out) == (0, first.out)
    assert "wrote" not in again.err
    assert desk.lock_file.read_bytes() == made


def test_a_fresh_lock_stays_as_it_is(desk: Desk) -> None:
    assert desk.lock().status == 0
    made = desk.lock_file.read_bytes()
    desk.publish("libc6", "2.41-13")
    assert desk.lock("--check").out == "the lock is fresh\n"
    fresh = {"schema": 1, "fresh": True, "findings": []}
    assert desk.lock("--check", "--json").document == fresh
    assert desk.lock().out == "nothing moved\n"
    assert desk.lock_file.read_bytes() == made


def test_a_locked_build_makes_no_lock(desk: Desk) -> None:
    before = state_of(desk.folder)
    done = desk.run("build", desk.folder, "--locked")
    assert done.status == 2
    assert "there is no `modelpack.lock`" in done.err
    assert "hint: modelpack lock" in done.err
    assert state_of(desk.folder) == before


def test_the_base_moves_only_when_asked(desk: Desk) -> None:
    desk.lock()
    desk.publish("libc6", "2.41-13")
    (desk.folder / "weights" / "config.json").write_text("{}")
    assert desk.lock("--upgrade", "base").out.splitlines() == [
        "linux/amd64 base libc6 2.41-12 -> 2.41-13",
        "weights tiny/config.json changed",
    ]
    assert desk.lock("--upgrade", "all").out == "nothing moved\n"


EDITS = {
    "base": ("[runtime]\n", '[runtime]\npackages = ["libgomp1"]\n', "runtime.packages"),
    "dependencies": (
        "[runtime]\n", '[dependencies]\nlockfile = "other.lock"\n[runtime]\n',
        "dependencies.lockfile",
    ),
    "weights": ('path = "weights"\n', 'path = "weights"\nexclude = ["*.md"]\n', "weights.tiny"),
    "runtime": ("[runtime]\n", '[image]\ncompression = "zstd"\n[runtime]\n', "image.compression"),
}  # fmt: skip


@pytest.mark.parametrize("part", EDITS)
def test_a_stale_part_is_named_with_what_moved_and_what_to_type(desk: Desk, part: str) -> None:
    (desk.folder / "other.lock").write_text("")
    desk.lock()
    old, new, key = EDITS[part]
    desk.edit(old, new)
    before = state_of(desk.folder)
    for words in (["lock", "--check"], ["build"], ["build", "--locked"], ["plan"], ["check"]):
        done = desk.run(words[0], desk.folder, *words[1:])
        assert done.status == 2
        (line,) = done.messages
        assert line.startswith(f"error: modelpack.lock: {part}: the lock is stale: ")
        assert key in line
        assert "hint: modelpack lock\n" in done.err
    assert state_of(desk.folder) == before
    (finding,) = desk.lock("--check", "--json").document["error"]["findings"]
    assert finding["rule"] == f"lock.stale-{part}"


def test_every_stale_part_is_named_at_once(desk: Desk) -> None:
    desk.lock()
    desk.edit("[runtime]\n", '[image]\ncompression = "zstd"\n[runtime]\npackages = ["libgomp1"]\n')
    desk.edit('path = "weights"\n', 'path = "weights"\nexclude = ["*.md"]\n')
    done = desk.run("build", desk.folder)
    parts = [line.split(": ")[2] for line in done.messages]
    assert parts == ["base", "weights", "runtime"]


def test_tags_labels_gates_and_code_never_make_a_lock_stale(desk: Desk) -> None:
    desk.lock()
    made = desk.lock_file.read_bytes()
    desk.add(
        '[image]\nrepository = "ghcr.io/acme/tiny"\ntags = ["a"]\nlabels = { "com.acme.x" = "y" }\n'
        '[scan]\nfail-on = "LOW"\n[sign]\nrequire = ["scan"]\n[checks]\nlint = ["true"]\n'
    )
    desk.edit('version = "1.0.0"', 'version = "1.0.1"\ndescription = "better"')
    desk.edit("[runtime]\n", '[runtime]\nport = 8080\nuser = 4242\nenvironment = { A = "b" }\n')
    (desk.folder / "service" / "more.py").write_text("X = 1\n")
    assert desk.lock("--check").status == 0
    assert desk.lock().out == "nothing moved\n"
    assert desk.lock_file.read_bytes() == made


def test_weights_that_are_not_the_locked_ones_make_a_lock_stale(desk: Desk) -> None:
    desk.lock()
    weights = desk.folder / "weights"
    data = (weights / "config.json").read_bytes()
    (weights / "config.json").write_bytes(data.replace(b"Tiny", b"Tini"))
    (weights / "extra.json").write_text("{}")
    (desk.folder / "weights" / "model-00001-of-00002.safetensors").touch()
    done = desk.lock("--check")
    assert done.status == 2
    assert "`extra.json` is not in the lock" in done.err
    (weights / "extra.json").unlink()
    done = desk.lock("--check")
    assert [line for line in done.messages if "its content differs" in line] == done.messages
    assert "`config.json`" in done.messages[0]
    assert desk.lock().out == "weights tiny/config.json changed\n"
    assert desk.lock("--check").status == 0


def test_a_machine_without_the_weights_can_judge_and_renew_the_rest(desk: Desk) -> None:
    desk.lock()
    shutil.rmtree(desk.folder / "weights")
    assert desk.lock("--check").status == 0
    done = desk.run("check", desk.folder)
    assert done.status == 0
    assert "`weights` is not on this machine" in done.out
    desk.publish("libc6", "2.41-13")
    assert desk.lock("--upgrade", "base").out == "linux/amd64 base libc6 2.41-12 -> 2.41-13\n"
    done = desk.lock("--upgrade", "weights")
    assert done.status == 2
    assert "there is no folder `weights`" in done.err


def test_weights_that_the_locked_library_cannot_load_are_refused_by_every_command(
    desk: Desk,
) -> None:
    desk.edit('path = "weights"\n', 'path = "weights"\ninclude = ["*"]\n')
    (desk.folder / "weights" / "model.ubj").write_bytes(ubj(xgboost()))
    for version in ("1.5.2", "2.1.4"):
        build_wheel(desk.wheels, "xgboost", version)
    desk.pin("xgboost==2.1.4")
    assert desk.lock().status == 0
    assert desk.run("build", "--locked", desk.folder).status == 0
    desk.pin("xgboost==1.5.2")
    done = desk.lock("--upgrade", "deps")
    words = (
        "weights/model.ubj: is a model of XGBoost in UBJ: xgboost reads that from 1.6.0 on, 1.5.2 "
        "is locked"
    )
    assert done.status == 1
    assert any(words in line for line in done.messages), done.err
    desk.pin("xgboost==2.1.4")
    locked = lock_encoding.parse(desk.lock_file.read_bytes()).platforms[0]
    wheels = tuple(replace(wheel, version="1.5.2") for wheel in locked.wheels)
    projects.rewrite_lock(desk.folder, replace(locked, wheels=wheels))
    for command in (("check",), ("build", "--locked")):
        done = desk.run(*command, desk.folder)
        assert done.status == 1
        assert any(words in line for line in done.messages), done.err


def test_the_parts_that_nobody_named_stay(desk: Desk) -> None:
    desk.lock()
    before = desk.lock_file.read_bytes()
    desk.publish("libc6", "2.41-13")
    for part in ("deps", "weights", "runtime"):
        assert desk.lock("--upgrade", part).out == "nothing moved\n"
    assert desk.lock_file.read_bytes() == before


def test_bytecode_that_was_settled_stays_settled_on_another_machine(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.edit('bytecode = "none"\n', "")
    desk.lock()
    made = desk.lock_file.read_text(encoding="utf-8")
    assert '"bytecode": "unchecked-hash"' in made
    monkeypatch.setattr(environment, "host", lambda: None)
    (desk.folder / "weights" / "config.json").write_text("{}")
    assert desk.lock().out == "weights tiny/config.json changed\n"
    assert '"bytecode": "unchecked-hash"' in desk.lock_file.read_text(encoding="utf-8")


# Damage


def damaged(text: bytes) -> dict[str, bytes]:
    return {
        "edited": text.replace(b'"epoch": ', b'"epoch": 1', 1),
        "cut": text[: len(text) // 2],
        "empty": b"",
        "binary": bytes(range(256)),
        "merge": b"<<<<<<< ours\n" + text + b"=======\n>>>>>>> theirs\n",
        "another version": text.replace(b'"version": 1', b'"version": 2', 1),
        "another format": text.replace(b'"format": ', b'"format": 9', 1),
        "not an object": b"[1]",
        "deep": b"[" * 200_000,
        "a key twice": text.replace(b'"epoch"', b'"epoch": 1, "epoch"', 1),
        "no integrity": b"{}",
    }


@pytest.mark.parametrize("kind", damaged(b""))
def test_a_damaged_lock_is_refused_by_every_command_and_never_replaced(
    desk: Desk, kind: str
) -> None:
    desk.lock()
    data = damaged(desk.lock_file.read_bytes())[kind]
    desk.lock_file.write_bytes(data)
    before = state_of(desk.folder)
    for words in (
        ["lock"], ["lock", "--check"], ["lock", "--upgrade", "all"], ["check"], ["plan"], ["build"],
        ["build", "--no-cache"],
    ):  # fmt: skip
        done = desk.run(words[0], desk.folder, *words[1:])
        assert done.status == 2, words
        assert "modelpack.lock: the lock " in done.err
        assert "delete it and run `modelpack lock`" in done.err
    assert state_of(desk.folder) == before
    desk.lock_file.unlink()
    assert desk.lock().status == 0


# Requirements


def test_requirements_are_compiled_and_locked(desk: Desk) -> None:
    build_wheel(desk.wheels, "app", metadata="Requires-Dist: lib>=1\n")
    build_wheel(desk.wheels, "lib")
    desk.require("app\n")
    done = desk.lock()
    assert done.status == 0, done.err
    wheels = [line for line in done.out.splitlines() if " wheel " in line]
    assert wheels == ["linux/amd64 wheel app 1.0 added", "linux/amd64 wheel lib 1.0 added"]
    assert "app==1.0" in desk.pins
    assert desk.run("build", desk.folder, "--offline").status == 3  # nothing was downloaded yet
    built = desk.run("build", desk.folder)
    assert built.status == 0, built.err
    assert desk.run("build", desk.folder, "--offline", "--no-cache").out == built.out


def test_an_edited_source_moves_nothing_that_still_fits(desk: Desk) -> None:
    for name in ("app", "lib"):
        build_wheel(desk.wheels, name)
    desk.require("app\n")
    desk.lock()
    for name in ("app", "lib"):
        build_wheel(desk.wheels, name, "2.0")
    (desk.folder / "requirements.in").write_text("app\nlib\n", encoding="utf-8")
    stale = desk.lock("--check")
    assert stale.status == 2
    assert "content of dependencies.source" in stale.err
    assert desk.lock().out == "linux/amd64 wheel lib 2.0 added\n"
    assert desk.lock("--check").status == 0
    assert desk.lock("--upgrade", "deps").out == "linux/amd64 wheel app 1.0 -> 2.0\n"


def test_one_package_moves_alone(desk: Desk) -> None:
    for name in ("app", "my_lib"):
        build_wheel(desk.wheels, name)
    desk.require("app\nmy-lib\n")
    desk.lock()
    for name in ("app", "my_lib"):
        build_wheel(desk.wheels, name, "2.0")
    desk.publish("libc6", "2.41-13")
    done = desk.lock("--upgrade-package", "My_Lib")
    assert done.out == "linux/amd64 wheel my-lib 1.0 -> 2.0\n"


def test_a_package_that_is_not_pinned_cannot_move(desk: Desk) -> None:
    build_wheel(desk.wheels, "app")
    desk.require("app\n")
    desk.lock()
    before = state_of(desk.folder)
    done = desk.lock("--upgrade-package", "aap")
    assert done.status == 2
    assert "`requirements.lock` pins no `aap`" in done.err
    assert "did you mean `app`?" in done.err
    assert state_of(desk.folder) == before


def test_moving_a_package_needs_a_source(desk: Desk) -> None:
    done = desk.lock("--upgrade-package", "app")
    assert done.status == 2
    assert "`--upgrade-package` needs `dependencies.source`" in done.err


def test_without_the_targets_python_the_command_for_uv_is_told(desk: Desk) -> None:
    desk.publish(f"python{MINOR}-minimal", f"{MINOR}.99-1")
    build_wheel(desk.wheels, "app")
    desk.require("app\n")
    before = state_of(desk.folder)
    done = desk.lock()
    assert done.status == 3
    assert f"no Python {MINOR}.99 for linux/amd64 runs on this machine" in done.err
    assert "uv pip compile --generate-hashes" in done.err
    assert state_of(desk.folder) == before


def test_what_no_index_has_leaves_everything_as_it_was(desk: Desk) -> None:
    desk.require("nowhere-to-be-found\n")
    before = state_of(desk.folder)
    assert desk.lock().status in (2, 3)
    assert state_of(desk.folder) == before


def test_incomplete_wheels_are_refused_naming_both(desk: Desk) -> None:
    build_wheel(desk.wheels, "app", metadata="Requires-Dist: lib>=1\nRequires-Dist: other\n")
    build_wheel(desk.wheels, "lib", "0.5")
    desk.pin("app==1.0", "lib==0.5")
    done = desk.lock()
    assert done.status == 1
    assert "`app` 1.0 requires `lib>=1`, but `lib` is locked at 0.5" in done.err
    assert "`app` 1.0 requires `other`, which is not locked" in done.err
    assert not desk.lock_file.exists()


def test_wheels_for_something_else_are_refused_all_at_once(desk: Desk) -> None:
    other = "39" if MINOR != "3.9" else "310"
    build_wheel(desk.wheels, "python", tag=f"cp{other}-cp{other}-manylinux_2_17_x86_64")
    abi = f"cp{MINOR.replace('.', '')}"
    build_wheel(desk.wheels, "glibc", tag=f"{abi}-{abi}-manylinux_2_99_x86_64")
    build_wheel(desk.wheels, "machine", tag=f"{abi}-{abi}-manylinux_2_17_aarch64")
    build_wheel(desk.wheels, "windows", tag=f"{abi}-{abi}-win_amd64")
    (desk.wheels / "sdist-1.0.tar.gz").write_bytes(b"not read")
    desk.pin("python==1.0", "glibc==1.0", "machine==1.0", "windows==1.0", "sdist==1.0")
    done = desk.lock()
    assert done.status in (1, 2)
    for name in ("python", "glibc", "machine", "windows", "sdist"):
        assert any(f"`{name}" in line or f": {name}" in line for line in done.messages), name
    assert not desk.lock_file.exists()


def test_requirements_that_are_not_locked_are_refused_line_by_line(desk: Desk) -> None:
    desk.pin("app", "lib>=1", "git+https://example.org/x.git", "-e .", "--index-url https://x.org")
    (desk.folder / "weights" / "config.json").unlink()
    (desk.folder / "weights" / "model-00002-of-00002.safetensors").unlink()
    for words in (["check"], ["build"], ["lock"]):
        done = desk.run(words[0], desk.folder, *words[1:])
        assert done.status == 1
        for line in range(1, 6):
            assert f"requirements.lock:{line}: " in done.err
        assert "1 of 2 shards are missing" in done.err
        assert "reading the index" not in done.err, "the network was asked before"
    assert not desk.lock_file.exists()


@pytest.mark.parametrize(
    ("name", "export"), [("poetry.lock", "poetry export"), ("uv.lock", "uv export")]
)
def test_the_locks_of_other_tools_are_answered_with_the_export(
    desk: Desk, name: str, export: str
) -> None:
    desk.add(f'[dependencies]\nlockfile = "{name}"\n')
    (desk.folder / name).write_text("version = 1\n")
    for words in (["check"], ["build"], ["lock"]):
        done = desk.run(words[0], desk.folder, *words[1:])
        assert done.status == 2
        assert f"`{name}` is the lock of another tool" in done.err
        assert export in done.err


def test_offline_without_a_lock_says_so(desk: Desk) -> None:
    before = state_of(desk.folder)
    done = desk.run("build", desk.folder, "--offline")
    assert done.status == 2
    assert "`--offline` forbids" in done.err
    assert "hint: modelpack lock" in done.err
    assert state_of(desk.folder) == before


def test_a_mirror_that_does_not_answer_is_no_verdict(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    for archive in ("MIRROR", "SECURITY_MIRROR", "SNAPSHOT"):
        monkeypatch.setenv(f"MODELPACK_DEBIAN_{archive}", "http://127.0.0.1:9/debian")
    before = state_of(desk.folder)
    for words in (["lock"], ["build"]):
        assert desk.run(words[0], desk.folder).status == 3
    assert state_of(desk.folder) == before


def test_another_file_has_its_own_lock(desk: Desk) -> None:
    other = desk.folder / "gpu.toml"
    shutil.copyfile(desk.toml, other)
    assert desk.run("lock", desk.folder, "--file", other).status == 0
    assert (desk.folder / "gpu.lock").is_file()
    assert not desk.lock_file.exists()
    assert desk.run("lock", "--file", other, "--check").status == 0
    assert desk.run("build", "--file", other, "--locked").status == 0
    assert (desk.folder / "dist" / "image" / "index.json").is_file()


def for_two_platforms(desk: Desk) -> None:
    """Let Debian have arm64, too, and the project ask for both."""
    desk.repository.architectures = ("amd64", "arm64")
    versions = {"libc6": "2.41-12", f"python{MINOR}-minimal": f"{platform.python_version()}-1"}
    for name in distributions.DISTRIBUTIONS["debian:13"].roots:
        version = versions.get(name, "1.0-1")
        desk.repository.add(name, package(name, version), version=version, architecture="arm64")
    desk.repository.publish_all()
    desk.add('[image]\nplatforms = ["linux/amd64", "linux/arm64"]\n')


def test_two_platforms_are_locked_together(desk: Desk) -> None:
    for_two_platforms(desk)
    abi = "cp" + MINOR.replace(".", "")
    build_wheel(desk.wheels, "pure", "1.0")
    for machine in ("x86_64", "aarch64"):
        build_wheel(desk.wheels, "native", "1.0", tag=f"{abi}-{abi}-manylinux_2_17_{machine}")
    desk.pin("pure==1.0", "native==1.0")

    assert desk.lock().status == 0

    lock = lock_encoding.parse(desk.lock_file.read_bytes())
    assert [str(one.platform) for one in lock.platforms] == ["linux/amd64", "linux/arm64"]
    for one in lock.platforms:
        native, pure = one.wheels
        assert native.filename.endswith(f"_{one.platform.machine}.whl")
        assert pure.filename == "pure-1.0-py3-none-any.whl"
        assert isinstance(one.base, AssembledBase)
        assert {package.architecture for package in one.base.packages} == {
            one.platform.architecture
        }


def test_a_wheel_that_one_platform_lacks_is_one_finding(desk: Desk) -> None:
    for_two_platforms(desk)
    abi = "cp" + MINOR.replace(".", "")
    for name in ("alpha", "beta"):
        build_wheel(desk.wheels, name, "1.0", tag=f"{abi}-{abi}-manylinux_2_17_x86_64")
    build_wheel(desk.wheels, "pure", "1.0")
    desk.pin("alpha==1.0", "beta==1.0", "pure==1.0")

    done = desk.lock("--json")

    assert done.status == 2
    findings = done.document["error"]["findings"]
    assert [finding["at"].rpartition("/")[2] for finding in findings] == [
        "requirements.lock:1", "requirements.lock:2",
    ]  # fmt: skip
    for name, finding in zip(("alpha", "beta"), findings, strict=True):
        assert f"`{name}` 1.0 has no wheel for Python {MINOR} on linux/arm64" in finding["message"]
    assert not desk.lock_file.exists()


def test_what_is_wrong_on_both_platforms_is_said_once(desk: Desk) -> None:
    for_two_platforms(desk)
    build_wheel(desk.wheels, "alpha", "1.0", metadata="Requires-Dist: beta\n")
    abi = "cp" + MINOR.replace(".", "")
    arm64 = "Requires-Dist: gamma\n"
    build_wheel(desk.wheels, "native", "1.0", tag=f"{abi}-{abi}-manylinux_2_17_x86_64")
    build_wheel(desk.wheels, "native", "1.0", tag=f"{abi}-{abi}-manylinux_2_17_aarch64",
                metadata=arm64)  # fmt: skip
    desk.pin("alpha==1.0", "native==1.0", "absent==1.0 --hash=sha256:" + "0" * 64)

    findings = desk.lock("--json").document["error"]["findings"]
    assert ["absent" in finding["message"] for finding in findings] == [True]

    desk.pin("alpha==1.0", "native==1.0")
    done = desk.lock("--json")
    assert done.status == 1
    assert [finding["message"] for finding in done.document["error"]["findings"]] == [
        "`alpha` 1.0 requires `beta`, which is not locked",
        "`native` 1.0 requires `gamma`, which is not locked (for linux/arm64)",
    ]


def test_both_platforms_are_compiled_for_by_the_machine_of_one(desk: Desk) -> None:
    for_two_platforms(desk)
    desk.edit('bytecode = "none"', 'bytecode = "auto"')
    assert desk.lock().status == 0
    lock = lock_encoding.parse(desk.lock_file.read_bytes())
    assert {one.bytecode for one in lock.platforms} == {"unchecked-hash"}

    desk.edit('"linux/amd64", ', "")
    done = desk.lock()
    assert done.status == 0
    assert "Python files for linux/arm64 are not compiled ahead" in done.err
    (alone,) = lock_encoding.parse(desk.lock_file.read_bytes()).platforms
    assert alone.bytecode == "none"
