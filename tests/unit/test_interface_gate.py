"""`modelpack test` holds a service against the interface in its image, and refuses what differs."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from modelpack.digest import of as digest_of
from modelpack.functional import generating, golden_files, interface_judging, interfaces, sending
from modelpack.functional.asking import Answer
from modelpack.functional.golden import Request
from modelpack.functional.interfaces import Stated
from modelpack.functional.value import Check
from modelpack.inputs.tensor_references import TensorFiles
from modelpack.interface import malformed, reading
from modelpack.metadata import INTERFACE
from modelpack.progress import Silent
from modelpack.run_configuration import INTERFACE_LABEL
from modelpack.spec import Interface
from tests.described_image import complete
from tests.fakes.fake_engine import FakeEngine
from tests.functional_desk import GOLDEN, Desk, set_up
from tests.scripted_model import MOST, Model


def _answer(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"description": "an answer", "content": {"application/json": {"schema": schema}}}


REQUEST = {
    "type": "object",
    "required": ["values"],
    "properties": {
        "values": {"type": "array", "items": {"type": "number", "minimum": -MOST, "maximum": MOST}}
    },
}
ANSWER = {
    "type": "object",
    "required": ["doubled", "count"],
    "properties": {
        "doubled": {"type": "array", "items": {"type": "number", "maximum": 100}},
        "count": {"type": "integer"},
    },
}
OPENAPI: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {"title": "Doubles", "version": "1.0.0"},
    "paths": {
        "/double": {
            "post": {
                "requestBody": {
                    "required": True,
                    "content": {"application/json": {"schema": REQUEST}},
                },
                "responses": {"200": _answer(ANSWER), "4XX": _answer({"type": "object"})},
            }
        }
    },
}
DECLARED = Interface(openapi="openapi.json")


def packed(value: Any) -> bytes:
    return json.dumps(value, indent=1).encode()


def right(**changes: Any) -> Model:
    return Model(**{"document": packed(OPENAPI), **changes})


def failed(found: Mapping[str, Any]) -> set[str]:
    return {name for name, check in found.items() if check["outcome"] == "failed"}


@pytest.fixture(autouse=True)
def without_schemathesis(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Do as if schemathesis were not installed, which takes seconds, where it is not the matter."""
    if "with_schemathesis" not in request.fixturenames:
        monkeypatch.setattr(generating, "available", lambda: False)


@pytest.fixture
def with_schemathesis() -> None:
    """Ask for what schemathesis makes as well."""


@pytest.fixture
def desk(
    tmp_path: Path, fake: FakeEngine, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Desk:  # fmt: skip
    """Return a desk with an image that states the interface of the scripted model."""
    made = complete()
    document = packed(OPENAPI)
    made = replace(made, source=replace(made.source, interface={"openapi": digest_of(document)}))
    image = made.image(files={**made.files, "interface/openapi.json": document})
    return set_up(tmp_path, fake, monkeypatch, capsys, image)


def test_a_service_that_is_what_its_interface_says_passes_everywhere(
    desk: Desk, tmp_path: Path
) -> None:
    junit = tmp_path / "junit.xml"

    done = desk.test(right(), "--junit", junit, "--json")

    checks = {one["name"]: one["outcome"] for one in done.document["checks"]}
    names = {"interface", "interface golden", "interface served", "interface malformed"}
    assert {checks[name] for name in names} == {"passed"}
    label = desk.fake.config(desk.fake.last.asked["Image"])["config"]["Labels"][INTERFACE_LABEL]
    assert done.document["interface"] == label
    cases = {case.attrib["name"] for case in ET.fromstring(junit.read_bytes())}
    assert names <= cases
    said = json.loads((desk.folder / "dist/test.json").read_bytes())["predicate"]
    assert names <= {*said["passedTests"]}
    digest = {"sha256": label.removeprefix("sha256:")}
    assert {"name": "interface", "digest": digest} in said["configuration"]


def test_the_image_has_the_say_and_not_the_project(desk: Desk) -> None:
    served = packed({**OPENAPI, "paths": {}})
    (desk.folder / "openapi.json").write_bytes(served)

    found = desk.outcomes(
        right(document=served), status=1, toml='[interface]\nopenapi = "openapi.json"\n'
    )

    assert failed(found) == {"interface served"}
    said = json.loads((desk.folder / "dist/test.json").read_bytes())["predicate"]
    assert said["failedTests"] == ["interface served"]


def test_a_service_that_ends_over_malformed_input_is_caught(desk: Desk) -> None:
    class Mortal(Model):
        def values(self, body: bytes) -> list[float]:
            try:
                return super().values(body)
            except TypeError:
                desk.fake.last.end(1)
                raise

    found = desk.outcomes(Mortal(document=packed(OPENAPI)), status=1)

    assert failed(found) == {"runs"}
    assert found["interface golden"]["outcome"] == "passed"


class Here:
    """Someone who asks a model in this process, as `Asker` does in a container."""

    def __init__(self, model: Model) -> None:
        self.model = model

    def ask(self, requests: Sequence[Request], *, timeout: float = 1.0) -> list[Answer]:
        return [self._one(request) for request in requests]

    def _one(self, request: Request) -> Answer:
        said = {name.lower(): value for name, value in request.headers.items()}
        if request.method == "POST" and said.get("content-type") != "application/json":
            return Answer(status=415, body=b"", seconds=0.0)
        status, body = self.model.answer(request.path, sending.body(request) or b"")
        headers = (("Content-Type", "application/json; charset=utf-8"),) if body else ()
        return Answer(status=status, body=body, seconds=0.0, headers=headers,
                      error="" if status else "it ended the connection")  # fmt: skip


def of(documents: Mapping[str, Any], label: str = "") -> Stated:
    made = Stated(documents={kind: packed(one) for kind, one in documents.items()}, label="")
    return replace(made, label=label or made.digest)


def asked(
    model: Model, given: Stated | None = of({"openapi": OPENAPI}),  # noqa: B008  a value
    declared: Interface = DECLARED,
) -> dict[str, Check]:  # fmt: skip
    files = TensorFiles(Path())
    golden = [golden_files.decode(packed(GOLDEN), name="golden/one.json", files=files)]
    found = interfaces.checks(Here(model), given, declared, golden, Silent())
    return {check.name: check for check in found}


def no(found: Mapping[str, Check]) -> set[str]:
    return {name for name, check in found.items() if check.outcome == "failed"}


def test_nothing_is_found_where_nothing_is_wrong() -> None:
    assert no(asked(right())) == set()


@pytest.mark.parametrize(
    ("model", "name", "message"),
    [
        (right(factor=50.0), "golden",
         "golden/one.json: response: /doubled/2: 150.0 is greater than the maximum of 100"),
        (right(says=b'{"doubled": [2.0, 4.0, 6.0]}'), "golden",
         "golden/one.json: response: 'count' is a required property"),
        (right(says=b"<html>"), "golden", "golden/one.json: response: not JSON"),
        (right(loading=9), "golden", "POST /double describes no answer with status 503"),
        (right(document=packed({**OPENAPI, "paths": {}})), "served",
         "`/paths/~1double`: is missing"),
        (right(document=b"<html>"), "served", "/openapi.json is not JSON"),
        (right(document=b"[]"), "served", "an array instead of an object"),
        (right(unexpected=500), "malformed", "the whole body is null is answered with 500"),
        (right(unexpected=200), "malformed", "is answered with 200"),
        (right(unexpected=0), "malformed", "is answered with no answer"),
        (right(swallows=True), "malformed", "POST /double: not JSON is answered with 200"),
    ],
)  # fmt: skip
def test_each_violation_fails_under_its_name(model: Model, name: str, message: str) -> None:
    found = asked(model)

    assert f"interface {name}" in no(found)
    assert message in found[f"interface {name}"].found
    assert found["interface"].outcome == "passed"


def test_operations_without_a_golden_request_are_sent_malformed_ones_too() -> None:
    post = OPENAPI["paths"]["/double"]["post"]
    named = {"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}
    document = {**OPENAPI, "paths": {
        **OPENAPI["paths"], "/other": {"post": post},
        "/models/{name}": {"parameters": [named], "post": post},
    }}  # fmt: skip

    class Deaf(Model):
        def answer(self, path: str, body: bytes) -> tuple[int, bytes]:
            return (500, b"{}") if path == "/other" else super().answer(path, body)

    found = asked(Deaf(document=packed(document)), of({"openapi": document}))

    assert no(found) == {"interface malformed"}
    said = found["interface malformed"].found
    assert "POST /other: not JSON is answered with 500" in said
    assert "/models" not in said


def test_an_empty_body_is_malformed_only_where_one_is_required() -> None:
    document = json.loads(packed(OPENAPI))
    del document["paths"]["/double"]["post"]["requestBody"]["required"]

    names = [
        {one.name for one in malformed.requests(given, "POST", "/double", None)}
        for given in (interface_of(OPENAPI), interface_of(document))
    ]

    assert names[0] - names[1] == {"an empty body"}


def interface_of(document: Any) -> Any:
    return reading.parse({"openapi": packed(document)})


def test_a_service_that_is_broken_by_malformed_input_is_caught() -> None:
    class Fragile(Model):
        def values(self, body: bytes) -> list[float]:
            try:
                return super().values(body)
            except TypeError:
                self.factor, self.loading = 2.0, self.asked + 10**6
                raise

    found = asked(Fragile(document=packed(OPENAPI)))

    assert no(found) == {"interface malformed"}
    said = found["interface malformed"].found
    assert said.startswith("after that, a golden request gets 503 instead of 200")


def test_who_serves_no_document_is_skipped_unless_it_is_declared() -> None:
    silent = asked(right(document=b""))["interface served"]
    declared = asked(right(document=b""), declared=replace(DECLARED, served="/openapi.json"))

    assert silent.outcome == "skipped"
    assert silent.found == "/openapi.json answers 404, and interface.served names no path"
    assert no(declared) == {"interface served"}


def test_servers_may_be_filled_in_where_it_runs() -> None:
    there = packed({**OPENAPI, "servers": [{"url": "http://127.0.0.1:8080"}]})

    assert no(asked(right(document=there))) == set()


def test_an_image_without_the_interface_that_its_project_declares_fails() -> None:
    found = asked(right(), None)

    assert no(found) == {"interface"}
    assert "the image states none" in found["interface"].found
    assert asked(right(), None, Interface())["interface"].outcome == "skipped"


def test_schemas_of_both_sides_are_as_good() -> None:
    found = asked(
        right(document=b""), of({"input": REQUEST, "output": {**ANSWER, "maxProperties": 1}})
    )

    assert no(found) == {"interface golden"}
    assert "interface served" not in found
    assert found["interface malformed"].outcome == "passed"


@pytest.mark.parametrize(
    ("documents", "message"),
    [
        ({"openapi": {**OPENAPI, "paths": 3}}, "interface.openapi: /paths: 3 is not of type"),
        ({"openapi": {"x": {"$ref": "file:///etc/passwd"}}}, "leads out of the document"),
        ({"input": []}, "interface.input: not a JSON object"),
    ],
)
def test_documents_that_cannot_be_followed_fail(documents: Any, message: str) -> None:
    found = asked(right(), of(documents))

    assert no(found) == {"interface"}
    assert message in found["interface"].found


def test_documents_that_the_label_does_not_name_fail() -> None:
    found = asked(right(), of({"openapi": OPENAPI}, "sha256:" + "0" * 64))

    assert no(found) == {"interface"}
    assert "not those that the label names" in found["interface"].found


def test_without_the_package_nobody_can_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openapi_spec_validator", None)

    found = asked(right())

    assert found["interface"].outcome == "unknown"
    assert "pip install 'modelpack-build[interface]'" in found["interface"].found
    assert "interface golden" not in found


def test_documents_are_read_from_the_image_and_only_where_its_label_says_so() -> None:
    class Holding:
        def file(self, image: str, path: str, *, limit: int) -> bytes | None:
            return packed(OPENAPI) if path == f"{INTERFACE}/openapi.json" else None

    label = of({"openapi": OPENAPI}).digest

    assert interfaces.stated(Holding(), "id", {}) is None
    assert interfaces.stated(Holding(), "id", {INTERFACE_LABEL: label}) == of({"openapi": OPENAPI})


def test_without_schemathesis_the_report_says_how_to_get_it() -> None:
    found = asked(right())["interface generated"]

    assert found.outcome == "skipped"
    assert found.found == (
        "schemathesis is not installed: pip install 'modelpack-build[schemathesis]'"
    )


@pytest.mark.usefixtures("with_schemathesis")
def test_what_schemathesis_makes_is_asked_and_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    class Picky(Model):
        """Doubles all but what no golden request asks."""

        def predict(self, body: bytes) -> tuple[int, bytes]:
            status, answer = super().predict(body)
            return status, (b'{"doubled": []}' if json.loads(answer).get("count") == 0 else answer)

    fine, picky = asked(right()), asked(Picky(document=packed(OPENAPI)))

    assert no(fine) == set()
    assert " requests to 1 operation, by schemathesis 4" in fine["interface generated"].found
    assert no(picky) == {"interface generated"}
    assert "POST /double: Response violates schema" in picky["interface generated"].found
    assert not list(tmp_path.iterdir())  # Hypothesis likes to leave something


@pytest.fixture(scope="module")
def made() -> Iterator[tuple[generating.Made, generating.Judge]]:
    """Return what schemathesis makes of the interface; it judges as often as it is asked."""
    with generating.made(OPENAPI) as both:
        yield both


@pytest.mark.parametrize(
    ("model", "title"),
    [
        (right(), ""),
        (right(unexpected=500), "Server error"),
        (right(unexpected=200), "Schema-violating request accepted"),
        (right(says=b'{"doubled": []}'), "Response violates schema"),
        (right(says=b"<html>"), "JSON"),
        (right(loading=10**6), "Undocumented status code"),
        (right(unexpected=0), "no answer (it ended the connection)"),
    ],
)
def test_what_schemathesis_finds(
    made: tuple[generating.Made, generating.Judge], model: Model, title: str
) -> None:
    what, judge = made
    answers = Here(model).ask(what.requests)

    complaints, unjudged = judge(answers)
    found = interface_judging.generated(
        "interface generated", what, len(answers), complaints, unjudged,
        after=Answer(status=200, body=b"", seconds=0.0), expected=200,
    )  # fmt: skip

    assert title in found.found
    assert found.outcome == ("failed" if title else "passed")
    assert unjudged == []


def test_what_takes_long_or_is_large_is_not_judged(
    made: tuple[generating.Made, generating.Judge],
) -> None:
    _, judge = made
    late = Answer(status=0, body=b"", seconds=30.0, error="timed out")
    large = Answer(status=200, body=b"x" * (2 << 20), seconds=0.0)

    complaints, unjudged = judge([late, large])

    assert complaints == []
    assert unjudged == [
        "POST /double: it takes long", "POST /double: 2097152 bytes of answer"
    ]  # fmt: skip


def test_the_same_document_gives_the_same_requests(
    made: tuple[generating.Made, generating.Judge],
) -> None:
    with generating.made(OPENAPI) as (again, _):
        assert again == made[0]
    assert len(again.requests) > 20


def test_a_document_that_schemathesis_does_not_take_is_no_yes() -> None:
    with pytest.raises(generating.Failed, match="ended without an answer"):
        generating.made({"openapi": "9.9", "paths": []}).__enter__()
