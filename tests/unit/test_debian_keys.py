"""The keys of Debian's archive that we ship, and who checks a signature with them."""

from collections.abc import Callable
from typing import Any

import pytest
from debian_archive import Repository

from modelpack.errors import Refused
from modelpack.inputs.debian import keys as debian_keys

# https://ftp-master.debian.org/keys.html
FINGERPRINTS = {
    "b8b80b5b623eab6ad8775c45b7c5d7d6350947f8",  # bookworm, automatic
    "05ab90340c0c5e797f44a8c8254cf3b5aec0a8f0",  # bookworm, security
    "4d64fec119c2029067d6e791f8d2585b8783d481",  # bookworm, release
    "04b54c3cdca79751b16bc6b5225629df75b188bd",  # trixie, automatic
    "5e04a1e3223a19a20706e20f9904613d4cce68c6",  # trixie, security
    "41587f7db8c774bccf131416762f67a0b2c39de4",  # trixie, release
}


@pytest.fixture(scope="module")
def signer() -> Any:
    pysequoia = pytest.importorskip("pysequoia")
    return pysequoia.Tsk.generate("Test Archive <test@example.org>")


def test_the_keys_are_those_that_debian_publishes() -> None:
    pysequoia = pytest.importorskip("pysequoia")
    certificates = [c for key in debian_keys.keyring() for c in pysequoia.Cert.split_bytes(key)]
    assert {certificate.fingerprint for certificate in certificates} == FINGERPRINTS


def test_only_the_signed_text_is_returned(signer: Any) -> None:
    message = Repository(signer).sign(b"Origin: Debian\n- dashed\n")
    keys = [bytes(signer.extract_certificate())]
    signed = debian_keys.verify(message, keys=keys, environment={}, at="x")
    assert signed.text.rstrip(b"\n") == b"Origin: Debian\n- dashed"
    assert signed.fingerprints == (signer.extract_certificate().fingerprint,)


def test_a_signature_by_another_key_is_refused_without_a_stack_trace(signer: Any) -> None:
    message = Repository(signer).sign(b"Origin: Debian\n")
    with pytest.raises(Refused) as caught:
        debian_keys.verify(message, keys=debian_keys.keyring(), environment={}, at="x")
    assert str(caught.value) == "x: no valid signature by a key of Debian's archive"


@pytest.mark.integration
def test_gpgv_stands_in_and_finds_the_same(signer: Any, require_tool: Callable[[str], str]) -> None:
    gpgv = require_tool("gpgv")
    environment = {"PATH": gpgv.rpartition("/")[0]}
    message = Repository(signer).sign(b"Origin: Debian\nLabel: x\n")
    keys = [bytes(signer.extract_certificate()), *debian_keys.keyring()]
    expected = debian_keys.verify(message, keys=keys, environment=environment, at="x")
    found = debian_keys._verify_with_gpgv(message, keys=keys, environment=environment, at="x")
    assert found.fingerprints == expected.fingerprints
    assert found.text.rstrip() == expected.text.rstrip()
    for damaged, known in (
        (message.replace(b"Debian", b"Debiam"), keys),
        (message, debian_keys.keyring()),
        (message[:-100], keys),
    ):
        with pytest.raises(Refused):
            debian_keys._verify_with_gpgv(damaged, keys=known, environment=environment, at="x")
