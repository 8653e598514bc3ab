"""The strict safetensors header parser, one refusal at a time."""

import json
import os
import socket
import struct
import threading
from pathlib import Path

import pytest
from hostile_files import safetensors_file, with_header

from modelpack.errors import InputError
from modelpack.inputs import safetensors
from modelpack.inputs.safetensors import Tensor, parse_header, read_header


def parse(data: bytes) -> safetensors.Header:
    return parse_header(data, len(data), at="model.safetensors")


def refusal(data: bytes) -> str:
    with pytest.raises(InputError) as caught:
        parse(data)
    assert all(finding.at == "model.safetensors" for finding in caught.value.findings)
    assert all(finding.rule == safetensors.RULE for finding in caught.value.findings)
    return "; ".join(finding.message for finding in caught.value.findings)


def test_tensors_come_in_the_order_of_their_bytes() -> None:
    tensors = {"b": ("F16", [2], 4, 8), "a": ("U8", [4], 0, 4), "scalar": ("F64", [], 8, 16)}
    data = safetensors_file(tensors, metadata={"format": "pt"})
    header = parse(data)
    assert [tensor.name for tensor in header.tensors] == ["a", "b", "scalar"]
    assert header.tensors[1] == Tensor(name="b", dtype="F16", shape=(2,), begin=4, end=8)
    assert dict(header.metadata) == {"format": "pt"}
    assert header.data_start + header.data_size == len(data)
    assert header.data_size == 16


def test_parameters_are_the_elements_of_the_shape() -> None:
    header = parse(safetensors_file({"a": ("F32", [3, 5], 0, 60), "b": ("F32", [], 60, 64)}))
    assert [tensor.parameters for tensor in header.tensors] == [15, 1]


def test_half_byte_types_count_bits() -> None:
    assert parse(safetensors_file({"a": ("F4", [4], 0, 2)})).tensors[0].parameters == 4
    assert parse(safetensors_file({"a": ("F6_E2M3", [4], 0, 3)})).tensors[0].end == 3
    assert "not whole bytes" in refusal(safetensors_file({"a": ("F4", [3], 0, 1)}))


def test_header_may_be_padded_with_spaces() -> None:
    assert parse(with_header(b"{}      ")).tensors == ()


def test_metadata_may_be_null() -> None:
    assert dict(parse(with_header(b'{"__metadata__":null}')).metadata) == {}


ENTRY = '{"dtype":"U8","shape":[1],"data_offsets":[0,1]}'


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "too short"),
        (b"\x02\0\0\0\0\0\0", "too short"),
        (struct.pack("<Q", 100_000_001) + b"{}", "the limit is"),
        (struct.pack("<Q", 2**64 - 1) + b"{}", "the limit is"),
        (struct.pack("<Q", 3) + b"{}", "reaches beyond"),
        (with_header(b""), "does not start with `{`"),
        (with_header(b" {}"), "does not start with `{`"),
        (with_header(b"[]"), "does not start with `{`"),
        (with_header(b"\xef\xbb\xbf{}"), "does not start with `{`"),
        (with_header(b'{"\xff":1}'), "not UTF-8"),
        (with_header(b"{"), "not valid JSON"),
        (with_header(b"{}{}"), "not valid JSON"),
        (with_header(b"{}\0"), "not valid JSON"),
        (with_header(b'{"a":NaN}'), "not JSON"),
        (with_header(b'{"a":' + b"[" * 100_000), "nested too deeply"),
        (with_header(b'{"a":' + b'{"b":' * 100_000), "nested too deeply"),
        (with_header(f'{{"a":{ENTRY},"a":{ENTRY}}}'.encode(), b"x"), "`a` stands twice"),
        (
            with_header(
                b'{"a":{"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}}', b"x"
            ),
            "`dtype` stands twice",
        ),
        (safetensors_file(metadata={"a": 1}), "is not a string"),
        (safetensors_file(metadata=["a"]), "an object of strings"),
        (safetensors_file(metadata={"a\n": "b"}), "cannot be printed"),
        (safetensors_file(metadata={"a": "\ud800"}), "cannot be printed"),
        (safetensors_file({"": ("U8", [1], 0, 1)}), "name is empty"),
        (safetensors_file({"a\x1b[31m": ("U8", [1], 0, 1)}), "cannot be printed"),
        (safetensors_file({"a\u202eb": ("U8", [1], 0, 1)}), "cannot be printed"),
        (safetensors_file({"a\ud800": ("U8", [1], 0, 1)}), "cannot be printed"),
        (safetensors_file({"a": ("F128", [1], 0, 16)}), "unknown dtype `F128`"),
        (safetensors_file({"a": ("f32", [1], 0, 4)}), "unknown dtype `f32`"),
        (safetensors_file({"a": (["U8"], [1], 0, 1)}), "unknown dtype"),
        (safetensors_file({"a": ("U8", [1.0], 0, 1)}), "`shape` is not"),
        (safetensors_file({"a": ("U8", [True], 0, 1)}), "`shape` is not"),
        (safetensors_file({"a": ("U8", [-1], 0, 1)}), "`shape` is not"),
        (safetensors_file({"a": ("U8", [2**64], 0, 1)}), "`shape` is not"),
        (with_header(ENTRY.replace("[1]", "[-0]").join(('{"a":', "}")).encode()), "`shape` is not"),
        (safetensors_file({"a": ("U8", "1", 0, 1)}), "`shape` is not"),
        (safetensors_file({"a": ("U8", [1], -1, 0)}, data=b""), "`data_offsets` is not"),
        (safetensors_file({"a": ("U8", [1], 1, 0)}), "before it begins"),
        (safetensors_file({"a": ("F32", [2], 0, 4)}), "need 8 bytes, the range has 4"),
        (safetensors_file({"a": ("F32", [2**62], 0, 4)}), "overflows"),
        (safetensors_file({"a": ("U8", [2**63, 2, 0], 0, 0)}), "overflows"),
        (safetensors_file({"a": ("U8", [2], 0, 2), "b": ("U8", [2], 1, 3)}), "overlaps"),
        (safetensors_file({"a": ("U8", [2], 0, 2), "b": ("U8", [2], 0, 2)}), "overlaps"),
        (safetensors_file({"a": ("U8", [2], 0, 2), "b": ("U8", [2], 3, 5)}), "gap before"),
        (safetensors_file({"a": ("U8", [2], 1, 3)}), "gap before"),
        (safetensors_file({"a": ("U8", [2], 0, 2)}, data=b"abc"), "1 bytes after the last"),
        (with_header(b"{}", b"PK"), "2 bytes after the last"),
        (safetensors_file({"a": ("U8", [4], 0, 4)}, data=b"abc"), "the file has 3"),
        (with_header(b'{"a":{"dtype":"U8","shape":[1]}}', b"x"), "and nothing else"),
        (with_header(f'{{"a":{ENTRY[:-1]},"x":1}}}}'.encode(), b"x"), "and nothing else"),
        (with_header(b'{"a":["U8",[1],[0,1]]}', b"x"), "and nothing else"),
    ],
)
def test_malformed_header_is_refused(data: bytes, reason: str) -> None:
    assert reason in refusal(data)


def test_all_bad_tensors_are_reported_at_once() -> None:
    bad = {f"t{number}": ("F99", [1], 0, 4) for number in range(12)}
    message = refusal(safetensors_file(bad))
    assert "`t0`" in message
    assert "`t9`" in message
    assert "and 2 more problems" in message


def test_zero_sized_tensors_fill_no_gap_and_make_no_overlap() -> None:
    tensors = {"a": ("F32", [0], 0, 0), "b": ("U8", [2], 0, 2), "c": ("U8", [0, 2**63], 2, 2)}
    assert [tensor.end for tensor in parse(safetensors_file(tensors)).tensors] == [0, 2, 2]


def test_message_never_holds_a_control_character() -> None:
    message = refusal(safetensors_file({"\x1b]0;x\x07" * 50: ("U8", [1], 0, 1)}))
    assert message.isprintable()
    assert len(message) < 400


def test_only_the_header_is_read(tmp_path: Path) -> None:
    size = 1 << 40
    head = safetensors_file({"a": ("U8", [size], 0, size)}, data=b"")
    path = tmp_path / "sparse.safetensors"
    path.write_bytes(head)
    os.truncate(path, len(head) + size)
    assert read_header(path).data_size == size


def test_read_header_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "broken.safetensors"
    path.write_bytes(json.dumps({}).encode())
    with pytest.raises(InputError) as caught:
        read_header(path)
    assert caught.value.findings[0].at == str(path)


def test_symbolic_link_to_a_regular_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "blob").write_bytes(safetensors_file())
    (tmp_path / "model.safetensors").symlink_to("blob")
    assert len(read_header(tmp_path / "model.safetensors").tensors) == 1


@pytest.mark.parametrize("kind", ["fifo", "folder", "device", "loop", "missing", "socket"])
def test_what_is_no_regular_file_is_never_opened(tmp_path: Path, kind: str) -> None:
    path = tmp_path / kind
    match kind:
        case "fifo":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case "device":
            path.symlink_to("/dev/zero")
        case "loop":
            path.symlink_to(path)
        case "socket":
            with socket.socket(socket.AF_UNIX) as listener:
                listener.bind(os.path.relpath(path))
    with pytest.raises(InputError):
        read_header(path)


def test_fifo_with_a_writer_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    opened = threading.Event()

    def write() -> None:
        with path.open("wb"):
            opened.set()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(50):
            with pytest.raises(InputError):
                read_header(path)
        assert not opened.wait(0.05), "a writer was let in, so the FIFO was opened"
    finally:
        reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        writer.join()
        os.close(reader)
