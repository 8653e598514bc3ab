"""Call functions of an image over its loopback: what `modelpack test` starts there as its command.

`python -c SOURCE PORT MODULE:FUNCTION...` imports the functions as the image's own programs would
(the working folder comes first), then serves them: `GET /ready`, and `POST /call` with `function`
and `arguments`, an object of named ones or a list. The answer is what the function returns, as
JSON; status 500 and the exception where it raises. A tensor is `{" tensor": [DTYPE, SHAPE,
BASE64]}`, dtypes named as in safetensors: an array where the image has NumPy, else lists of lists.
`X-Seconds` is what the function alone took.

Standard library only, Python 3.9 or newer: the image's own interpreter runs it, behind the guard.
"""

from __future__ import annotations

import asyncio
import base64
import importlib
import inspect
import json
import os
import signal
import struct
import sys
import time
import traceback
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Function = Callable[..., Any]

RETURNED, RAISED = 200, 500
KEY = " tensor"
CODES = {
    "BOOL": "?", "U8": "B", "I8": "b", "U16": "H", "I16": "h", "U32": "I", "I32": "i",
    "U64": "Q", "I64": "q", "F16": "e", "F32": "f", "F64": "d",
}  # fmt: skip
NAMES = {
    "bool": "BOOL", "uint8": "U8", "int8": "I8", "uint16": "U16", "int16": "I16", "uint32": "U32",
    "int32": "I32", "uint64": "U64", "int64": "I64", "float16": "F16", "float32": "F32",
    "float64": "F64",
    # of the package ml_dtypes
    "bfloat16": "BF16", "float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2",
    "float8_e4m3fnuz": "F8_E4M3FNUZ", "float8_e5m2fnuz": "F8_E5M2FNUZ",
    "float8_e8m0fnu": "F8_E8M0",
}  # fmt: skip


class Unspeakable(TypeError):  # noqa: N818  what was returned
    """A value that is neither JSON nor a tensor."""


def numpy() -> Any:  # noqa: ANN401
    """Return NumPy; None where the image has none."""
    try:
        return importlib.import_module("numpy")
    except ImportError:
        return None


def heard(value: Any) -> Any:  # noqa: ANN401  JSON
    """Return `value` with the tensors in it."""
    if isinstance(value, list):
        return [heard(one) for one in value]
    if not isinstance(value, dict):
        return value
    if set(value) != {KEY}:
        return {key: heard(one) for key, one in value.items()}
    dtype, shape, text = value[KEY]
    data = base64.b64decode(text)
    np = numpy()
    if np is None:
        count = len(data) // struct.calcsize("<" + CODES[dtype])
        return nested(list(struct.unpack(f"<{count}{CODES[dtype]}", data)), shape)
    names = {name: key for key, name in NAMES.items()}
    # A copy: who is called may write into it.
    return np.frombuffer(data, np.dtype(names[dtype]).newbyteorder("<")).reshape(shape).copy()


def nested(flat: list[Any], shape: list[int]) -> Any:  # noqa: ANN401
    """Return numbers as lists of lists."""
    if not shape:
        return flat[0]
    size = len(flat) // shape[0] if shape[0] else 0
    return [nested(flat[at * size : (at + 1) * size], shape[1:]) for at in range(shape[0])]


def told(value: Any) -> Any:  # noqa: ANN401  whatever a function returns
    """Return `value` as JSON with tensors."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                raise Unspeakable(f"an object with a key of type {type(key).__name__}")
        return {key: told(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [told(one) for one in value]
    np = numpy()
    if np is not None and isinstance(value, np.generic):
        return told(value.item())
    if np is None or not hasattr(value, "__array__"):
        raise Unspeakable(f"{type(value).__name__}, which is neither JSON nor a tensor")
    return tensor(np, np.asarray(value))


def tensor(np: Any, array: Any) -> Any:  # noqa: ANN401
    """Return an array as JSON; one of texts as lists."""
    if array.dtype.kind == "U":
        return array.tolist()
    name = array.dtype.name
    if name not in NAMES:
        raise Unspeakable(f"an array of {name}, which safetensors has not")
    if array.dtype.byteorder == ">" or sys.byteorder == "big":
        array = array.astype(array.dtype.newbyteorder("<"))
    data = base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()
    return {KEY: [NAMES[name], list(array.shape), data]}


def find(name: str) -> Function:
    """Return the function that `module:function` names."""
    module, _, path = name.partition(":")
    found = importlib.import_module(module)
    for word in path.split("."):
        found = getattr(found, word)
    if not callable(found):
        raise TypeError(f"`{name}` cannot be called")
    return found


def call(function: Function, arguments: Any) -> Any:  # noqa: ANN401
    """Call a function, and wait for it where it is asynchronous."""
    named = isinstance(arguments, dict)
    result = function(**arguments) if named else function(*arguments)
    return asyncio.run(result) if inspect.iscoroutine(result) else result


def described(error: Exception) -> str:
    """Return what was raised, and where in the code that was called."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = call.__code__.co_filename
    inner = ("<", os.path.dirname(importlib.__file__))
    where = [
        f" ({one.filename}:{one.lineno})"
        for one in frames
        if one.filename != ours and not one.filename.startswith(inner)
    ]
    return f"{type(error).__name__}: {error}" + "".join(where[-1:])


class Handler(BaseHTTPRequestHandler):
    """Answers on one connection."""

    server: Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else the second packet of an answer waits for an ACK

    def do_GET(self) -> None:
        """Say that everything is imported."""
        self.answer(RETURNED, b"{}", 0.0)

    def do_POST(self) -> None:
        """Call."""
        data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        seconds = 0.0
        try:
            task = json.loads(data)
            function, arguments = self.server.functions[task["function"]], heard(task["arguments"])
            started = time.perf_counter()
            try:
                result = call(function, arguments)
            finally:
                seconds = time.perf_counter() - started
            status, body = RETURNED, json.dumps(told(result)).encode()
        except Exception as error:  # noqa: BLE001  whatever is called may raise
            status, body = RAISED, described(error).encode("utf-8", "replace")
        self.answer(status, body, seconds)

    def answer(self, status: int, body: bytes, seconds: float) -> None:
        """Send an answer."""
        self.send_response(status)
        self.send_header("Content-Type", "text/plain" if status == RAISED else "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Seconds", repr(seconds))
        if status == RAISED:
            self.send_header("X-Raised", "yes")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Say nothing."""


class Server(ThreadingHTTPServer):
    """A thread for each connection."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, port: int, functions: dict[str, Function]) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.functions = functions


def main(port: int, names: list[str]) -> None:
    """Import, then serve until SIGTERM comes, which process 1 must want to hear."""
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    functions = {}
    for name in names:
        try:
            functions[name] = find(name)
        except Exception as error:  # noqa: BLE001  whatever is imported may raise
            sys.exit(f"cannot import `{name}`: {described(error)}")
    with Server(port, functions) as server:
        server.serve_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
