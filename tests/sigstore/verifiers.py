"""Other people's verifiers of bundles: sigstore-python and sigstore-js."""

import json
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sigstore.errors import VerificationError
from sigstore.models import Bundle, InvalidBundle, TrustedRoot
from sigstore.verify import Verifier, policy

Tool = Callable[[str], str]


class RefusedError(Exception):
    """A verifier does not believe a bundle; its reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """Who must have signed."""

    identity: str = ""
    issuer: str = ""
    key: Path | None = None
    logged: bool = True
    timed: bool = True


def sigstore_python(trusted_root: Path, bundle: bytes, expected: Expected) -> dict[str, Any]:
    """Return the statement in a keyless bundle; raise RefusedError."""
    verifier = Verifier(trusted_root=TrustedRoot.from_file(str(trusted_root)))
    who = policy.Identity(identity=expected.identity, issuer=expected.issuer)
    try:
        _, payload = verifier.verify_dsse(Bundle.from_json(bundle), who)
    except (VerificationError, InvalidBundle) as error:
        raise RefusedError(str(error)) from error
    statement: dict[str, Any] = json.loads(payload)
    return statement


def sigstore_js(
    program: str, trusted_root: Path, bundle: Path, expected: Expected
) -> Mapping[str, Any]:
    """Return the statement in a bundle; raise RefusedError."""
    if expected.key:
        who = [f"--key={expected.key}"]
        who += [
            *([] if expected.logged else ["--no-log"]),
            *([] if expected.timed else ["--no-time"]),
        ]
    else:
        who = [f"--identity={expected.identity}", f"--issuer={expected.issuer}"]
    done = subprocess.run(
        [program, str(trusted_root), str(bundle), *who], capture_output=True, text=True,
        check=False, timeout=60,
    )  # fmt: skip
    if done.returncode == 1:
        raise RefusedError(done.stderr.strip())
    assert done.returncode == 0, done.stderr
    statement: dict[str, Any] = json.loads(done.stdout)["statement"]
    return statement
