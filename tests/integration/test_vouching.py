"""What real programs attached in real registries, as `inspect` lists it; what they make of ours."""

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from modelpack.digest import Digest, hex_of
from modelpack.oci.layout import Layout
from tests import vulnerability_database as facts
from tests.command_line import Done, run_here
from tests.described_image import complete
from tests.images import image, layer, put
from tests.registries import KINDS, RunningRegistry, running

pytestmark = pytest.mark.integration

BOM = {
    "bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1,
    "metadata": {"component": {"type": "container", "name": "x", "bom-ref": "x"}},
    "components": [{
        "type": "library", "name": "certifi", "version": "2023.5.7", "bom-ref": "c",
        "purl": "pkg:pypi/certifi@2023.5.7",
    }],
}  # fmt: skip


@pytest.fixture(scope="module", params=KINDS)
def registry(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory,
    go_tool: Callable[[str], str], require_tool: Callable[[str], str],
) -> Iterator[RunningRegistry]:  # fmt: skip
    folder = tmp_path_factory.mktemp(request.param)
    with running(request.param, folder, go_tool=go_tool, require_tool=require_tool) as one:
        yield one


@pytest.fixture(scope="module")
def trivy(go_tool: Callable[[str], str]) -> str:
    return go_tool("trivy")


@pytest.fixture(scope="module", name="program")
def fixture_program(go_tool: Callable[[str], str]) -> str:
    """Return the path of cosign."""
    return go_tool("cosign")


@dataclass
class Desk:
    """An image in a registry, a folder, and how to type commands."""

    folder: Path
    name: str
    digest: Digest
    type: Callable[..., Done]

    def document(self, value: Any) -> Path:
        path = self.folder / "document.json"
        path.write_text(json.dumps(value))
        return path


@pytest.fixture
def desk(
    registry: RunningRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Desk:  # fmt: skip
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MODELPACK_CACHE", str(tmp_path / "cache"))
    with Layout(tmp_path / "image") as layout:
        digest = put(layout, complete().image(), "1.0").digest
    name = registry.repository()
    found = Desk(tmp_path, f"{name}:1.0", digest, lambda *words: run_here(capsys, *words))
    done = found.type("push", f"oci:{tmp_path}/image:1.0", found.name)
    assert done.status == 0, done.err
    return found


def cosign(program: str, desk: Desk, command: str, *words: str) -> None:
    """Run cosign without a transparency log on the image."""
    name = f"{desk.name.rpartition(':')[0]}@{desk.digest}"
    environment = {"HOME": str(desk.folder), "PATH": os.environ["PATH"], "COSIGN_PASSWORD": ""}
    done = subprocess.run(
        [program, *command.split(), *words, name], env=environment, cwd=desk.folder, check=False,
        capture_output=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()


def test_all_that_cosign_attaches_is_listed(program: str, desk: Desk) -> None:
    environment = {"HOME": str(desk.folder), "PATH": os.environ["PATH"], "COSIGN_PASSWORD": ""}
    subprocess.run([program, "generate-key-pair"], cwd=desk.folder, env=environment, check=True,
                   capture_output=True)  # fmt: skip
    bom, predicate = desk.document(BOM), desk.folder / "predicate.json"
    predicate.write_text('{"builder": {"id": "https://ci.example"}, "buildType": "x"}')
    key = ("--key", "cosign.key", "--yes", "--tlog-upload=false", "--use-signing-config=false")
    provenance = ("--type", "slsaprovenance02", "--predicate", str(predicate))
    cosign(program, desk, "sign", *key)
    cosign(program, desk, "sign", *key, "--new-bundle-format=false")
    cosign(program, desk, "attest", *key, *provenance)
    cosign(program, desk, "attest", *key, *provenance, "--new-bundle-format=false")
    cosign(program, desk, "attach sbom", "--sbom", str(bom), "--type", "cyclonedx")
    assert desk.type("attach", desk.name, bom, "--type", "sbom").status == 0

    document = desk.type("inspect", desk.name, "--json").document

    assert document["findings"] == []
    listed = {(one["what"], one["by"].removeprefix(f"sha256-{hex_of(desk.digest)}"),
               one["signature"] and one["signature"]["form"])
              for one in document["referrers"]}  # fmt: skip
    assert listed == {
        ("signature", "subject", "bundle"), ("signature", ".sig", "simple"),
        ("provenance", "subject", "bundle"), ("provenance", ".att", "dsse"),
        ("sbom", ".sbom", None), ("sbom", "subject", None),
    }  # fmt: skip
    assert [one["unreadable"] for one in document["referrers"]] == [""] * 6
    builders = {one["provenance"]["builder"] for one in document["referrers"] if one["provenance"]}
    assert builders == {"https://ci.example"}
    assert json.loads(desk.type("inspect", desk.name, "--raw", "sbom").out) == BOM

    cosign(program, desk, "save", "--dir", "saved")
    saved = desk.type("inspect", f"oci:{desk.folder}/saved", "--json").document
    assert saved["digest"] == desk.digest
    assert {one["by"].rpartition(".")[2] for one in saved["referrers"]} >= {"sig", "att"}


def test_attached_twice_is_there_once_and_next_to_others(desk: Desk) -> None:
    for _ in range(2):
        done = desk.type("attach", desk.name, desk.document(BOM), "--type", "sbom-cyclonedx")
        assert done.status == 0, done.err
    other = desk.document({"spdxVersion": "SPDX-2.3", "packages": []})
    assert desk.type("attach", desk.name, other, "--type", "sbom").status == 0
    found = desk.type("inspect", desk.name, "--json").document["referrers"]
    assert sorted(one["sbom"]["format"] for one in found) == ["CycloneDX 1.5", "SPDX-2.3"]


def test_an_archive_carries_it_across_an_air_gap(desk: Desk) -> None:
    assert desk.type("attach", desk.name, desk.document(BOM), "--type", "sbom").status == 0
    archive = f"oci-archive:{desk.folder}/image.tar"
    done = desk.type("copy", desk.name, archive, "--json")
    assert (done.status, done.document["referrers"]) == (0, 1), done.err
    there = f"{desk.name.rpartition(':')[0]}-inside:1.0"
    done = desk.type("copy", archive, there)
    assert done.status == 0, done.err
    before, after = (desk.type("inspect", name, "--json").document for name in (desk.name, there))
    assert before == after
    assert [one["what"] for one in after["referrers"]] == ["sbom"]


def test_trivy_takes_the_attached_sbom(trivy: str, desk: Desk) -> None:
    """What is known to be vulnerable stands only in the SBOM, and so was read from there."""
    cache = desk.folder / "trivy"
    facts.write(cache / "db", updated=int(time.time()) - 3600)
    assert desk.type("attach", desk.name, desk.document(BOM), "--type", "sbom").status == 0

    assert _trivy(trivy, desk, "--sbom-sources", "oci") == {"CVE-2023-37920"}


def test_trivy_heeds_an_attached_vex_document(trivy: str, desk: Desk) -> None:
    facts.write(desk.folder / "trivy" / "db", updated=int(time.time()) - 3600)
    record = ("opt/certifi-2023.5.7.dist-info/METADATA", b"Name: certifi\nVersion: 2023.5.7\n")
    one = replace(image("x"), layers=(layer(record),))
    with Layout(desk.folder / "other") as layout:
        put(layout, one, "1.0")
    desk.name = f"{desk.name.rpartition(':')[0]}-other:1.0"
    assert desk.type("push", f"oci:{desk.folder}/other:1.0", desk.name).status == 0
    assert _trivy(trivy, desk) == {"CVE-2023-37920"}
    vex = {
        "@context": "https://openvex.dev/ns/v0.2.0", "@id": "https://acme.example/vex/1",
        "author": "acme", "timestamp": "2026-11-20T00:00:00Z", "version": 1,
        "statements": [{
            "vulnerability": {"name": "CVE-2023-37920"}, "status": "not_affected",
            "justification": "vulnerable_code_not_in_execute_path",
            "products": [{"@id": "pkg:pypi/certifi@2023.5.7"}],
        }],
    }  # fmt: skip

    assert desk.type("attach", desk.name, desk.document(vex), "--type", "vex").status == 0

    assert _trivy(trivy, desk, "--vex", "oci") == set()


def _trivy(program: str, desk: Desk, *options: str) -> set[str]:
    environment = {"HOME": str(desk.folder), "PATH": os.environ["PATH"]}
    done = subprocess.run(
        [program, "image", "--image-src", "remote", "--format", "json", *options, "--scanners",
         "vuln", "--skip-db-update", "--offline-scan", "--skip-version-check",
         "--skip-vex-repo-update", "--disable-telemetry", "--cache-dir",
         str(desk.folder / "trivy"), desk.name],
        env=environment, cwd=desk.folder, check=False, capture_output=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    results = json.loads(done.stdout).get("Results") or []
    return {item["VulnerabilityID"] for r in results for item in r.get("Vulnerabilities") or ()}
