"""What stands before the guard: nothing starts that no mounted key, or identity, has signed."""

import base64
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from modelpack.runtime import signature
from modelpack.trust import dsse, model_signature
from modelpack.verifying.facts import WeightSet
from modelpack.verifying.model_signatures import covered
from tests import values
from tests.sigstore.identity import SOMEBODY
from tests.sigstore.stack import Sigstore

STARTED = 7
KEY = ec.generate_private_key(ec.SECP256R1())
OTHER = ec.generate_private_key(ec.SECP256R1())


def pem(key: Any) -> bytes:
    return key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def signed(payload: bytes, key: Any = KEY, hashing: Any = None) -> bytes:
    """Return a bundle as other tools write it, with spaces and a log entry that is not there."""
    encoded = dsse.pae(payload)
    data = key.sign(encoded, ec.ECDSA(hashing or hashes.SHA256()))
    envelope = {
        "payload": base64.b64encode(payload).decode(),
        "payloadType": "application/vnd.in-toto+json",
        "signatures": [{"sig": base64.b64encode(data).decode(), "keyid": ""}],
    }
    material = {"publicKey": {"hint": "x"}, "tlogEntries": []}
    return json.dumps({"verificationMaterial": material, "dsseEnvelope": envelope}).encode()


@dataclass
class Image:
    """An image on disk: its manifest, its weights' folder, and what is mounted."""

    folder: Path
    files: dict[str, str] = field(default_factory=lambda: {"a": "1" * 64, "b/c": "2" * 64})
    mounted: bool = True

    def __post_init__(self) -> None:
        self.trust = self.folder / "trust"
        self.weights = self.folder / "weights"
        self.trust.mkdir()
        self.weights.mkdir()
        (self.trust / "key.pub").write_bytes(pem(KEY))
        (self.weights / "model.sig").write_bytes(signed(self.statement()))

    def statement(self, **changes: Any) -> bytes:
        locked = values.weights_lock(
            *(values.weight_file(path=path, sha256=sha) for path, sha in self.files.items())
        )
        value = model_signature.statement(locked, mounted=False).as_json()
        value["predicate"].update(changes)
        return json.dumps(value).encode()

    def start(self, **environment: str) -> tuple[int, list[dict[str, Any]]]:
        """Run the program as the image's entry point; return its status and its events."""
        manifest = {"weights": [{
            "name": "digits", "path": str(self.weights),
            "files": [{"path": path, "sha256": sha} for path, sha in self.files.items()],
        }]}  # fmt: skip
        (self.folder / "weights.json").write_text(json.dumps(manifest))
        table = self.folder / "mounts"
        place = str(self.trust) if self.mounted else "/elsewhere"
        table.write_text(f"1 0 0:1 / / rw - overlay overlay rw\n2 1 0:2 / {place} ro - ext4 x ro\n")
        program = (
            "import sys; from modelpack.runtime import signature; "
            "sys.exit(signature.main(sys.argv[3:], dict(__import__('os').environ), *sys.argv[1:3]))"
        )
        guard = [sys.executable, "-c", f"raise SystemExit({STARTED})"]
        done = subprocess.run(
            [sys.executable, "-c", program, str(self.folder / "weights.json"), str(table), *guard],
            env={**os.environ, "MODELPACK_TRUST": str(self.trust), **environment},
            capture_output=True, check=False,
        )  # fmt: skip
        return done.returncode, [json.loads(line) for line in done.stderr.splitlines()]

    def refusal(self, **environment: str) -> str:
        """Return why it does not start."""
        status, events = self.start(**environment)
        assert status == signature.EX_CONFIG
        assert events[-1]["event"] == "guard.refused"
        return str(events[-1]["message"])


@pytest.fixture
def image(tmp_path: Path) -> Image:
    return Image(tmp_path)


def test_what_the_mounted_key_signed_starts(image: Image) -> None:
    status, events = image.start()
    assert status == STARTED
    assert [event["event"] for event in events] == ["guard.signed"]
    assert events[0]["by"].startswith("key sha256:")


def test_a_signature_beside_the_key_goes_before_the_one_with_the_weights(image: Image) -> None:
    (image.weights / "model.sig").write_bytes(b"{}")
    assert image.start()[0] == signature.EX_CONFIG
    (image.trust / "digits.sig").write_bytes(signed(image.statement()))
    assert image.start()[0] == STARTED


@pytest.mark.parametrize(
    ("curve", "hashing"),
    [(ec.SECP384R1(), hashes.SHA384()), (ec.SECP521R1(), hashes.SHA512())],
    ids=["P-384", "P-521"],
)
def test_the_other_curves_of_the_specification_are_read(
    image: Image, curve: Any, hashing: Any
) -> None:
    key = ec.generate_private_key(curve)
    (image.trust / "key.pub").write_bytes(pem(key))
    (image.weights / "model.sig").write_bytes(signed(image.statement(), key, hashing))
    assert image.start()[0] == STARTED


def replaced(image: Image) -> None:
    image.files["a"] = "9" * 64  # the manifest of the image, together with the file


def added(image: Image) -> None:
    image.files["more"] = "3" * 64


def without_key(image: Image) -> None:
    (image.trust / "key.pub").unlink()


def without_signature(image: Image) -> None:
    (image.weights / "model.sig").unlink()


def not_mounted(image: Image) -> None:
    image.mounted = False


def linked_into_the_image(image: Image) -> None:
    (image.folder / "own.pub").write_bytes(pem(KEY))
    (image.trust / "key.pub").unlink()
    (image.trust / "key.pub").symlink_to(image.folder / "own.pub")


def of_another_key(image: Image) -> None:
    (image.weights / "model.sig").write_bytes(signed(image.statement(), OTHER))


def another_kind_of_key(image: Image) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    (image.trust / "key.pub").write_bytes(pem(key))


def both_kinds_of_trust(image: Image) -> None:
    (image.trust / "signer.json").write_text("{}")


def changed_payload(image: Image) -> None:
    bundle = json.loads((image.weights / "model.sig").read_bytes())
    payload = image.statement().replace(b"1" * 64, b"4" * 64)
    bundle["dsseEnvelope"]["payload"] = base64.b64encode(payload).decode()
    (image.weights / "model.sig").write_text(json.dumps(bundle))


def another_predicate(image: Image) -> None:
    payload = image.statement().replace(b"model_signing/signature", b"model_signing/other")
    (image.weights / "model.sig").write_bytes(signed(payload))


def ranges(image: Image) -> None:
    payload = image.statement(serialization={"method": "shards", "hash_type": "sha256"})
    (image.weights / "model.sig").write_bytes(signed(payload))


def named_twice(image: Image) -> None:
    twice = [{"name": "a", "algorithm": "sha256", "digest": "1" * 64}] * 2
    payload = image.statement(resources=twice)
    (image.weights / "model.sig").write_bytes(signed(payload))


def junk(image: Image) -> None:
    (image.weights / "model.sig").write_bytes(b'{"dsseEnvelope": 3}')


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (replaced, "digits: a is not the file that was signed"),
        (added, "digits: more was not signed"),
        (without_key, "neither of key.pub and signer.json: mount one of them"),
        (without_signature, "no signature of digits: mount it as"),
        (not_mounted, "key.pub is part of the image"),
        (linked_into_the_image, "key.pub is part of the image"),
        (of_another_key, "the signature is not of the mounted key"),
        (another_kind_of_key, "key.pub is not an ECDSA key"),
        (both_kinds_of_trust, "both of key.pub and signer.json"),
        (changed_payload, "the signature is not of the mounted key"),
        (another_predicate, "no statement about a model"),
        (ranges, "signed by ranges or another hash"),
        (named_twice, "names a file twice"),
        (junk, "not a bundle with one signed statement"),
    ],
)
def test_all_else_is_refused_with_the_reason(
    image: Image, change: Callable[[Image], None], message: str
) -> None:
    change(image)
    assert message in image.refusal()


def test_weights_elsewhere_are_looked_for_there(image: Image, tmp_path: Path) -> None:
    elsewhere = tmp_path / "pvc"
    elsewhere.mkdir()
    (image.weights / "model.sig").rename(elsewhere / "model.sig")
    assert image.start(MODELPACK_WEIGHTS=str(elsewhere))[0] == STARTED


def test_the_kernels_own_mounts_are_none(tmp_path: Path) -> None:
    table = tmp_path / "mounts"
    table.write_text(
        "1 0 0:1 / / rw - overlay o rw\n2 1 0:2 / /proc rw - proc p rw\n"
        "3 1 0:3 / /dev/shm rw - tmpfs t rw\n4 1 0:4 / /run/a\\040b ro - ext4 e ro\n"
    )
    assert signature.mount_points(str(table)) == ["/run/a b"]


def trust_identity(image: Image, sigstore: Sigstore, identity: str = SOMEBODY) -> None:
    """Mount who must have signed, and what certificates are believed."""
    (image.trust / "key.pub").unlink()
    who = {"identity": identity, "issuer": sigstore.url}
    (image.trust / "signer.json").write_text(json.dumps(who))
    (image.trust / "trusted_root.json").write_bytes(sigstore.trusted_root_file().read_bytes())
    bundle = sigstore.sign(image.statement())
    (image.weights / "model.sig").write_text(json.dumps(bundle))


def test_what_the_mounted_identity_signed_starts(image: Image, sigstore: Sigstore) -> None:
    trust_identity(image, sigstore)
    status, events = image.start()
    assert (status, events[0]["by"]) == (STARTED, f"{SOMEBODY} by {sigstore.url}")


def test_somebody_else_is_refused(image: Image, sigstore: Sigstore) -> None:
    trust_identity(image, sigstore, identity="else@modelpack.test")
    assert "the signature does not hold" in image.refusal()


def test_an_identity_without_a_trusted_root_is_refused(image: Image, sigstore: Sigstore) -> None:
    trust_identity(image, sigstore)
    (image.trust / "trusted_root.json").unlink()
    assert "there is no" in image.refusal()


@pytest.mark.parametrize("text", ["[]", '{"identity": "a"}', '{"identity": "", "issuer": "b"}'])
def test_a_signer_that_says_too_little_is_refused(
    image: Image, sigstore: Sigstore, text: str
) -> None:
    trust_identity(image, sigstore)
    (image.trust / "signer.json").write_text(text)
    assert "signer.json" in image.refusal()


def test_a_certificate_where_a_key_is_trusted_is_refused(image: Image, sigstore: Sigstore) -> None:
    (image.weights / "model.sig").write_text(json.dumps(sigstore.sign(image.statement())))
    assert "not of the mounted key" in image.refusal()


@pytest.mark.parametrize(
    ("path", "may"),
    [("model.sig", True), ("other.sig", False), ("b/model.sig", False), ("a", False)],
)
def test_one_file_need_not_be_signed_wherever_that_is_asked(path: str, may: bool) -> None:
    lock = values.weights_lock(values.weight_file(path="w.bin", sha256="1" * 64))
    stated = model_signature.statement(lock, mounted=False)
    packed = {"w.bin": "1" * 64, path: "2" * 64}
    locked = values.weights_lock(
        *(values.weight_file(path=name, sha256=sha256) for name, sha256 in packed.items())
    )
    found = list(model_signature.differences(model_signature.read(stated), locked, at="x"))
    name, _ = covered(stated, [WeightSet(name="digits", files=packed)])
    files = [{"path": name, "sha256": sha256} for name, sha256 in packed.items()]
    try:
        signature.compare({"w.bin": "1" * 64}, {"name": "digits", "files": files})
    except signature.Refusal:
        started = False
    else:
        started = True
    assert (not found, name == "digits", started) == (may, may, may)
