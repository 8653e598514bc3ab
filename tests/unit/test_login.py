"""`modelpack login` tries credentials out, keeps them where others look, and shows them nowhere."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes.registry_server import RegistryServer, running_registry

from modelpack import reference
from modelpack.cli import environment
from modelpack.oci.registry.credentials import Credentials
from tests.command_line import Done, run_here

SECRET = "right"


@pytest.fixture
def server() -> Iterator[RegistryServer]:
    with running_registry() as running:
        running.auth = "basic"
        yield running


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that docker and podman would read, which is not there yet."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.delenv("REGISTRY_AUTH_FILE", raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    return tmp_path / "docker" / "config.json"


def login(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, host: str,
    *options: str, password: str = f"{SECRET}\n", user: str = "me",
) -> Done:  # fmt: skip
    monkeypatch.setattr("sys.stdin", io.StringIO(password))
    done = run_here(capsys, "login", host, "--username", user, "--password-stdin", *options)
    assert SECRET not in done.out + done.err
    return done


def found(host: str) -> Any:
    settings = environment.registries()
    name = reference.registry(f"{host}/acme/minilm")
    return Credentials(settings.credential_files, environment=settings.environment).find(name)


@pytest.mark.parametrize("auth", ["basic", "bearer"])
def test_what_is_kept_is_found_again_beside_all_else(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, server: RegistryServer,
    config: Path, auth: str,
) -> None:  # fmt: skip
    server.auth = auth
    config.parent.mkdir()
    before = {"auths": {"ghcr.io": {"auth": "eDp5"}}, "currentContext": "far"}
    config.write_text(json.dumps(before), "utf-8")
    done = login(capsys, monkeypatch, server.address, "--json")
    assert done.status == 0, done.err
    assert done.document == {
        "schema": 1, "registry": server.address, "username": "me", "kept": str(config),
    }  # fmt: skip
    assert config.stat().st_mode & 0o077 == 0
    kept = json.loads(config.read_text("utf-8"))
    assert kept["currentContext"] == "far"
    assert kept["auths"]["ghcr.io"] == {"auth": "eDp5"}
    assert (found(server.address).username, found(server.address).password) == ("me", SECRET)
    assert [p.name for p in config.parent.iterdir()] == ["config.json"]


def test_wrong_credentials_are_not_kept(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, server: RegistryServer,
    config: Path,
) -> None:  # fmt: skip
    done = login(capsys, monkeypatch, server.address, user="you")
    assert done.status == 3
    assert "lets nobody" in done.err
    assert not config.exists()


def test_a_credential_program_is_given_them_on_stdin(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, server: RegistryServer,
    config: Path, tmp_path: Path,
) -> None:  # fmt: skip
    program = tmp_path / "docker-credential-safe"
    program.write_text(
        f'#!/bin/sh\necho "$*" > {tmp_path}/words\ncat > {tmp_path}/given\n', "utf-8"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    config.parent.mkdir()
    config.write_text('{"credsStore": "safe"}', "utf-8")
    done = login(capsys, monkeypatch, server.address)
    assert done.status == 0, done.err
    assert "docker-credential-safe" in done.err
    assert (tmp_path / "words").read_text("utf-8") == "store\n"
    assert json.loads((tmp_path / "given").read_text("utf-8")) == {
        "ServerURL": server.address, "Username": "me", "Secret": SECRET,
    }  # fmt: skip
    assert json.loads(config.read_text("utf-8")) == {"credsStore": "safe"}


def test_a_program_that_fails_says_why_without_the_password(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, server: RegistryServer,
    config: Path, tmp_path: Path,
) -> None:  # fmt: skip
    program = tmp_path / "docker-credential-safe"
    program.write_text("#!/bin/sh\ncat >&2\nexit 1\n", "utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    config.parent.mkdir()
    config.write_text('{"credsStore": "safe"}', "utf-8")
    assert login(capsys, monkeypatch, server.address).status == 3


@pytest.mark.parametrize(
    ("content", "message"), [("{", "not valid JSON"), ('{"auths": 1}', "`auths` is not a table")]
)
def test_a_damaged_file_is_left_as_it_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, server: RegistryServer,
    config: Path, content: str, message: str,
) -> None:  # fmt: skip
    config.parent.mkdir()
    config.write_text(content, "utf-8")
    done = login(capsys, monkeypatch, server.address)
    assert done.status == 2
    assert message in done.err
    assert config.read_text("utf-8") == content


@pytest.mark.parametrize("password", ["", "\n", "x" * (1 << 17)])
def test_no_password_is_refused(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, server: RegistryServer,
    config: Path, password: str,
) -> None:  # fmt: skip
    assert login(capsys, monkeypatch, server.address, password=password).status == 2
    assert not config.exists()


def test_nobody_to_ask_is_said(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, config: Path
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    done = run_here(capsys, "login", "ghcr.io", "--username", "me")
    assert done.status == 2
    assert "--password-stdin" in done.err
    assert run_here(capsys, "login", "ghcr").status == 2
    assert not config.exists()
