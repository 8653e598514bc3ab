"""Words for what others say about images: predicate types, and media types of bare documents."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from modelpack.trust import media_types
from modelpack.trust.predicate_types import (
    CHECKS,
    CYCLONEDX,
    EVALUATION,
    MALWARE,
    OLDER_PROVENANCE,
    OMS,
    OTHER_VULNS,
    PROMOTED,
    PROVENANCE,
    REBUILD,
    SIGNATURE,
    SPDX,
    SUMMARY,
    SUPERSEDED,
    TEST,
    VEX,
    VULN,
)

_EXACT: Final[Mapping[str, str]] = MappingProxyType({
    OMS: "oms",
    REBUILD: "rebuild",
    SIGNATURE: "signature",
    **dict.fromkeys((VULN, *OTHER_VULNS), "scan"),
    TEST: "test",
    CHECKS: "checks",
    MALWARE: "malware",
    PROMOTED: "stage",
    SUPERSEDED: "stage",
    EVALUATION: "evaluation",
    SUMMARY: "verification",
    **dict.fromkeys((PROVENANCE, *OLDER_PROVENANCE), "provenance"),
})  # fmt: skip
_FAMILIES: Final[Mapping[str, str]] = MappingProxyType({CYCLONEDX: "sbom", SPDX: "sbom",
                                                        VEX: "vex"})  # fmt: skip
"types to which tools add a version: `/v1.6`"
CYCLONEDX_DOCUMENTS: Final = frozenset({media_types.CYCLONEDX, "application/vnd.cyclonedx"})
SPDX_DOCUMENTS: Final = frozenset({media_types.SPDX, "text/spdx+json", "spdx+json"})
_DOCUMENTS: Final[Mapping[str, str]] = MappingProxyType({
    **dict.fromkeys((*CYCLONEDX_DOCUMENTS, *SPDX_DOCUMENTS), "sbom"),
    media_types.OPENVEX: "vex",
    media_types.SARIF: "scan",
    "application/vnd.cncf.notary.signature": "signature",
    media_types.SIMPLE_SIGNING: "signature",
    "application/vnd.dev.cosign.artifact.sig.v1+json": "signature",
    "application/vnd.dev.cosign.artifact.sbom.v1+json": "sbom",
})  # fmt: skip
WORDS: Final = (
    "sbom", "provenance", "oms", "scan", "malware", "test", "checks", "rebuild", "stage",
    "evaluation", "vex", "verification", "signature",
)  # fmt: skip


def word(predicate_type: str) -> str:
    """Return the word for a predicate type; empty: none that is known."""
    for family, name in _FAMILIES.items():
        if predicate_type == family or predicate_type.startswith(f"{family}/"):
            return name
    return _EXACT.get(predicate_type, "")


def word_of_document(media_type: str) -> str:
    """Return the word for a bare document or a whole artifact; empty: none that is known."""
    return _DOCUMENTS.get(media_type, "")
