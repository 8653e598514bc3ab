"""From what was answered and measured to checks: pure."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from modelpack.digest import Digest
from modelpack.functional import answering, batching, prometheus
from modelpack.functional.asking import Answer, Loaded, Waited
from modelpack.functional.batching import Variant
from modelpack.functional.comparing import SHOWN, NotANumber, differences, outside, parse
from modelpack.functional.golden import Form, Golden
from modelpack.functional.rules import Rules
from modelpack.functional.value import Check, Measured, Outcome
from modelpack.inputs.quoting import quoted
from modelpack.quantity import in_gib

JSON: Final = "application/json"
SUCCESS: Final = range(200, 300)
REFUSED: Final = range(400, 500)
LAZY: Final = 2.0
"seconds that a first answer may take whatever later ones take"
_TIMES_MEDIAN: Final = 20
_STOPPED: Final = (0, 143)
"exit status of who ends by itself at SIGTERM: of its own, or by the signal"
_KILLED: Final = 137


def check(name: str, complaints: Iterable[str], found: str = "", hint: str = "") -> Check:
    """Return a check that passed unless there are `complaints`, of which a few are told."""
    wrong = list(dict.fromkeys(complaints))
    if not wrong:
        return Check(name=name, outcome="passed", found=found)
    more = [f"and {len(wrong) - SHOWN} more"] if len(wrong) > SHOWN else []
    return Check(name=name, outcome="failed", found="\n".join([*wrong[:SHOWN], *more]), hint=hint)


def ready(waited: Waited, golden: Golden, rules: Rules, seconds: float) -> Iterator[Check]:
    """Judge that it became ready, and was when it said so."""
    name = "ready"
    if waited.ready is None:
        said = ", ".join(f"{word} {count} times" for word, count in waited.before.items())
        where = rules.health.ready or "its port"
        yield check(name, [f"{where} did not say so within {seconds:g} s: {said}"],
                    hint="see the service's log: modelpack run IMAGE")  # fmt: skip
        return
    if not rules.health.ready:
        yield Check(name=name, outcome="skipped", found="runtime.health.ready is not declared")
    elif waited.first is None or waited.first.status == golden.status:
        yield check(name, (), "and the first request after that was answered")
    else:
        yield check(
            name, [f"{rules.health.ready} said ready, and the next request got {waited.first}"],
            hint="answer 503 there until the weights are loaded",
        )  # fmt: skip


def imported(waited: Waited, functions: Sequence[str], seconds: float) -> Check:
    """Judge that the functions could be imported."""
    wrong = [] if waited.ready is not None else [f"not imported within {seconds:g} s"]
    return check("imported", wrong, ", ".join(functions))


def guarded(verified: Digest | None) -> Check:
    """Judge that the guard verified the weights before anything was imported."""
    wrong = [] if verified else ["nothing says that the weights were verified first"]
    return check("guard", wrong, f"verified {verified[:19]} first" if verified else "",
                 hint="functions are called in images that modelpack built")  # fmt: skip


def lazy(waited: Waited, loaded: Loaded) -> Check:
    """Judge that the first answer did not have to wait for the weights."""
    taken = waited.first.seconds if waited.first else 0.0
    most = max(LAZY, _TIMES_MEDIAN * loaded.p50)
    return check(
        "first answer",
        [f"it took {taken:.3g} s, later ones {loaded.p50:.3g} s"] if taken > most else [],
        f"{_milliseconds(taken)} after it was ready",
        hint="load the weights, and warm up, before readiness is given",
    )  # fmt: skip


def live(answer: Answer | None) -> Check:
    """Judge the liveness endpoint."""
    if answer is None:
        return Check(name="live", outcome="skipped", found="runtime.health.live is not declared")
    wrong = [] if answer.status in SUCCESS else [f"it answers {answer}"]
    return check("live", wrong, f"answers {answer}")


def version(answer: Answer | None, verified: Digest | None) -> Check:
    """Judge that the version endpoint names the weights that the guard verified."""
    if answer is None:
        return Check(name="version", outcome="skipped",
                     found="runtime.health.version is not declared")  # fmt: skip
    if verified is None:
        return check("version", ["the guard has not said which weights it verified"])
    if answer.status not in SUCCESS:
        return check("version", [f"it answers {answer}"])
    try:
        named = verified in _texts(parse(answer.body))
    except ValueError:
        named = verified in answer.body.decode("utf-8", "replace")
    return check(
        "version", [] if named else [f"it does not name the weights that run: {verified}"],
        f"names {verified[:19]}",
        hint="answer with the value of MODELPACK_WEIGHTS_DIGEST",
    )  # fmt: skip


def _texts(value: Any) -> Iterator[str]:  # noqa: ANN401  any JSON value
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list):
        for one in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(one)


def user(uid: int | None, declared: str) -> Check:
    """Judge that neither the image nor the process is root's."""
    name = declared.partition(":")[0]
    wrong = [] if name.isdecimal() and int(name) > 0 else [
        f"the image runs as {quoted(name or 'root')}"
    ]  # fmt: skip
    if uid == 0:
        wrong.append("the process runs as root")
    return check("user", wrong, f"runs as {uid if uid is not None else '?'}, declares {declared}",
                 hint="set a number above 0 as runtime.user")  # fmt: skip


def answers(golden: Golden, given: Sequence[Answer]) -> Check:
    """Judge the answers to one golden request that was sent several times."""
    complaints: list[str] = []
    values = []
    for answer in given:
        wrong, value = read(answer, golden.status, golden.form)
        complaints += wrong
        if not wrong:
            values.append(value)
    if golden.form is not None:
        for value in values[1:]:
            complaints += (
                f"asked again: {one}" for one in differences(value, values[0], golden.tolerance)
            )
        for value in values:
            complaints += contents(golden, value)
    return check(golden.name, complaints, f"{len(given)} times as expected")


def contents(golden: Golden, value: Any) -> Iterator[str]:  # noqa: ANN401  any JSON value
    """Yield where `value` is not what the file says."""
    if golden.is_stated:
        yield from differences(value, golden.value, golden.tolerance)
    yield from outside(value, golden.ranges)


def variant(asked: Variant, answer: Answer) -> Check:
    """Judge the answer to a request with other examples beside, or none."""
    complaints, value = read(answer, asked.status, asked.form)
    if not complaints:
        complaints = list(batching.complaints(asked, value))
    return check(asked.name, complaints, "as expected",
                 hint="the answer to an example depends on the others in its batch")  # fmt: skip


def read(answer: Answer, status: int, form: Form | None) -> tuple[list[str], Any]:
    """Return what is wrong with an answer as such, else what it says in its form.

    Where its content does not matter, what is said to be JSON holds no NaN nevertheless.
    """
    if answer.raised and answer.status != status:
        return [str(answer)], None
    if answer.status != status:
        return [f"status {answer} instead of {status}{_detail(answer.body)}"], None
    unstated = form is None
    if unstated and answer.media_type != JSON:
        return [], None
    try:
        return [], answering.read(answer.body, form or "json")
    except NotANumber as error:
        return [f"it holds {error}, which is no number"], None
    except answering.Unreadable as error:
        return [] if unstated else [str(error)], None


def _detail(body: bytes) -> str:
    return f": {quoted(body[:400].decode('utf-8', 'replace').strip())}" if body.strip() else ""


def malformed(answer: Answer) -> Check:
    """Judge the answer to what is not JSON."""
    wrong = [] if answer.status in REFUSED else [f"what is not JSON is answered with {answer}"]
    return check("malformed input", wrong, f"answered with {answer}",
                 hint="answer 400 or 422 to what cannot be read")  # fmt: skip


def metrics(before: Answer, after: Answer, *, asked: int) -> Check:
    """Judge that requests, errors and latency are counted."""
    looks = [prometheus.parse(one.body.decode("utf-8", "replace")) for one in (before, after)]
    return check("metrics", prometheus.complaints(*looks, asked=asked),
                 "requests, errors and latency have moved")  # fmt: skip


def load(loaded: Loaded, golden: Iterable[Golden]) -> Check:
    """Judge the answers under load, of which the last one to each request was kept."""
    wrong = []
    if loaded.wrong:
        wrong.append(f"{loaded.wrong} of {loaded.count} answers are not as expected, such as "
                     f"{quoted(loaded.first_wrong, 200)}")  # fmt: skip
    if loaded.killed:
        wrong.append(f"{loaded.killed} of its processes were killed: it needs more memory")
    for one in golden:
        if one.name in loaded.last and not loaded.wrong:
            said, value = read(loaded.last[one.name], one.status, one.form)
            if not said and one.form is not None:
                said = list(contents(one, value))
            wrong += (f"{one.name}: {reason}" for reason in said)
    return check("load", wrong, f"{loaded.count} answers in {loaded.seconds:.1f} s")


def stopped(status: int, seconds: float, patience: float) -> Check:
    """Judge how it ended at SIGTERM."""
    wrong = []
    if status == _KILLED:
        wrong.append(f"it still ran {patience:g} s after SIGTERM, and was killed")
    elif status not in _STOPPED:
        wrong.append(f"it ended with status {status} at SIGTERM")
    elif seconds > patience:
        wrong.append(f"it took {seconds:.1f} s")
    return check("stop", wrong, f"ended with {status} within {seconds:.1f} s of SIGTERM",
                 hint="handle SIGTERM: finish what is open, then exit with 0")  # fmt: skip


def limits(measured: Measured, rules: Rules) -> Iterator[Check]:
    """Judge the numbers by the limits of the project."""
    times = {
        "cold-start": measured.cold_start, "p50": measured.p50, "p95": measured.p95,
        "p99": measured.p99,
    }  # fmt: skip
    sizes = {
        "memory": measured.memory, "memory-growth": measured.memory_growth,
        "image-size": measured.image_size,
    }  # fmt: skip
    for key, seconds in times.items():
        yield from _limit(key, seconds, rules.seconds(key), _milliseconds)
    for key, size in sizes.items():
        yield from _limit(key, size, rules.bytes(key), in_gib)


def _limit(key: str, found: float | None, most: float | None, shown: Any) -> Iterator[Check]:  # noqa: ANN401
    if most is None:
        return
    outcome: Outcome = "unknown" if found is None else "failed" if found > most else "passed"
    said = "not measured" if found is None else shown(found)
    word = "more than" if outcome == "failed" else "of"
    yield Check(name=f"limit {key}", outcome=outcome, found=f"{said}, {word} {shown(most)}")


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.3g} ms" if seconds < 1 else f"{seconds:.2f} s"


def verified(log: bytes) -> Digest | None:
    """Return the digest of the weights that the guard says it verified, by the service's log."""
    for line in log.splitlines():
        if b'"guard.verified"' in line or b'"guard.skipped"' in line:
            try:
                event = json.loads(line)
            except (ValueError, RecursionError):
                continue
            digest = event.get("digest") if isinstance(event, dict) else None
            if isinstance(digest, str):
                return Digest(digest)
    return None
