"""The context of a Dockerfile: its modes, shared weights, whole or not at all, nobody else's."""

import os
import shutil
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from modelpack import dockerfile, pipeline, project
from modelpack.assembly import build_context
from modelpack.assembly.rendering import Rendered
from modelpack.errors import InputError, Refused, StaleLock, Unavailable
from modelpack.inputs.python import pip_wheel
from modelpack.oci.file_writing import WORTH_CLONING
from modelpack.oci.tar import FileRange
from modelpack.oci.tree import Tree
from modelpack.platform import Platform
from modelpack.progress import SILENT
from tests import projects

OPTIONS = pipeline.Options(revision="none")
LARGE = "large.safetensors"
ALWAYS = [".dockerignore", "Dockerfile", "amd64", "code", "meta", "weights"]


def render(
    folder: Path, cache: Path, *, place: Path | None = None, platforms: tuple[Platform, ...] = (),
    **how: bool,
) -> Rendered:  # fmt: skip
    this = project.read(folder)
    return pipeline.render(
        this, place or this.output / "docker", machine=projects.machine_of(cache),
        platforms=platforms, options=OPTIONS, how=dockerfile.Options(**how),
    )  # fmt: skip


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def tiny(tmp_path: Path, cache: Path) -> Path:
    """A project without wheels, whose code has a script and a link."""
    folder = tmp_path / "project"
    (folder / "service").mkdir(parents=True)
    (folder / "service" / "latest.py").symlink_to("__main__.py")
    (folder / "service" / "run.py").write_bytes(b"#!/usr/bin/python3\n")
    (folder / "service" / "run.py").chmod(0o700)
    return projects.make_project(folder, cache, wheels=False)


@pytest.fixture
def tight_umask() -> Iterator[None]:
    before = os.umask(0o077)
    yield
    os.umask(before)


def modes(place: Path) -> dict[str, int]:
    return {
        str(path.relative_to(place)): stat.S_IMODE(path.lstat().st_mode)
        for path in [place, *place.rglob("*")]
        if not path.is_symlink()
    }


def parents(path: str) -> list[str]:
    return [path, *(str(one) for one in Path(path).parents if one.name)]


def test_context_holds_what_the_dockerfile_copies(tiny: Path, cache: Path) -> None:
    rendered = render(tiny, cache)
    place = rendered.context.place
    (_, one), = rendered.dockerfiles  # fmt: skip

    assert sorted(os.listdir(place)) == ALWAYS
    assert place == tiny / "dist" / "docker"
    assert (place / "Dockerfile").read_text("utf-8") == one.text
    assert sorted(os.listdir(place / "meta")) == [
        "guard.py", "lock.json", "probe.py", "source.json", "spec.json", "weights.json",
    ]  # fmt: skip
    assert sorted(os.listdir(place / "weights" / "tiny" / "small")) == sorted(projects.WEIGHTS)
    assert (place / "code" / "service" / "latest.py").readlink() == Path("__main__.py")
    assert rendered.context.files == sum(p.is_file() and not p.is_symlink()
                                         for p in place.rglob("*"))  # fmt: skip


@pytest.mark.usefixtures("tight_umask")
def test_modes_are_those_of_the_image_whatever_the_umask(tiny: Path, cache: Path) -> None:
    found = modes(render(tiny, cache).context.place)

    assert found.pop("code/service/run.py") == 0o755
    folders = (".", "amd64", "code", "code/service", "meta", *parents("weights/tiny/small"))
    assert {found.pop(name) for name in folders} == {0o755}
    assert {*found.values()} == {0o644}


def test_with_wheels_pip_and_the_programs_lie_in_it(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = projects.make_project(tmp_path / "project", cache)
    locked = project.read(folder).lock
    assert locked is not None
    (wheel,) = locked.platforms[0].wheels
    monkeypatch.setattr(pip_wheel, "PIP", replace(wheel, filename="pip-0-py3-none-any.whl"))

    place = render(folder, cache).context.place
    names = sorted(str(path.relative_to(place)) for path in (place / "install").rglob("*"))

    assert names == [
        "install/pip-0-py3-none-any.whl", "install/settle", "install/settle/bytecode_driver.py",
        "install/settle/environment.py",
    ]  # fmt: skip
    assert f"=={wheel.version} --hash=sha256:{wheel.sha256}\n" in (
        place / "amd64" / "requirements.txt"
    ).read_text("ascii")
    assert not (place / "amd64" / "wheels").exists()
    place = render(folder, cache, wheels=True).context.place
    assert os.listdir(place / "amd64" / "wheels") == [wheel.filename]


def test_large_weights_cost_no_copy(tmp_path: Path, cache: Path) -> None:
    folder = tmp_path / "project"
    projects.sparse_safetensors(folder / "weights" / LARGE, WORTH_CLONING)
    source = folder / "weights" / LARGE
    source.chmod(0o644)
    projects.make_project(folder, cache, wheels=False)

    rendered = render(folder, cache)
    written = rendered.context.place / "weights" / "tiny" / "small" / LARGE

    assert written.read_bytes() == source.read_bytes()
    assert rendered.context.copied < source.stat().st_size
    assert written.stat().st_mode == source.stat().st_mode


def test_large_weights_of_another_mode_keep_it(tmp_path: Path, cache: Path) -> None:
    folder = tmp_path / "project"
    projects.sparse_safetensors(folder / "weights" / LARGE, WORTH_CLONING)
    source = folder / "weights" / LARGE
    source.chmod(0o600)
    projects.make_project(folder, cache, wheels=False)

    written = render(folder, cache).context.place / "weights" / "tiny" / "small" / LARGE

    assert stat.S_IMODE(source.stat().st_mode) == 0o600
    assert stat.S_IMODE(written.stat().st_mode) == 0o644
    assert written.read_bytes() == source.read_bytes()


def test_second_render_replaces_the_first_and_leaves_nothing_beside(
    tiny: Path, cache: Path
) -> None:
    first = modes(render(tiny, cache).context.place)
    (tiny / "service" / "more.py").write_bytes(b"")

    second = modes(render(tiny, cache).context.place)

    assert {*second} - {*first} == {"code/service/more.py"}
    assert os.listdir(tiny / "dist") == ["docker"]


def test_what_a_killed_render_left_is_used_again(tiny: Path, cache: Path) -> None:
    for name in (".docker.partial", ".docker.previous"):
        (tiny / "dist" / name / "deep").mkdir(parents=True)
        (tiny / "dist" / name / "Dockerfile").write_text("FROM old\n")

    place = render(tiny, cache).context.place

    assert sorted(os.listdir(place)) == ALWAYS
    assert os.listdir(tiny / "dist") == ["docker"]


def test_failing_leaves_what_was_there(
    tiny: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = render(tiny, cache).context.place
    before = {path: path.stat().st_ino for path in place.rglob("*") if path.is_file()}

    def full(*_: object) -> bool:
        raise Unavailable("no space")

    monkeypatch.setattr(build_context, "share_file", full)
    with pytest.raises(Unavailable, match="no space"):
        render(tiny, cache)
    with pytest.raises(Unavailable, match="no space"):
        render(tiny, cache, place=tiny / "a" / "b" / "docker")

    assert {path: path.stat().st_ino for path in place.rglob("*") if path.is_file()} == before
    assert os.listdir(tiny / "dist") == ["docker"]
    assert not (tiny / "a").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"notes.txt": "mine"}, "holds `notes.txt`, which `modelpack render` did not write"),
        ({"Dockerfile": "FROM mine\n"}, "the `Dockerfile` in it is not from `modelpack render`"),
        ({"code": ""}, "the `Dockerfile` in it is not from `modelpack render`"),
    ],
)
def test_folder_of_somebody_else_is_left_alone(
    tiny: Path, cache: Path, content: dict[str, str], message: str
) -> None:
    place = tiny / "mine"
    place.mkdir()
    for name, text in content.items():
        (place / name).write_text(text)

    with pytest.raises(InputError, match=message) as caught:
        render(tiny, cache, place=place)

    assert caught.value.findings[0].hint == "name another folder with `--output`"
    assert sorted(os.listdir(place)) == sorted(content)


def test_render_into_the_project_itself_is_refused(tiny: Path, cache: Path) -> None:
    with pytest.raises(InputError, match="did not write"):
        render(tiny, cache, place=tiny)


def test_file_in_the_place_is_refused_and_an_empty_folder_taken(tiny: Path, cache: Path) -> None:
    (tiny / "file").write_text("x")
    (tiny / "empty").mkdir()

    with pytest.raises(InputError, match="not a folder"):
        render(tiny, cache, place=tiny / "file")
    assert sorted(os.listdir(render(tiny, cache, place=tiny / "empty").context.place)) == ALWAYS


def test_changed_weights_make_the_lock_stale(tiny: Path, cache: Path) -> None:
    (tiny / "weights" / "config.json").write_bytes(b"{}")

    with pytest.raises(StaleLock, match=r"config\.json"):
        render(tiny, cache)
    assert not (tiny / "dist").exists()


def test_weights_that_are_not_here_are_named(tiny: Path, cache: Path) -> None:
    shutil.rmtree(tiny / "weights")

    with pytest.raises(Unavailable) as caught:
        render(tiny, cache)

    assert {finding.message.split("`")[1] for finding in caught.value.findings} == {
        *projects.WEIGHTS
    }


def test_mounted_weights_need_not_be_here(tmp_path: Path, cache: Path) -> None:
    toml = projects.TOML.replace('path = "weights"', 'path = "weights"\nmode = "mount"')
    folder = projects.make_project(tmp_path / "project", cache, toml=toml, wheels=False)
    shutil.rmtree(folder / "weights")

    rendered = render(folder, cache)

    assert sorted(os.listdir(rendered.context.place)) == [n for n in ALWAYS if n != "weights"]


def test_secret_in_the_code_is_refused(tiny: Path, cache: Path) -> None:
    key = "AKIA" + "Z7QK3TNXW4PLM2RS"
    (tiny / "service" / "more.py").write_text(f'KEY = "{key}"\n')

    with pytest.raises(Refused):
        render(tiny, cache)


def test_platform_that_is_not_locked_is_refused(tiny: Path, cache: Path) -> None:
    with pytest.raises(InputError, match="`linux/arm64` is not locked"):
        render(tiny, cache, platforms=(Platform("linux", "arm64"),))


def test_source_that_changed_its_size_is_refused(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(bytes(100))
    tree = Tree()
    tree.file("x", FileRange(path=str(tmp_path / "source"), size=99))

    with pytest.raises(InputError, match="changed"):
        build_context.write(tmp_path / "place", tree, progress=SILENT)
    assert os.listdir(tmp_path) == ["source"]


def test_every_weight_file_is_found_by_its_name_in_the_context(tmp_path: Path, cache: Path) -> None:
    odd = {"a [1]/$x *.json": b"{}", "é.json": b"{}", "config.json": b"{}"}
    toml = projects.TOML.replace('path = "weights"', 'path = "weights"\ninclude = ["**/*.json"]')
    folder = projects.make_project(
        tmp_path / "project", cache, toml=toml, weights=odd, wheels=False
    )

    small = render(folder, cache).context.place / "weights" / "tiny" / "small"

    assert {str(p.relative_to(small)) for p in small.rglob("*") if p.is_file()} == {*odd}
