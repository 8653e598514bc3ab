"""Which release of a library first reads what; looked up on LOOKED_UP, source by source.

Measured rows come from the published wheels themselves: one small file of each kind was given to
the releases beside the change. What no row proves is not judged: neither what is unknown here nor
releases after the last one that was looked at.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

LOOKED_UP = "2026-11-25"

Version = tuple[int, int, int]


class Table(NamedTuple):
    """What the releases of one library read."""

    library: str
    "its distribution, as in the lock"
    first: Mapping[str, Version]
    "what is in a file to the first release that reads it"
    source: str


class OnnxLimits(NamedTuple):
    """The newest models that a release of ONNX Runtime loads."""

    opset: int
    ml_opset: int
    ir: int


SAFETENSORS_DTYPES = Table(
    "safetensors",
    MappingProxyType({
        **dict.fromkeys(("F8_E4M3", "F8_E5M2"), (0, 4, 1)),
        **dict.fromkeys(("F8_E8M0", "F4", "F6_E2M3", "F6_E3M2"), (0, 6, 0)),
        "C64": (0, 7, 0),
        **dict.fromkeys(("F8_E4M3FNUZ", "F8_E5M2FNUZ"), (0, 8, 0)),
    }),
    "https://github.com/huggingface/safetensors/releases; measured with 0.3.1 to 0.8.0",
)  # fmt: skip

TORCH_DTYPES = Table(
    "torch",
    MappingProxyType({
        **dict.fromkeys(("F8_E4M3", "F8_E5M2", "float8_e4m3fn", "float8_e5m2"), (2, 1, 0)),
        **dict.fromkeys(("F8_E4M3FNUZ", "F8_E5M2FNUZ"), (2, 2, 0)),
        **dict.fromkeys(("float8_e4m3fnuz", "float8_e5m2fnuz"), (2, 2, 0)),
        **dict.fromkeys(("U16", "U32", "U64", "uint16", "uint32", "uint64"), (2, 3, 0)),
        **dict.fromkeys(("F8_E8M0", "float8_e8m0fnu"), (2, 7, 0)),
        **dict.fromkeys(("F4", "float4_e2m1fn_x2"), (2, 8, 0)),
    }),
    "https://github.com/huggingface/safetensors/blob/main/bindings/python/py_src/safetensors/"
    "torch.py; c10/core/ScalarType.h in the wheels of 2.0.0 to 2.8.0",
)  # fmt: skip

TOKENIZER_MERGES = Table(
    "tokenizers",
    MappingProxyType({"merges": (0, 20, 0)}),
    "https://github.com/huggingface/tokenizers/releases/tag/v0.20.0; measured with 0.19.1, 0.20.0",
)
"`merges` as pairs: older releases read lines of two words only"

XGBOOST_FORMATS = Table(
    "xgboost",
    MappingProxyType({
        "json": (1, 0, 0), "ubj": (1, 6, 0), "vectors": (2, 0, 0), "base_score": (3, 1, 0),
    }),
    "https://xgboost.readthedocs.io/en/release_3.2.0/tutorials/saving_model.html; models of 3.2.0 "
    "loaded by 1.7.6, 2.1.4, 3.0.5 and 3.1.1",
)  # fmt: skip
"""`base_score` as a list, `[5.2E-1]`: older releases load it without a word, take 0.5 instead, and
predict other values"""

GGUF = Table(
    "llama-cpp-python",
    MappingProxyType({"2": (0, 1, 81), "3": (0, 1, 81)}),
    "https://github.com/abetlen/llama-cpp-python/releases; GGUF_VERSION and gguf_init_from_file in "
    "the ggml.c of the source distributions of 0.1.79 to 0.2.12",
)

_ARCHITECTURES: Mapping[Version, str] = MappingProxyType(
    {
        (0, 3, 8): "gemma3",
        (0, 3, 9): "arwkv7 bailingmoe glm4 llama4 nomic-bert-moe plm qwen3 qwen3moe rwkv7",
        (0, 3, 15): "dream ernie4_5-moe exaone4 glm4moe gpt-oss hunyuan-dense llada smallthinker",
        (0, 3, 17): "afmoe apertus bailingmoe2 clip cogvlm eurobert exaone-moe gemma-embedding "
        "glm-dsa grovemoe jais2 jina-bert-v3 kimi-linear lfm2moe llada-moe llama-embed maincoder "
        "mimo2 minimax-m2 mistral3 mistral4 modern-bert nemotron_h nemotron_h_moe paddleocr "
        "pangu-embedded plamo3 qwen35 qwen35moe qwen3next qwen3vl qwen3vlmoe rnd1 seed_oss step35",
        (0, 3, 19): "deepseek2-ocr",
        (0, 3, 20): "gemma4",
        (0, 3, 21): "hunyuan_vl",
        (0, 3, 24): "deepseek32 talkie",
        (0, 3, 26): "mellum",
        (0, 3, 28): "gemma4-assistant",
        (0, 3, 29): "eagle3",
        (0, 3, 30): "cohere2moe",
        (0, 3, 32): "dflash",
        (0, 3, 33): "deepseek4",
        (
            0,
            3,
            35,
        ): "graniteswitch hy_v3 kimi-k3 laguna minimax-01 minimax-m3 muse-glimmer nanbeige "
        "pockettts qwen3tts",
        (0, 3, 36): "bailingmoe3 dots3note glm5-next granite_swa hrm_text hy_v4 maple qwen4exp "
        "spark2_5",
    }
)

GGUF_ARCHITECTURES = Table(
    "llama-cpp-python",
    MappingProxyType({
        name: first for first, names in _ARCHITECTURES.items() for name in names.split()
    }),
    "https://github.com/abetlen/llama-cpp-python/releases; LLM_ARCH_NAMES in the llama.cpp of the "
    "source distributions of 0.3.7, 0.3.8, 0.3.9 and 0.3.14 to 0.3.36",
)  # fmt: skip
"`general.architecture` of a GGUF file"

GGUF_TYPES = Table(
    "llama-cpp-python",
    MappingProxyType({"MXFP4": (0, 3, 15), "NVFP4": (0, 3, 17), "Q1_0": (0, 3, 21)}),
    "https://github.com/abetlen/llama-cpp-python/releases; ggml.h in the source distributions of "
    "0.3.14 to 0.3.36",
)

NUMPY_ARRAYS = Table(
    "numpy",
    MappingProxyType({"3.0": (1, 17, 0), "numpy._core": (1, 26, 1)}),
    "https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html; numpy/lib/format.py "
    "and numpy/_core in the wheels of 1.16.6, 1.17.0, 1.26.0 and 1.26.1",
)
"""versions of the format of a `.npy` file; and the module that pickles of NumPy 2 name, of which
1.26.1 is the first release before it to have a stand-in"""

NUMPY_HEADER: tuple[Version, int] = ((1, 23, 5), 10_000)
"""from which release on `numpy.load` refuses a header of more characters, unless it is told
`max_header_size`: _MAX_HEADER_SIZE of numpy/lib/format.py, not in 1.23.0, in 1.23.5 to 2.4.6"""

ML_DTYPES = "ml-dtypes"
ARRAYS_OF_OTHERS = ("torch", "jax", "jaxlib", "tensorflow", "tensorflow-cpu", "paddlepaddle", "mlx")
"any of which makes tensors of the types that NumPy has not"
NOT_OF_NUMPY = frozenset({
    "BF16", "F8_E4M3", "F8_E5M2", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ", "F4",
    "F6_E2M3", "F6_E3M2",
})  # fmt: skip
"""types of tensors that `safetensors.numpy` and `safe_open(framework="numpy")` refuse: measured
with safetensors 0.3.1 to 0.8.0 and NumPy 2.4.6, with and without ml_dtypes beside them"""

_TO_1_31 = OnnxLimits(26, 5, 13)
ONNX_RUNTIME: Mapping[tuple[int, int], OnnxLimits] = MappingProxyType({
    (1, 12): OnnxLimits(17, 3, 8), (1, 13): OnnxLimits(17, 3, 8), (1, 14): OnnxLimits(18, 3, 8),
    (1, 15): OnnxLimits(19, 3, 9), (1, 16): OnnxLimits(19, 3, 9), (1, 17): OnnxLimits(20, 4, 9),
    (1, 18): OnnxLimits(21, 5, 10), (1, 19): OnnxLimits(21, 5, 10), (1, 20): OnnxLimits(21, 5, 10),
    (1, 21): OnnxLimits(22, 5, 10), (1, 22): OnnxLimits(22, 5, 10), (1, 23): OnnxLimits(23, 5, 11),
    (1, 24): OnnxLimits(25, 5, 13), **{(1, minor): _TO_1_31 for minor in range(25, 32)},
    (1, 32): OnnxLimits(28, 5, 14),
})  # fmt: skip
"""Up to 1.14: https://onnxruntime.ai/docs/reference/compatibility.html. From 1.15 on what the
wheels say themselves when they refuse a model: "max supported IR version", "official support for
domain ai.onnx is till opset"."""

RUNTIMES = ("onnxruntime", "onnxruntime-gpu")
READERS = frozenset({
    "vllm", "sglang", "lmdeploy", "tensorrt-llm", "exllamav2", "exllamav3", "mlx-lm", "mlc-llm",
})  # fmt: skip
"that read models by themselves, whatever transformers knows"
TWINS = {"xgboost-cpu": "xgboost"}
"distributions of the same library and version, under another name"
