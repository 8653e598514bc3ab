"""Why a container ended as it did, from its exit status, its state and what its guard said."""

import json
from collections.abc import Iterator
from typing import Any

from modelpack.engine.value import Container, State
from modelpack.errors import Finding
from modelpack.metadata import TRUST
from modelpack.oci.manifest import printable

GUARD_REFUSED = 78
"exit status of the guard (EX_CONFIG of sysexits.h): the weights are not what was packed"
NOT_EXECUTABLE, NOT_FOUND, KILLED = 126, 127, 137
_SHOWN = 10
"wrong files that are named"
_REASONS = {
    "missing": "is missing",
    "truncated": "is shorter than it was packed",
    "too-long": "is longer than it was packed",
    "not-regular": "is not a regular file",
    "unreadable": "cannot be read by the container's user",
    "changed": "changed while it was checked",
    "content": "has other content than was packed",
    "extra": "was not packed",
    "not-mounted": "has no weights: nothing is mounted there",
    "other-weights": "has other weights than those that the image was built for",
    "writable": "can be written to, and the image does not allow that",
}


def findings(
    container: Container, status: int, state: State | None, log: bytes, *, stopped: bool
) -> tuple[Finding, ...]:
    """Return why it ended with `status`, as far as that can be told.

    `log` is the end of what it wrote to stderr; `stopped`: somebody wanted it to end.
    """
    if state is not None and state.out_of_memory:
        return (memory(container, "the container needed more memory"),)
    if status == KILLED and not stopped:
        # podman does not say that it was for memory.
        return (memory(container, "the container was killed, perhaps for needing more memory"),)
    events = list(_events(log))
    if status == GUARD_REFUSED:
        return tuple(_refusal(container, events))
    if status in (NOT_EXECUTABLE, NOT_FOUND):
        failed = [event for event in events if event.get("event") == "guard.failed"]
        return tuple(
            Finding(message=_text(event, "message"), at=_text(event, "command"))
            for event in failed[-1:]
        )
    return ()


def memory(container: Container, message: str) -> Finding:
    """Return `message`, which is about more memory, with the limit and what to do."""
    limit = f" than {container.memory} bytes" if container.memory else " than there is"
    return Finding(message=message + limit, at="--memory" if container.memory else "",
                   hint="give it more with `--memory`" if container.memory else "")  # fmt: skip


def _refusal(container: Container, events: list[dict[str, Any]]) -> Iterator[Finding]:
    """Yield what the guard found; nothing when it was the service that ended with its status."""
    refused = [event for event in events if event.get("event") == "guard.refused"]
    if not refused:
        return
    bad = [event for event in events if event.get("event") == "guard.bad"]
    for event in bad[:_SHOWN]:
        reason = _text(event, "reason")
        place = ""
        if isinstance(event.get("first"), int) and isinstance(event.get("last"), int):
            place = f" (bytes {event['first']} to {event['last']})"
        yield Finding(
            message=_REASONS.get(reason, reason) + place,
            at=_text(event, "file"),
            hint=_text(event, "hint"),
        )
    if len(bad) > _SHOWN:
        yield Finding(message=f"and {len(bad) - _SHOWN} more files")
    yield Finding(
        message=f"the service was not started: {_text(refused[-1], 'message')}",
        hint=_text(refused[-1], "hint")
        or _hint(container, {_text(event, "reason") for event in bad}),
    )


def _hint(container: Container, reasons: set[str]) -> str:
    mounts = [mount for mount in container.mounts if mount.target != TRUST]
    if not mounts:
        return "the image is damaged: docker rmi, and load it again" if reasons else ""
    folders = " ".join(mount.source for mount in mounts)
    if "unreadable" in reasons:
        return f"chmod -R go+rX {folders}, or `--user $(id -u)`"
    return f"mount the folder that was packed: --mount-weights FOLDER (now {folders})"


def is_of_guard(line: bytes) -> bool:
    """Tell whether a line of a container's log is an event of its guard."""
    return any(_events(line))


def _events(log: bytes) -> Iterator[dict[str, Any]]:
    """Yield the guard's events: lines of JSON; the service's own lines may be anything."""
    for line in log.splitlines():
        if not line.startswith(b"{"):
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict) and value.get("component") == "modelpack.guard":
            yield value


def _text(event: dict[str, Any], key: str) -> str:
    value = event.get(key)
    return printable(value) if isinstance(value, str) else ""
