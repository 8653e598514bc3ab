"""What this machine lends to a build: its cache, mirrors, indexes, environment and time.

Made once in `modelpack.cli`, the only place that reads the environment and the clock.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from modelpack.inputs.debian.mirrors import Mirrors
from modelpack.inputs.downloads import Downloads
from modelpack.inputs.file_digests import FileDigests
from modelpack.oci.registry.settings import Settings
from modelpack.platform import Platform
from modelpack.progress import SILENT, Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """A machine's offers; nothing in it may change what is built, only whether and how fast."""

    cache: Path
    downloads: Downloads
    digests: FileDigests
    mirrors: Mirrors
    indexes: Mapping[str, str | None]
    "name to URL; None is pip's own configuration"
    environment: Mapping[str, str]
    now: int
    "seconds since 1970: judges how fresh signed indexes are, never enters an artifact"
    threads: int
    host: Platform | None
    "what programs this machine can run; None: not Linux, or an unknown architecture"
    registries: Settings = field(default_factory=Settings)
    bases: tuple[str, ...] | None = None
    "patterns of all that may be a base; None: anything may"
    offline: bool = False
    progress: Progress = SILENT
