"""The lock as bytes: whole, or refused."""

import json
from dataclasses import replace

import pytest

from modelpack import canonical_json
from modelpack.digest import of
from modelpack.errors import InputError
from modelpack.lock import encoding as lock_encoding
from tests import values


def sealed(document: dict) -> bytes:
    """Return a lock whose integrity member is right, whatever else it says."""
    document = {key: value for key, value in document.items() if key != "integrity"}
    return json.dumps({**document, "integrity": of(canonical_json.dumps(document))}).encode()


def test_a_lock_survives_writing_and_reading():
    lock = values.lock()
    assert lock_encoding.parse(lock_encoding.dump(lock)) == lock


def test_writing_is_the_same_bytes_every_time():
    assert lock_encoding.dump(values.lock()) == lock_encoding.dump(values.lock())


@pytest.mark.parametrize(
    ("old", "new"), [("2.41-12", "2.41-13"), ("digits", "digitz"), ("3.13", "3.14")]
)
def test_an_edited_lock_is_refused(old, new):
    text = lock_encoding.dump(values.lock()).decode()
    assert old in text
    with pytest.raises(InputError, match="damaged or edited"):
        lock_encoding.parse(text.replace(old, new, 1).encode())


def test_a_truncated_lock_is_refused_with_a_hint():
    data = lock_encoding.dump(values.lock())
    with pytest.raises(InputError) as caught:
        lock_encoding.parse(data[: len(data) // 2])
    assert "modelpack lock" in caught.value.findings[0].hint


def test_an_unresolved_merge_is_named():
    data = lock_encoding.dump(values.lock()).replace(b'\n "epoch"', b'\n<<<<<<< HEAD\n "epoch"')
    with pytest.raises(InputError, match="unresolved merge"):
        lock_encoding.parse(data)


@pytest.mark.parametrize("key", ["version", "format"])
def test_a_lock_of_another_format_is_refused(key):
    document = json.loads(lock_encoding.dump(values.lock()))
    with pytest.raises(InputError, match=f"has {key} 99"):
        lock_encoding.parse(sealed({**document, key: 99}))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d["platforms"][0].update(bytecode="timestamp"), "unexpected value"),
        (lambda d: d["platforms"][0].update(host="x"), "unexpected or missing"),
        (lambda d: d["platforms"][0].pop("interpreter"), "unexpected or missing"),
        (lambda d: d["runtime"].update(guard="md5:1"), "not a sha256 digest"),
        (lambda d: d.update(epoch="1"), "expected int"),
        (lambda d: d.update(epoch=-1), "expected int"),
        (lambda d: d.update(epoch=True), "expected int"),
        (lambda d: d.update(platforms={}), "expected an array"),
        (lambda d: d.update(runtime=[]), "expected an object"),
        (lambda d: d["platforms"][0].update(base={"x": 1}), "unknown kind"),
    ],
)  # fmt: skip
def test_a_sealed_lock_of_wrong_shape_is_refused(change, message):
    document = json.loads(lock_encoding.dump(values.lock()))
    change(document)
    with pytest.raises(InputError, match=message):
        lock_encoding.parse(sealed(document))


def test_a_lock_without_a_canonical_form_is_refused():
    with pytest.raises(InputError, match="damaged or edited"):
        lock_encoding.parse(b'{"version":1,"format":1,"x":"\\ud800"}')
    with pytest.raises(InputError, match="damaged or edited"):
        lock_encoding.parse(b'{"version":1,"format":1,"x":NaN}')


@pytest.mark.parametrize(
    "data", [b"", b"null", b"[]", b'{"version":1,"version":1}', b"[" * 100_000]
)
def test_what_is_no_lock_is_refused(data):
    with pytest.raises(InputError):
        lock_encoding.parse(data)


def test_the_digest_names_the_content():
    lock = values.lock()
    assert lock_encoding.digest(lock) != lock_encoding.digest(replace(lock, epoch=1))
