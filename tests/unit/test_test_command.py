"""`modelpack test`: what passes, what each fault is called, and what is kept of it."""

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from safetensors.numpy import save

from modelpack.digest import hex_of
from modelpack.digest import of as digest_of
from modelpack.functional import golden_files, judging, sending
from modelpack.functional.asking import Answer
from modelpack.oci.layout import Layout
from modelpack.signing import requirements
from modelpack.trust import predicate_types, statement
from modelpack.trust.made_here import MadeHere
from tests.fakes.fake_engine import FakeEngine, Script
from tests.functional_desk import (
    GOLDEN,
    IMAGE,
    SHORT,
    TOML,
    VERIFIED,
    Desk,
    by_itself,
    in_process,
    set_up,
)
from tests.scripted_model import Model, served


@pytest.fixture
def desk(
    tmp_path: Path, fake: FakeEngine, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Desk:  # fmt: skip
    return set_up(tmp_path, fake, monkeypatch, capsys)


def test_a_right_service_passes_and_the_statement_says_so(desk: Desk, tmp_path: Path) -> None:
    junit = tmp_path / "junit.xml"
    toml = '[test.limits]\nmemory = "64 MiB"\ncpus = "1.5"\nimage-size = "900 GB"\n'

    done = desk.test(Model(), "--junit", junit, "--json", toml=toml)

    shown = done.document
    assert shown["outcome"] == "passed"
    outcomes = {check["name"]: check["outcome"] for check in shown["checks"]}
    assert outcomes.pop("interface") == "skipped"
    assert {*outcomes.values()} == {"passed"}
    assert shown["measured"]["memory"] == 30 << 20  # without what is cached
    assert shown["measured"]["requests"] > 0
    asked = desk.fake.last.asked
    assert asked["User"] == "54321:0"
    assert asked["HostConfig"]["NetworkMode"] == "none"
    assert asked["HostConfig"]["ReadonlyRootfs"]
    assert asked["HostConfig"]["Memory"] == 64 << 20
    assert asked["HostConfig"]["NanoCpus"] == 1_500_000_000
    assert desk.fake.removed  # nothing is left behind
    suite = ET.fromstring(junit.read_bytes())
    assert suite.attrib["failures"] == "0"
    assert len(suite) == len(shown["checks"])
    kept = statement.parse((desk.folder / "dist" / "test.json").read_bytes())
    assert kept.predicate_type == predicate_types.TEST
    assert kept.is_about(IMAGE.digest)
    assert kept.predicate["result"] == "PASSED"
    assert kept.predicate["configuration"][0]["name"] == "golden/one.json"


def test_gpus_are_given_as_in_run(desk: Desk) -> None:
    desk.test(Model(), "--gpus", "device=0")

    (asked,) = desk.fake.last.asked["HostConfig"]["DeviceRequests"]
    assert (asked["Capabilities"], asked["DeviceIDs"]) == ([["gpu"]], ["0"])
    assert "not GPUs" in desk.test(Model(), "--gpus", "many", status=2).err


def test_the_statement_stands_beside_the_image_and_may_be_signed(desk: Desk) -> None:
    for factor, passed in ((3.0, False), (2.0, True)):
        done = desk.test(Model(factor=factor), "--json", status=0 if passed else 1)

        layout = Layout(desk.folder / "dist" / "image")
        (entry,) = [
            one for one in layout.referrers(IMAGE.digest)
            if one.annotations[statement.PREDICATE_TYPE] == predicate_types.TEST
        ]  # fmt: skip
        (layer,) = layout.image(entry.digest).layers
        assert layer.digest == done.document["statement"]
        assert MadeHere(desk.folder.parent / "cache").since(layer.digest) is not None
        said = statement.parse(layout.read(layer, limit=statement.SIZE_LIMIT))
        if passed:
            requirements.require(["test"], [IMAGE.digest], {IMAGE.digest: [("test", said)]})
        else:
            with pytest.raises(Exception, match="did not pass"):
                requirements.require(["test"], [IMAGE.digest], {IMAGE.digest: [("test", said)]})


@pytest.mark.parametrize(
    ("model", "name", "message"),
    [
        (Model(factor=2.01), "golden/one.json", "`/doubled/0`: 2.01 instead of 2.0"),
        (Model(says=b'{"doubled": [NaN, 4.0, 6.0], "count": 3}'), "golden/one.json", "NaN"),
        (Model(says=b'{"doubled": [1e999, 4.0, 6.0], "count": 3}'), "golden/one.json", "1e999"),
        (
            Model(says=b'{"doubled": [2.0, 4.0, 6.0], "count": 3.0}'), "golden/one.json",
            "`/count`: a number with a fraction instead of a whole number",
        ),
        (
            Model(says=b'{"doubled": [2.0, 4.0], "count": 3}'), "golden/one.json",
            "`/doubled`: 2 elements instead of 3",
        ),
        (Model(says=b"<html>"), "golden/one.json", "not JSON"),
        (Model(drifts=0.0015), "golden/one.json", "asked again"),
        (
            Model(batch_factor=0.0005), "golden/one.json", "",
        ),  # within the tolerance
        (Model(ready=True, loading=1), "ready", "said ready, and the next request got 503"),
        (Model(digest="sha256:" + "0" * 64), "version", "does not name the weights that run"),
        (Model(counts=False), "metrics", "no counter of requests"),
        (Model(swallows=True), "malformed input", "answered with 200"),
        (Model(first_seconds=2.2), "first answer", ", later ones "),
    ],
)  # fmt: skip
def test_each_fault_fails_under_its_name(desk: Desk, model: Model, name: str, message: str) -> None:
    found = desk.outcomes(model, status=1 if message else 0)[name]

    assert found["outcome"] == ("failed" if message else "passed")
    assert message in found["found"]


def test_what_depends_on_its_batch_fails_alone(desk: Desk) -> None:
    desk.golden({**GOLDEN, "response": {"json": {"doubled": [2.5, 4.5, 6.5], "count": 3}}})

    found = desk.outcomes(Model(batch_factor=0.5), status=1)

    failed = sorted(name for name, check in found.items() if check["outcome"] == "failed")
    assert failed == [f"golden/one.json example {n} alone" for n in range(3)]


def test_what_leaks_fails_its_limit(desk: Desk) -> None:
    limit = '[test.limits]\nmemory-growth = "1 MiB"\n'
    options = {"toml": limit}

    steady = desk.outcomes(Model(), **options)["limit memory-growth"]
    leaking = desk.outcomes(Model(leaks=4 << 20), status=1, **options)["limit memory-growth"]

    assert steady["outcome"] == "passed"
    assert leaking["outcome"] == "failed"


def test_what_cannot_be_measured_is_no_yes(desk: Desk) -> None:
    done = desk.test(
        Model(memory=-(5 << 20)), "--json", status=3, toml='[test.limits]\nmemory = "1 GiB"\n'
    )

    assert done.document["outcome"] == "unknown"
    assert done.document["measured"]["memory"] is None
    kept = json.loads((desk.folder / "dist" / "test.json").read_bytes())["predicate"]
    assert kept["result"] == "WARNED"
    assert kept["warnedTests"] == ["limit memory"]


def test_what_is_deaf_is_killed_and_fails(desk: Desk) -> None:
    found = desk.outcomes(Model(), status=1, deaf=True, toml='[test.limits]\nstop = "1s"\n')

    assert "was killed" in found["stop"]["found"]


def test_needing_more_memory_is_said_so(desk: Desk) -> None:
    def ends(command: list[str], told: bytes) -> bytes:
        desk.fake.last.out_of_memory = True
        desk.fake.last.end(137)
        return b""

    (desk.folder / "modelpack.toml").write_text(
        TOML.format(port=1) + '[test.limits]\nmemory = "16 MiB"\n'
    )
    desk.fake.script = Script(serves=True, answers=ends)

    done = desk._type("test", desk.folder, *SHORT)

    assert done.status == 1
    assert "the container needed more memory than 16777216 bytes" in done.out
    assert json.loads((desk.folder / "dist" / "test.json").read_bytes())["predicate"][
        "failedTests"
    ] == ["runs", "limit memory"]


@pytest.mark.parametrize(("limits", "status"), [('memory = "16 MiB"', 1), ("", 3)])
def test_who_asks_may_be_the_one_that_is_killed_for_memory(
    desk: Desk, limits: str, status: int
) -> None:
    (desk.folder / "modelpack.toml").write_text(TOML.format(port=1) + f"[test.limits]\n{limits}\n")
    desk.fake.script = Script(serves=True, answers=lambda *_: b"", health=lambda _: 137)

    done = desk._type("test", desk.folder, *SHORT)

    assert done.status == status
    assert ("perhaps because all in it needed more memory than 16777216 bytes" in done.out) is (
        status == 1
    )


ASKED = {
    "values": np.array([[1.0, 2.0], [3.0, 4.0]], np.float32),
    "more": np.array([[0.0, 0.5], [0.0, 0.5]], np.float32),
}
ANSWERED = {
    "doubled": np.array([[2.0, 4.5], [6.0, 8.5]], np.float32), "count": np.array([2], np.int64)
}  # fmt: skip
TENSORS = {
    "request": {"path": "/tensors", "tensors": "asked.safetensors"},
    "response": {"tensors": "answered.safetensors"},
    "tolerance": {"absolute": 0.001},
    "ranges": {"/doubled": [0, 10], "/doubled/*/1": [4, 9]},
    "batch": {"input": ["/values", "/more"], "output": "/doubled"},
}


def tensors(desk: Desk, **answered: Any) -> None:
    """Write a golden file whose body is a file of tensors, and so is the answer's."""
    desk.golden(TENSORS, "tensors.json")
    (desk.folder / "golden" / "asked.safetensors").write_bytes(save(ASKED))
    (desk.folder / "golden" / "answered.safetensors").write_bytes(save({**ANSWERED, **answered}))


def test_tensors_are_sent_and_compared(desk: Desk) -> None:
    tensors(desk)

    done = desk.test(Model(), "--json")

    assert {check["outcome"] for check in done.document["checks"]} == {"passed", "skipped"}
    names = [check["name"] for check in done.document["checks"]]
    assert "golden/tensors.json example 1 alone" in names
    assert "golden/tensors.json and 0 more in a batch of 2" in names
    shown = {one["path"]: one["digest"] for one in done.document["golden"]}
    kept = json.loads((desk.folder / "dist" / "test.json").read_bytes())["predicate"]
    for name in ("tensors.json", "asked.safetensors", "answered.safetensors"):
        digest = digest_of((desk.folder / "golden" / name).read_bytes())
        assert shown[f"golden/{name}"] == digest
        assert {"name": f"golden/{name}", "digest": {"sha256": hex_of(digest)}} in kept[
            "configuration"
        ]


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Model(factor=2.5), "`/doubled`[0, 0]: 2.5 instead of 2, 0.5 off"),
        (Model(factor=9.0), "`/doubled`: 4 of 4 elements are wrong, the worst 28 off"),
        (Model(factor=9.0), "`/doubled`[0, 1]: 18.5 is not between 0 and 10"),
        (Model(dtype="float16"), "`/doubled`: dtype F16 instead of F32"),
        (Model(dtype="int64"), "`/doubled`: dtype I64 instead of F32"),
        (Model(name="other"), "`/other`: is not expected"),
        (Model(name="other"), "`/doubled`: is missing"),
        (Model(says=save({**ANSWERED, "doubled": np.full((2, 2), np.nan)})), "NaN at [0, 0] of"),
        (Model(says=save({**ANSWERED, "doubled": np.float32([[2, 4.5]])})),
         "`/doubled`: shape [1, 2] instead of [2, 2]"),
        (Model(says=save({**ANSWERED, "count": np.int64([3])})), "`/count`[0]: 3 instead of 2"),
        (Model(says=b"{}"), "not a safetensors file: too short"),
        (Model(says=save(ANSWERED)[:-1]), "not a safetensors file: tensors reach to byte 24"),
    ],
)  # fmt: skip
def test_each_fault_of_tensors_is_told(desk: Desk, model: Model, message: str) -> None:
    tensors(desk)
    (golden,) = golden_files.read(desk.folder, ["golden/tensors.json"])
    status, body = model.answer("/tensors", sending.body(golden.request) or b"")

    found = judging.answers(golden, [Answer(status=status, body=body, seconds=0.1)] * 2)

    assert found.outcome == "failed"
    assert message in found.found


def test_a_golden_file_may_name_tensors_instead_of_listing_numbers(desk: Desk) -> None:
    values = np.array([1.0, 2.0, 3.0], np.float32)
    (desk.folder / "golden" / "x.safetensors").write_bytes(save({"a#b": values, "out": values * 2}))
    asked = {"values": {"$tensor": "x.safetensors#a#b"}}
    desk.golden({
        **GOLDEN, "request": {"path": "/double", "json": asked},
        "response": {"json": {"doubled": {"$tensor": "../golden/x.safetensors#out"}, "count": 3}},
    })  # fmt: skip

    right, wrong = desk.outcomes(Model()), desk.outcomes(Model(factor=3.0), status=1)

    assert {check["outcome"] for check in right.values()} == {"passed", "skipped"}
    assert "`/doubled/0`: 3.0 instead of 2.0" in wrong["golden/one.json"]["found"]


def test_all_that_is_wrong_with_tensors_is_said_at_once(desk: Desk) -> None:
    folder = desk.folder / "golden"
    (folder / "nan.safetensors").write_bytes(save({"x": np.float32([1, np.inf])}))
    (folder / "cut.safetensors").write_bytes(save({"x": np.float32([1, 2])})[:-1])
    (desk.folder.parent / "outside.safetensors").write_bytes(save({"x": np.float32([1])}))
    (folder / "link.safetensors").symlink_to(desk.folder.parent / "outside.safetensors")
    desk.golden({
        "request": {"path": "/x", "json": [
            {"$tensor": "nan.safetensors#y"}, {"$tensor": "nan.safetensors"},
            {"$tensor": "nan.safetensors#x"}, {"$tensor": 1}, {"$tensors": "x", "more": 1},
            {"$tensors": "none.safetensors"}, {"$tensors": "../../outside.safetensors"},
            {"$tensors": "link.safetensors"}, {"$tensors": "bad\u0000"},
        ]},
        "response": {"tensors": "nan.safetensors"},
    })  # fmt: skip
    desk.golden({
        "request": {"path": "/x", "json": 1, "tensors": "nan.safetensors"},
        "response": {"tensors": "cut.safetensors"},
    }, "two.json")  # fmt: skip

    done = desk.test(Model(), status=2)

    for message in (
        "request.json[0]: nan.safetensors: has no tensor `y`, it has `x`",
        "request.json[1]: not `FILE#NAME`: `nan.safetensors`",
        "request.json[2]: holds +Infinity at [1], which nothing is like",
        "request.json[3]: `$tensor` or `$tensors` stands alone in its object, with a text",
        "request.json[4]: `$tensor` or `$tensors` stands alone in its object, with a text",
        "request.json[5]: golden/none.safetensors: cannot be read: No such file",
        "request.json[6]: ../outside.safetensors: does not lie in the project",
        "request.json[7]: golden/link.safetensors: does not lie in the project",
        "request.json[8]: `golden/bad\\x00`: not a path",
        "response.tensors.x: holds +Infinity at [1], which nothing is like",
        "golden/two.json: request.tensors: not a file of tensors, alone without `json`",
        "golden/two.json: response.tensors: golden/cut.safetensors: tensors reach to byte 8",
    ):
        assert message in done.err, done.err
    assert not desk.fake.containers


def test_all_that_is_wrong_with_golden_files_is_said_at_once(desk: Desk) -> None:
    desk.golden({"request": {"path": "no"}, "response": {"status": 1}, "tolerence": {}})
    desk.golden([], "two.json")
    desk.golden({**GOLDEN, "batch": {"input": "/nothing", "output": "/doubled"}}, "three.json")

    done = desk.test(Model(), status=2)

    for message in (
        "golden/one.json: request.path: not a path of the service",
        "golden/one.json: response.status: not an HTTP status",
        "golden/one.json: tolerence: unknown key",
        "golden/two.json: not an object",
        "golden/three.json: batch.input: there is no such list",
    ):
        assert message in done.err
    assert not desk.fake.containers


def test_other_images_need_a_file(desk: Desk) -> None:
    with served(Model()) as port:
        file = desk.folder / "modelpack.toml"
        file.write_text(TOML.format(port=port))
        desk.fake.script = Script(serves=True, answers=in_process, stderr=VERIFIED + b"\n")
        layout = f"oci:{desk.folder / 'dist' / 'image'}"

        without = desk._type("test", layout, *SHORT)
        with_file = desk._type("test", layout, "--file", file, *SHORT)

    assert without.status == 2
    assert "which golden requests" in without.err
    assert with_file.status == 0, with_file.out


def test_the_program_in_the_container_needs_nothing_but_python(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judging, "LAZY", 60.0)  # whatever else the machine has to do meanwhile
    with served(Model()) as port:
        (desk.folder / "modelpack.toml").write_text(TOML.format(port=port))
        desk.fake.script = Script(serves=True, answers=by_itself, stderr=VERIFIED + b"\n")

        done = desk._type("test", desk.folder, *SHORT, "--json")

    assert "checks" in done.document, done.out
    found = {check["name"]: check["outcome"] for check in done.document["checks"]}
    assert {n for n, outcome in found.items() if outcome != "passed"} <= {"user", "interface"}
    program = desk.fake.last.executed[0]
    assert program[0].startswith("/")  # the interpreter that starts the guard
    assert program[1:3] == ["-I", "-c"]
