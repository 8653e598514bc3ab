"""The programs of `modelpack test` as the image runs them, under every Python that it may bring."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from modelpack.functional import calling, inside
from tests.pythons import VERSIONS, find_python

pytestmark = pytest.mark.integration

# What NumPy there is, is hidden: the image may have none.
JOB = """
import sys
sys.modules["numpy"] = None
class Work:
    @staticmethod
    async def rows(x):
        return [len(x), x]
"""
TENSOR = {calling.KEY: ["F16", [2, 1], "ADwAQA=="]}


@pytest.fixture(scope="module", params=VERSIONS)
def python(request: pytest.FixtureRequest) -> str:
    found = find_python(request.param)
    if found is None:
        pytest.skip(f"Python {request.param} is not installed")
    return found


def source(module: Any) -> str:
    return Path(module.__file__).read_text("utf-8")


def ask(python: str, port: int, task: dict[str, Any]) -> Any:
    """Run the program that asks, and return what it answers."""
    told = json.dumps({"timeout": 30, **task}, default=inside.encoded).encode()
    done = subprocess.run(
        [python, "-I", "-c", source(inside), str(port)], input=b"%d\n%b" % (len(told), told),
        capture_output=True, check=True, timeout=90,
    )  # fmt: skip
    return json.loads(done.stdout, object_hook=inside.decoded)


def test_a_function_is_asked_with_nothing_but_python(python: str, tmp_path: Path) -> None:
    (tmp_path / "job.py").write_text(JOB)
    with calling.Server(0, {}) as free:
        port = free.server_address[1]
    process = subprocess.Popen(
        [python, "-c", source(calling), str(port), "job:Work.rows"], cwd=tmp_path,
        stderr=subprocess.PIPE,
    )  # fmt: skip
    asked = {"function": "job:Work.rows", "arguments": {"x": TENSOR}}
    request = {"method": "POST", "path": "/call", "headers": {}, "timed": True,
               "body": json.dumps(asked).encode()}  # fmt: skip
    try:
        waited = ask(python, port, {"do": "wait", "live": "", "ready": "/ready", "declared": True,
                                    "seconds": 60, "first": request})  # fmt: skip
        loaded = ask(python, port, {
            "do": "load", "seconds": 0, "concurrency": 2,
            "requests": [{**request, "name": "one", "expected": 200}],
        })  # fmt: skip
        process.terminate()
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()

    assert json.loads(waited["first"]["body"]) == [2, [[1.0], [2.0]]]
    assert (loaded["count"], loaded["wrong"]) == (2, 0)
    assert json.loads(loaded["last"]["one"]["body"]) == [2, [[1.0], [2.0]]]
    assert process.returncode == 0, said
