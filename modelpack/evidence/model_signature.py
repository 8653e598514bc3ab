"""The files of a model by digest, as OpenSSF Model Signing wants them signed.

Source: ossf/model-signing-spec, v1.0: one subject, whose digest is over the digests of all files
in the order of their names; method `files`, sha256. Whoever has the folder can check it without
this program.
"""

import hashlib
import posixpath
from typing import Any, Final

from modelpack.lock import WeightsLock
from modelpack.metadata import NAMEPLATE
from modelpack.trust.statement import Statement, Subject

PREDICATE: Final = "https://model_signing/signature/v1.0"
_IGNORED: Final = (".git", ".gitattributes", ".github", ".gitignore")
"what a clone of the model's repository has besides"


def statement(weights: WeightsLock, *, mounted: bool) -> Statement:
    """Return the statement about one set of weights whose digests somebody has proved."""
    files = sorted(weights.files, key=lambda file: file.path)
    whole = hashlib.sha256(b"".join(bytes.fromhex(file.sha256) for file in files))
    resources: list[dict[str, Any]] = [
        {"name": file.path, "algorithm": "sha256", "digest": file.sha256} for file in files
    ]
    return Statement(
        subjects=(
            Subject(
                name=posixpath.basename(weights.destination),
                digest={"sha256": whole.hexdigest()},
            ),
        ),
        predicate_type=PREDICATE,
        predicate={
            "serialization": {
                "method": "files",
                "hash_type": "sha256",
                "allow_symlinks": False,
                "ignore_paths": sorted((*_IGNORED, *((NAMEPLATE,) if mounted else ()))),
            },
            "resources": resources,
        },
    )
