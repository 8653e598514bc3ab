"""Both directions of a connection to a command in a container.

Source: Docker Engine API, "Attach to a container", "Stream format".
"""

import struct
import time
from typing import Any, Final

from modelpack.errors import InputError, Unavailable

_HEAD: Final = struct.Struct(">BxxxL")
_STDERR: Final = 2
_BLOCK: Final = 1 << 16


def exchange(raw: Any, told: bytes, *, limit: int, seconds: float) -> tuple[bytes, bytes]:  # noqa: ANN401  what the SDK calls a socket
    """Send `told`; return what comes on stdout and stderr until the other side is done.

    Raises InputError for more than `limit` bytes, and Unavailable where it takes more `seconds`.
    """
    # Of Docker's SDK: a socket, or the file that http.client made of one.
    socket = getattr(raw, "_sock", raw)
    end = time.monotonic() + seconds
    streams: dict[bool, bytearray] = {False: bytearray(), True: bytearray()}
    pending = bytearray()
    try:
        socket.settimeout(seconds)
        socket.sendall(told)
        while True:
            socket.settimeout(max(end - time.monotonic(), 0.001))
            block = socket.recv(_BLOCK)
            if not block:
                break
            pending += block
            _take(pending, streams)
            if sum(map(len, streams.values())) + len(pending) > limit:
                raise InputError(f"a command in the container answers more than {limit} bytes")
    except TimeoutError as error:
        raise Unavailable(
            f"a command in the container has not answered within {seconds:g} s"
        ) from error
    return bytes(streams[False]), bytes(streams[True])


def _take(pending: bytearray, streams: dict[bool, bytearray]) -> None:
    """Move the whole frames at the start of `pending` to their streams."""
    while len(pending) >= _HEAD.size:
        stream, size = _HEAD.unpack_from(pending)
        if len(pending) < _HEAD.size + size:
            return
        streams[stream == _STDERR] += pending[_HEAD.size : _HEAD.size + size]
        del pending[: _HEAD.size + size]
