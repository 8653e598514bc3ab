"""What a scanner finds in an image: values, and how they are told apart."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

Severity = Literal["UNKNOWN", "LOW", "MEDIUM", "HIGH", "CRITICAL"]
RANK: Mapping[Severity, int] = MappingProxyType(
    {"UNKNOWN": 0, "LOW": 1, "MEDIUM": 2, "HIGH": 3, "CRITICAL": 4}
)
"unrated is below all: see docs/guides/scanning.md"


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """A package that the scanner recognised."""

    type: str
    "as in a purl: `deb`, `pypi`"
    name: str
    version: str
    purl: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Vulnerability:
    """An advisory that covers an installed package."""

    id: str
    severity: Severity
    title: str
    url: str
    package: str
    installed: str
    fixed: str
    "version without it; empty: there is none"
    status: str
    "in the words of the distribution: `fixed`, `affected`, `will_not_fix`"
    purl: str
    path: str = ""
    "of the package's own record in the image"
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """A place that holds a secret; the secret itself is never kept."""

    id: str
    "of the rule that knows this kind"
    severity: Severity
    title: str
    path: str
    "in the image; empty: in its configuration"
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Misconfiguration:
    """Something about the image's configuration that is not good practice."""

    id: str
    severity: Severity
    title: str
    message: str
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class License:
    """The licence of a package, as the package states it."""

    expression: str
    package: str
    path: str = ""


Item = Vulnerability | Secret | Misconfiguration | License


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything that a scanner said of one image."""

    scanner: str
    "its version"
    created: str
    "RFC 3339"
    image_id: str
    "digest of the configuration that it looked at"
    system: str
    "`debian 13.7`; empty: it recognised none"
    end_of_life: bool
    "whether the system gets no security updates any more"
    packages: tuple[Package, ...]
    vulnerabilities: tuple[Vulnerability, ...]
    secrets: tuple[Secret, ...]
    misconfigurations: tuple[Misconfiguration, ...]
    licenses: tuple[License, ...]
