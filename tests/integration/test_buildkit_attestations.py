"""SBOM and provenance in an index: buildx reads ours, `inspect` what BuildKit writes."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from modelpack.digest import Digest
from modelpack.oci.archive_reading import Archive
from modelpack.oci.layout import Layout
from tests import projects
from tests.buildkit import NAME
from tests.command_line import Done, run, run_here
from tests.registries import RunningRegistry, running

TWO = '\n[image]\nplatforms = ["linux/amd64", "linux/arm64"]\n'
SPDX, SLSA = "https://spdx.dev/Document", "https://slsa.dev/provenance/v1"
PEM = Encoding.PEM
ARTIFACT = "application/vnd.docker.attestation.manifest.v1+json"


@pytest.fixture(scope="module")
def registry(
    tmp_path_factory: pytest.TempPathFactory,
    go_tool: Callable[[str], str],
    require_tool: Callable[[str], str],
) -> Iterator[RunningRegistry]:
    """Run a registry that lists referrers itself: attestations of ours are among them."""
    folder = tmp_path_factory.mktemp("registry")
    with running("olareg", folder, go_tool=go_tool, require_tool=require_tool) as started:
        yield started


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache and two projects, one of them for two platforms, built."""
    root = tmp_path_factory.mktemp("site")
    for name, toml in (("one", projects.TOML), ("two", projects.TOML + TWO)):
        folder = projects.make_project(root / name, root / "cache", toml=toml)
        built = run("build", folder, "--locked", "--offline", cache=root / "cache")
        assert built.status == 0, built.err
    return root


@pytest.fixture
def typed(
    site: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Done]:
    """Return how to type commands on the machine of the site."""
    monkeypatch.setenv("MODELPACK_CACHE", str(site / "cache"))
    monkeypatch.setenv("MODELPACK_CONFIG", str(site / "none.toml"))

    def type_in(*words: object, status: int = 0) -> Done:
        done = run_here(capsys, *words)
        assert done.status == status, done.err
        return done

    return type_in


@pytest.fixture
def imagetools(go_tool: Callable[[str], str], tmp_path: Path) -> Callable[[str, str], Any]:
    """Return what `docker buildx imagetools inspect` tells of an image."""
    program = go_tool("buildx")
    (tmp_path / "docker").mkdir()
    home = {**os.environ, "HOME": str(tmp_path), "DOCKER_CONFIG": str(tmp_path / "docker")}

    def inspected(name: str, template: str) -> Any:
        done = subprocess.run(
            [program, "imagetools", "inspect", name, "--format", f"{{{{json {template}}}}}"],
            env=home, capture_output=True, check=False, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr.decode()
        return json.loads(done.stdout)

    return inspected


def test_buildx_reads_both_and_the_image_stays(
    site: Path, typed: Callable[..., Done], registry: RunningRegistry,
    imagetools: Callable[[str, str], Any],
) -> None:  # fmt: skip
    image = Layout(site / "one" / "dist" / "image").resolve("").digest
    name = f"{registry.repository()}:1.0.0"
    pushed = typed("push", "--buildkit-attestations", site / "one", name).out.strip()
    provenance = imagetools(name, ".Provenance")["SLSA"]
    assert provenance["buildDefinition"]["buildType"] == "https://modelpack.dev/build-types/v1"
    assert provenance["runDetails"]["metadata"]["finishedOn"]
    bill = imagetools(name, ".SBOM")["SPDX"]
    assert bill["spdxVersion"] == "SPDX-2.3"
    assert "pastel" in {package["name"] for package in bill["packages"]}
    index = imagetools(name, ".Manifest")
    assert index["digest"] == pushed
    assert index["manifests"][0]["digest"] == image
    assert index["manifests"][0]["platform"] == {"architecture": "amd64", "os": "linux"}
    assert index["manifests"][1]["platform"] == {"architecture": "unknown", "os": "unknown"}

    # Again, from there, and elsewhere: the same index.
    other = f"{registry.repository()}:1.0.0"
    for source in (site / "one", name):
        assert typed("push", "--buildkit-attestations", source, other).out.strip() == pushed

    shown = typed("inspect", name, "--json").document
    assert (shown["digest"], shown["index"]) == (image, pushed)
    assert shown["findings"] == []
    within = [one for one in shown["referrers"] if one["by"] == "index"]
    assert [(one["what"], one["predicate_type"], one["artifact_type"]) for one in within] == [
        ("sbom", SPDX, ARTIFACT), ("provenance", SLSA, ARTIFACT),
    ]  # fmt: skip
    digests = [(one["digest"], one["content"]) for one in shown["referrers"]]
    assert len(set(digests)) == len(digests), "said once, though the registry lists them as well"
    raw = json.loads(typed("inspect", name, "--raw", f"attestation:{SPDX}").out)
    assert raw["predicate"] == bill


def container(bill: Any) -> Any:
    """Return the image among the packages of an SPDX document."""
    return next(p for p in bill["packages"] if p.get("primaryPackagePurpose") == "CONTAINER")


def test_each_platform_has_its_own(
    site: Path, typed: Callable[..., Done], registry: RunningRegistry,
    imagetools: Callable[[str, str], Any],
) -> None:  # fmt: skip
    name = f"{registry.repository()}:1.0.0"
    typed("push", "--buildkit-attestations", site / "two", name)
    bills = imagetools(name, ".SBOM")
    assert set(bills) == set(imagetools(name, ".Provenance")) == {"linux/amd64", "linux/arm64"}
    digests = {platform: container(bill["SPDX"])["versionInfo"] for platform, bill in bills.items()}
    shown = typed("inspect", site / "two", "--json").document
    assert digests == {one["platform"]: one["digest"] for one in shown["platforms"]}


def test_an_index_of_ours_is_attested_anew(
    site: Path, typed: Callable[..., Done], tmp_path: Path
) -> None:
    first, again = f"oci:{tmp_path / 'a'}", f"oci:{tmp_path / 'b'}"
    made = typed("copy", "--buildkit-attestations", site / "two", first)
    assert typed("copy", "--buildkit-attestations", first, again).out == made.out


def test_what_signed_the_image_still_proves_it_and_views_are_signed_like_it(
    site: Path, typed: Callable[..., Done], registry: RunningRegistry, tmp_path: Path
) -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    key, public = tmp_path / "key.pem", tmp_path / "public.pem"
    key.write_bytes(private.private_bytes(PEM, PrivateFormat.PKCS8, NoEncryption()))
    public.write_bytes(private.public_key().public_bytes(PEM, PublicFormat.SubjectPublicKeyInfo))
    layout = f"oci:{tmp_path / 'signed'}"
    image = typed("copy", site / "one", layout).out.strip()
    typed("sign", layout, "--key", key, "--no-log")
    name = f"{registry.repository()}:1.0.0"
    typed("push", "--buildkit-attestations", layout, name)
    typed("verify", f"{name.removesuffix(':1.0.0')}@{image}", "--key", public, "--no-log")
    typed("verify", name, "--key", public, "--no-log", status=1)
    typed("push", "--artifact", "modelpack", name, f"{name}-model")
    for view in (name, f"{name}-model"):
        typed("sign", view, "--key", key, "--no-log")
        typed("verify", view, "--key", public, "--no-log")


@pytest.mark.parametrize("name", ["one", "two"])
def test_attestations_do_not_move_the_model_artifact(
    site: Path, typed: Callable[..., Done], tmp_path: Path, name: str
) -> None:
    attested = f"oci:{tmp_path / 'attested'}"
    typed("copy", "--buildkit-attestations", site / name, attested)
    made = [
        typed("copy", "--artifact", "modelpack", source, f"oci:{tmp_path / str(number)}").out
        for number, source in enumerate((site / name, attested))
    ]
    assert made[0] == made[1]


def test_what_is_refused(typed: Callable[..., Done], site: Path, tmp_path: Path) -> None:
    both = typed("copy", "--buildkit-attestations", "--artifact", "modelpack", site / "one",
                 f"oci:{tmp_path / 'x'}", status=2)  # fmt: skip
    assert "not artifacts" in both.err
    typed("copy", "--artifact", "modelpack", site / "one", f"oci:{tmp_path / 'artifact'}")
    refused = typed("copy", "--buildkit-attestations", f"oci:{tmp_path / 'artifact'}",
                    f"oci:{tmp_path / 'x'}", status=2)  # fmt: skip
    assert "not a container image" in refused.err
    assert not (tmp_path / "x").exists()


def test_an_image_without_provenance_is_warned_about(
    typed: Callable[..., Done], site: Path, tmp_path: Path
) -> None:
    typed("copy", "--no-referrers", site / "one", f"oci:{tmp_path / 'bare'}")
    done = typed("copy", "--buildkit-attestations", f"oci:{tmp_path / 'bare'}",
                 f"oci:{tmp_path / 'x'}")  # fmt: skip
    assert "no provenance" in done.err


@pytest.mark.parametrize("newer", [True, False], ids=["artifact", "image"])
def test_what_buildkit_writes_is_shown(
    newer: bool, buildkit: Mapping[str, str], typed: Callable[..., Done], tmp_path: Path
) -> None:
    artifact = str(newer).lower()
    context, archive = tmp_path / "context", tmp_path / "theirs.tar"
    context.mkdir()
    (context / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n", "utf-8")
    done = subprocess.run(
        ["docker-buildx", "build", f"--builder={NAME}", "--provenance=mode=max",
         f"--output=type=oci,dest={archive},name=theirs.example/a:1,oci-artifact={artifact}",
         str(context)],
        env=dict(buildkit), capture_output=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    shown = typed("inspect", f"oci-archive:{archive}", "--json").document
    (provenance,) = shown["referrers"]
    assert (provenance["what"], provenance["by"]) == ("provenance", "index")
    assert provenance["predicate_type"].startswith("https://slsa.dev/provenance/")
    assert provenance["artifact_type"] == ARTIFACT
    assert provenance["subject"] == shown["digest"]
    assert not provenance["unreadable"]
    assert "buildkit" in provenance["provenance"]["build_type"]
    with Archive(archive) as opened:
        assert bool(opened.image(Digest(provenance["digest"])).artifact_type) is newer
    assert not [text for text in shown["findings"] if "referrer" in text]
