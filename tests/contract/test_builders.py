"""What every builder of base and dependency layers must do, and that it does not matter which."""

import io
import json
import subprocess
import sys
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from modelpack.errors import Unavailable
from modelpack.oci.layout import Layout
from tests import projects, real_base
from tests.buildkit import NAME

pytestmark = pytest.mark.integration

BUILDERS = ["embedded", "docker"]
VENV = "opt/venv"
SITE = f"{VENV}/lib/python3.13/site-packages"


@dataclass(frozen=True)
class Made:
    """What one builder made of the project."""

    layout: Path
    record: Mapping[str, Any]

    def config(self) -> Any:
        store = Layout(self.layout)
        return json.loads(store.read(store.image(self.record["digest"]).config))

    def tree(self, step: str) -> dict[str, tuple[str, int, str | bytes]]:
        """Return kind, mode and content of every member of a layer."""
        (layer,) = [layer for layer in self.record["layers"] if layer["step"] == step]
        with Layout(self.layout).open_blob(layer["digest"]) as blob:
            return dict(_members(blob.read()))


def _members(data: bytes) -> list[tuple[str, tuple[str, int, str | bytes]]]:
    found: list[tuple[str, tuple[str, int, str | bytes]]] = []
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        for member in archive:
            assert (member.uid, member.gid, member.mtime) == (0, 0, 0) or "home" in member.name
            file = archive.extractfile(member) if member.isreg() else None
            content = file.read() if file else member.linkname
            found.append((member.name, (member.type.decode(), member.mode, content)))
    return found


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, unavailable: Callable[[str], None]) -> Path:
    root = tmp_path_factory.mktemp("project")
    (root / "wheels").mkdir()
    try:
        return real_base.make_project(
            root / "project", root / "cache", real_base.corners(root / "wheels")
        )
    except Unavailable as error:
        unavailable(str(error))
        raise


@pytest.fixture(scope="module")
def made(
    project: Path, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Made]:
    """Return what builds the project with a builder, once."""
    known: dict[str, Made] = {}

    def make(builder: str) -> Made:
        if builder not in known:
            variables = request.getfixturevalue("buildkit") if builder == "docker" else {}
            name = NAME if builder == "docker" else builder
            layout = tmp_path_factory.mktemp(builder) / "image"
            done = subprocess.run(
                [sys.executable, "-m", "modelpack", "build", str(project), "--locked",
                 "--offline", "--json", "--builder", name, "--output", f"oci:{layout}"],
                env=projects.environment(project.parent / "cache", **variables),
                capture_output=True, check=False,
            )  # fmt: skip
            assert done.returncode == 0, done.stderr.decode()
            known[builder] = Made(layout, json.loads(done.stdout))
        return known[builder]

    return make


@pytest.fixture(params=BUILDERS)
def builder(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_the_environment_is_linked_to_the_base(builder: str, made: Callable[[str], Made]) -> None:
    tree = made(builder).tree("dependencies")
    links = {path: content for path, (kind, _, content) in tree.items() if kind == "2"}
    assert links == {
        f"{VENV}/bin/python": "python3.13",
        f"{VENV}/bin/python3": "python3.13",
        f"{VENV}/bin/python3.13": "/usr/bin/python3.13",
    }
    settings = tree[f"{VENV}/pyvenv.cfg"][2]
    assert b"home = /usr/bin\ninclude-system-site-packages = false\n" in settings


def test_every_place_of_a_wheel_is_filled(builder: str, made: Callable[[str], Made]) -> None:
    tree = made(builder).tree("dependencies")
    for path, mode in {
        f"{SITE}/big/__init__.py": 0o644,
        f"{SITE}/big/tool.py": 0o755,
        f"{SITE}/big/g\u00fcn.txt": 0o644,
        f"{SITE}/big_pure.py": 0o644,
        f"{SITE}/space/__init__.py": 0o644,
        f"{SITE}/space/small.py": 0o644,
        f"{VENV}/share/big, really.txt": 0o644,
        f"{VENV}/include/site/python3.13/Big_Name/big.h": 0o644,
        f"{VENV}/bin/plain": 0o755,
        f"{VENV}/bin/started": 0o755,
        f"{VENV}/bin/big": 0o755,
        f"{VENV}/bin/Big.2": 0o755,
        f"{VENV}/bin/window": 0o755,
    }.items():
        assert tree[path][:2] == ("0", mode), path
    assert tree[f"{VENV}/bin/started"][2] == b"#!/opt/venv/bin/python\nprint(2)\n"


def test_nothing_tells_who_installed_it_and_when(builder: str, made: Callable[[str], Made]) -> None:
    tree = made(builder).tree("dependencies")
    names = {path.rpartition("/")[2] for path in tree}
    assert not names & {"REQUESTED", "direct_url.json", "activate", "x.cpython-313.pyc"}
    assert tree[f"{SITE}/small-1.0.dist-info/INSTALLER"][2] == b"modelpack\n"


def test_bytecode_is_of_every_module_that_compiles_and_not_checked(
    builder: str, made: Callable[[str], Made]
) -> None:
    tree = made(builder).tree("dependencies")
    modules = {path for path in tree if path.endswith(".py") and path.startswith(SITE)}
    compiled = {path: content for path, (*_, content) in tree.items() if path.endswith(".pyc")}
    expected = {
        f"{folder}/__pycache__/{name.removesuffix('.py')}.cpython-313.pyc"
        for folder, _, name in (path.rpartition("/") for path in modules)
        if name != "broken.py"
    }
    assert set(compiled) == expected
    assert {content[4:8] for content in compiled.values() if isinstance(content, bytes)} == {
        b"\1\0\0\0"
    }


def test_the_image_is_configured_by_the_plan(builder: str, made: Callable[[str], Made]) -> None:
    config = made(builder).config()["config"]
    assert config["User"] == "10001:0"
    assert config["Entrypoint"][0].startswith("/")
    assert config["Cmd"] == ["python", "-m", "service"]
    assert config["Labels"]["dev.modelpack.plan.digest"] == made(builder).record["plan"]


def test_the_record_names_the_builder(builder: str, made: Callable[[str], Made]) -> None:
    record = made(builder).record
    assert record["builder"] == ("embedded" if builder == "embedded" else NAME)
    assert {layer["reproducible"] for layer in record["layers"]} == {True}


def test_builders_make_one_image(made: Callable[[str], Made]) -> None:
    one, other = (made(builder) for builder in BUILDERS)
    assert other.tree("dependencies") == one.tree("dependencies")
    assert other.config() == one.config()
    for mine, theirs in zip(one.record["layers"], other.record["layers"], strict=True):
        assert theirs["digest"] == mine["digest"], mine["step"]
    assert other.record["digest"] == one.record["digest"]
    assert other.record["plan"] == one.record["plan"]


def test_inspect_names_the_same_packages(made: Callable[[str], Made]) -> None:
    packages = []
    for builder in BUILDERS:
        done = subprocess.run(
            [sys.executable, "-m", "modelpack", "inspect", f"oci:{made(builder).layout}", "--json"],
            capture_output=True, check=True,
        )  # fmt: skip
        packages.append(json.loads(done.stdout)["packages"])
    assert packages[0] == packages[1]
    assert {"big-name", "small"} <= {package["name"] for package in packages[0]}


def test_what_one_builder_made_another_makes_again(
    project: Path, made: Callable[[str], Made], buildkit: Mapping[str, str]
) -> None:
    """`rebuild --builder`, whose verdict says that the image was made in another way."""
    done = subprocess.run(
        [sys.executable, "-m", "modelpack", "rebuild", f"oci:{made('embedded').layout}", "--source",
         str(project), "--offline", "--json", "--no-attach", "--builder", NAME],
        env=projects.environment(project.parent / "cache", **buildkit),
        capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    (image,) = json.loads(done.stdout)["images"]
    assert image["digest"] == made("embedded").record["digest"]
    assert image["verdict"] == "reproduced"
    assert image["rebuilder"]["builder"] == NAME
    assert any("`--builder embedded`" in reason for reason in image["reasons"])
