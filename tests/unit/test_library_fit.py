"""Model files against locked libraries: one file that is too new, or too old, for each rule."""

import json
from pathlib import Path
from typing import Any

import model_bytes as made
import pytest
from hostile_files import numpy_array, safetensors_file

from modelpack.checks.libraries import gate as libraries
from modelpack.checks.libraries import names as library_names
from modelpack.checks.libraries import quantiser_table, transformers_releases
from modelpack.checks.libraries import table as library_table
from modelpack.checks.libraries.locked import Held
from modelpack.checks.model_files import gate as model_files
from modelpack.lock import AssembledBase, Interpreter, PlatformLock, Wheel
from modelpack.platform import Platform

FITTING = {
    "transformers": "5.24.0", "torch": "2.14.1", "safetensors": "0.8.0", "tokenizers": "0.23.3",
    "onnxruntime": "1.32.0", "llama-cpp-python": "0.3.36", "xgboost": "3.2.0", "numpy": "2.4.6",
    "ml-dtypes": "0.6.0", "accelerate": "1.12.0", "optimum": "2.1.0", "gptqmodel": "5.4.0",
    "bitsandbytes": "0.49.0", "kernels": "0.18.2", "triton": "3.6.0", "torchao": "0.15.0",
    "compressed-tensors": "0.15.0", "hqq": "0.2.8",
}  # fmt: skip


def platform(**wheels: str) -> PlatformLock:
    """A platform with these wheels; `_` in a name stands for `-`."""
    found = {name.replace("_", "-"): version for name, version in wheels.items()}
    return PlatformLock(
        platform=Platform(os="linux", architecture="amd64"),
        base=AssembledBase(distribution="debian:13", releases=(), packages=()),
        interpreter=Interpreter(version="3.13.5", path="/usr/bin/python3.13", glibc="2.41"),
        wheels=tuple(
            Wheel(name=name, version=version, filename=f"{name}.whl", size=1, sha256="0" * 64)
            for name, version in found.items()
        ),
        bytecode="none",
    )


def config(**keys: Any) -> bytes:
    return json.dumps({"model_type": "llama", **keys}).encode()


def quantised(method: str, **keys: Any) -> bytes:
    return config(quantization_config={"quant_method": method}, **keys)


def tensors(dtype: str, size: int = 4) -> bytes:
    return safetensors_file({"w": (dtype, [4], 0, size)})


def judge(tmp_path: Path, name: str, data: bytes, *platforms: PlatformLock) -> list[str]:
    (tmp_path / name).write_bytes(data)
    looked = model_files.look({name: tmp_path / name})
    assert looked.findings == []
    found = libraries.findings(looked, platforms, "requirements.lock")
    assert all(one.rule == "weights.library" and one.at == name and one.hint for one in found)
    return [f"{one.severity}: {one.message}" for one in found]


CASES = [
    ("config.json", config(transformers_version="5.1.0"), {"transformers": "5.0.2"},
     "warning: was written by transformers 5.1.0, 5.0.2 is locked"),
    ("config.json", config(model_type="qwen3"), {"transformers": "4.50.3"},
     "error: `model_type` is `qwen3`: transformers reads that from 4.51 on, 4.50.3 is locked"),
    ("config.json", config(architectures=["Qwen3ForCausalLM"]), {"transformers": "4.50.3"},
     ("error: `architectures` names `Qwen3ForCausalLM`: transformers reads that from 4.51 on, "
      "4.50.3 is locked")),
    ("config.json", config(architectures=["Gemma3ForConditionalGeneration"]),
     {"transformers": "4.49.0"},
     ("error: `architectures` names `Gemma3ForConditionalGeneration`: transformers reads that from "
      "4.50 on, 4.49.0 is locked")),
    ("config.json", config(architectures=["TransfoXLModel"]), {"transformers": "5.0.0"},
     ("error: `architectures` names `TransfoXLModel`, which transformers 5.0 dropped: 5.0.0 is "
      "locked")),
    ("config.json", config(model_type="transfo-xl"), {"transformers": "5.0.0"},
     "error: `model_type` is `transfo-xl`, which transformers 5.0 dropped: 5.0.0 is locked"),
    ("config.json", quantised("mxfp4"), {"transformers": "4.54.1"},
     ("error: `quantization_config.quant_method` is `mxfp4`: transformers reads that from 4.55.0 "
     "on, 4.54.1 is locked")),
    ("config.json", quantised("gptq"), {"transformers": "4.57.1"},
     ("error: `quantization_config.quant_method` is `gptq`: transformers needs `gptqmodel` or "
     "`auto-gptq` for it, which is not locked")),
    ("config.json", quantised("gptq"), {"transformers": "5.0.0", "gptqmodel": "5.4.0"},
     ("warning: `quantization_config.quant_method` is `gptq`: transformers needs `optimum` for it, "
      "which is not locked")),
    ("config.json", quantised("awq"), {"transformers": "5.0.0", "autoawq": "0.2.9"},
     ("warning: `quantization_config.quant_method` is `awq`: transformers needs `gptqmodel` for "
      "it, which is not locked")),
    ("config.json", quantised("fp8"), {"transformers": "4.49.0"},
     ("error: `quantization_config.quant_method` is `fp8`: transformers needs `accelerate` for it, "
      "which is not locked")),
    ("config.json", quantised("mxfp4"), {"transformers": "5.4.0", "accelerate": "0.34.0"},
     ("error: `quantization_config.quant_method` is `mxfp4`: transformers 5.4.0 needs `accelerate` "
      "1.1.0 or newer for it, 0.34.0 is locked")),
    ("config.json", quantised("mxfp4"), {"transformers": "5.24.0", "triton": "3.3.1"},
     ("warning: `quantization_config.quant_method` is `mxfp4`: without `triton` 3.4.0 and "
      "`kernels` transformers dequantises the model, which then takes four times the memory")),
    ("config.json", quantised("bitsandbytes"),
     {"transformers": "5.0.0", "bitsandbytes": "0.45.0", "accelerate": "1.12.0"},
     ("error: `quantization_config.quant_method` is `bitsandbytes`: transformers 5.0.0 needs "
      "`bitsandbytes` 0.46.1 or newer for it, 0.45.0 is locked")),
    ("config.json", quantised("compressed-tensors"),
     {"transformers": "5.10.1", "compressed-tensors": "0.14.0"},
     ("error: `quantization_config.quant_method` is `compressed-tensors`: transformers 5.10.1 "
      "needs `compressed-tensors` 0.15.0 or newer for it, 0.14.0 is locked")),
    ("config.json", quantised("torchao"), {"transformers": "5.4.0", "torchao": "0.14.1"},
     ("error: `quantization_config.quant_method` is `torchao`: transformers 5.4.0 needs `torchao` "
      "0.15.0 or newer for it, 0.14.1 is locked")),
    ("config.json", quantised("hqq"), {"transformers": "4.45.0"},
     ("error: `quantization_config.quant_method` is `hqq`: transformers needs `hqq` for it, which "
      "is not locked")),
    ("config.json", quantised("nvfp4"), {"transformers": "5.15.0"},
     ("error: `quantization_config.quant_method` is `nvfp4`: transformers reads that from 5.16.0 "
      "on, 5.15.0 is locked")),
    ("config.json", quantised("modelopt"), {"transformers": "5.24.0"},
     ("warning: `quantization_config.quant_method` is `modelopt`, which no release of transformers "
      "up to 5.24.0 knows: the weights are taken for such as are not quantised")),
    ("config.json", config(quantization_config={"load_in_4bit": True}), {"transformers": "5.0.0"},
     ("error: `quantization_config.quant_method` is `bitsandbytes`: transformers needs "
     "`bitsandbytes` for it, which is not locked")),
    ("config.json", config(torch_dtype="float8_e4m3fn"), {"torch": "2.0.1"},
     "error: `torch_dtype` is `float8_e4m3fn`: torch reads that from 2.1.0 on, 2.0.1 is locked"),
    ("m.safetensors", tensors("F8_E4M3"), {"safetensors": "0.4.0"},
     "error: has tensors of F8_E4M3: safetensors reads that from 0.4.1 on, 0.4.0 is locked"),
    ("m.safetensors", tensors("F8_E5M2"), {"torch": "2.0.1"},
     "error: has tensors of F8_E5M2: torch reads that from 2.1.0 on, 2.0.1 is locked"),
    ("m.safetensors", tensors("F4", 2), {"safetensors": "0.5.3"},
     "error: has tensors of F4: safetensors reads that from 0.6.0 on, 0.5.3 is locked"),
    ("m.safetensors", tensors("F8_E8M0"), {"torch": "2.6.0"},
     "error: has tensors of F8_E8M0: torch reads that from 2.7.0 on, 2.6.0 is locked"),
    ("m.safetensors", tensors("F4", 2), {"torch": "2.7.1"},
     "error: has tensors of F4: torch reads that from 2.8.0 on, 2.7.1 is locked"),
    ("m.safetensors", tensors("U16", 8), {"torch": "2.2.2"},
     "error: has tensors of U16: torch reads that from 2.3.0 on, 2.2.2 is locked"),
    ("m.safetensors", tensors("BF16", 8), {"numpy": "2.4.6", "safetensors": "0.8.0"},
     "warning: has tensors of BF16, which safetensors gives to no NumPy"),
    ("m.npy", numpy_array(version=3), {"numpy": "1.16.6"},
     "error: is of version 3.0 of its format: numpy reads that from 1.17.0 on, 1.16.6 is locked"),
    ("m.npy", numpy_array("'<V2'"), {"numpy": "2.4.6"},
     ("warning: its elements are 2 bytes without a type, as NumPy writes bfloat16 and other types "
      "of `ml_dtypes`")),
    ("m.npy", numpy_array("'|O'", data=b"\x80\x04\x8c\x16numpy._core.multiarray"),
     {"numpy": "1.26.0"},
     ("error: holds objects that NumPy 2 pickled, by the name `numpy._core`: numpy reads that from "
      "1.26.1 on, 1.26.0 is locked")),
    ("tokenizer.json", made.tokenizer(pairs=True), {"tokenizers": "0.19.1"},
     "error: has its merges as pairs: tokenizers reads that from 0.20.0 on, 0.19.1 is locked"),
    ("m.onnx", made.onnx(ir=11), {"onnxruntime": "1.22.1"},
     ("error: the version of its format (IR) is 11, onnxruntime 1.22.1 is locked and loads up to "
     "10")),
    ("m.onnx", made.onnx(opsets={"": 22}), {"onnxruntime-gpu": "1.20.1"},
     ("error: the version of its operators (opset) is 22, onnxruntime-gpu 1.20.1 is locked and "
     "loads up to 21")),
    ("m.onnx", made.onnx(opsets={"": 17, "ai.onnx.ml": 5}), {"onnxruntime": "1.16.3"},
     ("error: the version of its `ai.onnx.ml` operators is 5, onnxruntime 1.16.3 is locked and "
     "loads up to 3")),
    ("m.onnx", made.onnx(ir=10), {"onnxruntime": "1.17.3"},
     "error: the version of its format (IR) is 10, onnxruntime 1.17.3 is locked and loads up to 9"),
    ("m.gguf", made.gguf(), {"llama-cpp-python": "0.1.80"},
     "error: is GGUF version 3: llama-cpp-python reads that from 0.1.81 on, 0.1.80 is locked"),
    ("m.gguf", made.gguf(architecture="qwen3"), {"llama-cpp-python": "0.3.8"},
     ("error: is of the architecture `qwen3`: llama-cpp-python reads that from 0.3.9 on, 0.3.8 is "
     "locked")),
    ("m.gguf", made.gguf(tensors=[made.gguf_tensor("a", [32], 39)]), {"llama-cpp-python": "0.3.14"},
     "error: has tensors of MXFP4: llama-cpp-python reads that from 0.3.15 on, 0.3.14 is locked"),
    ("m.gguf", made.gguf(architecture="qwen3next"), {"llama-cpp-python": "0.3.16"},
     ("error: is of the architecture `qwen3next`: llama-cpp-python reads that from 0.3.17 on, "
      "0.3.16 is locked")),
    ("m.ubj", made.ubj(made.xgboost(version=(1, 6, 0))), {"xgboost": "1.5.2"},
     "error: is a model of XGBoost in UBJ: xgboost reads that from 1.6.0 on, 1.5.2 is locked"),
    ("m.ubj", made.ubj(made.xgboost(version=(1, 6, 0))), {"xgboost-cpu": "1.5.2"},
     "error: is a model of XGBoost in UBJ: xgboost reads that from 1.6.0 on, 1.5.2 is locked"),
    ("m.ubj", made.ubj(made.xgboost(base="[5.2E-1]")), {"xgboost": "3.0.5"},
     ("error: has a list as `base_score`, without which it predicts other values: xgboost reads "
      "that from 3.1.0 on, 3.0.5 is locked")),
    ("m.ubj", made.ubj(made.xgboost({
        **made.tree(), "tree_param": {"num_nodes": "3", "num_feature": "2", "size_leaf_vector": "2"}
     })), {"xgboost": "1.7.6"},
     ("error: has trees whose leaves are vectors: xgboost reads that from 2.0.0 on, 1.7.6 is "
      "locked")),
    ("m.json", json.dumps(made.xgboost(version=(3, 1, 0))).encode(), {"xgboost": "3.0.5"},
     ("warning: was written by xgboost 3.1.0, 3.0.5 is locked: older releases are not promised to "
     "read it")),
]  # fmt: skip


@pytest.mark.parametrize(("name", "data", "wheels", "message"), CASES)
def test_what_a_locked_library_does_not_read_is_refused(
    tmp_path: Path, name: str, data: bytes, wheels: dict[str, str], message: str
) -> None:
    assert message in judge(tmp_path, name, data, platform(**wheels))
    both = judge(tmp_path, name, data, platform(**wheels), platform(**wheels))
    assert both.count(message) == 1


@pytest.mark.parametrize(("name", "data"), [
    (case[0], case[1]) for case in CASES
    if not any(word in case[1] for word in (b"transfo", b"TransfoXL", b"modelopt"))
])  # fmt: skip
def test_newer_libraries_read_all_of_it(tmp_path: Path, name: str, data: bytes) -> None:
    assert judge(tmp_path, name, data, platform(**FITTING)) == []


def test_what_is_not_known_is_not_judged(tmp_path: Path) -> None:
    unknown = made.onnx(ir=12, opsets={"": 99})
    for wheels in ({}, {"onnxruntime": "1.11.0"}, {"onnxruntime": "9.0"}, {"onnxruntime": "x"}):
        assert judge(tmp_path, "m.onnx", unknown, platform(**wheels)) == []
    newer = config(model_type="new", architectures=["NewModel", 7])
    for wheels in ({}, {"transformers": "4.20.0"}, {"transformers": "x"}):
        assert judge(tmp_path, "config.json", newer, platform(**wheels)) == []


def test_a_model_that_no_release_knows_is_told_and_not_refused(tmp_path: Path) -> None:
    data = config(model_type="new", architectures=["NewModel"])
    assert judge(tmp_path, "config.json", data, platform(transformers="5.24.0")) == [
        f"warning: {what}, which no release of transformers up to 5.24 knows"
        for what in ("`model_type` is `new`", "`architectures` names `NewModel`")
    ]
    assert judge(tmp_path, "config.json", data, platform(transformers="6.0.0")) == [
        f"warning: {what}, which transformers 6.0.0 may know: releases up to 5.24 do not"
        for what in ("`model_type` is `new`", "`architectures` names `NewModel`")
    ]


def test_a_kind_of_model_is_refused_once(tmp_path: Path) -> None:
    data = config(model_type="qwen3", architectures=["Qwen3ForCausalLM"])
    (only,) = judge(tmp_path, "config.json", data, platform(transformers="4.50.3"))
    assert only.startswith("error: `model_type` is `qwen3`")
    assert judge(tmp_path, "config.json", data, platform(transformers="4.51.0")) == []


def test_a_part_of_a_model_is_loaded_by_its_class(tmp_path: Path) -> None:
    data = config(model_type="clip_text_model", architectures=["CLIPTextModel"])
    (only,) = judge(tmp_path, "config.json", data, platform(transformers="4.40.0"))
    assert only.startswith("warning: `model_type` is `clip_text_model`: transformers reads that")
    assert judge(tmp_path, "config.json", data, platform(transformers="4.45.0")) == []


def test_what_came_with_the_first_release_that_was_looked_at_may_be_older(tmp_path: Path) -> None:
    data = config(model_type="bert", architectures=["BertForMaskedLM"])
    assert judge(tmp_path, "config.json", data, platform(transformers="4.20.0")) == []


def test_other_libraries_take_tensors_that_numpy_has_not(tmp_path: Path) -> None:
    for name in ("torch", "jax"):
        wheels = platform(numpy="2.4.6", safetensors="0.8.0", **{name: "2.15.0"})
        assert judge(tmp_path, "m.safetensors", tensors("BF16", 8), wheels) == []
    wheels = platform(numpy="2.4.6", safetensors="0.8.0")
    assert judge(tmp_path, "m.safetensors", tensors("F16", 8), wheels) == []


def test_a_long_header_of_numpy_is_in_doubt(tmp_path: Path) -> None:
    descr = str([(f"field{number}", "<f4") for number in range(800)])
    data = numpy_array(descr, shape="(0,)")
    assert judge(tmp_path, "m.npy", data, platform(numpy="1.23.0")) == []
    (found,) = judge(tmp_path, "m.npy", data, platform(numpy="1.23.5"))
    assert "`numpy.load` refuses more than 10000" in found


def test_a_hint_names_the_package_that_is_locked(tmp_path: Path) -> None:
    (tmp_path / "m.ubj").write_bytes(made.ubj(made.xgboost()))
    looked = model_files.look({"m.ubj": tmp_path / "m.ubj"})
    for name in ("xgboost", "xgboost-cpu"):
        found = libraries.findings(looked, [platform(**{name: "1.5.2"})], "requirements.lock")
        assert found[0].hint.startswith(f"change `{name}` in requirements.lock, then")


def test_a_base_score_of_one_half_is_the_same_for_all_releases(tmp_path: Path) -> None:
    for base in ("[5E-1]", "5.2E-1"):
        data = made.ubj(made.xgboost(base=base))
        assert judge(tmp_path, "m.ubj", data, platform(xgboost="3.0.5")) == []


def test_the_package_that_a_quantised_model_needs_may_be_locked(tmp_path: Path) -> None:
    data = quantised("gptq")
    for name in ("gptqmodel", "auto-gptq", "vllm"):
        wheels = platform(**{"transformers": "4.57.1", "optimum": "1.27.0", name: "1.5.0"})
        assert judge(tmp_path, "config.json", data, wheels) == []
    assert judge(tmp_path, "config.json", data, platform(transformers="4.37.0")) == []


def test_a_model_with_its_own_code_is_not_looked_up(tmp_path: Path) -> None:
    data = config(model_type="qwen3", auto_map={"AutoModel": "modeling.Model"})
    assert judge(tmp_path, "config.json", data, platform(transformers="4.40.0")) == []


def test_the_table_has_a_date_and_sources() -> None:
    tables = [one for one in vars(library_table).values() if isinstance(one, library_table.Table)]
    assert len(tables) >= 8
    assert all(one.source.startswith("https://") and one.first for one in tables)
    assert library_table.LOOKED_UP.count("-") == 2
    assert {one.library for one in tables} <= library_names.names()
    known = transformers_releases.table()
    assert known.source.startswith("https://")
    assert known.looked_up == library_table.LOOKED_UP
    assert quantiser_table.LAST[:2] == known.last


def test_the_table_of_releases_agrees_with_what_is_known_of_them() -> None:
    known = transformers_releases.table()
    assert known.types["llama"] == (known.earliest, None)
    assert known.types["qwen3"] == ((4, 51), None)
    assert known.types["transfo-xl"] == (known.earliest, (5, 0))
    assert known.classes["Gemma3ForConditionalGeneration"] == ((4, 50), None)
    assert known.classes["GptOssForCausalLM"] == ((4, 55), None)
    assert len(known.types) > 800
    assert len(known.classes) > 1800
    for span in (*known.types.values(), *known.classes.values()):
        assert known.earliest <= span.first <= known.last
        assert span.gone is None or span.first < span.gone <= known.last


def test_what_a_quantised_model_needs_is_known_by_name() -> None:
    assert set(quantiser_table.NEEDED) <= set(quantiser_table.METHODS.first)
    for method, eras in quantiser_table.NEEDED.items():
        assert list(eras) == sorted(eras)
        assert min(eras) >= quantiser_table.METHODS.first[method]
        needed = {name for groups in eras.values() for group in groups for name in group}
        assert needed <= library_names.names()


ROWS = [
    (rows, key, first)
    for rows in (*vars(library_table).values(), quantiser_table.METHODS)
    if isinstance(rows, library_table.Table)
    for key, first in rows.first.items()
]


@pytest.mark.parametrize(("rows", "key", "first"), ROWS)
def test_each_row_refuses_the_release_before_it_and_no_later_one(
    rows: library_table.Table, key: str, first: library_table.Version
) -> None:
    def found(version: tuple[int, ...]) -> list[str]:
        wheels = {rows.library: ".".join(map(str, version))}
        held = Held(at="m", wheels=wheels, lockfile="requirements.lock")
        return [one.severity for one in held.known(rows, key, "it")]

    major, minor, patch = first
    before = (major, minor, patch - 1) if patch else (major, minor - 1, 99)
    before = before if before[1] >= 0 else (major - 1, 999, 99)
    assert found(before) == ["error"]
    assert found(first) == found((major + 1, 0, 0)) == []


ERAS = [
    (method, since, group)
    for method, eras in quantiser_table.NEEDED.items()
    for since, groups in eras.items()
    for group in groups
]


@pytest.mark.parametrize(("method", "since", "group"), ERAS)
def test_a_quantised_model_without_its_package_is_refused(
    tmp_path: Path, method: str, since: library_table.Version, group: tuple[str, ...]
) -> None:
    version = ".".join(map(str, since))
    either = " or ".join(f"`{name}`" for name in group)
    message = (
        f"error: `quantization_config.quant_method` is `{method}`: transformers needs {either} "
        "for it, which is not locked"
    )
    data = quantised(method)
    assert message in judge(tmp_path, "config.json", data, platform(transformers=version))
    for name in group:
        wheels = platform(**{"transformers": version, name: "99.0.0"})
        assert message not in judge(tmp_path, "config.json", data, wheels)


def asking_for(name: str, since: library_table.Version) -> str:
    """A method for which that release wants the package."""
    for method, eras in quantiser_table.NEEDED.items():
        known = [era for era in eras if era <= since]
        if known and any(name in group for group in eras[max(known)]):
            return method
    raise AssertionError(f"no method asks for {name}")


LEAST = [(name, *row) for name, eras in quantiser_table.LEAST.items() for row in eras.items()]


@pytest.mark.parametrize(("name", "since", "least"), LEAST)
def test_a_package_that_is_too_old_for_transformers_is_refused(
    tmp_path: Path, name: str, since: library_table.Version, least: library_table.Version
) -> None:
    method = asking_for(name, since)
    words = ".".join(map(str, least))
    locked = {"transformers": ".".join(map(str, since)), name: "0.0.1"}
    found = judge(tmp_path, "config.json", quantised(method), platform(**locked))
    assert any(f"needs `{name}` {words} or newer for it, 0.0.1 is locked" in one for one in found)
    sure = name not in quantiser_table.LOADERS
    assert all(
        one.startswith("error: " if sure else "warning: ") for one in found if "newer" in one
    )
    locked[name] = words
    found = judge(tmp_path, "config.json", quantised(method), platform(**locked))
    assert not any(f"`{name}`" in one and "newer" in one for one in found)


@pytest.mark.parametrize("minor", library_table.ONNX_RUNTIME)
def test_each_release_of_onnx_runtime_loads_up_to_its_limits(
    tmp_path: Path, minor: tuple[int, int]
) -> None:
    limits = library_table.ONNX_RUNTIME[minor]
    wheels = platform(onnxruntime=f"{minor[0]}.{minor[1]}.0")
    most = {"": limits.opset, "ai.onnx.ml": limits.ml_opset}
    assert judge(tmp_path, "m.onnx", made.onnx(ir=limits.ir, opsets=most), wheels) == []
    for data in (
        made.onnx(ir=limits.ir + 1, opsets=most),
        made.onnx(ir=limits.ir, opsets={**most, "": limits.opset + 1}),
        made.onnx(ir=limits.ir, opsets={**most, "ai.onnx.ml": limits.ml_opset + 1}),
    ):
        (only,) = judge(tmp_path, "m.onnx", data, wheels)
        assert only.startswith("error: the version of its")
