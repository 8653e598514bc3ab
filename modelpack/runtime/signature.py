"""Check that somebody trusted has signed the packed weights, then become the guard.

It is the entry point of an image with ``runtime.require-signature``, run as
``/opt/venv/bin/python -I /usr/share/modelpack/signature.py GUARD... COMMAND...``: the arguments are
the guard's own command line. The guard proves that the files are those of ``weights.json``; this
program proves that the files of ``weights.json`` are those that were signed, so that weights and
manifest cannot be replaced together. Needs `cryptography` (for a key) or `sigstore` (for an
identity) in the image; Python 3.9 or newer; writes nothing to disk.

Whom to trust is never taken from the image. The folder that MODELPACK_TRUST names, otherwise
``/run/modelpack/trust``, is mounted when the container starts and holds either

    key.pub               a public key in PEM (ECDSA on P-256, P-384 or P-521)

or

    signer.json           {"identity": "…", "issuer": "…"}, as they stand in the certificate
    trusted_root.json     Sigstore's trusted root

and, where they do not lie with the weights as ``model.sig``, the signatures: ``NAME.sig`` for the
weights of that name. A signature is an OMS bundle (ossf/model-signing-spec 1.0), of whole files by
sha256. A file of trust that lies on the image's own file system is refused.

Exit status 78 when anything of this does not hold, with the guard's events: ``guard.refused`` says
what. ``guard.signed`` names the signer of each set of weights.
"""

# ruff: noqa: PLC0415  only what the kind of trust needs is loaded, and it may be missing
from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import re
import sys
import time
from typing import Any

EX_USAGE = 64
EX_CONFIG = 78
NOT_EXECUTABLE = 126

TRUST = "/run/modelpack/trust"
SIGNATURE = "model.sig"
MOUNTS = "/proc/self/mountinfo"
HINT = "modelpack run --trust FOLDER, or mount it read-only at " + TRUST
PREDICATE = "https://model_signing/signature/v1.0"
STATEMENT = "https://in-toto.io/Statement/v1"
PAYLOAD = "application/vnd.in-toto+json"
LIMIT = 64 << 20
_HEX = re.compile(r"[0-9a-f]{64}")
_ESCAPE = re.compile(r"\\([0-7]{3})")


class Refusal(Exception):  # noqa: N818  a verdict, not a fault
    """The weights are not known to be signed, so nothing may start."""


def main(argv: list[str], environ: dict[str, str], manifest_path: str, mounts: str = MOUNTS) -> int:
    """Verify every signature, then become the guard in `argv`; return a status otherwise."""
    if not argv or not argv[0].startswith("/"):
        emit("error", "usage", message="expected the guard's command line")
        return EX_USAGE
    try:
        trust = environ.get("MODELPACK_TRUST") or TRUST
        place = environ.get("MODELPACK_WEIGHTS", "")
        signer = Signer(trust, mount_points(mounts))
        for number, weights in enumerate(load(manifest_path)["weights"]):
            folder = place if number == 0 and place else weights["path"]
            payload = signer.verify(read_signature(trust, weights["name"], folder))
            compare(signed_files(payload), weights)
            emit("info", "signed", weights=weights["name"], by=signer.name)
    except Refusal as refusal:
        emit("error", "refused", message=str(refusal), hint=HINT)
        return EX_CONFIG
    except Exception as error:  # noqa: BLE001  whatever goes wrong, nothing unsigned ever starts
        emit("error", "refused", message=f"internal error: {error!r}")
        return EX_CONFIG
    try:
        os.execve(argv[0], argv, environ)  # noqa: S606  the guard, no shell
    except OSError as error:
        emit("error", "failed", message=f"cannot start the guard: {error.strerror}")
    return NOT_EXECUTABLE


class Signer:
    """Who must have signed: a key, or an identity, from files that were mounted."""

    def __init__(self, folder: str, points: list[str]) -> None:
        """Read the files of trust in `folder`, each of which lies below one of `points`."""
        self._points = points
        key, identity = f"{folder}/key.pub", f"{folder}/signer.json"
        self._key: Any = None
        self._who: dict[str, str] = {}
        if os.path.lexists(key) == os.path.lexists(identity):
            both = "both" if os.path.lexists(key) else "neither"
            raise Refusal(
                f"{both} of key.pub and signer.json: mount one of them at {folder}, read-only"
            )
        if os.path.lexists(key):
            self._load_key(read_trusted(key, points))
        else:
            self._load_identity(read_trusted(identity, points), f"{folder}/trusted_root.json")

    def verify(self, bundle: bytes) -> bytes:
        """Return the statement that this signer has signed, or raise Refusal."""
        return self._by_key(bundle) if self._key is not None else self._by_identity(bundle)

    def _load_key(self, pem: bytes) -> None:
        try:
            from cryptography.hazmat.primitives import serialization
            from cryptography.hazmat.primitives.asymmetric import ec
        except ImportError:
            raise Refusal("the image has no `cryptography` to check a signature with") from None
        try:
            key = serialization.load_pem_public_key(pem)
        except ValueError:
            raise Refusal("key.pub is not a public key in PEM") from None
        if not isinstance(key, ec.EllipticCurvePublicKey):
            raise Refusal("key.pub is not an ECDSA key")
        der = key.public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        self._key = key
        self.name = f"key sha256:{hashlib.sha256(der).hexdigest()}"

    def _load_identity(self, data: bytes, root: str) -> None:
        value = as_object(data, "signer.json")
        if set(value) != {"identity", "issuer"} or not all(
            isinstance(item, str) and item for item in value.values()
        ):
            raise Refusal("signer.json does not say `identity` and `issuer`, and nothing else")
        self._who = value
        read_trusted(root, self._points)
        self._root = root
        self.name = f"{value['identity']} by {value['issuer']}"

    def _by_key(self, bundle: bytes) -> bytes:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec

        envelope: Any = as_object(bundle, "signature").get("dsseEnvelope")
        try:
            payload = base64.b64decode(envelope["payload"], validate=True)
            kind = envelope["payloadType"].encode()
            (signature,) = envelope["signatures"]
            signed = base64.b64decode(signature["sig"], validate=True)
        except (KeyError, TypeError, ValueError, AttributeError):
            raise Refusal("the signature is not a bundle with one signed statement") from None
        encoded = b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)
        size = self._key.curve.key_size
        known = {256: hashes.SHA256(), 384: hashes.SHA384(), 521: hashes.SHA512()}
        if size not in known:
            raise Refusal(f"key.pub is on a curve of {size} bits, which is not supported")
        try:
            self._key.verify(signed, encoded, ec.ECDSA(known[size]))
        except InvalidSignature:
            raise Refusal("the signature is not of the mounted key") from None
        if kind.decode("utf-8", "replace") != PAYLOAD:
            raise Refusal("what was signed is not a statement")
        return payload

    def _by_identity(self, bundle: bytes) -> bytes:
        try:
            from sigstore.errors import Error, VerificationError
            from sigstore.models import Bundle, TrustedRoot
            from sigstore.verify import Verifier, policy
        except ImportError:
            raise Refusal("the image has no `sigstore` to check an identity with") from None
        who = policy.Identity(identity=self._who["identity"], issuer=self._who["issuer"])
        try:
            root = TrustedRoot.from_file(self._root)
            kind, payload = Verifier(trusted_root=root).verify_dsse(Bundle.from_json(bundle), who)
        except (Error, VerificationError, ValueError) as error:
            first = (str(error).splitlines() or [type(error).__name__])[0]
            raise Refusal(f"the signature does not hold: {first}") from None
        if kind != PAYLOAD:
            raise Refusal("what was signed is not a statement")
        return payload


def signed_files(payload: bytes) -> dict[str, str]:
    """Return the sha256 of each signed file by its path."""
    statement = as_object(payload, "signed statement")
    if (statement.get("_type"), statement.get("predicateType")) != (STATEMENT, PREDICATE):
        raise Refusal("what was signed is no statement about a model")
    try:
        predicate = statement["predicate"]
        how = predicate["serialization"]
        if (how["method"], how["hash_type"]) != ("files", "sha256"):
            raise Refusal("the files were signed by ranges or another hash than sha256")
        resources = predicate["resources"]
        found = {item["name"]: item["digest"] for item in resources}
        whole = all(item["algorithm"] == "sha256" for item in resources)
    except (KeyError, TypeError):
        raise Refusal("the signed statement is not as OMS has it") from None
    if len(found) != len(resources) or not whole:
        raise Refusal("the signed statement names a file twice, or by another hash")
    return found


def compare(signed: dict[str, str], weights: dict[str, Any]) -> None:
    """Refuse files of the manifest that are not the signed ones."""
    for file in weights["files"]:
        if file["path"] == SIGNATURE:
            continue  # a signature is not over itself, and nothing is loaded from it
        known = signed.get(file["path"])
        if known is None:
            raise Refusal(f"{weights['name']}: {file['path']} was not signed")
        if known != file["sha256"] or not _HEX.fullmatch(file["sha256"]):
            raise Refusal(f"{weights['name']}: {file['path']} is not the file that was signed")


def load(path: str) -> dict[str, Any]:
    """Return the guard's manifest; the guard looks at all else of it."""
    return as_object(read(path), "weights.json")


def read_signature(trust: str, name: str, folder: str) -> bytes:
    """Return the bundle for the weights `name`, which need not be trusted: it proves itself."""
    places = (f"{trust}/{name}.sig", f"{folder}/{SIGNATURE}")
    for path in places:
        if os.path.exists(path):
            return read(path)
    raise Refusal(f"no signature of {name}: mount it as {places[0]}, or have it as {places[1]}")


def read_trusted(path: str, points: list[str]) -> bytes:
    """Return a file of trust; raise Refusal where it is the image's own, not below a mount."""
    real = os.path.realpath(path)
    if not os.path.isfile(real):
        raise Refusal(f"there is no {path}: mount it, read-only")
    if not any(real == point or real.startswith(f"{point}/") for point in points):
        raise Refusal(f"{path} is part of the image: whom to trust is mounted at start")
    return read(real)


def mount_points(table: str) -> list[str]:
    """Return where something is mounted, without the root and the kernel's own."""
    try:
        with open(table, encoding="utf-8", errors="surrogateescape") as file:
            lines = [line.split(" ") for line in file]
    except OSError as error:
        raise Refusal(f"cannot see what is mounted: {error.strerror}") from None
    points = [_ESCAPE.sub(lambda m: chr(int(m[1], 8)), fields[4]) for fields in lines]
    return [p for p in points if p != "/" and p.split("/")[1] not in ("proc", "sys", "dev")]


def read(path: str) -> bytes:
    """Return a file of at most LIMIT bytes."""
    try:
        with open(path, "rb") as file:
            data = file.read(LIMIT + 1)
    except OSError as error:
        raise Refusal(f"cannot read {path}: {error.strerror}") from None
    if len(data) > LIMIT:
        raise Refusal(f"{path} has more than {LIMIT} bytes")
    return data


def as_object(data: bytes, what: str) -> dict[str, Any]:
    """Return the JSON object in `data`, in which no key stands twice."""
    try:
        value = json.loads(data.decode(), object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise Refusal(f"the {what} is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise Refusal(f"the {what} is not a JSON object")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a key stands twice")
    return dict(pairs)


def emit(level: str, event: str, **fields: Any) -> None:  # noqa: ANN401  any JSON value
    """Write one event as a line of JSON to standard error."""
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    line = {"time": moment, "level": level, "event": f"guard.{event}",
            "component": "modelpack.guard", **fields}  # fmt: skip
    with contextlib.suppress(OSError):  # nobody listens; the exit status still tells
        os.write(2, json.dumps(line).encode("ascii") + b"\n")


if __name__ == "__main__":
    _beside = os.path.join(os.path.dirname(os.path.abspath(__file__)), "weights.json")
    sys.exit(main(sys.argv[1:], dict(os.environ), _beside))
