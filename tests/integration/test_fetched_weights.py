"""Weights of a hub and of a web server, with the real clients, to an image and without a network.

In this process where that is enough; large files are ones of a kilobyte here.
"""

import json
import shutil
from collections.abc import Iterator

import pytest

from tests import projects
from tests.command_line import state_of
from tests.file_server import COMMITS, TOKEN, HubServer, serving
from tests.source_desk import FILES, LARGE, Desk, sha256, uris

SECRET = "hf_never_to_be_seen"


@pytest.fixture
def desk(source_desk: Desk) -> Desk:
    return source_desk


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """A hub with one repository of two commits."""
    server = HubServer(
        commits={
            COMMITS[0]: dict(FILES),
            COMMITS[1]: {**FILES, "config.json": b'{"newer": true}\n'},
        },
        branches={"main": COMMITS[0]},
    )
    with serving(server):
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield server


def test_a_branch_is_locked_by_its_commit_and_built_without_a_network(desk, hub, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", SECRET)
    desk.source("hf://acme/tiny@main")
    done = desk.run("lock", desk.folder)
    assert done.status == 0, done.err
    assert f"weights tiny from hf://acme/tiny@{COMMITS[0]}" in done.out
    assert desk.lock["source"] == {
        "uri": "hf://acme/tiny@main", "revision": COMMITS[0], "single": False, "versions": [],
    }  # fmt: skip
    assert {file["path"]: file["sha256"] for file in desk.lock["files"]} == {
        path: sha256(data) for path, data in FILES.items()
    }
    assert desk.fetched == {sha256(data) for data in FILES.values()}
    asked = len(hub.asked)
    done = desk.run("build", desk.folder, "--locked", "--offline", "--json")
    assert done.status == 0, done.err
    assert len(hub.asked) == asked
    assert {layer["proof"] for layer in done.document["layers"] if layer["step"] == "weights"} == {
        "hashed"
    }
    base = f"hf://acme/tiny@{COMMITS[0]}"
    assert uris(desk.folder) == {sha256(data): f"{base}/{path}" for path, data in FILES.items()}
    shown = desk.run("inspect", desk.folder, "--json").document
    assert [item["source"] for item in shown["weight_sets"]] == [base]
    bom = json.loads((desk.folder / "dist" / "sbom.cdx.json").read_text("utf-8"))
    (model,) = [c for c in bom["components"] if c["type"] == "machine-learning-model"]
    assert base in [item["value"] for item in model["properties"]]
    written = b"".join(data for data in state_of(desk.folder).values() if isinstance(data, bytes))
    assert SECRET.encode() not in written
    assert hub.url.encode() not in written


def test_the_image_is_the_one_of_a_folder_but_for_what_it_says_of_itself(desk, hub, tmp_path):
    desk.source(f"hf://acme/tiny@{COMMITS[0]}")
    assert desk.run("lock", desk.folder).status == 0
    fetched = desk.run("build", desk.folder, "--locked", "--json").document
    folder = projects.make_project(tmp_path / "other", desk.cache, weights=FILES)
    local = desk.run("build", folder, "--locked", "--json").document
    weights = [
        [layer["diff_id"] for layer in document["layers"] if layer["step"] == "weights"]
        for document in (fetched, local)
    ]
    assert weights[0] == weights[1]
    assert len(weights[0]) == 2


def test_a_second_machine_fetches_what_was_locked_even_when_the_branch_moved(desk, hub):
    desk.source("hf://acme/tiny@main")
    desk.run("lock", desk.folder)
    desk.forget()
    hub.branches["main"] = COMMITS[1]
    done = desk.run("build", desk.folder, "--locked", "-q")
    assert done.status == 0, done.err
    assert sha256(FILES["config.json"]) in desk.fetched
    moved = desk.run("lock", desk.folder, "--check", "--json")
    assert moved.status == 0
    (finding,) = moved.document["findings"]
    assert finding["rule"] == "lock.source-moved"
    assert COMMITS[1] in finding["message"]
    assert finding["hint"] == "modelpack lock --upgrade weights"
    before = len(hub.gets("/cdn/"))
    upgraded = desk.run("lock", desk.folder, "--upgrade", "weights")
    assert f"hf://acme/tiny@{COMMITS[0]} -> hf://acme/tiny@{COMMITS[1]}" in upgraded.out
    assert "weights tiny/config.json changed" in upgraded.out
    assert len(hub.gets("/cdn/")) == before, "what the hub says is the same is not fetched again"
    fresh = desk.run("lock", desk.folder, "--check", "--json").document
    assert fresh["findings"] == []


def test_nothing_is_fetched_when_the_target_has_the_layers(desk, hub):
    desk.source("hf://acme/tiny@main")
    desk.run("lock", desk.folder)
    desk.run("build", desk.folder, "--locked", "-q")
    (desk.folder / "service" / "__main__.py").write_bytes(b'print("other")\n')
    desk.forget()
    asked = len(hub.asked)
    done = desk.run("build", desk.folder, "--locked", "--offline", "--json")
    assert done.status == 0, done.err
    assert {layer["proof"] for layer in done.document["layers"] if layer["step"] == "weights"} == {
        "lock"
    }
    assert len(hub.asked) == asked
    assert not desk.fetched
    elsewhere = f"oci:{desk.folder}/dist/second"
    done = desk.run("build", desk.folder, "--locked", "--output", elsewhere, "-q")
    assert done.status == 0, done.err
    assert len(desk.fetched) == len(FILES), "another target lacks all of them"


def test_only_the_layer_that_the_target_lacks_is_fetched(desk, hub):
    desk.source("hf://acme/tiny@main")
    desk.run("lock", desk.folder)
    desk.run("build", desk.folder, "--locked", "-q")
    hub.branches["main"] = COMMITS[1]
    desk.run("lock", desk.folder, "--upgrade", "weights")
    desk.forget()
    assert desk.run("build", desk.folder, "--locked", "-q").status == 0
    small = [data for path, data in hub.commits[COMMITS[1]].items() if data != LARGE]
    assert desk.fetched == {sha256(data) for data in small}


def test_offline_says_which_files_are_missing(desk, hub):
    desk.source("hf://acme/tiny@main")
    done = desk.run("build", desk.folder, "--offline", "--locked")
    assert done.status == 2, "the lock is one of other weights"
    desk.run("lock", desk.folder)
    desk.forget()
    asked = len(hub.asked)
    done = desk.run("build", desk.folder, "--offline", "--locked", "-q")
    assert done.status == 3
    assert len(hub.asked) == asked
    assert len(done.messages) == len(FILES)
    assert "`config.json` is not in the cache, and offline nothing is fetched" in done.err
    assert "hint: run once without `--offline`" in done.err


def test_a_cut_connection_is_gone_on_with(desk, hub):
    path = f"/cdn/{sha256(LARGE)}"
    hub.cuts[path] = [3000, 4000]
    desk.source("hf://acme/tiny@main", include=["vocab/*"])
    done = desk.run("lock", desk.folder, "-q")
    assert done.status == 0, done.err
    ranges = [headers.get("range", "") for method, at, headers in hub.asked if at == path]
    assert ranges == ["", f"bytes=3000-{len(LARGE) - 1}", f"bytes=7000-{len(LARGE) - 1}"]
    assert desk.fetched == {sha256(LARGE)}


def test_a_token_goes_to_the_hub_and_a_gated_repository_says_what_is_missing(
    desk, hub, monkeypatch
):
    hub.gated = True
    desk.source("hf://acme/tiny@main")
    done = desk.run("lock", desk.folder)
    assert done.status == 3
    assert "`acme/tiny` is gated" in done.err
    assert "HF_TOKEN" in done.err
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert desk.run("lock", desk.folder).status == 0
    assert hub.gets("/cdn/"), "the server refuses a token there"


def test_no_token_is_sent_where_anybody_can_listen(desk, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://hub.example")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    desk.source("hf://acme/tiny@main")
    done = desk.run("lock", desk.folder)
    assert done.status == 2
    assert "HF_ENDPOINT: speaks http" in done.err


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("hf://acme/nothing@main", "has no repository `acme/nothing`"),
        ("hf://acme/tiny@v9", "`acme/tiny` has no revision `v9`"),
    ],
)
def test_what_a_hub_does_not_have_is_named(desk, hub, source, message):
    desk.source(source)
    done = desk.run("lock", desk.folder)
    assert done.status == 2
    assert message in done.err


def test_a_hub_that_sends_other_bytes_than_it_names_is_refused(desk, hub):
    hub.claims["vocab/large.safetensors"] = "0" * 64
    desk.source("hf://acme/tiny@main")
    done = desk.run("lock", desk.folder)
    assert done.status == 1
    assert f"it has sha256 `{sha256(LARGE)}` instead of `{'0' * 64}`" in done.err
    assert sha256(LARGE) not in desk.fetched
    begun = [(desk.cache / "weights" / "sha256" / name).read_bytes() for name in desk.fetched]
    assert not any(LARGE.startswith(data) for data in begun if data), "nothing of it stays"


def test_bytes_that_changed_under_the_same_commit_are_refused(desk, hub):
    desk.source("hf://acme/tiny@main")
    desk.run("lock", desk.folder)
    desk.forget()
    other = b'{"architectures": ["Evil"]}\n'
    assert len(other) == len(FILES["config.json"])
    hub.commits[COMMITS[0]] = {**FILES, "config.json": other}
    done = desk.run("build", desk.folder, "--locked", "-q")
    assert done.status == 1
    assert f"it has sha256 `{sha256(other)}` instead of" in done.err
    assert sha256(other) not in desk.fetched
    assert not (desk.folder / "dist" / "image" / "index.json").exists()


@pytest.mark.parametrize(
    "name",
    ["../evil.json", "a/../../evil.json", "/etc/evil.json", "a//evil.json", "a\\evil.json",
     "evil\x00.json", "evil\u202e.json", "C:/evil.json", "CONFIG.json", "config.json/x.json"],
)  # fmt: skip
def test_a_hostile_name_is_refused_before_anything_is_fetched(desk, hub, name):
    hub.commits[COMMITS[0]] = {**FILES, "evil.json": b"{}"}
    hub.names["evil.json"] = name
    desk.source("hf://acme/tiny@main")
    done = desk.run("lock", desk.folder)
    assert done.status == 1
    assert not hub.gets("/resolve/")
    assert not desk.fetched


@pytest.mark.parametrize(
    "entry",
    [
        {"size": "12"}, {"size": -1}, {"size": 1 << 70}, {"size": True}, {"size": None},
        {"path": 7}, {"path": None}, {"lfs": {"oid": "../x", "size": 3, "pointerSize": 1}},
        {"lfs": {"oid": "0" * 64, "size": [], "pointerSize": 1}}, {"lfs": 7},
    ],
    ids=str,
)  # fmt: skip
def test_a_hub_that_says_nonsense_is_an_error_and_no_more(desk, hub, entry):
    hub.nonsense = {"type": "file", "path": "x.json", "oid": "0" * 40, "size": 2, **entry}
    desk.source("hf://acme/tiny@main")
    done = desk.run("lock", desk.folder)
    assert done.status in (1, 3)
    assert done.messages[0].startswith("error: weights.tiny.source: ")
    assert not desk.fetched


def test_gates_see_fetched_files_as_they_see_local_ones(desk, hub):
    hub.commits[COMMITS[0]] = {
        **FILES,
        "old.bin": b"\x80\x02cposix\nsystem\n(X\x02\x00\x00\x00idtR.",
    }
    desk.source("hf://acme/tiny@main", include=["*"])
    done = desk.run("lock", desk.folder)
    assert done.status == 1
    assert "hf://acme/tiny@main/old.bin" in done.err
    desk.source("hf://acme/tiny@main", include=["*"], exclude=["old.bin"])
    assert desk.run("lock", desk.folder).status == 0
    desk.source("hf://acme/tiny@main", include=["model-*.safetensors"], require=["tokenizer.json"])
    done = desk.run("lock", desk.folder)
    assert done.status == 1
    assert "`tokenizer.json`" in done.err


def test_a_damaged_file_of_the_cache_is_fetched_again(desk, hub):
    desk.source("hf://acme/tiny@main")
    desk.run("lock", desk.folder)
    path = desk.cache / "weights" / "sha256" / sha256(LARGE)
    path.write_bytes(LARGE[:-1] + b"?")
    done = desk.run("build", desk.folder, "--locked", "-q")
    assert done.status == 0, done.err
    assert path.read_bytes() == LARGE


def test_files_of_a_cache_that_was_copied_are_read_where_they_are_needed_only(desk, hub):
    desk.source("hf://acme/tiny@main")
    desk.run("lock", desk.folder)
    desk.run("build", desk.folder, "--locked", "-q")
    shutil.rmtree(desk.cache / "digests")
    path = desk.cache / "weights" / "sha256" / sha256(LARGE)
    path.write_bytes(LARGE[::-1])  # who reads it notices, and removes it
    done = desk.run("build", desk.folder, "--locked", "--offline", "-q")
    assert done.status == 0, done.err
    assert path.exists()
    elsewhere = f"oci:{desk.folder}/dist/second"
    done = desk.run("build", desk.folder, "--locked", "--offline", "--output", elsewhere, "-q")
    assert done.status == 3
    (message,) = done.messages
    assert "`vocab/large.safetensors` is not in the cache" in message


def test_what_a_commit_lost_and_who_may_not_read_any_more_is_told(desk, hub):
    desk.source("hf://acme/tiny@main")
    desk.run("lock", desk.folder)
    desk.forget()
    hub.gated = True
    done = desk.run("build", desk.folder, "--locked", "-q")
    assert done.status == 3
    assert "(status 403)" in done.err
    assert "HF_TOKEN" in done.err
    hub.gated = False
    del hub.commits[COMMITS[0]]["config.json"]
    done = desk.run("build", desk.folder, "--locked", "-q")
    assert done.status == 3
    assert f"weights.tiny.source: config.json: commit {COMMITS[0]} has no such file" in done.err


def test_fetched_weights_are_looked_at_for_malware_and_what_is_not_here_is_no_yes(
    desk, hub, monkeypatch, tmp_path
):
    desk.source("hf://acme/tiny@main")
    assert desk.run("lock", desk.folder).status == 0
    rules = tmp_path / "rules.yar"
    rules.write_text('rule index { strings: $a = "weight_map" condition: $a }')
    done = desk.run("check", desk.folder, "--yara", rules)
    assert done.status == 1
    assert "tiny/model.safetensors.index.json: yara finds `index`" in done.err
    (desk.cache / "weights" / "sha256" / sha256(LARGE)).unlink()
    done = desk.run("check", desk.folder, "--yara", rules, "--skip", "*.index.json")
    assert done.status == 3
    assert "tiny/vocab/large.safetensors: not scanned by yara: it is not in the cache" in done.err
