"""What is sent for a request."""

import json

from modelpack.functional import wire
from modelpack.functional.golden import Request
from modelpack.inputs import tensors


def body(request: Request) -> bytes | None:
    """Return the body; None: there is none."""
    if request.raw is not None:
        return request.raw
    if request.call:
        return wire.dumps({"function": request.call, "arguments": request.json})
    if request.tensors is not None:
        return tensors.encode(request.tensors)
    return None if request.json is None else json.dumps(request.json).encode()
