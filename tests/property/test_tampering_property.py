"""Whatever byte is changed: nothing else is ever proved than what was signed."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelpack.digest import Digest
from modelpack.errors import ModelpackError
from modelpack.oci.layout import Layout
from modelpack.trust import bundle as bundles
from modelpack.trust import public_keys, trusted_root, verification
from modelpack.trust.expected import Expected, Identity, Key, Pattern
from modelpack.trust.policy.decoding import parse as parse_policy
from modelpack.trust.proof import Proof
from modelpack.verifying.gathering import gather
from modelpack.verifying.judging import judge
from tests import signed_images as made
from tests.described_image import complete
from tests.sigstore.attaching import SIGNATURE, attached, statement
from tests.sigstore.certificates import new_key, public_pem
from tests.sigstore.identity import SOMEBODY
from tests.sigstore.stack import Sigstore, new_sigstore

NOW = 1_795_000_000
IMAGE = complete().image()
SIGSTORE: Sigstore = new_sigstore(moment=NOW)
KEY = new_key()
TRUSTED = trusted_root.parse(json.dumps(SIGSTORE.trusted_root()).encode())
EXPECTED = Expected(
    predicate_type=SIGNATURE,
    signers=(
        Identity(name="ci", identity=Pattern(text=SOMEBODY), issuer=Pattern(text=SIGSTORE.url)),
        Key(name="key", spki=public_keys.of_pem(public_pem(KEY.public_key()), at="key")),
    ),
)
POLICY = parse_policy(
    f"""
schema = 1
[signers.ci]
identity = "{SOMEBODY}"
issuer = "{SIGSTORE.url}"
[signature]
signers = ["ci"]
""".encode()
)


def _bundles() -> Iterator[Any]:
    said = statement(IMAGE.digest)
    for name, bundle in (
        ("keyless, Rekor v1", SIGSTORE.sign(said, log=1, timestamp=False)),
        ("keyless, Rekor v2", SIGSTORE.sign(said, log=2)),
        ("key, Rekor v2", SIGSTORE.sign_with(said, KEY, log=2, timestamp=True)),
    ):
        yield pytest.param(json.dumps(bundle).encode(), id=name)


BUNDLES = tuple(_bundles())


def proof_of(data: bytes) -> Proof | None:
    """Return the proof of a bundle; None: it cannot be read."""
    try:
        bundle = bundles.parse(data)
    except ModelpackError:
        return None
    return verification.verify(
        bundle, subject=IMAGE.digest, trusted=TRUSTED, expected=EXPECTED, now=NOW + 60
    )


def tell(proof: Proof) -> tuple[object, ...]:
    """Return everything that a proof says of who signed what when."""
    return (proof.statement, proof.identity, proof.issuer, proof.key, dict(proof.extensions),
            proof.time, proof.signer)  # fmt: skip


@pytest.mark.parametrize("data", BUNDLES)
@settings(max_examples=120)
@given(choose=st.data())
def test_a_flipped_byte_of_a_bundle_proves_nothing_else(data: bytes, choose: st.DataObject) -> None:
    """Some bytes are not signed, such as hints at keys: then all that is proved is the same."""
    position = choose.draw(st.integers(0, len(data) - 1))
    changed = bytearray(data)
    changed[position] ^= choose.draw(st.integers(1, 255))
    good, proof = proof_of(data), proof_of(bytes(changed))
    assert good is not None
    assert good.holds
    if proof is not None and proof.holds:
        assert tell(proof) == tell(good)


def _places(value: Any, *path: Any) -> Iterator[tuple[Any, ...]]:
    """Yield where each text and number of a bundle stands."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _places(item, *path, key)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _places(item, *path, index)
    else:
        yield path


@pytest.mark.parametrize("data", BUNDLES)
@settings(max_examples=80)
@given(choose=st.data())
def test_a_member_of_another_bundle_proves_nothing_else(
    data: bytes, choose: st.DataObject
) -> None:  # fmt: skip
    """Members of a bundle about another image, put into this one one by one."""
    other = json.loads(choose.draw(st.sampled_from(OTHERS)))
    bundle = json.loads(data)
    *above, last = choose.draw(st.sampled_from(sorted(_places(bundle), key=str)))
    here, there = bundle, other
    for key in above:
        here = here[key]
        there = there[key] if _has(there, key) else None
    if there is None or not _has(there, last) or there[last] == here[last]:
        return
    here[last] = there[last]
    good, proof = proof_of(data), proof_of(json.dumps(bundle).encode())
    assert good is not None
    if proof is not None and proof.holds:
        assert tell(proof) == tell(good)


def _has(value: Any, key: Any) -> bool:
    if isinstance(value, dict):
        return key in value
    return isinstance(value, list) and isinstance(key, int) and key < len(value)


OTHERS = tuple(
    json.dumps(bundle)
    for bundle in (
        SIGSTORE.sign(statement(Digest("sha256:" + "ab" * 32)), log=1),
        SIGSTORE.sign(statement(Digest("sha256:" + "ab" * 32)), log=2),
        SIGSTORE.sign(statement(IMAGE.digest, made.SBOM, made.bom()), log=2),
        SIGSTORE.sign(statement(IMAGE.digest), log=2, token=SIGSTORE.token("eve@evil.example")),
    )
)


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an image whose signature holds."""
    folder = tmp_path_factory.mktemp("signed") / "image"
    bundle = SIGSTORE.sign(statement(IMAGE.digest))
    made.layout_with(folder, IMAGE, attached(bundle))
    assert answer(folder) == "verified"
    return folder


def answer(folder: Path) -> str:
    """Return what comes of verifying the image in a layout, or why it cannot be read."""
    layout = Layout(folder)
    try:
        gathered = gather(layout, layout.resolve(IMAGE.digest))
    except ModelpackError as error:
        return type(error).__name__
    return judge(gathered, POLICY, trusted=TRUSTED, now=NOW + 60).answer


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(choose=st.data())
def test_a_flipped_byte_in_a_store_is_no_yes(layout: Path, choose: st.DataObject) -> None:
    """Of subject, configuration, description, referrer and bundle: each is named by its digest."""
    blobs = sorted(path for path in (layout / "blobs" / "sha256").iterdir())
    read = [path for path in blobs if Digest(f"sha256:{path.name}") in depended_on(layout)]
    path = choose.draw(st.sampled_from(read))
    data = path.read_bytes()
    position = choose.draw(st.integers(0, len(data) - 1))
    changed = bytearray(data)
    changed[position] ^= choose.draw(st.integers(1, 255))
    try:
        path.chmod(0o644)
        path.write_bytes(changed)
        assert answer(layout) != "verified"
    finally:
        path.write_bytes(data)


def depended_on(folder: Path) -> frozenset[Digest]:
    """Return what a signature depends on: the image's manifest, the referrer, the bundle."""
    store = Layout(folder)
    found = {IMAGE.digest}
    for entry in store.referrers(IMAGE.digest):
        manifest = store.image(entry.digest)
        found |= {entry.digest, *(layer.digest for layer in manifest.layers)}
    return frozenset(found)
