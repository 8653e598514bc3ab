"""Only what the machine's owner allows may be a base."""

import pytest

from modelpack.errors import Refused
from modelpack.inputs.base_image import allowed

DIGEST = f"sha256:{'a' * 64}"
OTHER = f"sha256:{'b' * 64}"


@pytest.mark.parametrize(
    ("base", "pattern"),
    [
        ("debian:13", "debian:13"),
        ("python:3.13-slim", "docker.io/library/python"),
        ("docker.io/library/python", "docker.io/library/python"),
        (f"python@{DIGEST}", "docker.io/library/python"),
        ("python:3.13", "docker.io/library/python:3.13"),
        (f"python:3.13@{DIGEST}", f"docker.io/library/python@{DIGEST}"),
        ("ghcr.io/acme/bases/python:1", "ghcr.io/acme/*"),
        ("ghcr.io/acme/python:1", "ghcr.io/*"),
        ("127.0.0.1:5000/python:1", "127.0.0.1:5000/python"),
    ],
)
def test_these_are_allowed(base: str, pattern: str) -> None:
    allowed.require(base, ["docker.io/library/other", pattern])
    assert allowed.complaint(pattern) == ""


@pytest.mark.parametrize(
    ("base", "pattern"),
    [
        ("debian:12", "debian:13"),
        ("debian:13", "docker.io/library/debian:13"),
        ("docker.io/library/debian:13", "debian:13"),
        ("python:3.14", "docker.io/library/python:3.13"),
        # What a digest names need not be what the tag beside it names.
        (f"python:3.13@{DIGEST}", "docker.io/library/python:3.13"),
        (f"python@{OTHER}", f"docker.io/library/python@{DIGEST}"),
        ("ghcr.io/acmes/python:1", "ghcr.io/acme/*"),
        ("ghcr.io/acme:1", "ghcr.io/acme/*"),
        ("ghcr.io.evil.example/acme/x", "ghcr.io/*"),
        ("127.0.0.1:5001/python:1", "127.0.0.1:5000/python"),
    ],
)
def test_these_are_not(base: str, pattern: str) -> None:
    with pytest.raises(Refused, match="not among the bases"):
        allowed.require(base, [pattern])


def test_an_empty_list_allows_nothing_and_none_everything() -> None:
    with pytest.raises(Refused) as caught:
        allowed.require("python:3.13", [])
    assert "`docker.io/library/python:3.13`" in caught.value.findings[0].message
    assert "none at all" in caught.value.findings[0].hint
    allowed.require("python:3.13", None)
