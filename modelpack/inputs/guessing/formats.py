"""The formats that weights may be in, in the order in which they are looked for."""

import re
from typing import NamedTuple

_XGBOOST = re.compile(r'\s*\{\s*"(?:learner"|version"\s*:\s*\[[^]]{0,40}\]\s*,\s*"learner")')


class Format(NamedTuple):
    """How files of a format are known, and what loads them."""

    name: str
    suffix: str
    framework: str = ""
    "empty: several do"
    beside: tuple[str, ...] = ()
    "patterns of files that hold parts of it"
    alternatives: bool = False
    "several files are one model in several qualities"
    begins: re.Pattern[str] | None = None
    "the text of such a file, where the suffix does not say what it is"


FORMATS = (
    Format("safetensors", ".safetensors"),
    Format("ONNX", ".onnx", "onnxruntime", ("*.onnx_data", "*.data")),
    Format("GGUF", ".gguf", "llama-cpp-python", alternatives=True),
    Format("XGBoost", ".ubj", "xgboost"),
    Format("XGBoost", ".json", "xgboost", begins=_XGBOOST),
    Format("NumPy", ".npz", "numpy"),
)
