"""Functions of an image: what is called, what each fault is called, and what is kept of it."""

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save

from modelpack.functional import calling, golden_files, inside, judging, sending
from modelpack.functional.asking import Answer
from modelpack.inputs.tensor_references import TensorFiles
from tests.fakes.fake_engine import FakeEngine, Script
from tests.functional_desk import GOLDEN, SHORT, VERIFIED, Desk, in_process, set_up
from tests.scripted_model import Model, served

TOML = """\
schema = 1
[model]
name = "digits"
version = "1.0.0"
[weights]
path = "weights"
[code]
command = ["python", "-m", "job"]
[test]
golden = ["golden/*.json"]
"""
CALL = {
    "request": {"call": "job.work:double", "arguments": {"values": [1.0, 2.0]}},
    "response": {"returns": {"doubled": [2.0, 4.0], "count": 2}},
    "tolerance": {"absolute": 0.001},
    "ranges": {"/doubled/*": [0, 10]},
    "batch": {"input": "/values", "output": "/doubled"},
}
Functions = dict[str, Callable[..., Any]]


def double(values: Any) -> Any:
    return {"doubled": [2 * value for value in values], "count": len(values)}


@contextmanager
def serving(functions: Functions) -> Iterator[int]:
    """Run the program of the container in this process."""
    with calling.Server(0, functions) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


class Calls:
    """A project whose golden files call functions."""

    def __init__(self, desk: Desk) -> None:
        self.desk, self.folder, self.fake = desk, desk.folder, desk.fake
        (desk.folder / "modelpack.toml").write_text(TOML)
        (desk.folder / "golden" / "one.json").unlink()
        desk.golden(CALL, "call.json")

    def test(
        self, functions: Functions, *options: object, status: int = 0, stderr: bytes = VERIFIED
    ) -> dict[str, Any]:
        with serving(functions) as port:

            def answers(command: list[str], told: bytes) -> bytes:
                return in_process([*command[:-1], str(port)], told)

            self.fake.script = Script(
                serves=True, stderr=stderr + b"\n", answers=answers, memory=lambda: 30 << 20
            )
            done = self.desk._type("test", self.folder, *SHORT, "--json", *options)
        assert done.status == status, done.out + done.err
        return {check["name"]: check for check in done.document["checks"]} | {"": done.document}


@pytest.fixture
def calls(
    tmp_path: Path, fake: FakeEngine, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Calls:  # fmt: skip
    return Calls(set_up(tmp_path, fake, monkeypatch, capsys))


def test_a_function_is_called_behind_the_guard_and_the_statement_says_so(calls: Calls) -> None:
    found = calls.test({"job.work:double": double})

    document = found.pop("")
    outcomes = {name: check["outcome"] for name, check in found.items()}
    assert outcomes.pop("service") == "skipped"
    assert found["service"]["found"] == "runtime.port is not declared"
    assert set(outcomes.values()) == {"passed"}
    assert {"golden/call.json", "golden/call.json example 0 alone",
            "golden/call.json example 1 alone", "calls: load",
            "golden/call.json and 0 more in a batch of 2", "calls: imported", "calls: guard",
            "calls: user"} == outcomes.keys()  # fmt: skip
    assert document["calls"]["requests"] > 0
    assert document["calls"]["p95"] < document["calls"]["cold_start"]
    assert document["measured"]["p95"] is None
    (asked,) = [one.asked for one in calls.fake.containers.values() if one.started]
    python, option, program, port, function = asked["Cmd"]
    assert (python, option, function) == ("/opt/venv/bin/python", "-c", "job.work:double")
    assert asked.get("Entrypoint") is None  # the guard stays what starts it
    assert "ThreadingHTTPServer" in program
    assert int(port) > 1024
    assert asked["HostConfig"]["NetworkMode"] == "none"
    kept = json.loads((calls.folder / "dist" / "test.json").read_bytes())["predicate"]
    assert kept["result"] == "PASSED"
    assert kept["modelpack"]["calls"]["requests"] == document["calls"]["requests"]


def boom(values: Any) -> Any:
    raise ValueError(f"cannot do {values}")


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda values: {"doubled": [3 * v for v in values], "count": 2}, "3.0 instead of 2.0"),
        (lambda values: double(values)["doubled"], "an array instead of an object"),
        (lambda values: {**double(values), "count": 2.0}, "a number with a fraction instead of"),
        (lambda values: {**double(values), "doubled": [float("nan")] * 2}, "it holds NaN"),
        (lambda values: {**double(values), "doubled": np.float32([np.inf, 0])},
         "it holds +Infinity at [0] of doubled"),
        (boom, "it raises `ValueError: cannot do [1.0, 2.0] ("),
        (lambda values: object(), "object, which is neither JSON nor a tensor"),
        (lambda values: {1: values}, "an object with a key of type int"),
        (lambda values: np.array([1j]), "an array of complex128, which safetensors has not"),
        (lambda: None, "TypeError"),
    ],
)  # fmt: skip
def test_each_fault_of_a_function_is_told(
    function: Callable[..., Any], message: str, tmp_path: Path
) -> None:
    golden = golden_files.decode(
        json.dumps(CALL).encode(), name="call.json", files=TensorFiles(tmp_path)
    )
    request = {
        "method": "POST", "path": golden.request.path, "headers": {}, "timed": True,
        "body": sending.body(golden.request),
    }  # fmt: skip
    with serving({"job.work:double": function}) as port:
        client = inside.Client(port, 30.0)
        answer = client.ask(request)
        client.close()

    found = judging.answers(golden, [
        Answer(status=answer["status"], body=answer["body"], seconds=answer["seconds"],
               headers=tuple(map(tuple, answer["headers"])))
    ])  # fmt: skip

    assert found.outcome == "failed"
    assert message in found.found


def test_tensors_come_as_arrays_and_are_compared_by_dtype_and_shape(calls: Calls) -> None:
    (calls.folder / "golden" / "x.safetensors").write_bytes(save({
        "a": np.float32([[1, 2], [3, 4]]), "b": np.float16([[1, 1], [2, 2]]),
        "sum": np.float32([[2, 3], [5, 6]]),
    }))  # fmt: skip
    calls.desk.golden({
        "request": {"call": "job.work:add", "arguments": [
            {"$tensor": "x.safetensors#a"}, {"$tensor": "x.safetensors#b"},
        ]},
        "response": {"returns": {"sum": {"$tensor": "x.safetensors#sum"}, "rows": 2}},
        "ranges": {"/sum": [2, 6]},
    }, "call.json")  # fmt: skip
    calls.desk.golden({
        "request": {"call": "job.work:rows", "arguments": {"$tensors": "x.safetensors"}},
        "response": {"returns": {"$tensor": "x.safetensors#sum"}},
        "batch": {"input": ["/a", "/b", "/sum"], "output": ""},
    }, "rows.json")  # fmt: skip
    seen = []

    def add(a: Any, b: Any) -> Any:
        seen.append((a.dtype, b.dtype, a.shape))
        a += b  # its own copy
        return {"sum": a, "rows": np.int64(len(a))}

    async def rows(a: Any, b: Any, sum: Any) -> Any:  # noqa: A002  the name of the tensor
        return sum

    functions = {"job.work:add": add, "job.work:rows": rows}
    found = calls.test(functions)
    wrong = calls.test(
        {**functions, "job.work:add": lambda a, b: {"sum": (a + b).astype("f8")[:1], "rows": 2}},
        status=1,
    )

    assert {check["outcome"] for name, check in found.items() if name} == {"passed", "skipped"}
    assert "golden/rows.json example 1 alone" in found
    assert set(seen) == {(np.dtype("float32"), np.dtype("float16"), (2, 2))}
    assert "golden/x.safetensors" in {one["path"] for one in found[""]["golden"]}
    assert (
        "`/sum`: dtype F64 instead of F32\n`/sum`: shape [1, 2] instead of [2, 2]"
        in (wrong["golden/call.json"]["found"])
    )


def test_what_nobody_verified_is_no_yes(calls: Calls) -> None:
    found = calls.test({"job.work:double": double}, status=1, stderr=b"hello")

    failed = {name for name, check in found.items() if check.get("outcome") == "failed" and name}
    assert failed == {"calls: guard"}


def test_a_service_and_a_function_are_tested_in_turn(calls: Calls) -> None:
    calls.desk.golden(GOLDEN)
    with served(Model()) as port, serving({"job.work:double": double}) as other:
        (calls.folder / "modelpack.toml").write_text(TOML + f"[runtime]\nport = {port}\n")

        def answers(command: list[str], told: bytes) -> bytes:
            called = command[-1] != str(port)
            return in_process([*command[:-1], str(other)] if called else command, told)

        calls.fake.script = Script(serves=True, stderr=VERIFIED + b"\n", answers=answers)
        done = calls.desk._type("test", calls.folder, *SHORT, "--json")

    names = [check["name"] for check in done.document["checks"]]
    assert done.status == 0, done.out
    assert {"load", "calls: load", "ready", "calls: imported", "malformed input"} <= {*names}
    assert "service" not in names
    assert len([one for one in calls.fake.containers.values() if one.started]) == 2


def test_what_is_wrong_with_a_golden_call_is_said_at_once(calls: Calls) -> None:
    calls.desk.golden({
        "request": {"call": "job.work", "arguments": 3, "path": "/x"},
        "response": {"json": 1}, "batch": {"input": "/*", "output": []},
    }, "call.json")  # fmt: skip

    done = calls.desk._type("test", calls.folder)

    assert done.status == 2
    for message in (
        "golden/call.json: request.call: not a function",
        "golden/call.json: request.arguments: neither an object of named nor a list",
        "golden/call.json: request.path: unknown key",
        "golden/call.json: response.json: unknown key",
        "golden/call.json: batch.input: not a JSON pointer",
        "golden/call.json: batch.output: not a JSON pointer",
    ):
        assert message in done.err


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("job:nothing", "AttributeError: module 'job' has no attribute 'nothing'"),
        ("job:number", "TypeError: `job:number` cannot be called"),
        ("nowhere:x", "ModuleNotFoundError: No module named 'nowhere'"),
        ("broken:x", "ZeroDivisionError: division by zero ("),
    ],
)
def test_what_cannot_be_imported_is_said_in_one_line(
    tmp_path: Path, name: str, reason: str
) -> None:
    (tmp_path / "job.py").write_text("number = 3\n")
    (tmp_path / "broken.py").write_text("1 / 0\n")
    program = Path(calling.__file__).read_text("utf-8")

    done = subprocess.run(
        [sys.executable, "-c", program, "0", name], cwd=tmp_path, capture_output=True, check=False
    )  # fmt: skip

    assert done.returncode == 1
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith(f"cannot import `{name}`: {reason}")
