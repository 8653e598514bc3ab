"""Functions of an image: imported behind its guard, called, measured, and all of it judged."""

import time
from dataclasses import replace
from importlib.resources import files
from typing import Final

from modelpack.engine.door import Engine
from modelpack.errors import ModelpackError
from modelpack.functional import judging, run
from modelpack.functional.run import Run, Subject, Tried
from modelpack.functional.sampling import Sampler
from modelpack.progress import Progress

PORT: Final = 48231
"of the container's own loopback; its service does not run there"
_PREFIX: Final = "calls: "
_READY: Final = "/ready"


def test(engine: Engine, subject: Subject, *, progress: Progress) -> Tried:
    """Return what came of the golden calls, in a container that runs nothing else."""
    functions = list(dict.fromkeys(one.request.call for one in subject.calls))
    program = (files("modelpack.functional") / "calling.py").read_text("utf-8")
    container = replace(
        subject.container, command=(subject.caller, "-c", program, str(PORT), *functions)
    )
    began = time.monotonic()
    with run.started(engine, subject, container, PORT, progress=progress) as running:
        sampler = Sampler(engine, running.watch.id)
        try:
            with sampler:
                if _until_imported(running, functions, began):
                    run.questions(running, subject.calls)
                    run.load(running, subject.calls, sampler)
            running.measured = replace(running.measured, memory=sampler.peak)
            running.watch.stop()
        except ModelpackError as error:
            running.measured = replace(running.measured, memory=sampler.peak)
            running.checks.append(run.broken(running, error, hint=""))
        log = bytes(running.watch.tail)
    tried = running.tried(log)
    golden = tuple(one.name for one in subject.calls)
    named = (
        one if one.name.startswith(golden) else replace(one, name=f"{_PREFIX}{one.name}")
        for one in tried.checks
        if one.name != "limit image-size" or not subject.golden  # judged once
    )
    return replace(tried, checks=tuple(named))


def _until_imported(running: Run, functions: list[str], began: float) -> bool:
    """Wait; tell whether there is anything to be called. Cold start ends with the first answer."""
    first = running.subject.calls[0]
    seconds = run.patience_for_start(running.subject.rules)
    running.progress.say("waiting until the functions are imported")
    waited = running.asker.wait(
        live="", ready=_READY, declared=True, seconds=seconds, first=first.request
    )
    running.checks.append(judging.imported(waited, functions, seconds))
    running.checks.append(judging.guarded(running.verified()))
    running.checks.append(judging.user(waited.uid, running.subject.declared))
    if waited.ready is None:
        return False
    taken = waited.first.seconds if waited.first else 0.0
    cold = time.monotonic() - began - waited.after + taken
    running.measured = replace(running.measured, cold_start=cold)
    return True
