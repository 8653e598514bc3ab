"""A download is the file that was pinned, or nothing."""

import hashlib
from pathlib import Path

import pytest
from debian_archive import serve, serve_files
from scripted_server import Script

from modelpack.errors import Refused
from modelpack.inputs import fetch
from modelpack.inputs.downloads import Downloads
from modelpack.web.client import Client


@pytest.fixture
def client() -> Client:
    return Client({}, pause=lambda _: None, timeout=5)


def test_a_cut_connection_is_tried_again_from_the_start(client: Client, tmp_path: Path) -> None:
    content = b"0123456789" * 100
    sha256 = hashlib.sha256(content).hexdigest()
    cut = (200, {"Content-Length": str(len(content))}, content[:500])
    steps: list[int] = []
    with serve(Script(cut, (200, {}, content))) as root:
        path = fetch.download(
            client,
            f"{root}/x",
            sha256=sha256,
            size=len(content),
            downloads=Downloads(tmp_path),
            advance=steps.append,
        )
    assert path.read_bytes() == content
    assert sum(steps) == len(content)


def test_other_content_than_pinned_is_refused_naming_the_host(
    client: Client, tmp_path: Path
) -> None:
    with serve_files({"/x": b"evil"}) as root, pytest.raises(Refused) as caught:
        fetch.download(
            client, f"{root}/x", sha256="0" * 64, size=4, downloads=Downloads(tmp_path), at="libc6"
        )
    assert root.removeprefix("http://") in caught.value.findings[0].message
    assert caught.value.findings[0].at == "libc6"
