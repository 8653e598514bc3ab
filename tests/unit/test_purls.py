"""Package URLs: as the specification writes them, and as its Python library reads them."""

import pytest
from packageurl import PackageURL

from modelpack.digest import Digest
from modelpack.lock import purls

DIGEST = Digest("sha256:" + "a" * 64)


@pytest.mark.parametrize(
    "text",
    [
        purls.debian("libstdc++6", "1:14.2~rc1+b2", "amd64", distribution="debian-13"),
        purls.package_url("pypi", "numpy", "2.1.0+cpu", qualifiers={"file_name": "a b%.whl"}),
        purls.image(DIGEST, repository="ghcr.io/acme/minilm", architecture="arm64", tag="1.2.0"),
        purls.image(DIGEST, repository="minilm"),
    ],
)
def test_the_library_reads_and_writes_the_same(text: str) -> None:
    assert PackageURL.from_string(text).to_string() == text


def test_an_image_without_a_host_has_no_url() -> None:
    assert purls.image(DIGEST, repository="minilm") == f"pkg:oci/minilm@{DIGEST}"
    assert purls.image(DIGEST, repository="ghcr.io/acme/MiniLM") == (
        f"pkg:oci/minilm@{DIGEST}?repository_url=ghcr.io/acme/MiniLM"
    )


@pytest.mark.parametrize(
    ("reference", "found"),
    [
        ("docker.io/library/python:3.12-slim", ("docker.io/library/python", "3.12-slim")),
        (f"localhost:5000/a@{DIGEST}", ("localhost:5000/a", "")),
        (f"localhost:5000/a:1@{DIGEST}", ("localhost:5000/a", "1")),
        ("localhost:5000/a", ("localhost:5000/a", "")),
    ],
)
def test_repository_and_tag(reference: str, found: tuple[str, str]) -> None:
    assert purls.repository_and_tag(reference) == found
