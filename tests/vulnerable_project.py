"""A project whose image holds known vulnerabilities, a secret and a denied licence, or does not."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from modelpack import project
from modelpack.inputs.downloads import Downloads
from modelpack.lock import AssembledBase, DebianPackage, Wheel
from modelpack.lock import encoding as lock_encoding
from tests import debian_archive, projects

TOKEN = "ghp_" + "R7xK2mQ9vT4nL8cW3bY6jH1dF5sG0pZaEuVi"
"looks like a GitHub token, and is none"
SECRET = f"# for release day only\nTOKEN = '{TOKEN}'\n".encode()
TOML = projects.TOML.replace('bytecode = "none"\n', 'bytecode = "none"\nport = 8080\n') + (
    'health = { live = "/healthz", ready = "/readyz" }\n'
)
OLD, NEW = "2023.5.7", "2026.1.4"
"versions of certifi: known to be vulnerable, and not"
OLD_EXPAT, NEW_EXPAT = "2.6.2-2", "2.7.1-2"


def make(
    folder: Path,
    cache: Path,
    *,
    certifi: str = OLD,
    expat: str = OLD_EXPAT,
    files: Mapping[str, bytes] = {},
    rules: str = "",
) -> Path:
    """Write a locked project with these versions; `files` are further ones of the wheel."""
    projects.make_project(folder, cache, toml=TOML + rules)
    this = project.read(folder)
    assert this.lock is not None
    downloads = Downloads(cache)
    (platform,) = this.lock.platforms
    assert isinstance(platform.base, AssembledBase)
    packages = (*platform.base.packages, _base_files(downloads), _expat(downloads, expat))
    base = replace(platform.base, packages=tuple(sorted(packages, key=lambda one: one.name)))
    wheels = (_certifi(downloads, certifi, files), *platform.wheels)
    lock = replace(this.lock, platforms=(replace(platform, base=base, wheels=wheels),))
    project.write(this.lock_path, lock_encoding.dump(lock))
    return folder


def _base_files(downloads: Downloads) -> DebianPackage:
    content = debian_archive.deb(
        "base-files", debian_archive.file("./etc/debian_version", b"13.7\n"),
        debian_archive.file("./usr/lib/os-release", b'ID=debian\nVERSION_ID="13"\n'),
        version="13.8+deb13u7", fields=_MAINTAINER, suffix="",
    )  # fmt: skip
    return _locked(downloads, content, "base-files", "13.8+deb13u7", source="base-files")


def _expat(downloads: Downloads, version: str) -> DebianPackage:
    content = debian_archive.deb(
        "libexpat1", debian_archive.file("./usr/share/doc/libexpat1/copyright", b"License: MIT\n"),
        version=version, fields=f"Source: expat\n{_MAINTAINER}", suffix="",
    )  # fmt: skip
    return _locked(downloads, content, "libexpat1", version, source="expat")


_MAINTAINER = "Maintainer: A <a@example.org>\n"


def _locked(
    downloads: Downloads, content: bytes, name: str, version: str, *, source: str
) -> DebianPackage:
    projects.keep(downloads, content)
    return debian_archive.locked(content, name=name, version=version, source=source)


def _certifi(downloads: Downloads, version: str, files: Mapping[str, bytes]) -> Wheel:
    content = projects.wheel(
        "certifi", version, {"certifi/__init__.py": b"", **files}, metadata="License: MPL-2.0\n"
    )
    return Wheel(
        name="certifi", version=version, filename=f"certifi-{version}-py3-none-any.whl",
        size=len(content), sha256=projects.keep(downloads, content),
    )  # fmt: skip
