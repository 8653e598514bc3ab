"""A registry is read discreetly and without belief: every byte is checked before it has a name."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from debian_archive import serve
from fakes.registry_server import Fault, RegistryServer, running_registry
from images import image
from scripted_server import Script

from modelpack import reference
from modelpack.digest import Digest
from modelpack.digest import of as digest_of
from modelpack.errors import InputError, ModelpackError, Refused, Unavailable
from modelpack.inputs.downloads import Downloads
from modelpack.oci.blobs import content_of
from modelpack.oci.layer import Descriptor
from modelpack.oci.registry.repository import Repository
from modelpack.oci.registry.settings import Endpoint, Settings
from modelpack.web.client import Client

IMAGE = image("some content", "x" * 1000)
MANIFEST = content_of(IMAGE.manifest_blob)
LAYER = IMAGE.layers[1].blob
BLOBS = tuple(content_of(blob) for blob in IMAGE.blobs)


@pytest.fixture
def server() -> Iterator[RegistryServer]:
    with running_registry() as running:
        running.put("acme/minilm", MANIFEST, "1", blobs=BLOBS)
        yield running


def repository(
    server: RegistryServer, *, settings: Settings | None = None, name: str = "acme/minilm",
    waits: list[float] | None = None,
) -> Repository:  # fmt: skip
    client = Client({}, pause=([] if waits is None else waits).append, timeout=5)
    named = reference.registry(f"{server.address}/{name}")
    return Repository(named, settings or Settings(), client=client)


def logged_in(tmp_path: Path, server: RegistryServer, **entry: str) -> Settings:
    pair = base64.b64encode(b"me:right").decode()
    file = tmp_path / "config.json"
    content = {"auths": {server.address: entry or {"auth": pair}}}
    file.write_text(json.dumps(content), "utf-8")
    return Settings(credential_files=(file,))


def download(server: RegistryServer, downloads: Downloads, steps: list[int] | None = None) -> Path:
    opened = repository(server)
    advance = ([] if steps is None else steps).append
    return downloads.resume(
        LAYER.digest.removeprefix("sha256:"), LAYER.size,
        lambda into: opened.fill(into, LAYER.descriptor, advance),
    )  # fmt: skip


def authorizations(server: RegistryServer) -> list[str]:
    return [headers.get("authorization", "") for _, _, headers in server.asked]


def test_a_tag_and_a_digest_name_the_image(server: RegistryServer) -> None:
    opened = repository(server)
    for name in ("1", IMAGE.digest):
        assert opened.resolve(name) == IMAGE.manifest_blob.descriptor
    assert opened.read(IMAGE.manifest_blob.descriptor) == MANIFEST
    assert opened.read(IMAGE.config_blob.descriptor) == BLOBS[-1]
    assert opened.image(IMAGE.digest).config == IMAGE.config_blob.descriptor


def test_no_name_is_the_tag_latest(server: RegistryServer) -> None:
    with pytest.raises(InputError, match="no image `latest`: UNKNOWN there is no such thing"):
        repository(server).resolve("")


def test_what_was_read_once_is_not_asked_for_again(server: RegistryServer) -> None:
    opened = repository(server)
    descriptor = opened.resolve("1")
    asked = len(server.asked)
    assert opened.read(descriptor) == MANIFEST
    assert len(server.asked) == asked


def test_it_tells_what_it_has(server: RegistryServer) -> None:
    opened = repository(server)
    assert opened.has(LAYER.descriptor)
    assert opened.has(IMAGE.manifest_blob.descriptor)
    other = Descriptor(media_type="text/plain", digest=digest_of(b"other"), size=5)
    assert not opened.has(other)
    assert not opened.has(Descriptor(media_type="x", digest=LAYER.digest, size=1))


@pytest.mark.parametrize("what", ["manifest", "blob", "claim"])
def test_another_content_is_refused(server: RegistryServer, what: str) -> None:
    opened = repository(server)
    if what == "manifest":
        other = MANIFEST + b" "
        server.faults[f"acme/minilm/manifests/{IMAGE.digest}"] = Fault(content=other)
        with pytest.raises(Refused, match=f"{digest_of(other)} instead of {IMAGE.digest}"):
            opened.resolve(IMAGE.digest)
    elif what == "blob":
        config = IMAGE.config_blob
        server.faults[f"acme/minilm/blobs/{config.digest}"] = Fault(content=b"x" * config.size)
        with pytest.raises(Refused, match=f"instead of {config.digest}"):
            opened.read(config.descriptor)
    else:
        headers = {"Docker-Content-Digest": f"sha256:{'0' * 64}"}
        server.faults["acme/minilm/manifests/1"] = Fault(headers=headers)
        with pytest.raises(Refused, match="calls what it sends sha256:000"):
            opened.resolve("1")


def test_a_longer_or_shorter_blob_is_refused(server: RegistryServer) -> None:
    config = IMAGE.config_blob
    path = f"acme/minilm/blobs/{config.digest}"
    server.faults[path] = Fault(content=BLOBS[-1] + b" ")
    with pytest.raises(Unavailable, match=f"sends more than {config.size} bytes"):
        repository(server).read(config.descriptor)
    server.faults[path] = Fault(content=BLOBS[-1][:-1])
    with pytest.raises(Refused):
        repository(server).read(config.descriptor)


def test_a_huge_blob_is_not_even_asked_for(server: RegistryServer) -> None:
    with pytest.raises(InputError, match="larger than 10 bytes"):
        repository(server).read(IMAGE.config_blob.descriptor, limit=10)
    assert server.paths() == []


def test_a_missing_blob_is_said_with_its_digest(server: RegistryServer) -> None:
    del server.content[f"acme/minilm/blobs/{IMAGE.config_blob.digest}"]
    with pytest.raises(Unavailable, match=f"has no blob {IMAGE.config_blob.digest}") as caught:
        repository(server).read(IMAGE.config_blob.descriptor)
    assert caught.value.findings[0].at == f"{server.address}/acme/minilm"


def test_a_busy_registry_is_asked_again(server: RegistryServer) -> None:
    waits: list[float] = []
    server.faults["acme/minilm/manifests/1"] = Fault(statuses=[429, 503])
    assert repository(server, waits=waits).resolve("1").digest == IMAGE.digest
    assert len(waits) == 2


def test_a_registry_that_stays_busy_is_given_up(server: RegistryServer) -> None:
    server.faults["acme/minilm/manifests/1"] = Fault(statuses=[500] * 9)
    with pytest.raises(Unavailable, match="answers 500"):
        repository(server).resolve("1")


def test_schema_1_is_too_old(server: RegistryServer) -> None:
    media_type = "application/vnd.docker.distribution.manifest.v1+prettyjws"
    server.content["acme/minilm/manifests/1"] = (media_type, b"{}")
    with pytest.raises(InputError, match="schema 1"):
        repository(server).resolve("1")


@pytest.mark.parametrize("auth", ["basic", "bearer"])
def test_credentials_are_used_when_they_are_asked_for(
    server: RegistryServer, tmp_path: Path, auth: str
) -> None:
    server.auth = auth
    opened = repository(server, settings=logged_in(tmp_path, server))
    assert opened.resolve("1").digest == IMAGE.digest
    assert opened.read(IMAGE.config_blob.descriptor) == BLOBS[-1]
    assert server.tokens == (auth == "bearer")
    # The first two requests: which scheme it speaks, and the manifest, both without.
    assert authorizations(server)[:2] == ["", ""]
    assert sum(sent == "" for sent in authorizations(server)) == 2


def test_a_token_is_had_without_credentials_too(server: RegistryServer) -> None:
    server.auth = "bearer"
    assert repository(server).resolve("1").digest == IMAGE.digest


def test_an_expired_token_is_renewed(server: RegistryServer) -> None:
    server.auth = "bearer"
    opened = repository(server)
    opened.resolve("1")
    server.expired.add("token-1")
    assert opened.read(IMAGE.config_blob.descriptor) == BLOBS[-1]
    assert server.tokens == 2


def test_an_identity_token_is_exchanged(server: RegistryServer, tmp_path: Path) -> None:
    server.auth = "bearer"
    settings = logged_in(tmp_path, server, identitytoken="identity")
    assert repository(server, settings=settings).resolve("1").digest == IMAGE.digest
    assert [m for m, p, _ in server.asked if p.startswith("/token")] == ["POST"]


def test_a_registry_token_is_sent_as_it_is(server: RegistryServer, tmp_path: Path) -> None:
    server.auth = "bearer"
    settings = logged_in(tmp_path, server, registrytoken="token-mine")
    assert repository(server, settings=settings).resolve("1").digest == IMAGE.digest
    assert server.tokens == 0


def test_who_is_not_let_in_is_told_how_to(server: RegistryServer) -> None:
    server.auth = "basic"
    with pytest.raises(Unavailable, match="without credentials") as caught:
        repository(server).resolve("1")
    assert f"modelpack login {server.address}" in caught.value.findings[0].hint


def test_wrong_credentials_are_named_by_where_they_are_from(
    server: RegistryServer, tmp_path: Path
) -> None:
    wrong = base64.b64encode(b"me:wrong").decode()
    settings = logged_in(tmp_path, server, auth=wrong)
    for auth in ("basic", "bearer"):
        server.auth = auth
        with pytest.raises(Unavailable) as caught:
            repository(server, settings=settings).resolve("1")
        message = str(caught.value)
        assert "with `me` of" in message
        assert "config.json" in message
        assert "me:wrong" not in message
        assert wrong not in message


def test_a_missing_program_is_named_when_credentials_are_wanted(
    server: RegistryServer, tmp_path: Path
) -> None:
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"credsStore": "desktop"}), "utf-8")
    settings = Settings(credential_files=(file,), environment={"PATH": ""})
    assert repository(server, settings=settings).resolve("1").digest == IMAGE.digest
    server.auth = "basic"
    with pytest.raises(Unavailable, match="docker-credential-desktop"):
        repository(server, settings=settings).resolve("1")


def test_a_blob_elsewhere_gets_no_credentials(server: RegistryServer, tmp_path: Path) -> None:
    server.auth = "basic"
    config = IMAGE.config_blob
    store = Script((200, {}, BLOBS[-1]))
    with serve(store) as elsewhere:
        server.faults[f"acme/minilm/blobs/{config.digest}"] = Fault(location=f"{elsewhere}/c")
        opened = repository(server, settings=logged_in(tmp_path, server))
        opened.resolve("1")
        assert opened.read(config.descriptor) == BLOBS[-1]
    ((_, headers),) = store.asked
    assert "authorization" not in {name.lower() for name in headers}


def test_a_store_elsewhere_cannot_ask_for_credentials(
    server: RegistryServer, tmp_path: Path
) -> None:
    config = IMAGE.config_blob
    store = Script((401, {"WWW-Authenticate": 'Basic realm="give"'}, b""))
    with serve(store) as elsewhere:
        server.faults[f"acme/minilm/blobs/{config.digest}"] = Fault(location=f"{elsewhere}/c")
        with pytest.raises(Unavailable, match="status 401"):
            repository(server, settings=logged_in(tmp_path, server)).read(config.descriptor)
    assert len(store.asked) == 1
    assert set(authorizations(server)) == {""}


@pytest.mark.parametrize("realm", ["file:///etc/passwd", "ftp://a/b", "", "https://"])
def test_a_strange_realm_is_refused(server: RegistryServer, realm: str) -> None:
    server.auth, server.realm = "bearer", realm or " "
    with pytest.raises(Unavailable, match="wants a token from"):
        repository(server).resolve("1")


def test_a_public_registry_sends_nobody_to_a_private_token_server(tmp_path: Path) -> None:
    with running_registry("127.0.0.2") as public, running_registry() as private:
        public.put("acme/minilm", MANIFEST, "1", blobs=BLOBS)
        public.auth, public.realm = "bearer", f"http://{private.address}/token"
        client = Client({}, timeout=5, public=lambda host: host == "127.0.0.2")
        name = reference.registry(f"{public.address}/acme/minilm")
        with pytest.raises(Unavailable, match="private address"):
            Repository(name, logged_in(tmp_path, public), client=client).resolve("1")
        assert private.asked == []


@pytest.mark.parametrize("body", [b"{}", b"[]", b"x", b'{"token": 1}', b'{"token": "a\\nb"}'])
def test_a_token_server_that_gives_none_is_unavailable(server: RegistryServer, body: bytes) -> None:
    server.auth = "bearer"
    with serve(Script((200, {}, body))) as realm:
        server.realm = realm
        with pytest.raises(Unavailable, match="no token"):
            repository(server).resolve("1")


def test_a_download_is_checked_and_kept(server: RegistryServer, tmp_path: Path) -> None:
    steps: list[int] = []
    path = download(server, Downloads(tmp_path), steps)
    assert path.read_bytes() == content_of(LAYER)
    assert sum(steps) == LAYER.size


def test_a_cut_download_goes_on_where_it_was_cut(server: RegistryServer, tmp_path: Path) -> None:
    steps: list[int] = []
    server.faults[f"acme/minilm/blobs/{LAYER.digest}"] = Fault(cuts=[100, 200, 1, 1, 1])
    path = download(server, Downloads(tmp_path), steps)
    assert path.read_bytes() == content_of(LAYER)
    assert sum(steps) == LAYER.size
    asked = [headers.get("range", "") for _, path, headers in server.asked if "blobs" in path]
    assert asked == [
        "", *(f"bytes={n}-{LAYER.size - 1}" for n in (100, 300, 301, 302, 303))
    ]  # fmt: skip


def test_a_registry_without_ranges_sends_all_of_it_again(
    server: RegistryServer, tmp_path: Path
) -> None:
    steps: list[int] = []
    server.ranges = False
    server.faults[f"acme/minilm/blobs/{LAYER.digest}"] = Fault(cuts=[100, 200])
    assert download(server, Downloads(tmp_path), steps).read_bytes() == content_of(LAYER)
    assert sum(steps) == LAYER.size


def test_a_later_process_goes_on(server: RegistryServer, tmp_path: Path) -> None:
    server.faults[f"acme/minilm/blobs/{LAYER.digest}"] = Fault(cuts=[100, 0, 0, 0, 0, 0])
    with pytest.raises(Unavailable, match="cut after 0 bytes"):
        download(server, Downloads(tmp_path))
    server.faults.clear()
    server.asked.clear()
    assert download(server, Downloads(tmp_path)).read_bytes() == content_of(LAYER)
    assert server.asked[-1][2]["range"] == f"bytes=100-{LAYER.size - 1}"


def test_a_wrong_beginning_is_thrown_away(server: RegistryServer, tmp_path: Path) -> None:
    digits = LAYER.digest.removeprefix("sha256:")
    folder = tmp_path / "downloads" / "sha256"
    folder.mkdir(parents=True)
    (folder / f".part-{digits}").write_bytes(b"wrong")
    with pytest.raises(Refused, match="has sha256"):
        download(server, Downloads(tmp_path))
    assert list(folder.iterdir()) == []
    assert download(server, Downloads(tmp_path)).read_bytes() == content_of(LAYER)


def test_a_beginning_that_is_too_long_is_thrown_away(
    server: RegistryServer, tmp_path: Path
) -> None:
    digits = LAYER.digest.removeprefix("sha256:")
    folder = tmp_path / "downloads" / "sha256"
    folder.mkdir(parents=True)
    (folder / f".part-{digits}").write_bytes(b"x" * (LAYER.size + 1))
    assert download(server, Downloads(tmp_path)).read_bytes() == content_of(LAYER)


@pytest.mark.parametrize("change", [b"", b"x" * 10, content_of(LAYER)[:-1] + b"!"])
def test_a_download_of_another_content_leaves_nothing(
    server: RegistryServer, tmp_path: Path, change: bytes
) -> None:
    server.faults[f"acme/minilm/blobs/{LAYER.digest}"] = Fault(content=change)
    with pytest.raises(ModelpackError):
        download(server, Downloads(tmp_path))
    assert list((tmp_path / "downloads" / "sha256").iterdir()) == []


@pytest.mark.parametrize(
    ("name", "host", "repository", "plain"),
    [
        ("python:3.13", "registry-1.docker.io", "library/python", False),
        ("acme/x", "registry-1.docker.io", "acme/x", False),
        ("ghcr.io/acme/x", "ghcr.io", "acme/x", False),
        ("localhost/x", "localhost", "x", True),
        ("127.0.0.1:5000/x", "127.0.0.1:5000", "x", True),
        ("[::1]:5000/x", "[::1]:5000", "x", True),
        ("10.0.0.1:5000/x", "10.0.0.1:5000", "x", False),
        ("lab:5000/x", "lab:5000", "x", True),
        ("lab/x", "registry-1.docker.io", "lab/x", False),
        ("quay.io/acme/x", "mirror.acme.example:443", "quay/acme/x", False),
        ("gcr.io/acme/x", "lab:5000", "acme/x", True),
    ],
)
def test_names_lead_to_hosts(name: str, host: str, repository: str, plain: bool) -> None:
    settings = Settings(
        insecure=frozenset({"lab:5000"}),
        mirrors={"quay.io": "mirror.acme.example:443/quay", "gcr.io": "lab:5000"},
    )
    endpoint = Endpoint.of(reference.registry(name), settings)
    assert (endpoint.host, endpoint.repository, endpoint.may_be_plain) == (host, repository, plain)


def test_plain_http_is_for_this_machine_only() -> None:
    asked = Script((200, {}, b"{}"))
    with serve(asked, host="127.0.0.2") as root:
        # The proxy shows whatever is sent in the clear; it makes no tunnels.
        client = Client({"all_proxy": root}, timeout=5, pause=lambda _: None)
        name = reference.registry("registry.invalid:5000/x")
        with pytest.raises(Unavailable):
            Repository(name, Settings(), client=client).resolve("1")
        assert asked.asked == []
        settings = Settings(insecure=frozenset({"registry.invalid:5000"}))
        with pytest.raises(ModelpackError):
            Repository(name, settings, client=client).resolve("1")
        assert {path for path, _ in asked.asked} == {
            "http://registry.invalid:5000/v2/x/manifests/1"
        }


def test_a_digest_that_is_none_is_refused(server: RegistryServer) -> None:
    with pytest.raises(InputError):
        repository(server).resolve("sha256:../../x")
    with pytest.raises(InputError):
        repository(server).image(Digest("sha256:x"))
