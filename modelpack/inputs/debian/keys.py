"""Whether Debian signed a text: the archive keys that we ship, and who checks the signature."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from modelpack import process
from modelpack.errors import Refused, Unavailable

_KINDS = ("automatic", "security-automatic", "stable")
_MARK = b"-----BEGIN PGP SIGNED MESSAGE-----"
_ALL = tuple(f"{release}-{kind}" for release in ("bookworm", "trixie") for kind in _KINDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """What a valid signature covers, and by which keys."""

    text: bytes
    fingerprints: tuple[str, ...]
    "of the keys' certificates, lowercase hexadecimal, sorted"


def keyring(names: Sequence[str] = _ALL) -> tuple[bytes, ...]:
    """Return Debian's archive keys, as its package `debian-archive-keyring` ships them."""
    folder = files("modelpack.inputs.debian") / "archive_keys"
    return tuple((folder / f"debian-archive-{name}.gpg").read_bytes() for name in names)


def verify(
    message: bytes, *, keys: Sequence[bytes], environment: Mapping[str, str], at: str
) -> Signed:
    """Return what one of `keys` signed in the clear-signed `message` (RFC 9580, 7).

    Text outside of the signature is not part of the result. Raises Refused when there is no
    valid signature by one of the keys, Unavailable when nothing here can check one.
    """
    if not message.startswith(_MARK):
        raise Refused("not signed", at=at)
    try:
        import pysequoia  # noqa: PLC0415  heavy, and needed only to look packages up
    except ImportError:
        return _verify_with_gpgv(message, keys=keys, environment=environment, at=at)
    certificates = [c for key in keys for c in pysequoia.Cert.split_bytes(key)]
    try:
        result = pysequoia.verify(message, store=lambda _: certificates)
    except Exception as error:  # pysequoia raises RuntimeError and whatever its parsers do
        raise _bad_signature(at) from error
    fingerprints = {signature.certificate.lower() for signature in result.valid_sigs}
    known = {certificate.fingerprint.lower() for certificate in certificates}
    if result.bytes is None or not fingerprints or not fingerprints <= known:
        raise _bad_signature(at)
    return Signed(text=bytes(result.bytes), fingerprints=tuple(sorted(fingerprints)))


def _bad_signature(at: str) -> Refused:
    return Refused(
        "no valid signature by a key of Debian's archive",
        at=at,
        hint="use another mirror (MODELPACK_DEBIAN_MIRROR), and check the clock of this machine",
    )


def _verify_with_gpgv(
    message: bytes, *, keys: Sequence[bytes], environment: Mapping[str, str], at: str
) -> Signed:
    with tempfile.TemporaryDirectory(prefix="modelpack-") as name:
        folder = Path(name)
        (folder / "keys.gpg").write_bytes(b"".join(keys))
        (folder / "message").write_bytes(message)
        argv = [
            "gpgv",
            "--homedir",
            name,
            "--status-fd",
            "1",
            "--keyring",
            str(folder / "keys.gpg"),
            "--output",
            str(folder / "text"),
            str(folder / "message"),
        ]
        try:
            done = process.run(argv, environment={**environment, "LC_ALL": "C"}, timeout=60)
        except Unavailable as error:
            raise Unavailable(
                *error.findings,
                "cannot check signatures without `pysequoia` or `gpgv`",
                at=at,
                hint="pip install pysequoia",
            ) from error
        # VALIDSIG ends in the fingerprint of the primary key (GnuPG, doc/DETAILS).
        valid = {
            words[-1].lower()
            for line in done.stdout.decode(errors="replace").splitlines()
            if (words := line.split())[1:2] == ["VALIDSIG"]
        }
        # The status is 2 when one of several signatures is by a key that we do not ship.
        if not valid or not (folder / "text").exists():
            raise _bad_signature(at)
        return Signed(text=(folder / "text").read_bytes(), fingerprints=tuple(sorted(valid)))
