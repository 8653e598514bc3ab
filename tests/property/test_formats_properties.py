"""The pickle walk beside the real unpickler: whatever that one would call is reported."""

import io
import pickle
import pickletools
import re
from typing import Any, Self

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from modelpack.checks.formats import gate as formats
from modelpack.checks.formats import pickle_opcodes, window
from modelpack.errors import Finding

RELAXED = settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.too_slow])


class _CalledError(Exception):
    pass


class Recorder:
    """Anything that a pickle may name: being called is all that it notes."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        raise _CalledError

    def __setstate__(self, state: Any) -> None:
        raise _CalledError


class Watched(pickle.Unpickler):
    """The C unpickler with every global replaced by one that tells when it is called."""

    def find_class(self, module: str, name: str) -> Any:
        if not all(re.fullmatch(r"[\w-]+(\.[\w-]+)*", part) for part in (module, name)):
            raise ImportError("no file and no attribute is called like that")
        return Recorder


def calls_something(data: bytes) -> bool:
    try:
        Watched(io.BytesIO(data)).load()
    except _CalledError:
        return True
    except Exception:  # noqa: BLE001  whatever else the unpickler says, nothing was called
        return False
    return False


CODES = [opcode.code.encode("latin-1") for opcode in pickletools.opcodes]
LINES = [
    b"os",
    b"system",
    b"0",
    b"1",
    b"1_0",
    b"-1",
    b"'a'",
    b'"b"',
    b"a\\x41",
    b"",
    b" 1 ",
    b"1\0x",
]
lines = st.sampled_from(LINES).map(lambda line: line + b"\n")
pieces = st.one_of(
    st.sampled_from(CODES),
    st.sampled_from(
        [b"(", b")", b"N", b"t", b"R", b"0", b"2", b"\x85", b"]", b"}", b"\x94", b"q\0"]
    ),
    st.builds(
        lambda code, line: code + line, st.sampled_from([b"I", b"S", b"V", b"p", b"g"]), lines
    ),
    st.just(b"cos\nsystem\n"),
    st.just(b"ios\nsystem\n"),
    st.just(b"\x8c\x02os\x8c\x06system\x93"),
    st.builds(lambda text: b"U" + bytes([len(text)]) + text, st.binary(max_size=5)),
    st.binary(max_size=3),
)
streams = st.builds(
    lambda start, body: start + b"".join(body),
    st.sampled_from([b"", b"\x80\x02", b"\x80\x04", b"\x80\x05\x95\x10\0\0\0\0\0\0\0"]),
    st.lists(pieces, min_size=1, max_size=14),
)


@RELAXED
@given(streams)
@example(b"cos\nsystem\n)R")
@example(b"I1\0junk\n0cos\nsystem\n)R.")
@example(b"(ios\nsystem\n")
def test_whatever_the_unpickler_calls_is_reported(data: bytes) -> None:
    if calls_something(data):
        assert pickle_opcodes.walk(window.of_bytes(data)).calls


CALLING = [
    b"cos\nsystem\n(S'id'\ntR.",
    b"(S'id'\nios\nsystem\n.",
    b"(cos\nsystem\nS'id'\no.",
    b"\x80\x02cos\nsystem\nq\0X\x02\0\0\0idq\1\x85q\2Rq\3.",
    b"\x80\x04\x95\x20\0\0\0\0\0\0\0\x8c\x02os\x94\x8c\x06system\x94\x93\x94)\x81}b.",
    b"(dp0\nS'a'\np1\ncos\nsystem\np2\n(I1\ntp3\nRp4\nsg1\ng4\ns.",
    b"\x80\x05](K\x01\x8c\x02os\x8c\x06system\x93)}\x92N\x87e.",
]


@RELAXED
@given(st.sampled_from(CALLING), st.data())
def test_damaged_pickle_that_still_calls_is_reported(data: bytes, choices: st.DataObject) -> None:
    damaged = data
    for _ in range(choices.draw(st.integers(0, 3))):
        at = choices.draw(st.integers(0, len(damaged)))
        damaged = (
            damaged[:at] + choices.draw(pieces) + damaged[at + choices.draw(st.integers(0, 2)) :]
        )
    if calls_something(damaged):
        assert pickle_opcodes.walk(window.of_bytes(damaged)).calls


def test_recorder_sees_a_call() -> None:
    assert calls_something(b"cos\nsystem\n)R.")
    assert not calls_something(b"cos\nsystem\n.")


values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner),
)


@RELAXED
@given(values, st.integers(0, 5))
def test_every_pickle_is_walked_to_its_end(value: Any, protocol: int) -> None:
    data = pickle.dumps(value, protocol)
    walk = pickle_opcodes.walk(window.of_bytes(data))
    assert walk.finished
    assert walk.end == len(data)


words = st.text(st.characters(categories=("L", "N", "P", "S")), min_size=1, max_size=12)


@RELAXED
@given(st.lists(words, min_size=2, max_size=40))
def test_vocabulary_is_text_unless_it_calls(vocabulary: list[str]) -> None:
    data = "\n".join(["[PAD]", *vocabulary]).encode()
    assert formats.classify(window.of_bytes(data), "vocab.txt") == formats.Format(name="text")


@RELAXED
@given(st.binary(max_size=300))
def test_random_bytes_are_classified_and_printable(data: bytes) -> None:
    for hazard in formats.classify(window.of_bytes(data), "model.bin").hazards:
        assert Finding(message=hazard.message).message.isprintable()
