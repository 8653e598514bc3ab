"""The tests' own Sigstore: what it makes satisfies sigstore-python, and its faults do not."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sigstore.dsse import Statement
from sigstore.errors import VerificationError
from sigstore.models import Bundle, ClientTrustConfig, InvalidBundle, TrustedRoot
from sigstore.oidc import IdentityToken
from sigstore.sign import SigningContext
from sigstore.verify import Verifier, policy

from tests.sigstore.certificates import DAY
from tests.sigstore.log import Log, inclusion_path, merkle_root
from tests.sigstore.server import running_sigstore
from tests.sigstore.stack import BUNDLE, Sigstore, Version, new_sigstore

JOB = "https://github.com/acme/minilm/.github/workflows/release.yml@refs/heads/main"
STATEMENT = json.dumps({
    "_type": "https://in-toto.io/Statement/v1",
    "subject": [{"name": "minilm", "digest": {"sha256": "ab" * 32}}],
    "predicateType": "https://sigstore.dev/cosign/sign/v1",
    "predicate": {},
}).encode()  # fmt: skip


def verify(sigstore: Sigstore, bundle: dict[str, Any], who: str = "ci@modelpack.test") -> bytes:
    """Return the payload if sigstore-python believes the bundle."""
    assert sigstore.folder is not None
    verifier = Verifier(trusted_root=TrustedRoot.from_file(str(sigstore.trusted_root_file())))
    expected = policy.Identity(identity=who, issuer=sigstore.url)
    return verifier.verify_dsse(Bundle.from_json(json.dumps(bundle)), expected)[1]


@pytest.mark.parametrize(("rekor", "timestamps"), [(1, True), (1, False), (2, True)])
def test_sigstore_python_signs_and_verifies(
    sigstore: Sigstore, rekor: Version, timestamps: bool
) -> None:
    config = ClientTrustConfig.from_json(
        sigstore.trust_config_file(rekor=rekor, timestamps=timestamps).read_text("utf-8")
    )
    context = SigningContext.from_trust_config(config)
    with context.signer(IdentityToken(sigstore.token())) as signer:
        bundle = signer.sign_dsse(Statement(STATEMENT))
    assert verify(sigstore, json.loads(bundle.to_json())) == STATEMENT


@pytest.mark.parametrize(("log", "timestamp"), [(1, True), (1, False), (2, True)])
def test_bundles_made_without_a_client_are_as_good(
    sigstore: Sigstore, log: Version, timestamp: bool
) -> None:
    bundle = sigstore.sign(STATEMENT, log=log, timestamp=timestamp)
    assert bundle["mediaType"] == BUNDLE
    assert verify(sigstore, bundle) == STATEMENT
    with pytest.raises(VerificationError, match="SANs do not match"):
        verify(sigstore, bundle, "somebody@else.test")


def test_a_job_is_named_by_its_workflow(sigstore: Sigstore) -> None:
    bundle = sigstore.sign(STATEMENT, token=sigstore.job_token("acme/minilm"))
    assert verify(sigstore, bundle, JOB) == STATEMENT
    certificate = Bundle.from_json(json.dumps(bundle)).signing_certificate
    for rule in (
        policy.GitHubWorkflowRepository("acme/minilm"),
        policy.GitHubWorkflowRef("refs/heads/main"),
        policy.OIDCSourceRepositoryURI("https://github.com/acme/minilm"),
        policy.OIDCSourceRepositoryRef("refs/heads/main"),
        policy.OIDCBuildConfigURI(JOB),
        policy.OIDCRunInvocationURI("https://github.com/acme/minilm/actions/runs/7/attempts/1"),
    ):
        rule.verify(certificate)


def _other_sct(sigstore: Sigstore) -> None:
    sigstore.fulcio.sct = "other-key"


def _sct_of_another(sigstore: Sigstore) -> None:
    sigstore.fulcio.sct = "other-certificate"


def _no_sct(sigstore: Sigstore) -> None:
    sigstore.fulcio.sct = "missing"


def _stale(sigstore: Sigstore) -> None:
    sigstore.rekor_v1.log.stale = sigstore.rekor_v2.log.stale = True


def _another_key(sigstore: Sigstore) -> None:
    sigstore.rekor_v1.log.change_key()
    sigstore.rekor_v2.log.change_key()


@pytest.mark.parametrize("log", [1, 2])
@pytest.mark.parametrize("fault", [_other_sct, _sct_of_another, _no_sct, _stale, _another_key])
def test_faults_are_noticed(
    tmp_path: Path, fault: Callable[[Sigstore], None], log: Version
) -> None:
    sigstore = new_sigstore(folder=tmp_path)
    good = sigstore.sign(STATEMENT, log=log)
    assert verify(sigstore, good) == STATEMENT
    trusted = sigstore.trusted_root()
    fault(sigstore)
    bundle = sigstore.sign(STATEMENT, log=log)
    sigstore.trusted_root = lambda: trusted  # type: ignore[method-assign]
    with pytest.raises((VerificationError, InvalidBundle)):
        verify(sigstore, bundle)


def test_signed_at_another_time(tmp_path: Path) -> None:
    sigstore = new_sigstore(folder=tmp_path)
    with sigstore.at(sigstore.clock() - 30 * DAY):
        early = sigstore.token()
        bundle = sigstore.sign(STATEMENT, token=early)
    assert verify(sigstore, bundle) == STATEMENT, "the timestamp says that it was in time"
    with pytest.raises(ValueError, match="the token has expired"):
        sigstore.sign(STATEMENT, token=early)


def test_a_certificate_that_had_expired(tmp_path: Path) -> None:
    sigstore = new_sigstore(folder=tmp_path)
    stamp, now = sigstore.timestamps.stamp, sigstore.clock()

    def late(data: bytes) -> bytes:
        with sigstore.at(now + DAY):
            return stamp(data)

    sigstore.timestamps.stamp = late  # type: ignore[method-assign]
    with pytest.raises(VerificationError):
        verify(sigstore, sigstore.sign(STATEMENT))


def test_an_authority_that_had_expired(tmp_path: Path) -> None:
    now = int(new_sigstore().clock())
    sigstore = new_sigstore(folder=tmp_path, authority_valid=(now - 9 * DAY, now - DAY))
    with pytest.raises(VerificationError):
        verify(sigstore, sigstore.sign(STATEMENT))


def test_without_timestamps_the_client_hears_why() -> None:
    import urllib.error
    import urllib.request

    with running_sigstore() as sigstore:
        sigstore.timestamps.works = False
        with pytest.raises(urllib.error.HTTPError, match="400"):
            urllib.request.urlopen(f"{sigstore.url}/api/v1/timestamp", b"", timeout=30)


@pytest.mark.parametrize("size", range(1, 18))
def test_inclusion_is_provable(size: int) -> None:
    leaves = [bytes([item]) * 32 for item in range(size)]
    for index in range(size):
        path = inclusion_path(index, leaves)
        assert _root_from(leaves[index], index, size, list(path)) == merkle_root(leaves)


def test_a_checkpoint_names_its_log() -> None:
    log = Log("rekor.test - 12")
    text = log.add(b"entry").checkpoint
    assert text.startswith("rekor.test - 12\n1\n")
    assert "\n\n— rekor.test " in text


def _root_from(leaf: bytes, index: int, size: int, path: list[bytes]) -> bytes:
    """Verify as RFC 9162 §2.1.3.2 does: another algorithm than the one that made the path."""
    from tests.sigstore.certificates import sha256

    number, last, result = index, size - 1, leaf
    for item in path:
        if number & 1 or number == last:
            result = sha256(b"\1" + item + result)
            while not number & 1 and number:
                number, last = number >> 1, last >> 1
        else:
            result = sha256(b"\1" + result + item)
        number, last = number >> 1, last >> 1
    assert last == 0
    return result
