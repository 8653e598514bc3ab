"""One bundle against what is expected of it: what holds, and why everything else does not."""

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from modelpack.digest import Digest
from modelpack.trust import bundle as bundles
from modelpack.trust import public_keys, trusted_root, verification
from modelpack.trust import statement as statements
from modelpack.trust.expected import Expected, Identity, Key, Pattern
from modelpack.trust.proof import STEPS, Proof
from modelpack.trust.trusted_root import TrustedRoot
from tests.sigstore.certificates import DAY, new_key, public_pem
from tests.sigstore.identity import SOMEBODY
from tests.sigstore.stack import Sigstore, new_sigstore

ROOT = Path(__file__).parents[2]
SIGNATURE = "https://sigstore.dev/cosign/sign/v1"
IMAGE = Digest("sha256:" + "ab" * 32)
NOW = 1_795_000_000
Json = dict[str, Any]


@pytest.fixture
def sigstore() -> Sigstore:
    return new_sigstore(moment=NOW)


def statement(digest: str = IMAGE, **members: object) -> bytes:
    value = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "image", "digest": {"sha256": digest.removeprefix("sha256:")}}],
        "predicateType": SIGNATURE,
        "predicate": {},
    }
    return json.dumps(value | members).encode()


def somebody(
    sigstore: Sigstore, identity: str = SOMEBODY, issuer: str = "", **fields: Any
) -> Expected:
    who = Identity(
        name="ci", identity=Pattern(text=identity), issuer=Pattern(text=issuer or sigstore.url)
    )
    return Expected(**{"predicate_type": SIGNATURE, "signers": (who,), **fields})


def of_key(key: Any, **fields: Any) -> Expected:
    spki = public_keys.of_pem(public_pem(key.public_key()), at="key")
    return Expected(predicate_type=SIGNATURE, signers=(Key(name="release", spki=spki),), **fields)


def root_of(sigstore: Sigstore) -> TrustedRoot:
    return trusted_root.parse(json.dumps(sigstore.trusted_root()).encode())


def verify(
    sigstore: Sigstore, bundle: Json, expected: Expected | None = None, *, now: int = NOW + 60,
    payload: bytes = b"", trusted: TrustedRoot | None = None,
) -> Proof:  # fmt: skip
    return verification.verify(
        bundles.parse(json.dumps(bundle).encode()), subject=IMAGE,
        trusted=trusted or root_of(sigstore), expected=expected or somebody(sigstore), now=now,
        payload=payload,
    )  # fmt: skip


def failed(proof: Proof) -> tuple[str, str]:
    assert not proof.holds
    assert proof.failure is not None
    return proof.failure.name, proof.failure.found


@pytest.mark.parametrize(("log", "timestamp"), [(1, False), (1, True), (2, True)])
def test_a_keyless_signature_holds(sigstore: Sigstore, log: Any, timestamp: bool) -> None:
    proof = verify(sigstore, sigstore.sign(statement(), log=log, timestamp=timestamp))
    assert proof.holds, failed(proof)
    assert [step.name for step in proof.steps] == list(STEPS)
    assert [step.number for step in proof.steps] == list(range(1, len(STEPS) + 1))
    assert (proof.identity, proof.issuer, proof.signer) == (SOMEBODY, sigstore.url, "ci")
    assert proof.time == NOW
    assert proof.predicate_type == SIGNATURE


def test_an_entry_deep_in_a_log_holds(sigstore: Sigstore) -> None:
    for number in range(13):
        sigstore.sign(statement(predicate={"number": number}))
        assert verify(sigstore, sigstore.sign(statement())).holds


@pytest.mark.parametrize(
    ("curve", "log", "timestamp"),
    [
        (ec.SECP256R1, 1, False), (ec.SECP256R1, 2, False), (ec.SECP256R1, 2, True),
        (ec.SECP384R1, 2, False), (ec.SECP384R1, 2, True),
    ],
)  # fmt: skip
def test_a_signature_by_key_holds(
    sigstore: Sigstore, log: Any, timestamp: bool, curve: type[ec.EllipticCurve]
) -> None:
    key = new_key(curve)
    bundle = sigstore.sign_with(statement(), key, log=log, timestamp=timestamp)
    proof = verify(sigstore, bundle, of_key(key))
    assert proof.holds, failed(proof)
    assert proof.identity == ""


def test_a_key_without_a_log_only_when_asked(sigstore: Sigstore) -> None:
    key = new_key()
    bundle = sigstore.sign_with(statement(), key)
    assert failed(verify(sigstore, bundle, of_key(key))) == (
        "transparency log", "no transparency log has it"
    )  # fmt: skip
    proof = verify(sigstore, bundle, of_key(key, log=False), trusted=TrustedRoot())
    assert proof.holds
    assert proof.time is None


def test_a_certificate_always_needs_the_log(sigstore: Sigstore) -> None:
    bundle = sigstore.sign(statement(), log=None)
    proof = verify(sigstore, bundle, somebody(sigstore, log=False))
    assert failed(proof)[0] == "transparency log"


def test_a_signature_of_cosigns_older_form_holds(sigstore: Sigstore) -> None:
    payload = json.dumps({
        "critical": {
            "identity": {"docker-reference": "registry.test/acme/minilm"},
            "image": {"docker-manifest-digest": IMAGE},
            "type": "cosign container image signature",
        },
        "optional": None,
    }).encode()  # fmt: skip
    bundle = sigstore.sign_artifact(payload)
    assert verify(sigstore, bundle, payload=payload).holds
    # Rekor's promise alone is what those signatures have.
    del bundle["verificationMaterial"]["tlogEntries"][0]["inclusionProof"]
    assert verify(sigstore, bundle, payload=payload).holds
    other = payload.replace(b"ab" * 32, b"cd" * 32)
    assert failed(verify(sigstore, bundle, payload=other))[0] == "subject"
    assert failed(verify(sigstore, bundle))[0] == "envelope"


def test_a_promise_is_not_enough_for_a_bundle(sigstore: Sigstore) -> None:
    bundle = sigstore.sign(statement(), log=1)
    del bundle["verificationMaterial"]["tlogEntries"][0]["inclusionProof"]
    assert failed(verify(sigstore, bundle)) == ("transparency log", "no proof that the log has it")


def test_version_01_of_statements_is_read(sigstore: Sigstore) -> None:
    old = statement(_type="https://in-toto.io/Statement/v0.1")
    key = new_key()
    assert verify(sigstore, sigstore.sign_with(old, key, log=2), of_key(key)).holds


def test_a_workflow_is_known_by_what_fulcio_wrote(sigstore: Sigstore) -> None:
    bundle = sigstore.sign(statement(), token=sigstore.job_token("acme/minilm"))
    who = Identity(
        name="release",
        identity=Pattern(text=r"https://github\.com/acme/minilm/.*", regexp=True),
        issuer=Pattern(text=sigstore.url),
    )
    proof = verify(sigstore, bundle, Expected(predicate_type=SIGNATURE, signers=(who,)))
    assert proof.holds, failed(proof)
    assert proof.extensions["source-repository-uri"] == "https://github.com/acme/minilm"
    assert proof.extensions["source-repository-ref"].startswith("refs/")


def test_a_signature_of_the_public_sigstore_holds() -> None:
    """One that somebody made with Fulcio and Rekor for the vectors of the OMS specification."""
    bundle = bundles.parse((ROOT / "tests" / "assets" / "oms" / "valid-sigstore.json").read_bytes())
    said = statements.parse(bundle.envelope.payload)
    (root,) = [
        path for path in files("sigstore").joinpath("_store").iterdir()
        if path.name.endswith("tuf-repo-cdn.sigstore.dev")
    ]  # fmt: skip
    trusted = trusted_root.parse(root.joinpath("trusted_root.json").read_bytes())
    who = Identity(
        name="author", identity=Pattern(text=r".+@us\.ibm\.com", regexp=True),
        issuer=Pattern(text="https://sigstore.verify.ibm.com/oauth2"),
    )  # fmt: skip
    assert said.subjects[0].sha256 is not None
    proof = verification.verify(
        bundle, subject=said.subjects[0].sha256, trusted=trusted, now=NOW,
        expected=Expected(predicate_type=said.predicate_type, signers=(who,)),
    )  # fmt: skip
    assert proof.holds, failed(proof)


# ---- what is refused


def test_another_image(sigstore: Sigstore) -> None:
    bundle = sigstore.sign(statement("cd" * 32))
    assert failed(verify(sigstore, bundle)) == ("subject", f"it is not about {IMAGE}")


@pytest.mark.parametrize(
    "kind", ["https://cyclonedx.org/bom", "https://slsa.dev/provenance/v1", SIGNATURE + "/", ""]
)
def test_a_statement_of_another_type_is_no_signature(sigstore: Sigstore, kind: str) -> None:
    bundle = sigstore.sign(statement(predicateType=kind))
    assert failed(verify(sigstore, bundle))[0] == ("predicate type" if kind else "statement")


@pytest.mark.parametrize("identity", ["other@modelpack.test", SOMEBODY.upper(), SOMEBODY[:-1], ""])
def test_another_identity(sigstore: Sigstore, identity: str) -> None:
    proof = verify(sigstore, sigstore.sign(statement()), somebody(sigstore, identity))
    name, found = failed(proof)
    assert name == "signer"
    assert SOMEBODY in found


def test_another_issuer(sigstore: Sigstore) -> None:
    proof = verify(
        sigstore, sigstore.sign(statement()), somebody(sigstore, issuer="https://accounts.test")
    )
    assert failed(proof)[0] == "signer"


def test_a_regular_expression_is_about_the_whole(sigstore: Sigstore) -> None:
    who = Identity(
        name="ci", identity=Pattern(text=SOMEBODY[2:6], regexp=True),
        issuer=Pattern(text=".+", regexp=True),
    )  # fmt: skip
    expected = Expected(predicate_type=SIGNATURE, signers=(who,))
    assert failed(verify(sigstore, sigstore.sign(statement()), expected))[0] == "signer"


def test_another_key(sigstore: Sigstore) -> None:
    bundle = sigstore.sign_with(statement(), new_key(), log=2)
    assert failed(verify(sigstore, bundle, of_key(new_key()))) == (
        "signature", "no trusted key has signed this (tried: release)"
    )  # fmt: skip


def test_a_key_where_an_identity_is_expected_and_the_other_way_round(sigstore: Sigstore) -> None:
    key = new_key()
    assert failed(verify(sigstore, sigstore.sign_with(statement(), key, log=2))) == (
        "signature", "signed with a key, and no key is trusted"
    )  # fmt: skip
    name, found = failed(verify(sigstore, sigstore.sign(statement()), of_key(key)))
    assert (name, "only keys are trusted" in found) == ("signer", True)


def test_nobody_is_expected(sigstore: Sigstore) -> None:
    nobody = Expected(predicate_type=SIGNATURE, signers=())
    assert failed(verify(sigstore, sigstore.sign(statement()), nobody))[0] == "signer"


def test_a_certificate_used_after_its_end(sigstore: Sigstore) -> None:
    bundle = sigstore.sign(statement())
    signature = base64.b64decode(bundle["dsseEnvelope"]["signatures"][0]["sig"])
    with sigstore.at(NOW + 3600):
        late = sigstore._stamped(signature)
    bundle["verificationMaterial"] |= late
    name, found = failed(verify(sigstore, bundle, now=NOW + 7200))
    assert name == "certificate"
    assert "valid from" in found


def test_a_certificate_without_any_time(sigstore: Sigstore) -> None:
    bundle = sigstore.sign(statement(), log=2, timestamp=False)
    name, found = failed(verify(sigstore, bundle))
    assert name == "time"
    assert "nobody says when" in found


def test_a_time_that_nobody_signed(sigstore: Sigstore) -> None:
    bundle = sigstore.sign(statement(), log=2, timestamp=False)
    bundle["verificationMaterial"]["tlogEntries"][0]["integratedTime"] = str(NOW)
    assert failed(verify(sigstore, bundle))[0] == "time"


def test_an_authority_whose_time_has_passed(sigstore: Sigstore) -> None:
    """sigstore-python takes it; cosign and this program do not."""
    bundle = sigstore.sign(statement())
    sigstore.authority_until = "2026-01-01T00:00:00Z"
    name, found = failed(verify(sigstore, bundle))
    assert name == "certificate"
    assert "not to be relied on" in found


def test_an_authority_that_is_not_known(sigstore: Sigstore) -> None:
    bundle = sigstore.sign(statement())
    other = root_of(new_sigstore(moment=NOW))
    trusted = replace(root_of(sigstore), authorities=other.authorities)
    assert failed(verify(sigstore, bundle, trusted=trusted)) == (
        "certificate", "nobody whom the trusted root knows has issued it"
    )  # fmt: skip


@pytest.mark.parametrize("fault", ["other-key", "other-certificate", "missing"])
def test_a_certificate_that_no_log_has_seen(sigstore: Sigstore, fault: Any) -> None:
    sigstore.fulcio.sct = fault
    assert failed(verify(sigstore, sigstore.sign(statement())))[0] == "certificate log"


@pytest.mark.parametrize("version", [1, 2])
def test_a_log_that_is_not_known(sigstore: Sigstore, version: Any) -> None:
    bundle = sigstore.sign(statement(), log=version)
    trusted = replace(root_of(sigstore), logs=())
    name, found = failed(verify(sigstore, bundle, trusted=trusted))
    assert name == "transparency log"
    assert "does not know" in found


def test_a_log_that_signs_with_another_key(sigstore: Sigstore) -> None:
    trusted = root_of(sigstore)
    known = sigstore.rekor_v2.log.id
    sigstore.rekor_v2.log.change_key()
    bundle = sigstore.sign(statement())
    entry = bundle["verificationMaterial"]["tlogEntries"][0]
    entry["logId"]["keyId"] = base64.b64encode(known).decode()
    assert failed(verify(sigstore, bundle, trusted=trusted)) == (
        "transparency log", "a checkpoint that the log has not signed"
    )  # fmt: skip


def test_a_log_whose_time_has_passed(sigstore: Sigstore) -> None:
    trusted = root_of(sigstore)
    ended = tuple(
        replace(log, valid=replace(log.valid, end=NOW - DAY)) for log in trusted.logs
    )  # fmt: skip
    for version in (1, 2):
        bundle = sigstore.sign(statement(), log=version)
        name, found = failed(verify(sigstore, bundle, trusted=replace(trusted, logs=ended)))
        assert name == "time"
        assert "key of the transparency log" in found


def test_a_timestamp_authority_whose_time_has_passed(sigstore: Sigstore) -> None:
    trusted = root_of(sigstore)
    ended = tuple(
        replace(one, valid=replace(one.valid, end=NOW - DAY))
        for one in trusted.timestamp_authorities
    )  # fmt: skip
    trusted = replace(trusted, timestamp_authorities=ended)
    assert failed(verify(sigstore, sigstore.sign(statement()), trusted=trusted))[0] == "time"


def test_a_timestamp_of_another_signature(sigstore: Sigstore) -> None:
    bundle = sigstore.sign(statement())
    bundle["verificationMaterial"] |= sigstore._stamped(b"something else")
    assert failed(verify(sigstore, bundle))[0] == "time"


def test_an_entry_of_another_signature(sigstore: Sigstore) -> None:
    for version in (1, 2):
        other = sigstore.sign(statement(), log=version)
        bundle = sigstore.sign(statement(), log=version)
        bundle["verificationMaterial"]["tlogEntries"] = other["verificationMaterial"]["tlogEntries"]
        assert failed(verify(sigstore, bundle)) == (
            "transparency log", "the entry of the log is about another signature"
        )  # fmt: skip


def test_a_log_that_is_smaller_than_its_entry_says(sigstore: Sigstore) -> None:
    sigstore.sign(statement())
    bundle = sigstore.sign(statement())
    proof = bundle["verificationMaterial"]["tlogEntries"][0]["inclusionProof"]
    proof["treeSize"] = "3"
    assert failed(verify(sigstore, bundle))[0] == "transparency log"


def test_what_is_too_old(sigstore: Sigstore) -> None:
    bundle = sigstore.sign(statement())
    fresh = somebody(sigstore, max_age=DAY)
    assert verify(sigstore, bundle, fresh, now=NOW + DAY).holds
    name, found = failed(verify(sigstore, bundle, fresh, now=NOW + DAY + 1))
    assert name == "freshness"
    assert "24 hours ago" in found
    key = new_key()
    by_key = sigstore.sign_with(statement(), key)
    old = verify(sigstore, by_key, of_key(key, log=False, max_age=DAY))
    assert failed(old)[0] == "freshness"


def test_what_is_said_to_come(sigstore: Sigstore) -> None:
    with sigstore.at(NOW + DAY):
        bundle = sigstore.sign(statement())
    assert failed(verify(sigstore, bundle))[0] == "time"


def test_another_payload_type(sigstore: Sigstore) -> None:
    bundle = sigstore.sign(statement())
    bundle["dsseEnvelope"]["payloadType"] = "text/plain"
    assert failed(verify(sigstore, bundle))[0] == "envelope"


Change = Callable[[Json], object]


def entry_of(bundle: Json) -> Json:
    entry: Json = bundle["verificationMaterial"]["tlogEntries"][0]
    return entry


@pytest.mark.parametrize(
    ("change", "step"),
    [
        (lambda b: b["dsseEnvelope"].update(payload="e30="), "statement"),
        (lambda b: entry_of(b).update(logIndex="7"), "transparency log"),
        (lambda b: entry_of(b).update(integratedTime=str(NOW + 1)), "transparency log"),
        (lambda b: entry_of(b).update(canonicalizedBody="e30="), "transparency log"),
        (lambda b: entry_of(b)["kindVersion"].update(kind="intoto"), "transparency log"),
        (lambda b: entry_of(b)["inclusionProof"].update(hashes=["AA=="]), "transparency log"),
        (lambda b: entry_of(b)["inclusionProof"].update(rootHash="AA=="), "transparency log"),
        (lambda b: entry_of(b)["inclusionProof"]["checkpoint"].update(envelope="x"),
         "transparency log"),
        (lambda b: b["verificationMaterial"].update(tlogEntries=[entry_of(b)] * 2),
         "transparency log"),
        (lambda b: b["verificationMaterial"]["certificate"].update(rawBytes="AA=="), "signature"),
    ],
)  # fmt: skip
def test_what_was_changed(sigstore: Sigstore, change: Change, step: str) -> None:
    bundle = sigstore.sign(statement(), log=1)
    change(bundle)
    assert failed(verify(sigstore, bundle))[0] == step


def test_no_step_is_left_out(sigstore: Sigstore) -> None:
    """A proof whose steps were cut is none."""
    proof = verify(sigstore, sigstore.sign(statement()))
    assert proof.holds
    assert not replace(proof, steps=proof.steps[:-1]).holds
    assert not replace(proof, statement=None).holds
