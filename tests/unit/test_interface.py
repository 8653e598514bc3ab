"""The interface of a project: refused, packed, shown, compared."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save

from modelpack.digest import of as digest_of
from modelpack.errors import InputError
from modelpack.interface import Interface, malformed, reading
from modelpack.interface.compatibility import breaking, major
from modelpack.interface.judging import Exchange, judge, same_document
from modelpack.interface.validation import findings
from tests import projects
from tests.command_line import Done, run_here

OPENAPI: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {"title": "Sums", "version": "1.0.0"},
    "paths": {
        "/predict": {
            "parameters": [{"name": "k", "in": "query", "schema": {"type": "integer"}}],
            "post": {
                "requestBody": {
                    "required": True,
                    "content": {
                        "application/json": {"schema": {"$ref": "#/components/schemas/In"}}
                    },
                },
                "responses": {
                    "200": {
                        "description": "yes",
                        "content": {
                            "application/json": {"schema": {"$ref": "#/components/schemas/Out"}}
                        },
                    },
                    "4XX": {"description": "no"},
                },
            },
        },
        "/models/{name}": {
            "parameters": [
                {"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}
            ],
            "get": {"responses": {"200": {"description": "one"}}},
        },
    },
    "components": {
        "schemas": {
            "In": {
                "type": "object",
                "required": ["inputs"],
                "properties": {
                    "inputs": {
                        "type": "array", "maxItems": 9, "items": {"type": "number", "minimum": 0},
                    },
                    "mode": {"enum": ["fast", "exact"]},
                },
            },
            "Out": {
                "type": "object",
                "required": ["outputs"],
                "properties": {
                    "outputs": {"type": "array", "items": {"type": "number"}},
                    "label": {"enum": ["a", "b"]},
                    "score": {"type": "number", "maximum": 1},
                },
            },
        }
    },
}  # fmt: skip
GOLDEN = {
    "request": {"method": "POST", "path": "/predict", "json": {"inputs": [1, 2]}},
    "response": {"status": 200, "json": {"outputs": [3.0]}},
}
TOML = (
    projects.TOML
    + """
[interface]
openapi = "openapi.json"

[test]
golden = ["golden/*.json"]
"""
)


def _interface() -> Interface:
    return Interface(openapi=copy.deepcopy(OPENAPI))


def _schema(interface: Interface, name: str) -> dict[str, Any]:
    found: dict[str, Any] = interface.openapi["components"]["schemas"][name]
    return found


def _project(folder: Path, *, openapi: object = OPENAPI, golden: object = GOLDEN) -> Path:
    files = {
        **projects.CODE,
        "openapi.json": json.dumps(openapi, indent=2).encode(),
        "golden/one.json": json.dumps(golden).encode(),
    }
    return projects.make_project(folder / "project", folder / "cache", toml=TOML, files=files)


Type = Callable[..., Done]


@pytest.fixture
def type_(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Type:
    """Type commands in this process."""

    def typed(*words: object, cache: Path) -> Done:
        monkeypatch.setenv("MODELPACK_CACHE", str(cache))
        return run_here(capsys, *words)

    return typed


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("interface")
    projects.build(_project(root), root / "cache")
    return root


def test_it_stands_in_the_image_byte_for_byte_and_in_a_label(type_: Type, built: Path) -> None:
    document = (built / "project/openapi.json").read_bytes()
    image = f"oci:{built}/project/dist/image"

    raw = type_("inspect", image, "--raw", "interface", cache=built / "cache")
    shown = type_("inspect", image, "--json", cache=built / "cache").document

    assert raw.out.encode() == document
    claim = shown["interface"]
    assert claim["title"] == "Sums"
    assert claim["operations"] == ["POST /predict", "GET /models/{name}"]
    assert claim["digest"] == shown["claims"]["labels"]["dev.modelpack.interface.digest"]
    assert shown["findings"] == []
    source = json.loads(type_("inspect", image, "--raw", "source", cache=built / "cache").out)
    assert source["interface"] == {"openapi": digest_of(document)}
    person = type_("inspect", image, cache=built / "cache").out
    assert "POST /predict" in person


def test_a_rebuild_needs_the_same_document(type_: Type, built: Path, tmp_path: Path) -> None:
    image = f"oci:{built}/project/dist/image"
    cache = built / "cache"

    same = type_("rebuild", image, "--source", built / "project", "--offline", cache=cache)
    other = projects.copy_shuffled(built / "project", tmp_path / "other", seed=1)
    (other / "openapi.json").write_text("{}", encoding="utf-8")
    refused = type_("rebuild", image, "--source", other, "--offline", cache=cache)

    assert same.status == 0
    assert refused.status == 1
    assert "interface.openapi: not the recorded document" in refused.err


def test_an_image_without_an_interface_says_nothing_of_one(type_: Type, tmp_path: Path) -> None:
    folder = projects.make_project(tmp_path / "project", tmp_path / "cache")
    projects.build(folder, tmp_path / "cache")
    image = f"oci:{folder}/dist/image"

    assert "interface" not in type_("inspect", image, "--raw", "source", cache=tmp_path).out
    refused = type_("inspect", image, "--raw", "interface", cache=tmp_path)
    compared = type_("check", folder, "--compatible-with", image, cache=tmp_path / "cache")

    assert refused.status == 2
    assert "error: --compatible-with: the image states no interface" in compared.err


def test_a_golden_answer_that_does_not_fit_is_refused_before_anything_runs(
    type_: Type, tmp_path: Path
) -> None:
    golden = copy.deepcopy(GOLDEN)
    golden["response"]["json"] = {"outputs": ["three"]}
    folder = _project(tmp_path, golden=golden)

    done = type_("check", folder, cache=tmp_path / "cache")

    assert done.status == 1
    assert "error: golden/one.json: response: /outputs/0: 'three' is not of type 'number'" in (
        done.err
    )


def test_golden_tensors_are_judged_as_the_numbers_that_they_are(
    type_: Type, tmp_path: Path
) -> None:
    golden = copy.deepcopy(GOLDEN)
    golden["request"]["json"] = {"inputs": {"$tensor": "x.safetensors#x"}}
    folder = _project(tmp_path, golden=golden)
    other = {"request": {"call": "a:b"}, "response": {}}
    (folder / "golden" / "two.json").write_text(json.dumps(other))
    (folder / "golden" / "x.safetensors").write_bytes(save({"x": np.float32([1, 2])}))
    assert type_("check", folder, cache=tmp_path / "cache").status == 0

    (folder / "golden" / "x.safetensors").write_bytes(save({"x": np.float32([[-1]])}))
    done = type_("check", folder, cache=tmp_path / "cache")

    assert done.status == 1
    assert "golden/one.json: request: /inputs/0: [-1.0] is not of type 'number'" in done.err


@pytest.mark.parametrize("command", ["check", "lock", "build"])
def test_a_document_that_is_no_openapi_is_refused(
    type_: Type, command: str, tmp_path: Path
) -> None:
    folder = _project(tmp_path, openapi={"openapi": "3.1.0", "paths": {}})

    done = type_(command, folder, cache=tmp_path / "cache")

    assert done.status == 2
    assert "error: interface.openapi: 'info' is a required property" in done.err


@pytest.mark.parametrize(
    ("version", "status"), [("1.4.0", 1), ("2.0.0", 0), ("0.9.0", 1), ("two", 1)]
)
def test_a_breaking_change_needs_a_higher_major_version(
    type_: Type, version: str, status: int, built: Path, tmp_path: Path
) -> None:
    changed = copy.deepcopy(OPENAPI)
    changed["components"]["schemas"]["In"]["required"] = ["inputs", "mode"]
    golden = copy.deepcopy(GOLDEN)
    golden["request"]["json"]["mode"] = "fast"  # type: ignore[index]
    folder = _project(tmp_path, openapi=changed, golden=golden)
    toml = folder / "modelpack.toml"
    toml.write_text(toml.read_text().replace('"1.0.0"', f'"{version}"'), encoding="utf-8")

    done = type_("check", folder, "--compatible-with", f"oci:{built}/project/dist/image",
               cache=tmp_path / "cache")  # fmt: skip

    assert done.status == status
    assert "POST /predict request: /: new required field `mode`" in done.err + done.out
    assert ("raise the major version" in done.err) == bool(status)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"{", "not valid JSON"),
        (b"\xff", "not valid JSON"),
        (b"[]", "not a JSON object"),
        (b'{"a": 1, "a": 2}', "a key stands twice"),
        (b'{"a": NaN}', "NaN is no number"),
        (b'{"a": "\\ud800"}', "not valid JSON"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 80 + b"1" + b"}" * 80, "nested more than 64 deep"),
        (b'{"a": [' + b"1," * 250_000 + b"1]}", "more than 200000 values"),
        (b'{"x": {"$ref": "https://example.com/a.json"}}', "leads out of the document"),
        (b'{"x": {"$ref": "file:///etc/passwd"}}', "leads out of the document"),
        (b'{"x": {"$dynamicRef": "other.json#a"}}', "leads out of the document"),
        (b'{"x": {"$id": "https://example.com/"}}', "an inner `$id`"),
        (b'"' + b"a" * (5 << 20) + b'"', "larger than 4 MiB"),
    ],
)  # fmt: skip
def test_what_cannot_be_worked_with_safely_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(InputError, match=r"interface\.openapi") as refused:
        reading.parse({"openapi": data})

    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("interface", "message"),
    [
        (Interface(openapi={"swagger": "2.0"}), "not an OpenAPI document of version 3.0 or 3.1"),
        (Interface(openapi={**OPENAPI, "paths": 3}), "3 is not of type 'object'"),
        (
            Interface(openapi={**OPENAPI, "components": {"schemas": {}}}),
            "leads nowhere",
        ),
        (Interface(input={"type": "tensor"}), "'tensor' is not valid"),
        (Interface(input={"$schema": "https://example.com/mine"}), "no known JSON Schema"),
        (Interface(output={"pattern": "("}), "no regular expression"),
        (Interface(output={"$ref": "#/$defs/a"}), "leads nowhere"),
    ],
)
def test_documents_that_are_not_what_they_claim_are_refused(
    interface: Interface, message: str
) -> None:
    assert message in findings(interface)[0].message


@pytest.mark.parametrize("version", ["3.0.3", "3.0.4", "3.1.0", "3.1.1"])
def test_openapi_of_both_lines_is_valid(version: str) -> None:
    assert findings(Interface(openapi={**OPENAPI, "openapi": version})) == ()


def test_a_schema_without_an_end_is_a_reason_and_no_traceback() -> None:
    endless = {"$defs": {"a": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}

    reasons = judge(Interface(input=endless), Exchange(
        method="POST", path="/", status=200, request=1, has_response=False,
    ))  # fmt: skip

    assert reasons == ("request: the schema has no end",)


@pytest.mark.parametrize(
    ("changes", "reasons"),
    [
        ({}, ()),
        ({"path": "/predict?k=3"}, ()),
        ({"path": "/predict?k=many"}, (
            "request: query parameter `k`: 'many' is not of type 'integer'",
        )),
        ({"path": "/predict?k=3&k=4"}, (
            "request: query parameter `k`: ['3', '4'] is not of type 'integer'",
        )),
        ({"path": "/nothing"}, ("the interface has no POST /nothing",)),
        ({"has_request": False}, ("POST /predict requires a request body",)),
        ({"request": {}}, ("request: 'inputs' is a required property",)),
        ({"request": {}, "status": 422, "has_response": False}, ()),
        ({"status": 201}, ("POST /predict describes no answer with status 201",)),
        ({"response": {"outputs": [""]}}, ("response: /outputs/0: '' is not of type 'number'",)),
        ({"request_type": "text/plain"}, ("POST /predict describes no text/plain request body",)),
        (
            {"media_type": "text/html", "has_response": False},
            ("POST /predict describes no text/html answer with status 200",),
        ),
        ({"method": "GET", "path": "/models/a", "has_request": False, "has_response": False}, ()),
    ],
)  # fmt: skip
def test_an_exchange_is_judged(changes: dict[str, Any], reasons: tuple[str, ...]) -> None:
    good: dict[str, Any] = {
        "method": "POST", "path": "/predict", "status": 200,
        "request": {"inputs": [1]}, "response": {"outputs": [1]},
    }  # fmt: skip

    assert judge(_interface(), Exchange(**{**good, **changes})) == reasons


@pytest.mark.parametrize(
    ("path", "reasons"),
    [
        ("/a/7?q=x", ()),
        ("/a/7?q=x&many=1&many=2", ()),
        ("/a/7?q=x&many=1,2", ()),
        ("/a/7?q=%C3%A9+x", ()),
        ("/a/7?q=1", ()),
        ("/a/seven?q=x", ("request: path parameter `n`: 'seven' is not of type 'integer'",)),
        ("/a/7", ("request: query parameter `q` is missing",)),
        ("/a/7?q=", ("request: query parameter `q`: '' should be non-empty",)),
        ("/a/7?q=x&many=a", ("request: query parameter `many`: 'a' is not of type 'array'",)),
        ("/a/7?q=x&deep[a]=1&other=1", ()),
    ],
)
def test_parameters_of_a_request_are_judged(path: str, reasons: tuple[str, ...]) -> None:
    stated = [
        {"name": "n", "in": "path", "required": True, "schema": {"type": "integer"}},
        {"name": "q", "in": "query", "required": True,
         "schema": {"type": "string", "minLength": 1}},
        {"name": "many", "in": "query",
         "schema": {"type": "array", "items": {"type": "integer"}}},
        {"name": "deep", "in": "query", "style": "deepObject", "schema": {"type": "object"}},
        {"name": "H", "in": "header", "required": True, "schema": {"type": "string"}},
    ]  # fmt: skip
    operation = {"parameters": stated, "responses": {"200": {"description": "fine"}}}
    interface = Interface(openapi={**OPENAPI, "paths": {"/a/{n}": {"get": operation}}})

    found = judge(interface, Exchange(
        method="GET", path=path, status=200, has_request=False, has_response=False,
    ))  # fmt: skip

    assert found == reasons


def test_a_path_of_many_templates_is_no_search_without_an_end() -> None:
    template = "/" + "".join(f"{{p{n}}}" for n in range(40)) + "x"
    paths = {template: {"get": {"responses": {"200": {"description": "one"}}}}}

    found = judge(Interface(openapi={**OPENAPI, "paths": paths}), Exchange(
        method="GET", path="/" + "a" * 1000, status=200, has_request=False, has_response=False,
    ))  # fmt: skip

    assert found == ("the interface has no GET /" + "a" * 1000,)


def test_null_is_allowed_where_openapi_3_0_says_nullable() -> None:
    document = {**copy.deepcopy(OPENAPI), "openapi": "3.0.3"}
    interface = Interface(openapi=document)
    _schema(interface, "In")["properties"]["inputs"]["nullable"] = True
    exchange = Exchange(method="POST", path="/predict", status=200, request={"inputs": None},
                        response={"outputs": []})  # fmt: skip

    assert judge(interface, exchange) == ()
    assert judge(_interface(), exchange) != ()


def test_malformed_requests_never_fit_and_good_ones_are_not_among_them() -> None:
    made = malformed.requests(_interface(), "POST", "/predict", {"inputs": [1], "mode": "fast"})

    names = [one.name for one in made]
    assert {"not JSON", "without `inputs`", "`inputs` is a text", "content type text/plain"} <= {
        *names
    }
    assert "without `mode`" not in names
    assert "an unknown field" not in names
    for one in made:
        if one.content_type == "text/plain":
            continue
        try:
            value = json.loads(one.body)
        except (ValueError, RecursionError):
            continue
        exchange = Exchange(method="POST", path="/predict", status=200, request=value,
                            response={"outputs": []})  # fmt: skip
        assert judge(_interface(), exchange), one.name


def test_a_served_document_is_the_packed_one_wherever_it_runs() -> None:
    served = {**OPENAPI, "servers": [{"url": "http://127.0.0.1:8080"}]}

    assert same_document(_interface(), served)
    assert not same_document(_interface(), {**served, "paths": {}})
    assert not same_document(_interface(), [])


def _post(interface: Interface) -> dict[str, Any]:
    found: dict[str, Any] = interface.openapi["paths"]["/predict"]["post"]
    return found


def _content(interface: Interface) -> dict[str, Any]:
    found: dict[str, Any] = _post(interface)["requestBody"]["content"]
    return found


BREAKING: dict[str, Callable[[Interface], object]] = {
    "operation-removed": lambda i: i.openapi["paths"].pop("/predict"),
    "parameter-required": lambda i: i.openapi["paths"]["/predict"]["parameters"][0].update(
        required=True
    ),
    "parameter-narrowed": lambda i: i.openapi["paths"]["/predict"]["parameters"][0].update(
        schema={"type": "integer", "maximum": 3}
    ),
    "media-type-removed": lambda i: _content(i).update(
        {"application/xml": _content(i).pop("application/json")}
    ),
    "status-removed": lambda i: _post(i)["responses"].pop("200"),
    "request-required": lambda i: _schema(i, "In")["required"].append("mode"),
    "request-refused": lambda i: (
        _schema(i, "In")["properties"].pop("mode"),
        _schema(i, "In").update(additionalProperties=False),
    ),
    "request-type": lambda i: _schema(i, "In")["properties"]["inputs"]["items"].update(
        type="integer"
    ),
    "request-enum": lambda i: _schema(i, "In")["properties"]["mode"]["enum"].pop(),
    "request-bound": lambda i: _schema(i, "In")["properties"]["inputs"].update(maxItems=8),
    "response-promised": lambda i: _schema(i, "Out")["properties"].pop("label"),
    "response-type": lambda i: _schema(i, "Out")["properties"]["score"].update(
        type=["number", "null"]
    ),
    "response-enum": lambda i: _schema(i, "Out")["properties"]["label"]["enum"].append("c"),
    "response-bound": lambda i: _schema(i, "Out")["properties"]["score"].update(maximum=2),
    "request-opaque": lambda i: _schema(i, "In")["properties"]["mode"].update(pattern="^f"),
    "response-opaque": lambda i: _schema(i, "Out").pop("not", None) or _schema(i, "Out").update(
        **{"not": {"required": ["a"]}}
    ),
}  # fmt: skip


@pytest.mark.parametrize("rule", [rule for rule in BREAKING if rule != "response-opaque"])
def test_every_rule_refuses(rule: str) -> None:
    changed = _interface()
    BREAKING[rule](changed)

    assert f"interface.{rule}" in {one.rule for one in breaking(_interface(), changed)}


def test_an_answer_that_loses_a_condition_is_no_compatible_one() -> None:
    before = _interface()
    BREAKING["response-opaque"](before)

    assert [one.rule for one in breaking(before, _interface())] == ["interface.response-opaque"]


def test_a_body_that_becomes_required_breaks() -> None:
    before = _interface()
    _post(before)["requestBody"]["required"] = False

    assert [one.rule for one in breaking(before, _interface())] == ["interface.body-required"]


@pytest.mark.parametrize(
    "change",
    [
        lambda i: i.openapi["paths"].update({"/new": {"get": {"responses": {}}}}),
        lambda i: _schema(i, "In")["properties"].update(top={"type": "integer"}),
        lambda i: _schema(i, "Out")["properties"].update(more={"type": "integer"}),
        lambda i: _schema(i, "Out")["required"].append("label"),
        lambda i: _schema(i, "In")["properties"]["mode"]["enum"].append("slow"),
        lambda i: _schema(i, "Out")["properties"]["label"]["enum"].pop(),
        lambda i: _schema(i, "In")["properties"]["inputs"].update(maxItems=100),
        lambda i: _schema(i, "In").update(description="words"),
        lambda i: _post(i)["requestBody"].update(required=False),
        lambda i: i.openapi["paths"]["/predict"]["parameters"].append(
            {"name": "n", "in": "query", "schema": {"type": "string"}}
        ),
    ],
)
def test_what_only_adds_does_not_break(change: Callable[[Interface], object]) -> None:
    changed = _interface()
    change(changed)

    assert breaking(_interface(), changed) == ()


@pytest.mark.parametrize(
    ("version", "expected"), [("1.2.3", 1), ("v2", 2), ("0.1", 0), ("two", None), ("", None)]
)
def test_the_major_version(version: str, expected: int | None) -> None:
    assert major(version) == expected
