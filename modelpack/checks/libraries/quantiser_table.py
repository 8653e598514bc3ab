"""What transformers wants beside itself for a quantised model, by `quant_method` and release.

Read out of the wheels of 4.38.0 to 5.24.0: what `validate_environment` of each module of
`transformers/quantizers` raises ImportError for, and the least versions that
`transformers/utils/import_utils.py` lets pass. Looked up on LOOKED_UP of `library_table`.
"""

from collections.abc import Mapping
from types import MappingProxyType

from modelpack.checks.libraries.table import Table, Version

SOURCE = "https://github.com/huggingface/transformers/tree/main/src/transformers/quantizers"

METHODS = Table(
    "transformers",
    MappingProxyType({
        "bitsandbytes": (4, 32, 0), "gptq": (4, 32, 0), "awq": (4, 35, 0), "aqlm": (4, 38, 0),
        "bitsandbytes_4bit": (4, 38, 0), "bitsandbytes_8bit": (4, 38, 0), "quanto": (4, 39, 0),
        "eetq": (4, 41, 0), "hqq": (4, 41, 0), "fbgemm_fp8": (4, 43, 0),
        "compressed-tensors": (4, 45, 0), "torchao": (4, 45, 0), "bitnet": (4, 46, 0),
        "higgs": (4, 48, 0), "vptq": (4, 48, 0), "fp8": (4, 49, 0), "spqr": (4, 49, 0),
        "quark": (4, 50, 0), "auto-round": (4, 52, 0), "fp_quant": (4, 54, 0),
        "mxfp4": (4, 55, 0), "sinq": (5, 2, 0), "fouroversix": (5, 3, 0), "metal": (5, 3, 0),
        "gemma": (5, 11, 0), "mxfp8": (5, 12, 0), "nvfp4": (5, 16, 0), "gguf": (5, 17, 0),
    }),
    "https://github.com/huggingface/transformers/blob/main/src/transformers/utils/"
    "quantization_config.py; QuantizationMethod in the wheels of 4.32.0 to 5.24.0",
)  # fmt: skip
"`quantization_config.quant_method` of a config.json"
LAST: Version = (5, 24, 0)
"the last release that was looked at"

Needs = tuple[tuple[str, ...], ...]
"of each group one distribution must be locked"
_ACCELERATE = ("accelerate",)

NEEDED: Mapping[str, Mapping[Version, Needs]] = MappingProxyType({
    "aqlm": {(4, 38, 0): (_ACCELERATE, ("aqlm",))},
    "auto-round": {(4, 52, 0): (("auto-round",),)},
    "awq": {
        (4, 38, 0): (_ACCELERATE, ("autoawq",)), (5, 0, 0): (_ACCELERATE, ("gptqmodel",)),
    },
    "bitnet": {(4, 46, 0): (_ACCELERATE,)},
    "bitsandbytes": {(4, 38, 0): (_ACCELERATE, ("bitsandbytes",))},
    "compressed-tensors": {(4, 45, 0): (("compressed-tensors",),)},
    "eetq": {(4, 41, 0): (_ACCELERATE, ("eetq",)), (5, 0, 0): (_ACCELERATE, ("kernels",))},
    "fbgemm_fp8": {
        (4, 43, 0): (_ACCELERATE, ("fbgemm-gpu", "fbgemm-gpu-genai", "fbgemm-gpu-cpu")),
    },
    "fouroversix": {(5, 3, 0): (("fouroversix",),)},
    "fp8": {(4, 49, 0): (_ACCELERATE,)},
    "fp_quant": {(4, 54, 0): (("fp-quant",),)},
    "gptq": {
        (4, 38, 0): (("optimum",), ("auto-gptq",)),
        (4, 49, 0): (("optimum",), ("gptqmodel", "auto-gptq")),
        (5, 0, 0): (("optimum",), ("gptqmodel",)),
    },
    "higgs": {(4, 48, 0): (_ACCELERATE, ("flute-kernel",), ("fast-hadamard-transform",))},
    "hqq": {(4, 41, 0): (("hqq",),)},
    "metal": {(5, 3, 0): (("kernels",),)},
    # From 4.56 to 5.3 it is only asked for where there is a GPU: else the model is dequantised.
    "mxfp4": {(4, 55, 0): (_ACCELERATE,), (4, 56, 0): (), (5, 4, 0): (_ACCELERATE,)},
    "nvfp4": {(5, 16, 0): (("kernels",),)},
    "quanto": {
        (4, 39, 0): (_ACCELERATE, ("optimum-quanto", "quanto")),
        (4, 47, 0): (_ACCELERATE, ("optimum-quanto",)),
    },
    "quark": {(4, 50, 0): (("amd-quark", "quark"),)},
    "sinq": {(5, 2, 0): (("sinq",),)},
    "spqr": {(4, 49, 0): (_ACCELERATE, ("spqr-quant",))},
    "torchao": {(4, 45, 0): (("torchao",),)},
    "vptq": {(4, 48, 0): (_ACCELERATE, ("vptq",))},
})  # fmt: skip
"by `quant_method` and the release of transformers from which on it is so"

LOADERS = frozenset({"auto-gptq", "auto-round", "autoawq", "gptqmodel", "hqq"})
"that load models by themselves as well, whatever transformers needs for it"

LEAST: Mapping[str, Mapping[Version, Version]] = MappingProxyType({
    "accelerate": {(4, 38, 0): (0, 21, 0), (4, 45, 0): (0, 26, 0), (5, 0, 0): (1, 1, 0)},
    "auto-gptq": {(4, 38, 0): (0, 4, 2)},
    "auto-round": {(4, 52, 0): (0, 5, 0)},
    "bitsandbytes": {(5, 0, 0): (0, 46, 1)},
    "compressed-tensors": {(5, 10, 0): (0, 15, 0)},
    "fp-quant": {(5, 24, 0): (0, 3, 2)},
    "gptqmodel": {(4, 49, 0): (1, 4, 3)},
    "hqq": {(4, 46, 0): (0, 2, 1)},
    "kernels": {
        (5, 0, 0): (0, 9, 0), (5, 2, 0): (0, 10, 2), (5, 13, 0): (0, 15, 2), (5, 15, 0): (0, 16, 0),
        (5, 18, 0): (0, 17, 0), (5, 20, 0): (0, 17, 2), (5, 23, 0): (0, 18, 2),
    },
    "optimum": {(5, 4, 0): (1, 24, 0)},
    "torchao": {(4, 50, 0): (0, 4, 0), (5, 4, 0): (0, 15, 0)},
    "vptq": {(4, 48, 0): (0, 0, 4)},
})  # fmt: skip
"by distribution and the release of transformers from which on this is the least"

FAST: Mapping[str, Mapping[str, Version]] = MappingProxyType({
    "mxfp4": {"triton": (3, 4, 0), "kernels": (0, 0, 0)},
})  # fmt: skip
"without which, or with older ones, transformers dequantises the model to bf16"
