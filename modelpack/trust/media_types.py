"""Media types of what stands beside images, each exactly as it is written there."""

from typing import Final

BUNDLES: Final = "application/vnd.dev.sigstore.bundle"
"how those of Sigstore bundles begin, with whatever version"
DSSE: Final = "application/vnd.dsse.envelope.v1+json"
SIMPLE_SIGNING: Final = "application/vnd.dev.cosign.simplesigning.v1+json"
CYCLONEDX: Final = "application/vnd.cyclonedx+json"
SPDX: Final = "application/spdx+json"
SARIF: Final = "application/sarif+json"
OPENVEX: Final = "application/vnd.openvex+json"
