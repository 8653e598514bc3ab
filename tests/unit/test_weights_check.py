"""Shards, their index, auxiliary files: what is missing or misplaced is found early."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hostile_files import safetensors_file, with_header

from modelpack.checks import weights
from modelpack.errors import Finding

INDEX = "model.safetensors.index.json"
ONE, TWO = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"


class Folder:
    """Two good shards with their index, to be damaged one thing at a time."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.files: dict[str, bytes] = {
            ONE: safetensors_file({"a": ("U8", [4], 0, 4), "b": ("U8", [4], 4, 8)}),
            TWO: safetensors_file({"c": ("F16", [2], 0, 4)}),
            "config.json": b"{}",
            "tokenizer.json": b'{"version": "1.0"}',
        }
        self.index: Any = {
            "metadata": {"total_size": 12},
            "weight_map": {"a": ONE, "b": ONE, "c": TWO},
        }

    def findings(self, *require: str) -> tuple[Finding, ...]:
        files = dict(self.files)
        if self.index is not None:
            files[INDEX] = (
                self.index if isinstance(self.index, bytes) else json.dumps(self.index).encode()
            )
        for name, data in files.items():
            (self.root / name).parent.mkdir(parents=True, exist_ok=True)
            (self.root / name).write_bytes(data)
        paths = {name: self.root / name for name in sorted(files, reverse=True)}
        return weights.findings(paths, require)

    def said(self, *require: str) -> str:
        return "\n".join(f"{f.at}: {f.severity}: {f.message}" for f in self.findings(*require))


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def test_good_shards_have_no_findings(folder: Folder) -> None:
    assert folder.findings("tokenizer.json", "*.json", "/config.json") == ()


def test_shards_and_index_in_a_subfolder_have_no_findings(folder: Folder) -> None:
    folder.files = {f"sub/{name}": data for name, data in folder.files.items()}
    folder.files[f"sub/{INDEX}"] = json.dumps(folder.index).encode()
    folder.index = None
    assert folder.findings() == ()


def test_malformed_header_names_the_file(folder: Folder) -> None:
    folder.files[TWO] += b"x"
    (finding,) = folder.findings()
    assert (finding.at, finding.rule) == (TWO, "weights.safetensors-header")


def test_all_problems_come_at_once(folder: Folder) -> None:
    folder.files[ONE] = b""
    folder.files[TWO] = with_header(b"[]")
    folder.index["weight_map"]["d"] = "gone.safetensors"
    said = folder.said("vocab.txt")
    assert all(text in said for text in (ONE, TWO, "`gone.safetensors`", "`vocab.txt`"))


def test_missing_shard_is_found_by_index_and_by_series(folder: Folder) -> None:
    del folder.files[TWO]
    said = folder.said()
    assert f"names a missing shard: `{TWO}`" in said
    assert "1 of 2 shards are missing: 00002" in said


def test_tensor_in_another_shard_is_found(folder: Folder) -> None:
    folder.index["weight_map"]["a"] = TWO
    assert f"tensor `a` is in `{ONE}`, not in `{TWO}`" in folder.said()


def test_tensor_in_no_shard_is_found(folder: Folder) -> None:
    folder.index["weight_map"]["ghost"] = ONE
    assert f"tensor `ghost` is not in `{ONE}`" in folder.said()


def test_tensor_that_the_index_does_not_name_is_found(folder: Folder) -> None:
    del folder.index["weight_map"]["b"]
    assert f"does not name the tensor `b` of `{ONE}`" in folder.said()


def test_tensor_in_two_shards_is_found(folder: Folder) -> None:
    folder.files[TWO] = safetensors_file({"a": ("U8", [2], 0, 2), "c": ("U8", [2], 2, 4)})
    assert "tensor `a` is in" in folder.said()


def test_shard_that_the_index_does_not_name_is_found(folder: Folder) -> None:
    folder.files["model-extra.safetensors"] = safetensors_file({"x": ("U8", [1], 0, 1)})
    assert "does not name the shard `model-extra.safetensors`" in folder.said()


def test_total_size_that_differs_is_a_warning(folder: Folder) -> None:
    folder.index["metadata"]["total_size"] = 13
    (finding,) = folder.findings()
    assert finding.severity == "warning"
    assert "12 bytes" in finding.message


@pytest.mark.parametrize(
    "shard",
    ["../" + ONE, "/etc/passwd", "./" + ONE, "a/../" + ONE, "a//b", "", "C:\\x", "a\0b",
     "\x1b[2J", 7, None, ["x"], "file://x"],
)  # fmt: skip
def test_path_tricks_in_the_index_are_refused(folder: Folder, shard: Any) -> None:
    folder.index["weight_map"]["a"] = shard
    (finding,) = folder.findings()
    assert finding.message.startswith("tensor `a`: ")
    assert finding.message.isprintable()


@pytest.mark.parametrize(
    ("index", "reason"),
    [
        (b"", "not valid JSON"),
        (b"\xff\xfe", "not UTF-8"),
        (b"[]", "`weight_map` is missing"),
        (b'{"weight_map": []}', "`weight_map` is missing"),
        (b'{"weight_map": {"a": "b", "a": "c"}}', "`a` stands twice"),
        (b'{"weight_map": ' + b"[" * 100_000, "nested too deeply"),
        (b'{"weight_map": {"a": ' + b"9" * 5000 + b"}}", "not valid JSON"),
    ],
)
def test_malformed_index_is_refused(folder: Folder, index: bytes, reason: str) -> None:
    folder.index = index
    assert reason in folder.said()


def test_many_problems_of_one_kind_are_counted(folder: Folder) -> None:
    folder.index["weight_map"] |= {f"ghost{number:03d}": ONE for number in range(100)}
    found = folder.findings()
    assert len(found) == 4
    assert "and 97 more" in found[-1].message


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (["m-00001-of-00004.bin", "m-00004-of-00004.bin"], "2 of 4 shards are missing"),
        (["m-00001-of-99999.bin"], "99998 of 99999 shards are missing: 00002, 00003, 00004 and"),
        (["m-00001-of-00002.bin", "m-00002-of-00003.bin"], "different series: of 2 and 3"),
        (["m-00001-of-00001.bin", "m-00002-of-00001.bin"], "shard 2 of 1 cannot be"),
        (["m-00000-of-00001.bin", "m-00001-of-00001.bin"], "shard 0 of 1 cannot be"),
    ],
)
def test_gap_in_a_series_is_found(tmp_path: Path, names: list[str], reason: str) -> None:
    for name in names:
        (tmp_path / name).write_bytes(b"x")
    found = weights.findings({name: tmp_path / name for name in names})
    assert any(reason in finding.message for finding in found)


def test_shards_without_an_index_are_a_warning(folder: Folder) -> None:
    folder.index = None
    (finding,) = folder.findings()
    assert (finding.rule, finding.severity) == ("weights.index", "warning")
    folder.files[TWO] = folder.files[ONE]
    assert "tensor `a` is also in" in folder.said()


@pytest.mark.parametrize(
    ("content", "reason"), [(b"", "is empty"), (b"{", "not valid JSON"), (b"\xff", "not UTF-8")]
)
def test_required_file_without_good_content_is_found(
    folder: Folder, content: bytes, reason: str
) -> None:
    folder.files["tokenizer.json"] = content
    (finding,) = folder.findings("tokenizer.json")
    assert reason in finding.message
    assert folder.findings() == ()


def test_required_file_that_is_missing_is_found(folder: Folder) -> None:
    (finding,) = folder.findings("vocab.txt")
    assert finding.at == "weights.require"


def test_required_file_that_is_no_file_is_found(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "tokenizer.json")
    found = weights.findings({"tokenizer.json": tmp_path / "tokenizer.json"}, ["tokenizer.json"])
    assert any("FIFO" in finding.message for finding in found)


def test_git_lfs_pointer_is_named_for_what_it_is(folder: Folder) -> None:
    folder.files[TWO] = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n"
    (finding,) = folder.findings()
    assert (finding.at, finding.hint) == (TWO, "git lfs pull")


def test_no_files_at_all_is_an_error() -> None:
    (finding,) = weights.findings({})
    assert (finding.rule, finding.severity) == ("weights.none", "error")


def test_nothing_that_looks_like_weights_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "README").write_bytes(b"x")
    (finding,) = weights.findings({"README": tmp_path / "README"})
    assert (finding.rule, finding.severity) == ("weights.none", "warning")


def test_file_without_tensors_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").write_bytes(with_header(b"{}"))
    (finding,) = weights.findings({"a.safetensors": tmp_path / "a.safetensors"})
    assert (finding.rule, finding.severity) == ("weights.empty", "warning")
