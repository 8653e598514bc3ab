"""Whether a service answers as the interface of its image says: pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from modelpack.errors import Finding
from modelpack.functional import sending
from modelpack.functional.asking import Answer
from modelpack.functional.comparing import SHOWN, differences, parse
from modelpack.functional.generating import Complaint, Made
from modelpack.functional.golden import Golden, Request
from modelpack.functional.judging import REFUSED, check
from modelpack.functional.tolerance import Tolerance
from modelpack.functional.value import Check
from modelpack.inputs.quoting import quoted
from modelpack.interface import KINDS, Interface
from modelpack.interface.judging import JSON, Exchange, judge, same_document
from modelpack.interface.operations import operations
from modelpack.quantity import counted

_SUCCESS: Final = 200
_HINT: Final = "mend the service, or the document that [interface] names, and build again"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A request that does not fit the interface, and what was answered."""

    at: str
    "`POST /predict`"
    wrong: str
    "what is wrong with it, for people"
    answer: Answer


def stated(interface: Interface, found: Sequence[Finding]) -> Check:
    """Judge the documents themselves."""
    named = ", ".join(kind for kind in KINDS if getattr(interface, kind))
    count = len(operations(interface.openapi))
    said = f"{named}: {counted(count, 'operation')}" if interface.openapi else named
    return check("interface", [f"{one.at}: {one.message}" for one in found], said,
                 hint="modelpack check finds this before an image is built")  # fmt: skip


def golden(interface: Interface, asked: Sequence[tuple[Golden, Answer]]) -> Check:
    """Judge that golden requests, and what is answered to them, fit."""
    complaints = [
        f"{one.name}: {reason}"
        for one, answer in asked
        for reason in _complaints(interface, one.request, answer)
    ]
    said = f"{counted(len(asked), 'request')} with what is answered"
    return check("interface golden", complaints, said, hint=_HINT)


def _complaints(interface: Interface, request: Request, answer: Answer) -> Iterator[str]:
    if not answer.status:
        yield str(answer)
        return
    is_json = answer.media_type in ("", JSON) or answer.media_type.endswith("+json")
    value: Any = None
    if is_json and answer.body:
        try:
            value = parse(answer.body)
        except ValueError as error:
            yield f"response: not JSON: {error}"
            return
    yield from judge(interface, Exchange(
        method=request.method, path=request.path, status=answer.status,
        request=request.json, has_request=sending.body(request) is not None,
        request_type=_sent_type(request), response=value,
        has_response=is_json and bool(answer.body), media_type=answer.media_type or JSON,
    ))  # fmt: skip


def _sent_type(request: Request) -> str:
    said = (value for name, value in request.headers.items() if name.lower() == "content-type")
    return next(said, JSON).partition(";")[0].strip().lower()


def served(interface: Interface, answer: Answer, path: str, *, declared: bool) -> Check:
    """Judge that the service serves the very document that the image has."""
    name = "interface served"
    if answer.status in REFUSED and not declared:
        found = f"{path} answers {answer}, and interface.served names no path"
        return Check(name=name, outcome="skipped", found=found)
    hint = "serve the document that [interface] names; `interface.served` says where"
    if answer.status != _SUCCESS:
        return check(name, [f"{path} answers {answer}"], hint=hint)
    try:
        value = parse(answer.body)
    except ValueError as error:
        return check(name, [f"{path} is not JSON: {error}"], hint=hint)
    if same_document(interface, value):
        return check(name, (), f"{path} is the document in the image")
    wrong = [
        one for one in differences(value, interface.openapi, Tolerance())
        if not one.startswith("`/servers")
    ]  # fmt: skip
    return check(name, wrong or [f"{path} is not the document in the image"], hint=hint)


def refused(name: str, sent: Sequence[Sent], *, of: int, after: Answer, expected: int) -> Check:
    """Judge that what does not fit is refused, and that the service answers `after` that."""
    wrong = still_answers(after, expected)
    wrong += [
        f"{one.at}: {' '.join(one.wrong.split())} is answered with {one.answer}"
        for one in sent
        if one.answer.status not in REFUSED
    ]
    less = f" of {of}, until the time was over" if len(sent) < of else ""
    return check(name, wrong, f"{counted(len(sent), 'request')} refused{less}",
                 hint="answer 400, 415 or 422 to what does not fit")  # fmt: skip


def generated(
    name: str,
    made: Made,
    asked: int,
    complaints: Sequence[Complaint],
    unjudged: Sequence[str],
    *,
    after: Answer,
    expected: int,
) -> Check:
    """Judge what schemathesis complains of: of each kind one example, the shortest request."""
    if not made.requests:
        found = "\n".join(("no request could be made", *map(_short, made.unmade[:SHOWN])))
        return Check(name=name, outcome="skipped", found=found)
    shortest: dict[tuple[str, str], Complaint] = {}
    for one in sorted(
        complaints, key=lambda one: (len(sending.body(one.request) or b""), one.message)
    ):
        shortest.setdefault((one.at, one.title), one)
    wrong = still_answers(after, expected)
    wrong += [
        f"{one.at}: {_short(f'{one.title}: {one.message}'.strip(': '))}: {_shown(one.request)}"
        for one in shortest.values()
    ]
    of = f" of {len(made.requests)}, until the time was over," if asked < len(made.requests) else ""
    to = counted(made.operations, "operation")
    said = [
        f"{counted(asked, 'request')}{of} to {to}, by schemathesis {made.version}",
        *(f"not made: {_short(one)}" for one in made.unmade),
        *(f"not judged: {_short(one)}" for one in unjudged),
    ]
    return check(name, wrong, "\n".join(said[: SHOWN + 1]), hint=_HINT)


def _short(text: str) -> str:
    return quoted(" ".join(text.split()), 240).strip("`")


def _shown(request: Request) -> str:
    body = (sending.body(request) or b"").decode("utf-8", "replace")
    return quoted(f"{request.method} {request.path} {body}".strip(), 160)


def still_answers(after: Answer, expected: int) -> list[str]:
    """Return a complaint where the service no longer answers what it answered before."""
    if after.status == expected:
        return []
    return [f"after that, a golden request gets {after} instead of {expected}"]
