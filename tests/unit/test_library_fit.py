"""Model files against locked libraries: one file that is too new, or too old, for each rule."""

import json
from pathlib import Path
from typing import Any

import model_bytes as made
import pytest
from hostile_files import safetensors_file

from modelpack.checks import libraries, library_table, model_files
from modelpack.lock import AssembledBase, Interpreter, PlatformLock, Wheel
from modelpack.platform import Platform

FITTING = {
    "transformers": "5.24.0", "torch": "2.14.1", "safetensors": "0.8.0", "tokenizers": "0.23.3",
    "onnxruntime": "1.32.0", "llama-cpp-python": "0.3.36", "xgboost": "3.2.0",
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
     "error: `model_type` is `qwen3`: transformers reads that from 4.51.0 on, 4.50.3 is locked"),
    ("config.json", config(model_type="transfo-xl"), {"transformers": "5.0.0"},
     "error: `model_type` is `transfo-xl`, which transformers 5.0.0 dropped: 5.0.0 is locked"),
    ("config.json", quantised("mxfp4"), {"transformers": "4.54.1"},
     ("error: `quantization_config.quant_method` is `mxfp4`: transformers reads that from 4.55.0 "
     "on, 4.54.1 is locked")),
    ("config.json", quantised("gptq"), {"transformers": "4.57.1"},
     ("error: `quantization_config.quant_method` is `gptq`: transformers needs `gptqmodel` or "
     "`auto-gptq` for it, which is not locked")),
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
    ("m.gguf", made.gguf(), {"llama-cpp-python": "0.1.78"},
     "error: is GGUF: llama-cpp-python reads that from 0.1.79 on, 0.1.78 is locked"),
    ("m.gguf", made.gguf(architecture="qwen3"), {"llama-cpp-python": "0.3.8"},
     ("error: is of the architecture `qwen3`: llama-cpp-python reads that from 0.3.9 on, 0.3.8 is "
     "locked")),
    ("m.gguf", made.gguf(tensors=[made.gguf_tensor("a", [32], 39)]), {"llama-cpp-python": "0.3.14"},
     "error: has tensors of MXFP4: llama-cpp-python reads that from 0.3.15 on, 0.3.14 is locked"),
    ("m.ubj", made.ubj(made.xgboost(version=(1, 6, 0))), {"xgboost": "1.5.2"},
     "error: is a model of XGBoost in UBJ: xgboost reads that from 1.6.0 on, 1.5.2 is locked"),
    ("m.ubj", made.ubj(made.xgboost(version=(1, 6, 0))), {"xgboost-cpu": "1.5.2"},
     "error: is a model of XGBoost in UBJ: xgboost reads that from 1.6.0 on, 1.5.2 is locked"),
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
    if b"gptq" not in case[1] and b"load_in" not in case[1] and b"transfo" not in case[1]
])  # fmt: skip
def test_newer_libraries_read_all_of_it(tmp_path: Path, name: str, data: bytes) -> None:
    assert judge(tmp_path, name, data, platform(**FITTING)) == []


def test_what_is_not_known_is_not_judged(tmp_path: Path) -> None:
    unknown = made.onnx(ir=12, opsets={"": 99})
    for wheels in ({}, {"onnxruntime": "1.18.0"}, {"onnxruntime": "9.0"}, {"onnxruntime": "x"}):
        assert judge(tmp_path, "m.onnx", unknown, platform(**wheels)) == []
    assert judge(tmp_path, "config.json", config(model_type="new"), platform(**FITTING)) == []


def test_the_package_that_a_quantised_model_needs_may_be_locked(tmp_path: Path) -> None:
    for name in ("gptqmodel", "auto-gptq", "vllm"):
        wheels = platform(**FITTING, **{name: "1.0"})
        assert judge(tmp_path, "config.json", quantised("gptq"), wheels) == []


def test_a_model_with_its_own_code_is_not_looked_up(tmp_path: Path) -> None:
    data = config(model_type="qwen3", auto_map={"AutoModel": "modeling.Model"})
    assert judge(tmp_path, "config.json", data, platform(transformers="4.40.0")) == []


def test_the_table_has_a_date_and_sources() -> None:
    tables = [one for one in vars(library_table).values() if isinstance(one, library_table.Table)]
    assert len(tables) >= 8
    assert all(one.source.startswith("https://") and one.first for one in tables)
    assert library_table.LOOKED_UP.count("-") == 2
    assert {one.library for one in tables} <= library_table.names()
