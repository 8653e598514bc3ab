"""What cosign signed before bundles: that a manifest has a digest.

Source: cosign, `specs/SIGNATURE_SPEC.md`, "Payload"; containers/image,
`docs/containers-signature.5.md`.
"""

from typing import Any, Final

from modelpack import digest as digests
from modelpack.errors import InputError
from modelpack.oci.manifest import parse_object, printable
from modelpack.trust.predicate_types import SIGNATURE
from modelpack.trust.statement import Statement, about

SIZE_LIMIT: Final = 1 << 20
_TYPES: Final = frozenset({
    "cosign container image signature", SIGNATURE,
})  # fmt: skip


def parse(data: bytes, *, at: str = "payload") -> Statement:
    """Return what the payload says as the statement that says so today, or raise InputError."""
    value = parse_object(data, at=at, limit=SIZE_LIMIT)
    critical = _object(value, "critical", at)
    kind = critical.get("type")
    if kind not in _TYPES:
        shown = printable(kind) if isinstance(kind, str) else type(kind).__name__
        raise InputError(f"not a signature of an image: `{shown}`", at=f"{at}.critical.type")
    image = _object(critical, "image", f"{at}.critical").get("docker-manifest-digest")
    identity = _object(critical, "identity", f"{at}.critical").get("docker-reference")
    digest = digests.parse(
        printable(image) if isinstance(image, str) else "", at=f"{at}.critical.image"
    )
    name = identity if isinstance(identity, str) else ""
    return Statement(subjects=about(name, digest), predicate_type=SIGNATURE, predicate={})


def _object(value: dict[str, Any], key: str, at: str) -> dict[str, Any]:
    found = value.get(key)
    if not isinstance(found, dict):
        raise InputError(f"`{key}` is not an object", at=at)
    return found
