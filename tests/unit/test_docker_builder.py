"""A build with a BuildKit that is a program of the test: what it is given, what is believed."""

import io
import json
import shutil
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from modelpack import pipeline, project
from modelpack.assembly import outputs
from modelpack.assembly.explanation import explain
from modelpack.errors import ModelpackError, Refused, Unavailable
from modelpack.inputs.python import pip_wheel, wheels
from modelpack.oci.tar import Entry, pieces, symlink
from modelpack.oci.tree import Tree
from tests import projects
from tests.fakes.programs import Programs, said

FAR = """\
Name:   far
Driver: {driver}

Nodes:
Name:             far0
BuildKit version: v0.26.3
Platforms:        linux/amd64
"""
MODULE = "opt/venv/lib/python3.13/site-packages/pastel/table.py"


class Desk:
    """A project, its cache, and a `buildx` that keeps what it is given and returns a tar."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cache = folder / "cache"
        self.project = projects.make_project(folder / "project", self.cache)
        self.programs = Programs(folder / "bin")
        self.given = folder / "given"
        self.returned = folder / "returned.tar"
        self.returns(self.environment())
        self.answers()

    def answers(self, *, driver: str = "remote", build: str = "") -> None:
        """Let buildx be of this driver, and run `build` before it returns the tar."""
        self.programs.add(
            "buildx",
            ("inspect*", f"cat <<'END'\n{FAR.format(driver=driver)}END\n"),
            ("build *", (
                f'for last; do :; done; rm -rf {self.given}; cp -a "$(dirname $last)" {self.given}'
                f"; {build or ':'}; cat {self.returned}"
            )),
        )  # fmt: skip

    def environment(self) -> Tree:
        """Return what pip makes of the project's wheels."""
        lock = project.read(self.project).lock
        assert lock is not None
        (platform,) = lock.platforms
        downloads = projects.machine_of(self.cache).downloads
        paths = {wheel.sha256: downloads.path(wheel.sha256) for wheel in platform.wheels}
        scratch = self.folder / "scratch"
        scratch.mkdir(exist_ok=True)
        return wheels.tree(
            platform.wheels, {sha256: path for sha256, path in paths.items() if path},
            interpreter=platform.interpreter, scratch=scratch,
        )  # fmt: skip

    def returns(self, tree: Tree) -> None:
        """Let the builder return this."""
        with self.returned.open("wb") as out:
            for piece in pieces(tree.entries()):
                if isinstance(piece, bytes):
                    out.write(piece)
                else:
                    with open(piece.path, "rb") as file:
                        file.seek(piece.offset)
                        out.write(file.read(piece.size))

    def build(self, builder: str = "far", *, use_cache: bool = True) -> pipeline.Built:
        """Build the project."""
        this = project.read(self.project)
        machine = replace(
            projects.machine_of(self.cache), environment=self.programs.environment
        )  # fmt: skip
        built = pipeline.build(
            this, machine=machine,
            outputs=outputs.parse_all([f"oci:{this.layout}"], tags=("1",), names=()),
            options=pipeline.Options(builder=builder, use_cache=use_cache),
        )  # fmt: skip
        (this.output / "build.json").write_text(_record(built), "utf-8")
        return built

    def left(self) -> list[Path]:
        """Return what lies in the scratch room."""
        return sorted((self.cache / "scratch").glob("*"))


def _record(built: pipeline.Built) -> str:
    layers = [
        {"step": item.step.kind, "key": item.step.digest} for item in built.images[0][2]
    ]  # fmt: skip
    return json.dumps({"builder": built.builder, "layers": layers})


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    pip = tmp_path / "pip.whl"
    pip.write_bytes(b"pip")
    # The pinned pip is not on every machine; the builder of the test does not run it.
    monkeypatch.setattr(pip_wheel, "fetch", lambda machine: pip)
    return Desk(tmp_path)


def digests(built: pipeline.Built) -> dict[str, str]:
    return {item.step.kind: item.layer.blob.digest for item in built.images[0][2]}


def reused(built: pipeline.Built) -> dict[str, bool]:
    return {item.step.kind: item.reused for item in built.images[0][2]}


@pytest.mark.parametrize("driver", ["docker", "docker-container", "remote", "kubernetes"])
def test_the_image_is_the_one_that_the_embedded_builder_makes(driver: str, desk: Desk) -> None:
    desk.answers(driver=driver)
    assert desk.build("far").digest == desk.build("embedded").digest
    assert desk.left() == []


def files_in(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(folder.rglob("*")):
        assert path.is_relative_to(folder / "base") or not path.is_symlink()
        if path.is_file():
            yield path.relative_to(folder).as_posix(), path.read_bytes()


@pytest.mark.parametrize("driver", ["docker", "remote"])
def test_no_weight_and_no_code_is_sent(driver: str, desk: Desk) -> None:
    desk.answers(driver=driver)
    desk.build()
    own = {*projects.WEIGHTS.values(), *projects.CODE.values()} - {b""}
    sent = dict(files_in(desk.given))
    for content in sent.values():
        for one in own:
            assert one not in content
    context = {name.partition("/")[2] for name in sent if name.startswith("context/")}
    assert context == {
        "Dockerfile", "requirements.txt", "environment.py", "bytecode_driver.py",
        pip_wheel.PIP.filename, "wheels/pastel-1.0-py3-none-any.whl",
        *(["base-1.tar"] if driver == "docker" else []),
    }  # fmt: skip


def test_the_base_is_an_oci_layout_for_a_buildkit_of_its_own(desk: Desk) -> None:
    built = desk.build()
    blobs = desk.given / "base" / "blobs"
    (call,) = [call for call in desk.programs.calls if call.startswith("buildx build ")]
    context = call.partition("--build-context base=oci-layout://")[2].split()[0]
    digest = context.partition("@")[2]
    manifest = json.loads((blobs / digest.replace(":", "/")).read_bytes())
    assert [layer["digest"] for layer in manifest["layers"]] == [digests(built)["base"]]
    config = json.loads((blobs / manifest["config"]["digest"].replace(":", "/")).read_bytes())
    assert (config["os"], config["architecture"], config["config"]) == ("linux", "amd64", {})


def test_the_base_is_unpacked_by_an_engine(desk: Desk) -> None:
    desk.answers(driver="docker")
    desk.build()
    (call,) = [call for call in desk.programs.calls if call.startswith("buildx build ")]
    assert "--build-context" not in call
    assert (
        (desk.given / "context" / "Dockerfile")
        .read_text()
        .startswith("FROM scratch AS base\nADD base-1.tar /\nFROM base AS environment\n")
    )
    with tarfile.open(desk.given / "context" / "base-1.tar") as archive:
        assert "usr/bin/python3.13" in archive.getnames()


def test_run_is_never_a_shell_and_pip_has_hashes_only(desk: Desk) -> None:
    desk.build()
    context = desk.given / "context"
    runs = [
        line.partition("target=/modelpack ")[2]
        for line in (context / "Dockerfile").read_text().splitlines()
        if line.startswith("RUN")
    ]
    commands = [json.loads(words) for words in runs]
    assert [command[0] for command in commands] == [
        "/usr/bin/python3.13", "/opt/venv/bin/python", "/usr/bin/python3.13",
    ]  # fmt: skip
    assert {"--no-index", "--require-hashes", "--no-deps", "--only-binary=:all:"} <= {*commands[1]}
    (wheel,) = (context / "wheels").iterdir()
    name, _, digest = (
        (context / "requirements.txt").read_text().strip().partition(" --hash=sha256:")
    )
    assert name == "pastel==1.0"
    assert digest == projects.sha256_of(wheel)


def test_a_code_change_starts_no_program(desk: Desk) -> None:
    desk.build()
    shutil.rmtree(desk.programs.folder)
    (desk.project / "service" / "__main__.py").write_bytes(b'print("other")\n')
    built = desk.build()
    assert reused(built) == {
        "base": True, "dependencies": True, "weights": False, "code": False, "meta": False,
    }  # fmt: skip


def test_no_builder_answers_for_another_where_something_was_run(desk: Desk) -> None:
    desk.build("embedded")
    built = desk.build("far")
    assert reused(built)["base"]
    assert not reused(built)["dependencies"]
    assert reused(desk.build("other"))["dependencies"]  # any BuildKit is as good
    assert reused(desk.build("embedded"))["dependencies"]


def test_without_cache_the_builder_has_none_either(desk: Desk) -> None:
    desk.build()
    desk.build(use_cache=False)
    calls = [call for call in desk.programs.calls if call.startswith("buildx build ")]
    assert ["--no-cache" in call.split() for call in calls] == [False, True]


def test_a_plan_explains_what_the_last_builder_would_do(desk: Desk) -> None:
    desk.build()
    this = project.read(desk.project)
    assert this.lock is not None
    machine = projects.machine_of(desk.cache)
    read = pipeline.read_code(this, machine=machine, epoch=0, options=pipeline.Options())
    ((_, planned),) = pipeline.make_plans(this, this.lock, read)
    states = {one.step.kind: one.state for one in explain(planned, this.layout, machine)}
    assert states["dependencies"] == states["base"] == "reuse"


def hostile(change: Callable[[Tree], None]) -> Callable[[Desk], None]:
    def commit(desk: Desk) -> None:
        tree = desk.environment()
        change(tree)
        desk.returns(tree)

    return commit


def raw(kind: bytes, **values: Any) -> Callable[[Desk], None]:
    """Let the builder return what it should, and a member that no tree of ours can hold."""

    def commit(desk: Desk) -> None:
        out = io.BytesIO()
        with (
            tarfile.open(desk.returned) as source,
            tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as target,
        ):
            for member in source:
                target.addfile(member, source.extractfile(member) if member.isreg() else None)
            extra = tarfile.TarInfo(values.pop("name", "opt/venv/x"))
            extra.type = kind
            for key, value in values.items():
                setattr(extra, key, value)
            target.addfile(extra)
        desk.returned.write_bytes(out.getvalue())

    return commit


CRIMES: dict[str, tuple[Callable[[Desk], None], str]] = {
    "nothing": (lambda desk: desk.returned.write_bytes(b""), "not a tar archive"),
    "an empty tar": (lambda desk: desk.returns(Tree()), "was not installed"),
    "half of it": (
        lambda desk: desk.returned.write_bytes(desk.returned.read_bytes()[:5000]),
        "cut off|was not installed",
    ),
    "another byte": (
        hostile(lambda t: t.put(Entry(path=MODULE, content=b"x"))), "is not what RECORD says",
    ),
    "a file too many": (
        hostile(lambda t: t.file("opt/venv/lib/python3.13/site-packages/evil.pth", b"import os")),
        "comes from no wheel",
    ),
    "a link too many": (
        hostile(lambda t: t.add(symlink("opt/venv/x", "/etc"))), "comes from no wheel",
    ),
    "a device": (raw(tarfile.CHRTYPE), "is a device"),
    "a hard link": (raw(tarfile.LNKTYPE, linkname=MODULE), "is a hard link"),
    "a whiteout": (raw(tarfile.REGTYPE, name="opt/venv/.wh.lib"), "is a whiteout"),
    "a set-id program": (raw(tarfile.REGTYPE, mode=0o4755), "set-id"),
    "a way out": (raw(tarfile.REGTYPE, name="opt/../../etc/passwd"), "unsafe path"),
    "an absolute path": (raw(tarfile.REGTYPE, name="/etc/passwd"), "unsafe path"),
    "a capability": (
        raw(tarfile.REGTYPE, pax_headers={"SCHILY.xattr.security.capability": "1"}), "attribute",
    ),
}  # fmt: skip


@pytest.mark.parametrize("crime", CRIMES)
def test_what_a_builder_returns_is_not_believed(crime: str, desk: Desk) -> None:
    commit, words = CRIMES[crime]
    commit(desk)
    with pytest.raises(Refused, match=words):
        desk.build()
    assert desk.left() == []
    assert not (desk.project / "dist" / "image").exists()


def test_who_has_no_builder_does_not_wait_for_the_base(desk: Desk) -> None:
    shutil.rmtree(desk.programs.folder)
    with pytest.raises(Unavailable, match="neither `docker` nor `buildx`"):
        desk.build()
    assert not (desk.cache / "steps").exists()


def test_a_builder_that_fails_leaves_nothing(desk: Desk) -> None:
    desk.answers(build=said("#5 [environment 2/3] RUN pip\n#5 ERROR: no", 1))
    with pytest.raises(ModelpackError):
        desk.build()
    assert desk.left() == []
    assert not (desk.project / "dist" / "image").exists()


def test_a_hostile_wheel_is_not_sent(desk: Desk) -> None:
    this = project.read(desk.project)
    assert this.lock is not None
    content = projects.wheel("evil", "1.0", {"../evil.py": b""})
    sha256 = projects.keep(projects.machine_of(desk.cache).downloads, content)
    (platform,) = this.lock.platforms
    evil = replace(
        platform.wheels[0], name="evil", filename="evil-1.0-py3-none-any.whl", sha256=sha256,
        size=len(content),
    )  # fmt: skip
    projects.rewrite_lock(desk.project, replace(platform, wheels=(evil,)))
    with pytest.raises(Refused, match="unsafe path"):
        desk.build()
    assert not [call for call in desk.programs.calls if call.startswith("buildx build ")]
