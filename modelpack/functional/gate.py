"""The whole gate: the service of an image, then its functions, each in a container of its own."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from modelpack.engine.door import Engine
from modelpack.functional import calls, golden_files, preparing, testing
from modelpack.functional.golden import Golden
from modelpack.functional.rules import Rules
from modelpack.functional.run import Subject, Tried
from modelpack.functional.value import Check, Measured, Tested
from modelpack.progress import Progress
from modelpack.running.preparing import Found


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is asked of an image, where, and by whose clock."""

    engine: Engine
    golden: tuple[Golden, ...]
    rules: Rules
    clock: Callable[[], int]
    "seconds since 1970"
    mounts: tuple[str, ...] = ()
    trust: str = ""
    gpus: str = ""
    "as `run --gpus` takes them"
    keeps: bool = True
    "an image that the engine had not before stays there"


def test(
    wanted: Wanted, found: Found, *, folders: Mapping[str, Path] | None, progress: Progress
) -> Tested:
    """Bring the image into the engine, and test it; `folders` has mounted weights by name."""
    rules, engine = wanted.rules, wanted.engine
    container = preparing.container(
        found, rules, mounts=wanted.mounts, trust=wanted.trust, gpus=wanted.gpus, project=folders
    )
    subject = preparing.subject(
        engine, found, container, golden=wanted.golden, rules=rules, progress=progress
    )
    started = wanted.clock()
    service = testing.test(engine, subject, progress=progress) if subject.golden else None
    called = calls.test(engine, subject, progress=progress) if subject.calls else None
    tried = [one for one in (service, called) if one]
    manifest = found.manifest
    return Tested(
        digest=manifest.digest if manifest else None, image=subject.container.image,
        engine=str(engine.about),
        checks=(*_left_out(subject), *(check for one in tried for check in one.checks)),
        measured=service.measured if service else Measured(image_size=subject.size),
        calls=called.measured if called else None,
        concurrency=rules.concurrency, duration=rules.duration, limits=rules.limits,
        golden=golden_files.digests(wanted.golden),
        interface=subject.interface.digest if subject.interface else None,
        started=started, finished=wanted.clock(), log=_last_words(tried),
    )  # fmt: skip


def _left_out(subject: Subject) -> tuple[Check, ...]:
    """Return that nobody asked the service, and why."""
    if subject.golden:
        return ()
    why = "no golden file sends it a request" if subject.rules.port else (
        "runtime.port is not declared"
    )  # fmt: skip
    return (Check(name="service", outcome="skipped", found=why),)


def _last_words(tried: list[Tried]) -> bytes:
    """Return the end of the log of a container that did not come far enough to be asked."""
    return b"".join(one.log for one in tried if one.fell)
