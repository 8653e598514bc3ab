"""What was signed about a model, read strictly; the specification's own vectors."""

import json
from pathlib import Path
from typing import Any

import pytest

from modelpack.errors import InputError
from modelpack.trust import bundle, model_signature, statement
from tests import values

# Source: ossf/model-signing-spec, test-vectors/v1.0 at a0c91e2c9302 (Apache-2.0), unchanged.
VECTORS = Path(__file__).parents[1] / "assets" / "oms"
DIGESTS = {
    "certificate": "sha256:92745110b1ab4368471cbe31664e10174e954b113a3df333db860317b2c6dec4",
    "key": "sha256:92745110b1ab4368471cbe31664e10174e954b113a3df333db860317b2c6dec4",
    "sigstore": "sha256:61d4849d9d90076d6215f4d525f13d6574af8e3f67aef3e6f36fc40a14fdd226",
}


def taken(data: bytes) -> model_signature.Manifest:
    envelope = bundle.parse(data).envelope
    return model_signature.read(statement.parse(envelope.payload))


@pytest.mark.parametrize("kind", ["key", "certificate", "sigstore"])
def test_valid_vectors_are_read(kind: str) -> None:
    manifest = taken((VECTORS / f"valid-{kind}.json").read_bytes())
    assert list(manifest.files) == ["signme-1", "signme-2"]
    assert DIGESTS[kind] == manifest.digest


@pytest.mark.parametrize(
    "kind",
    ["empty", "missing-envelope", "missing-verification-material", "payload-wrong-predicate"],
)
def test_invalid_vectors_are_refused(kind: str) -> None:
    with pytest.raises(InputError):
        taken((VECTORS / f"invalid-{kind}.json").read_bytes())


def test_a_key_of_an_old_signature_is_no_more_than_a_hint() -> None:
    value = json.loads((VECTORS / "valid-key.json").read_bytes())
    value["verificationMaterial"]["publicKey"] = {"rawBytes": "AAAA", "keyDetails": "x"}
    read = bundle.parse(json.dumps(value).encode())
    assert read.material == bundle.PublicKey(raw=bytes(3))


LOCKED = values.weights_lock(
    values.weight_file(path="a/b.bin", sha256="1" * 64),
    values.weight_file(path="a.json", sha256="2" * 64),
)


def signed(**changes: Any) -> statement.Statement:
    value = model_signature.statement(LOCKED, mounted=False).as_json()
    value["predicate"].update(changes)
    return statement.parse(json.dumps(value).encode())


def test_what_we_write_is_read_and_agrees() -> None:
    manifest = model_signature.read(signed())
    assert manifest.files == {"a.json": "2" * 64, "a/b.bin": "1" * 64}
    assert list(model_signature.differences(manifest, LOCKED, at="here")) == []


def test_packed_files_that_differ_or_were_not_signed_are_named() -> None:
    manifest = model_signature.read(signed())
    other = values.weights_lock(
        values.weight_file(path="a/b.bin", sha256="3" * 64),
        values.weight_file(path="c", sha256="2" * 64),
    )
    found = [f.message for f in model_signature.differences(manifest, other, at="here")]
    assert found == [
        f"`a/b.bin` is not the signed file: sha256:{'3' * 64}, sha256:{'1' * 64} was signed",
        "`c` is packed and was not signed",
    ]


def resource(name: str = "a", digest: str = "1" * 64, algorithm: str = "sha256") -> dict[str, str]:
    return {"name": name, "digest": digest, "algorithm": algorithm}


FILES = {"method": "files", "hash_type": "sha256"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"serialization": {"method": "shards", "hash_type": "sha256"}}, "`shards` is not read"),
        ({"serialization": {"method": "files", "hash_type": "blake3"}}, "`blake3` is not read"),
        ({"serialization": 3}, "not an object"),
        ({"resources": []}, "it names no file"),
        ({"resources": [resource(algorithm="blake2b")]}, "`blake2b` is not read"),
        ({"resources": [resource("../a")]}, "not a path within a model"),
        ({"resources": [resource("/a")]}, "not a path within a model"),
        ({"resources": [resource("./a")]}, "not a path within a model"),
        ({"resources": [resource("a//b")]}, "not a path within a model"),
        ({"resources": [resource("a/")]}, "not a path within a model"),
        ({"resources": [resource("a\0")]}, "not a path within a model"),
        ({"resources": [resource("b"), resource("a")]}, "not in the order of their names"),
        ({"resources": [resource(), resource()]}, "not in the order of their names, each once"),
        ({"resources": [resource(digest="1" * 63)]}, "not a sha256 digest"),
        ({"resources": [resource(digest="A" * 64)]}, "not a sha256 digest"),
        ({"resources": [resource()]}, "its subject is not the digest over its files"),
    ],
)
def test_what_is_not_as_specified_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        model_signature.read(signed(**changes))
