"""Names of locked things as package URLs.

Source: ECMA-427 (package-url), and its definitions of the types `deb`, `pypi` and `oci`.
"""

import re
from collections.abc import Mapping

from modelpack.digest import Digest
from modelpack.lock import AssembledBase, DebianPackage, Wheel

_PLAIN = re.compile(r"[A-Za-z0-9.~_:-]")
"what stays as it is; a colon is never encoded"
_PATH = re.compile(r"[A-Za-z0-9.~_:/-]")


def package_url(
    kind: str, name: str, version: str, *, namespace: str = "", qualifiers: Mapping[str, str] = {}
) -> str:
    """Return the package URL of `name` at `version`; qualifiers are sorted, empty ones left out."""
    path = "/".join(encoded(part) for part in (*namespace.split("/"), name) if part)
    query = "&".join(
        f"{key}={encoded(qualifiers[key], plain=_PATH)}"
        for key in sorted(qualifiers)
        if qualifiers[key]
    )
    return f"pkg:{kind}/{path}@{encoded(version)}{'?' if query else ''}{query}"


def debian(
    name: str, version: str, architecture: str, *, distribution: str, vendor: str = "debian"
) -> str:
    """Return the name of a Debian package; `distribution` is `debian-13`."""
    return installed(
        "deb", name, version, architecture, vendor=vendor, distribution=distribution
    )  # fmt: skip


def installed(
    kind: str, name: str, version: str, architecture: str, *, vendor: str, distribution: str
) -> str:
    """Return the name of a package of a distribution; `kind` is `deb` or `apk`."""
    return package_url(
        kind, name, version, namespace=vendor,
        qualifiers={"arch": architecture, "distro": distribution},
    )  # fmt: skip


def of_package(package: DebianPackage, base: AssembledBase) -> str:
    """Return the name of a locked Debian package."""
    return debian(
        package.name, package.version, package.architecture,
        distribution=base.distribution.replace(":", "-"),
    )  # fmt: skip


def of_wheel(wheel: Wheel) -> str:
    """Return the name of a locked wheel."""
    return package_url("pypi", wheel.name, wheel.version)


def image(
    digest: Digest, *, repository: str, architecture: str = "", tag: str = ""
) -> str:  # fmt: skip
    """Return the name of an image in `repository`; one without a host is no URL to find it at."""
    found_at = repository if "/" in repository else ""
    return package_url(
        "oci", repository.rpartition("/")[2].lower(), digest,
        qualifiers={"arch": architecture, "repository_url": found_at, "tag": tag},
    )  # fmt: skip


def repository_and_tag(reference: str) -> tuple[str, str]:
    """Return repository, with its host, and tag of an image reference that may have a digest."""
    name = reference.partition("@")[0]
    repository, colon, tag = name.rpartition(":")
    return (repository, tag) if colon and "/" not in tag else (name, "")


def encoded(text: str, *, plain: re.Pattern[str] = _PLAIN) -> str:
    """Return `text` percent-encoded as the specification wants it."""
    return "".join(char if plain.fullmatch(char) else _percent(char) for char in text)


def _percent(char: str) -> str:
    return "".join(f"%{byte:02X}" for byte in char.encode())
