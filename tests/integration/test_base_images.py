"""An example on bases from a registry: made by Debian's tools, and our own; run by Docker."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from modelpack.inputs.debian import mirrors
from modelpack.oci.image import Image
from modelpack.oci.layer import Blob, Descriptor, Layer, StoredFile
from modelpack.oci.layout import Layout
from modelpack.oci.store import Root
from modelpack.platform import Platform
from tests import projects
from tests.docker_engine import Engine
from tests.integration.conftest import REVISION, ROOT, Packed
from tests.integration.test_runs_in_docker import PROBED_OFTEN, close, until_ready
from tests.registry_process import Registry, running_registry
from tests.running_container import HARDENED, RANDOM_USER, container

pytestmark = [pytest.mark.integration, pytest.mark.slow]

PACKAGES = "python3,ca-certificates"
PATIENCE = 600
UNAVAILABLE = 3
AMD64 = Platform("linux", "amd64")


@pytest.fixture(scope="module")
def registry(
    go_tool: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Registry]:
    """Run distribution 3."""
    with running_registry(go_tool("registry"), tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture(scope="module")
def debian_base(
    registry: Registry, require_tool: Callable[[str], str], go_tool: Callable[[str], str],
    unavailable: Callable[[str], None], tmp_path_factory: pytest.TempPathFactory,
) -> str:  # fmt: skip
    """Return the name of a whole Debian 13 with Python, as debootstrap's kin make it."""
    mmdebstrap, crane = require_tool("mmdebstrap"), go_tool("crane")
    if os.geteuid() != 0:
        unavailable("making a root file system needs root")
    tar = tmp_path_factory.mktemp("debian") / "root.tar"
    mirror = mirrors.find(os.environ, {}).debian[0]
    command = [mmdebstrap, "--quiet", "--variant=minbase", f"--include={PACKAGES}", "trixie"]
    done = subprocess.run(
        [*command, str(tar), mirror], capture_output=True, text=True, check=False,
        timeout=PATIENCE, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    if done.returncode:
        unavailable(f"mmdebstrap: {(done.stderr.strip().splitlines() or ['failed'])[-1]}")
    name = f"{registry.address}/python:3.13"
    for words in (
        ["append", "--new_layer", str(tar), "--new_tag", name],
        ["mutate", name, "--tag", name, "--set-platform", "linux/amd64", "--cmd", "python3",
         "--env", "PATH=/usr/local/bin:/usr/bin:/bin", "--label", "maintainer=somebody",
         "--env", "PYTHON_VERSION=3.13"],
    ):  # fmt: skip
        subprocess.run([crane, *words], check=True, capture_output=True, timeout=PATIENCE)
    tar.unlink()
    return name


@pytest.fixture(scope="module")
def own_base(
    registry: Registry, packed: Callable[[str], Packed], require_tool: Callable[[str], str],
    tmp_path_factory: pytest.TempPathFactory,
) -> str:  # fmt: skip
    """Return the name of the base that we assemble, as an image of its own."""
    built = packed("digits")
    first = built.record["layers"][0]
    assert first["step"] == "base"
    layer = Layer(
        blob=Blob(
            descriptor=Descriptor(
                media_type=first["media_type"], digest=first["digest"], size=first["size"]
            ),
            origin=StoredFile(str(Layout(built.layout).path_of(first["digest"]))),
        ),
        diff_id=first["diff_id"], created_by="our base",
    )  # fmt: skip
    image = Image(platform=AMD64, layers=(layer,), config={"User": "0:0"}, created=0)
    folder = tmp_path_factory.mktemp("own") / "layout"
    with Layout(folder) as layout:
        layout.write_all(image.blobs, lambda _: None)
        layout.commit([Root(manifest=image.manifest_blob, tags=("13",))])
    return registry.push(folder, "acme/our-base:13", require_tool("skopeo"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """A copy of an example whose base is in a registry, and a cache of its own."""

    folder: Path
    cache: Path
    base: str
    unavailable: Callable[[str], None]

    def run(self, *arguments: str, cache: Path | None = None) -> "subprocess.CompletedProcess[str]":
        """Run the command, which must succeed or not be able to find out."""
        done = subprocess.run(
            [sys.executable, "-m", "modelpack", *arguments], capture_output=True, text=True,
            env={**os.environ, "MODELPACK_CACHE": str(cache or self.cache)}, cwd=ROOT,
            stdin=subprocess.DEVNULL, timeout=PATIENCE, check=False,
        )  # fmt: skip
        assert "Traceback" not in done.stderr
        return done

    def told(self, *arguments: str, cache: Path | None = None) -> Any:
        """Return the document that the command prints."""
        done = self.run(*arguments, "--json", cache=cache)
        if done.returncode == UNAVAILABLE:
            self.unavailable((done.stderr.strip().splitlines() or ["failed"])[0])
        assert done.returncode == 0, done.stderr + done.stdout
        return json.loads(done.stdout)


def desk_of(folder: Path, base: str, unavailable: Callable[[str], None]) -> Desk:
    """Copy the example `digits`, and put it on `base`."""
    project = folder / "digits"
    shutil.copytree(ROOT / "examples" / "digits", project, ignore=shutil.ignore_patterns("dist"))
    file = project / "modelpack.toml"
    text = file.read_text("utf-8")
    assert 'base = "debian:13"' in text
    file.write_text(text.replace('base = "debian:13"', f'base = "{base}"'), "utf-8")
    return Desk(folder=project, cache=folder / "cache", base=base, unavailable=unavailable)


@pytest.fixture(scope="module", params=["debian_base", "own_base"])
def desk(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory,
    unavailable: Callable[[str], None],
) -> Desk:  # fmt: skip
    """Return the example on each base, locked."""
    base = request.getfixturevalue(request.param)
    made = desk_of(tmp_path_factory.mktemp(request.param), base, unavailable)
    made.told("lock", str(made.folder))
    return made


@pytest.fixture(scope="module")
def built(desk: Desk) -> Any:
    """Return the record of its build."""
    return desk.told(
        "build", str(desk.folder), "--locked", "--revision", REVISION,
        "--output", f"oci:{desk.folder}/dist/image",
        "--output", f"docker-archive:{desk.folder}/image.tar",
    )  # fmt: skip


def locked_base(desk: Desk) -> Any:
    """Return what the lock holds of its base."""
    (platform,) = json.loads((desk.folder / "modelpack.lock").read_text("utf-8"))["platforms"]
    return platform["base"]


def test_layers_of_the_base_are_those_of_the_registry(
    desk: Desk, built: Any, registry: Registry, go_tool: Callable[[str], str]
) -> None:
    crane = go_tool("crane")
    shown = subprocess.run([crane, "manifest", desk.base], capture_output=True, check=True)
    theirs = [layer["digest"] for layer in json.loads(shown.stdout)["layers"]]
    ours = [layer["digest"] for layer in built["layers"] if layer["step"] == "base"]

    assert ours == theirs
    assert [layer["digest"] for layer in locked_base(desk)["layers"]] == theirs


def test_a_second_build_is_the_same_with_nothing_remembered(
    desk: Desk, built: Any, tmp_path: Path
) -> None:
    again = desk.told(
        "build", str(desk.folder), "--locked", "--no-cache", "--revision", REVISION,
        "--output", f"oci:{tmp_path}/image", cache=tmp_path / "cache",
    )  # fmt: skip

    assert again["digest"] == built["digest"]
    assert projects.damage(tmp_path / "image") == []


def test_a_tag_that_moves_moves_no_build(
    desk: Desk, built: Any, go_tool: Callable[[str], str], tmp_path: Path
) -> None:
    crane = go_tool("crane")
    digest = subprocess.run([crane, "digest", desk.base], capture_output=True, check=True).stdout
    changed = ["mutate", desk.base, "--tag", desk.base, "--env", "LANG=de_CH.UTF-8"]
    subprocess.run([crane, *changed], check=True, capture_output=True)
    try:
        again = desk.told(
            "build", str(desk.folder), "--locked", "--no-cache", "--revision", REVISION,
            "--output", f"oci:{tmp_path}/image", cache=tmp_path / "cache",
        )  # fmt: skip
        assert again["digest"] == built["digest"]
        other = tmp_path / "digits"
        shutil.copytree(desk.folder, other, ignore=shutil.ignore_patterns("dist", "image.tar"))
        moved = desk.told("lock", str(other), "--upgrade", "base")["moved"]
        assert any(line.startswith(f"linux/amd64 base {desk.base} sha256:") for line in moved)
    finally:
        back = f"{desk.base.rpartition(':')[0]}@{digest.decode().strip()}"
        tag = desk.base.rpartition(":")[2]
        subprocess.run([crane, "tag", back, tag], check=True, capture_output=True)


def test_service_answers_on_it_as_a_user_that_the_base_does_not_know(
    desk: Desk, built: Any, engine: Engine
) -> None:
    engine.ask("load", "--input", f"{desk.folder}/image.tar")
    options = (*HARDENED, RANDOM_USER, *PROBED_OFTEN)
    with container(engine, "digits:1.0.0", *options) as running:
        until_ready(running)
        for file in sorted((desk.folder / "golden").glob("*.json")):
            case = json.loads(file.read_text("utf-8"))
            asked, want = case["request"], case["response"]
            status, body = running.request(asked["method"], asked["path"], asked["json"])
            assert status == want["status"], file.name
            assert close(json.loads(body), want["json"], case["tolerance"]["absolute"]), file.name
        told = running.python(
            "import getpass, json, os, ssl\n"
            "home = os.stat(os.path.expanduser('~'))\n"
            "roots = len(ssl.create_default_context().get_ca_certs())\n"
            "print(json.dumps([getpass.getuser(), oct(home.st_mode), home.st_gid, roots > 50]))"
        )
    assert json.loads(told) == ["app", "0o40775", 0, True]


def test_what_a_whole_debian_holds_is_told(debian_base: str, tmp_path: Path,
                                           unavailable: Callable[[str], None]) -> None:  # fmt: skip
    desk = desk_of(tmp_path, debian_base, unavailable)
    told = desk.told("lock", str(desk.folder))
    rules = {finding["rule"]: finding["message"] for finding in told["findings"]}
    assert set(rules) == {"base.shell", "base.package-manager", "base.setuid"}
    assert "`/usr/bin/bash`" in rules["base.shell"]
    assert "`/usr/bin/apt`" in rules["base.package-manager"]
    checked = desk.told("check", str(desk.folder))
    assert {finding["rule"] for finding in checked["findings"]} == set(rules)


def test_our_own_base_is_clean_and_has_its_python(
    own_base: str, tmp_path: Path, unavailable: Callable[[str], None]
) -> None:
    desk = desk_of(tmp_path, own_base, unavailable)
    told = desk.told("lock", str(desk.folder))
    (platform,) = json.loads((desk.folder / "modelpack.lock").read_text("utf-8"))["platforms"]
    assert told["findings"] == []
    assert platform["interpreter"]["path"] == "/usr/bin/python3.13"
    assert platform["interpreter"]["version"].startswith("3.13.")
    assert platform["interpreter"]["glibc"] == "2.41"
