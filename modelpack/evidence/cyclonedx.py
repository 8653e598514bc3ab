"""A bill of materials as CycloneDX JSON: the frame that names the image, around its components.

Source: CycloneDX 1.6 (ECMA-424) and 1.7. The components, which only the content decides, come
from `modelpack.evidence.components` or from memory.
"""

import uuid
from collections.abc import Mapping
from typing import Any, Final, Literal
from urllib.parse import quote

from modelpack import __version__
from modelpack.canonical_json import rfc3339
from modelpack.digest import Digest, hex_of
from modelpack.evidence.named_image import NamedImage

"as cosign and others know it: without a version"
IMAGE_REF: Final = "image"
PROPERTY: Final = "modelpack:"
"how the names of our properties begin"
UNREAD: Final = f"{PROPERTY}unread"
"property of the image: a database of packages in it that is not listed here"
Version = Literal["1.6", "1.7"]


def schema(version: Version) -> str:
    """Return the name of the JSON Schema of a version."""
    return f"http://cyclonedx.org/schema/bom-{version}.schema.json"


def _serial(digest: Digest) -> uuid.UUID:
    """Return the number of the one bill of materials of an image."""
    return uuid.uuid5(uuid.NAMESPACE_URL, digest)


def link(digest: Digest, ref: str) -> str:
    """Return what other documents call the component `ref` of an image (CycloneDX, BOM-Link)."""
    return f"urn:cdx:{_serial(digest)}/1#{quote(ref, safe='')}"


def document(
    body: Mapping[str, Any], image: NamedImage, *, version: Version = "1.6"
) -> dict[str, Any]:
    """Return the bill of materials of `image`, whose content `body` describes.

    The serial number follows from the digest, the time is the image's own. The root is of type
    `container`: Trivy refuses a root of another type.
    """
    return {
        "$schema": schema(version),
        "bomFormat": "CycloneDX",
        "specVersion": version,
        "serialNumber": f"urn:uuid:{_serial(image.digest)}",
        "version": 1,
        "metadata": {
            "timestamp": rfc3339(image.created),
            "tools": {
                "components": [
                    {"type": "application", "name": "modelpack", "version": __version__}
                ]
            },
            "component": {
                "type": "container",
                "bom-ref": IMAGE_REF,
                "name": image.repository,
                "version": image.digest,
                "purl": image.purl,
                "hashes": [{"alg": "SHA-256", "content": hex_of(image.digest)}],
                "properties": [
                    *(
                        {"name": f"{PROPERTY}{name}", "value": value}
                        for name, value in image.properties.items()
                    ),
                    *({"name": UNREAD, "value": path} for path in body.get("unread", ())),
                ],
            },
        },
        "components": body["components"],
        "dependencies": [{"ref": IMAGE_REF, "dependsOn": body["top"]}, *body["dependencies"]],
        "compositions": body["compositions"],
    }  # fmt: skip
