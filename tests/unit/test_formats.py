"""Formats that can carry code are found by content; ordinary data and text are left alone."""

import bz2
import gzip
import io
import json
import lzma
import os
import pickle
import struct
import tarfile
import zipfile
import zlib
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hostile_files import (
    numpy_array,
    pickled,
    protobuf,
    safetensors_file,
    tarred,
    torch_archive,
    zipped,
)

from modelpack.checks.formats import gate as formats
from modelpack.checks.formats import window
from modelpack.checks.formats.gate import Format


def classify(data: bytes, name: str = "model.bin") -> Format:
    return formats.classify(window.of_bytes(data), name)


def rules(data: bytes, name: str = "model.bin") -> set[str]:
    return {hazard.rule for hazard in classify(data, name).hazards}


def message(data: bytes, name: str = "model.bin") -> str:
    return "; ".join(hazard.message for hazard in classify(data, name).hazards)


def npy(array: Any) -> bytes:
    out = io.BytesIO()
    np.save(out, array, allow_pickle=True)
    return out.getvalue()


@pytest.mark.parametrize("protocol", range(6))
def test_pickle_of_every_protocol_is_found(protocol: int) -> None:
    assert rules(pickled(protocol)) == {"weights.pickle"}
    assert "getcwd" in message(pickled(protocol))


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    "value",
    [OrderedDict(a=1), [1, 2.5, "x" * 2000], {"k": {1, 2}, "l": b"b" * 70000}, list(range(30000))],
)
def test_pickle_of_plain_data_is_a_pickle(protocol: int, value: Any) -> None:
    assert rules(pickled(protocol, value)) == {"weights.pickle"}


@pytest.mark.parametrize("junk", [b" ", b"\n\n\t", b"\xef\xbb\xbf", b"\0\0\0\0", b" " * 5000])
@pytest.mark.parametrize("protocol", range(6))
def test_pickle_after_leading_junk_is_found(protocol: int, junk: bytes) -> None:
    assert rules(junk + pickled(protocol)) == {"weights.pickle"}


@pytest.mark.parametrize("protocol", range(6))
def test_pickle_followed_by_anything_is_found(protocol: int) -> None:
    assert rules(pickled(protocol) + os.urandom(100) + b"PK\x05\x06") == {"weights.pickle"}
    assert "weights.pickle" in rules(pickled(protocol)[:-1] + b"\xff")


def test_pickle_within_unknown_data_is_found() -> None:
    assert rules(b"\x01\x02header\xff" + pickled(4) + b"\0" * 50) == {"weights.pickle"}


def test_second_pickle_of_a_series_is_found() -> None:
    harmless = b"I1\n."
    assert rules(harmless + pickled(0)) == {"weights.pickle"}


@pytest.mark.parametrize(
    "data",
    [
        b"cos\nsystem\n(S'id'\ntR.",
        b"(S'id'\nios\nsystem\n.",
        b"(cos\nsystem\nS'id'\no.",
        b"cos\nsystem\n(S'id'\ntRgarbage",
        b"c__builtin__\neval\n(S'1'\ntR.",
        b"(S'id'\nios\nsystemX",
        b"I1\x00junk\n0cos\nsystem\n(S'id'\ntR.",
        b"Na0" * 0 + b"N0" * 500 + b"cos\nsystem\n(S'id'\ntR.",
        b"cos\nsystem\np1_0\n0g10\n(S'id'\ntR.",
        b"\x80\x04S'o\\x73'\nS'system'\n\x93(S'id'\ntR.",
        b"\x80\x04\x8c\x02os\x8c\x06system\x93)\x81.",
    ],
)
def test_pickle_written_by_hand_is_found(data: bytes) -> None:
    assert "weights.pickle" in rules(data)


def test_pickle_that_is_data_for_longer_than_is_looked_at_is_found() -> None:
    assert rules(b"N0" * 20_000 + b"cos\nsystem\n(S'id'\ntR.") == {"weights.pickle"}


def test_torch_legacy_file_is_found() -> None:
    series = [0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}]
    assert rules(b"".join(pickle.dumps(value, 2) for value in series)) == {"weights.pickle"}


HARMLESS_TEXTS = [
    "cat\ndog\nemu\n",
    "cos\nsin\ntan\n",
    "code\nis poetry\n",
    "(in short)\n",
    "(i think\nso)\n",
    "c'est\nla vie\n",
    "[PAD]\n[UNK]\nthe\n",
    "I am\na text\n",
    "Paris\nPrague\n",
    "Victor\nVienna\n",
    "Say\n",
    "No.",
    "N",
    "0.5 1.0\n",
    "1\n2\n3\n",
    "#version: 0.2\nĠ t\nĠ a\n",
    "{{ bos_token }}{% for message in messages %}{{ message['content'] }}{% endfor %}",
    "---\nlicense: apache-2.0\ntags: [a]\n---\n# Card\n\n```python\nimport torch\n```\n",
    "\ufeffmit BOM\n",
    "x^2 + y^2\n",
    "BZh is not a stream\n",
    "MZ is a name\n",
    "(\n",
    ")\n",
    "]]>\n",
    "}\n",
    "G" * 100,
    "",
]


@pytest.mark.parametrize("text", HARMLESS_TEXTS)
def test_ordinary_text_passes(text: str) -> None:
    assert classify(text.encode(), "vocab.txt") == Format(name="text" if text else "empty")


def test_every_single_word_vocabulary_passes() -> None:
    words = [first + rest for first in map(chr, range(33, 127)) for rest in ("", "a", "the", "of")]
    for word in words:
        assert not rules(f"{word}\n{word}\nthe\nof\n".encode(), "vocab.txt"), word


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (safetensors_file(), "safetensors"),
        (safetensors_file(metadata={"a": "b" * (0x2123 - 93)}), "safetensors"),
        (b"GGUF\x03\0\0\0" + bytes(100), "gguf"),
        (b"\x1c\0\0\0TFL3" + bytes(100), "tflite"),
        (b"\x89PNG\r\n\x1a\n" + bytes(20), "png"),
        (b'{"model": {"type": "BPE"}}', "text"),
        (npy(np.zeros(4)), "numpy"),
        (npy(np.zeros(2, dtype=[("a", "f4"), ("b", "i2", (2,))])), "numpy"),
        (numpy_array(version=2), "numpy"),
        (zipped({"a.npy": npy(np.zeros(4))}), "zip"),
        (zipped({"a.txt": b"text"}, zipfile.ZIP_DEFLATED), "zip"),
        (zipped({}), "zip"),
        (gzip.compress(b"some text", mtime=0), "gzip"),
        (bz2.compress(b"some text"), "bzip2"),
        (lzma.compress(b"some text"), "xz"),
        (zlib.compress(b"some text" * 10), "zlib"),
        (tarred({"a.txt": b"text"}), "tar"),
        (protobuf((1, 8), (2, b"pytorch"), (7, b"graph"), (8, b"")), "onnx"),
        (
            protobuf(*((1, protobuf((1, piece), (2, -1.5))) for piece in (b"<unk>", b"the"))),
            "sentencepiece",
        ),
    ],
)
def test_data_format_passes(data: bytes, name: str) -> None:
    assert classify(data) == Format(name=name)


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("name", ["archive/data.pkl", "weights.txt", "a/b/c", "x.safetensors"])
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_pickle_in_a_zip_is_found_under_any_name(protocol: int, name: str, method: int) -> None:
    data = zipped({"version": b"3\n", name: pickled(protocol)}, method)
    assert rules(data) == {"weights.archive-pickle"}
    assert f"member `{name}`" in message(data)


@pytest.mark.parametrize("name", ["model.safetensors", "model.json", "model.pt", "vocab.txt"])
def test_name_of_the_file_does_not_hide_its_content(name: str) -> None:
    assert rules(torch_archive(), name) == {"weights.archive-pickle"}
    assert rules(pickled(2), name) == {"weights.pickle"}


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_pickle_in_a_tar_is_found(form: int) -> None:
    members = {"a" * 90: b"text", "deep/" + "b" * 90: pickled(2)}
    assert rules(tarred(members, form)) == {"weights.archive-pickle"}


def test_pickle_in_a_tar_with_a_very_long_name_is_found() -> None:
    assert rules(tarred({"n" * 300: pickled(4)})) == {"weights.archive-pickle"}


@pytest.mark.parametrize(
    "compress",
    [gzip.compress, bz2.compress, lzma.compress, zlib.compress,
     lambda data: lzma.compress(data, lzma.FORMAT_ALONE)],
)  # fmt: skip
def test_compressed_pickle_is_found(compress: Any) -> None:
    assert rules(compress(pickled(2))) == {"weights.pickle"}
    assert rules(compress(tarred({"a": pickled(2)}))) == {"weights.archive-pickle"}
    assert rules(compress(torch_archive())) == {"weights.archive-pickle"}
    assert rules(zipped({"a": compress(pickled(3))})) == {"weights.archive-pickle"}


def test_pickle_in_the_second_member_of_a_gzip_is_found() -> None:
    assert "weights.pickle" in rules(gzip.compress(b"I1\n.") + gzip.compress(pickled(0)))


def test_pickle_in_a_nested_zip_is_found() -> None:
    data = zipped({"inner": zipped({"innermost": torch_archive()}, zipfile.ZIP_DEFLATED)})
    assert rules(data) == {"weights.archive-pickle"}
    assert "member `inner`: member `innermost`: member `archive/data.pkl`" in message(data)


def test_archives_nested_too_deeply_are_a_finding() -> None:
    data = b"text"
    for _ in range(8):
        data = zipped({"a": data})
    assert rules(data) == {"weights.bomb"}


@pytest.mark.parametrize(
    "descr", ["'|O'", "'O'", "[('a', '<f4'), ('b', '|O')]", "[('a', [('b', 'O')])]", "('O', (2,))"]
)
@pytest.mark.parametrize("version", [1, 2, 3])
def test_numpy_array_of_objects_is_found(descr: str, version: int) -> None:
    assert rules(numpy_array(descr, version=version)) == {"weights.numpy-object"}
    assert rules(zipped({"a.npy": numpy_array(descr, version=version)})) == {"weights.numpy-object"}


def test_numpy_saves_of_objects_are_found() -> None:
    data = npy(np.array([{}, []], dtype=object))
    assert "weights.numpy-object" in rules(data)
    out = io.BytesIO()
    np.savez_compressed(out, a=np.zeros(3), b=np.array([{}], dtype=object))
    assert rules(out.getvalue()) == {"weights.numpy-object"}


@pytest.mark.parametrize("descr", ["__import__('os')", "[" * 500, "3", "[3"])
def test_numpy_header_that_cannot_be_read_is_a_finding(descr: str) -> None:
    assert rules(numpy_array(descr)) <= {"weights.opaque", "weights.numpy-object"}
    assert rules(b"\x93NUMPY\x01\x00\xff\xff{") == {"weights.opaque"}


def test_torchscript_is_found() -> None:
    data = zipped({"m/code/__torch__/net.py": b"def forward(): ...", "m/constants.pkl": pickled(2)})
    assert rules(data) == {"weights.torchscript", "weights.script", "weights.archive-pickle"}


def test_keras_files_are_found() -> None:
    hdf5 = b"\x89HDF\r\n\x1a\n" + bytes(100)
    assert rules(hdf5, "weights.txt") == {"weights.keras"}
    assert rules(bytes(512) + hdf5) == {"weights.keras"}
    archive = zipped({"metadata.json": b"{}", "config.json": b"{}", "model.weights.h5": hdf5})
    assert rules(archive) == {"weights.keras"}
    layer = {"config": {"layers": [{"class_name": "Lambda", "config": {"function": ["4wEA"]}}]}}
    assert rules(json.dumps(layer).encode(), "config.json") == {"weights.keras"}


def test_tensorflow_graphs_are_found() -> None:
    meta_graph = protobuf((1, protobuf((1, b"x"))), (2, protobuf((1, b"graph"))))
    assert rules(protobuf((1, 1), (2, meta_graph)), "data.bin") == {"weights.tensorflow"}
    node = protobuf((1, b"import/ReadFile"), (2, b"ReadFile"), (3, b"name"))
    assert rules(protobuf((1, node), (1, node), (4, b"")), "data.bin") == {"weights.tensorflow"}
    assert "weights.tensorflow" in rules(b"\x00\x01", "sub/saved_model.pb")


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ({"auto_map": {"AutoModel": "modeling_evil.Evil"}}, "config.json"),
        ({"a": [{"b": {"auto_map": "x--y.Z"}}]}, "tokenizer_config.json"),
        ({"custom_pipelines": {"x": {"impl": "evil.Pipeline"}}}, "config.json"),
        ({"trust_remote_code": True}, "anything.txt"),
        ({"_target_": "os.system"}, "conf.json"),
        ({"py/reduce": [{"py/function": "os.system"}]}, "m.json"),
        ([{"idx": 0, "name": "0", "path": "", "type": "custom_st.Transformer"}], "modules.json"),
    ],
)
def test_json_that_names_code_is_found(value: Any, name: str) -> None:
    assert rules(json.dumps(value).encode(), name) == {"weights.remote-code"}
    assert rules(b"\xef\xbb\xbf\n " + json.dumps(value).encode(), name) == {"weights.remote-code"}


@pytest.mark.parametrize(
    "text",
    [
        r'{"\u0061uto_map": {"A": "b.C"}}',
        r'{"auto\u005fmap": {"A": "b.C"}}',
        r'{"auto_map": {"A": "b.C"}, "auto_map": null}',
        r'{"py\/object": "os.system"}',
        '{"auto_map": {"A": "b.C"}, "x": ' + "[" * 100_000,
    ],
)
def test_key_that_is_disguised_is_found(text: str) -> None:
    assert rules(text.encode(), "config.json") == {"weights.remote-code"}


@pytest.mark.parametrize(
    "value",
    [
        {"auto_map": None},
        {"auto_map": {}},
        {"trust_remote_code": False},
        {"chat_template": "{% if 'auto_map' in x %}{{ raise_exception('no') }}{% endif %}"},
        {"model": {"vocab": {"Lambda": 3, "class_name": 4, "idx": 5, "type": 6}}},
        [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}],
    ],
)
def test_json_that_names_no_code_passes(value: Any) -> None:
    assert not rules(json.dumps(value).encode(), "config.json")


def test_large_json_is_scanned_and_not_parsed() -> None:
    filler = b'{"a": "' + b"x" * (9 << 20)
    assert not rules(filler + b'"}', "tokenizer.json")
    assert rules(filler + b'", "auto_map": {"A": "b.C"}}', "t.json") == {"weights.opaque"}


def test_yaml_that_makes_python_objects_is_found() -> None:
    text = b"a: !!python/object/apply:os.system ['id']\n"
    assert rules(text, "config.yaml") == {"weights.remote-code"}


@pytest.mark.parametrize("name", ["modeling.py", "a/b/tokenization.PY", "run.sh", "evil.pth"])
def test_stray_script_is_found_by_name(name: str) -> None:
    assert "weights.script" in rules(b"x = 1\n", name)


@pytest.mark.parametrize("data", [b"#!/bin/sh\nid\n", b"\xef\xbb\xbf#!/usr/bin/python\n"])
def test_script_is_found_by_its_first_line(data: bytes) -> None:
    assert rules(data, "vocab.txt") == {"weights.script"}


PE = b"MZ" + bytes(58) + struct.pack("<I", 0x80) + bytes(64) + b"PE\0\0" + bytes(100)


@pytest.mark.parametrize(
    "data",
    [
        b"\x7fELF\x02\x01\x01" + bytes(100),
        b"\xcf\xfa\xed\xfe" + bytes(100),
        b"\xca\xfe\xba\xbe" + bytes(100),
        PE,
        b"\0asm\x01\0\0\0",
        b"\xa7\r\r\n\0\0\0\0" + bytes(8) + b"\xe3" + bytes(50),
    ],
)
def test_executable_is_found_by_content(data: bytes) -> None:
    assert rules(data, "weights.dat") == {"weights.executable"}
    assert "weights.executable" in rules(zipped({"a.dat": data}))


def test_shared_object_is_found_by_name() -> None:
    assert rules(b"INPUT ( libc.so.6 )", "libfoo.so.1") == {"weights.executable"}


def test_zip_at_the_end_of_another_format_is_a_polyglot() -> None:
    for other in (safetensors_file(), b"GGUF" + bytes(60), b"a text\n", npy(np.zeros(3))):
        found = rules(other + torch_archive())
        assert {"weights.polyglot", "weights.archive-pickle"} <= found


def test_zip_within_the_last_tensor_is_a_polyglot() -> None:
    data = torch_archive()
    polyglot = safetensors_file({"a": ("U8", [len(data)], 0, len(data))}, data=data)
    assert {"weights.polyglot", "weights.archive-pickle"} <= rules(polyglot, "model.safetensors")


def test_pickle_that_is_safetensors_as_well_is_a_polyglot() -> None:
    code = b"cos\nsystem\n(S'id'\ntR."
    jump = 0x8A | (0x40 << 8)  # LONG1 with 64 bytes: over the header, into the data
    inner = b'{"a":{"dtype":"U8","shape":[%d],"data_offsets":[0,%d]}}' % (100, 100)
    header = inner + b" " * (jump - len(inner))
    data = struct.pack("<Q", jump) + header + code.ljust(100, b"\0")
    assert rules(data) == set()
    landing = 8 + 58
    body = bytearray(data)
    body[landing : landing + len(code)] = code
    assert {"weights.polyglot", "weights.pickle"} <= rules(bytes(body))


def test_safetensors_whose_header_length_begins_with_an_opcode_is_no_pickle() -> None:
    # 80 is `P`: a persistent id up to the line feed, which must be ASCII (CPython, load_persid).
    inner = b'{"a":{"dtype":"U8","shape":[8],"data_offsets":[0,8]}}'
    head = struct.pack("<Q", 80) + inner + b" " * (80 - len(inner))
    assert rules(head + b"\x80\x01\n)R\0\0\0", "model.safetensors") == set()
    assert "weights.polyglot" in rules(head + b"ab\n)R\0\0\0", "model.safetensors")


def test_gzip_whose_header_spells_a_length_is_a_polyglot() -> None:
    data = bytearray(gzip.compress(b"N0" * 4 + pickled(0) + os.urandom(600_000), mtime=0))
    data[8] = ord("{")
    assert {"weights.polyglot", "weights.pickle"} <= rules(bytes(data), "model.safetensors")


def test_hdf5_behind_another_format_is_a_polyglot() -> None:
    data = safetensors_file({"a": ("U8", [5000], 0, 5000)})
    polyglot = bytearray(data)
    polyglot[1024:1032] = b"\x89HDF\r\n\x1a\n"
    assert {"weights.polyglot", "weights.keras"} <= rules(bytes(polyglot))


def test_zip_that_hides_something_is_a_polyglot() -> None:
    data = zipped({"a.txt": b"text"})
    assert "weights.polyglot" in rules(data + b"hidden")
    assert "weights.polyglot" in rules(data[:-2] + b"\x20\x00" + b"c" * 4)
    twice = zipped({"a.txt": b"one", "b.txt": b"two"}).replace(b"b.txt", b"a.txt")
    assert "weights.polyglot" in rules(twice)


def test_zip_whose_headers_disagree_is_a_finding() -> None:
    data = bytearray(zipped({"a.txt": b"text"}))
    data[8:10] = b"\x08\x00"
    assert rules(bytes(data)) == {"weights.polyglot"}


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_zip_with_a_rare_method_cannot_be_looked_into(method: int) -> None:
    assert rules(zipped({"a": pickled(2)}, method)) == {"weights.opaque"}


def test_encrypted_zip_cannot_be_looked_into() -> None:
    data = bytearray(zipped({"a.txt": b"text"}))
    data[data.rindex(b"PK\1\2") + 8] |= 1
    assert rules(bytes(data)) == {"weights.opaque"}


@pytest.mark.parametrize("magic", [b"\x28\xb5\x2f\xfd", b"\x04\x22\x4d\x18", b"7z\xbc\xaf\x27\x1c"])
def test_compression_that_cannot_be_undone_here_is_a_finding(magic: bytes) -> None:
    assert rules(magic + bytes(50)) == {"weights.opaque"}


def test_damaged_archives_are_findings() -> None:
    assert rules(torch_archive()[:-30]) == {"weights.opaque"}
    assert rules(gzip.compress(os.urandom(5000))[:-2000]) >= {"weights.opaque"}
    assert rules(tarred({"a": b"x"})[:512] + b"x" * 1024) == {"weights.opaque"}


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress, zlib.compress])
def test_decompression_bomb_is_a_finding(compress: Any) -> None:
    bomb = compress(bytes(8 << 20))
    assert "weights.bomb" in rules(bomb)
    assert "weights.bomb" in rules(compress(bomb))
    assert "weights.bomb" in rules(zipped({"a": bomb}))


def test_zip_bomb_is_a_finding() -> None:
    assert "weights.bomb" in rules(zipped({"a": bytes(100 << 20)}, zipfile.ZIP_DEFLATED))


def test_zip_with_overlapping_members_is_a_finding() -> None:
    data = bytearray(zipped({"a": b"text", "b": b"text"}))
    second = data.rindex(b"PK\1\2")
    data[second + 42 : second + 46] = struct.pack("<I", 0)
    assert "weights.bomb" in rules(bytes(data))


def test_archive_with_too_many_members_is_a_finding() -> None:
    block = tarred({"a": b""}, tarfile.USTAR_FORMAT)[:512]
    assert rules(block * 20_001 + bytes(1024)) == {"weights.bomb"}


def test_zip_directory_of_absurd_size_is_a_finding() -> None:
    data = bytearray(zipped({"a": b"text"}))
    end = data.rindex(b"PK\5\6")
    data[end + 12 : end + 16] = struct.pack("<I", 1 << 31)
    assert rules(bytes(data)) == {"weights.bomb"}


def test_pax_header_cannot_hide_a_member() -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        entry = tarfile.TarInfo("a")
        entry.size = 0
        entry.pax_headers = {"size": "1024"}
        archive.addfile(entry)
    head = out.getvalue()
    head = head[: len(head.rstrip(b"\0")) // 512 * 512 + 512]
    data = head + pickled(2).ljust(1024, b"\0") + bytes(1024)
    assert "weights.archive-pickle" in rules(data)


def test_unknown_binary_data_is_only_a_warning(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(bytes(range(1, 256)) * 3)
    (finding,) = formats.findings({"model.bin": path})
    assert (finding.rule, finding.severity) == ("weights.unknown-format", "warning")


def write(folder: Path, files: dict[str, bytes]) -> dict[str, Path]:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return {name: folder / name for name in files}


def test_findings_name_file_rule_and_remedy(tmp_path: Path) -> None:
    files = write(tmp_path, {"b.bin": torch_archive(), "a/x.bin": pickled(2), "c.json": b"{}"})
    found = formats.findings(files)
    assert [(f.at, f.rule, f.severity) for f in found] == [
        ("a/x.bin", "weights.pickle", "error"),
        ("b.bin", "weights.archive-pickle", "error"),
    ]
    assert all("allow-unsafe" in f.hint for f in found)


@pytest.mark.parametrize("pattern", ["x.bin", "*.bin", "a/x.bin", "a/**", "/a/*.bin"])
def test_named_exception_makes_a_warning_that_keeps_its_rule(tmp_path: Path, pattern: str) -> None:
    files = write(tmp_path, {"a/x.bin": pickled(2)})
    (finding,) = formats.findings(files, [pattern])
    assert (finding.rule, finding.severity) == ("weights.pickle", "warning")


@pytest.mark.parametrize("pattern", ["y.bin", "b/x.bin", "*.safetensors", "ok.json"])
def test_exception_that_excepts_nothing_is_a_finding(tmp_path: Path, pattern: str) -> None:
    files = write(tmp_path, {"a/x.bin": pickled(2), "ok.json": b"{}"})
    found = formats.findings(files, [pattern])
    assert [(f.rule, f.severity) for f in found] == [
        ("weights.pickle", "error"),
        ("weights.unused-exception", "error"),
    ]


def test_fifo_among_the_weights_is_a_finding_and_not_a_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "model.bin")
    (finding,) = formats.findings({"model.bin": tmp_path / "model.bin"})
    assert finding.rule == "weights.unreadable"
    assert "FIFO" in finding.message


def test_names_from_inside_are_printed_safely() -> None:
    data = zipped({"a\x1b[2J\n" + "x" * 300: b"\x80\x04\x8c\x03o\x1bs\x8c\x01a\x93)R."})
    assert message(data).isprintable()
    assert len(message(data)) < 500


def test_large_file_is_looked_at_in_a_few_places_only(tmp_path: Path) -> None:
    size = 1 << 42
    path = tmp_path / "model.safetensors"
    path.write_bytes(safetensors_file({"a": ("U8", [size], 0, size)}, data=b""))
    os.truncate(path, path.stat().st_size + size)
    assert formats.findings({"model.safetensors": path}) == ()
