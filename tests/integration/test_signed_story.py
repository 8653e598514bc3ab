"""A model from its folder to a cluster: built, pushed, signed by a job, verified, replaced."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from modelpack.digest import hex_of
from modelpack.oci.layout import Layout
from tests import command_line, projects, tampering
from tests.command_line import Done
from tests.sigstore.attaching import attached
from tests.sigstore.real import RealSigstore
from tests.sigstore.stack import BUNDLE

pytestmark = pytest.mark.integration

COMMIT = "0123456789abcdef0123456789abcdef01234567"
JOB = "https://github.com/acme/tiny/.github/workflows/release.yml@refs/heads/main"
POLICY = """\
schema = 1

[signers.release]
identity = "{job}"
issuer = "{issuer}"

[signature]
signers = ["release"]

[provenance]
repositories = ["https://github.com/acme/{repository}"]
refs = ["refs/heads/main"]

[sbom]
"""

Run = Callable[..., Done]


@pytest.fixture
def run(
    real_sigstore: RealSigstore, capsys: pytest.CaptureFixture[str], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Run:  # fmt: skip
    """Return a function that runs commands where the services are."""
    monkeypatch.setenv("MODELPACK_CACHE", str(tmp_path / "cache"))

    def here(*words: object) -> Done:
        with real_sigstore.inside():
            return command_line.run_here(capsys, *words)

    return here


@pytest.fixture
def policy(real_sigstore: RealSigstore, tmp_path: Path) -> Callable[[str], Path]:
    """Return a function that writes the policy that wants a repository."""

    def write(repository: str) -> Path:
        path = tmp_path / f"{repository}.toml"
        text = POLICY.format(job=JOB, issuer=real_sigstore.jobs, repository=repository)
        path.write_text(text, "utf-8")
        return path

    return write


def test_from_a_folder_to_production(
    real_sigstore: RealSigstore, run: Run, policy: Callable[[str], Path], tmp_path: Path
) -> None:
    repository = real_sigstore.registries["distribution-3"].repository()
    name = f"{repository}:1.0.0"
    project = projects.make_project(tmp_path / "tiny", tmp_path / "cache", wheels=False)
    built = run("build", project, "--locked", f"--revision={COMMIT}",
                f"--tag={name}", "--push")  # fmt: skip
    assert built.status == 0, built.err
    digest = built.out.strip()
    root = f"--trusted-root={real_sigstore.trusted_root_file()}"
    right = (f"--policy={policy('tiny')}", root)

    early = run("verify", name, *right)
    assert early.status == 1, "nobody has signed it yet"

    token = real_sigstore.token_file(real_sigstore.job_token("acme/tiny", commit=COMMIT))
    config = f"--trust-config={real_sigstore.trust_config_file()}"
    signed = run("sign", name, config, f"--identity-token-file={token}", "--yes")
    assert signed.status == 0, signed.err

    proved = run("verify", name, *right, "--json")
    assert proved.status == 0, proved.err + proved.out
    assert proved.document["digest"] == digest
    other = run("verify", name, f"--policy={policy('other')}", root)
    assert other.status == 1
    assert "acme/tiny" in other.out

    # Somebody who may push puts another image in its place, with all that vouched for the first.
    layout = tmp_path / "pulled"
    assert run("pull", name, "--output", f"oci:{layout}").status == 0
    other_digest = _replaced(layout)
    moved = run("copy", f"oci:{layout}", name, "--replace")
    assert moved.status == 0, moved.err
    assert moved.out.strip() == other_digest != digest
    refused = run("verify", name, *right)
    assert refused.status == 1, refused.out
    assert f"it is not about {other_digest}" in refused.out
    assert run("verify", f"{repository}@{digest}", *right).status == 0, "the first is as it was"


def test_a_layer_that_changes_in_the_registry_is_taken_by_nobody(
    real_sigstore: RealSigstore, run: Run, tmp_path: Path
) -> None:
    registry = real_sigstore.registries["distribution-3"]
    name = f"{registry.repository()}:1.0.0"
    own = {"model.safetensors": projects.safetensors({"of this test alone": b"weight" * 1000})}
    project = projects.make_project(
        tmp_path / "tiny", tmp_path / "cache", wheels=False, weights=own
    )  # fmt: skip
    built = run("build", project, "--locked", f"--tag={name}", "--push", "--json")
    assert built.status == 0, built.err
    (layer,) = (
        layer for layer in built.document["layers"]
        if any(path.endswith("model.safetensors") for path in layer["paths"])
    )  # fmt: skip
    digits = hex_of(layer["digest"])
    below = real_sigstore.folder / "distribution-3" / "content" / "docker/registry/v2/blobs/sha256"
    stored = below / digits[:2] / digits / "data"
    content = stored.read_bytes()
    assert content.count(b"weight") == 1000
    stored.write_bytes(content.replace(b"weight", b"weighs", 1))
    taken = run("pull", name, "--output", f"oci:{tmp_path / 'pulled'}")
    assert taken.status in (1, 3), taken.out
    assert digits in taken.err
    assert not (tmp_path / "pulled" / "index.json").exists()


def _replaced(layout: Path) -> str:
    """Change the code of an image, and let what vouched for it name the new one as subject."""
    store = Layout(layout)
    image = store.resolve("1.0.0")
    bundles = [
        store.read(store.image(entry.digest).layers[0])
        for entry in store.referrers(image.digest)
        if entry.artifact_type == BUNDLE
    ]
    assert bundles
    digest = tampering.tamper(layout, "code", lambda tar: tar.replace(b"ready", b"gotya"))
    with Layout(layout) as opened:
        (entry,) = opened.manifests()
        opened.attach(entry, [attached(json.loads(bundle)) for bundle in bundles])
    return digest
