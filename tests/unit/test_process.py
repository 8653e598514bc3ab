"""Programs run by the one door: what they say, how they end, and that nothing of them is left."""

import os
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest

from modelpack import process
from modelpack.errors import Unavailable

HERE = {"PATH": os.defpath}


def python(text: str) -> list[str]:
    return [sys.executable, "-c", text]


def stream(argv: list[str], said: list[str]) -> tuple[int, bytes]:
    with tempfile.TemporaryFile() as output:
        status = process.stream(argv, environment=HERE, output=output, said=said.append)
        output.seek(0)
        return status, output.read()


def test_output_goes_to_the_file_and_lines_to_the_listener() -> None:
    said: list[str] = []
    text = "import sys; print('data', end=''); print('one\\ntwo', file=sys.stderr); sys.exit(4)"
    assert stream(python(text), said) == (4, b"data")
    assert said == ["one", "two"]


def test_an_endless_line_is_handed_over_in_parts() -> None:
    said: list[str] = []
    stream(python("import sys; sys.stderr.write('x' * 200_000)"), said)
    assert len("".join(said)) == 200_000
    assert max(map(len, said)) <= 64 << 10


def test_bytes_that_are_no_text_are_shown_as_such() -> None:
    said: list[str] = []
    stream(python(r"import os; os.write(2, b'\xff\n')"), said)
    assert said == ["\ufffd"]


def test_a_missing_program_is_named() -> None:
    with pytest.raises(Unavailable, match="cannot run `no-such-program`"):
        stream(["no-such-program"], [])


_FAMILY = """
import os, signal, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
if "deaf" in sys.argv:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
print(os.getpid(), child.pid, file=sys.stderr, flush=True)
time.sleep(600)
"""


def alive(number: int) -> bool:
    """Tell whether a process lives; one that is dead and not yet collected does not."""
    try:
        status = Path(f"/proc/{number}/stat").read_text("ascii")
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def left(family: list[int]) -> list[int]:
    """Return who of a family lives on, once those that were killed had the time to die."""
    for _ in range(500):
        if not any(map(alive, family)):
            break
        time.sleep(0.02)
    return [number for number in family if alive(number)]


@pytest.mark.parametrize("manner", ["polite", "deaf"])
def test_interrupted_it_ends_the_program_and_its_children(
    manner: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "_GRACE", 0.2)
    family: list[int] = []

    def interrupt(line: str) -> None:
        family.extend(map(int, line.split()))
        raise KeyboardInterrupt

    with tempfile.TemporaryFile() as output, pytest.raises(KeyboardInterrupt):
        process.stream([*python(_FAMILY), manner], environment=HERE, output=output, said=interrupt)
    assert len(family) == 2
    assert left(family) == []


def test_a_signal_while_it_waits_ends_the_program() -> None:
    family: list[int] = []

    def told(line: str) -> None:
        family.extend(map(int, line.split()))
        threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()

    with tempfile.TemporaryFile() as output, pytest.raises(KeyboardInterrupt):
        process.stream(python(_FAMILY), environment=HERE, output=output, said=told)
    assert left(family) == []


def test_what_a_program_leaves_behind_is_ended_with_it() -> None:
    said: list[str] = []
    text = (
        "import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', "
        "'import time; time.sleep(600)'], stderr=subprocess.DEVNULL).pid, file=sys.stderr)"
    )
    assert stream(python(text), said)[0] == 0
    assert left([int(said[0])]) == []


def test_a_program_that_runs_too_long_is_ended_with_what_it_started() -> None:
    family: list[int] = []
    with tempfile.TemporaryFile() as output, pytest.raises(Unavailable, match="did not end within"):
        process.stream(
            python(_FAMILY), environment=HERE, output=output, timeout=2,
            said=lambda line: family.extend(map(int, line.split())),
        )  # fmt: skip
    assert left(family) == []


def test_a_program_that_ends_in_time_is_left_alone() -> None:
    with tempfile.TemporaryFile() as output:
        status = process.stream(
            python("pass"), environment=HERE, output=output, said=print, timeout=600
        )
    assert status == 0
    assert not [one for one in threading.enumerate() if isinstance(one, threading.Timer)]


def test_a_conversation_is_a_line_for_a_line() -> None:
    text = "import sys\nfor line in sys.stdin: print(line.strip()[::-1], flush=True)"

    with process.conversation(python(text), environment=HERE, timeout=600) as tell:
        assert [tell(b"one"), tell(b"two")] == [b"eno\n", b"owt\n"]
    assert not [one for one in threading.enumerate() if isinstance(one, threading.Timer)]


@pytest.mark.parametrize(
    ("text", "timeout", "message"),
    [
        ("import sys; sys.exit('no luck')", 600, "ended without an answer: no luck"),
        ("print('half', end='')", 600, "ended without an answer$"),
        ("import time; time.sleep(600)", 0.2, "did not end within 0.2 seconds"),
    ],
)
def test_a_conversation_that_gets_no_answer(text: str, timeout: float, message: str) -> None:
    with (
        process.conversation(python(text), environment=HERE, timeout=timeout) as tell,
        pytest.raises(Unavailable, match=message),
    ):
        tell(b"anybody?")


def test_what_a_conversation_leaves_behind_is_ended_with_it() -> None:
    text = _FAMILY.replace("sys.stderr", "sys.stdout")
    with process.conversation(python(text), environment=HERE, timeout=600) as tell:
        family = [int(one) for one in tell(b"").split()]
    assert len(family) > 1
    assert left(family) == []
