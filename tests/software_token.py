"""A token in software (SoftHSM 2), with a pair of keys on it."""

import base64
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pkcs11
from pkcs11.util.ec import encode_ec_public_key, encode_named_curve_parameters

PIN = "4711-not-secret"
LIBRARIES = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/opt/homebrew/lib/softhsm/libsofthsm2.so",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SoftwareToken:
    """A token that this process, and programs with `environment`, can use."""

    library: str
    environment: dict[str, str]

    def uri(self, name: str, *, query: str = "") -> str:
        """Return the URI of a key, with the path of the library."""
        return f"pkcs11:token=modelpack;object={name}?module-path={self.library}{query}"

    def public_pem(self, name: str) -> bytes:
        """Return the public half of a key, for those who verify."""
        token = pkcs11.lib(self.library).get_token(token_label="modelpack")
        with token.open() as session:
            found = session.get_key(pkcs11.ObjectClass.PUBLIC_KEY, label=name)
            text = base64.encodebytes(encode_ec_public_key(found)).decode()
        return f"-----BEGIN PUBLIC KEY-----\n{text}-----END PUBLIC KEY-----\n".encode()


def make_token(folder: Path, library: str) -> SoftwareToken:
    """Make a token with EC keys on two curves, `release` and `large`; needs softhsm2-util."""
    tokens = folder / "tokens"
    tokens.mkdir()
    configuration = folder / "softhsm2.conf"
    configuration.write_text(
        f"directories.tokendir = {tokens}\nobjectstore.backend = file\nlog.level = ERROR\n"
    )
    os.environ["SOFTHSM2_CONF"] = str(configuration)
    subprocess.run(
        ["softhsm2-util", "--init-token", "--free", "--label", "modelpack", "--so-pin", "0000-so",
         "--pin", PIN],
        check=True, capture_output=True,
    )  # fmt: skip
    with (
        pkcs11.lib(library)
        .get_token(token_label="modelpack")
        .open(user_pin=PIN, rw=True) as session
    ):
        for label, curve in (("release", "secp256r1"), ("large", "secp384r1")):
            parameters = session.create_domain_parameters(
                pkcs11.KeyType.EC,
                {pkcs11.Attribute.EC_PARAMS: encode_named_curve_parameters(curve)},
                local=True,
            )
            parameters.generate_keypair(label=label, id=label.encode(), store=True)
    return SoftwareToken(library=library, environment={"SOFTHSM2_CONF": str(configuration)})
