"""Turn the body of a request into images, or say what is wrong with it."""

import json

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load

JSON = "application/json"
TENSORS = "application/octet-stream"
MAX_BODY = 1 << 20
MAX_IMAGES = 256


class Invalid(Exception):  # noqa: N818  what the request is
    """The request is wrong; `status` is the HTTP status to answer with."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


def body_type(declared: str | None) -> str:
    """Return the media type that the Content-Type header declares; without one it is JSON."""
    kind = (declared or JSON).partition(";")[0].strip().lower()
    if kind not in (JSON, TENSORS):
        raise Invalid(415, f"the body is neither {JSON} nor {TENSORS}")
    return kind


def body_length(declared: str | None) -> int:
    """Return the length that the Content-Length header declares, within MAX_BODY."""
    if declared is None:
        raise Invalid(411, "Content-Length is required")
    if not (declared.isascii() and declared.isdecimal()):
        raise Invalid(400, "Content-Length is not a number")
    if len(declared) > len(str(MAX_BODY)) or int(declared) > MAX_BODY:
        raise Invalid(413, f"the body is over {MAX_BODY} bytes")
    return int(declared)


def parse_images(body: bytes, pixels: int, brightest: float) -> np.ndarray:
    """Return float32 [images, pixels] from `{"images": [[…], …]}`."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise Invalid(400, "the body is not JSON") from None
    if not isinstance(document, dict) or document.keys() != {"images"}:
        raise Invalid(422, "expected an object with the one key `images`")
    images = document["images"]
    if not isinstance(images, list) or not 1 <= len(images) <= MAX_IMAGES:
        raise Invalid(422, f"`images` is not a list of 1 to {MAX_IMAGES} images")
    for number, image in enumerate(images):
        if not _is_image(image, pixels, brightest):
            raise Invalid(
                422, f"`images[{number}]` is not {pixels} numbers from 0 to {brightest:g}"
            )
    return np.array(images, dtype=np.float32)


def parse_tensors(body: bytes, pixels: int, brightest: float) -> np.ndarray:
    """Return float32 [images, pixels] from a safetensors file with the one tensor `images`."""
    try:
        tensors = load(body)
    except (SafetensorError, KeyError):  # no such file, or a dtype that NumPy has not
        raise Invalid(400, "the body is not a safetensors file") from None
    images = tensors.get("images")
    if images is None or len(tensors) > 1 or images.dtype != np.float32:
        raise Invalid(422, "expected the one tensor `images` of dtype F32")
    if images.ndim != 2 or images.shape[1] != pixels or not 1 <= len(images) <= MAX_IMAGES:
        raise Invalid(422, f"the shape is not [1 to {MAX_IMAGES}, {pixels}]")
    if not ((images >= 0) & (images <= brightest)).all():
        raise Invalid(422, f"`images` has elements that are not from 0 to {brightest:g}")
    return images


def _is_image(value: object, pixels: int, brightest: float) -> bool:
    return (
        isinstance(value, list)
        and len(value) == pixels
        and all(type(x) in (int, float) and 0 <= x <= brightest for x in value)
    )
