"""Ask fickling about pickles, in a process of its own; this text is run by itself.

Standard library and fickling only: started as `python -I -c`, within limits of time and memory that
it sets itself. Argument: a folder with `names.json`, the names that are imported, and pickles
`0`, `1`, … Each answer is a line of JSON, so that those before an end by force count. Nothing of a
pickle is ever loaded: fickling interprets the opcodes as text.
Source: fickling 0.1.12, `fickling.analysis.check_safety`.
"""

import contextlib
import io
import json
import os
import resource
import sys
from importlib.metadata import version
from typing import Any

MEMORY = 3 << 30
SECONDS = 60
ANSWER = 8 << 20
"bytes that may be said"
_SHOWN = 300
"characters of one message"
_LAST = 1 << 20
"these opcodes are chosen for no value: nothing is written here"
_SPENT = "ResourceExhaustion"
"fickling's limits are met by large models as well: it is no sign of malice"
_UNUSED = "UnusedVariables"
"an empty OrderedDict gives rise to it: what counts is what is called"


def say(**line: object) -> None:
    """Write one answer, at once."""
    sys.__stdout__.write(f"{json.dumps(line)}\n")  # type: ignore[union-attr]
    sys.__stdout__.flush()  # type: ignore[union-attr]


def limit() -> None:
    """Bound what this process may use; where a system has no such limit, its keeper has."""
    for which, most in (
        (resource.RLIMIT_AS, MEMORY), (resource.RLIMIT_CPU, SECONDS), (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, ANSWER),
    ):  # fmt: skip
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(which, (most, most))


def line_of(name: str) -> bytes:
    """Return a pickle that does nothing but import `name`."""
    module, _, member = name.rpartition(".")
    return f"c{module}\n{member}\n.".encode()


def teach() -> None:
    """Give fickling the opcodes of plain data that it lacks: floats as text, and `bytearray`."""
    from fickling import fickle  # noqa: PLC0415

    for name in ("FLOAT", "BYTEARRAY8"):
        if name not in fickle.OPCODES_BY_NAME:
            members = {"name": name, "priority": _LAST, "validate": classmethod(lambda _, it: it)}
            type(name, (fickle.ConstantOpcode,), members)


def judge(data: Any, which: int, *, guessed: bool = False) -> None:  # noqa: ANN401
    """Say what fickling finds in the pickles of `data`, bytes or a stream, and what it cannot read.

    Of what is only `guessed` to be a name, nothing but that it is malicious.
    """
    from fickling.analysis import Severity, check_safety  # noqa: PLC0415
    from fickling.fickle import StackedPickle  # noqa: PLC0415

    try:
        stack = StackedPickle.load(data, fail_on_decode_error=False)
        results = [one for pickle in stack for one in check_safety(pickle).results]
    except MemoryError:
        say(pickle=which, unread="it takes more memory than is given to a scan")
        return
    except Exception as error:  # noqa: BLE001  hostile input; whatever it is, it was not read
        say(pickle=which, unread=str(error)[:_SHOWN] or type(error).__name__)
        return
    for one in results:
        if one.analysis_name == _UNUSED:
            continue
        # What breaks off has no trigger, and needs no malice either: joblib's files do.
        if one.analysis_name == _SPENT or one.trigger is None:
            if not guessed:
                say(pickle=which, unread=str(one)[:_SHOWN])
            continue
        if one.severity >= Severity.LIKELY_OVERTLY_MALICIOUS:
            level = "malicious"
        elif guessed:
            continue
        elif one.severity >= Severity.SUSPICIOUS:
            level = "suspicious"
        else:
            continue
        say(pickle=which, level=level, what=(one.trigger or str(one))[:_SHOWN])


def main() -> None:
    """Judge the names first: that always ends."""
    limit()
    teach()
    say(version=version("fickling"))
    folder = sys.argv[1]
    with open(os.path.join(folder, "names.json"), encoding="utf-8") as file:
        names = json.load(file)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        for which, (walked, behind) in enumerate(names):
            for name in walked:
                judge(line_of(name), which)
            for name in behind:
                judge(line_of(name), which, guessed=True)
        for which in range(len(names)):
            with open(os.path.join(folder, str(which)), "rb") as data:
                judge(data, which)
    say(done=True)


if __name__ == "__main__":
    main()
