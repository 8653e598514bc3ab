"""Whatever anybody puts beside an image: an answer, never a fault, and never a yes."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelpack.errors import ModelpackError
from modelpack.oci.layer import Descriptor, blob_of
from modelpack.oci.layout import Layout
from modelpack.trust import trusted_root
from modelpack.trust.policy.decoding import parse as parse_policy
from modelpack.verifying import signed
from modelpack.verifying.gathering import gather
from modelpack.verifying.judging import judge
from tests import signed_images as made
from tests.described_image import complete
from tests.sigstore.attaching import SIGNATURE, attached, statement
from tests.sigstore.stack import new_sigstore

NOW = 1_795_000_000
IMAGE = complete().image()
SIGSTORE = new_sigstore(moment=NOW)
TRUSTED = trusted_root.parse(json.dumps(SIGSTORE.trusted_root()).encode())
SOMEBODY_ELSE = SIGSTORE.token("eve@evil.example")
GOOD = SIGSTORE.sign(statement(IMAGE.digest), token=SOMEBODY_ELSE)
SIMPLE = "application/vnd.dev.cosign.simplesigning.v1+json"
DSSE = "application/vnd.dsse.envelope.v1+json"
POLICY = parse_policy(
    f"""
schema = 1
[signers.ci]
identity = "ci@modelpack.test"
issuer = "{SIGSTORE.url}"
[signature]
signers = ["ci"]
[provenance]
[scan]
[test]
[licenses]
allow = ["MIT"]
[rebuild]
[weights]
signers = ["ci"]
""".encode()
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.text(max_size=20)
    | st.sampled_from(["\ud800", "2026-11-25T00:00:00Z", "0001-01-01T00:00:00+23:59"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner,
                                                                max_size=3),
    max_leaves=8,
)  # fmt: skip
PEM = "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n"
CERTIFICATE = GOOD["verificationMaterial"]["certificate"]["rawBytes"]


def damaged(certificate: str, position: int, bit: int) -> str:
    """Return a certificate, base64, with one bit changed."""
    data = bytearray(base64.b64decode(certificate))
    data[position % len(data)] ^= 1 << bit
    return base64.b64encode(data).decode()


CERTIFICATES = st.builds(damaged, st.just(CERTIFICATE), st.integers(0, 2000), st.integers(0, 7))
VALUES = st.one_of(
    JSON.map(json.dumps), st.text(max_size=40), CERTIFICATES.map(PEM.format),
    JSON.map(lambda body: json.dumps({
        "SignedEntryTimestamp": "AAAA",
        "Payload": {"body": base64.b64encode(json.dumps(body).encode()).decode(),
                    "integratedTime": 1, "logIndex": 1, "logID": "00"},
    })),
)  # fmt: skip
ANNOTATIONS = st.fixed_dictionaries({}, optional={
    f"dev.{name}": VALUES
    for name in ("cosignproject.cosign/signature", "sigstore.cosign/certificate",
                 "sigstore.cosign/bundle", "sigstore.cosign/rfc3161timestamp")
})  # fmt: skip
CONTENTS = st.one_of(
    st.binary(max_size=60), JSON.map(lambda value: json.dumps(value).encode()),
    st.just(json.dumps(GOOD).encode()), st.just(json.dumps(GOOD["dsseEnvelope"]).encode()),
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a layout with an image that nobody has signed."""
    folder = tmp_path_factory.mktemp("hostile") / "image"
    made.layout_with(folder, IMAGE)
    return folder


def answer(folder: Path, document: Any) -> str:
    """Return what comes of verifying an image with `document` beside it."""
    layout = Layout(folder)
    gathered = gather(layout, layout.resolve(IMAGE.digest))
    gathered.beside[IMAGE.digest] = (document,)  # type: ignore[index]
    return judge(gathered, POLICY, trusted=TRUSTED, now=NOW + 60).answer


def document_of(media_type: str, data: bytes, annotations: dict[str, str]) -> Any:
    """Return content beside an image as it is found: parsed as far as that goes."""
    from modelpack.inspection import contents
    from modelpack.inspection.referrer_document import ReferrerDocument

    blob = blob_of(data, media_type)
    layer = Descriptor(media_type=media_type, digest=blob.digest, size=len(data),
                       annotations=annotations)  # fmt: skip
    bare = ReferrerDocument(subject=IMAGE.digest, descriptor=layer, layer=layer)
    try:
        content = contents.parse(data, layer)
    except ModelpackError as error:
        return ReferrerDocument(subject=IMAGE.digest, descriptor=layer, layer=layer,
                                trouble=str(error))  # fmt: skip
    return ReferrerDocument(subject=IMAGE.digest, descriptor=layer, layer=layer, stored=data,
                            content=content) if signed.is_signed(bare) else bare  # fmt: skip


@settings(max_examples=300)
@given(media_type=st.sampled_from([SIMPLE, DSSE]), data=CONTENTS, annotations=ANNOTATIONS)
def test_older_signatures_of_anybody(
    folder: Path, media_type: str, data: bytes, annotations: dict[str, str]
) -> None:
    assert answer(folder, document_of(media_type, data, annotations)) == "refused"


@settings(max_examples=200)
@given(certificate=CERTIFICATES, choose=st.data())
def test_bundles_of_anybody(folder: Path, certificate: str, choose: st.DataObject) -> None:
    bundle = json.loads(json.dumps(GOOD))
    bundle["verificationMaterial"]["certificate"]["rawBytes"] = certificate
    if choose.draw(st.booleans()):
        bundle["dsseEnvelope"]["payload"] = base64.b64encode(
            json.dumps(choose.draw(JSON)).encode()
        ).decode()
    referrer = attached(bundle, SIGNATURE)
    data = json.dumps(bundle).encode()
    assert answer(folder, document_of(referrer.artifact_type, data, {})) == "refused"


SAID = st.dictionaries(
    st.sampled_from(["scanner", "metadata", "buildDefinition", "runDetails", "components", "result",
                     "verdict", "resources", "serialization", "packages", "spdxVersion"]),
    JSON | st.fixed_dictionaries({
        "result": JSON, "scanFinishedOn": JSON, "resolvedDependencies": st.lists(JSON, max_size=2),
        "externalParameters": JSON, "db": JSON, "builder": JSON,
    }), max_size=6,
)  # fmt: skip
KINDS = (made.PROVENANCE, made.SBOM, made.SCAN, made.TEST, made.REBUILD, made.OMS)


@settings(max_examples=200)
@given(kind=st.sampled_from(KINDS), said=SAID)
def test_statements_that_say_anything(folder: Path, kind: str, said: dict[str, Any]) -> None:
    """Signed by whom the policy trusts: still nothing but an answer."""
    try:
        data = statement(IMAGE.digest, kind, said)
        bundle = json.dumps(SIGSTORE.sign(data)).encode()
    except UnicodeEncodeError:
        return
    referrer = attached(bundle, kind)
    assert answer(folder, document_of(referrer.artifact_type, bundle, {})) == "refused"
