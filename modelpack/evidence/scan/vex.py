"""The exceptions of a project as a VEX document: CycloneDX 1.6, vulnerabilities with analysis."""

import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from modelpack import __version__, canonical_json
from modelpack.canonical_json import rfc3339
from modelpack.digest import hex_of
from modelpack.evidence.scan import Vulnerability
from modelpack.evidence.scan.scanning import Scanned
from modelpack.spec import ScanIgnore

NAMESPACE: Final = uuid.UUID("7b0d3f2c-8d4e-5a39-9a57-0c8d7f1f4a11")
"of the serial numbers: the same image and exceptions, the same number"
_EXPIRES = "dev.modelpack.expires"

Refer = Callable[[Vulnerability], str]
"how to name a package: by its purl, or as a link into the image's SBOM"


def document(scanned: Scanned, name: str, *, refer: Refer | None = None) -> Mapping[str, Any]:
    """Return a VEX document of the exceptions that apply today; `name` is the image's.

    Without `refer` the document lists the packages itself.
    """
    today = datetime.fromtimestamp(scanned.started, tz=UTC).date()
    accepted = [
        (one.item, one.waiver)
        for one in scanned.judgement.judged
        if isinstance(one.item, Vulnerability) and one.waiver and today <= one.waiver.expires
    ]
    value: dict[str, Any] = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "timestamp": rfc3339(scanned.started),
            "tools": {
                "components": [
                    {"type": "application", "name": "modelpack", "version": __version__}
                ]
            },
            "component": {
                "type": "container", "bom-ref": scanned.digest, "name": name,
                "version": scanned.digest,
                "hashes": [{"alg": "SHA-256", "content": hex_of(scanned.digest)}],
            },
        },
        "vulnerabilities": [
            _statement(item, waiver, refer or _purl) for item, waiver in accepted
        ],
    }  # fmt: skip
    if refer is None:
        packages = {_purl(item): item for item, _ in accepted}
        value["components"] = [_component(ref, item) for ref, item in sorted(packages.items())]
    serial = uuid.uuid5(NAMESPACE, canonical_json.dumps(value).decode())
    return {"serialNumber": f"urn:uuid:{serial}", **value}


def _purl(item: Vulnerability) -> str:
    return item.purl or f"{item.package}@{item.installed}"


def _component(ref: str, item: Vulnerability) -> Mapping[str, Any]:
    purl = {"purl": item.purl} if item.purl else {}
    return {
        "type": "library", "bom-ref": ref, "name": item.package, "version": item.installed, **purl,
    }  # fmt: skip


def _statement(item: Vulnerability, waiver: ScanIgnore, refer: Refer) -> Mapping[str, Any]:
    severity = item.severity.lower()
    analysis: dict[str, Any] = {"state": waiver.state, "detail": waiver.reason}
    if waiver.state == "exploitable":
        analysis["response"] = ["will_not_fix"]
    value: dict[str, Any] = {
        "bom-ref": f"{item.id} {_purl(item)}",
        "id": item.id,
        "ratings": [{"severity": severity}],
        "analysis": analysis,
        "affects": [{"ref": refer(item)}],
        "properties": [{"name": _EXPIRES, "value": waiver.expires.isoformat()}],
    }
    if item.title:
        value["description"] = item.title
    if item.url:
        value["advisories"] = [{"url": item.url}]
    return value
