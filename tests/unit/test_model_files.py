"""ONNX, GGUF, XGBoost and tokenizers: the whole pass, what leads a reader astray is refused."""

import io
import json
import struct
import zipfile
from pathlib import Path
from typing import Any

import hostile_files
import model_bytes as made
import numpy as np
import pytest
from hostile_files import safetensors_file

from modelpack.checks.formats import gate as formats
from modelpack.checks.formats.window import of_bytes
from modelpack.checks.model_files import gate as model_files
from modelpack.checks.model_files import gguf_header, onnx_model, ubjson
from modelpack.errors import InputError


def look(tmp_path: Path, **files: bytes) -> model_files.ModelFiles:
    """Look at files; `__` in a name stands for `/`, `_` before the suffix for `.`."""
    paths = {}
    for name, data in files.items():
        path = name.replace("__", "/").replace("_onnx", ".onnx").replace("_json", ".json")
        for suffix in ("gguf", "ubj", "data", "safetensors"):
            path = path.replace(f"_{suffix}", f".{suffix}")
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(data)
        paths[path] = tmp_path / path
    return model_files.look(paths)


def said(found: model_files.ModelFiles) -> str:
    return "\n".join(
        f"{one.at}: {one.rule}: {one.severity}: {one.message}" for one in found.findings
    )


def test_a_whole_onnx_model_says_its_versions(tmp_path: Path) -> None:
    data = made.onnx(ir=9, opsets={"": 19, "ai.onnx.ml": 3})
    found = look(tmp_path, m_onnx=data)
    assert said(found) == ""
    assert found.onnx["m.onnx"].ir == 9
    assert found.onnx["m.onnx"].opsets == {"": 19, "ai.onnx.ml": 3}
    assert formats.classify(of_bytes(data), "m.onnx").name == "onnx"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "it has no graph"),
        (made.onnx()[:-3], "no field at byte"),
        (made.onnx(ir=0), "no version of its format"),
        (made.onnx(opsets={}), "imports no operators"),
        (made.onnx(opsets={"": 17, "ai.onnx": 17}), "imported twice"),
        (made.onnx(made.onnx_graph(tensors=[made.onnx_tensor(raw=b"1234")])), "do not fill"),
        (made.onnx(made.onnx_graph(tensors=[made.onnx_tensor(dims=(1 << 40,) * 2)])), "overflows"),
        (made.onnx(b"\xff" * 20), "no field at byte"),
    ],
)  # fmt: skip
def test_a_damaged_onnx_model_is_refused(tmp_path: Path, data: bytes, message: str) -> None:
    text = said(look(tmp_path, m_onnx=data))
    assert text.startswith("m.onnx: weights.onnx: error: is not a whole ONNX model: ")
    assert message in text


def test_graphs_within_graphs_have_a_limit(tmp_path: Path) -> None:
    graph = made.onnx_graph()
    for _ in range(20):
        graph = made.onnx_graph(made.onnx_node("If", attribute=made.inner(6, graph)))
    assert "deeper than 16" in said(look(tmp_path, m_onnx=made.onnx(graph)))


def test_external_data_beside_the_model_pass(tmp_path: Path) -> None:
    model = made.onnx(made.onnx_graph(tensors=[made.onnx_outside("m.data", offset=8)]))
    assert said(look(tmp_path, a__m_onnx=model, a__m_data=bytes(16))) == ""


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("../m.data", "is not plain"),
        ("/etc/passwd", "is not plain"),
        ("b\\m.data", "odd characters"),
        ("other.data", "is not among the files"),
        ("", "is not plain"),
    ],
)
def test_external_data_elsewhere_are_refused(tmp_path: Path, location: str, message: str) -> None:
    model = made.onnx(made.onnx_graph(tensors=[made.onnx_outside(location)]))
    text = said(look(tmp_path, a__m_onnx=model, m_data=bytes(8)))
    assert text.startswith("a/m.onnx: weights.onnx-data: error: tensor `w`: ")
    assert message in text


def test_what_an_onnx_model_learned_is_listed(tmp_path: Path) -> None:
    inner = made.onnx_graph(tensors=[made.onnx_tensor("inside", (), raw=bytes(4))])
    graph = made.onnx_graph(
        made.onnx_node("If", attribute=made.inner(6, inner)),
        tensors=[
            made.onnx_tensor("w", (2,)), made.onnx_outside("m.data"),
            made.onnx_tensor("e", (0, 3), raw=b""),
            made.number(1, 4) + made.number(2, 99) + made.inner(8, "odd"),
            made.number(1, 3) + made.number(2, 21) + made.inner(8, "quantised"),
        ],
    )  # fmt: skip
    sparse = made.inner(15, made.inner(1, made.onnx_tensor("s")) + made.inner(2, b""))
    found = look(tmp_path, m_onnx=made.onnx(graph + sparse), m_data=bytes(8))
    assert said(found) == ""
    assert found.tensors == {"m.onnx": (
        "F32 [] inside", "F32 [2] w", "F32 [2] w", "F32 [0,3] e", "TYPE_99 [4] odd",
        "U4 [3] quantised", "F32 [2] s",
    )}  # fmt: skip


def test_names_of_initializers_have_a_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_model, "_NAMES_LIMIT", 100)
    tensors = [made.onnx_tensor("w" * 20)] * 4
    text = said(look(tmp_path, m_onnx=made.onnx(made.onnx_graph(tensors=tensors))))
    assert "names of initializers of more than 100 bytes" in text


def test_external_data_beyond_the_end_of_their_file_are_refused(tmp_path: Path) -> None:
    model = made.onnx(made.onnx_graph(tensors=[made.onnx_outside("m.data", offset=12)]))
    assert "reach to byte 20 of `m.data`, which has 16" in said(
        look(tmp_path, m_onnx=model, m_data=bytes(16))
    )


def test_external_data_of_no_stated_length_reach_as_far_as_the_shape(tmp_path: Path) -> None:
    model = made.onnx(made.onnx_graph(tensors=[made.onnx_outside("m.data", length=0)]))
    assert said(look(tmp_path, m_onnx=model, m_data=bytes(8))) == ""
    text = said(look(tmp_path, m_onnx=model, m_data=bytes(7)))
    assert "reach to byte 8 of `m.data`, which has 7" in text


def test_external_data_that_do_not_fill_the_shape_are_refused(tmp_path: Path) -> None:
    model = made.onnx(made.onnx_graph(tensors=[made.onnx_outside("m.data", length=12)]))
    text = said(look(tmp_path, m_onnx=model, m_data=bytes(16)))
    assert "tensor `w` has 12 bytes, which do not fill its shape" in text


def test_external_data_of_a_tensor_in_a_node_are_seen(tmp_path: Path) -> None:
    constant = made.onnx_node("Constant", attribute=made.inner(5, made.onnx_outside("../x")))
    assert "weights.onnx-data" in said(look(tmp_path, m_onnx=made.onnx(made.onnx_graph(constant))))


def test_operators_of_others_are_told(tmp_path: Path) -> None:
    opsets = {"": 17, "com.acme": 1}
    graph = made.onnx_graph(made.onnx_node("Fast", "com.acme"))
    text = said(look(tmp_path, m_onnx=made.onnx(graph, opsets=opsets)))
    assert text.startswith("m.onnx: weights.onnx-operators: warning: has operators of `com.acme`")
    function = made.inner(1, "Fast") + made.inner(7, made.onnx_node()) + made.inner(10, "com.acme")
    assert said(look(tmp_path, m_onnx=made.onnx(graph, opsets=opsets, functions=[function]))) == ""
    usual = made.onnx_graph(made.onnx_node("FusedConv", "com.microsoft"))
    assert said(look(tmp_path, m_onnx=made.onnx(usual))) == ""


def test_a_whole_gguf_file_says_what_it_is(tmp_path: Path) -> None:
    tensors = [made.gguf_tensor("a", [32], 39), made.gguf_tensor("b", [4], 30, 32)]
    found = look(tmp_path, m_gguf=made.gguf(tensors=tensors))
    assert said(found) == ""
    assert found.gguf["m.gguf"] == gguf_header.GgufHeader(
        version=3,
        architecture="llama",
        types=("BF16", "MXFP4"),
        tensors=("MXFP4 [32] a", "BF16 [4] b"),
    )


def test_every_type_of_gguf_has_whole_blocks() -> None:
    for kind, (name, block, size) in gguf_header.BLOCKS.items():
        tensors = [made.gguf_tensor("a", [block * 2, 3], kind)]
        whole = made.gguf(tensors=tensors, data=bytes(size * 6))
        assert gguf_header.read(of_bytes(whole), at="m").tensors == (f"{name} [{block * 2},3] a",)
        with pytest.raises(InputError, match="reaches to byte"):
            gguf_header.read(of_bytes(whole[:-1]), at="m")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"GGML" + bytes(40), "does not begin with `GGUF`"),
        (made.gguf(version=1), "version 1: only 2 and 3"),
        (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "big-endian"),
        (made.gguf()[:60], "ends within its header"),
        (b"GGUF" + struct.pack("<IQQ", 3, 1 << 60, 0), "the limit is"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q", 1 << 62), "the limit is"),
        (made.gguf([made.gguf_key("k", 9, struct.pack("<IQ", 8, 1 << 50))]), "more than"),
        (made.gguf([made.gguf_key("k", 9, struct.pack("<IQ", 0, 1 << 60))]), "ends within"),
        (made.gguf([made.gguf_key("k", 77, b"")]), "of no known type"),
        (made.gguf([made.gguf_key("k", 7, b"1")] * 2), "stands twice"),
        (made.gguf([made.gguf_key("general.alignment", 4, struct.pack("<I", 3))]), "power of two"),
        (made.gguf(tensors=[made.gguf_tensor("a", [4])] * 2), "stands twice"),
        (made.gguf(tensors=[made.gguf_tensor("a", [1] * 5)]), "5 dimensions"),
        (made.gguf(tensors=[made.gguf_tensor("a", [4], offset=4)]), "not aligned"),
        (made.gguf(tensors=[made.gguf_tensor("a", [17])]), "reaches to byte"),
        (made.gguf(tensors=[made.gguf_tensor("a", [1 << 40, 1 << 40])]), "overflows"),
        (made.gguf(tensors=[made.gguf_tensor("a", [33], 2)]), "no whole number of blocks of Q4_0"),
        (made.gguf(tensors=[made.gguf_tensor("a", [9]), made.gguf_tensor("b", [4], 0, 32)]),
         "overlaps"),
    ],
)  # fmt: skip
def test_a_damaged_gguf_file_is_refused(tmp_path: Path, data: bytes, message: str) -> None:
    text = said(look(tmp_path, m_gguf=data))
    assert text.startswith("m.gguf: weights.gguf: error: ")
    assert message in text


def test_arrays_within_arrays_have_a_limit(tmp_path: Path) -> None:
    deep = struct.pack("<IQ", 9, 1) * 6 + struct.pack("<IQ", 0, 0)
    assert "of no known type" in said(
        look(tmp_path, m_gguf=made.gguf([made.gguf_key("k", 9, deep)]))
    )


@pytest.mark.parametrize("booster", ["gbtree", "dart"])
def test_models_of_xgboost_pass_in_both_forms(tmp_path: Path, booster: str) -> None:
    value = made.xgboost(booster=booster, version=(2, 1, 3))
    found = look(tmp_path, m_json=json.dumps(value).encode(), n_ubj=made.ubj(value))
    assert said(found) == ""
    assert {one.form: one.version for one in found.xgboost.values()} == {
        "json": (2, 1, 3), "ubj": (2, 1, 3),
    }  # fmt: skip
    known = formats.classify(of_bytes(made.ubj(value)), "n.ubj")
    assert (known.name, known.hazards) == ("xgboost", ())


def test_what_xgboost_learned_is_listed(tmp_path: Path) -> None:
    value = made.xgboost(made.tree(), made.tree())
    found = look(tmp_path, m_json=json.dumps(value).encode(), n_ubj=made.ubj(value))
    lines = ("I32 [6] trees.split_indices", "F32 [6] trees.split_conditions")
    assert found.tensors == {"m.json": lines, "n.ubj": lines}
    line = made.xgboost()
    line["learner"]["gradient_booster"] = {"name": "gblinear", "model": {"weights": [0.5, 1.5]}}
    assert look(tmp_path, m_json=json.dumps(line).encode()).tensors == {
        "m.json": ("F32 [2] weights",)
    }
    line["learner"]["gradient_booster"]["model"] = {"weights": "x"}
    assert "`weights` is no list" in said(look(tmp_path, m_json=json.dumps(line).encode()))


def arrays(**kept: Any) -> bytes:
    out = io.BytesIO()
    np.savez_compressed(out, **kept)
    return out.getvalue()


def test_arrays_of_numpy_are_listed(tmp_path: Path) -> None:
    (tmp_path / "m.npz").write_bytes(arrays(w=np.zeros((300, 400), np.float16), b=np.zeros(2)))
    stored = io.BytesIO()
    np.savez(stored, t=np.zeros((), bool), text=np.array(["ab", "c"]))
    (tmp_path / "n.npz").write_bytes(stored.getvalue())
    rows = np.zeros(4, [("a", "<f4"), ("b", "<i8", (2,))])
    np.save(tmp_path / "rows.npy", rows)
    np.save(tmp_path / "w.npy", np.zeros((2, 3), np.complex64, order="F"))
    found = model_files.look({path.name: path for path in tmp_path.iterdir()})
    assert found.findings == []
    assert found.tensors == {
        "m.npz": ("F16 [300,400] w", "F64 [2] b"), "n.npz": ("BOOL [] t", "STRING [2] text"),
        "rows.npy": ("STRUCT [4] rows",), "w.npy": ("C64 [2,3] w",),
    }  # fmt: skip
    assert found.arrays["m.npz: w.npy"].size == 128 + 300 * 400 * 2
    assert found.arrays["rows.npy"].size == (tmp_path / "rows.npy").stat().st_size


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"numbers", "does not begin with"),
        (b"\x93NUMPY", "header cannot be read"),
        (b"\x93NUMPY\x03\x00\x00\x00", "header cannot be read"),
        (hostile_files.numpy_array("{"), "header cannot be read"),
        (hostile_files.numpy_array("'<f4'", bytes(7)), "reach to byte 136, the file has 135"),
        (hostile_files.numpy_array("'<f1'"), "its elements are `<f1`, which is no type of NumPy"),
        (hostile_files.numpy_array("'<f12'"), "which is no type of NumPy"),
        (hostile_files.numpy_array("[('a', '<f3')]"), "which is no type of NumPy"),
        (hostile_files.numpy_array("7"), "header cannot be read"),
        (hostile_files.numpy_array(version=4), "version 4.0 of its format"),
        (hostile_files.numpy_array(shape="(1 << 40, 1 << 40)"), "header cannot be read"),
        (hostile_files.numpy_array(shape="(1099511627776, 1099511627776)"), "overflows"),
        (hostile_files.numpy_array(shape="(-1,)"), "header cannot be read"),
    ],
)  # fmt: skip
def test_a_damaged_array_is_refused(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "m.npy").write_bytes(data)
    text = said(model_files.look({"m.npy": tmp_path / "m.npy"}))
    assert text.startswith("m.npy: weights.numpy: error: ")
    assert message in text
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a.npy", data)
    (tmp_path / "m.npz").write_bytes(packed.getvalue())
    assert said(model_files.look({"m.npz": tmp_path / "m.npz"})).startswith("m.npz: a.npy: ")


def test_a_tree_whose_leaves_are_vectors_passes(tmp_path: Path) -> None:
    value = changed(right_children=[2, 0, 1])
    assert said(look(tmp_path, m_json=json.dumps(value).encode(), n_ubj=made.ubj(value))) == ""


def changed(**keys: Any) -> dict[str, Any]:
    return made.xgboost({**made.tree(), **keys})


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (changed(left_children=[3, -1, -1]), "tree 0: node 0 leads to a node 3, there are 3"),
        (changed(left_children=[-7, -1, -1]), "leads to a node -7"),
        (changed(left_children=[0, -1, -1]), "leads to a node 0"),
        (changed(right_children=[1, -1, -1]), "two ways lead to node 1"),
        (changed(split_indices=[2, 0, 0]), "asks for feature 2, there are 2"),
        (changed(split_conditions=[0.5]), "`split_conditions` has not one entry"),
        (changed(tree_param={"num_nodes": "-1"}), "`num_nodes` is no number"),
        ({**made.xgboost(), "version": [1, 2]}, "`version` is not three numbers"),
        ({"learner": {"gradient_booster": {"name": "other"}}, "version": [1, 0, 0]}, "none of"),
        ({"learner": 1, "version": [1, 0, 0]}, "`learner` is missing"),
    ],
)
def test_a_model_of_xgboost_that_cannot_be_walked_is_refused(
    tmp_path: Path, value: dict[str, Any], message: str
) -> None:
    found = look(tmp_path, m_json=json.dumps(value).encode(), n_ubj=made.ubj(value))
    assert [one.rule for one in found.findings] == ["weights.xgboost"] * 2
    assert said(found).count(message) == 2


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (made.ubj(made.xgboost())[:-1], "ends too early"),
        (made.ubj(made.xgboost()) + b"x", "bytes come after its end"),
        (b"[" * 40, "nested deeper"),
        (b"[$l#L" + struct.pack(">q", 1 << 60), "more than"),
        (b"[$l#L" + struct.pack(">q", -1), "negative"),
        (b"[$l]", "without a count"),
        (b"[$Z#l\x00\x5b\x3f\xf9", "container of one constant"),
        (b"{i\x01aZi\x01aZ}", "stands twice"),
        (b"[#l\x7f\xff\xff\xff", "more than"),
        (b"Q", "there is no type `Q`"),
        (b"Si\x01\xff", "not UTF-8"),
    ],
)
def test_damaged_ubjson_is_refused(tmp_path: Path, data: bytes, message: str) -> None:
    text = said(look(tmp_path, m_ubj=data))
    assert text.startswith("m.ubj: weights.xgboost: error: is no whole model of XGBoost: ")
    assert message in text


def test_ubjson_has_every_kind_of_value() -> None:
    data = b"[ZTFi\xffU\xffI\x01\x00l\0\x01\0\0L" + bytes(7) + b"\x05d\0\0\0\0D" + bytes(8)
    data += b"CaSi\x01b[$U#i\x02\x01\x02[#i\x01Z{#i\x01i\x01kT{$i#i\x01i\x01k\x07]"
    assert ubjson.parse(of_bytes(data)) == (
        *(None, True, False, -1, 255, 256, 65536, 5, 0.0, 0.0, "a", "b", (1, 2), (None,)),
        *({"k": True}, {"k": 7}),
    )  # fmt: skip


def model(rows: int, *, vocab_size: int = 8, kind: str = "llama") -> dict[str, bytes]:
    tensors = {"model.embed_tokens.weight": ("F32", [rows, 1], 0, 4 * rows)}
    config = {"model_type": kind, "vocab_size": vocab_size}
    return {"m_safetensors": safetensors_file(tensors), "config_json": json.dumps(config).encode()}


def test_a_tokenizer_that_fits_passes(tmp_path: Path) -> None:
    files = model(8) | {"tokenizer_json": made.tokenizer(6, added=(6, 7))}
    assert said(look(tmp_path, **files)) == ""
    unigram = {"added_tokens": [], "model": {"type": "Unigram", "vocab": [["a", 0.0]] * 8}}
    files["tokenizer_json"] = json.dumps(unigram).encode()
    assert said(look(tmp_path, **files)) == ""


def test_a_token_without_a_row_is_refused(tmp_path: Path) -> None:
    for tokenizer in (made.tokenizer(9), made.tokenizer(6, added=(8,))):
        text = said(look(tmp_path, **model(8), tokenizer_json=tokenizer))
        assert text == (
            "tokenizer.json: weights.vocabulary: error: it gives token 8, the model has 8 tokens"
        )


def test_without_the_embedding_an_added_token_beyond_it_is_in_doubt(tmp_path: Path) -> None:
    config = json.dumps({"model_type": "other", "text_config": {"vocab_size": 8}}).encode()
    files = {"config_json": config, "tokenizer_json": made.tokenizer(6, added=(8,))}
    assert "weights.vocabulary: warning: it gives token 8" in said(look(tmp_path, **files))
    files["tokenizer_json"] = made.tokenizer(9)
    assert "weights.vocabulary: error: it gives token 8" in said(look(tmp_path, **files))


def test_an_embedding_of_another_size_is_refused(tmp_path: Path) -> None:
    text = said(look(tmp_path, **model(6, vocab_size=8)))
    assert text.startswith(
        "config.json: weights.vocabulary: error: `vocab_size` is 8, the embedding"
    )
    assert said(look(tmp_path, **model(6, vocab_size=8, kind="unheard-of"))) == ""


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"{", "not valid JSON"),
        (b"[]", "`model` is missing"),
        (b'{"model": {}}', "`model.vocab` is neither"),
        (b'{"model": {"vocab": {"a": -1}}}', "no number: `-1`"),
        (b'{"model": {"vocab": {"a": true}}}', "no number: `True`"),
        (b'{"model": {"vocab": {}}, "added_tokens": [1]}', "`added_tokens` is no list"),
        (b'{"model": {"vocab": {}}, "added_tokens": [{}]}', "no number: `None`"),
    ],
)
def test_a_damaged_tokenizer_is_refused(tmp_path: Path, data: bytes, message: str) -> None:
    text = said(look(tmp_path, tokenizer_json=data))
    assert text.startswith("tokenizer.json: weights.tokenizer: error: ")
    assert message in text


def test_messages_are_printable(tmp_path: Path) -> None:
    bad = "\x1b[31m\u202e"
    files = {
        "m_gguf": made.gguf([made.gguf_key(bad, 7, b"1")]),
        "m_onnx": made.onnx(made.onnx_graph(made.onnx_node("x", bad))),
        "n_onnx": made.onnx(made.onnx_graph(tensors=[made.onnx_outside(bad)])),
        "m_ubj": b"{i\x07learner{" + (b"i\x05\x1b[31m" + b"Z") * 2,
    }
    found = look(tmp_path, **files)
    assert len(found.findings) == 4
    assert all(one.message.isprintable() for one in found.findings)
