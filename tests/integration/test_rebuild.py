"""`modelpack rebuild` as people run it: on small whole projects, and on a real example."""

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from modelpack.comparison.verdict import KIND
from modelpack.oci.layout import Layout
from modelpack.oci.referrers import KIND as KIND_OF_REFERRER
from modelpack.trust import predicate_types, statement
from tests import projects
from tests.integration.conftest import Packed
from tests.registries import running
from tests.tampering import tamper


@dataclass(frozen=True)
class Bench:
    """A built project and the cache that it was built from."""

    project: Path
    cache: Path

    @property
    def layout(self) -> Path:
        return self.project / "dist" / "image"

    def rebuild(
        self, *words: str, status: int = 0, image: str = ""
    ) -> "subprocess.CompletedProcess[str]":
        done = subprocess.run(
            [sys.executable, "-m", "modelpack", "rebuild", image or str(self.project),
             "--offline", *words],
            capture_output=True, text=True, env=projects.environment(self.cache), check=False,
        )  # fmt: skip
        assert done.returncode == status, done.stdout + done.stderr
        return done

    def verdict(self, *words: str, status: int = 0, image: str = "") -> Any:
        document = json.loads(self.rebuild(*words, "--json", status=status, image=image).stdout)
        (found,) = document["images"]
        assert document["reproduced"] == (status == 0)
        return found

    def verdicts_beside(self) -> list[statement.Statement]:
        store = Layout(self.layout)
        (subject,) = {entry.digest for entry in store.manifests()[:1]}
        return [
            statement.parse(store.read(store.image(entry.digest).layers[0]))
            for entry in store.referrers(subject)
            if entry.annotations.get(KIND_OF_REFERRER) == KIND
        ]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    project = projects.make_project(tmp_path / "project", tmp_path / "cache")
    projects.build(project, tmp_path / "cache")
    return Bench(project, tmp_path / "cache")


def contents(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_a_project_is_reproduced_and_the_verdict_stands_beside_its_image(bench: Bench) -> None:
    before = contents(bench.project)
    found = bench.verdict()
    assert (found["verdict"], found["firstDifference"]) == ("reproduced", None)
    assert found["madeFrom"]["weights"] == {"tiny": "hashed"}
    assert (found["madeFrom"]["spec"], found["madeFrom"]["lock"]) == ("source", "source")
    after = contents(bench.project)
    image = "dist/image/"
    assert {k: v for k, v in after.items() if not k.startswith(image)} == {
        k: v for k, v in before.items() if not k.startswith(image)
    }
    (said,) = bench.verdicts_beside()
    assert said.predicate_type == predicate_types.REBUILD
    assert said.is_about(found["digest"])
    assert not projects.damage(bench.layout)
    assert not list((bench.cache / "scratch").iterdir())


def test_a_later_verdict_takes_the_place_of_an_earlier_one(bench: Bench) -> None:
    bench.rebuild()
    bench.rebuild()
    assert len(bench.verdicts_beside()) == 1


def test_without_attach_nothing_at_all_is_written(bench: Bench) -> None:
    before = contents(bench.project)
    bench.rebuild("--no-attach")
    bench.rebuild("--source", str(bench.project), image=f"oci:{bench.layout}")
    assert contents(bench.project) == before


def test_one_byte_of_the_dependencies_is_named(bench: Bench) -> None:
    def change(tar: bytes) -> bytes:
        assert tar.count(b"VALUE = 1\n") == 1
        return tar.replace(b"VALUE = 1\n", b"VALUE = 2\n")

    digest = tamper(bench.layout, "dependencies", change)
    found = bench.verdict(status=1)
    assert found["digest"] == digest
    first = found["firstDifference"]
    assert (first["layer"], first["kind"]) == (1, "dependencies")
    assert first["place"] == {
        "what": "content",
        "path": "opt/venv/lib/python3.13/site-packages/pastel/__init__.py",
        "offset": 8,
        "recorded": "0x32",
        "rebuilt": "0x31",
    }
    (said,) = bench.verdicts_beside()
    assert said.predicate["verdict"] == "different"
    text = bench.rebuild(status=1).stdout
    assert "pastel/__init__.py: content differs at byte 8" in text


def test_one_byte_of_the_weights_is_named_where_the_weights_are(bench: Bench) -> None:
    tamper(bench.layout, "weights", lambda tar: tar.replace(b'["Tiny"]', b'["Tidy"]'))
    first = bench.verdict(status=1)["firstDifference"]
    assert (first["kind"], first["place"]["path"]) == ("weights", "models/tiny/config.json")


def test_another_compressor_is_a_reason(bench: Bench) -> None:
    tamper(bench.layout, "code", lambda tar: tar)
    found = bench.verdict(status=1)
    assert found["firstDifference"]["place"]["what"] == "compression"
    assert any("compressor" in reason for reason in found["reasons"])


def test_a_changed_setting_of_the_container_is_named(bench: Bench) -> None:
    store = Layout(bench.layout)
    entry = store.manifests()[0]
    manifest = json.loads(store.read(entry))
    from tests.tampering import put

    config = json.loads(store.read(store.image(entry.digest).config))  # type: ignore[arg-type]
    config["config"]["User"] = "0:0"
    manifest["config"] |= put(bench.layout, json.dumps(config).encode())
    named = {"mediaType": manifest["mediaType"]}
    named |= put(bench.layout, json.dumps(manifest).encode())
    (bench.layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [named]}))
    found = bench.verdict(status=1)
    assert found["firstDifference"] is None
    assert {"key": "config.User", "recorded": "0:0", "rebuilt": "10001:0"} in found["configuration"]


def test_code_that_is_not_the_recorded_one_is_refused_by_name(bench: Bench) -> None:
    (bench.project / "service" / "__main__.py").write_text("print(1)\n")
    (bench.project / "service" / "more.py").write_text("")
    (bench.project / "service" / "__init__.py").unlink()
    done = bench.rebuild(status=1)
    for name in ("service/__main__.py", "service/more.py", "service/__init__.py"):
        assert name in done.stderr
    assert not bench.verdicts_beside()


def test_weights_that_are_not_here_are_taken_by_digest(bench: Bench) -> None:
    shutil.rmtree(bench.project / "weights")
    found = bench.verdict()
    assert found["madeFrom"]["weights"] == {"tiny": "lock"}


def test_other_weights_are_refused(bench: Bench) -> None:
    path = bench.project / "weights" / "config.json"
    path.write_bytes(path.read_bytes().replace(b"Tiny", b"Tidy"))
    assert "config.json" in bench.rebuild(status=1).stderr


def test_without_a_pinned_package_nothing_can_be_said(bench: Bench) -> None:
    shutil.rmtree(bench.cache / "downloads")
    done = bench.rebuild(status=3)
    assert "python3.13-minimal" in done.stderr
    assert not bench.verdicts_beside()


def test_settings_that_only_the_image_knows_are_said(bench: Bench) -> None:
    toml = bench.project / "modelpack.toml"
    toml.write_text(toml.read_text().replace("1.0.0", "1.0.1"))
    found = bench.verdict()
    assert found["madeFrom"]["spec"] == "image"
    assert any("modelpack.toml" in reason for reason in found["reasons"])


def test_an_archive_of_docker_is_reproduced_by_its_id(bench: Bench, tmp_path: Path) -> None:
    archive = tmp_path / "image.tar"
    projects.build(bench.project, bench.cache, "--output", f"docker-archive:{archive}")
    bench.verdict("--source", str(bench.project), image=f"docker-archive:{archive}")


def test_an_image_of_others_cannot_be_rebuilt(bench: Bench) -> None:
    from modelpack.oci.store import Root
    from tests.images import image, nothing

    made = image("one")
    with Layout(bench.layout) as layout:
        layout.write_all(made.blobs, nothing)
        layout.commit([Root(manifest=made.manifest_blob, tags=("other",))])
    name = f"oci:{bench.layout}:other"
    done = bench.rebuild("--source", str(bench.project), image=name, status=3)
    assert "does not say what it was made from" in done.stderr


@pytest.mark.integration
def test_an_example_is_reproduced(packed: Callable[[str], Packed]) -> None:
    """Real packages, wheels and bytecode, made a second time."""
    example = packed("digits")
    done = subprocess.run(
        [sys.executable, "-m", "modelpack", "rebuild", f"oci:{example.layout}", "--source",
         str(example.project), "--attach", "--json"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    (found,) = json.loads(done.stdout)["images"]
    assert found["digest"] == example.record["digest"]
    assert found["madeFrom"]["weights"] == {"digits": "hashed"}


def test_every_platform_of_an_index_is_made_again(tmp_path: Path) -> None:
    toml = projects.TOML + '\n[image]\nplatforms = ["linux/amd64", "linux/arm64"]\n'
    project = projects.make_project(tmp_path / "project", tmp_path / "cache", toml=toml)
    projects.build(project, tmp_path / "cache")
    bench = Bench(project, tmp_path / "cache")
    document = json.loads(bench.rebuild("--json").stdout)
    assert [one["platform"] for one in document["images"]] == ["linux/amd64", "linux/arm64"]
    one = json.loads(bench.rebuild("--json", "--platform", "linux/arm64").stdout)
    assert one["images"][0]["digest"] == document["images"][1]["digest"]


def test_an_image_with_mounted_weights_is_made_again(tmp_path: Path) -> None:
    toml = projects.TOML.replace('path = "weights"\n', 'path = "weights"\nmode = "mount"\n')
    project = projects.make_project(tmp_path / "project", tmp_path / "cache", toml=toml)
    projects.build(project, tmp_path / "cache")
    bench = Bench(project, tmp_path / "cache")
    bench.rebuild()
    weights = next(tag for tag in projects.tags(bench.layout) if tag.endswith("-weights"))
    done = bench.rebuild(
        "--source", str(project), image=f"oci:{bench.layout}:{weights}", status=3
    )  # fmt: skip
    assert "mounted weights" in done.stderr


def test_the_commit_of_the_code_is_looked_at(
    bench: Bench, require_tool: Callable[[str], str]
) -> None:
    git = [require_tool("git"), "-c", "user.name=a", "-c", "user.email=a@example.com",
           "-C", str(bench.project)]  # fmt: skip
    (bench.project / ".gitignore").write_text("dist/\n")
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "all"]):
        subprocess.run([*git, *words], check=True, capture_output=True)
    projects.build(bench.project, bench.cache)
    assert bench.verdict()["madeFrom"]["revisionIs"] == "checked-out"
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "more"], check=True)
    found = bench.verdict()
    assert found["madeFrom"]["revisionIs"] == "other-commit"
    (bench.project / "service" / "__main__.py").write_text("")
    hint = f"git checkout {found['madeFrom']['revision']}"
    assert hint in bench.rebuild(status=1).stderr


@pytest.mark.integration
def test_an_image_in_a_registry_is_compared_and_made_again(
    bench: Bench,
    tmp_path: Path,
    go_tool: Callable[[str], str],
    require_tool: Callable[[str], str],
) -> None:
    with running("olareg", tmp_path, go_tool=go_tool, require_tool=require_tool) as registry:
        name = f"{registry.repository()}:1.0.0"
        for words in (
            ["push", str(bench.project), name],
            ["diff", str(bench.project), name, "--files"],
        ):
            done = subprocess.run(
                [sys.executable, "-m", "modelpack", *words], capture_output=True, text=True,
                env=projects.environment(bench.cache), check=False,
            )  # fmt: skip
            assert done.returncode == 0, done.stdout + done.stderr
        bench.verdict("--source", str(bench.project), "--attach", image=name)
        shown = subprocess.run(
            [sys.executable, "-m", "modelpack", "inspect", name, "--json"], capture_output=True,
            env=projects.environment(bench.cache), check=True,
        )  # fmt: skip
        (verdict,) = [one["verdict"] for one in json.loads(shown.stdout)["referrers"]
                      if one["what"] == "rebuild"]  # fmt: skip
        assert verdict["outcome"] == "reproduced"
        tamper(bench.layout, "dependencies", lambda tar: tar.replace(b"range(9)", b"range(8)"))
        subprocess.run(
            [sys.executable, "-m", "modelpack", "push", f"oci:{bench.layout}", name, "--replace"],
            env=projects.environment(bench.cache), check=True,
        )  # fmt: skip
        found = bench.verdict("--source", str(bench.project), image=name, status=1)
        assert found["firstDifference"]["place"]["path"].endswith("pastel/table.py")
