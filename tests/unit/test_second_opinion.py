"""A named exception is for a format: what its pickles would call is judged all the same."""

import collections
import functools
import io
import os
import pickle
import runpy
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hostile_files import torch_archive, zipped

from modelpack import spec as specs
from modelpack.checks.formats import pickle_names, second_opinion
from modelpack.errors import Finding
from modelpack.inputs.weights import find
from modelpack.resolve import weights as resolving


class Calls:
    """Unpickling this would call `what` with `arguments`."""

    def __init__(self, what: Any, *arguments: Any) -> None:
        self.what, self.arguments = what, arguments

    def __reduce__(self) -> Any:
        return self.what, self.arguments


SHELL = Calls(os.system, "echo")
MALICIOUS = {
    **{f"reduce-{protocol}": pickle.dumps(SHELL, protocol) for protocol in (0, 2, 4)},
    "inst": b"(S'echo'\nios\nsystem\n.",
    "obj": b"(cos\nsystem\nS'echo'\no.",
    "newobj": b"\x80\x02cos\nsystem\nX\x04\0\0\0echo\x85\x81.",
    "runpy": pickle.dumps(Calls(runpy.run_path, "x.py"), 4),
    "eval": pickle.dumps(Calls(eval, "1 + 1"), 2),
    "names from the memo": (
        b"\x80\x04\x8c\x02os\x94\x8c\x06system\x9400\x8c\x04math0h\0h\1\x93\x8c\x04echo\x85R."
    ),
    "built from getattr": (
        b"cbuiltins\ngetattr\n(c__builtin__\n__import__\n(S'os'\ntRS'system'\ntR(S'echo'\ntR."
    ),
    "by __setstate__": b"cnumpy\nsize\n}S'x'\nc__builtin__\neval\nsb.",
    "second in a row": pickle.dumps({"a": 1}) + pickle.dumps(SHELL),
    "no STOP": pickle.dumps(SHELL, 4)[:-1],
    "broken after the call": pickle.dumps(SHELL, 4)[:-1] + b"\xff\xff\xff",
    # fickling's own interpreter gives up here, and takes nothing for what was called before
    "stack underflow after the call": b"cos\nsystem\n(S'echo'\ntR0000.",
    "unknown memo after the call": b"cos\nsystem\n(S'echo'\ntRh\x63.",
    "in a zip": zipped({"archive/data.pkl": pickle.dumps(SHELL, 2)}, zipfile.ZIP_DEFLATED),
}


def array_of_objects() -> bytes:
    out = io.BytesIO()
    np.save(out, np.array([SHELL], dtype=object), allow_pickle=True)
    return out.getvalue()


def said(tmp_path: Path, data: bytes, *allowed: str) -> list[Finding]:
    file = tmp_path / "model.pkl"
    file.write_bytes(data)
    return list(second_opinion.findings({"model.pkl": file}, allowed))


def rules(found: list[Finding]) -> set[str]:
    return {one.rule for one in found}


@pytest.mark.parametrize("name", MALICIOUS)
def test_what_is_malicious_is_refused_though_its_format_is_excepted(
    tmp_path: Path, name: str
) -> None:
    found = said(tmp_path, MALICIOUS[name])
    assert "weights.malicious" in rules(found), found
    refusal = next(one for one in found if one.rule == "weights.malicious")
    assert refusal.severity == "error"
    assert refusal.at == "model.pkl"


def test_a_payload_in_an_array_of_objects_is_seen(tmp_path: Path) -> None:
    assert "weights.malicious" in rules(said(tmp_path, array_of_objects()))


def tensor(key: bytes) -> bytes:
    """What torch writes for a tensor of two by two."""
    return (
        b"ctorch._utils\n_rebuild_tensor_v2\n((X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\0"
        + key
        + b"X\3\0\0\0cpuK\4tQK\0K\2K\2\x86K\2K\1\x86\x89ccollections\nOrderedDict\n)RtR"
    )


STATE = b"\x80\2ccollections\nOrderedDict\n)R(X\1\0\0\0a" + tensor(b"0") + b"u."
ESTIMATOR = (
    b"\x80\4\x8c\x1asklearn.linear_model._base\x8c\x10LinearRegression\x93)\x81}\x8c\5coef_G?\xf0"
    + bytes(6)
    + b"sb."
)


@pytest.mark.parametrize(
    ("data", "named"),
    [
        (pickle.dumps({"a": [1, 2.5, "x", None, (1, 2)]}), ""),
        (pickle.dumps([1.5, -2e9], 0), ""),
        (pickle.dumps(bytearray(b"abc"), 5), ""),
        (pickle.dumps(collections.OrderedDict(a=1), 2), ""),
        *((pickle.dumps({"w": np.arange(12.0)}, p), "numpy.dtype") for p in (2, 4, 5)),
        (STATE, "torch._utils._rebuild_tensor_v2"),
        (torch_archive(STATE), "torch._utils"),
        (ESTIMATOR, "sklearn.linear_model._base.LinearRegression"),
    ],
)
def test_ordinary_models_are_accepted_with_what_they_import(
    tmp_path: Path, data: bytes, named: str
) -> None:
    found = said(tmp_path, data)
    assert [one.severity for one in found] == ["warning"] * bool(named)
    assert not named or rules(found) == {"weights.suspicious"}
    assert named in "".join(one.message for one in found)


def test_an_import_that_is_named_is_accepted_and_no_other(tmp_path: Path) -> None:
    partial = pickle.dumps(functools.partial(len, ()), 2)
    assert "weights.malicious" in rules(said(tmp_path, partial))
    assert "weights.malicious" not in rules(said(tmp_path, partial, "functools.partial"))
    both = pickle.dumps([functools.partial(len, ()), SHELL], 2)
    found = said(tmp_path, both, "functools.partial")
    assert next(one for one in found if one.rule == "weights.malicious").message == (
        f"fickling calls it malicious: `{os.system.__module__}.system`"
    )


def test_an_import_that_nothing_needs_is_refused(tmp_path: Path) -> None:
    found = said(tmp_path, pickle.dumps(1), "functools.partial")
    assert [(one.rule, one.severity) for one in found] == [("weights.unused-exception", "error")]


def test_a_name_excepts_no_call_of_eval(tmp_path: Path) -> None:
    found = said(tmp_path, MALICIOUS["eval"], "__builtin__.eval")
    assert "weights.malicious" in rules(found)


WRAPPER = (
    b"\x80\4\x8c\x13joblib.numpy_pickle\x94\x8c\x11NumpyArrayWrapper\x94\x93)\x81}\x8c\1aK\1sb"
)


@pytest.mark.parametrize(
    "payload",
    [
        b"\x94\x8c\5posix\x94\x8c\6system\x94\x93\x94\x8c\4echo\x85R.",
        b"cposix\nsystem\n(S'echo'\ntR.",
        b"(S'echo'\niposix\nsystem\n.",
    ],
)
def test_what_a_loader_reads_behind_the_bytes_of_an_array_is_judged(
    tmp_path: Path, payload: bytes
) -> None:
    """As joblib writes arrays: its loader takes the bytes that no unpickler would."""
    array = bytes(range(256)) * 9
    name = "joblib.numpy_pickle.NumpyArrayWrapper"
    found = said(tmp_path, WRAPPER + array + payload, name)
    assert rules(found) >= {"weights.malicious", "weights.unread"}, found
    assert "`posix.system`" in next(o.message for o in found if o.rule == "weights.malicious")
    harmless = said(tmp_path, WRAPPER + array + b"clever\ntests\n.", name)
    assert "weights.malicious" not in rules(harmless)
    assert "weights.unread" in rules(harmless)
    assert "weights.malicious" in rules(said(tmp_path, WRAPPER + array + b"."))


def test_what_is_beyond_the_limits_of_fickling_is_said_and_hides_no_call(tmp_path: Path) -> None:
    many = b"]q\0" + b"h\x000" * 600
    assert rules(said(tmp_path, b"\x80\4" + many + b"N.")) == {
        "weights.unread",
        "weights.suspicious",
    }
    found = said(tmp_path, pickle.dumps(SHELL, 2)[:-1] + many + b".")
    assert rules(found) >= {"weights.malicious", "weights.unread"}


def test_a_look_that_does_not_end_is_ended_and_is_no_yes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(second_opinion, "TIMEOUT", 0.01)
    (one,) = said(tmp_path, pickle.dumps(1))
    assert one.rule == "weights.unread"
    assert "did not end" in one.message


def test_what_is_not_shown_to_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pickle_names, "LONGEST", 64)
    found = said(tmp_path, pickle.dumps([b"x" * 1000, SHELL]))
    assert "weights.unread" in rules(found)
    assert "weights.malicious" in rules(found), "our own walk sees all of it"


def test_without_fickling_our_own_scan_stands_and_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(second_opinion, "available", lambda: "")
    found = said(tmp_path, MALICIOUS["inst"])
    assert [(one.rule, one.severity) for one in found] == [("weights.no-second-opinion", "warning")]
    assert "pip install" in found[0].hint


def test_the_gate_of_weights_asks_only_about_what_is_excepted(tmp_path: Path) -> None:
    (tmp_path / "model.pkl").write_bytes(MALICIOUS["inst"])
    (tmp_path / "other.pkl").write_bytes(pickle.dumps({"a": 1}))
    weights = specs.Weights(
        name="m", path=".", include=("*.pkl",), allow_unsafe=("model.pkl",), destination="/m"
    )
    files = find(tmp_path, weights).files
    found = resolving.check_each(weights, files)
    assert [(one.at, one.rule) for one in found if one.severity == "error"] == [
        ("other.pkl", "weights.pickle"), ("model.pkl", "weights.malicious"),
    ]  # fmt: skip
