"""Ask a service all that its image's interface lets one ask, and what it does not."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from modelpack import canonical_json
from modelpack.digest import Digest
from modelpack.digest import of as digest_of
from modelpack.engine.door import Engine
from modelpack.errors import InputError, Unavailable
from modelpack.functional import generating, sending
from modelpack.functional import interface_judging as judging
from modelpack.functional.asking import Answer, Asker
from modelpack.functional.golden import Golden, Request
from modelpack.functional.interface_judging import Sent
from modelpack.functional.value import Check
from modelpack.interface import KINDS, Interface, malformed
from modelpack.interface.operations import find, operations, schema_of
from modelpack.interface.reading import LIMIT, parse
from modelpack.interface.validation import findings
from modelpack.metadata import INTERFACE
from modelpack.progress import Progress
from modelpack.run_configuration import INTERFACE_LABEL
from modelpack.spec import Interface as Declared

SERVED: Final = "/openapi.json"
"where FastAPI and others serve their document"
_AT_ONCE: Final = 8
"requests in one task"
_TIMEOUT: Final = 10.0
"seconds for an answer to what does not fit"
_SECONDS: Final = 60.0
"for all of them"
_SIZE: Final = 1 << 20
"bytes of a golden request that variants are made of"
_SUCCESS: Final = range(200, 300)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stated:
    """The interface that an image says it has."""

    documents: Mapping[str, bytes]
    label: str
    "what names them"

    @property
    def digest(self) -> Digest:
        """The one digest of all documents, which the label should be."""
        named = {kind: digest_of(data) for kind, data in self.documents.items()}
        return digest_of(canonical_json.dumps(named))

    def interface(self) -> Interface:
        """Return it as a value; raise InputError where it is not what the label names."""
        if self.digest != self.label:
            raise InputError("the documents are not those that the label names", at="interface",
                             hint="modelpack inspect IMAGE")  # fmt: skip
        return parse(self.documents)


def stated(engine: Engine, image: str, labels: Mapping[str, str]) -> Stated | None:
    """Return the interface of an image that `engine` has; None where it states none."""
    if INTERFACE_LABEL not in labels:
        return None
    found = {kind: engine.file(image, f"{INTERFACE}/{kind}.json", limit=LIMIT) for kind in KINDS}
    return Stated(
        documents={kind: data for kind, data in found.items() if data is not None},
        label=labels[INTERFACE_LABEL],
    )


def checks(
    asker: Asker, given: Stated | None, declared: Declared, golden: Sequence[Golden],
    progress: Progress,
) -> Iterator[Check]:  # fmt: skip
    """Ask, and yield what comes of it."""
    if given is None:
        yield _absent(declared)
        return
    try:
        interface = given.interface()
        found = findings(interface)
    except InputError as error:
        found = error.findings
    except Unavailable as error:  # a package is missing: neither yes nor no
        (why,) = error.findings
        yield Check(name="interface", outcome="unknown", found=f"{why.message}: {why.hint}")
        return
    if found:
        yield judging.stated(Interface(), found)
        return
    yield judging.stated(interface, ())
    progress.say("asking what the interface says, and what it does not")
    answers = asker.ask([one.request for one in golden])
    yield judging.golden(interface, list(zip(golden, answers, strict=True)))
    if interface.openapi:
        path = declared.served or SERVED
        (answer,) = asker.ask([Request(method="GET", path=path)])
        yield judging.served(interface, answer, path, declared=bool(declared.served))
    yield _malformed(asker, interface, golden)
    if interface.openapi:
        progress.say("asking what schemathesis makes of the interface")
        yield _generated(asker, interface, golden)


def _absent(declared: Declared) -> Check:
    if declared.is_stated:
        return Check(name="interface", outcome="failed",
                     found="the project has [interface], and the image states none",
                     hint="modelpack build")  # fmt: skip
    return Check(name="interface", outcome="skipped", found="the image states none")


def _malformed(asker: Asker, interface: Interface, golden: Sequence[Golden]) -> Check:
    """Send what cannot be read, or does not fit, to each operation that takes JSON."""
    templates = _templates(golden)
    made = [
        (f"{good.method} {good.path}", one, _like(good, one))
        for good in (*templates, *_untried(interface, templates))
        for one in malformed.requests(
            interface, good.method, good.path,
            good.json if len(_body(good)) <= _SIZE else None,
        )
    ]  # fmt: skip
    name = "interface malformed"
    if not made:
        return Check(name=name, outcome="skipped", found="nothing takes JSON")
    answers = ask_bounded(asker, [request for _, _, request in made])
    sent = [
        Sent(at=at, wrong=one.name, answer=answer)
        for (at, one, _), answer in zip(made, answers, strict=False)
    ]
    after, expected = asker.ask([golden[0].request])[0], golden[0].status
    return judging.refused(name, sent, of=len(made), after=after, expected=expected)


def _generated(asker: Asker, interface: Interface, golden: Sequence[Golden]) -> Check:
    """Send what schemathesis makes of the document, and let it judge the answers."""
    name = "interface generated"
    if not generating.available():
        return Check(name=name, outcome="skipped",
                     found=f"schemathesis is not installed: {generating.INSTALL}")  # fmt: skip
    try:
        with generating.made(interface.openapi) as (made, judge):
            answers = ask_bounded(asker, made.requests)
            complaints, unjudged = judge(answers)
    except generating.Failed as error:
        return Check(name=name, outcome="unknown", found=str(error))
    after, expected = asker.ask([golden[0].request])[0], golden[0].status
    return judging.generated(
        name, made, len(answers), complaints, unjudged, after=after, expected=expected
    )


def _templates(golden: Sequence[Golden]) -> list[Request]:
    """Return the smallest good request with a JSON body of each operation."""
    found: dict[tuple[str, str], Request] = {}
    for one in golden:
        key = one.request.method, one.request.path.partition("?")[0]
        if one.status not in _SUCCESS or one.request.json is None:
            continue
        if key not in found or len(_body(one.request)) < len(_body(found[key])):
            found[key] = one.request
    return list(found.values())


def _untried(interface: Interface, templates: Sequence[Request]) -> list[Request]:
    """Return a request without a body for each other operation that takes JSON, at a plain path."""
    tried = [find(interface.openapi, one.method, one.path) for one in templates]
    return [
        Request(method=one.method, path=one.path)
        for one in operations(interface.openapi)
        if schema_of(one.body) is not None and "{" not in one.path and one not in tried
    ]


def _body(request: Request) -> bytes:
    return sending.body(request) or b""


def _like(good: Request, one: malformed.Malformed) -> Request:
    others = {name: value for name, value in good.headers.items() if name.lower() != "content-type"}
    return Request(method=good.method, path=good.path, raw=one.body,
                   headers={**others, "Content-Type": one.content_type})  # fmt: skip


def ask_bounded(asker: Asker, requests: Sequence[Request]) -> list[Answer]:
    """Ask until the time is over or nobody answers; the answers may be fewer than the requests."""
    until = time.monotonic() + _SECONDS
    answers: list[Answer] = []
    while len(answers) < len(requests) and time.monotonic() < until:
        answers += asker.ask(requests[len(answers) : len(answers) + _AT_ONCE], timeout=_TIMEOUT)
        if not all(answer.status for answer in answers):
            break
    return answers
