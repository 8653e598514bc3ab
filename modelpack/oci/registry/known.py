"""What is known of registries that take less than the specification allows; looked up 2026-08.

Sources: GitHub, "Working with the Container registry" (10 GB a layer); AWS, "Amazon ECR service
quotas" and "Amazon ECR Public service quotas"; Azure, "Container registry service tiers"; the
upload formats that KitOps found out (kitops-ml/kitops, upload-format.go).
"""

from dataclasses import dataclass

_MIB = 1 << 20
CHUNK = 256 * _MIB
"bytes of one request, where a registry does not want it otherwise: it pays for each one"
CAREFUL = 64 * _MIB
"the same after one that failed: what stands before a registry may end long ones (some at 100 MB)"
_CHUNKS = 9000
"of one blob: Quay and stores behind registries take 10,000 parts"


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """How a registry takes blobs."""

    layer_limit: int | None = None
    "bytes of the largest layer; None: none that is documented"
    in_one_request: bool = False
    "it refuses, or loses, what comes in chunks"

    def chunk(self, size: int, *, least: int = 0, most: int = 0, careful: bool = False) -> int:
        """Return the bytes of each request for a blob of `size`; `least`, `most`: as it says."""
        if self.in_one_request:
            return max(size, 1)
        usual = min(CHUNK, CAREFUL) if careful else CHUNK
        wanted = max(usual, -(-size // _CHUNKS // _MIB) * _MIB)
        return max(min(wanted, most) if most else wanted, least, 1)


_KNOWN = (
    ("ghcr.io", Traits(layer_limit=10_000_000_000, in_one_request=True)),
    ("public.ecr.aws", Traits(layer_limit=10_000 * _MIB, in_one_request=True)),
    (".amazonaws.com", Traits(layer_limit=52_000 * _MIB, in_one_request=True)),
    (".azurecr.io", Traits(layer_limit=200 * 1024 * _MIB)),
    (".pkg.dev", Traits(in_one_request=True)),
    ("gcr.io", Traits(in_one_request=True)),
)
"hosts, or how they end"


def traits(host: str) -> Traits:
    """Return what is known of the registry at `host`."""
    name = host.partition(":")[0]
    for known, found in _KNOWN:
        if name == known.lstrip(".") or name.endswith(known if known[0] == "." else f".{known}"):
            return found
    return Traits()
