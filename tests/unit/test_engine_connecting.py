"""Which engine is spoken with, and what is said where none answers."""

import json
import os
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from hashlib import sha256
from pathlib import Path

import pytest

from modelpack.engine.address import Address, addresses, podman_addresses
from modelpack.engine.connecting import connect
from modelpack.errors import Finding, InputError, Unavailable
from modelpack.platform import Platform
from tests.fakes.fake_engine import FakeEngine


def urls(**environment: str) -> list[str]:
    return [address.url for address in addresses(environment)]


def at(*found: str) -> list[Address]:
    return [Address(url=url, origin="") for url in found]


def failure(*found: Address) -> tuple[Finding, ...]:
    with pytest.raises(Unavailable) as failed:
        connect(found)
    return failed.value.findings


def test_docker_host_is_the_only_place_where_it_is_set() -> None:
    (address,) = addresses({"DOCKER_HOST": "unix:///x/docker.sock", "DOCKER_CONTEXT": "far"})

    assert address == Address(url="unix:///x/docker.sock", origin="DOCKER_HOST")
    assert address.socket == "/x/docker.sock"


def test_usual_sockets_come_in_the_order_docker_then_podman() -> None:
    assert urls(HOME="/home/ann", XDG_RUNTIME_DIR="/run/user/7") == [
        "unix:///var/run/docker.sock",
        "unix:///run/user/7/docker.sock",
        "unix:///home/ann/.docker/run/docker.sock",
        "unix:///run/user/7/podman/podman.sock",
        "unix:///run/podman/podman.sock",
    ]
    assert urls() == ["unix:///var/run/docker.sock", "unix:///run/podman/podman.sock"]


def test_podman_is_looked_for_at_its_own_places_first() -> None:
    found = podman_addresses({"XDG_RUNTIME_DIR": "/run/user/7"})

    assert found[0].url == "unix:///run/user/7/podman/podman.sock"
    assert podman_addresses({"CONTAINER_HOST": "unix:///p"})[0].origin == "CONTAINER_HOST"
    assert urls(CONTAINER_HOST="unix:///p") == ["unix:///p"]


def write_context(folder: Path, name: str, docker: object) -> Path:
    key = sha256(name.encode()).hexdigest()
    meta = folder / "contexts" / "meta" / key
    meta.mkdir(parents=True)
    (meta / "meta.json").write_text(json.dumps({"Name": name, "Endpoints": {"docker": docker}}))
    return folder / "contexts" / "tls" / key / "docker"


def test_a_docker_context_is_followed(tmp_path: Path) -> None:
    certificates = write_context(tmp_path, "far", {"Host": "tcp://far:2376", "SkipTLSVerify": True})
    certificates.mkdir(parents=True)
    (tmp_path / "config.json").write_text('{"currentContext": "far"}')

    (chosen,) = addresses({"DOCKER_CONFIG": str(tmp_path)})

    assert (chosen.url, chosen.origin) == ("tcp://far:2376", "Docker context `far`")
    assert chosen.tls is not None
    assert (chosen.tls.folder, chosen.tls.verify) == (certificates, False)
    # A variable goes before what the file says, and the default one means the usual sockets.
    assert len(urls(DOCKER_CONFIG=str(tmp_path), DOCKER_CONTEXT="default")) > 1


def test_a_context_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no Docker context `gone`"):
        addresses({"DOCKER_CONFIG": str(tmp_path), "DOCKER_CONTEXT": "gone"})


@pytest.mark.parametrize("text", ["[]", "{", '{"currentContext": 7}', "[" * 100_000])
def test_a_configuration_that_is_none_is_passed_over(text: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(text)

    if "7" in text:
        with pytest.raises(InputError, match="`7`"):
            addresses({"DOCKER_CONFIG": str(tmp_path)})
    else:
        assert len(urls(DOCKER_CONFIG=str(tmp_path))) > 1


def test_certificates_are_asked_for_by_variables() -> None:
    (address,) = addresses(
        {"DOCKER_HOST": "tcp://h:2376", "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": "/c"}
    )

    assert address.tls is not None
    assert (address.tls.folder, address.tls.verify) == (Path("/c"), True)


@pytest.mark.parametrize(("host", "hint"), [("ssh://ann@far", "ssh -nNT -L"), ("far", "tcp://")])
def test_an_address_of_another_kind_is_refused(host: str, hint: str) -> None:
    with pytest.raises(InputError) as refused:
        addresses({"DOCKER_HOST": host})

    assert hint in refused.value.findings[0].hint


def test_the_engine_says_what_it_is(fake: FakeEngine) -> None:
    about = connect(at(fake.url)).about

    assert (about.kind, about.version, about.api) == ("docker", "28.5.2", "1.51")
    assert about.platform == Platform("linux", "amd64")
    assert str(about) == f"Docker 28.5.2 at {fake.url}"
    assert about.reads_zstd


def test_podman_is_recognised(fake: FakeEngine) -> None:
    fake.version |= {"Version": "4.3.1", "ApiVersion": "1.41"}
    fake.version["Components"] = [{"Name": "Podman Engine", "Version": "4.3.1"}]

    about = connect(at(fake.url)).about

    assert str(about).startswith("podman 4.3.1")
    assert about.reads_zstd


@pytest.mark.parametrize(("version", "reads"), [("20.10.24+dfsg1", False), ("23.0.1", True)])
def test_zstd_is_read_from_docker_23_on(version: str, reads: bool, fake: FakeEngine) -> None:
    fake.version["Version"] = version

    assert connect(at(fake.url)).about.reads_zstd is reads


def test_an_engine_that_is_too_old_is_refused(fake: FakeEngine) -> None:
    fake.version["ApiVersion"] = "1.38"

    (problem,) = failure(*at(fake.url))

    assert "too old" in problem.message
    assert "Docker 19.03" in problem.hint


@pytest.mark.parametrize("version", [{}, {"ApiVersion": "new"}, {"ApiVersion": "2"}])
def test_what_is_no_engine_is_refused(version: dict[str, str], fake: FakeEngine) -> None:
    fake.version = version

    (problem,) = failure(*at(fake.url))

    assert "no container engine" in problem.message


def test_the_first_that_answers_is_taken(fake: FakeEngine, tmp_path: Path) -> None:
    assert connect(at(f"unix://{tmp_path}/none", fake.url)).about.address == fake.url


def test_where_nothing_is_the_places_are_named(tmp_path: Path) -> None:
    (problem,) = failure(*at(f"unix://{tmp_path}/a", f"unix://{tmp_path}/b"))

    assert f"{tmp_path}/a, {tmp_path}/b" in problem.message
    assert "systemctl start docker" in problem.hint


def test_where_the_chosen_socket_is_missing_who_chose_it_is_named(tmp_path: Path) -> None:
    (problem,) = failure(Address(url=f"unix://{tmp_path}/a", origin="DOCKER_HOST"))

    assert problem.at == "DOCKER_HOST"
    assert "no socket" in problem.message


@pytest.fixture
def _short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in a folder of the test: a socket's path must be short."""
    monkeypatch.chdir(tmp_path)


@contextmanager
def nobody() -> Iterator[None]:
    """Be no superuser for a while, who may open every socket."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


@pytest.mark.usefixtures("_short")
def test_a_socket_nobody_listens_at_is_an_engine_that_is_not_running() -> None:
    with closing(socket.socket(socket.AF_UNIX)) as dead:
        dead.bind("dead")

    (problem,) = failure(*at("unix://dead"))

    assert "not running" in problem.message


@pytest.mark.usefixtures("_short")
def test_a_socket_of_somebody_else_is_a_matter_of_permission() -> None:
    with closing(socket.socket(socket.AF_UNIX)) as locked:
        locked.bind("locked")
        locked.listen()
        Path("locked").chmod(0)

        with nobody():
            (problem,) = failure(*at("unix://locked"))

    assert "no permission" in problem.message
    assert "usermod -aG docker" in problem.hint


def test_podman_is_not_taken_for_docker(fake: FakeEngine) -> None:
    with pytest.raises(Unavailable, match="not podman") as failed:
        connect(at(fake.url), kind="podman")

    assert "podman save" in failed.value.findings[0].hint


def test_why_a_tcp_address_does_not_answer_is_said_in_one_line() -> None:
    (problem,) = failure(*at("tcp://127.0.0.1:9"))

    assert "cannot be asked to say its version: Connection refused" in problem.message
