"""Credentials are found where docker and podman keep them, and shown nowhere."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from modelpack import reference
from modelpack.errors import InputError, Unavailable
from modelpack.oci.registry.credentials import Credential, Credentials

PYTHON = reference.registry("python:3.13")
OWN = reference.registry("ghcr.io/acme/team/minilm:1")


def auth(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def written(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content) if not isinstance(content, str) else content, "utf-8")
    return path


def find(
    tmp_path: Path, *contents: Any, name: reference.Registry = OWN, path: str = ""
) -> Credential | None:
    files = [written(tmp_path / str(i) / "config.json", c) for i, c in enumerate(contents)]
    return Credentials(files, environment={"PATH": path}).find(name)


def program(folder: Path, name: str, script: str) -> str:
    folder.mkdir(exist_ok=True)
    file = folder / f"docker-credential-{name}"
    file.write_text(f"#!/bin/sh\n{script}\n", "utf-8")
    file.chmod(0o755)
    return f"{folder}:/usr/bin:/bin"


def test_no_file_is_no_credential(tmp_path: Path) -> None:
    files = [tmp_path / "missing.json", tmp_path]
    with pytest.raises(InputError, match="cannot be read"):
        Credentials(files, environment={}).find(OWN)
    assert Credentials(files[:1], environment={}).find(OWN) is None


@pytest.mark.parametrize(
    "content", [{}, "", {"auths": {}}, {"auths": {"ghcr.io": {}}}, {"auths": None},
                {"auths": {"quay.io": {"auth": "eDp5"}}}],
)  # fmt: skip
def test_a_file_without_the_registry_gives_none(tmp_path: Path, content: Any) -> None:
    assert find(tmp_path, content) is None


@pytest.mark.parametrize(
    "key", ["ghcr.io", "https://ghcr.io", "http://ghcr.io/", "https://ghcr.io/v2/"]
)
def test_docker_writes_a_host_in_many_ways(tmp_path: Path, key: str) -> None:
    found = find(tmp_path, {"auths": {key: {"auth": auth("me:pass:word")}}})
    assert found is not None
    assert (found.username, found.password) == ("me", "pass:word")
    assert found.basic == f"Basic {auth('me:pass:word')}"


def test_the_longest_path_of_podman_wins(tmp_path: Path) -> None:
    entries = {
        "ghcr.io": {"auth": auth("host:x")},
        "ghcr.io/acme": {"auth": auth("acme:x")},
        "ghcr.io/acme/team/minilm": {"auth": auth("repository:x")},
        "ghcr.io/acme/te": {"auth": auth("other:x")},
    }
    found = find(tmp_path, {"auths": entries})
    assert found is not None
    assert found.username == "repository"
    del entries["ghcr.io/acme/team/minilm"]
    found = find(tmp_path / "again", {"auths": entries})
    assert found is not None
    assert found.username == "acme"


@pytest.mark.parametrize(
    "key", ["https://index.docker.io/v1/", "index.docker.io", "docker.io", "registry-1.docker.io",
            "docker.io/library"],
)  # fmt: skip
def test_docker_hub_has_many_names(tmp_path: Path, key: str) -> None:
    found = find(tmp_path, {"auths": {key: {"auth": auth("me:x")}}}, name=PYTHON)
    assert found is not None
    assert found.username == "me"


def test_a_port_is_part_of_the_host(tmp_path: Path) -> None:
    name = reference.registry("localhost:5000/x")
    entries = {"localhost": {"auth": auth("a:x")}, "localhost:5000": {"auth": auth("b:x")}}
    found = find(tmp_path, {"auths": entries}, name=name)
    assert found is not None
    assert found.username == "b"


def test_the_first_file_that_has_it_wins(tmp_path: Path) -> None:
    one, two = ({"auths": {"ghcr.io": {"auth": auth(f"{user}:x")}}} for user in ("one", "two"))
    found = find(tmp_path, {}, one, two)
    assert found is not None
    assert found.username == "one"
    assert found.source == str(tmp_path / "1" / "config.json")


def test_tokens_are_told_apart(tmp_path: Path) -> None:
    found = find(tmp_path, {"auths": {"ghcr.io": {"auth": auth("me:"), "identitytoken": "abc"}}})
    assert found is not None
    assert (found.username, found.identity_token) == ("me", "abc")
    found = find(tmp_path / "again", {"auths": {"ghcr.io": {"registrytoken": "def"}}})
    assert found is not None
    assert found.registry_token == "def"


def test_a_program_of_the_registry_is_asked_with_the_host(tmp_path: Path) -> None:
    script = 'read -r server; echo "{\\"Username\\": \\"$server-$1\\", \\"Secret\\": \\"s\\"}"'
    path = program(tmp_path / "bin", "cloud", script)
    content = {"credHelpers": {"ghcr.io": "cloud"}, "auths": {"ghcr.io": {"auth": auth("me:x")}}}
    found = find(tmp_path, content, path=path)
    assert found is not None
    assert (found.username, found.password) == ("ghcr.io-get", "s")
    assert found.source == "docker-credential-cloud"


def test_a_store_of_all_knows_docker_hub_by_its_old_name(tmp_path: Path) -> None:
    script = 'read -r server; echo "{\\"Username\\": \\"$server\\", \\"Secret\\": \\"s\\"}"'
    path = program(tmp_path / "bin", "store", script)
    content = {"credsStore": "store", "auths": {"https://index.docker.io/v1/": {}}}
    found = find(tmp_path, content, path=path, name=PYTHON)
    assert found is not None
    assert found.username == "https://index.docker.io/v1/"


def test_a_program_may_give_an_identity_token(tmp_path: Path) -> None:
    path = program(tmp_path / "bin", "s", """echo '{"Username": "<token>", "Secret": "abc"}'""")
    found = find(tmp_path, {"credsStore": "s"}, path=path)
    assert found is not None
    assert (found.username, found.identity_token) == ("", "abc")


def test_a_program_that_knows_none_is_no_error(tmp_path: Path) -> None:
    path = program(tmp_path / "bin", "s", "echo credentials not found in native keychain; exit 1")
    assert find(tmp_path, {"credHelpers": {"ghcr.io": "s"}}, path=path) is None


@pytest.mark.parametrize(
    "script", ["echo broken >&2; exit 1", "echo not JSON", "echo '{}'", "echo '[1]'",
               """echo '{"Username": 1, "Secret": 2}'"""],
)  # fmt: skip
def test_a_program_of_the_registry_that_fails_is_told(tmp_path: Path, script: str) -> None:
    path = program(tmp_path / "bin", "s", script)
    with pytest.raises(Unavailable, match="docker-credential-s"):
        find(tmp_path, {"credHelpers": {"ghcr.io": "s"}}, path=path)


def test_a_missing_store_of_all_is_remembered_for_when_it_matters(tmp_path: Path) -> None:
    file = written(tmp_path / "config.json", {"credsStore": "desktop"})
    credentials = Credentials([file], environment={"PATH": ""})
    assert credentials.find(OWN) is None
    assert "docker-credential-desktop" in credentials.trouble[0]


@pytest.mark.parametrize("name", ["../../bin/sh", "a b", "", "-x", 7])
def test_a_strange_program_is_not_started(tmp_path: Path, name: Any) -> None:
    content = {"credHelpers": {"ghcr.io": name}}
    if not name:
        assert find(tmp_path, content) is None
        return
    with pytest.raises(InputError, match="strange name"):
        find(tmp_path, content)


@pytest.mark.parametrize(
    "content", ["{", "[]", '"x"', {"auths": [1]}, {"auths": {"ghcr.io": {"auth": "%%%"}}},
                {"auths": {"ghcr.io": {"auth": "/w=="}}}],
)  # fmt: skip
def test_a_damaged_file_is_named(tmp_path: Path, content: Any) -> None:
    with pytest.raises(InputError) as caught:
        find(tmp_path, content)
    assert caught.value.findings[0].at == str(tmp_path / "0" / "config.json")


def test_secrets_are_in_no_repr() -> None:
    shown = repr(
        Credential(
            username="me", password="hidden", identity_token="hidden", registry_token="hidden",
            source="file",
        )
    )  # fmt: skip
    assert "hidden" not in shown
    assert "me" in shown
