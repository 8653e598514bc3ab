"""What Trivy finds in an image on a base from a registry is what our SBOM of it lists."""

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import projects
from tests.base_images import MadeImage, debian, file, image, layer
from tests.command_line import Done, run_here
from tests.fakes.registry_server import RegistryServer, running_registry

pytestmark = pytest.mark.integration

STATUS = b"""Package: zlib1g
Status: install ok installed
Version: 1:1.3.dfsg+really1.3.1-1
Architecture: amd64
Source: zlib
Maintainer: A <a@example.org>

Package: libc6
Status: install ok installed
Version: 2.41-12
Architecture: amd64
Source: glibc
Maintainer: A <a@example.org>

Package: gone
Status: deinstall ok config-files
Version: 1
Architecture: amd64
Maintainer: A <a@example.org>
"""
APK = (
    b"C:Q1a=\nP:glibc\nV:2.41-r1\nA:x86_64\nL:LGPL-2.1-or-later\no:glibc\np:so:libc.so.6=6\n\n"
    b"C:Q1b=\nP:zlib\nV:1.3.1-r2\nA:x86_64\nL:Zlib\no:zlib\nD:so:libc.so.6\n\n"
)
PIP = file(
    "usr/local/lib/python3.13/site-packages/pip-25.0.dist-info/METADATA",
    b"Metadata-Version: 2.1\nName: pip\nVersion: 25.0\n",
)
BASES = {
    "debian": image(debian(), layer(
        file("var/lib/dpkg/status", STATUS), file("etc/debian_version", b"13.1\n"), PIP,
        file("etc/os-release", b'ID=debian\nVERSION_ID="13"\n'),
    )),
    "alpine": image(debian(), layer(
        file("lib/apk/db/installed", APK), file("etc/alpine-release", b"3.22.1\n"), PIP,
        file("etc/os-release", b"ID=alpine\nVERSION_ID=3.22.1\n"),
    )),
    "wolfi": image(debian(), layer(
        file("usr/lib/apk/db/installed", APK), PIP,
        file("etc/os-release", b"ID=wolfi\nVERSION_ID=20230201\n"),
    )),
}  # fmt: skip
Names = set[tuple[str, str, str]]


@pytest.fixture
def server() -> Iterator[RegistryServer]:
    with running_registry() as running:
        yield running


@pytest.fixture(scope="module")
def trivy(go_tool: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return what asks the pinned Trivy, without a database."""
    program, cache = go_tool("trivy"), tmp_path_factory.mktemp("trivy")

    def ask(*words: object) -> Names:
        done = subprocess.run(
            [program, *map(str, words), "--format=json", "--list-all-pkgs", "--scanners=license",
             "--quiet", "--offline-scan", "--skip-version-check", "--disable-telemetry",
             f"--cache-dir={cache}"],
            capture_output=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr.decode()
        return {
            (package["Identifier"]["PURL"].partition("/")[0], package["Name"],
             str(package.get("SrcName", "")))
            for result in json.loads(done.stdout)["Results"]
            for package in result.get("Packages") or ()
        }  # fmt: skip

    return ask


def project_on(base: MadeImage, folder: Path, server: RegistryServer) -> Path:
    name = base.put(server, "acme/python", "3.13")
    files = {**projects.CODE, **{f"weights/{k}": v for k, v in projects.WEIGHTS.items()}}
    for path, data in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    text = projects.TOML.partition("[runtime]")[0]
    (folder / "modelpack.toml").write_text(f'{text}[runtime]\nbase = "{name}"\n', "utf-8")
    return folder


@pytest.mark.parametrize("system", BASES)
def test_trivy_finds_in_the_image_what_the_sbom_lists(
    system: str, tmp_path: Path, server: RegistryServer, trivy: Callable[..., Names],
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setenv("MODELPACK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("MODELPACK_CONFIG", str(tmp_path / "none.toml"))
    folder = project_on(BASES[system], tmp_path / "project", server)

    def type_(*words: object) -> Done:
        done = run_here(capsys, *words)
        assert done.status == 0, done.err
        return done

    type_("lock", folder)
    type_("build", folder)

    found = trivy("image", "--input", f"{folder}/dist/image:1.0.0")
    listed = trivy("sbom", folder / "dist" / "sbom.cdx.json")

    assert found == listed
    assert len(found) == 3
    assert json.loads((folder / "dist" / "sbom.cdx.json").read_bytes())["compositions"] == []
