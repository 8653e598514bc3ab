"""The exceptions of a project as a VEX document: CycloneDX 1.6, vulnerabilities with analysis."""

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from modelpack import __version__, canonical_json
from modelpack.canonical_json import rfc3339
from modelpack.digest import hex_of
from modelpack.evidence import cyclonedx
from modelpack.evidence.scan import Vulnerability
from modelpack.evidence.scan.scanning import Scanned, identity
from modelpack.spec import ScanIgnore

NAMESPACE: Final = uuid.UUID("7b0d3f2c-8d4e-5a39-9a57-0c8d7f1f4a11")
"of the serial numbers: the same image and exceptions, the same number"
_EXPIRES = "dev.modelpack.expires"


def document(scanned: Scanned, name: str) -> Mapping[str, Any]:
    """Return a VEX document of the exceptions that apply today; `name` is the image's.

    Packages that the image's SBOM lists are named by links into it, others are listed here.
    """
    today = datetime.fromtimestamp(scanned.started, tz=UTC).date()
    # A package that stands in the image twice is one component.
    accepted = {
        (one.item.id, _purl(one.item)): (one.item, one.waiver)
        for one in scanned.judgement.judged
        if isinstance(one.item, Vulnerability) and one.waiver and today <= one.waiver.expires
    }.values()
    links = {
        identity(one.type, one.name, one.version): cyclonedx.link(scanned.digest, one.purl)
        for one in scanned.packages
    }
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
            _statement(item, waiver, links.get(_identity(item)) or _purl(item))
            for item, waiver in accepted
        ],
    }  # fmt: skip
    others = {_purl(item): item for item, _ in accepted if _identity(item) not in links}
    if others:
        value["components"] = [_component(ref, item) for ref, item in sorted(others.items())]
    serial = uuid.uuid5(NAMESPACE, canonical_json.dumps(value).decode())
    return {"serialNumber": f"urn:uuid:{serial}", **value}


def _identity(item: Vulnerability) -> tuple[str, str, str]:
    kind = item.purl.removeprefix("pkg:").partition("/")[0]
    return identity(kind, item.package, item.installed)


def _purl(item: Vulnerability) -> str:
    return item.purl or f"{item.package}@{item.installed}"


def _component(ref: str, item: Vulnerability) -> Mapping[str, Any]:
    purl = {"purl": item.purl} if item.purl else {}
    return {
        "type": "library", "bom-ref": ref, "name": item.package, "version": item.installed, **purl,
    }  # fmt: skip


def _statement(item: Vulnerability, waiver: ScanIgnore, ref: str) -> Mapping[str, Any]:
    severity = item.severity.lower()
    analysis: dict[str, Any] = {"state": waiver.state, "detail": waiver.reason}
    if waiver.state == "exploitable":
        analysis["response"] = ["will_not_fix"]
    value: dict[str, Any] = {
        "bom-ref": f"{item.id} {_purl(item)}",
        "id": item.id,
        "ratings": [{"severity": severity}],
        "analysis": analysis,
        "affects": [{"ref": ref}],
        "properties": [{"name": _EXPIRES, "value": waiver.expires.isoformat()}],
    }
    if item.title:
        value["description"] = item.title
    if item.url:
        value["advisories"] = [{"url": item.url}]
    return value
