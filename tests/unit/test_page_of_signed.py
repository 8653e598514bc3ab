"""The page of an image that somebody has really signed, with a policy that really proves it."""

import time
from pathlib import Path

import pytest

from tests import signed_images as made
from tests.command_line import run_here
from tests.described_image import complete
from tests.sigstore.identity import SOMEBODY
from tests.sigstore.stack import Sigstore, new_sigstore
from tests.unit.test_page import Outline

IMAGE = complete().image()
POLICY = """schema = 1
[signers.ci]
identity = "{who}"
issuer = "{issuer}"
[signature]
signers = ["ci"]
[scan]
fail-on = "HIGH"
max-age = "7d"
"""


@pytest.fixture(scope="module")
def sigstore() -> Sigstore:
    return new_sigstore()


def page(
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    sigstore: Sigstore,
    *found: tuple[str, str, str],
) -> tuple[int, str]:
    """Return the exit status and the words of the page of an image whose signed scan found that."""
    scan = made.scan(*found, finished=time.time() - 3600)
    made.layout_with(
        folder / "image", IMAGE, made.signed(sigstore, IMAGE.digest),
        made.signed(sigstore, IMAGE.digest, made.SCAN, scan),
    )  # fmt: skip
    policy = folder / "policy.toml"
    policy.write_text(POLICY.format(who=SOMEBODY, issuer=sigstore.url))
    done = run_here(
        capsys, "inspect", f"oci:{folder}/image:1.0.0", "--html", folder / "page.html",
        "--policy", policy, "--trusted-root", made.trusted_root(sigstore, folder),
    )  # fmt: skip
    return done.status, " ".join(" ".join(
        Outline((folder / "page.html").read_text(encoding="utf-8")).words).split())  # fmt: skip


def test_what_is_proved_is_said_to_be(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], sigstore: Sigstore
) -> None:
    status, words = page(tmp_path, capsys, sigstore)
    assert status == 0
    assert "✓ Verified 2 of 2 requirements met" in words
    assert f"image {IMAGE.digest}" in words
    assert "Signature ✓ proved signed by ci" in words
    assert "Scan ✓ proved" in words
    assert "Provenance – none" in words  # noqa: RUF001  the sign
    assert SOMEBODY in words


def test_a_scan_that_found_something_is_the_first_thing_that_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], sigstore: Sigstore
) -> None:
    status, words = page(tmp_path, capsys, sigstore, ("CVE-2026-1", "HIGH", "1.3"))
    assert status == 1
    start = words.index("✕ Refused 1 of 2 requirements met")
    assert "scan : " in words[start : start + 60]
    assert "CVE-2026-1" in words[start : start + 160]
    assert "Signature ✓ proved" in words
    assert "Scan ✕ not proved" in words
