"""Signed with a key or for the holder of a token; what other implementations say of the bundles."""

import json
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pytest
from sigstore.models import Bundle as TheirBundle
from sigstore.models import TrustedRoot as TheirRoot
from sigstore.verify import Verifier, policy

from modelpack.digest import Digest
from modelpack.errors import InputError, ModelpackError, Refused, Unavailable
from modelpack.signing.proving import prover
from modelpack.trust import bundle, trusted_root
from modelpack.trust.keys.pem_file import PemKey
from modelpack.trust.services import identity, signing_config
from modelpack.trust.services.signing_config import Service, Services
from modelpack.trust.signer import Signer, with_key, with_token
from modelpack.trust.statement import Statement, about
from modelpack.web.client import Client
from tests.sigstore.certificates import new_key
from tests.sigstore.identity import SOMEBODY
from tests.sigstore.server import running_sigstore

if TYPE_CHECKING:
    from pathlib import Path

    from tests.sigstore.stack import Sigstore

IMAGE = Digest("sha256:" + "a" * 64)
TYPE = "https://sigstore.dev/cosign/sign/v1"
SAID = Statement(subjects=about("ghcr.io/acme/minilm", IMAGE), predicate_type=TYPE, predicate={})


def client() -> Client:
    return Client({}, pause=lambda _: None)


def services(sigstore: "Sigstore", **choice: Any) -> Services:
    data = json.dumps(sigstore.signing_config(**choice)).encode()
    return signing_config.parse(data, now=time.time(), at="signing.json")


def prove(signer: Signer, sigstore: "Sigstore", one: bundle.Bundle) -> str:
    trusted = trusted_root.parse(json.dumps(sigstore.trusted_root()).encode())
    check = prover(signer, trusted, now=int(time.time()))
    return check(one, subject=IMAGE, predicate_type=TYPE)


@pytest.mark.parametrize(
    ("rekor", "timestamps", "kind"),
    [(1, False, "dsse"), (1, True, "dsse"), (2, True, "hashedrekord")],
)
def test_keyless(sigstore: "Sigstore", rekor: Any, timestamps: bool, kind: str) -> None:
    """What is signed for the holder of a token, sigstore-python verifies, and so do we."""
    wanted = services(sigstore, rekor=rekor, timestamps=timestamps)
    signer = with_token(sigstore.token(), wanted, client())
    assert (signer.identity.subject, signer.identity.issuer) == (SOMEBODY, sigstore.url)
    signed = signer.witness(signer.sign(SAID))
    assert (signed.entries[0].kind, len(signed.timestamps)) == (kind, int(timestamps))
    assert bundle.parse(signed.as_bytes()) == signed

    verifier = Verifier(trusted_root=TheirRoot.from_file(str(sigstore.trusted_root_file())))
    who = policy.Identity(identity=SOMEBODY, issuer=sigstore.url)
    _, payload = verifier.verify_dsse(TheirBundle.from_json(signed.as_bytes()), who)
    assert payload == SAID.as_bytes()
    assert not prove(signer, sigstore, signed)


@pytest.mark.parametrize("rekor", [1, 2])
def test_with_a_key(sigstore: "Sigstore", rekor: Any) -> None:
    signer = with_key(PemKey(new_key(), at="k"), services(sigstore, rekor=rekor), client())
    signed = signer.witness(signer.sign(SAID))
    assert len(signed.entries) == len(signed.timestamps) == 1
    assert not prove(signer, sigstore, signed)
    other = with_key(PemKey(new_key(), at="k"), services(sigstore, rekor=rekor), client())
    assert prove(other, sigstore, signed).startswith("signature:")
    bare = signer.sign(SAID)
    assert prove(signer, sigstore, bare).startswith("transparency log:")


def test_with_a_key_and_nobody_else(sigstore: "Sigstore") -> None:
    signer = with_key(PemKey(new_key(), at="k"), Services(), client())
    signed = signer.witness(signer.sign(SAID))
    assert signed == bundle.parse(signed.as_bytes())
    assert (signed.entries, signed.timestamps) == ((), ())
    assert not prove(signer, sigstore, signed)


def test_the_older_form(sigstore: "Sigstore") -> None:
    signer = with_token(sigstore.token(), services(sigstore, rekor=1), client())
    signature, entry = signer.sign_bytes(b"payload")
    assert signature
    assert entry is not None
    assert (entry.kind, bool(entry.promise)) == ("hashedrekord", True)
    v2 = with_token(sigstore.token(), services(sigstore, rekor=2), client())
    assert v2.sign_bytes(b"payload")[1] is None


def test_a_token_that_fulcio_does_not_accept(sigstore: "Sigstore") -> None:
    """Whatever Fulcio says of it, no message repeats it."""
    wanted = services(sigstore)
    for token in (sigstore.token(aud="other"), sigstore.token()[:-6] + "AAAAAA", "a.b.c"):
        with pytest.raises(Refused, match="no certificate from Fulcio: status 400") as caught:
            with_token(token, wanted, client())
        assert all(part not in str(caught.value) for part in token.split(".") if len(part) > 11)


def test_no_token_goes_out_in_the_clear() -> None:
    one = Services(
        authority="http://fulcio.example", logs=(Service(url="x", version=1, operator=""),)
    )
    with pytest.raises(InputError, match="without TLS"):
        with_token("a.b.c", one, client())


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (Services(), "names no Fulcio"),
        (Services(authority="https://f.example"), "names no transparency log"),
        (
            Services(
                authority="https://f.example",
                logs=(Service(url="https://r.example", version=2, operator=""),),
            ),
            "there is no timestamp authority",
        ),
    ],
)
def test_what_could_not_be_proved_later(wanted: Services, message: str) -> None:
    with pytest.raises(InputError, match=message):
        with_token("a.b.c", wanted, client())


def test_services_that_do_not_answer(tmp_path: "Path") -> None:
    with running_sigstore(tmp_path) as gone:
        wanted, token = services(gone), gone.token()
    signer = with_key(PemKey(new_key(), at="k"), wanted, client())
    with pytest.raises(Unavailable):
        signer.witness(signer.sign(SAID))
    with pytest.raises(Unavailable):
        with_token(token, wanted, client())


class TestSigningConfiguration:
    NOW = 1_800_000_000

    def service(self, url: str, version: int, **changes: Any) -> dict[str, Any]:
        valid = {"start": "2020-01-01T00:00:00Z"}
        return {
            "url": url,
            "majorApiVersion": version,
            "validFor": valid,
            "operator": "o",
        } | changes

    def parsed(self, **changes: Any) -> Services:
        value = {
            "mediaType": signing_config.MEDIA_TYPE,
            "caUrls": [self.service("https://f.example/", 1)],
            "rekorTlogUrls": [self.service("https://r.example", 1)],
            "rekorTlogConfig": {"selector": "ANY"},
            **changes,
        }
        return signing_config.parse(json.dumps(value).encode(), now=self.NOW, at="c")

    def test_the_newest_of_an_operator(self) -> None:
        found = self.parsed(
            rekorTlogUrls=[
                self.service("https://r1.example", 1),
                self.service("https://r2.example", 2),
            ]
        )
        assert [one.url for one in found.logs] == ["https://r2.example"]
        older = found.rekor_v1()
        assert older is not None
        assert older.url == "https://r1.example"
        assert found.authority == "https://f.example"

    def test_those_in_use_whose_api_is_known(self) -> None:
        ended = {"start": "2020-01-01T00:00:00Z", "end": "2021-01-01T00:00:00Z"}
        to_come = {"start": "2100-01-01T00:00:00Z"}
        found = self.parsed(
            rekorTlogUrls=[
                self.service("https://old.example", 2, validFor=ended),
                self.service("https://new.example", 2, validFor=to_come),
                self.service("https://far.example", 3),
            ]
        )
        assert found.logs == ()

    @pytest.mark.parametrize(
        ("how", "count"),
        [({"selector": "ALL"}, 3), ({"selector": "EXACT", "count": 2}, 2), ({}, 1)],
    )
    def test_as_many_as_asked_for(self, how: Mapping[str, Any], count: int) -> None:
        clocks = [self.service(f"https://t{n}.example", 1, operator=f"o{n}") for n in range(3)]
        assert len(self.parsed(tsaUrls=clocks, tsaConfig=how).clocks) == count

    def test_public_or_not(self) -> None:
        assert not self.parsed().public_hosts
        found = self.parsed(rekorTlogUrls=[self.service("https://rekor.sigstore.dev", 1)])
        assert found.public_hosts == ("rekor.sigstore.dev",)

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"mediaType": "x"}, "not a signing configuration"),
            ({"caUrls": [{"url": "ftp://x"}]}, "not a http or https URL"),
            ({"caUrls": [{"url": "https://x.example"}]}, "majorApiVersion: not a number"),
            (
                {
                    "caUrls": [
                        {
                            "url": "https://x.example",
                            "majorApiVersion": 1,
                            "validFor": {"start": "x"},
                        }
                    ]
                },
                "not a time",
            ),
            ({"rekorTlogConfig": {"selector": "EXACT", "count": 2}}, "there are not 2 services"),
            ({"rekorTlogConfig": {"selector": "SOME"}}, "not a way to choose"),
        ],
    )
    def test_refused(self, changes: dict[str, Any], message: str) -> None:
        with pytest.raises(InputError, match=message):
            self.parsed(**changes)


class TestTokens:
    def test_of_a_file(self, sigstore: "Sigstore", tmp_path: "Path") -> None:
        token = sigstore.token()
        (tmp_path / "token").write_text(f"{token}\n")
        assert identity.of_file(tmp_path / "token") == token

    @pytest.mark.parametrize("content", ["swordfish", "a.b.c", "é"])
    def test_what_is_none(self, tmp_path: "Path", content: str) -> None:
        (tmp_path / "token").write_text(content)
        with pytest.raises(InputError) as caught:
            identity.of_file(tmp_path / "token")
        assert content not in caught.value.findings[0].message

    def test_one_that_has_expired(self, sigstore: "Sigstore", tmp_path: "Path") -> None:
        with sigstore.at(time.time() - 3600):
            (tmp_path / "token").write_text(sigstore.token())
        with pytest.raises(InputError, match="identity token") as caught:
            identity.of_file(tmp_path / "token")
        assert "not expired" in caught.value.findings[0].hint

    def test_there_is_none(self, tmp_path: "Path") -> None:
        with pytest.raises(ModelpackError, match="no such file"):
            identity.of_file(tmp_path / "none")
