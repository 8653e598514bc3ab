"""One functional test: an image is started, asked, measured and stopped, and all of it judged."""

import time
from dataclasses import dataclass, field, replace

from modelpack.engine.door import Engine
from modelpack.engine.value import Container
from modelpack.errors import ModelpackError
from modelpack.functional import batching, judging
from modelpack.functional.asking import Asker, Waited
from modelpack.functional.golden import Golden, Request
from modelpack.functional.rules import Rules
from modelpack.functional.sampling import Sampler
from modelpack.functional.value import Check, Measured
from modelpack.progress import Progress
from modelpack.running import explaining, following
from modelpack.running.following import Watch

USER = 54321
"whom nobody planned for, as some platforms choose one"
_REPEATED = 3
"times that a golden request is sent"
_READY = 120.0
"seconds that it has to be ready, unless `limits.cold-start` is more"
_BEYOND = 2
"times the cold-start limit, after which nobody waits any longer"
_WARM_UP = 0.5
"of the duration; what is counted comes after"
_LOOKS = 10
_AGAIN = 0.2
"looks at the metrics, and seconds between: some services count after they have answered"
_HEAD = 1 << 20
"bytes of the beginning of a log that are kept: the guard speaks first"
_BROKEN = b'{"'
"what no JSON parser takes for a value"


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
    rules: Rules


@dataclass(slots=True, kw_only=True)
class _Run:
    """What was found out so far."""

    engine: Engine
    subject: Subject
    watch: Watch
    asker: Asker
    progress: Progress
    began: float
    head: bytearray = field(default_factory=bytearray)
    checks: list[Check] = field(default_factory=list)
    measured: Measured = field(default_factory=Measured)
    waited: Waited | None = None
    "judged once more when it is known how long answers take"

    def keep(self, block: bytes) -> None:
        self.head += block[: max(_HEAD - len(self.head), 0)]


def test(
    engine: Engine, subject: Subject, *, progress: Progress
) -> tuple[tuple[Check, ...], Measured, bytes]:
    """Return the checks, the numbers and the end of the service's log."""
    patience = -(-int(subject.rules.patience * 1000) // 1000)
    began = time.monotonic()
    with following.started(
        engine, subject.container, keep=False, patience=patience, say=progress.say
    ) as watch:
        run = _Run(
            engine=engine, subject=subject, watch=watch, progress=progress, began=began,
            measured=Measured(image_size=subject.size),
            asker=Asker(engine=engine, container=watch.id, port=subject.rules.port,
                        python=subject.python),
        )  # fmt: skip
        watch.show(run.keep, stdout=False, stderr=True)
        try:
            with Sampler(engine, watch.id) as sampler:
                if _until_ready(run):
                    _questions(run)
                    _endpoints(run)
                    _load(run, sampler)
            run.measured = replace(run.measured, memory=sampler.peak)
            _stop(run)
        except ModelpackError as error:
            run.checks.append(_broken(run, error))
        log = bytes(watch.tail)
    run.checks += judging.limits(run.measured, subject.rules)
    return tuple(run.checks), run.measured, log


def _until_ready(run: _Run) -> bool:
    """Wait; tell whether there is anybody to ask."""
    rules, first = run.subject.rules, run.subject.golden[0]
    health = rules.health
    seconds = max(_READY, _BEYOND * (rules.seconds("cold-start") or 0))
    run.progress.say("waiting until it is ready")
    waited = run.asker.wait(
        live=health.live, ready=health.ready or health.live or "/", seconds=seconds,
        declared=bool(health.ready), first=first.request,
    )  # fmt: skip
    cold = time.monotonic() - run.began - waited.after
    run.checks += judging.ready(waited, first, rules, seconds)
    run.checks.append(judging.user(waited.uid, run.subject.declared))
    if waited.ready is None:
        return False
    run.measured = replace(run.measured, cold_start=cold)
    run.waited = waited
    return True


def _questions(run: _Run) -> None:
    """Ask what is golden: again and again, alone, and together."""
    golden = run.subject.golden
    run.progress.say(f"asking {len(golden)} golden requests")
    for one in golden:
        run.checks.append(judging.answers(one, run.asker.ask([one.request] * _REPEATED)))
    variants = list(batching.variants(golden))
    for variant, answer in zip(
        variants, run.asker.ask([variant.request for variant in variants]), strict=True
    ):
        run.checks.append(judging.variant(variant, answer))


def _endpoints(run: _Run) -> None:
    """Ask the endpoints that `runtime.health` declares, and send what is malformed."""
    health, first = run.subject.rules.health, run.subject.golden[0]
    asked = [path for path in (health.live, health.version) if path]
    given = dict(zip(asked, run.asker.ask([_get(path) for path in asked]), strict=True))
    run.checks.append(judging.live(given.get(health.live)))
    log = bytes(run.head)
    run.checks.append(judging.version(given.get(health.version), judging.verified(log)))
    headers = {**first.request.headers, "Content-Type": "application/json"}
    broken = replace(first.request, method="POST", json=None, raw=_BROKEN, headers=headers)
    if not health.metrics:
        run.checks.append(judging.malformed(run.asker.ask([broken])[0]))
        run.checks.append(Check(name="metrics", outcome="skipped",
                                found="runtime.health.metrics is not declared"))  # fmt: skip
        return
    before, _, wrong = run.asker.ask([_get(health.metrics), first.request, broken])
    run.checks.append(judging.malformed(wrong))
    for _ in range(_LOOKS):
        after = run.asker.ask([_get(health.metrics)])[0]
        found = judging.metrics(before, after, asked=2)
        if found.outcome == "passed":
            break
        time.sleep(_AGAIN)
    run.checks.append(found)


def _load(run: _Run, sampler: Sampler) -> None:
    """Ask for as long, and by as many at once, as is declared."""
    rules = run.subject.rules
    asked = [(one.name, one.request, one.status) for one in run.subject.golden]
    run.progress.say(f"asking for {rules.duration:g} s with {rules.concurrency} at once")
    run.asker.load(asked, concurrency=rules.concurrency, seconds=rules.duration * _WARM_UP)
    before = sampler.now()
    loaded = run.asker.load(asked, concurrency=rules.concurrency, seconds=rules.duration)
    after = sampler.now()
    if run.waited is not None:
        run.checks.append(judging.lazy(run.waited, loaded))
    run.checks.append(judging.load(loaded))
    run.measured = replace(
        run.measured, p50=loaded.p50, p95=loaded.p95, p99=loaded.p99, requests=loaded.count,
        rate=loaded.count / loaded.seconds,
        memory_growth=None if before is None or after is None else after - before,
    )  # fmt: skip


def _stop(run: _Run) -> None:
    started = time.monotonic()
    run.watch.stop()
    status = run.engine.wait(run.watch.id)
    seconds = time.monotonic() - started
    run.watch.drain()
    run.checks.append(judging.stopped(status, seconds, run.subject.rules.patience))
    run.measured = replace(run.measured, stop=seconds)


def _broken(run: _Run, error: ModelpackError) -> Check:
    """Return why nothing more could be asked; raise `error` where that is not the image's fault."""
    state = run.engine.state(run.watch.id)
    if state is None or state.running:
        raise error
    run.watch.drain()
    status = state.status or 0
    why = explaining.findings(
        run.subject.container, status, state, bytes(run.watch.tail), stopped=False
    )
    said = [f"{one.at}: {one.message}" if one.at else one.message for one in why]
    return judging.check("runs", [f"it ended by itself with status {status}", *said],
                         hint="see its log: modelpack run IMAGE")  # fmt: skip


def _get(path: str) -> Request:
    return Request(method="GET", path=path)
