"""From what the SDK raises and an engine answers to what a person can mend."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from modelpack.errors import InputError, ModelpackError, Unavailable
from modelpack.oci.manifest import printable

_SHOWN = 500
"characters of an engine's answer"
_WRAPPERS = 10
"exceptions around one another that are looked into"
_NO_IMAGE = re.compile(r"no such image|image not known", re.IGNORECASE)
_PORT = re.compile(r"port is already allocated|address already in use", re.IGNORECASE)
_NAME = re.compile(r"name .* is already in use", re.IGNORECASE)
_GPU = re.compile(r"could not select device driver|nvidia-container-cli", re.IGNORECASE)
_BRIDGE = re.compile(r"network (bridge|default|podman)\b.*not found", re.IGNORECASE)
_ROOM = re.compile(r"no space left on device|disk quota exceeded", re.IGNORECASE)
_PRIVATE = re.compile(
    r"unauthorized|authentication required|access (to the resource is )?denied|no basic auth",
    re.IGNORECASE,
)


@contextmanager
def spoken(address: str, doing: str) -> Iterator[None]:
    """Turn whatever goes wrong while an engine is asked into an error that says what to do."""
    from docker.errors import APIError, DockerException  # noqa: PLC0415  heavy
    from requests.exceptions import RequestException  # noqa: PLC0415
    from urllib3.exceptions import HTTPError  # noqa: PLC0415

    try:
        yield
    except APIError as error:
        raise answered(str(error.explanation or error), doing=doing) from error
    except (RequestException, HTTPError, DockerException, OSError) as error:
        raise Unavailable(
            f"the engine cannot be asked to {doing}: {_reason(error)}", at=address
        ) from error


def answered(said: str, *, doing: str) -> ModelpackError:
    """Return the error for what an engine answered instead of doing what it was asked to."""
    text = " ".join(said.split())
    if _NO_IMAGE.search(text):
        return InputError(f"the engine has no such image: {_cut(text)}",
                          hint="modelpack build --load, or docker pull NAME")  # fmt: skip
    if _PORT.search(text):
        return InputError(
            f"the port is taken on this machine: {_cut(text)}",
            hint="name another one with `--publish`; `--publish 0` takes a free one",
        )
    if _NAME.search(text):
        return InputError(f"the name is taken: {_cut(text)}",
                          hint="name another one with `--name`, or docker rm NAME")  # fmt: skip
    return Unavailable(f"the engine cannot {doing}: {_cut(text)}", hint=_hint(text))


def _hint(text: str) -> str:
    if _GPU.search(text):
        return "install the NVIDIA Container Toolkit, then `nvidia-ctk runtime configure`"
    if _BRIDGE.search(text):
        return "the engine has no bridge network: `--network none`"
    if _ROOM.search(text):
        return "free some space where the engine keeps its images: docker system df"
    if _PRIVATE.search(text):
        return "docker login REGISTRY"
    return ""


def _cut(text: str) -> str:
    """Return an engine's answer as one harmless line."""
    return "".join(c if c.isprintable() else "?" for c in text[:_SHOWN])


def _reason(error: BaseException) -> str:
    """Return the system's own reason where there is one, not the texts of wrappers around it."""
    found: BaseException | None = error
    for _ in range(_WRAPPERS):
        if found is None:
            break
        if isinstance(found, OSError) and found.strerror:
            return found.strerror
        inner = next((a for a in found.args if isinstance(a, BaseException)), None)
        found = inner or getattr(found, "reason", None) or found.__context__
    return printable(" ".join(str(error).split())) or type(error).__name__
