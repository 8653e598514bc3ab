"""Signed with a key or for the holder of a token; what other implementations say of the bundles."""

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlencode, urlsplit
from urllib.request import urlopen

import pytest
from sigstore.models import Bundle as TheirBundle
from sigstore.models import TrustedRoot as TheirRoot
from sigstore.verify import Verifier, policy

from modelpack.digest import Digest
from modelpack.errors import InputError, ModelpackError, Refused, Unavailable
from modelpack.signing.proving import prover
from modelpack.trust import bundle, public_root, trusted_root
from modelpack.trust.keys.pem_file import PemKey
from modelpack.trust.services import identity, signing_config
from modelpack.trust.services.signing_config import Service, Services
from modelpack.trust.signer import Signer, with_key, with_token
from modelpack.trust.statement import Statement, about
from modelpack.web.client import Client
from tests.debian_archive import serve
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


class SameEachTime:
    """A key whose signature of a text is always the same, as some HSMs make them (RFC 6979)."""

    def __init__(self) -> None:
        self._key = PemKey(new_key(), at="k")
        self._known: dict[bytes, bytes] = {}

    @property
    def spki(self) -> bytes:
        return self._key.spki

    def sign(self, message: bytes) -> bytes:
        return self._known.setdefault(message, self._key.sign(message))


def test_a_log_that_has_it_already(sigstore: "Sigstore") -> None:
    """Rekor v1 answers 409 and says where; the entry there is as good as a new one."""
    with logging_once(sigstore) as (log, asked):
        signer = with_key(SameEachTime(), Services(logs=(log,)), client())
        first = signer.witness(signer.sign(SAID))
        again = signer.witness(signer.sign(SAID))
    assert asked == ["POST", "POST", "GET"]
    assert first.entries == again.entries
    assert not prove(signer, sigstore, again)


@contextmanager
def logging_once(sigstore: "Sigstore") -> Iterator[tuple[Service, list[str]]]:
    """Run a Rekor v1 that takes an entry once; yield it and the methods that it is asked with."""
    entries: dict[bytes, bytes] = {}
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append("POST")
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status = 409 if body in entries else 201
            if status == 201:
                entries[body] = json.dumps(sigstore.rekor_v1.add(json.loads(body))).encode()
            self.answer(status, entries[body] if status == 201 else b'{"message": "exists"}')

        def do_GET(self) -> None:
            asked.append("GET")
            assert self.path == "/api/v1/log/entries/0"
            self.answer(200, next(iter(entries.values())))

        def answer(self, status: int, content: bytes) -> None:
            self.send_response(status)
            if status == 409:
                self.send_header("Location", "/api/v1/log/entries/0")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        url = f"http://127.0.0.1:{server.server_address[1]}"
        yield Service(url=url, version=1, operator=""), asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


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


@pytest.fixture
def no_job(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Nothing says that this is a CI job."""
    for name in ("GITHUB_ACTIONS", "GITLAB_CI", "BUILDKITE", "CIRCLECI", "SIGSTORE_ID_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("id._internal.oidc.ambient._GCP_PRODUCT_NAME_FILE", "/none")
    return monkeypatch


class TestJobs:
    """Who a job is, in each CI system, as its runners tell it."""

    def test_no_job(self, no_job: pytest.MonkeyPatch) -> None:
        assert identity.of_job() is None

    def test_github(self, no_job: pytest.MonkeyPatch, sigstore: "Sigstore") -> None:
        token, asked = sigstore.job_token(), list[tuple[str, str]]()

        def answer(path: str, headers: Mapping[str, str]) -> tuple[int, Mapping[str, str], bytes]:
            asked.append((path, headers["Authorization"]))
            return 200, {}, json.dumps({"value": token}).encode()

        no_job.setenv("GITHUB_ACTIONS", "true")
        no_job.setenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "for-the-runner")
        with serve(answer) as url:
            no_job.setenv("ACTIONS_ID_TOKEN_REQUEST_URL", f"{url}/token?api=1")
            assert identity.of_job() == token
        assert asked == [("/token?api=1&audience=sigstore", "bearer for-the-runner")]
        signer = with_token(token, services(sigstore), client())
        assert signer.identity.subject.startswith("https://github.com/acme/minilm/.github/")

    def test_github_without_the_permission(self, no_job: pytest.MonkeyPatch) -> None:
        no_job.setenv("GITHUB_ACTIONS", "true")
        no_job.delenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN", raising=False)
        with pytest.raises(Unavailable, match="this job gets no identity") as caught:
            identity.of_job()
        assert "id-token: write" in caught.value.findings[0].hint

    def test_gitlab(self, no_job: pytest.MonkeyPatch, sigstore: "Sigstore") -> None:
        token = sigstore.token()
        no_job.setenv("GITLAB_CI", "true")
        no_job.setenv("SIGSTORE_ID_TOKEN", token)
        assert identity.of_job() == token

    @pytest.mark.parametrize(
        ("variable", "program", "words"),
        [
            ("BUILDKITE", "buildkite-agent", "oidc request-token --audience sigstore"),
            ("CIRCLECI", "circleci", 'run oidc get --claims {"aud": "sigstore"} --root-issuer'),
        ],
    )
    def test_programs(
        self, no_job: pytest.MonkeyPatch, sigstore: "Sigstore", tmp_path: "Path", variable: str,
        program: str, words: str,
    ) -> None:  # fmt: skip
        token = sigstore.token()
        path = tmp_path / program
        path.write_text(f"#!/bin/sh\n[ \"$*\" = '{words}' ] && echo {token}\n")
        path.chmod(0o755)
        no_job.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
        no_job.setenv(variable, "true")
        assert identity.of_job() == token


# sigstore-python leaves its sockets to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_by_a_browser(
    sigstore: "Sigstore", monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A person who agrees at the issuer's page: OAuth with a code, to a port on this machine."""
    token, asked = sigstore.token(), list[str]()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            url = urlsplit(self.path)
            asked.append(url.path)
            if url.path != "/auth":
                mine = f"http://127.0.0.1:{self.server.server_address[1]}"
                self.answer({"authorization_endpoint": f"{mine}/auth",
                             "token_endpoint": f"{mine}/token"})  # fmt: skip
                return
            query = parse_qs(url.query)
            self.send_response(302)
            back = urlencode({"code": "agreed", "state": query["state"][0]})
            self.send_header("Location", f"{query['redirect_uri'][0]}?{back}")
            self.end_headers()

        def do_POST(self) -> None:
            body = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            asked.append(f"{self.path} {body['code'][0]}")
            self.answer({"access_token": token})

        def answer(self, value: object) -> None:
            content = json.dumps(value).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    def browser(url: str) -> bool:
        threading.Thread(target=lambda: urlopen(url).close()).start()
        return True

    monkeypatch.setattr("webbrowser.open", browser)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        found = identity.by_browser(f"http://127.0.0.1:{server.server_address[1]}")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert found == token
    assert asked == ["/.well-known/openid-configuration", "/auth", "/token agreed"]
    assert token not in "".join(capsys.readouterr())


def test_the_public_sigstore() -> None:
    """What sigstore-python ships is read here: where to sign, and that everybody sees it."""
    data = public_root.configuration(offline=True)
    found = signing_config.parse(data, now=time.time(), at="public")
    assert found.public_hosts == ("fulcio.sigstore.dev", "rekor.sigstore.dev")
    assert found.logs
    assert found.clocks


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
