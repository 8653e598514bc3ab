"""Keys that sign: in files, on a token, in a KMS; and what is no key, said without its content."""

import base64
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from moto.kms.utils import ECDSAPrivateKey
from moto.server import ThreadedMotoServer

from modelpack.errors import InputError, ModelpackError, Unavailable
from modelpack.trust.keys import opening, pem_file, pkcs11_uri, secretbox
from modelpack.trust.keys.key import Key, Secrets, fingerprint, hint_of, pem
from tests.sigstore.certificates import new_key, private_pem, public_pem, spki
from tests.software_token import PIN

if TYPE_CHECKING:
    from tests.software_token import SoftwareToken

MESSAGE = b"what is signed"
NOBODY = Secrets(password=lambda _: None, pin=lambda _: None)
PASSWORD = b"correct horse"


def knows(password: bytes = PASSWORD, pin: str = PIN) -> Secrets:
    """Return who knows the secrets."""
    return Secrets(password=lambda _: password, pin=lambda _: pin)


def expect_signs(key: Key) -> None:
    """Fail unless what `key` signs verifies with its public key."""
    public = serialization.load_der_public_key(key.spki)
    assert isinstance(public, ec.EllipticCurvePublicKey)
    public.verify(key.sign(MESSAGE), MESSAGE, ec.ECDSA(hashes.SHA256()))


def expect_refused(name: str, secrets: Secrets, message: str) -> ModelpackError:
    """Fail unless opening the key `name` is refused with `message`."""
    with pytest.raises(ModelpackError, match=message) as caught, opening.opened(name, secrets):
        pass
    return caught.value


def scrypt(**changes: int) -> dict[str, object]:
    """Return how cosign says that a password becomes a key."""
    return {"name": "scrypt", "params": {"N": 16, "r": 8, "p": 1, **changes}, "salt": "AA=="}


def of_cosign(**changes: object) -> bytes:
    """Return a file as cosign writes it, with a key that no password opens."""
    value = {
        "kdf": scrypt(),
        "cipher": {"name": "nacl/secretbox", "nonce": base64.b64encode(bytes(24)).decode()},
        "ciphertext": base64.b64encode(bytes(160)).decode(),
        **changes,
    }
    body = base64.b64encode(json.dumps(value).encode()).decode()
    label = "ENCRYPTED SIGSTORE PRIVATE KEY"
    return f"-----BEGIN {label}-----\n{body}\n-----END {label}-----\n".encode()


class TestSecretbox:
    """The example of "Cryptography in NaCl", section 10."""

    KEY = "1b27556473e985d462cd51197a9a46c76009549eac6474f206c4ee0844f68389"
    NONCE = "69696ee955b62b73cd62bda875fc73d68219e0036b7a0b37"
    TEXT = (
        "be075fc53c81f2d5cf141316ebeb0c7b5228c52a4c62cbd44b66849b64244ffce5ecbaaf33bd751a1ac728d4"
        "5e6c61296cdc3c01233561f41db66cce314adb310e3be8250c46f06dceea3a7fa1348057e2f6556ad6b1318a"
        "024a838f21af1fde048977eb48f59ffd4924ca1c60902e52f0a089bc76897040e082f937763848645e0705"
    )
    BOX = (
        "f3ffc7703f9400e52a7dfb4b3d3305d98e993b9f48681273c29650ba32fc76ce48332ea7164d96a4476fb8c5"
        "31a1186ac0dfc17c98dce87b4da7f011ec48c97271d2c20f9b928fe2270d6fb863d51738b48eeee314a7cc8a"
        "b932164548e526ae90224368517acfeabd6bb3732bc0e9da99832b61ca01b6de56244a9e88d5f9b37973f622"
        "a43d14a6599b1f654cb45a74e355a5"
    )

    def opened(self, **changes: str) -> bytes | None:
        given = {"box": self.BOX, "nonce": self.NONCE, "key": self.KEY, **changes}
        return secretbox.open_box(*(bytes.fromhex(given[name]) for name in ("box", "nonce", "key")))

    def test_what_is_in_it(self) -> None:
        assert self.opened() == bytes.fromhex(self.TEXT)

    def test_changed_or_of_another_key(self) -> None:
        assert self.opened(box="00" + self.BOX[2:]) is None
        assert self.opened(box=self.BOX[:-2] + "00") is None
        assert self.opened(key="00" + self.KEY[2:]) is None
        assert self.opened(nonce="00" + self.NONCE[2:]) is None
        assert self.opened(box=self.BOX[:30]) is None
        assert self.opened(key=self.KEY[2:]) is None


class TestFiles:
    def test_plain_and_encrypted(self, tmp_path: Path) -> None:
        private = new_key()
        for name, password in (("plain.pem", b""), ("encrypted.pem", PASSWORD)):
            path = tmp_path / name
            path.write_bytes(private_pem(private, password))
            with opening.opened(str(path), knows()) as key:
                assert key.spki == spki(private.public_key())
                expect_signs(key)

    def test_as_openssl_wrote_it_before(self) -> None:
        old = new_key().private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )  # fmt: skip
        expect_signs(pem_file.load(old, lambda _: None, at="key.pem"))

    def test_its_names(self) -> None:
        key = new_key().public_key()
        digest = hashlib.sha256(spki(key)).digest()
        assert hint_of(spki(key)) == base64.b64encode(digest).decode()
        assert fingerprint(spki(key)) == f"sha256:{digest.hex()}"
        assert pem(spki(key)).encode() == public_pem(key)

    @pytest.mark.parametrize(
        ("data", "message"),
        [
            (private_pem(new_key(), PASSWORD), "encrypted, and there is no password"),
            (private_pem(new_key(ec.SECP384R1)), "a key of another kind: EC secp384r1"),
            (public_pem(new_key().public_key()), "a public key or certificate, which cannot sign"),
            (b"hello", "not a private key in PEM"),
            (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "not a private"),
        ],
    )
    def test_what_is_no_key(self, data: bytes, message: str) -> None:
        with pytest.raises(InputError, match=message) as caught:
            pem_file.load(data, lambda _: None, at="key.pem")
        assert caught.value.findings[0].at == "key.pem"
        assert caught.value.findings[0].hint

    @pytest.mark.parametrize(
        ("private", "kind"),
        [
            (rsa.generate_private_key(public_exponent=65537, key_size=2048), "RSA"),
            (ed25519.Ed25519PrivateKey.generate(), "Ed25519"),
        ],
    )
    def test_other_algorithms(
        self, private: rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey, kind: str
    ) -> None:
        data = private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )  # fmt: skip
        with pytest.raises(InputError, match=f"another kind: {kind}") as caught:
            pem_file.load(data, lambda _: None, at="key.pem")
        assert "P-256" in caught.value.findings[0].hint

    @pytest.mark.parametrize(
        ("password", "message"),
        [(b"swordfish", "does not open"), (None, "there is no password")],
    )
    def test_of_cosign_with_another_password(self, password: bytes | None, message: str) -> None:
        with pytest.raises(InputError, match=message):
            pem_file.load(of_cosign(), lambda _: password, at="cosign.key")

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"kdf": {}}, "not a key as cosign writes it"),
            ({"ciphertext": "?"}, "not a key as cosign writes it"),
            ({"ciphertext": "AAAA"}, "does not open"),
            ({"cipher": {"name": "aes", "nonce": "AAAA"}}, "in another way"),
            (
                {
                    "kdf": {
                        "name": "scrypt",
                        "params": {"N": 1 << 30, "r": 8, "p": 1},
                        "salt": "AA==",
                    }
                },
                "more than this program spends",
            ),
            (
                {
                    "kdf": {
                        "name": "scrypt",
                        "params": {"N": 16, "r": 1 << 20, "p": 1},
                        "salt": "AA==",
                    }
                },
                "in another way",
            ),
        ],
    )
    def test_of_cosign_badly_made(self, changes: dict[str, object], message: str) -> None:
        with pytest.raises(InputError, match=message):
            pem_file.load(of_cosign(**changes), lambda _: b"x", at="cosign.key")

    def test_a_wrong_password_is_not_repeated(self) -> None:
        with pytest.raises(InputError, match="does not open the key") as caught:
            pem_file.load(private_pem(new_key(), PASSWORD), lambda _: b"swordfish", at="key.pem")
        error: BaseException | None = caught.value
        while error is not None:
            assert "swordfish" not in str(error)
            error = error.__cause__ or error.__context__

    def test_files_that_cannot_be_read(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="there is no such file"):
            pem_file.read(tmp_path / "none.pem", lambda _: None)
        with pytest.raises(Unavailable, match="cannot be read"):
            pem_file.read(tmp_path, lambda _: None)
        (tmp_path / "large.pem").write_bytes(bytes(100_000))
        with pytest.raises(InputError, match="too large for a key"):
            pem_file.read(tmp_path / "large.pem", lambda _: None)

    def test_other_providers(self) -> None:
        expect_refused("hashivault://secret-name", NOBODY, "keys of `hashivault` cannot be used")


class TestUris:
    def test_parts(self) -> None:
        parsed = pkcs11_uri.parse(
            "pkcs11:token=My%20token;object=release;id=%01%ff;type=private"
            "?pin-source=file:/run/pin&module-path=/usr/lib/x.so"
        )
        assert (parsed.token, parsed.object, parsed.id) == ("My token", "release", b"\1\xff")
        assert (parsed.pin_source, parsed.module_path) == ("/run/pin", "/usr/lib/x.so")
        assert str(parsed) == "pkcs11:token=My token;object=release;id=%01%ff"

    @pytest.mark.parametrize(
        ("uri", "message"),
        [
            ("pkcs11:object=a?pin-value=12345678", "seen by everybody"),
            ("pkcs11:token=a", "names no key"),
            ("pkcs11:object=a;slot-id=1", "`slot-id` of a"),
            ("pkcs11:object=a;object=b", "stands twice"),
            ("pkcs11:object=%zz", "badly written"),
            ("pkcs11:object=%ff", "not UTF-8"),
            ("pkcs11:object=a;type=public", "`type` is not"),
            ("pkcs11:object", "`object` of a"),
            ("pkcs11:object=a?module-name=x", "`module-name` of a"),
        ],
    )
    def test_refused_without_their_secrets(self, uri: str, message: str) -> None:
        with pytest.raises(InputError, match=message) as caught:
            pkcs11_uri.parse(uri)
        assert "12345678" not in str(caught.value)


class TestTokens:
    @pytest.mark.parametrize("chosen", ["object=release", "id=%72%65%6c%65%61%73%65"])
    def test_signs(self, software_token: "SoftwareToken", chosen: str) -> None:
        uri = f"pkcs11:token=modelpack;{chosen}?module-path={software_token.library}"
        with opening.opened(uri, knows()) as key:
            expect_signs(key)

    def test_pin_of_a_file(self, software_token: "SoftwareToken", tmp_path: Path) -> None:
        (tmp_path / "pin").write_text(f"{PIN}\n")
        uri = software_token.uri("release", query=f"&pin-source=file:{tmp_path / 'pin'}")
        with opening.opened(uri, NOBODY) as key:
            expect_signs(key)

    def test_library_of_the_environment(self, software_token: "SoftwareToken") -> None:
        secrets = Secrets(
            password=lambda _: None, pin=lambda _: PIN, pkcs11_module=software_token.library
        )
        with opening.opened("pkcs11:object=release;token=modelpack", secrets) as key:
            expect_signs(key)

    def test_refused(self, software_token: "SoftwareToken") -> None:
        for uri, secrets, message in (
            (software_token.uri("release"), NOBODY, "asks for a PIN"),
            (software_token.uri("release"), knows(pin="0815-wrong"), "does not take the PIN"),
            (software_token.uri("none"), knows(), "no such pair of keys"),
            (software_token.uri("large"), knows(), "another kind: EC secp384r1"),
            (f"pkcs11:object=a?module-path={software_token.library}x", knows(), "no such library"),
            ("pkcs11:object=a", knows(), "nothing says which library"),
            (
                f"pkcs11:token=other;object=a?module-path={software_token.library}", knows(),
                "no such token",
            ),
        ):  # fmt: skip
            found = expect_refused(uri, secrets, message)
            assert "0815" not in json.dumps([finding.message for finding in found.findings])


def sign_digest(key: ECDSAPrivateKey, message: bytes, signing_algorithm: str) -> bytes:
    """Sign a digest as it is, as AWS does; moto overlooks `MessageType: DIGEST`."""
    assert (len(message), signing_algorithm) == (32, "ECDSA_SHA_256")
    return key.private_key.sign(message, ec.ECDSA(Prehashed(hashes.SHA256())))


@pytest.fixture(scope="module")
def kms() -> Iterator[str]:
    """Run a KMS of AWS on loopback; return its URL, which is in the environment."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ECDSAPrivateKey, "sign", sign_digest)
        host, port = server.get_host_and_port()
        url = f"http://{host}:{port}"
        patch.setenv("AWS_ENDPOINT_URL", url)
        patch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test-secret-access-key")
        yield url
    server.stop()


class TestKms:
    def test_signs(self, kms: str) -> None:
        client = boto3.client("kms")
        made = client.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")
        name = made["KeyMetadata"]["KeyId"]
        client.create_alias(AliasName="alias/release", TargetKeyId=name)
        client.close()
        for uri in (f"awskms:{name}", "awskms:///alias/release", "awskms:alias/release"):
            with opening.opened(uri, NOBODY) as key:
                expect_signs(key)

    def test_other_kinds_and_absent_keys(self, kms: str) -> None:
        client = boto3.client("kms")
        made = client.create_key(KeySpec="RSA_2048", KeyUsage="SIGN_VERIFY")
        client.close()
        for uri, message in (
            (f"awskms:{made['KeyMetadata']['KeyId']}", "another kind: RSA"),
            ("awskms:alias/none", "the KMS does not help"),
        ):
            expect_refused(uri, NOBODY, message)

    def test_clouds_whose_library_is_missing(self) -> None:
        for uri in ("gcpkms:projects/p/x", "azurekms://vault.vault.azure.net/keys/k"):
            error = expect_refused(uri, NOBODY, "needs a library")
            assert "modelpack-build[kms]" in error.findings[0].hint
        expect_refused("azurekms:k", NOBODY, "not the name of a key")
