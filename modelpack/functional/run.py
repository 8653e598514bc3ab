"""One container under test: what is asked of every one, and what was found out so far."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from modelpack.digest import Digest
from modelpack.engine.door import Engine
from modelpack.engine.value import Container
from modelpack.errors import ModelpackError
from modelpack.functional import batching, judging
from modelpack.functional.asking import Asker, Killed, Waited
from modelpack.functional.golden import Golden
from modelpack.functional.interfaces import Stated
from modelpack.functional.rules import Rules
from modelpack.functional.sampling import Sampler
from modelpack.functional.value import Check, Measured
from modelpack.inputs.quoting import quoted
from modelpack.progress import Progress
from modelpack.quantity import counted
from modelpack.running import explaining, following
from modelpack.running.following import Watch

_REPEATED = 3
"times that a golden request is sent"
_WARM_UP = 0.5
"of the duration; what is counted comes after"
_READY = 120.0
"seconds that it has to be ready, unless `limits.cold-start` is more"
_BEYOND = 2
"times the cold-start limit, after which nobody waits any longer"
_LOOKS = 10
_AGAIN = 0.1
"looks for the guard's words, and seconds between"
_FATAL = ("ready", "imported", "runs")
"checks after which its log is worth a look"
_LINE = 300
"characters of what it said last"
_HEAD = 1 << 20
"bytes of the beginning of a log that are kept: the guard speaks first"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What is tested, and by what."""

    container: Container
    declared: str
    "user of the image's configuration"
    python: str
    "the image's own interpreter"
    size: int
    golden: tuple[Golden, ...]
    "requests of HTTP"
    rules: Rules
    calls: tuple[Golden, ...] = ()
    "calls of functions"
    caller: str = ""
    "the interpreter that has the image's packages"
    interface: Stated | None = None
    "None: the image says nothing of one"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """What came of one container."""

    checks: tuple[Check, ...]
    measured: Measured
    log: bytes
    "the end of what it wrote to stderr"
    fell: bool
    "it did not become ready, or ended by itself"


@dataclass(slots=True, kw_only=True)
class Run:
    """What was found out so far."""

    engine: Engine
    subject: Subject
    watch: Watch
    asker: Asker
    progress: Progress
    head: bytearray = field(default_factory=bytearray)
    checks: list[Check] = field(default_factory=list)
    measured: Measured = field(default_factory=Measured)
    waited: Waited | None = None
    "judged once more when it is known how long answers take"

    def keep(self, block: bytes) -> None:
        """Remember the beginning of the log."""
        self.head += block[: max(_HEAD - len(self.head), 0)]

    def verified(self) -> Digest | None:
        """Return what the guard says it verified; its words may come later than it is ready."""
        for _ in range(_LOOKS):
            if found := judging.verified(bytes(self.head)):
                return found
            time.sleep(_AGAIN)
        return None

    def tried(self, log: bytes) -> Tried:
        """Return it all, with what the limits say of it."""
        self.checks += judging.limits(self.measured, self.subject.rules)
        fell = any(one.name in _FATAL and one.outcome == "failed" for one in self.checks)
        return Tried(checks=tuple(self.checks), measured=self.measured, log=log, fell=fell)


@contextmanager
def started(
    engine: Engine, subject: Subject, container: Container, port: int, *, progress: Progress
) -> Iterator[Run]:
    """Start a container of `subject`, with somebody inside who asks at `port`."""
    patience = -(-int(subject.rules.patience * 1000) // 1000)
    with following.started(
        engine, container, keep=False, patience=patience, say=progress.say
    ) as watch:
        run = Run(
            engine=engine, subject=subject, watch=watch, progress=progress,
            measured=Measured(image_size=subject.size),
            asker=Asker(engine=engine, container=watch.id, port=port, python=subject.python),
        )  # fmt: skip
        watch.show(run.keep, stdout=False, stderr=True)
        yield run


def patience_for_start(rules: Rules) -> float:
    """Return the seconds that it has to be ready."""
    return max(_READY, _BEYOND * (rules.seconds("cold-start") or 0))


def questions(run: Run, golden: Sequence[Golden]) -> None:
    """Ask what is golden: again and again, alone, and together."""
    run.progress.say(f"asking {counted(len(golden), 'golden request')}")
    for one in golden:
        run.checks.append(judging.answers(one, run.asker.ask([one.request], times=_REPEATED)))
    variants = list(batching.variants(golden))
    for variant, answer in zip(
        variants, run.asker.ask([variant.request for variant in variants]), strict=True
    ):
        run.checks.append(judging.variant(variant, answer))


def load(run: Run, golden: Sequence[Golden], sampler: Sampler) -> None:
    """Ask for as long, and by as many at once, as is declared."""
    rules = run.subject.rules
    asked = [(one.name, one.request, one.status) for one in golden]
    run.progress.say(f"asking for {rules.duration:g} s with {rules.concurrency} at once")
    run.asker.load(asked, concurrency=rules.concurrency, seconds=rules.duration * _WARM_UP)
    before = sampler.now()
    loaded = run.asker.load(asked, concurrency=rules.concurrency, seconds=rules.duration)
    after = sampler.now()
    if run.waited is not None:
        run.checks.append(judging.lazy(run.waited, loaded))
    run.checks.append(judging.load(loaded, golden))
    run.measured = replace(
        run.measured, p50=loaded.p50, p95=loaded.p95, p99=loaded.p99, requests=loaded.count,
        rate=loaded.count / loaded.seconds,
        memory_growth=None if before is None or after is None else after - before,
    )  # fmt: skip


def broken(run: Run, error: ModelpackError, *, hint: str) -> Check:
    """Return why nothing more could be asked; raise `error` where that is not the image's fault."""
    state = run.engine.state(run.watch.id)
    alone = isinstance(error, Killed) and run.watch.container.memory > 0
    if state is not None and state.running and alone:
        return judging.check("runs", [_killed(run)], hint=hint)
    if state is None or state.running:
        raise error
    run.watch.drain()
    status = state.status or 0
    why = explaining.findings(
        run.watch.container, status, state, bytes(run.watch.tail), stopped=False
    )
    said = [f"{one.at}: {one.message}" if one.at else one.message for one in why]
    if not said and status:
        said = [quoted(line, _LINE) for line in _last_line(bytes(run.watch.tail))]
    return judging.check(
        "runs", [f"it ended by itself with status {status}", *said], hint=hint
    )  # fmt: skip


def _killed(run: Run) -> str:
    """Return why who asks is gone: it shares the container's memory, and the kernel took it."""
    return explaining.memory(
        run.watch.container,
        "what asks in the container was killed, perhaps because all in it needed more memory",
    ).message


def _last_line(log: bytes) -> list[str]:
    """Return what it, not its guard, said last, if anything: Python's reasons stand there."""
    lines = log.decode("utf-8", "replace").splitlines()
    own = [line for line in lines if line.strip() and not explaining.is_of_guard(line.encode())]
    return own[-1:]
