"""One functional test: a service is started, asked, measured and stopped, and all of it judged."""

import time
from dataclasses import replace

from modelpack.engine.door import Engine
from modelpack.errors import ModelpackError
from modelpack.functional import interfaces, judging, run
from modelpack.functional.golden import Request
from modelpack.functional.run import Run, Subject, Tried
from modelpack.functional.sampling import Sampler
from modelpack.functional.value import Check
from modelpack.progress import Progress

_SEE_LOG = "see its log: modelpack run IMAGE"
_LOOKS = 10
_AGAIN = 0.2
"looks at the metrics, and seconds between: some services count after they have answered"
_BROKEN = b'{"'
"what no JSON parser takes for a value"


def test(engine: Engine, subject: Subject, *, progress: Progress) -> Tried:
    """Return what came of the service."""
    began = time.monotonic()
    with run.started(
        engine, subject, subject.container, subject.rules.port, progress=progress
    ) as running:
        sampler = Sampler(engine, running.watch.id)
        try:
            with sampler:
                if _until_ready(running, began):
                    run.questions(running, subject.golden)
                    _endpoints(running)
                    run.load(running, subject.golden, sampler)
            running.measured = replace(running.measured, memory=sampler.peak)
            if running.waited is not None:  # last: what is malformed moves none of the numbers
                running.checks += interfaces.checks(
                    running.asker, subject.interface, subject.rules.interface,
                    subject.golden, progress,
                )  # fmt: skip
            _stop(running)
        except ModelpackError as error:
            running.measured = replace(running.measured, memory=sampler.peak)
            running.checks.append(run.broken(running, error, hint=_SEE_LOG))
        log = bytes(running.watch.tail)
    return running.tried(log)


def _until_ready(running: Run, began: float) -> bool:
    """Wait; tell whether there is anybody to ask."""
    rules, first = running.subject.rules, running.subject.golden[0]
    health = rules.health
    seconds = run.patience_for_start(rules)
    running.progress.say("waiting until it is ready")
    waited = running.asker.wait(
        live=health.live, ready=health.ready or health.live or "/", seconds=seconds,
        declared=bool(health.ready), first=first.request,
    )  # fmt: skip
    cold = time.monotonic() - began - waited.after
    running.checks += judging.ready(waited, first, rules, seconds)
    running.checks.append(judging.user(waited.uid, running.subject.declared))
    if waited.ready is None:
        return False
    running.measured = replace(running.measured, cold_start=cold)
    running.waited = waited
    return True


def _endpoints(running: Run) -> None:
    """Ask the endpoints that `runtime.health` declares, and send what is malformed."""
    health, first = running.subject.rules.health, running.subject.golden[0]
    asked = [path for path in (health.live, health.version) if path]
    given = dict(zip(asked, running.asker.ask([_get(path) for path in asked]), strict=True))
    running.checks.append(judging.live(given.get(health.live)))
    version = given.get(health.version)
    running.checks.append(judging.version(version, running.verified() if version else None))
    headers = {"Content-Type": "application/json", **first.request.headers}
    broken = replace(first.request, method="POST", json=None, raw=_BROKEN, headers=headers)
    if not health.metrics:
        running.checks.append(judging.malformed(running.asker.ask([broken])[0]))
        running.checks.append(Check(name="metrics", outcome="skipped",
                                    found="runtime.health.metrics is not declared"))  # fmt: skip
        return
    before, _, wrong = running.asker.ask([_get(health.metrics), first.request, broken])
    running.checks.append(judging.malformed(wrong))
    for _ in range(_LOOKS):
        after = running.asker.ask([_get(health.metrics)])[0]
        found = judging.metrics(before, after, asked=2)
        if found.outcome == "passed":
            break
        time.sleep(_AGAIN)
    running.checks.append(found)


def _stop(running: Run) -> None:
    started = time.monotonic()
    running.watch.stop()
    status = running.engine.wait(running.watch.id)
    seconds = time.monotonic() - started
    running.watch.drain()
    running.checks.append(judging.stopped(status, seconds, running.subject.rules.patience))
    running.measured = replace(running.measured, stop=seconds)


def _get(path: str) -> Request:
    return Request(method="GET", path=path)
