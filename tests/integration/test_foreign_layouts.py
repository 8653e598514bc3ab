"""Layouts go back and forth between us and skopeo, and neither loses the other's images."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from images import image, put

from modelpack.oci.layout import Layout

pytestmark = pytest.mark.integration


def test_a_layout_of_skopeo_takes_our_images_and_keeps_its_own(
    require_tool: Callable[[str], str], tmp_path: Path
) -> None:
    with Layout(tmp_path / "ours") as layout:
        ours = put(layout, image("a", "b"), "1.0")
    subprocess.run(
        [
            require_tool("skopeo"),
            "copy",
            "--insecure-policy",
            "--preserve-digests",
            "-q",
            f"oci:{tmp_path / 'ours'}:1.0",
            f"oci:{tmp_path / 'theirs'}:2.0",
        ],
        check=True,
    )
    theirs = Layout(tmp_path / "theirs")
    assert theirs.resolve("2.0").digest == ours.digest
    with theirs:
        more = put(theirs, image("b", "c"), "3.0")
    assert theirs.resolve("2.0").digest == ours.digest
    assert theirs.resolve("3.0").digest == more.digest
    assert all(theirs.has(blob) for blob in theirs.image(ours.digest).children)
