"""What a model takes on GPUs, told by the commands that judge it."""

from typing import Any

from modelpack.cli.frame.output import Output
from modelpack.lock import Lock
from modelpack.spec import Spec


def tell(output: Output, spec: Spec, lock: Lock | None) -> dict[str, Any] | None:
    """Say on stderr what the locked model takes, and return it as JSON; None without a GPU."""
    if lock is None or spec.runtime.device != "cuda":
        return None
    from modelpack.resolve.gpu import memory_of  # noqa: PLC0415

    found = memory_of(spec, lock.weights)
    if found is None:
        return None
    if not output.as_json:
        output.say(f"gpu memory: {found}")
    return {
        "weights": found.weights, "overhead": found.overhead, "needed": found.needed,
        "memory": found.memory,
    }  # fmt: skip
