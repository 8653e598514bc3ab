"""Bundles as others write them are read; what is not as specified is refused, with its place."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from modelpack.errors import InputError
from modelpack.trust import bundle, dsse
from modelpack.trust.bundle import Bundle, Certificate, Chain, MessageSignature, PublicKey
from modelpack.trust.dsse import Envelope, Signature

SAMPLES = Path(__file__).parent.parent / "assets" / "bundles"
SIGNED = Bundle(
    material=PublicKey(hint="k"),
    content=Envelope(payload=b"{}", signatures=(Signature(data=b"sig"),)),
)


def changed(change: Callable[[Any], None]) -> bytes:
    """Return the bundle of a keyless signature with one change."""
    value = json.loads((SAMPLES / "keyless-rekor1.bundle.json").read_bytes())
    change(value)
    return json.dumps(value).encode()


def test_the_encoding_that_is_signed() -> None:
    """The example of the specification of DSSE."""
    assert dsse.pae(b"hello world", "http://example.com/HelloWorld") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )


@pytest.mark.parametrize("name", ["keyless-rekor1", "keyless-rekor2", "key-rekor2"])
def test_signatures_of_others_are_over_what_is_read(name: str) -> None:
    """The signature of each sample verifies over the envelope as it was parsed."""
    parsed = bundle.parse((SAMPLES / f"{name}.bundle.json").read_bytes())
    key: Any
    if isinstance(parsed.material, Certificate):
        key = x509.load_der_x509_certificate(parsed.material.der).public_key()
    else:
        key = serialization.load_pem_public_key((SAMPLES / "key.pub").read_bytes())
    key.verify(parsed.signature, parsed.envelope.signed, ec.ECDSA(hashes.SHA256()))
    (entry,) = parsed.entries
    assert (entry.kind, bool(entry.promise)) == (
        ("dsse", True) if name == "keyless-rekor1" else ("hashedrekord", False)
    )
    assert entry.proof
    assert bundle.parse(parsed.as_bytes()) == parsed


def test_a_bundle_is_one_text() -> None:
    assert SIGNED.as_bytes() == (
        b'{"dsseEnvelope":{"payload":"e30=","payloadType":"application/vnd.in-toto+json",'
        b'"signatures":[{"sig":"c2ln"}]},'
        b'"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json",'
        b'"verificationMaterial":{"publicKey":{"hint":"k"},"tlogEntries":[]}}'
    )


def test_null_and_an_absent_list_of_entries_are_nothing() -> None:
    """Rekor v2 answers `inclusionPromise: null`; cosign leaves an empty list out."""
    value = SIGNED.as_json()
    del value["verificationMaterial"]["tlogEntries"]
    value["messageSignature"] = None
    assert bundle.parse(json.dumps(value).encode()) == SIGNED


@pytest.mark.parametrize("media_type", sorted(bundle.MEDIA_TYPES))
def test_every_version_is_read(media_type: str) -> None:
    def with_chain(value: Any) -> None:
        material = value["verificationMaterial"]
        leaf = material.pop("certificate")
        material["x509CertificateChain"] = {"certificates": [leaf, leaf]}
        value["mediaType"] = media_type

    parsed = bundle.parse(changed(with_chain))
    assert isinstance(parsed.material, Chain)
    assert len(parsed.material.certificates) == 2
    assert parsed.media_type == media_type


def test_a_signature_over_other_bytes_is_no_statement() -> None:
    one = Bundle(material=PublicKey(hint=""), content=MessageSignature(signature=b"s"))
    parsed = bundle.parse(one.as_bytes())
    assert parsed.signature == b"s"
    with pytest.raises(InputError, match="holds no statement"):
        _ = parsed.envelope


def put(*path: str | int, value: object) -> Callable[[Any], None]:
    """Return the change that puts `value` at `path`."""

    def change(whole: Any) -> None:
        inner = whole
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = value

    return change


MATERIAL = "verificationMaterial"
ENTRY = (MATERIAL, "tlogEntries", 0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (put("mediaType", value="x/y"), "bundle.mediaType: not a kind of bundle"),
        (put("mediaType", value=None), "bundle.mediaType: not a text"),
        (put("verificationMaterial", value=[]), "bundle.verificationMaterial: not an object"),
        (put("extra", value=1), "bundle: unknown member `extra`"),
        (put(MATERIAL, "extra", value=1), "bundle.verificationMaterial: unknown member `extra`"),
        (put(MATERIAL, "publicKey", value={}), "not exactly one of `certificate`"),
        (put(MATERIAL, "certificate", value=None), "not exactly one of `certificate`"),
        (put(MATERIAL, "certificate", "rawBytes", value="?"), "rawBytes: not base64"),
        (put(MATERIAL, "certificate", "rawBytes", value="QQ"), "rawBytes: not base64"),
        (put(MATERIAL, "certificate", "rawBytes", value="QR=="), "as it is to be written"),
        (put(MATERIAL, "certificate", "rawBytes", value="A" * 90_000), "of up to 65536 bytes"),
        (put(MATERIAL, "tlogEntries", value=[{}] * 11), "tlogEntries: not a list of up to 10"),
        (put(*ENTRY, value={}), r"tlogEntries\[0\].kindVersion: not an object"),
        (put(*ENTRY, "logIndex", value="-1"), r"\[0\].logIndex: not a number"),
        (put(*ENTRY, "logIndex", value=True), r"\[0\].logIndex: not a number"),
        (put(*ENTRY, "logIndex", value="9223372036854775808"), "logIndex: not a number"),
        (put(*ENTRY, "inclusionProof", "treeSize", value=None), "treeSize: not a number"),
        (put(*ENTRY, "inclusionProof", "hashes", value=["="]), r"hashes\[0\]: not base64"),
        (put("messageSignature", value={}), "not exactly one of `dsseEnvelope`"),
        (put("dsseEnvelope", "signatures", value=[]), "signatures: not exactly one signature"),
        (
            put("dsseEnvelope", "signatures", value=[{"sig": "QQ=="}] * 2),
            "signatures: not exactly one signature",
        ),
    ],
)
def test_what_is_not_as_specified(change: Callable[[Any], None], message: str) -> None:
    with pytest.raises(InputError, match=message):
        bundle.parse(changed(change))


def test_a_key_that_stands_twice() -> None:
    data = SIGNED.as_bytes().replace(b'{"dsse', b'{"mediaType":"x","dsse')
    with pytest.raises(InputError, match="a key stands twice"):
        bundle.parse(data)


def test_a_chain_needs_a_certificate() -> None:
    value = SIGNED.as_json()
    value["verificationMaterial"] = {"x509CertificateChain": {"certificates": []}}
    with pytest.raises(InputError, match="a chain without a certificate"):
        bundle.parse(json.dumps(value).encode())
