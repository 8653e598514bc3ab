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
    }),
    "https://github.com/huggingface/safetensors/pull/404",
)  # fmt: skip

TOKENIZER_MERGES = Table(
    "tokenizers",
    MappingProxyType({"merges": (0, 20, 0)}),
    "https://github.com/huggingface/tokenizers/releases/tag/v0.20.0; measured with 0.19.1, 0.20.0",
)
"`merges` as pairs: older releases read lines of two words only"

XGBOOST_FORMATS = Table(
    "xgboost",
    MappingProxyType({"json": (1, 0, 0), "ubj": (1, 6, 0)}),
    "https://xgboost.readthedocs.io/en/release_3.2.0/tutorials/saving_model.html",
)

GGUF = Table(
    "llama-cpp-python",
    MappingProxyType({"gguf": (0, 1, 79)}),
    "https://github.com/abetlen/llama-cpp-python#readme",
)

_ARCHITECTURES: Mapping[Version, str] = MappingProxyType(
    {
        (0, 3, 8): "gemma3",
        (0, 3, 9): "arwkv7 bailingmoe glm4 llama4 nomic-bert-moe plm qwen3 qwen3moe rwkv7",
        (0, 3, 15): "dream ernie4_5-moe exaone4 glm4moe gpt-oss hunyuan-dense llada smallthinker",
    }
)

GGUF_ARCHITECTURES = Table(
    "llama-cpp-python",
    MappingProxyType({
        name: first for first, names in _ARCHITECTURES.items() for name in names.split()
    }),
    "https://github.com/abetlen/llama-cpp-python/releases; LLM_ARCH_NAMES in the llama.cpp of the "
    "source distributions of 0.3.7, 0.3.8, 0.3.9, 0.3.14 and 0.3.15",
)  # fmt: skip
"`general.architecture` of a GGUF file"

GGUF_TYPES = Table(
    "llama-cpp-python",
    MappingProxyType({"MXFP4": (0, 3, 15)}),
    "https://github.com/abetlen/llama-cpp-python/releases; ggml.h in the source distributions of "
    "0.3.14 and 0.3.15",
)

_MODELS: Mapping[Version, str] = MappingProxyType({
    (4, 38, 0): "gemma depth_anything stablelm",
    (4, 39, 0): "cohere llava_next mamba starcoder2 superpoint udop",
    (4, 40, 0): "dbrx idefics2 jamba olmo qwen2_moe recurrent_gemma grounding-dino",
    (4, 41, 0): "jetmoe paligemma phi3 video_llava",
    (4, 42, 0): "gemma2 instructblipvideo rt_detr",
    (4, 43, 0): "chameleon hiera zoedepth",
    (4, 44, 0): "mamba2 nemotron",
    (4, 45, 0): "falcon_mamba granite granitemoe llava_onevision mimi mllama olmoe pixtral "
    "qwen2_audio qwen2_vl",
    (4, 46, 0): "glm idefics3 moshi phimoe zamba",
    (4, 47, 0): "ijepa olmo2",
    (4, 48, 0): "aria bamba cohere2 colpali diffllama emu3 modernbert moonshine vitpose",
    (4, 49, 0): "dab-detr depth_pro got_ocr2 granitemoeshared helium qwen2_5_vl rt_detr_v2 "
    "superglue zamba2",
    (4, 50, 0): "aya_vision gemma3 gemma3_text mistral3 shieldgemma2 siglip2 smolvlm",
    (4, 51, 0): "deepseek_v3 llama4 llama4_text phi4_multimodal qwen3 qwen3_moe",
    (4, 52, 0): "bitnet csm d_fine glm4 granite_speech granitemoehybrid internvl janus mlcd "
    "qwen2_5_omni sam_hq timesfm",
    (4, 53, 0): "arcee colqwen2 dia dots1 falcon_h1 gemma3n gemma3n_text glm4v lightglue minimax "
    "smollm3 t5gemma vjepa2",
    (4, 54, 0): "aimv2 deepseek_v2 deepseek_vl doge eomt ernie4_5 ernie4_5_moe evolla exaone4 "
    "glm4_moe lfm2 modernbert-decoder perception_lm voxtral xlstm",
    (4, 55, 0): "cohere2_vision gpt_oss mm-grounding-dino",
    (4, 56, 0): "apertus dinov3_convnext dinov3_vit florence2 glm4v_moe hunyuan_v1_dense "
    "hunyuan_v1_moe metaclip_2 ovis2 sam2 sam2_video seed_oss xcodec",
    (4, 57, 0): "blt edgetam flex_olmo lfm2_vl longcat_flash ministral olmo3 parakeet_ctc "
    "qwen3_next qwen3_omni_moe qwen3_vl qwen3_vl_moe vaultgemma",
    (5, 0, 0): "afmoe audioflamingo3 cwm ernie4_5_vl_moe fast_vlm glm46v glm4_moe_lite glm_image "
    "glmasr jais2 lfm2_moe lighton_ocr lw_detr minimax_m2 ministral3 nanochat paddleocr_vl pixio "
    "sam3 solar_open t5gemma2 video_llama_3",
})  # fmt: skip

TRANSFORMERS_MODELS = Table(
    "transformers",
    MappingProxyType({name: first for first, names in _MODELS.items() for name in names.split()}),
    "https://github.com/huggingface/transformers/releases; "
    "CONFIG_MAPPING_NAMES in the wheels of 4.37.0 to 5.0.0",
)
"`model_type` of a config.json"

_REMOVED = (
    "deta efficientformer ernie_m gptsan-japanese graphormer jukebox mctct mega nat nezha "
    "open-llama qdqbert realm retribert speech_to_text_2 trajectory_transformer transfo-xl "
    "tvlt van vit_hybrid xlm-prophetnet"
)
TRANSFORMERS_REMOVED: Mapping[str, Version] = MappingProxyType(
    dict.fromkeys(_REMOVED.split(), (5, 0, 0))
)
"`model_type` to the first release that no longer knows it; measured with 4.57.1 and 5.0.0"

TRANSFORMERS_QUANTISED = Table(
    "transformers",
    MappingProxyType({
        "aqlm": (4, 38, 0), "quanto": (4, 39, 0), "eetq": (4, 41, 0), "hqq": (4, 41, 0),
        "fbgemm_fp8": (4, 43, 0), "compressed-tensors": (4, 45, 0), "torchao": (4, 45, 0),
        "bitnet": (4, 46, 0), "vptq": (4, 48, 0), "higgs": (4, 48, 0), "fp8": (4, 49, 0),
        "spqr": (4, 49, 0), "quark": (4, 50, 0), "auto-round": (4, 52, 0), "fp_quant": (4, 54, 0),
        "mxfp4": (4, 55, 0),
    }),
    "https://github.com/huggingface/transformers/blob/main/src/transformers/utils/"
    "quantization_config.py; QuantizationMethod in the wheels of 4.37.0 to 5.0.0",
)  # fmt: skip
"`quantization_config.quant_method` of a config.json"

QUANTISERS: Mapping[str, tuple[str, ...]] = MappingProxyType({
    "aqlm": ("aqlm",), "auto-round": ("auto-round",), "awq": ("autoawq", "gptqmodel"),
    "bitsandbytes": ("bitsandbytes",), "compressed-tensors": ("compressed-tensors",),
    "eetq": ("eetq",), "gptq": ("gptqmodel", "auto-gptq"), "hqq": ("hqq",),
    "quanto": ("optimum-quanto",), "torchao": ("torchao",), "vptq": ("vptq",),
})  # fmt: skip
"""Which package, one of several, transformers wants beside itself, by `quant_method`: what
`validate_environment` of https://github.com/huggingface/transformers/tree/main/src/transformers/
quantizers raises ImportError for, in the wheel of 4.57.1."""

_TO_1_31 = OnnxLimits(26, 5, 13)
ONNX_RUNTIME: Mapping[tuple[int, int], OnnxLimits] = MappingProxyType({
    (1, 12): OnnxLimits(17, 3, 8), (1, 13): OnnxLimits(17, 3, 8), (1, 14): OnnxLimits(18, 3, 8),
    (1, 16): OnnxLimits(19, 3, 9), (1, 20): OnnxLimits(21, 5, 10), (1, 21): OnnxLimits(22, 5, 10),
    (1, 22): OnnxLimits(22, 5, 10), (1, 23): OnnxLimits(23, 5, 11), (1, 24): OnnxLimits(25, 5, 13),
    **{(1, minor): _TO_1_31 for minor in range(25, 32)},
    (1, 32): OnnxLimits(28, 5, 14),
})  # fmt: skip
"""Up to 1.16: https://onnxruntime.ai/docs/reference/compatibility.html. From 1.20 on what the
wheels say themselves when they refuse a model: "max supported IR version", "official support for
domain ai.onnx is till opset"."""

RUNTIMES = ("onnxruntime", "onnxruntime-gpu")
READERS = frozenset({"vllm", "sglang", "lmdeploy"})
"that read models by themselves, whatever transformers knows"
TWINS = {"xgboost-cpu": "xgboost"}
"distributions of the same library and version, under another name"


def names() -> frozenset[str]:
    """Return the distributions that a verdict depends on."""
    tables = [value for value in globals().values() if isinstance(value, Table)]
    needed = [name for names in QUANTISERS.values() for name in names]
    return frozenset({*(one.library for one in tables), *RUNTIMES, *READERS, *TWINS, *needed})
