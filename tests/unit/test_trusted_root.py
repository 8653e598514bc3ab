"""Whom verification trusts: what is read of a trusted root, and what is none."""

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest

from modelpack.errors import InputError
from modelpack.trust.trusted_root import Period, parse
from tests.sigstore.stack import new_sigstore

SIGSTORE = new_sigstore(moment=1_795_000_000)
Json = dict[str, Any]


def text(value: Any) -> bytes:
    return json.dumps(value).encode()


def test_authorities_and_logs_are_read() -> None:
    root = parse(text(SIGSTORE.trusted_root()))
    counts = (root.authorities, root.logs, root.certificate_logs, root.timestamp_authorities)
    assert [len(some) for some in counts] == [1, 2, 1, 1]
    assert root.logs[1].id == SIGSTORE.rekor_v2.log.id
    assert root.logs[0].valid.end is None


def test_a_clients_configuration_has_one_in_it() -> None:
    assert parse(text(SIGSTORE.trust_config())) == parse(text(SIGSTORE.trusted_root()))


def test_members_that_are_not_known_are_let_pass() -> None:
    value = SIGSTORE.trusted_root()
    value["tlogs"][0]["operator"] = "somebody"
    value["later"] = {}
    assert parse(text(value)) == parse(text(SIGSTORE.trusted_root()))


def test_a_period_includes_both_ends() -> None:
    period = Period(start=10, end=20)
    assert [period.covers(time) for time in (9.9, 10, 20, 20.1)] == [False, True, True, False]
    assert Period(start=10).covers(1e12)


def _trusts_nobody(value: Json) -> None:
    for key in ("tlogs", "certificateAuthorities", "ctlogs", "timestampAuthorities"):
        value[key] = []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v: v.update(mediaType="x"), "not a trusted root"),
        (lambda v: v.pop("mediaType"), "not a text"),
        (_trusts_nobody, "trusts nobody"),
        (lambda v: v["tlogs"][0]["publicKey"].pop("validFor"), "not an object"),
        (lambda v: v["tlogs"][0]["publicKey"].update(validFor={}), "not a text"),
        (lambda v: v["tlogs"][0]["publicKey"]["validFor"].update(start="soon"), "not a time"),
        (lambda v: v["tlogs"][0]["publicKey"]["validFor"].update(end="2026-01-01"),
         "without a zone"),
        (lambda v: v["tlogs"][0]["publicKey"].update(rawBytes="!"), "not base64"),
        (lambda v: v["tlogs"][0].pop("logId"), "not an object"),
        (lambda v: v["certificateAuthorities"][0]["certChain"].update(certificates=[]),
         "without a certificate"),
        (lambda v: v.update(tlogs={}), "not a list"),
        (lambda v: v.update(tlogs=v["tlogs"] * 100), "not a list of up to 100"),
    ],
)  # fmt: skip
def test_what_is_none_is_refused_with_its_place(
    change: Callable[[Json], object], message: str
) -> None:
    value = json.loads(text(SIGSTORE.trusted_root()))
    change(value)
    with pytest.raises(InputError, match=message) as caught:
        parse(text(value), at="root.json")
    assert caught.value.findings[0].at.startswith("root.json")


@pytest.mark.parametrize("data", [b"", b"[]", b"\xff", b'{"mediaType": 1}', b" " * (5 << 20)])
def test_what_is_no_document_is_refused(data: bytes) -> None:
    with pytest.raises(InputError):
        parse(data)


def test_a_key_is_kept_as_it_is() -> None:
    value = SIGSTORE.trusted_root()
    key = base64.b64decode(value["tlogs"][0]["publicKey"]["rawBytes"])
    assert parse(text(value)).logs[0].key == key
