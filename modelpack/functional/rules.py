"""What a functional test asks of an image: `[test]` and `runtime.health` of a project."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from modelpack import quantity
from modelpack.errors import InputError
from modelpack.spec import Health, Interface, Spec

_STOP = "10s"
"unless `limits.stop` says more"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What is asked, in seconds and bytes."""

    port: int
    health: Health
    concurrency: int
    duration: float
    limits: Mapping[str, str]
    "as they were written"
    interface: Interface = field(default_factory=Interface)
    "what the project says of it; the documents themselves are the image's"

    def seconds(self, limit: str) -> float | None:
        """Return a limit that is a duration; None: there is none."""
        text = self.limits.get(limit)
        return quantity.duration(text, at=f"test.limits.{limit}") / 1000 if text else None

    def bytes(self, limit: str) -> int | None:
        """Return a limit that is a size; None: there is none."""
        text = self.limits.get(limit)
        return quantity.size(text, at=f"test.limits.{limit}") if text else None

    @property
    def cpus(self) -> float:
        """How many processors it gets; 0: all."""
        return float(self.limits.get("cpus", "0"))

    @property
    def patience(self) -> float:
        """Seconds that it has to end after its stop signal."""
        return self.seconds("stop") or quantity.duration(_STOP) / 1000


def of_spec(
    spec: Spec, *, serves: bool, concurrency: int | None = None, duration: str = ""
) -> Rules:
    """Return what `[test]` asks; `concurrency` and `duration`, where given, go first.

    `serves`: some golden request is sent to its service.
    """
    if serves and not spec.runtime.port:
        raise InputError("the service has no port to be asked at", at="runtime.port",
                         hint="port = 8080")  # fmt: skip
    at = "--duration" if duration else "test.duration"
    seconds = quantity.duration(duration or spec.test.duration, at=at) / 1000
    if not 0 < seconds <= 3600:  # noqa: PLR2004  an hour
        raise InputError("between 1 ms and 1 h", at=at)
    return Rules(
        port=spec.runtime.port,
        health=spec.runtime.health,
        concurrency=concurrency or spec.test.concurrency,
        duration=seconds,
        limits=spec.test.limits,
        interface=spec.interface,
    )
