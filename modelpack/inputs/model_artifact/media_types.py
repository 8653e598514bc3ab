"""The words of model artifacts: media types, annotations, and which files are weights.

Source: CNCF ModelPack, model-spec 0.0.7, spec.md and annotations.md; KitOps 1.15, whose own
artifact has the same parts under other names.
"""

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final, Literal

from modelpack.run_configuration import NAMESPACE

ARTIFACT: Final = "application/vnd.cncf.model.manifest.v1+json"
CONFIG: Final = "application/vnd.cncf.model.config.v1+json"
KIT_ARTIFACT: Final = "application/vnd.kitops.modelkit.manifest.v1+json"
KIT_CONFIG: Final = "application/vnd.kitops.modelkit.config.v1+json"
CONFIGS: Final = frozenset({CONFIG, KIT_CONFIG})
"by which an artifact is recognised, whatever else it calls itself"
FILEPATH: Final = "org.cncf.model.filepath"
"annotation of a layer: the file, or the folder, that it holds"
FILE_METADATA: Final = "org.cncf.model.file.metadata+json"
IMAGE: Final = f"{NAMESPACE}image.digest"
"annotation of an artifact made here: the image that it is a view of; of several platforms, all"

Kind = Literal["weight", "weight.config", "doc", "code", "dataset", "other"]
Form = Literal["tar", "raw"]
Compression = Literal["", "gzip", "zstd"]

_CNCF = re.compile(
    r"application/vnd\.cncf\.model\.(weight|weight\.config|doc|code|dataset)\.v1\.(tar|raw)"
    r"(?:\+(gzip|zstd))?"
)
_KIT = re.compile(
    r"application/vnd\.kitops\.modelkit\.(model|modelpart|docs|code|dataset|mcpb)\.v1\.(tar|raw)"
    r"(?:\+(gzip|zstd))?"
)
_CNCF_KINDS: Final[dict[str, Kind]] = {
    "weight": "weight", "weight.config": "weight.config", "doc": "doc", "code": "code",
    "dataset": "dataset",
}  # fmt: skip
_KIT_KINDS: Final[dict[str, Kind]] = {
    "model": "weight", "modelpart": "weight.config", "docs": "doc", "code": "code",
    "dataset": "dataset",
}  # fmt: skip
_WEIGHTS: Final = frozenset(
    (".safetensors", ".gguf", ".ggml", ".onnx", ".tflite", ".npz", ".npy", ".bin", ".pt", ".pth",
     ".ckpt", ".h5", ".keras", ".msgpack", ".pb", ".pkl", ".joblib", ".ubj")
)  # fmt: skip
_DOCUMENTS: Final = frozenset((".md", ".rst", ".txt", ".pdf", ".html"))
_VOCABULARIES: Final = frozenset(("vocab.txt", "merges.txt"))
"texts that a tokenizer reads"
_DOCUMENT_NAMES: Final = ("license", "licence", "notice", "readme", "copying")


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerType:
    """What the media type of a layer says."""

    kind: Kind
    form: Form
    compression: Compression = ""

    def __str__(self) -> str:
        suffix = f"+{self.compression}" if self.compression else ""
        return f"application/vnd.cncf.model.{self.kind}.v1.{self.form}{suffix}"


def layer_type(media_type: str) -> LayerType | None:
    """Return what `media_type` says, or None when it is none of a model artifact."""
    if match := _CNCF.fullmatch(media_type):
        return LayerType(
            kind=_CNCF_KINDS[match[1]], form=_form(match[2]), compression=_how(match[3])
        )
    if match := _KIT.fullmatch(media_type):
        kind = _KIT_KINDS.get(match[1], "other")
        return LayerType(kind=kind, form=_form(match[2]), compression=_how(match[3]))
    return None


def kind_of(path: str) -> Kind:
    """Return which kind of layer the weight file at `path` belongs into, by its name."""
    name = PurePosixPath(path.lower())
    if name.suffix in _WEIGHTS:
        return "weight"
    if name.suffix in _DOCUMENTS or name.name.startswith(_DOCUMENT_NAMES):
        return "weight.config" if name.name in _VOCABULARIES else "doc"
    return "weight.config"


def _form(text: str) -> Form:
    return "raw" if text == "raw" else "tar"


def _how(text: str | None) -> Compression:
    return "gzip" if text == "gzip" else "zstd" if text == "zstd" else ""
