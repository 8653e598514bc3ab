"""Uploads: what is there is not sent, what was cut goes on, nothing is named before its proof."""

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from fakes.upload_server import UploadServer, running_uploads
from images import image, lying, nothing, put, vouching

from modelpack import reference
from modelpack.digest import Digest, hex_of
from modelpack.errors import InputError, Refused, Unavailable
from modelpack.inputs.file_digests import FileDigest, FileDigests
from modelpack.oci.blobs import content_of
from modelpack.oci.layer import Absent, Blob, Pieces, Remote, StoredFile, blob_of
from modelpack.oci.referrers import appended, tag_for
from modelpack.oci.registry import known, sending, upload
from modelpack.oci.registry.places import Places
from modelpack.oci.registry.repository import Repository
from modelpack.oci.registry.settings import Settings
from modelpack.oci.registry.unfinished import Unfinished
from modelpack.oci.registry.writing import WritableRepository, is_version
from modelpack.oci.tar import FileRange
from modelpack.web.client import Client
from modelpack.web.spans import Span

MIB = 1 << 20
DATA = bytes(range(256)) * (3 * MIB // 256) + b"end"
BLOB = blob_of(DATA, "text/plain")
SMALL = blob_of(b"small", "text/plain")


@pytest.fixture
def server() -> Iterator[UploadServer]:
    with running_uploads() as running:
        yield running


@pytest.fixture(autouse=True)
def chunks_of_a_mebibyte(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a blob of three MiB have several chunks."""
    monkeypatch.setattr(known, "CHUNK", MIB)


def repository(
    server: UploadServer, *, folder: Path | None = None, name: str = "acme/minilm",
    waits: list[float] | None = None, settings: Settings | None = None, replace: bool = False,
    places: Path | None = None, known: FileDigests | None = None,
) -> WritableRepository:  # fmt: skip
    pause = ([] if waits is None else waits).append
    return WritableRepository(
        reference.registry(f"{server.address}/{name}"), settings or Settings(), uploads=folder,
        client=Client({}, pause=pause, timeout=5), pause=pause, replace=replace, places=places,
        known=known,
    )  # fmt: skip


def held(server: UploadServer, name: str = "acme/minilm") -> Sequence[bytes]:
    return list(server.blobs.get(name, {}).values())


def test_a_small_blob_is_sent_in_one_request(server: UploadServer) -> None:
    assert repository(server).write(SMALL, nothing)
    assert server.methods() == ["HEAD", "POST", "PUT"]
    assert held(server) == [b"small"]


def test_a_large_blob_is_sent_in_chunks_to_the_latest_place(server: UploadServer) -> None:
    counts: list[int] = []
    assert repository(server).write(BLOB, counts.append)
    assert server.chunks() == ["0-1048575", "1048576-2097151", "2097152-3145727", "3145728-3145730"]
    assert sum(counts) == BLOB.size
    assert held(server) == [DATA]
    places = [p for m, p, _ in server.asked if m in ("PATCH", "PUT")]
    assert len(set(places)) == len(places)


def test_chunks_are_as_long_as_the_registry_says(server: UploadServer) -> None:
    server.headers["OCI-Chunk-Min-Length"] = str(2 * MIB)
    repository(server).write(BLOB, nothing)
    assert server.chunks() == ["0-2097151", "2097152-3145730"]
    server.headers = {"OCI-Chunk-Max-Length": str(MIB // 2)}
    repository(server, name="acme/other").write(BLOB, nothing)
    assert len(server.chunks()) == 2 + 7


def test_what_is_there_is_not_read(server: UploadServer, tmp_path: Path) -> None:
    server.blobs["acme/minilm"] = {BLOB.digest: DATA}
    missing = lying(BLOB, FileRange(path=str(tmp_path / "gone"), size=BLOB.size))
    assert not repository(server).write(missing, nothing)
    assert not repository(server).write(replace(BLOB, origin=Absent()), nothing)
    assert server.methods() == ["HEAD", "HEAD"]


def test_a_cut_upload_goes_on_at_the_very_byte(server: UploadServer) -> None:
    server.keep = [MIB // 3]
    counts: list[int] = []
    repository(server).write(BLOB, counts.append)
    assert held(server) == [DATA]
    assert sum(counts) == BLOB.size
    starts = [chunk.partition("-")[0] for chunk in server.chunks()]
    assert starts[:2] == ["0", str(MIB // 3)]


@pytest.mark.parametrize("failure", ["cut", "too large"])
def test_requests_are_shorter_after_one_that_failed(
    server: UploadServer, monkeypatch: pytest.MonkeyPatch, failure: str
) -> None:
    monkeypatch.setattr(known, "CHUNK", 2 * MIB)
    monkeypatch.setattr(known, "CAREFUL", MIB)
    if failure == "cut":
        server.keep = [0]
    else:
        server.statuses = {"PATCH": [413]}
    store = repository(server)
    store.write(BLOB, nothing)
    assert held(server) == [DATA]
    assert server.chunks()[:2] == ["0-2097151", "0-1048575"]
    server.asked.clear()
    other = blob_of(DATA[::-1], "text/plain")
    store.write(other, nothing)
    assert server.chunks()[0] == "0-1048575"


def test_an_upload_that_is_lost_begins_anew(server: UploadServer) -> None:
    server.keep, server.forgets = [1000], True
    repository(server).write(BLOB, nothing)
    assert held(server) == [DATA]
    assert server.methods().count("POST") == 2


def test_another_process_goes_on_with_an_upload(server: UploadServer, tmp_path: Path) -> None:
    server.keep = [MIB // 2, 0, 0, 0, 0, 0, 0, 0, 0]
    with pytest.raises(Unavailable):
        repository(server, folder=tmp_path).write(BLOB, nothing)
    (note,) = tmp_path.iterdir()
    assert note.stat().st_mode & 0o077 == 0
    assert str(json.loads(note.read_text("utf-8"))["location"]).startswith("http://")
    server.keep.clear()
    server.asked.clear()
    repository(server, folder=tmp_path).write(BLOB, nothing)
    assert held(server) == [DATA]
    assert "POST" not in server.methods()
    assert server.chunks()[0].startswith(f"{MIB // 2}-")
    assert not list(tmp_path.iterdir())


def test_what_another_process_sent_is_hashed_again(server: UploadServer, tmp_path: Path) -> None:
    server.keep = [MIB // 2, 0, 0, 0, 0, 0, 0, 0, 0]
    with pytest.raises(Unavailable):
        repository(server, folder=tmp_path).write(BLOB, nothing)
    server.keep.clear()
    changed = lying(BLOB, b"X" + DATA[1:])
    with pytest.raises(InputError, match="not what was recorded"):
        repository(server, folder=tmp_path).write(changed, nothing)
    assert held(server) == []


def test_wrong_bytes_of_another_process_are_replaced(server: UploadServer, tmp_path: Path) -> None:
    server.keep = [MIB // 2, 0, 0, 0, 0, 0, 0, 0, 0]
    with pytest.raises(Unavailable):
        repository(server, folder=tmp_path).write(lying(BLOB, b"X" + DATA[1:]), nothing)
    server.keep.clear()
    repository(server, folder=tmp_path).write(BLOB, nothing)
    assert held(server) == [DATA]
    assert not list(tmp_path.iterdir())


def test_a_note_on_a_wrong_source_is_not_kept(server: UploadServer, tmp_path: Path) -> None:
    with pytest.raises(InputError):
        repository(server, folder=tmp_path).write(lying(BLOB, DATA[:-1] + b"X"), nothing)
    assert not list(tmp_path.iterdir())


def test_a_list_that_cannot_be_read_is_not_overwritten(server: UploadServer) -> None:
    store = repository(server)
    descriptor = put(store, image("a"), "1")
    path = f"/v2/acme/minilm/manifests/{tag_for(descriptor.digest)}"
    server.manifests[path] = ("application/vnd.oci.image.index.v1+json", b"{}")
    assert store.referrers(descriptor.digest) == ()
    with pytest.raises(InputError):
        store.attach(descriptor, [vouching("one")])
    assert server.manifests[path][1] == b"{}"


def test_a_version_that_holds_what_nobody_can_read_is_not_free(server: UploadServer) -> None:
    old = ("application/vnd.docker.distribution.manifest.v1+prettyjws", b"{}")
    server.manifests["/v2/acme/minilm/manifests/1.0"] = old
    with pytest.raises((Refused, InputError)):
        put(repository(server), image("a"), "1.0")
    assert server.manifests["/v2/acme/minilm/manifests/1.0"] == old


@pytest.mark.parametrize(
    "note", [b"", b"{", b"[]", b'{"location": 1}', b'{"location": "file:///"}']
)
def test_a_note_that_is_damaged_counts_for_nothing(
    server: UploadServer, tmp_path: Path, note: bytes
) -> None:
    with Unfinished(tmp_path).note(f"{server.address}/acme/minilm", BLOB.digest):
        (path,) = tmp_path.iterdir()
    path.write_bytes(note)
    repository(server, folder=tmp_path).write(BLOB, nothing)
    assert held(server) == [DATA]


def test_an_upload_that_another_process_holds_is_left_alone(
    server: UploadServer, tmp_path: Path
) -> None:
    name = f"{server.address}/acme/minilm"
    with Unfinished(tmp_path).note(name, BLOB.digest) as theirs:
        place = f"http://{server.address}/v2/acme/minilm/blobs/uploads/77"
        theirs.write(place, 5)
        repository(server, folder=tmp_path).write(BLOB, nothing)
        assert theirs.read() == (place, 5)
    assert held(server) == [DATA]


def test_wrong_content_is_never_given_its_digest(server: UploadServer) -> None:
    with pytest.raises(InputError, match="not what was recorded"):
        repository(server).write(lying(BLOB, DATA[:-1] + b"X"), nothing)
    with pytest.raises(InputError):
        repository(server).write(lying(SMALL, b"lalls"), nothing)
    assert "PUT" not in server.methods()


def test_a_busy_registry_is_given_the_time_that_it_asks_for(server: UploadServer) -> None:
    server.statuses = {"POST": [429], "PATCH": [0, 503], "PUT": [500]}
    waits: list[float] = []
    repository(server, waits=waits).write(BLOB, nothing)
    assert held(server) == [DATA]
    assert waits == [7, 7, 7]


def test_a_token_that_expires_within_an_upload_is_renewed(server: UploadServer) -> None:
    server.tokens, server.uses = True, 2
    repository(server).write(BLOB, nothing)
    assert held(server) == [DATA]
    assert len(server.left) > 2


def test_another_host_gets_the_bytes_and_no_credentials(server: UploadServer) -> None:
    server.tokens = True
    with running_uploads(server) as other:
        server.elsewhere = other.address
        repository(server).write(BLOB, nothing)
    assert held(server) == [DATA]
    sent = [h for m, _, h in server.asked if m in ("PATCH", "PUT")]
    assert {h["host"] for h in sent} == {other.address}
    assert not any("authorization" in h for h in sent)
    assert any("authorization" in h for m, _, h in server.asked if m == "POST")


def test_a_blob_of_another_repository_is_mounted_with_one_token(server: UploadServer) -> None:
    server.tokens = True
    server.blobs["other/one"] = {BLOB.digest: DATA}
    there = Repository(reference.registry(f"{server.address}/other/one"), Settings())
    far = Blob(descriptor=BLOB.descriptor, origin=Remote(there))
    repository(server).write(far, nothing)
    assert held(server) == [DATA]
    assert "PATCH" not in server.methods()
    scopes = [p for _, p, _ in server.asked if p.startswith("/token")]
    assert "acme%2Fminilm%3Apull%2Cpush" in scopes[-1]
    assert "other%2Fone%3Apull" in scopes[-1]


def test_what_cannot_be_mounted_is_streamed(server: UploadServer) -> None:
    server.mounts = False
    server.blobs["other/one"] = {BLOB.digest: DATA}
    there = Repository(reference.registry(f"{server.address}/other/one"), Settings())
    far = Blob(descriptor=BLOB.descriptor, origin=Remote(there))
    repository(server).write(far, nothing)
    assert held(server) == [DATA]
    assert server.methods().count("POST") == 1


def test_a_chunk_is_never_smaller_than_what_the_registry_takes(server: UploadServer) -> None:
    server.least = 2 * MIB
    server.keep = [MIB // 3]
    repository(server).write(BLOB, nothing)
    assert held(server) == [DATA]


def test_another_process_knows_the_least_chunk_too(server: UploadServer, tmp_path: Path) -> None:
    server.least = 2 * MIB
    server.keep = [MIB // 2, *[0] * 8]
    with pytest.raises(Unavailable):
        repository(server, folder=tmp_path).write(BLOB, nothing)
    server.keep.clear()
    server.asked.clear()
    repository(server, folder=tmp_path).write(BLOB, nothing)
    assert server.chunks() == [
        f"{MIB // 2}-{MIB // 2 + 2 * MIB - 1}",
        f"{MIB // 2 + 2 * MIB}-{len(DATA) - 1}",
    ]
    assert held(server) == [DATA]


def test_the_upload_that_begins_in_the_place_of_a_mount_keeps_its_least_chunk(
    server: UploadServer,
) -> None:
    server.mounts, server.least = False, 2 * MIB
    store = repository(server)
    store.expect_elsewhere(reference.registry(f"{server.address}/other/one"), [BLOB.digest])
    store.write(BLOB, nothing)
    assert held(server) == [DATA]
    assert server.methods().count("POST") == 1
    assert server.chunks()[0] == f"0-{2 * MIB - 1}"


@pytest.mark.parametrize("blob", [BLOB, SMALL], ids=["large", "small"])
def test_what_a_base_has_is_mounted_and_not_read(
    server: UploadServer, tmp_path: Path, blob: Blob
) -> None:
    data = DATA if blob is BLOB else b"small"
    server.blobs["bases/python"] = {blob.digest: data}
    gone = lying(blob, FileRange(path=str(tmp_path / "gone"), size=blob.size))
    store = repository(server)
    store.expect_elsewhere(reference.registry("elsewhere.example/x"), [blob.digest])
    store.expect_elsewhere(reference.registry(f"{server.address}/bases/python"), [blob.digest])
    counts: list[int] = []
    store.write(gone, counts.append)
    assert held(server) == [data]
    assert sum(counts) == blob.size
    assert server.methods() == ["HEAD", "POST"]


def test_what_was_pushed_before_is_mounted_by_the_next_process(
    server: UploadServer, tmp_path: Path
) -> None:
    repository(server, places=tmp_path).write_all([BLOB, SMALL], nothing)
    server.asked.clear()
    absent = [replace(blob, origin=Absent()) for blob in (BLOB, SMALL)]
    repository(server, places=tmp_path, name="acme/other").write_all(absent, nothing)
    assert sorted(held(server, "acme/other")) == sorted([DATA, b"small"])
    assert not {"PATCH", "PUT"}.intersection(server.methods())


def test_what_is_remembered_wrongly_costs_nothing_but_a_request(
    server: UploadServer, tmp_path: Path
) -> None:
    for name in ("gone/one", "gone/two"):
        Places(tmp_path).keep(server.address, name, [BLOB.digest, SMALL.digest])
    repository(server, places=tmp_path).write_all([BLOB, SMALL], nothing)
    assert sorted(held(server)) == sorted([DATA, b"small"])
    assert server.methods().count("POST") == 4


def test_a_small_blob_is_sent_anew_when_its_first_upload_is_lost(server: UploadServer) -> None:
    store = repository(server)
    store.expect_elsewhere(reference.registry(f"{server.address}/other/one"), [SMALL.digest])
    server.statuses = {"PUT": [503]}
    store.write(SMALL, nothing)
    assert held(server) == [b"small"]
    assert server.methods().count("POST") == 2


@pytest.fixture
def shard(tmp_path: Path) -> Path:
    path = tmp_path / "shard"
    path.write_bytes(DATA)
    return path


def remembering(tmp_path: Path, file: Path, digest: str, **layers: str) -> FileDigests:
    """Return the memory of a machine that hashed `file`, and layers of it."""
    known = FileDigests(tmp_path / "digests")
    found = {name: Digest(value) for name, value in layers.items()}
    value = FileDigest(sha256=hex_of(Digest(digest)), layers=found)
    known.record(file.stat(), value, ours=True)
    return known


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Collect how many bytes were hashed on their way out."""
    counts: list[int] = []
    take = sending.Hashed._take

    def counting(self: sending.Hashed, block: bytes | memoryview, position: int) -> None:
        counts.append(len(block))
        take(self, block, position)

    monkeypatch.setattr(sending.Hashed, "_take", counting)
    return counts


def test_what_was_hashed_before_is_sent_from_the_file(
    server: UploadServer, tmp_path: Path, shard: Path, hashed: list[int]
) -> None:
    server.keep = [MIB // 3]
    stored = replace(BLOB, origin=StoredFile(str(shard)))
    known = remembering(tmp_path, shard, BLOB.digest)
    counts: list[int] = []
    repository(server, known=known).write(stored, counts.append)
    assert held(server) == [DATA]
    assert sum(counts) == BLOB.size
    assert hashed == []


def test_a_layer_of_one_file_that_was_hashed_before_is_sent_from_it(
    server: UploadServer, tmp_path: Path, shard: Path, hashed: list[int]
) -> None:
    parts = (b"head", FileRange(path=str(shard), size=len(DATA)), b"tail")
    whole = blob_of(b"head" + DATA + b"tail", "text/plain")
    layer = replace(whole, origin=Pieces(parts))
    known = remembering(tmp_path, shard, BLOB.digest, one=whole.digest)
    repository(server, known=known).write(layer, nothing)
    assert held(server) == [b"head" + DATA + b"tail"]
    assert hashed == []
    half = blob_of(b"head" + DATA[:-1], "text/plain")
    parts = (b"head", FileRange(path=str(shard), size=len(DATA) - 1))
    repository(server, known=known, name="acme/b").write(
        replace(half, origin=Pieces(parts)), nothing
    )
    assert sum(hashed) == half.size


@pytest.mark.parametrize("change", ["rewritten", "replaced", "shorter"])
def test_a_file_that_changed_since_it_was_hashed_is_hashed_again(
    server: UploadServer, tmp_path: Path, shard: Path, change: str
) -> None:
    known = remembering(tmp_path, shard, BLOB.digest)
    if change == "replaced":
        shard.unlink()
    shard.write_bytes(b"X" + DATA[1 : -1 if change == "shorter" else None])
    with pytest.raises(InputError, match="shard"):
        repository(server, known=known).write(replace(BLOB, origin=StoredFile(str(shard))), nothing)
    assert held(server) == []


def test_a_file_that_changes_while_it_is_sent_is_not_given_its_digest(
    server: UploadServer, tmp_path: Path, shard: Path
) -> None:
    def change(_: int) -> None:
        os.utime(shard)

    known = remembering(tmp_path, shard, BLOB.digest)
    with pytest.raises(InputError, match="changed while it was read"):
        repository(server, known=known).write(replace(BLOB, origin=StoredFile(str(shard))), change)
    assert held(server) == []
    assert "PUT" not in server.methods()


def test_a_memory_that_is_wrong_is_found_out_by_the_registry(
    server: UploadServer, tmp_path: Path, shard: Path
) -> None:
    shard.write_bytes(b"X" + DATA[1:])
    known = remembering(tmp_path, shard, BLOB.digest)
    with pytest.raises(Unavailable, match="does not take"):
        repository(server, known=known).write(replace(BLOB, origin=StoredFile(str(shard))), nothing)
    assert held(server) == []


def test_a_span_that_the_system_cannot_send_is_read_block_by_block(shard: Path) -> None:
    with shard.open("rb") as file:
        assert b"".join(map(bytes, Span(file, 7, MIB))) == DATA[7 : 7 + MIB]
        with pytest.raises(OSError, match="too early"):
            list(Span(file, len(DATA) - 1, 2))


def test_some_registries_get_one_request(
    server: UploadServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("modelpack.oci.registry.writing.traits", lambda _: known.traits("ghcr.io"))
    server.keep = [1000]
    repository(server).write(BLOB, nothing)
    assert held(server) == [DATA]
    assert server.chunks() == ["", ""]
    assert "GET" not in server.methods()


def test_an_upload_never_goes_from_https_to_http() -> None:
    def reply(url: str, location: str) -> object:
        return type("Reply", (), {"url": url, "headers": {"Location": location}, "at": ""})()

    follow = upload.following
    assert follow(reply("https://r.io/v2/", "http://r.io/v2/x?y")) == "https://r.io/v2/x?y"  # type: ignore[arg-type]
    assert follow(reply("https://r.io/v2/", "/v2/x")) == "https://r.io/v2/x"  # type: ignore[arg-type]
    for location in ("http://s3.io/x", "ftp://r.io/x", "", "http://[/"):
        with pytest.raises(Unavailable):
            follow(reply("https://r.io/v2/", location))  # type: ignore[arg-type]


def test_a_version_is_refused_before_anything_is_sent_under_its_name(server: UploadServer) -> None:
    put(repository(server), image("old"), "1.0", "latest")
    with pytest.raises(Refused, match=r"`1\.0` is sha256"):
        put(repository(server), image("new"), "1.0")
    put(repository(server), image("new"), "latest")
    put(repository(server), image("old"), "1.0")
    put(repository(server, replace=True), image("new"), "1.0")
    assert repository(server).resolve("1.0").digest == image("new").digest


def test_tags_come_last(server: UploadServer) -> None:
    put(repository(server), image("a"), "1.0", vouching=[vouching("one")])
    sent = [p for m, p, _ in server.asked if m == "PUT" and "/manifests/" in p]
    assert sent[0].endswith(image("a").digest)
    assert sent[-1].endswith("/1.0")
    assert any(tag_for(image("a").digest) in p for p in sent[1:-1])
    assert all("/manifests/" in p for m, p, _ in server.asked[-1:])


TAGGED = "/v2/acme/minilm/manifests/1.0"
RIVAL = image("rival").manifest_blob
THEIRS = (RIVAL.descriptor.media_type, content_of(RIVAL))


@pytest.mark.parametrize("conditions", [True, False])
def test_a_version_that_another_writes_after_us_is_not_called_ours(
    server: UploadServer, conditions: bool
) -> None:
    server.conditions = conditions
    server.rivals[TAGGED] = [("after", THEIRS)]
    with pytest.raises(Refused, match=f"at the same time, and names {RIVAL.digest}"):
        put(repository(server), image("ours"), "1.0")


def test_a_version_that_another_writes_before_us_stays_where_the_registry_heeds_conditions(
    server: UploadServer,
) -> None:
    server.conditions = True
    server.rivals[TAGGED] = [("before", THEIRS)]
    with pytest.raises(Refused, match=f"names {RIVAL.digest}"):
        put(repository(server), image("ours"), "1.0")
    assert server.manifests[TAGGED] == THEIRS


def test_a_tag_moves_from_what_was_seen_only(server: UploadServer) -> None:
    server.conditions = True
    tagged = TAGGED.replace("1.0", "latest")
    put(repository(server), image("first"), "latest")
    put(repository(server), image("second"), "latest")
    assert repository(server).resolve("latest").digest == image("second").digest
    server.rivals[tagged] = [("before", THEIRS)]
    with pytest.raises(Refused, match="by another at the same time"):
        put(repository(server), image("third"), "latest")
    assert server.manifests[tagged] == THEIRS


def test_an_answer_that_was_lost_is_no_rival(server: UploadServer) -> None:
    """The tag was written, nobody said so, and the second try meets what the first one wrote."""
    ours = image("ours").manifest_blob
    server.conditions = True
    server.rivals[TAGGED] = [("before", (ours.descriptor.media_type, content_of(ours)))]
    put(repository(server), image("ours"), "1.0")


def test_a_registry_that_takes_no_conditions_gets_none(server: UploadServer) -> None:
    server.statuses = {"PUT": [*[0] * 3, 400]}
    put(repository(server), image("a"), "1.0")
    (first, second) = [h for m, p, h in server.asked if m == "PUT" and p == TAGGED]
    assert first["if-none-match"] == "*"
    assert "if-none-match" not in second


def test_a_tag_that_is_ours_already_is_not_written_again(server: UploadServer) -> None:
    put(repository(server), image("a"), "1.0")
    put(repository(server), image("a"), "1.0")
    assert [p for m, p, _ in server.asked if m == "PUT"].count(TAGGED) == 1


def test_two_who_vouch_at_once_are_both_listed_where_the_registry_heeds_conditions(
    server: UploadServer,
) -> None:
    store = repository(server)
    subject = put(store, image("a"), "1")
    other = vouching("theirs")
    for blob in other.blobs(subject):
        if blob.descriptor.media_type == RIVAL.descriptor.media_type:
            path = f"/v2/acme/minilm/manifests/{blob.digest}"
            server.manifests[path] = (blob.descriptor.media_type, content_of(blob))
    theirs = appended([other.entry(subject)], [])
    server.conditions = True
    tagged = f"/v2/acme/minilm/manifests/{tag_for(subject.digest)}"
    server.rivals[tagged] = [("before", (theirs.descriptor.media_type, content_of(theirs)))]
    store.attach(subject, [vouching("ours")])
    assert sorted(e.annotations["said"] for e in store.referrers(subject.digest)) == [
        "ours", "theirs",
    ]  # fmt: skip


def test_a_list_of_referrers_that_was_overwritten_is_written_again(server: UploadServer) -> None:
    server.overwritten = 2
    waits: list[float] = []
    store = repository(server, waits=waits)
    descriptor = put(store, image("a"), "1", vouching=[vouching("one")])
    assert [e.annotations["said"] for e in store.referrers(descriptor.digest)] == ["one"]
    assert len(waits) == 3


def test_a_list_that_is_always_overwritten_is_not_called_safe(server: UploadServer) -> None:
    server.overwritten = 100
    with pytest.raises(Unavailable, match="overwritten by others"):
        put(repository(server), image("a"), "1", vouching=[vouching("one")])
    with pytest.raises(InputError):
        repository(server).resolve("1")


@pytest.mark.parametrize(
    ("tag", "is_one"),
    [("1.0.0", True), ("v2", True), ("latest", False), ("staging", False), ("2026-11-24", True),
     ("sha256-" + "0" * 64, False), ("1.0.0-weights", True)],
)  # fmt: skip
def test_a_tag_with_a_digit_is_a_version(tag: str, is_one: bool) -> None:
    assert is_version(tag) is is_one


def test_a_layer_beyond_the_registrys_limit_is_warned_of(tmp_path: Path) -> None:
    store = WritableRepository(reference.registry("ghcr.io/acme/minilm"), Settings())
    large = replace(BLOB, descriptor=replace(BLOB.descriptor, size=11_000_000_000))
    (finding,) = store.findings([BLOB, large])
    assert finding.severity == "warning"
    assert finding.hint == "modelpack shard FILE --max-size 9GB"
    other = WritableRepository(reference.registry("registry.example/acme/minilm"), Settings())
    assert other.findings([large]) == ()


def test_known_registries_are_known_by_their_hosts() -> None:
    assert known.traits("ghcr.io").in_one_request
    assert known.traits("europe-docker.pkg.dev").in_one_request
    assert known.traits("1.dkr.ecr.eu-west-1.amazonaws.com").layer_limit == 52_000 * MIB
    assert known.traits("public.ecr.aws").layer_limit == 10_000 * MIB
    assert known.traits("notghcr.io") == known.Traits()
    assert known.traits("localhost:5000").chunk(10**12) * 10_000 > 10**12


def test_mirrors_are_not_written_to(server: UploadServer) -> None:
    settings = Settings(mirrors={server.address: "mirror.example/hub"})
    repository(server, settings=settings).write(SMALL, nothing)
    assert held(server) == [b"small"]
