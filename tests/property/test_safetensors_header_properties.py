"""The header parser beside the `safetensors` library: nothing that it refuses is accepted here."""

import json
import re
import struct
from pathlib import Path
from typing import Any

import pytest
from hostile_files import safetensors_file, with_header
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from safetensors import SafetensorError, deserialize, safe_open

from modelpack.errors import InputError
from modelpack.inputs.safetensors import BITS, Header, parse_header

RELAXED = settings(
    max_examples=400,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def accepted(data: bytes) -> Header | None:
    try:
        return parse_header(data, len(data))
    except InputError:
        return None


def library_accepts(data: bytes) -> bool:
    try:
        deserialize(data)
    except SafetensorError:
        return False
    return True


names = st.text(
    st.characters(exclude_categories=("Cc", "Cf", "Cs", "Zl", "Zp")), min_size=1, max_size=12
)


@st.composite
def good_tensors(draw: st.DrawFn) -> dict[str, Any]:
    """Tensors that lie one after the other, in an order that is not the header's."""
    tensors: dict[str, Any] = {}
    position = 0
    for name in draw(
        st.lists(names.filter(lambda n: n != "__metadata__"), unique=True, max_size=5)
    ):
        dtype = draw(st.sampled_from(sorted(BITS)))
        shape = draw(st.lists(st.integers(0, 4), max_size=3))
        bits = BITS[dtype]
        for factor in shape:
            bits *= factor
        if bits % 8:
            shape, bits = [*shape, 4], bits * 4
        tensors[name] = (dtype, shape, position, position + bits // 8)
        position += bits // 8
    order = draw(st.permutations(list(tensors)))
    return {name: tensors[name] for name in order}


good_files = st.builds(
    safetensors_file,
    good_tensors(),
    metadata=st.none() | st.dictionaries(names, st.text(max_size=10), max_size=3),
)


@RELAXED
@given(good_files)
def test_what_the_library_writes_and_reads_is_accepted(data: bytes) -> None:
    header = accepted(data)
    assert library_accepts(data)
    assert header is not None
    views = dict(deserialize(data))
    assert {tensor.name for tensor in header.tensors} == set(views)
    for tensor in header.tensors:
        view = views[tensor.name]
        assert (view["dtype"], view["shape"]) == (tensor.dtype, list(tensor.shape))
        assert len(view["data"]) == tensor.end - tensor.begin


@RELAXED
@given(good_files, st.data())
def test_mutated_file_that_is_accepted_is_accepted_by_the_library(
    data: bytes, choices: st.DataObject
) -> None:
    mutated = bytearray(data)
    for _ in range(choices.draw(st.integers(1, 4))):
        at = choices.draw(st.integers(0, len(mutated)))
        replaced = choices.draw(st.integers(0, 3))
        mutated[at : at + replaced] = choices.draw(st.binary(max_size=3))
    if choices.draw(st.booleans()):
        length = int.from_bytes(data[:8], "little") + len(mutated) - len(data)
        mutated[:8] = struct.pack("<Q", max(0, length))
    if accepted(bytes(mutated)) is not None:
        assert library_accepts(bytes(mutated))


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.sampled_from([0, 1, -1, 2**63, 2**64 - 1, 2**64, 1e300, -0.0, float("nan")])
    | st.integers(-4, 40)
    | st.floats(0, 4)
    | st.sampled_from([*sorted(BITS), "", "\ud800", "\x00", "pt"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["dtype", "shape", "data_offsets", "a", ""]), inner, max_size=3
        )
    ),
    max_leaves=8,
)
wild_entries = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from(sorted(BITS)) | json_values,
        "shape": st.lists(st.integers(0, 4) | st.just(2**63), max_size=3) | json_values,
        "data_offsets": st.lists(st.integers(0, 32), min_size=2, max_size=2) | json_values,
    },
    optional={"more": json_values},
)
wild_headers = st.dictionaries(
    st.sampled_from(["a", "b", "c", "", "__metadata__", "\x1b", "\ud800"]),
    wild_entries | json_values,
    max_size=4,
)


@RELAXED
@given(wild_headers, st.booleans(), st.binary(max_size=64))
def test_structured_nonsense_that_is_accepted_is_accepted_by_the_library(
    header: Any, ascii_only: bool, body: bytes
) -> None:
    text = json.dumps(header, ensure_ascii=ascii_only)
    data = with_header(text.encode("utf-8", "surrogatepass"), body)
    if accepted(data) is not None:
        assert library_accepts(data)


@RELAXED
@given(st.binary(max_size=200))
@example(b"")
@example(struct.pack("<Q", 2**63))
def test_any_bytes_are_accepted_or_refused_and_nothing_else(data: bytes) -> None:
    if accepted(data) is not None:
        assert library_accepts(data)


ENTRY = '{"dtype":"U8","shape":[1],"data_offsets":[0,1]}'


@pytest.mark.parametrize(
    "header",
    [
        '{"a":' + ENTRY.replace("[1]", "[-0]") + "}",
        '{"a":' + ENTRY.replace("[1]", "[1.0]") + "}",
        '{"a":' + ENTRY.replace("[1]", "[1e0]") + "}",
        '{"a":' + ENTRY.replace("[1]", "[01]") + "}",
        '{"a":' + ENTRY.replace("[1]", "[18446744073709551617]") + "}",
        '{"__metadata__":{"a":"\\ud800"},"b":' + ENTRY + "}",
        '{"__metadata__":{"a":null},"b":' + ENTRY + "}",
        '{"__metadata__":{},"__metadata__":{},"b":' + ENTRY + "}",
        '{"a":' + ENTRY + ",}",
        '{"a":' + ENTRY + "}\x0b",
        '{"a":' + ENTRY + "}\u00a0",
        '{"a\x7f\n":' + ENTRY + "}",
    ],
)
def test_where_the_two_json_readers_differ_the_stricter_one_counts(header: str) -> None:
    data = with_header(header.encode(), b"x")
    assert not library_accepts(data)
    assert accepted(data) is None


@pytest.mark.parametrize(
    "header",
    [
        '{"a":' + ENTRY + ',"a":' + ENTRY + "}",
        '{"a":' + ENTRY[:-1] + ',"more":1}}',
        '{"":' + ENTRY + "}",
        '{"a\\u001b":' + ENTRY + "}",
        '{"a":["U8",[1],[0,1]]}',
        ' {"a":' + ENTRY + "}",
    ],
)
def test_what_is_refused_beyond_the_library_is_known(header: str) -> None:
    data = with_header(header.encode(), b"x")
    assert library_accepts(data)
    assert accepted(data) is None


def test_safe_open_refuses_what_is_refused_here(tmp_path: Path) -> None:
    good = safetensors_file()
    for number, data in enumerate((good[:-1], good + b"x", good[:20], b"", b"\0" * 8)):
        path = tmp_path / f"{number}.safetensors"
        path.write_bytes(data)
        with pytest.raises((SafetensorError, OSError)), safe_open(path, framework="numpy"):
            pass
        assert accepted(data) is None


def test_every_dtype_of_the_library_has_its_size() -> None:
    with pytest.raises(SafetensorError) as caught:
        deserialize(safetensors_file({"a": ("F128", [1], 0, 16)}))
    known = re.findall(r"`(\w+)`", str(caught.value).partition("expected")[2])
    assert set(known) == set(BITS)
    for dtype, bits in BITS.items():
        assert library_accepts(safetensors_file({"a": (dtype, [8], 0, bits)}))
