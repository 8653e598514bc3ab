"""Scans by the real Trivy: what is known to be vulnerable is found, and what is not is not."""

import io
import json
import os
import re
import subprocess
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from modelpack import canonical_json
from modelpack.assembly.outputs import blobs
from modelpack.digest import of as digest_of
from modelpack.evidence.scan.scanning import identity
from modelpack.evidence.scan.serving import served
from modelpack.evidence.scan.view import View
from modelpack.oci.image import Index
from modelpack.oci.layer import CONFIG, MANIFEST, blob_of
from modelpack.oci.layout import Layout
from modelpack.oci.referrers import EMPTY
from modelpack.oci.store import Root
from modelpack.trust import predicate_types, statement
from tests import images, vulnerable_project
from tests import vulnerability_database as facts
from tests.command_line import Done, run_here
from tests.docker_engine import EngineError
from tests.integration.conftest import Packed
from tests.podman_engine import running_podman
from tests.registries import running
from tests.vulnerable_project import NEW, NEW_EXPAT, SECRET, TOKEN

pytestmark = pytest.mark.integration

DENY = 'deny-licenses = ["MPL-2.0"]\n'
TOKENS = "/opt/venv/lib/python3.13/site-packages/certifi/tokens.py"


@dataclass
class Desk:
    """A project, a database of this hour, and how to type commands here."""

    folder: Path
    cache: Path
    database: Path
    type: Callable[..., Done]

    def scan(self, *options: object, image: object = "") -> Done:
        return self.type("scan", image or self.folder, "--db", self.database, *options)

    def build(self, *options: object) -> Done:
        return self.type("build", self.folder, "--locked", "--offline", *options)

    @property
    def layout(self) -> Layout:
        return Layout(self.folder / "dist" / "image")

    def said(self) -> list[statement.Statement]:
        """Return what scans said of the first image, as the layout keeps it."""
        layout = self.layout
        digest = layout.manifests()[0].digest
        return [
            statement.parse(layout.read(layer, limit=statement.SIZE_LIMIT))
            for entry in layout.referrers(digest)
            if entry.annotations[statement.PREDICATE_TYPE] == predicate_types.VULN
            for layer in layout.image(entry.digest).layers
        ]

    def trivy_alone(self, kind: str, *options: object) -> list[dict[str, Any]]:
        """Return the results of Trivy itself, with a cache of its own and our database."""
        cache = self.folder / ".trivy"
        if not cache.exists():
            cache.mkdir()
            (cache / "db").symlink_to(self.database)
        done = subprocess.run(
            ["trivy", kind, *map(str, options), "--format", "json", "--list-all-pkgs",
             "--skip-db-update", "--offline-scan", "--quiet", "--skip-version-check",
             "--disable-telemetry", "--cache-dir", str(cache)],
            capture_output=True, check=True, cwd=cache,
        )  # fmt: skip
        return json.loads(done.stdout)["Results"]


@pytest.fixture
def trivy(go_tool: Callable[[str], str], monkeypatch: pytest.MonkeyPatch) -> str:
    """Put the pinned Trivy on PATH."""
    program = go_tool("trivy")
    monkeypatch.setenv("PATH", f"{Path(program).parent}{os.pathsep}{os.environ['PATH']}")
    return program


@pytest.fixture
def desk(
    trivy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Desk:
    monkeypatch.setenv("MODELPACK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("MODELPACK_CONFIG", str(tmp_path / "none.toml"))
    database = facts.write(tmp_path / "database", updated=int(time.time()) - 3600)
    return Desk(
        tmp_path / "project", tmp_path / "cache", database,
        lambda *words: run_here(capsys, *words),
    )  # fmt: skip


@pytest.fixture
def vulnerable(desk: Desk) -> Desk:
    """A project with an old wheel, an old library, a secret in a wheel, and a denied licence."""
    vulnerable_project.make(
        desk.folder, desk.cache, files={"certifi/tokens.py": SECRET}, rules=f"[scan]\n{DENY}"
    )
    assert desk.build().status == 0
    return desk


@pytest.fixture
def clean(desk: Desk) -> Desk:
    """The same project, up to date."""
    vulnerable_project.make(desk.folder, desk.cache, certifi=NEW, expat=NEW_EXPAT)
    assert desk.build().status == 0
    return desk


def found(scan: Any) -> set[tuple[str, str]]:
    return {(item["id"], item["verdict"]) for item in scan["vulnerabilities"]}


def rewrite(desk: Desk, rules: str) -> None:
    """Give the project other rules; the image stays as it was built."""
    toml = f"{vulnerable_project.TOML}[scan]\n{rules}"
    (desk.folder / "modelpack.toml").write_text(toml, encoding="utf-8")


def test_what_is_known_to_be_vulnerable_is_found(vulnerable: Desk) -> None:
    done = vulnerable.scan("--json")
    assert done.status == 1
    (scan,) = done.document["scans"]
    assert scan["digest"] == vulnerable.layout.manifests()[0].digest
    assert (scan["outcome"], scan["system"]) == ("failed", "debian 13.7")
    assert found(scan) == {("CVE-2023-37920", "fails"), ("CVE-2024-45490", "fails")}
    (secret,) = scan["secrets"]
    assert (secret["id"], secret["path"], secret["line"]) == ("github-pat", TOKENS, 2)
    assert [item["expression"] for item in scan["licenses"]] == ["MPL-2.0"]
    assert scan["misconfigurations"] == []
    assert len(scan["packages"]) == 5
    assert "/models/tiny/config.json" in scan["not_looked_at"]


def test_what_is_up_to_date_is_not(clean: Desk) -> None:
    done = clean.scan("--json")
    (scan,) = done.document["scans"]
    assert (done.status, scan["outcome"], found(scan)) == (0, "passed", set())
    assert scan["findings"] == []


def test_people_read_a_table(vulnerable: Desk) -> None:
    done = vulnerable.scan()
    assert re.search(r"CRITICAL +CVE-2024-45490 +libexpat1 +2.6.2-2 +2.6.3-1", done.out)
    assert done.out.rstrip().endswith("failed: 4 above the gate, 0 accepted, 0 below")
    assert "4 weight files" in done.out


@pytest.mark.parametrize("form", [(), ("-v",), ("--json",), ("--format", "sarif")])
def test_a_secret_is_never_shown(vulnerable: Desk, form: tuple[str, ...]) -> None:
    vex = vulnerable.folder / "vex.json"
    done = vulnerable.scan(*form, "--vex", vex)
    assert "github-pat" in done.out
    kept = [path for path in vulnerable.folder.rglob("*") if path.is_file()]
    texts = [done.out, done.err, *(p.read_text() for p in kept if p.suffix == ".json")]
    for text in texts:
        assert TOKEN not in text
        assert "release day" not in text
    assert list((vulnerable.cache / "scratch").iterdir()) == []


def test_exceptions_let_it_pass_and_stand_in_the_vex(vulnerable: Desk) -> None:
    exceptions = [
        ("CVE-2023-37920", 'package = "certifi"\nstate = "not_affected"'),
        ("CVE-2024-45490", ""),
        ("github-pat", f'path = "{TOKENS}"'),
        ("MPL-2.0", 'package = "certifi"'),
    ]
    rules = DENY + "".join(
        f'[[scan.ignore]]\nid = "{name}"\nreason = "because"\nexpires = 2999-01-01\n{more}\n'
        for name, more in exceptions
    )
    rewrite(vulnerable, rules)
    vex = vulnerable.folder / "vex.json"
    done = vulnerable.scan("--json", "--vex", vex)
    (scan,) = done.document["scans"]
    assert (done.status, scan["counts"]) == (0, {"fails": 0, "waived": 4, "below": 0})
    document = json.loads(vex.read_bytes())
    states = {one["id"]: one["analysis"]["state"] for one in document["vulnerabilities"]}
    assert states == {"CVE-2023-37920": "not_affected", "CVE-2024-45490": "in_triage"}


def test_the_gate_is_what_the_file_says_now(vulnerable: Desk) -> None:
    rewrite(vulnerable, 'fail-on = "CRITICAL"\n')
    (scan,) = vulnerable.scan("--json").document["scans"]
    assert found(scan) == {("CVE-2023-37920", "below"), ("CVE-2024-45490", "fails")}


def test_an_image_does_not_judge_itself(vulnerable: Desk) -> None:
    layout = f"oci:{vulnerable.folder}/dist/image"
    (scan,) = vulnerable.scan("--json", image=layout).document["scans"]
    assert scan["rules"]["deny-licenses"] == []
    file = vulnerable.folder / "modelpack.toml"
    (scan,) = vulnerable.scan("--json", "--file", file, image=layout).document["scans"]
    assert scan["rules"]["deny-licenses"] == ["MPL-2.0"]


@pytest.mark.parametrize("kind", ["oci-archive", "docker-archive"])
def test_an_archive_is_scanned_as_a_layout_is(vulnerable: Desk, kind: str) -> None:
    file = vulnerable.folder / "image.tar"
    assert vulnerable.build("--output", f"{kind}:{file}").status == 0
    done = vulnerable.scan("--json", image=f"{kind}:{file}")
    (scan,) = done.document["scans"]
    assert done.status == 1
    assert len(scan["vulnerabilities"]) == 2
    assert scan["not_looked_at"]


@pytest.mark.parametrize("kind", ["distribution-2", "olareg"])
def test_an_image_in_a_registry_is_scanned_there(
    vulnerable: Desk, kind: str, tmp_path_factory: pytest.TempPathFactory,
    go_tool: Callable[[str], str], require_tool: Callable[[str], str],
) -> None:  # fmt: skip
    folder = tmp_path_factory.mktemp(kind)
    with running(kind, folder, go_tool=go_tool, require_tool=require_tool) as registry:
        name = f"{registry.repository()}:1.0"
        assert vulnerable.type("push", vulnerable.folder, name).status == 0

        done = vulnerable.scan("--json", image=name)

        (scan,) = done.document["scans"]
        assert done.status == 1
        assert scan["digest"] == vulnerable.layout.manifests()[0].digest
        assert len(scan["vulnerabilities"]) == 2
        assert "/models/tiny/config.json" in scan["not_looked_at"]
        assert "scan.headers" in {finding["rule"] for finding in scan["findings"]}
        assert "scan" not in listed_beside(vulnerable, name)
        assert vulnerable.scan("--attach", image=name).status == 1
        assert listed_beside(vulnerable, name).count("scan") == 1


def listed_beside(desk: Desk, name: str) -> list[str]:
    document = desk.type("inspect", name, "--json").document
    return [one["what"] for one in document["referrers"]]


@pytest.fixture(params=["docker-daemon", "containers-storage"])
def held(
    request: pytest.FixtureRequest, vulnerable: Desk, monkeypatch: pytest.MonkeyPatch,
    require_tool: Callable[[str], str], unavailable: Callable[[str], None],
) -> Iterator[str]:  # fmt: skip
    """Load the image into a real engine; yield its name there."""
    with ExitStack() as stack:
        if request.param == "docker-daemon":
            monkeypatch.setenv("DOCKER_HOST", f"unix://{request.getfixturevalue('engine').socket}")
        else:
            try:
                socket = stack.enter_context(running_podman(require_tool("podman")))
            except EngineError as error:
                unavailable(str(error))
            for variable in ("DOCKER_HOST", "CONTAINER_HOST"):
                monkeypatch.setenv(variable, f"unix://{socket}")
        assert vulnerable.build("--load").status == 0
        yield f"{request.param}:tiny:1.0.0"


@pytest.mark.slow
def test_an_image_of_an_engine_is_scanned_there(vulnerable: Desk, held: str) -> None:
    done = vulnerable.scan("--json", image=held)
    (scan,) = done.document["scans"]
    assert done.status == 1
    assert len(scan["vulnerabilities"]) == 2
    assert "/models/tiny/config.json" in scan["not_looked_at"]
    assert "scan.headers" not in {finding["rule"] for finding in scan["findings"]}
    config = vulnerable.layout.image(vulnerable.layout.manifests()[0].digest).config
    assert config is not None
    assert scan["config_digest"] == config.digest
    refused = vulnerable.scan("--attach", image=held)
    assert "`--attach` is for" in refused.err


def test_an_old_database_gives_no_yes(clean: Desk) -> None:
    facts.write(clean.database, updated=int(time.time()) - 8 * 86_400)
    done = clean.scan("--json")
    (scan,) = done.document["scans"]
    assert (done.status, scan["outcome"]) == (3, "unknown")
    assert [finding["rule"] for finding in scan["findings"]] == ["scan.database"]


def test_an_old_database_gives_a_no_all_the_same(vulnerable: Desk) -> None:
    facts.write(vulnerable.database, updated=int(time.time()) - 8 * 86_400)
    assert vulnerable.scan().status == 1


def test_a_damaged_database_gives_no_answer(clean: Desk) -> None:
    (clean.database / "trivy.db").write_bytes(bytes(8192))
    done = clean.scan()
    assert done.status == 3
    assert "Trivy ended with" in done.err


def test_a_database_is_downloaded_from_the_repository_of_this_machine(
    clean: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest, layer = facts.artifact(clean.database)
    configuration = clean.folder / "config.toml"
    monkeypatch.setenv("MODELPACK_CONFIG", str(configuration))
    with served(View(manifest=manifest, config=EMPTY, layers=(layer,))) as name:
        configuration.write_text(f'[scan]\nrepository = "{name}"\n')
        done = clean.type("scan", clean.folder)
        assert done.status == 0, done.err
    assert "downloading the vulnerability database" in done.err
    # From now on there is one, and nobody is asked.
    for options in ((), ("--offline",)):
        done = clean.type("scan", clean.folder, *options)
        assert done.status == 0, done.err
        assert "downloading" not in done.err


def test_without_any_database_the_way_to_one_is_named(clean: Desk) -> None:
    done = clean.type("scan", clean.folder, "--offline")
    assert done.status == 3
    assert "`--db`" in done.err


def test_an_image_with_java_archives_needs_their_database(desk: Desk) -> None:
    jar = io.BytesIO()
    with zipfile.ZipFile(jar, "w") as archive:
        archive.writestr("META-INF/MANIFEST.MF", "Manifest-Version: 1.0\n")
    vulnerable_project.make(
        desk.folder, desk.cache, certifi=NEW, expat=NEW_EXPAT,
        files={"certifi/some-1.0.jar": jar.getvalue()},
    )  # fmt: skip
    assert desk.build().status == 0
    done = desk.scan()
    assert done.status == 3
    assert "trivy image --download-java-db-only" in done.err
    facts.write_java(desk.database / "java-db", updated=int(time.time()))
    done = desk.scan()
    assert done.status == 0, done.err


def test_every_image_of_an_index_is_scanned(desk: Desk, tmp_path: Path) -> None:
    each = [images.image("a", architecture=name) for name in ("amd64", "arm64")]
    whole = Index(images=tuple(each))
    with Layout(tmp_path / "layout") as layout:
        for blob in blobs(whole):
            layout.write(blob, images.nothing)
        layout.commit([Root(manifest=whole.manifest_blob)])
    done = desk.scan("--json", image=f"oci:{tmp_path}/layout")
    assert done.status == 0, done.err
    scans = done.document["scans"]
    assert [(one["platform"], one["digest"]) for one in scans] == [
        (str(image.platform), image.digest) for image in each
    ]
    assert [one["findings"][0]["rule"] for one in scans] == ["scan.system", "scan.system"]
    only = desk.scan("--json", "--platform", "linux/arm64", image=f"oci:{tmp_path}/layout")
    assert [one["digest"] for one in only.document["scans"]] == [each[1].digest]
    both = desk.scan("--vex", tmp_path / "vex.json", image=f"oci:{tmp_path}/layout")
    assert (both.status, (tmp_path / "vex.json").exists()) == (2, False)


def test_without_trivy_nothing_is_said(clean: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    for done in (clean.scan(), clean.build("--scan")):
        assert done.status == 3
        assert "`trivy` is not installed" in done.err
        assert "go install" in done.err


def test_a_damaged_layer_is_named(clean: Desk) -> None:
    layer = clean.layout.image(clean.layout.manifests()[0].digest).layers[1]
    path = clean.layout.path_of(layer.digest)
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    done = clean.scan()
    assert done.status == 2
    assert str(path) in done.err


def test_what_was_found_is_kept_with_the_image(vulnerable: Desk) -> None:
    vulnerable.scan()
    vulnerable.scan()
    (said,) = vulnerable.said()
    digest = vulnerable.layout.manifests()[0].digest
    assert said.is_about(digest)
    assert said.predicate_type == predicate_types.VULN
    result = said.predicate["scanner"]["result"]
    assert result["modelpack"]["outcome"] == "failed"
    copy = json.loads((vulnerable.folder / "dist" / "scan.json").read_bytes())
    assert copy["predicate"] == said.predicate


def test_a_later_scan_stands_in_the_record_of_the_build(vulnerable: Desk) -> None:
    path = vulnerable.folder / "dist" / "build.json"
    before = json.loads(path.read_bytes())
    vulnerable.scan()
    vulnerable.scan()
    after = json.loads(path.read_bytes())
    *same, scan = after.pop("evidence")
    assert same == before.pop("evidence")
    assert after == before
    (said,) = vulnerable.said()
    assert scan == {
        "kind": "scan", "predicate_type": predicate_types.VULN, "file": "scan.json",
        "digest": digest_of(said.as_bytes()), "images": [vulnerable.layout.manifests()[0].digest],
    }  # fmt: skip
    # A record of another build, or none, is left alone.
    for text in (json.dumps({**before, "evidence": [], "images": []}), "{}", "nonsense"):
        path.write_text(text)
        assert vulnerable.scan().status == 1
        assert path.read_text() == text


def test_a_ci_job_is_told_and_shown_what_was_found(
    vulnerable: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    output, summary = vulnerable.folder / "output", vulnerable.folder / "summary"
    monkeypatch.setenv("GITHUB_OUTPUT", str(output))
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    assert vulnerable.scan().status == 1
    assert output.read_text().splitlines()[1] == "failed"
    text = summary.read_text()
    assert text.startswith("### tiny: scan failed\n\n`sha256:")
    assert "| CRITICAL | CVE-2024-45490 | libexpat1 |" in text
    assert TOKEN not in text


def test_a_layout_that_cannot_be_written_is_scanned_all_the_same(clean: Desk) -> None:
    layout = clean.folder / "dist" / "image"
    (layout / "ingest").write_text("in the way")
    done = clean.scan(image=f"oci:{layout}")
    assert done.status == 0
    assert "not kept with the image" in done.err
    assert clean.said() == []


def test_a_build_with_a_clean_scan_names_the_image(clean: Desk) -> None:
    before = clean.layout.manifests()[0]
    done = clean.build("--scan", "--db", clean.database, "--json")
    assert done.status == 0, done.err
    (scan,) = done.document["scans"]
    assert (scan["outcome"], scan["digest"]) == ("passed", done.document["digest"])
    entry = clean.layout.manifests()[0]
    assert entry.annotations == before.annotations
    assert [one.predicate_type for one in clean.said()] == [predicate_types.VULN]


def test_a_build_with_a_bad_scan_leaves_an_image_without_a_name(vulnerable: Desk) -> None:
    tagged = vulnerable.layout.manifests()[0]
    (vulnerable.folder / "service" / "__main__.py").write_text("print('changed')\n")
    archive = vulnerable.folder / "image.tar"
    done = vulnerable.build(
        "--scan", "--db", vulnerable.database,
        "--output", f"oci:{vulnerable.folder}/dist/image", "--output", f"oci-archive:{archive}",
    )  # fmt: skip
    assert done.status == 1
    assert "CVE-2024-45490" in done.err
    assert not archive.exists()
    new, old = vulnerable.layout.manifests()[:2]
    assert new.digest != tagged.digest
    assert new.annotations == {}
    assert old == tagged
    (said,) = vulnerable.said()
    assert said.is_about(new.digest)
    shown = vulnerable.type("inspect", vulnerable.folder, "--json").document
    assert shown["digest"] == new.digest
    assert {one["what"] for one in shown["referrers"]} >= {"scan", "sbom", "provenance"}
    assert vulnerable.scan("--json").document["scans"][0]["digest"] == new.digest


def test_a_secret_in_the_image_configuration_is_found(desk: Desk) -> None:
    vulnerable_project.make(desk.folder, desk.cache, certifi=NEW, expat=NEW_EXPAT)
    assert desk.build().status == 0
    layout = desk.layout
    entry = layout.manifests()[0]
    manifest = layout.image(entry.digest)
    assert manifest.config is not None
    config = json.loads(layout.read(manifest.config))
    config["config"]["Env"].append(f"TOKEN={TOKEN}")
    image = desk.folder / "other"
    _with_config(layout, manifest, config, image)
    done = desk.scan("--json", image=f"oci:{image}")
    (secret,) = done.document["scans"][0]["secrets"]
    assert (secret["id"], secret["path"]) == ("github-pat", "")
    assert TOKEN not in done.out


def _with_config(layout: Layout, manifest: Any, config: Any, folder: Path) -> None:
    """Write the image of `layout` with another configuration to `folder`."""
    new = blob_of(canonical_json.dumps(config), CONFIG)
    value = {
        "schemaVersion": 2, "mediaType": MANIFEST, "config": new.descriptor.as_json(),
        "layers": [layer.as_json() for layer in manifest.layers],
    }  # fmt: skip
    with Layout(folder) as other:
        for layer in manifest.layers:
            other.write(layout.blob(layer), images.nothing)
        other.write(new, images.nothing)
        other.commit([Root(manifest=blob_of(canonical_json.dumps(value), MANIFEST))])


def test_a_scan_changes_nothing_but_what_vouches_for_the_image(vulnerable: Desk) -> None:
    layout = vulnerable.layout
    manifest = layout.image(layout.manifests()[0].digest)
    paths = [layout.path_of(blob.digest) for blob in manifest.children]
    before = [(path.read_bytes(), path.stat().st_ctime_ns) for path in paths]
    vulnerable.scan()
    assert [(path.read_bytes(), path.stat().st_ctime_ns) for path in paths] == before


@pytest.mark.slow
def test_an_example_on_the_assembled_base_is_known_whole(
    trivy: str, packed: Callable[[str], Packed], desk: Desk
) -> None:
    digits = packed("digits")
    done = desk.scan("--json", image=f"oci:{digits.layout}")
    (scan,) = done.document["scans"]
    assert (done.status, scan["outcome"]) == (0, "passed"), done.err
    assert scan["digest"] == digits.record["digest"]
    # The one without a fix is there, and those that have long been fixed are not.
    assert found(scan) == {("CVE-2019-1010022", "below")}
    assert recognised(scan) == listed(digits.project / "dist" / "sbom.cdx.json")
    assert ("pypi", "numpy") in {(one["type"], one["name"]) for one in scan["packages"]}
    assert scan["misconfigurations"] == []


def test_it_finds_the_same_as_trivy_alone(vulnerable: Desk) -> None:
    """The view hides nothing: Trivy says the same of the whole layout."""
    layout = vulnerable.folder / "dist" / "image"
    results = vulnerable.trivy_alone("image", "--input", layout, "--scanners", "vuln,secret")
    secrets = {(r["Target"], s["RuleID"]) for r in results for s in r.get("Secrets", [])}
    (scan,) = vulnerable.scan("--json").document["scans"]
    assert {item["id"] for item in scan["vulnerabilities"]} == ids(results)
    assert {(item["path"], item["id"]) for item in scan["secrets"]} == secrets


def ids(results: list[dict[str, Any]]) -> set[str]:
    return {v["VulnerabilityID"] for result in results for v in result.get("Vulnerabilities", [])}


def listed(bill: Path) -> set[tuple[str, str, str]]:
    """Return the packages of an SBOM."""
    found = set()
    for component in json.loads(bill.read_bytes())["components"]:
        kind = component.get("purl", "").removeprefix("pkg:").partition("/")[0]
        if kind:
            found.add(identity(kind, component["name"], component["version"]))
    return found


def recognised(scan: Any) -> set[tuple[str, str, str]]:
    return {identity(one["type"], one["name"], one["version"]) for one in scan["packages"]}


def test_trivy_finds_in_the_bill_of_materials_what_it_finds_in_the_image(vulnerable: Desk) -> None:
    bill = vulnerable.folder / "dist" / "sbom.cdx.json"
    (scan,) = vulnerable.scan("--json").document["scans"]
    assert listed(bill) == recognised(scan)
    assert ids(vulnerable.trivy_alone("sbom", bill)) == {
        one["id"] for one in scan["vulnerabilities"]
    }


def test_trivy_heeds_the_vex_for_the_bill_of_materials(vulnerable: Desk) -> None:
    rewrite(
        vulnerable,
        '[[scan.ignore]]\nid = "CVE-2023-37920"\nreason = "no TLS"\nexpires = 2999-01-01\n'
        'state = "not_affected"\n'
        '[[scan.ignore]]\nid = "CVE-2024-45490"\nreason = "later"\nexpires = 2999-01-01\n',
    )
    vex = vulnerable.folder / "vex.json"
    vulnerable.scan("--vex", vex)
    bill = vulnerable.folder / "dist" / "sbom.cdx.json"
    # What is only accepted for some time is still there.
    assert ids(vulnerable.trivy_alone("sbom", bill, "--vex", vex)) == {"CVE-2024-45490"}
