"""Signed weights with real programs: OMS's reference implementation, and Docker at the start."""

import hashlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from model_signing import signing, verifying

from tests import projects
from tests.docker_engine import Engine
from tests.integration.conftest import ROOT, forget_weights
from tests.sigstore.certificates import new_key, private_pem, public_pem
from tests.sigstore.stack import Sigstore

pytestmark = pytest.mark.integration

NEEDED = ("cffi", "cryptography", "pycparser")
GUARD_REFUSED = 78
RUN = ("--", "python", "-c", "print('started')")


def modelpack(*words: object, status: int = 0) -> subprocess.CompletedProcess[str]:
    """Type a command."""
    done = subprocess.run(
        [sys.executable, "-m", "modelpack", *map(str, words)], cwd=ROOT, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert done.returncode == status, done.stderr
    return done


@pytest.fixture(scope="module")
def publisher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with somebody's key pair."""
    folder, key = tmp_path_factory.mktemp("publisher"), new_key()
    (folder / "key.pem").write_bytes(private_pem(key))
    (folder / "key.pub").write_bytes(public_pem(key.public_key()))
    return folder


def sign(model: Path, publisher: Path) -> None:
    """Sign a folder as its publisher does, with the reference implementation."""
    signing.Config().use_elliptic_key_signer(private_key=publisher / "key.pem", password=None).sign(
        model, model / "model.sig"
    )


def locked(*names: str) -> str:
    """Return what pip needs to install these, with hashes, from this project's own lockfile."""
    text = (ROOT / "requirements.lock").read_text("utf-8")
    parts = re.split(r"(?m)^(?=[a-z])", text)
    return "".join(part for part in parts if part.partition("==")[0] in names)


def test_what_the_reference_implementation_signs_is_taken(
    tmp_path: Path, publisher: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELPACK_CACHE", str(tmp_path / "cache"))
    signature = '{ file = "weights/model.sig", key = "key.pub" }'
    toml = projects.TOML.replace('path = "weights"', f'path = "weights"\nsignature = {signature}')
    folder = projects.make_project(tmp_path / "project", tmp_path / "cache", toml=toml)
    shutil.copy(publisher / "key.pub", folder)
    sign(folder / "weights", publisher)
    modelpack("build", folder, "--locked", "--offline")

    (folder / "weights" / "config.json").write_bytes(b"{}\n")
    modelpack("lock", folder, "--upgrade", "weights", status=1)


def test_the_reference_implementation_takes_what_is_said_and_signed_here(
    tmp_path: Path, publisher: Path, sigstore: Sigstore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELPACK_CACHE", str(tmp_path / "cache"))
    folder = projects.make_project(tmp_path / "tiny", tmp_path / "cache")
    modelpack("build", folder, "--locked", "--offline")
    statement = (folder / "dist" / "oms.json").read_bytes()
    key = new_key()
    (tmp_path / "key.pub").write_bytes(public_pem(key.public_key()))
    hint = hashlib.sha256(public_pem(key.public_key())).hexdigest()  # as this program looks for it
    signed = sigstore.sign_with(statement, key, hint=hint)
    (tmp_path / "model.sig").write_text(json.dumps(signed))

    verifier = verifying.Config().use_elliptic_key_verifier(public_key=tmp_path / "key.pub")
    verifier.verify(folder / "weights", tmp_path / "model.sig")
    (folder / "weights" / "config.json").write_bytes(b"{}\n")
    with pytest.raises(ValueError, match="mismatch"):
        verifier.verify(folder / "weights", tmp_path / "model.sig")


@pytest.fixture(scope="module")
def image(
    engine: Engine, publisher: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """Build an example whose weights must be signed at start, and load it."""
    folder = tmp_path_factory.mktemp("signed") / "digits"
    shutil.copytree(ROOT / "examples" / "digits", folder)
    toml = folder / "modelpack.toml"
    text = toml.read_text("utf-8")
    text = text.replace("[runtime]\n", "[runtime]\nrequire-signature = true\n")
    toml.write_text(text.replace("include = [", 'include = ["*.sig", ', 1), "utf-8")
    lockfile = folder / "requirements.lock"
    lockfile.write_text(f"{lockfile.read_text('utf-8')}\n{locked(*NEEDED)}", "utf-8")
    sign(folder / "weights", publisher)
    forget_weights(folder)
    modelpack("lock", folder)
    archive = folder / "image.tar"
    modelpack("build", folder, "--output", f"docker-archive:{archive}", "--tag", "signed:1")
    engine.ask("load", "--input", str(archive))
    return {"folder": folder, "name": "signed:1"}


def started(engine: Engine, image: dict[str, Any], *options: str) -> tuple[int, str]:
    """Run the image; return its status and what it wrote."""
    done = engine.run(
        "run", "--rm", "--read-only", "--cap-drop=ALL", "--network=none", *options, image["name"],
        *RUN[1:],
    )  # fmt: skip
    return done.returncode, (done.stdout + done.stderr).decode()


def test_an_image_starts_with_the_key_that_signed_its_weights_and_no_other(
    engine: Engine, image: dict[str, Any], publisher: Path, tmp_path: Path
) -> None:
    trust = tmp_path / "trust"
    trust.mkdir()
    mount = f"--mount=type=bind,source={trust},target=/run/modelpack/trust,readonly"

    status, said = started(engine, image)
    assert (status, "neither of key.pub" in said) == (GUARD_REFUSED, True)

    (trust / "key.pub").write_bytes(public_pem(new_key().public_key()))
    status, said = started(engine, image, mount)
    assert (status, "not of the mounted key" in said) == (GUARD_REFUSED, True)

    (trust / "key.pub").write_bytes((publisher / "key.pub").read_bytes())
    status, said = started(engine, image, mount)
    assert (status, "started" in said) == (0, True), said


def test_weights_and_manifest_that_were_replaced_together_do_not_start(
    engine: Engine, image: dict[str, Any], publisher: Path, tmp_path: Path
) -> None:
    shutil.copytree(image["folder"], tmp_path / "digits", ignore=shutil.ignore_patterns("dist"))
    config = tmp_path / "digits" / "weights" / "config.json"
    config.write_text(config.read_text("utf-8") + "\n", "utf-8")
    modelpack("lock", tmp_path / "digits")
    archive = tmp_path / "image.tar"
    modelpack(
        "build", tmp_path / "digits", "--output", f"docker-archive:{archive}", "--tag", "other:1"
    )
    engine.ask("load", "--input", str(archive))
    (tmp_path / "trust").mkdir()
    shutil.copy(publisher / "key.pub", tmp_path / "trust")
    mount = f"--mount=type=bind,source={tmp_path}/trust,target=/run/modelpack/trust,readonly"

    status, said = started(engine, {"name": "other:1"}, mount)

    assert (status, "config.json is not the file that was signed" in said) == (GUARD_REFUSED, True)
