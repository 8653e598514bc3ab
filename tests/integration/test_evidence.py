"""What stands beside an image, through the eyes of the programs that people read it with."""

import hashlib
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from modelpack.oci.layout import Layout
from modelpack.trust import statement
from tests import projects
from tests.integration.conftest import Packed

pytestmark = [pytest.mark.integration, pytest.mark.slow]

Trivy = Callable[..., Any]
Names = set[tuple[str, str, str]]


@pytest.fixture(scope="module", params=["digits", "minilm"])
def image(request: pytest.FixtureRequest, packed: Callable[[str], Packed]) -> Packed:
    """Build an example into every kind of output."""
    return packed(request.param)


@pytest.fixture(scope="module")
def trivy(go_tool: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Trivy:
    """Return what asks the pinned Trivy, without a database, and returns its report."""
    program = go_tool("trivy")
    cache = tmp_path_factory.mktemp("trivy")

    def ask(*words: str) -> Any:
        done = subprocess.run(
            [program, *words, "--format=json", "--list-all-pkgs", "--scanners=license", "--quiet",
             "--offline-scan", "--skip-version-check", "--disable-telemetry",
             f"--cache-dir={cache}"],
            capture_output=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr.decode()
        return json.loads(done.stdout)

    return ask


def packages(report: Any) -> Names:
    """Return kind, name and whole version of what Trivy lists."""
    return {
        (
            package["Identifier"]["PURL"].partition("/")[0],
            package["Name"].lower().replace("_", "-"),
            version(package, ""),
        )
        for result in report["Results"]
        for package in result.get("Packages") or ()
    }


def version(package: Any, prefix: str) -> str:
    """Return a whole version of what Trivy keeps in parts."""
    epoch, release = package.get(f"{prefix}Epoch"), package.get(f"{prefix}Release")
    whole = package.get(f"{prefix}Version", "")
    return f"{epoch}:" * bool(epoch) + whole + f"-{release}" * bool(release)


def sources(report: Any) -> Names:
    """Return the source packages by which Trivy looks for advisories."""
    return {
        (package["Name"], package["SrcName"], version(package, "Src"))
        for result in report["Results"]
        for package in result.get("Packages") or ()
        if "SrcName" in package
    }


def test_trivy_finds_in_the_image_what_the_sbom_lists_and_the_other_way_round(
    image: Packed, trivy: Trivy
) -> None:
    found = trivy("image", "--input", f"{image.layout}:1.0.0")
    listed = trivy("sbom", str(image.project / "dist" / "sbom.cdx.json"))

    assert len(packages(found)) > 25
    assert packages(found) == packages(listed)
    assert sources(found) == sources(listed)
    assert listed["Metadata"]["OS"]["Family"] == found["Metadata"]["OS"]["Family"] == "debian"


def test_the_statements_of_a_layout_are_the_copies_in_dist(image: Packed) -> None:
    store, dist = Layout(image.layout), image.project / "dist"
    assert projects.damage(image.layout) == []
    said = {}
    for entry in store.referrers(image.record["digest"]):
        (layer,) = store.image(entry.digest).layers
        said[layer.digest] = statement.parse(store.read(layer))
    recorded = {item["digest"]: item for item in image.record["evidence"]}

    assert set(recorded) <= set(said)  # another test may have attached a scan
    evaluated = ["evaluation"] if (image.project / "evaluation.json").exists() else []
    kinds = [*evaluated, "oms", "provenance", "sbom"]
    assert sorted(item["kind"] for item in recorded.values()) == kinds
    for digest, item in recorded.items():
        assert said[digest].predicate_type == item["predicate_type"]
        copy = json.loads((dist / item["file"]).read_bytes())
        assert copy == (
            said[digest].predicate if item["kind"] == "sbom" else said[digest].as_json()
        )


def test_the_provenance_names_the_sbom_by_its_file(image: Packed) -> None:
    dist = image.project / "dist"
    said = json.loads((dist / "provenance.json").read_bytes())["predicate"]
    (sbom,) = said["runDetails"]["byproducts"]

    whole = hashlib.sha256((dist / sbom["name"]).read_bytes()).hexdigest()
    assert sbom["digest"] == {"sha256": whole}
    times = said["runDetails"]["metadata"]
    assert times["startedOn"] <= times["finishedOn"]


def test_skopeo_and_podman_take_the_layout_by_its_tag(
    require_tool: Callable[[str], str], podman: list[str], image: Packed, tmp_path: Path
) -> None:
    skopeo = [require_tool("skopeo"), "--insecure-policy"]
    source = f"oci:{image.layout}:1.0.0"
    target = f"oci:{tmp_path / 'copy'}:1"

    subprocess.run([*skopeo, "copy", "-q", "--preserve-digests", source, target], check=True)
    assert Layout(tmp_path / "copy").resolve("1").digest == image.record["digest"]
    pulled = subprocess.run([*podman, "pull", "-q", source], check=True, capture_output=True)
    assert f"sha256:{pulled.stdout.decode().strip()}" == image.config


def test_crane_takes_the_layout_as_an_index_and_the_archive_as_an_image(
    go_tool: Callable[[str], str], image: Packed
) -> None:
    """What the decision about layouts gives up (ADR 0014) stays visible here."""
    crane = go_tool("crane")
    done = subprocess.run(
        [crane, "push", str(image.layout), "127.0.0.1:1/x"], capture_output=True, check=False
    )
    assert b"contains 2 entries" in done.stderr
    done = subprocess.run(
        [crane, "validate", "--fast", "--tarball", str(image.oci_archive)], capture_output=True,
        check=False,
    )  # fmt: skip
    assert b"PASS" in done.stdout
