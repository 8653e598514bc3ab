"""Weights of web servers, buckets, layouts and registries; killed, cut and full on the way."""

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from modelpack.oci.layout import Layout
from tests import images, projects
from tests.command_line import PATIENCE
from tests.counting_proxy import CountingProxy, counting
from tests.file_server import Answer, FileServer, serving
from tests.registries import RunningRegistry, running
from tests.source_desk import FILES, LARGE, Desk, sha256, uris

INDEX = "model.safetensors.index.json"
LARGER = projects.safetensors({"w": os.urandom((1 << 20) - 72)})
HALF = 1 << 19
"bytes of it that are in the cache when half of it was sent"
NAMED = ["config.json", INDEX, "vocab/large.safetensors"]


@pytest.fixture
def desk(source_desk: Desk) -> Desk:
    return source_desk


@pytest.fixture
def web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    """A web server whose certificate this machine trusts."""
    server = FileServer(files={f"/tiny/{path}": data for path, data in FILES.items()})
    with serving(server, tls=tmp_path):
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate.pem"))
        yield server


def test_a_folder_of_a_web_server_gives_the_files_that_are_named_and_the_shards_of_an_index(
    desk, web
):
    desk.source(f"{web.url}/tiny/", include=NAMED, exclude=["model-00002-*"])
    done = desk.run("lock", desk.folder)
    assert done.status == 1
    assert "model-00002-of-00002.safetensors" in done.err, "the index wants it"
    desk.source(f"{web.url}/tiny/", include=NAMED)
    done = desk.run("lock", desk.folder)
    assert done.status == 0, done.err
    assert {file["path"] for file in desk.lock["files"]} == set(FILES)
    assert all(version["etag"].startswith('"') for version in desk.lock["source"]["versions"])
    asked = len(web.asked)
    assert desk.run("build", desk.folder, "--locked", "--offline", "-q").status == 0
    assert len(web.asked) == asked
    assert uris(desk.folder)[sha256(LARGE)] == f"{web.url}/tiny/vocab/large.safetensors"


def test_one_file_of_a_web_server(desk, web):
    desk.source(f"{web.url}/tiny/vocab/large.safetensors")
    assert desk.run("lock", desk.folder).status == 0
    assert desk.lock["source"]["single"] is True
    assert desk.run("build", desk.folder, "--locked", "-q").status == 0
    url = f"{web.url}/tiny/vocab/large.safetensors"
    assert uris(desk.folder) == {sha256(LARGE): url}
    assert desk.run("lock", desk.folder, "--check").status == 0


def test_a_web_server_that_lists_nothing_says_what_to_name(desk, web):
    desk.source(f"{web.url}/tiny/")
    done = desk.run("lock", desk.folder)
    assert done.status == 2
    assert "a web server does not list its files, and `include` names none" in done.err
    desk.source(f"{web.url}/tiny/", include=["nothing.json"])
    done = desk.run("lock", desk.folder)
    assert done.status == 2
    assert "does not have it (status 404)" in done.err
    assert "weights.tiny.source: nothing.json" in done.err


def test_credentials_of_a_web_server_come_from_netrc(desk, web, tmp_path):
    web.user = "me:right"
    desk.source(f"{web.url}/tiny/config.json")
    done = desk.run("lock", desk.folder)
    assert done.status == 3
    assert "hint: give the host's user and password in ~/.netrc" in done.err
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password right\n", "utf-8")
    (tmp_path / "netrc").chmod(0o600)
    assert desk.run("lock", desk.folder).status == 0


def test_a_file_that_is_another_one_by_now_is_refused_and_told_of(desk, web):
    desk.source(f"{web.url}/tiny/config.json")
    desk.run("lock", desk.folder)
    desk.forget()
    web.files["/tiny/config.json"] = b'{"architectures": ["Tony"]}\n'
    done = desk.run("lock", desk.folder, "--check")
    assert done.status == 2
    assert "`config.json` was overwritten since it was locked" in done.err
    done = desk.run("build", desk.folder, "--locked", "-q")
    assert done.status == 1
    assert "the source sends other bytes than it should" in done.err
    web.files["/tiny/config.json"] = b"{}"
    done = desk.run("build", desk.folder, "--locked", "-q")
    assert done.status == 1
    assert "it has 2 bytes instead of 28" in done.err


def test_a_file_that_is_shorter_than_the_server_says_is_refused(desk, web):
    web.lengths["/tiny/vocab/large.safetensors"] = len(LARGE) + 10
    desk.source(f"{web.url}/tiny/vocab/large.safetensors")
    done = desk.run("lock", desk.folder)
    assert done.status == 1
    assert f"it has {len(LARGE)} bytes instead of {len(LARGE) + 10}" in done.err


def test_without_ranges_and_versions_a_cut_download_begins_anew(desk, web):
    path = "/tiny/vocab/large.safetensors"
    web.etags, web.cuts[path] = False, [3000]
    desk.source(f"{web.url}{path}")
    done = desk.run("lock", desk.folder, "-q")
    assert done.status == 0, done.err
    assert [h.get("range") for m, at, h in web.asked if m == "GET" and at == path] == [None, None]
    assert desk.lock["files"][0]["sha256"] == sha256(LARGE)
    assert desk.lock["source"]["versions"] == []


def test_statuses_that_pass_are_tried_again(desk, web):
    web.statuses["/tiny/config.json"] = [503]
    desk.source(f"{web.url}/tiny/config.json")
    assert desk.run("lock", desk.folder, "-q").status == 0


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("https://me:secret@models.example/x.safetensors", "holds credentials"),
        ("https://models.example/x.safetensors?token=secret", "has a query"),
        ("http://models.example/x.safetensors", "by https only"),
        ("hf://a/b/c@main", "not a repository of a hub"),
        ("hf://a/b@../x", "not a revision"),
        ("weights/tiny", "not a source of weights"),
    ],
)
def test_a_source_that_cannot_be_is_refused_with_the_spec(desk, source, message):
    desk.source(source)
    done = desk.run("check", desk.folder)
    assert done.status == 2
    assert "weights.source" in done.err
    if "://" in source:
        assert message in done.err


@dataclass
class Bucket:
    """A bucket of an S3 server, and a client of its owner."""

    client: Any
    name: str = "models"
    put: Callable[..., str] = field(init=False)

    def __post_init__(self) -> None:
        self.client.create_bucket(Bucket=self.name)
        self.put = lambda key, data: self.client.put_object(
            Bucket=self.name, Key=key, Body=data
        ).get("VersionId", "")


@pytest.fixture(scope="module")
def s3_server() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"{host}:{port}"
    server.stop()


@pytest.fixture
def proxy(s3_server: str) -> Iterator[CountingProxy]:
    with counting(s3_server) as door:
        yield door


@pytest.fixture
def bucket(
    s3_server: str, proxy: CountingProxy, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Bucket]:
    """A bucket with the weights below `tiny/`."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in {
        "AWS_ACCESS_KEY_ID": "AKIATEST", "AWS_SECRET_ACCESS_KEY": "never-to-be-seen",
        "AWS_DEFAULT_REGION": "us-east-1", "AWS_ENDPOINT_URL": f"http://{proxy.address}",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    client = boto3.client("s3", endpoint_url=f"http://{s3_server}")
    found = Bucket(client, name=f"models-{os.urandom(4).hex()}")
    for path, data in FILES.items():
        found.put(f"tiny/{path}", data)
    found.put("tiny/folder/", b"")
    yield found
    client.close()


def versioned(bucket: Bucket) -> None:
    bucket.client.put_bucket_versioning(
        Bucket=bucket.name, VersioningConfiguration={"Status": "Enabled"}
    )


def test_objects_below_a_prefix_are_locked_by_etag_and_digest(desk, bucket, proxy):
    desk.source(f"s3://{bucket.name}/tiny")
    done = desk.run("lock", desk.folder)
    assert done.status == 0, done.err
    assert {file["path"]: file["sha256"] for file in desk.lock["files"]} == {
        path: sha256(data) for path, data in FILES.items()
    }
    locked = (desk.folder / "modelpack.lock").read_text("utf-8")
    assert proxy.address not in locked
    assert "never-to-be-seen" not in locked
    through = proxy.carried()
    assert desk.run("build", desk.folder, "--locked", "-q").status == 0
    assert proxy.carried() == through
    assert uris(desk.folder)[sha256(LARGE)] == (f"s3://{bucket.name}/tiny/vocab/large.safetensors")
    bucket.put("tiny/config.json", b'{"architectures": ["Tony"]}\n')
    done = desk.run("lock", desk.folder, "--check")
    assert done.status == 2
    assert "`config.json` was overwritten since it was locked" in done.err
    desk.forget()
    done = desk.run("build", desk.folder, "--locked", "--output", f"oci:{desk.folder}/x", "-q")
    assert done.status == 1
    assert "is not what it was at its source: the object was overwritten" in done.err


def test_a_bucket_with_versions_gives_the_locked_one_for_ever(desk, bucket):
    versioned(bucket)
    old = bucket.put("tiny/config.json", FILES["config.json"])
    desk.source(f"s3://{bucket.name}/tiny/")
    assert desk.run("lock", desk.folder).status == 0
    new = bucket.put("tiny/config.json", b'{"newer": true}\n')
    assert old != new
    done = desk.run("lock", desk.folder, "--check", "--json")
    assert done.status == 0
    (finding,) = done.document["findings"]
    assert "`config.json` has 16 bytes, 28 are locked" in finding["message"]
    desk.forget()
    assert desk.run("build", desk.folder, "--locked", "-q").status == 0
    uri = uris(desk.folder)[sha256(FILES["config.json"])]
    assert uri == f"s3://{bucket.name}/tiny/config.json?versionId={old}"
    bucket.client.delete_object(Bucket=bucket.name, Key="tiny/config.json", VersionId=old)
    desk.forget()
    done = desk.run("build", desk.folder, "--locked", "--output", f"oci:{desk.folder}/x", "-q")
    assert done.status == 2
    assert "there is no such object, or no such version of it any more" in done.err


def test_one_object_and_one_that_was_uploaded_in_parts(desk, bucket):
    # Parts of 5 MiB at least: the only large body here.
    body = projects.safetensors({"w": bytes(range(256)) * (21 << 10)})
    key = "parts/model.safetensors"
    upload = bucket.client.create_multipart_upload(Bucket=bucket.name, Key=key)["UploadId"]
    parts = []
    for number, data in enumerate((body[: 5 << 20], body[5 << 20 :]), start=1):
        done = bucket.client.upload_part(
            Bucket=bucket.name, Key=key, UploadId=upload, PartNumber=number, Body=data
        )
        parts.append({"ETag": done["ETag"], "PartNumber": number})
    bucket.client.complete_multipart_upload(
        Bucket=bucket.name, Key=key, UploadId=upload, MultipartUpload={"Parts": parts}
    )
    desk.source(f"s3://{bucket.name}/{key}")
    assert desk.run("lock", desk.folder).status == 0
    assert desk.lock["source"]["single"] is True
    assert desk.lock["source"]["versions"][0]["etag"].endswith('-2"')
    assert desk.lock["files"][0]["sha256"] == sha256(body)
    desk.forget()
    assert desk.run("build", desk.folder, "--locked", "-q").status == 0


def test_a_connection_to_a_bucket_that_breaks_is_gone_on_with(desk, bucket, proxy):
    body = projects.safetensors({"w": os.urandom(2 << 20)})
    bucket.put("large/model.safetensors", body)
    desk.source(f"s3://{bucket.name}/large/model.safetensors")
    proxy.cut_at = 1 << 20
    done = desk.run("lock", desk.folder)
    assert done.status == 0, done.err
    assert proxy.cut_at is None, "it was cut"
    assert desk.lock["files"][0]["sha256"] == sha256(body)


def test_a_killed_download_of_an_object_goes_on_where_it_was(desk, bucket, proxy):
    body = projects.safetensors({"w": os.urandom(2 << 20)})
    bucket.put("large/model.safetensors", body)
    desk.source(f"s3://{bucket.name}/large/model.safetensors")
    proxy.hold_at = 1 << 20
    process = started("lock", desk.folder)
    try:
        assert proxy.held.wait(PATIENCE)
        wait_for(lambda: begun() > 0)
    finally:
        process.kill()
        process.wait()
    came = begun()
    proxy.hang_up()
    proxy.release()
    before = proxy.received
    done = desk.run("lock", desk.folder, "-q")
    assert done.status == 0, done.err
    assert desk.lock["files"][0]["sha256"] == sha256(body)
    assert proxy.received - before < len(body) - came + (200 << 10)


def test_what_a_bucket_refuses_is_named(desk, bucket, monkeypatch):
    desk.source("s3://nothing-of-that-name/tiny")
    done = desk.run("lock", desk.folder)
    assert done.status == 2
    assert "there is no bucket `nothing-of-that-name`" in done.err
    desk.source(f"s3://{bucket.name}/nothing")
    done = desk.run("lock", desk.folder)
    assert done.status in (1, 2)
    assert "no such object" in done.err or "no file of the source" in done.err


@pytest.mark.parametrize(
    ("source", "variable"),
    [
        ("hf://acme/tiny@main", "HF_ENDPOINT"), ("s3://models/tiny", "AWS_ENDPOINT_URL"),
        ("https://{address}/x.safetensors", ""), ("{address}/acme/tiny:1", ""),
    ],
)  # fmt: skip
def test_nobody_answering_is_neither_yes_nor_no(desk, monkeypatch, source, variable):
    with socket.socket() as unheard:  # bound, and not listening
        unheard.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unheard.getsockname()[1]}"
        if variable:
            monkeypatch.setenv(variable, f"http://{address}")
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        desk.source(source.format(address=address))
        done = desk.run("lock", desk.folder)
    assert done.status == 3
    assert f"{address}" in done.err
    assert "check the network" in done.err


def test_a_public_bucket_needs_no_credentials(desk, bucket, monkeypatch, tmp_path):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    desk.source(f"s3://{bucket.name}/tiny/config.json")
    assert desk.run("lock", desk.folder).status == 3, "it is not public yet"
    bucket.client.put_object_acl(
        Bucket=bucket.name, Key="tiny/config.json", ACL="public-read"
    )  # fmt: skip
    done = desk.run("lock", desk.folder)
    assert done.status == 0, done.err


def test_a_bucket_of_others_says_whose_credentials_are_missing(desk, bucket, monkeypatch):
    class Closed(FileServer):
        def answer(self, method: str, path: str, headers: dict[str, str]) -> Answer:
            return Answer(403, b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>")

    with serving(Closed()) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        desk.source("s3://models/tiny")
        done = desk.run("lock", desk.folder)
    assert done.status == 3
    assert "`models` lets nobody read this with these credentials (AccessDenied)" in done.err
    assert "AWS_PROFILE" in done.err


def test_a_missing_client_says_what_to_install(desk, monkeypatch):
    for module in ("boto3", "huggingface_hub"):
        monkeypatch.setitem(sys.modules, module, None)
    desk.source("s3://models/tiny")
    done = desk.run("lock", desk.folder)
    assert done.status == 3
    assert "hint: pip install 'modelpack-build[s3]'" in done.err
    desk.source("hf://acme/tiny@main")
    done = desk.run("lock", desk.folder)
    assert done.status == 3
    assert "hint: pip install 'modelpack-build[hf]'" in done.err


def started(*arguments: object) -> "subprocess.Popen[bytes]":
    """Start a command in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "modelpack", *map(str, arguments)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def wait_for(condition: Callable[[], bool]) -> None:
    """Return when `condition` holds; fail when it takes too long."""
    for _ in range(PATIENCE * 20):
        if condition():
            return
        threading.Event().wait(0.05)
    raise AssertionError("it did not come to that")


def killed(server: FileServer, path: str, *arguments: object) -> None:
    """Run a command and kill it when half of `path` has come."""
    process = started(*arguments)
    try:
        wait_for(lambda: process.poll() is not None or begun() == HALF)
        assert begun() == HALF, "it ended before it could be killed"
    finally:
        process.kill()
        process.wait()
    server.waiting.pop(path).set()


def begun() -> int:
    """Return how many bytes of a file are in the cache."""
    folder = Path(os.environ["MODELPACK_CACHE"], "weights", "sha256")
    return max((part.stat().st_size for part in folder.glob(".part-*")), default=0)


@pytest.mark.parametrize("command", ["lock", "build"])
def test_a_killed_command_goes_on_where_it_was(desk, web, command):
    path = "/tiny/model.safetensors"
    web.files[path] = LARGER
    desk.source(f"{web.url}{path}")
    if command == "build":
        desk.run("lock", desk.folder)
        desk.forget()
        web.asked.clear()
    web.waiting[path] = threading.Event()
    killed(web, path, command, desk.folder)
    done = desk.run(command, desk.folder, "-q")
    assert done.status == 0, done.err
    ranges = [h.get("range", "") for m, at, h in web.asked if m == "GET" and at == path]
    assert ranges == ["", f"bytes={HALF}-{len(LARGER) - 1}"]
    assert desk.fetched == {sha256(LARGER)}
    assert desk.lock["files"][0]["sha256"] == sha256(LARGER)


def test_a_full_disk_is_seen_before_anything_is_fetched(desk, web, monkeypatch):
    monkeypatch.setattr(os, "statvfs", lambda _: os.statvfs_result((4096, 4096, *[0] * 8)))
    desk.source(f"{web.url}/tiny/vocab/large.safetensors")
    done = desk.run("lock", desk.folder)
    assert done.status == 3
    assert "modelpack cache prune" in done.err
    assert not web.gets()


def test_a_disk_that_fills_meanwhile_is_an_error_with_a_hint(desk, web, monkeypatch):
    from modelpack.oci import partial_download

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(partial_download.os, "write", full)
    desk.source(f"{web.url}/tiny/vocab/large.safetensors")
    done = desk.run("lock", desk.folder)
    monkeypatch.undo()
    assert done.status == 3
    assert "cannot be written: No space left on device" in done.err
    assert "hint: free some space" in done.err


def test_pruning_bounds_what_was_fetched(desk, web, monkeypatch):
    desk.source(f"{web.url}/tiny/vocab/large.safetensors")
    desk.run("lock", desk.folder)
    shown = desk.run("cache", "info", "--json").document
    (row,) = [item for item in shown["folders"] if item["folder"] == "weights/sha256"]
    assert (row["files"], row["size"]) == (1, len(LARGE))
    for path in (desk.cache / "weights" / "sha256").iterdir():
        os.utime(path, (0, 0))
    assert desk.run("cache", "prune", "--max-size", "1kB").status == 0
    assert not desk.fetched
    assert desk.run("build", desk.folder, "--locked", "-q").status == 0
    assert desk.fetched == {sha256(LARGE)}


@pytest.fixture
def image(desk: Desk, tmp_path: Path) -> Path:
    """Return the project of an image that has the weights."""
    folder = tmp_path / "upstream"
    projects.make_project(folder, desk.cache, weights=FILES)
    assert desk.run("build", folder, "--locked", "-q").status == 0
    return folder


@pytest.mark.parametrize("mode", ["bake", "mount"])
def test_weights_of_a_layout_are_those_of_its_image(desk, tmp_path, mode):
    folder = tmp_path / "upstream"
    toml = projects.TOML.replace('path = "weights"', f'path = "weights"\nmode = "{mode}"')
    projects.make_project(folder, desk.cache, weights=FILES, toml=toml)
    assert desk.run("build", folder, "--locked", "-q").status == 0
    desk.source("oci:../upstream/dist/image:1.0.0")
    done = desk.run("lock", desk.folder)
    assert done.status == 0, done.err
    assert {file["path"]: file["sha256"] for file in desk.lock["files"]} == {
        path: sha256(data) for path, data in FILES.items()
    }
    revision = desk.lock["source"]["revision"]
    assert revision.startswith("sha256:")
    desk.forget()
    assert desk.run("build", desk.folder, "--locked", "-q").status == 0
    uri = uris(desk.folder)[sha256(LARGE)]
    assert uri == f"oci:../upstream/dist/image@{revision}#vocab/large.safetensors"
    shutil.rmtree(folder / "dist")
    desk.forget()
    done = desk.run("build", desk.folder, "--locked", "--output", f"oci:{desk.folder}/x", "-q")
    assert done.status == 2
    assert "there is nothing at the source" in done.err


def test_a_damaged_layer_gives_no_weights(desk, image):
    desk.source("oci:../upstream/dist/image")
    record = json.loads((image / "dist" / "build.json").read_text("utf-8"))
    for layer in record["layers"]:
        if layer["step"] == "weights":
            path = image / "dist" / "image" / "blobs" / "sha256" / layer["digest"][7:]
            data = path.read_bytes()
            path.write_bytes(data.replace(b"architectures", b"Architectures"))
    done = desk.run("lock", desk.folder)
    assert done.status == 1
    assert "the source sends other bytes than it should" in done.err


def test_an_image_of_something_else_is_no_source(desk, tmp_path):
    with Layout(tmp_path / "strange") as layout:
        images.put(layout, images.image("hello"), "1.0")
    desk.source("oci:../strange")
    done = desk.run("lock", desk.folder)
    assert done.status == 2
    assert "neither an image made by modelpack nor an artifact" in done.err


@pytest.fixture(scope="module")
def olareg(
    tmp_path_factory: pytest.TempPathFactory, go_tool: Callable[[str], str],
    require_tool: Callable[[str], str],
) -> Iterator[RunningRegistry]:  # fmt: skip
    folder = tmp_path_factory.mktemp("olareg")
    with running("olareg", folder, go_tool=go_tool, require_tool=require_tool) as registry:
        yield registry


@pytest.mark.integration
def test_weights_of_a_registry_are_read_by_range_and_their_tag_may_move(desk, image, olareg):
    name = f"{olareg.repository()}:1.0.0"
    assert desk.run("push", image, name, "-q").status == 0
    with counting(olareg.address) as proxy:
        desk.source(name.replace(olareg.address, proxy.address), include=["vocab/*"])
        done = desk.run("lock", desk.folder)
        assert done.status == 0, done.err
        assert proxy.received < 200_000
    desk.source(name, include=["vocab/*"])
    assert desk.run("lock", desk.folder).status == 0
    assert [file["sha256"] for file in desk.lock["files"]] == [sha256(LARGE)]
    (image / "service" / "__main__.py").write_bytes(b'print("other")\n')
    assert desk.run("build", image, "--locked", "-q").status == 0
    assert desk.run("push", image, name, "--replace", "-q").status == 0
    done = desk.run("lock", desk.folder, "--check", "--json")
    assert done.status == 0
    (finding,) = done.document["findings"]
    assert finding["rule"] == "lock.source-moved"
    desk.forget()
    assert desk.run("build", desk.folder, "--locked", "-q").status == 0
    revision = desk.lock["source"]["revision"]
    uri = uris(desk.folder)[sha256(LARGE)]
    assert uri == f"{name.rpartition(':')[0]}@{revision}#vocab/large.safetensors"


@pytest.mark.integration
def test_layers_of_a_source_in_the_same_registry_are_mounted(desk, image, olareg):
    upstream, own = f"{olareg.repository()}:1.0.0", f"{olareg.repository()}:1.0.0"
    assert desk.run("push", image, upstream, "-q").status == 0
    desk.source(upstream)
    assert desk.run("lock", desk.folder).status == 0
    desk.forget()
    done = desk.run("build", desk.folder, "--locked", "--push", "--tag", own, "--json")
    assert done.status == 0, done.err
    assert not desk.fetched
    proofs = [la["proof"] for la in done.document["layers"] if la["step"] == "weights"]
    assert proofs == ["lock", "lock"]
    assert desk.run("copy", own, f"oci:{desk.folder}/pulled", "-q").status == 0
    assert not projects.damage(desk.folder / "pulled")
    # Elsewhere in the image they make other layers, which nobody has.
    desk.source(upstream, destination="/models/other")
    assert desk.run("lock", desk.folder).status == 0
    desk.forget()
    other = f"{olareg.repository()}:1.0.0"
    done = desk.run("build", desk.folder, "--locked", "--push", "--tag", other, "-q")
    assert done.status == 0, done.err
    assert len(desk.fetched) == len(FILES)
    desk.forget()
    (desk.folder / "service" / "__main__.py").write_bytes(b'print("other")\n')
    done = desk.run("build", desk.folder, "--locked", "--push", "--tag", f"{other}-2", "-q")
    assert done.status == 0, done.err
    assert not desk.fetched, "the registry has them by now"
