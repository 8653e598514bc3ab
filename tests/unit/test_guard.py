"""The guard starts nothing but the weights that were packed."""

import hashlib
import json
import os
import re
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from packed_weights import CHUNK, DIGEST, events, file_entry, manifest, save, weights_entry

from modelpack.runtime import guard

SHARD = bytes(range(100))
FILES = {"a.safetensors": SHARD, "sub/b.safetensors": SHARD[::-1], "config.json": b"{}"}

Check = Callable[..., tuple[int, list[dict[str, Any]]]]

# The pack side may run this same table: both must agree on every row.
PATTERNS = [
    # path, pattern, does it match?
    ("model.safetensors", "*.safetensors", True),
    ("deep/er/model.safetensors", "*.safetensors", True),
    ("model.safetensors.bak", "*.safetensors", False),
    ("model.SAFETENSORS", "*.safetensors", False),
    (".hidden.json", "*.json", True),
    ("vocab.txt", "vocab.txt", True),
    ("tokenizer/vocab.txt", "vocab.txt", True),
    ("vocab.txt", "/vocab.txt", True),
    ("tokenizer/vocab.txt", "/vocab.txt", False),
    ("vocab.txt", "//vocab.txt", False),
    ("tokenizer/vocab.txt", "tokenizer/*", True),
    ("tokenizer/en/vocab.txt", "tokenizer/*", False),
    ("other/tokenizer/vocab.txt", "tokenizer/*", False),
    ("tokenizer/vocab.txt", "tokenizer/**", True),
    ("tokenizer/en/vocab.txt", "tokenizer/**", True),
    ("tokenizer", "tokenizer/**", False),
    ("tokenizer/en/vocab.txt", "tokenizer/", True),
    ("tokenizer", "tokenizer/", False),
    ("vocab.txt", "**/vocab.txt", True),
    ("a/vocab.txt", "**/vocab.txt", True),
    ("a/b/vocab.txt", "**/vocab.txt", True),
    ("a/b/not-vocab.txt", "**/vocab.txt", False),
    ("a/z", "a/**/z", True),
    ("a/b/z", "a/**/z", True),
    ("a/b/c/z", "a/**/z", True),
    ("a/b/c/z", "a/**/c/**/z", True),
    ("b/a/z", "a/**/z", False),
    ("az", "a/**/z", False),
    ("a/b/c", "**", True),
    ("a/b/c", "**/*", True),
    ("a", "**/*", True),
    ("a/b/c", "*", True),
    ("a/b", "a**b", False),
    ("a/xby", "a/x**y", True),
    ("a/x/y", "a/x**y", False),
    ("ab.json", "?b.json", True),
    ("b.json", "?b.json", False),
    ("a/b", "a?b", False),
    ("a/b", "a[/]b", False),
    ("part-1.bin", "part-[0-9].bin", True),
    ("part-x.bin", "part-[0-9].bin", False),
    ("part-x.bin", "part-[!0-9].bin", True),
    ("part-[.bin", "part-[.bin", True),
    ("*.json", "[*].json", True),
    ("a.json", "[*].json", False),
    ("a.json", "a+json", False),
    ("(a|b)$.json", "(a|b)$.json", True),
    ("a\nb.json", "*.json", True),
    ("a.json\n", "*.json", False),
    ("größe.json", "gr??e.json", True),
]


@pytest.mark.parametrize(("path", "pattern", "expected"), PATTERNS)
def test_patterns_match_as_the_table_says(path: str, pattern: str, expected: bool):
    assert guard.matches(path, pattern) is expected


def test_a_pattern_of_many_stars_takes_no_exponential_time():
    assert not guard.matches("a" * 250, "*a" * 40 + "b")
    assert not guard.matches("a/" * 250 + "c", "**/a/" * 40 + "b")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "models" / "tiny"


@pytest.fixture
def check(root: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Check:
    """Pack FILES, let the test change the folder, and run the guard without a command."""

    def run(change: Callable[[], object] = lambda: None, /, **changes: Any):
        environ = changes.pop("environ", {})
        entry = weights_entry(root, changes.pop("files", FILES), **changes.pop("entry", {}))
        path = save(manifest(entry, **changes), tmp_path / "weights.json")
        change()
        code = guard.main(["--check-only"], environ, path)
        return code, events(capfd.readouterr().err)

    return run


def bad(lines: list[dict[str, Any]], root: Path) -> list[tuple[Any, ...]]:
    found = [line for line in lines if line["event"] == "guard.bad"]
    assert {line["level"] for line in found} <= {"error"}
    return sorted(
        (os.path.relpath(e["file"], root), e["reason"], e.get("first"), e.get("last"))
        for e in found
    )


@pytest.mark.parametrize("mode", ["full", "fast"])
def test_untouched_weights_are_verified(check: Check, mode: str):
    code, lines = check(verify=mode)
    assert code == 0
    assert [line["event"] for line in lines] == ["guard.start", "guard.verified"]
    assert lines[1]["mode"] == mode
    assert lines[1]["digest"] == DIGEST
    assert lines[1]["files"] == 3
    assert lines[1]["bytes"] == (202 if mode == "full" else 2 * (16 + 4) + 2)


def test_every_event_has_time_level_event_and_component(check: Check, root: Path):
    _, lines = check(lambda: (root / "config.json").write_bytes(b"{ "))
    for line in lines:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"])
        assert line["level"] in {"info", "warning", "error"}
        assert list(line)[:4] == ["time", "level", "event", "component"]
        assert line["component"] == "modelpack.guard"


def test_a_changed_byte_is_named_by_file_and_range(check: Check, root: Path):
    changed = bytearray(SHARD)
    changed[50] ^= 1
    code, lines = check(lambda: (root / "a.safetensors").write_bytes(changed))
    assert code == 78
    assert bad(lines, root) == [("a.safetensors", "content", 48, 63)]
    event = lines[1]
    assert event["expected"] == hashlib.sha256(SHARD[48:64]).hexdigest()
    assert event["found"] == hashlib.sha256(changed[48:64]).hexdigest()
    assert lines[-1]["event"] == "guard.refused"
    assert lines[-1]["bad_files"] == 1


def test_neighbouring_bad_chunks_are_one_range(check: Check, root: Path):
    changed = bytearray(SHARD)
    for position in (16, 40, 63, 99):
        changed[position] ^= 128
    code, lines = check(lambda: (root / "sub/b.safetensors").write_bytes(changed[::-1]))
    assert code == 78
    assert bad(lines, root) == [
        ("sub/b.safetensors", "content", 0, 15),
        ("sub/b.safetensors", "content", 32, 63),
        ("sub/b.safetensors", "content", 80, 95),
    ]


def test_fast_mode_reads_the_first_and_last_chunk_only(check: Check, root: Path):
    changed = bytearray(SHARD)
    changed[50] ^= 1
    shard = root / "a.safetensors"
    assert check(lambda: shard.write_bytes(changed), verify="fast")[0] == 0
    changed[99] ^= 1
    code, lines = check(lambda: shard.write_bytes(changed), verify="fast")
    assert code == 78
    assert bad(lines, root) == [("a.safetensors", "content", 96, 99)]


@pytest.mark.parametrize("mode", ["full", "fast"])
def test_truncated_and_longer_files_are_bad_in_exactly_those_bytes(
    check: Check, root: Path, mode: str
):
    def change() -> None:
        (root / "a.safetensors").write_bytes(SHARD[:70])
        (root / "sub/b.safetensors").write_bytes(SHARD[::-1] + b"more")

    code, lines = check(change, verify=mode)
    assert code == 78
    assert bad(lines, root) == [
        ("a.safetensors", "truncated", 70, 99),
        ("sub/b.safetensors", "too-long", 100, 103),
    ]


@pytest.mark.parametrize("mode", ["full", "fast"])
def test_missing_and_extra_files_are_all_reported(check: Check, root: Path, mode: str):
    def change() -> None:
        (root / "a.safetensors").unlink()
        (root / "config.json").unlink()
        (root / "sub/deep").mkdir()
        (root / "sub/deep/c.safetensors").touch()
        (root / "README.md").touch()

    code, lines = check(change, verify=mode)
    assert code == 78
    assert bad(lines, root) == [
        ("a.safetensors", "missing", None, None),
        ("config.json", "missing", None, None),
        ("sub/deep/c.safetensors", "extra", None, None),
    ]
    assert lines[-1]["bad_files"] == 3


def test_excluded_files_are_no_extra_files(check: Check, root: Path):
    def change() -> None:
        (root / "optimizer.safetensors").touch()
        (root / "cache").mkdir()
        (root / "cache/x.json").touch()

    entry = {"exclude": ["optimizer.*", "cache/**"]}
    assert check(change, entry=entry)[0] == 0


def test_a_missing_folder_means_missing_files(check: Check, root: Path):
    code, lines = check(lambda: root.rename(root.with_name("moved")))
    assert code == 78
    assert [reason for _, reason, *_ in bad(lines, root)] == ["missing"] * 3


def test_what_is_not_a_regular_file_is_never_opened(check: Check, root: Path, tmp_path: Path):
    def change() -> None:
        for path in ("a.safetensors", "sub/b.safetensors", "config.json"):
            (root / path).unlink()
        os.mkfifo(root / "a.safetensors")
        (tmp_path / "elsewhere").write_bytes(SHARD[::-1])
        (root / "sub/b.safetensors").symlink_to(tmp_path / "elsewhere")
        (root / "config.json").mkdir()
        os.mkfifo(root / "pipe.json")
        with socket.socket(socket.AF_UNIX) as server:
            at = os.getcwd()
            os.chdir(root)  # a socket's path is short
            try:
                server.bind("s.json")
            finally:
                os.chdir(at)

    code, lines = check(change)
    assert code == 78
    assert bad(lines, root) == [
        ("a.safetensors", "not-regular", None, None),
        ("config.json", "not-regular", None, None),
        ("pipe.json", "extra", None, None),
        ("s.json", "extra", None, None),
        ("sub/b.safetensors", "not-regular", None, None),
    ]
    messages = " ".join(line.get("message", "") for line in lines)
    assert "a FIFO" in messages
    assert "a symbolic link" in messages
    assert "a folder" in messages


def test_a_symbolic_link_to_a_folder_hides_no_weights(check: Check, root: Path, tmp_path: Path):
    def change() -> None:
        (tmp_path / "outside").mkdir()
        (tmp_path / "outside/evil.safetensors").touch()
        (root / "linked").symlink_to(tmp_path / "outside")
        (root / "dangling").symlink_to("nowhere")

    code, lines = check(change)
    assert code == 78
    assert bad(lines, root) == [("linked", "extra", None, None)]


def test_the_weights_folder_itself_may_be_a_link(check: Check, root: Path):
    def change() -> None:
        root.rename(root.with_name("real"))
        root.symlink_to("real")

    assert check(change)[0] == 0


def test_folders_of_two_weights_may_lie_in_one_another(
    root: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    outer = weights_entry(root, {"a.json": b"a"}, name="outer")
    inner = weights_entry(root / "inner", {"b.json": b"b"}, name="inner")
    path = save(manifest(outer, inner), tmp_path / "weights.json")
    assert guard.main(["--check-only"], {}, path) == 0
    (root / "inner/c.json").touch()
    capfd.readouterr()
    assert guard.main(["--check-only"], {}, path) == 78
    lines = events(capfd.readouterr().err)
    assert bad(lines, root) == [("inner/c.json", "extra", None, None)]


def test_names_that_are_not_utf8_are_seen_and_printed(check: Check, root: Path):
    name = b"\xff\n\x1b[2J.json"

    def change() -> None:
        with open(os.path.join(os.fsencode(root), name), "wb"):
            pass

    code, lines = check(change)
    assert code == 78
    [found] = [line["file"] for line in lines if line["event"] == "guard.bad"]
    assert found.encode("utf-8", "surrogateescape").endswith(name)


def test_control_characters_never_reach_the_terminal(
    check: Check, root: Path, capfd: pytest.CaptureFixture[str]
):
    weights_entry(root, FILES)
    (root / "\x1b[2J\x07\x9b.json").touch()
    path = save(manifest(weights_entry(root, FILES)), root.parent / "weights.json")
    assert guard.main(["--check-only"], {}, path) == 78
    text = capfd.readouterr().err
    assert re.fullmatch(r"[ -~\n]+", text)


def test_an_empty_file_is_checked(check: Check, root: Path):
    files = {**FILES, "empty.json": b""}
    assert check(files=files)[0] == 0
    code, lines = check(lambda: (root / "empty.json").write_bytes(b"x"), files=files)
    assert code == 78
    assert bad(lines, root) == [("empty.json", "too-long", 0, 0)]


# Reading


def buffer() -> memoryview:
    return memoryview(bytearray(7))


def test_a_read_error_is_a_fault_and_no_crash():
    chunk = guard.Chunk("/proc/self/mem", 0, 0, 10, "")
    fault = guard.check(chunk, buffer())
    assert fault is not None
    assert (fault.reason, fault.first, fault.last) == ("unreadable", 0, 9)


def test_a_file_that_vanished_since_the_survey_is_a_fault(tmp_path: Path):
    fault = guard.check(guard.Chunk(str(tmp_path / "gone"), 20, 16, 4, ""), buffer())
    assert fault is not None
    assert (fault.reason, fault.first, fault.last) == ("unreadable", 16, 19)


def test_a_fifo_that_took_the_place_of_a_file_is_a_fault_and_no_hang(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    fault = guard.check(guard.Chunk(str(tmp_path / "pipe"), 20, 0, 20, ""), buffer())
    assert fault is not None
    assert fault.reason == "unreadable"


@pytest.mark.parametrize("size_now", [0, 10, 19, 21])
def test_a_file_that_shrinks_or_grows_while_read_is_a_fault(tmp_path: Path, size_now: int):
    file = tmp_path / "f"
    file.write_bytes(bytes(size_now))
    expected = hashlib.sha256(bytes(20)).hexdigest()
    fault = guard.check(guard.Chunk(str(file), 20, 0, 20, expected), buffer())
    assert fault is not None
    assert fault.reason == "changed"


def test_a_file_that_ends_while_it_is_read_is_a_fault_even_if_all_that_came_was_right(
    tmp_path: Path,
):
    (tmp_path / "f").write_bytes(SHARD)
    expected = hashlib.sha256(SHARD[90:]).hexdigest()
    fault = guard.check(guard.Chunk(str(tmp_path / "f"), 100, 90, 11, expected), buffer())
    assert fault is not None
    assert fault.reason == "changed"


def test_a_link_that_took_the_place_of_a_file_is_not_followed(tmp_path: Path):
    (tmp_path / "f").write_bytes(SHARD)
    (tmp_path / "link").symlink_to("f")
    expected = hashlib.sha256(SHARD).hexdigest()
    assert guard.check(guard.Chunk(str(tmp_path / "f"), 100, 0, 100, expected), buffer()) is None
    fault = guard.check(guard.Chunk(str(tmp_path / "link"), 100, 0, 100, expected), buffer())
    assert fault is not None
    assert fault.reason == "unreadable"


def test_only_neighbours_that_are_wrong_for_one_reason_are_merged():
    def fault(reason: str, first: int, last: int) -> guard.Fault:
        return guard.Fault("/f", reason, "cannot be read", first, last)

    merged = guard.merge(
        [
            fault("content", 48, 63),
            fault("unreadable", 16, 31),
            fault("unreadable", 0, 15),
            fault("content", 32, 47),
            fault("content", 80, 95),
        ]
    )
    assert [(f.reason, f.first, f.last) for f in merged] == [
        ("unreadable", 0, 31),
        ("content", 32, 63),
        ("content", 80, 95),
    ]


@pytest.mark.parametrize("length", [1, 6, 7, 8, 14, 20])
def test_a_chunk_is_hashed_whole_whatever_the_buffer(tmp_path: Path, length: int):
    (tmp_path / "f").write_bytes(SHARD)
    expected = hashlib.sha256(SHARD[3 : 3 + length]).hexdigest()
    chunk = guard.Chunk(str(tmp_path / "f"), len(SHARD), 3, length, expected)
    assert guard.check(chunk, buffer()) is None


def test_without_threads_the_work_is_still_done(
    check: Check, root: Path, monkeypatch: pytest.MonkeyPatch
):
    class NoThread:
        def __init__(self, **_: object) -> None: ...

        def start(self) -> None:
            raise RuntimeError("can't start new thread")

    monkeypatch.setattr(guard.threading, "Thread", NoThread)
    assert check()[0] == 0
    assert check(lambda: (root / "config.json").write_bytes(b"[]"))[0] == 78


def test_an_unforeseen_error_in_a_thread_refuses(check: Check, monkeypatch: pytest.MonkeyPatch):
    def broken(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(guard, "check", broken)
    code, lines = check()
    assert code == 78
    assert {line["reason"] for line in lines if line["event"] == "guard.bad"} == {"unreadable"}


def test_an_unforeseen_error_refuses(check: Check, monkeypatch: pytest.MonkeyPatch):
    def broken(*_: object) -> None:
        raise KeyError("x")

    monkeypatch.setattr(guard, "verify", broken)
    code, lines = check()
    assert code == 78
    assert "internal error" in lines[-1]["message"]


def test_a_long_check_shows_progress(check: Check, monkeypatch: pytest.MonkeyPatch):
    real = guard.check

    def slow(*arguments: Any) -> Any:
        time.sleep(0.02)
        return real(*arguments)

    monkeypatch.setattr(guard, "check", slow)
    monkeypatch.setattr(guard, "PROGRESS_SECONDS", 0.001)
    code, lines = check()
    assert code == 0
    progress = [line for line in lines if line["event"] == "guard.progress"]
    assert progress
    assert {line["total"] for line in progress} == {202}
    assert [line["bytes"] for line in progress] == sorted(line["bytes"] for line in progress)


# Modes


def test_mode_off_says_so_in_one_event(check: Check, root: Path):
    code, lines = check((root / "a.safetensors").unlink, verify="off")
    assert code == 0
    assert [(line["event"], line["level"]) for line in lines] == [("guard.skipped", "warning")]


@pytest.mark.parametrize(
    ("packed", "override", "wanted", "mode", "levels"),
    [
        ("full", False, "", "full", []),
        ("full", False, "full", "full", []),
        ("full", False, "fast", "full", ["warning"]),
        ("full", False, "off", "full", ["warning"]),
        ("fast", False, "off", "fast", ["warning"]),
        ("fast", False, "full", "full", ["info"]),
        ("off", False, "fast", "fast", ["info"]),
        ("off", False, "full", "full", ["info"]),
        ("full", True, "fast", "fast", ["warning"]),
        ("full", True, "off", "off", ["warning"]),
        ("fast", True, "off", "off", ["warning"]),
    ],
)
def test_the_environment_strengthens_always_and_weakens_only_where_allowed(
    check: Check, packed: str, override: bool, wanted: str, mode: str, levels: list[str]
):
    environ = {"MODELPACK_VERIFY": wanted}
    code, lines = check(verify=packed, override=override, environ=environ)
    assert code == 0
    assert lines[-1]["mode"] == mode
    assert [line["level"] for line in lines if line["event"] == "guard.mode"] == levels


@pytest.mark.parametrize("override", [True, False])
@pytest.mark.parametrize("wanted", ["none", "FULL", " off", "0"])
def test_an_unknown_mode_is_refused(check: Check, wanted: str, override: bool):
    environ = {"MODELPACK_VERIFY": wanted}
    code, lines = check(override=override, environ=environ)
    assert code == 78
    assert "MODELPACK_VERIFY" in lines[-1]["message"]


# The command line


@pytest.mark.parametrize(
    "argv", [[], [""], ["--help"], ["--check-only", "python"], ["--check-only", "--check-only"]]
)
def test_without_a_command_it_shows_usage(argv: list[str], capfd: pytest.CaptureFixture[str]):
    assert guard.main(argv, {}, "/nonexistent") == 64
    [line] = events(capfd.readouterr().err)
    assert line["event"] == "guard.usage"


# The number of threads


@pytest.mark.parametrize(
    ("files", "limit"),
    [
        ({}, 64),
        ({"cpu.max": "max 100000\n"}, 64),
        ({"cpu.max": "50000 100000\n"}, 2),
        ({"cpu.max": "250000 100000\n"}, 3),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 64),
        ({"cpu/cpu.cfs_quota_us": "300000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 3),
        ({"cpu/cpu.cfs_quota_us": "300000\n"}, 64),
        ({"cpu.max": ""}, 64),
        ({"cpu.max": "1 0"}, 64),
        ({"cpu.max": "what is this"}, 64),
    ],
)
def test_threads_follow_the_containers_share_of_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str], limit: int
):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(500)), raising=False)
    (tmp_path / "cpu").mkdir()
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert guard.usable_threads(str(tmp_path)) == limit


# The manifest


def damage(change: Callable[[dict[str, Any]], object]) -> bytes:
    file = file_entry("a.json", SHARD)
    entry = {"name": "tiny", "path": "/models/tiny", "mounted": False, "include": ["*"],
             "exclude": [], "digest": DIGEST, "files": [file]}  # fmt: skip
    value = manifest(entry)
    change(value)
    return json.dumps(value).encode()


def test_a_manifest_is_parsed_and_what_it_does_not_know_is_ignored():
    def change(value: dict[str, Any]) -> None:
        value["later"] = {"addition": [1]}
        value["weights"][0]["headers"] = {"a.json": {"t": {"dtype": "F32", "size": 1.5}}}

    parsed = guard.parse(damage(change))
    assert parsed.verify == "full"
    assert parsed.override is False
    assert parsed.chunk == CHUNK
    assert parsed.weights[0].files[0].path == "/models/tiny/a.json"
    assert len(parsed.weights[0].files[0].chunks) == 7


def in_weights(**changes: Any) -> Callable[[dict[str, Any]], object]:
    return lambda value: value["weights"][0].update(changes)


def in_file(**changes: Any) -> Callable[[dict[str, Any]], object]:
    return lambda value: value["weights"][0]["files"][0].update(changes)


DAMAGES: list[tuple[Callable[[dict[str, Any]], object], str]] = [
    (lambda v: v.update(schema=2), "schema"),
    (lambda v: v.update(schema=True), "schema"),
    (lambda v: v.pop("schema"), "schema"),
    (lambda v: v.update(verify="none"), "verify"),
    (lambda v: v.update(verify=None), "verify"),
    (lambda v: v.update(override=0), "override"),
    (lambda v: v.pop("override"), "override"),
    (lambda v: v.update(mounts="lenient"), "mounts"),
    (lambda v: v.pop("mounts"), "mounts"),
    (lambda v: v.pop("model"), "model"),
    (lambda v: v.update(model={"name": "tiny"}), "model.version"),
    (lambda v: v.update(model={"name": "", "version": "1"}), "model.name"),
    (lambda v: v.update(chunk=0), "chunk"),
    (lambda v: v.update(chunk=1.0), "chunk"),
    (lambda v: v.update(chunk=1 << 41), "chunk"),
    (lambda v: v.update(digest="ab" * 32), "digest"),
    (lambda v: v.update(digest="sha256:" + "AB" * 32), "digest"),
    (lambda v: v.update(digest="sha256:" + "ab" * 32 + "\n"), "digest"),
    (lambda v: v.update(weights=[]), "weights"),
    (lambda v: v.update(weights={}), "weights"),
    (lambda v: v.update(weights=[3]), "weights[0].path"),
    (lambda v: v["weights"].append(v["weights"][0]), "packed twice"),
    (in_weights(name=""), "weights[0].name"),
    (in_weights(name="a\x1b"), "weights[0].name"),
    (in_weights(path="models"), "weights[0].path"),
    (in_weights(path="/"), "weights[0].path"),
    (in_weights(path="/models/../etc"), "weights[0].path"),
    (in_weights(path="/models//x"), "weights[0].path"),
    (in_weights(path="/models/"), "weights[0].path"),
    (in_weights(mounted=1), "weights[0].mounted"),
    (in_weights(include=[]), "weights[0].include"),
    (in_weights(include="*"), "weights[0].include"),
    (in_weights(include=[""]), "weights[0].include"),
    (in_weights(exclude=[None]), "weights[0].exclude"),
    (in_weights(exclude=["a\n"]), "weights[0].exclude"),
    (in_weights(digest=""), "weights[0].digest"),
    (in_weights(files=[]), "weights[0].files"),
    (in_weights(files=["x"]), "weights[0].files[0].path"),
    (in_file(path="/etc/passwd"), "weights[0].files[0].path"),
    (in_file(path="../x"), "weights[0].files[0].path"),
    (in_file(path="a/./x"), "weights[0].files[0].path"),
    (in_file(path="a\x00b"), "weights[0].files[0].path"),
    (in_file(path="\ud800"), "weights[0].files[0].path"),
    (in_file(path="x" * 5000), "weights[0].files[0].path"),
    (in_file(size=-1), "weights[0].files[0].size"),
    (in_file(size=1 << 63), "weights[0].files[0].size"),
    (in_file(size=True), "weights[0].files[0].size"),
    (in_file(size="100"), "weights[0].files[0].size"),
    (in_file(size=113), "weights[0].files[0].chunks"),
    (in_file(size=0), "weights[0].files[0].chunks"),
    (in_file(sha256="x"), "weights[0].files[0].sha256"),
    (in_file(chunks=[7] * 7), "weights[0].files[0].chunks[0]"),
    (in_file(chunks=["ab" * 32], size=3), "weights[0].files[0].sha256"),
    (in_file(chunks=[], size=0), "weights[0].files[0].sha256"),
]


@pytest.mark.parametrize(
    ("change", "where"), [pytest.param(*d, id=f"{i}-{d[1]}") for i, d in enumerate(DAMAGES)]
)
def test_a_damaged_manifest_is_refused(change: Callable[[dict[str, Any]], object], where: str):
    with pytest.raises(guard.Refusal, match=re.escape(where)):
        guard.parse(damage(change))


def test_a_key_that_repeats_is_refused():
    data = damage(lambda _: None)
    assert guard.parse(data)
    with pytest.raises(guard.Refusal, match="repeats"):
        guard.parse(data.replace(b'"override": false', b'"override": true, "override": false'))


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"[]", b"1", b"\xff\xfe", b"[" * 1_000_000, b'{"schema": 1, "schema": 1}',
     b'{"schema": ' + b"9" * 10_000 + b"}", b"\xef\xbb\xbf{}"],
    ids=lambda data: repr(data[:12]),
)  # fmt: skip
def test_what_is_no_manifest_is_refused(data: bytes):
    with pytest.raises(guard.Refusal):
        guard.parse(data)


def test_a_manifest_that_is_missing_or_strange_is_refused(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("large")
    (tmp_path / "large").write_bytes(b" " * 100)
    monkeypatch.setattr(guard, "MANIFEST_LIMIT", 99)
    for name in ("absent", "pipe", "link", "large", "."):
        assert guard.main(["true"], {}, str(tmp_path / name)) == 78
        [line] = events(capfd.readouterr().err)
        assert line["event"] == "guard.refused"
        assert "manifest" in line["message"]


def test_a_manifest_that_is_a_link_is_refused(root: Path, tmp_path: Path):
    path = save(manifest(weights_entry(root, FILES)), tmp_path / "weights.json")
    (tmp_path / "link").symlink_to(path)
    assert guard.main(["--check-only"], {}, path) == 0
    assert guard.main(["--check-only"], {}, str(tmp_path / "link")) == 78
