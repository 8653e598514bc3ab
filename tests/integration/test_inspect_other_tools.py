"""Images that other tools wrote or passed on are inspected like our own."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from modelpack.__main__ import main
from modelpack.oci.layout import Layout
from tests.described_image import complete
from tests.images import put

pytestmark = pytest.mark.integration


@pytest.fixture(name="copy")
def fixture_copy(tmp_path: Path, require_tool: Callable[[str], str]) -> Callable[..., str]:
    """Return what copies an image of ours with skopeo and names the copy."""
    skopeo = require_tool("skopeo")
    with Layout(tmp_path / "image") as store:
        put(store, complete().image(), "1.0.0")

    def copy(target: str, *options: str) -> str:
        command = [skopeo, "--insecure-policy", "copy", "--quiet", *options]
        source = f"oci:{tmp_path / 'image'}:1.0.0"
        subprocess.run([*command, source, target], check=True)
        return target

    return copy


@pytest.mark.parametrize("transport", ["oci", "oci-archive", "docker-archive"])
def test_a_copy_says_what_the_image_said(
    transport: str,
    tmp_path: Path,
    copy: Callable[..., str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "copy"
    copy(f"{transport}:{path}:{'acme/digits:' if transport == 'docker-archive' else ''}1.0.0")
    name = f"oci:{path}:1.0.0" if transport == "oci" else f"{transport}:{path}"

    with pytest.raises(SystemExit) as ended:
        main(["inspect", name, "--json"])

    document = json.loads(capsys.readouterr().out)
    assert ended.value.code == 0
    assert document["findings"] == []
    assert document["unknown"] == []
    assert [layer["kind"] for layer in document["layers"]] == [
        "base", "dependencies", "weights", "code", "meta",
    ]  # fmt: skip
    assert document["weights"][0]["path"] == "/models/digits/model.safetensors"
