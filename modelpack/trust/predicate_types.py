"""Types of what statements say, each exactly as it stands in them.

Sources: slsa.dev/spec, in-toto/attestation (spec/predicates), cosign
(specs/COSIGN_PREDICATE_SPEC.md), cyclonedx.org, spdx.dev, OpenSSF model signing; those of
modelpack.dev are ours.
"""

from typing import Final

SIGNATURE: Final = "https://sigstore.dev/cosign/sign/v1"
PROVENANCE: Final = "https://slsa.dev/provenance/v1"
OLDER_PROVENANCE: Final = ("https://slsa.dev/provenance/v0.2", "https://slsa.dev/provenance/v0.1")
"newest first"
SUMMARY: Final = "https://slsa.dev/verification_summary/v1"
CYCLONEDX: Final = "https://cyclonedx.org/bom"
SPDX: Final = "https://spdx.dev/Document"
VEX: Final = "https://openvex.dev/ns"
VULN: Final = "https://cosign.sigstore.dev/attestation/vuln/v1"
OTHER_VULNS: Final = (
    "https://in-toto.io/attestation/vulns/v0.1", "https://in-toto.io/attestation/vulns/v0.2"
)  # fmt: skip
TEST: Final = "https://in-toto.io/attestation/test-result/v0.1"
OMS: Final = "https://model_signing/signature/v1.0"
CHECKS: Final = "https://modelpack.dev/predicates/checks/v1"
MALWARE: Final = "https://modelpack.dev/predicates/malware/v1"
EVALUATION: Final = "https://modelpack.dev/predicates/evaluation/v1"
REBUILD: Final = "https://modelpack.dev/predicates/rebuild/v1"
PROMOTED: Final = "https://modelpack.dev/predicates/promotion/v1"
SUPERSEDED: Final = "https://modelpack.dev/predicates/supersession/v1"
