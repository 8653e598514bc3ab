"""Where this machine gets Debian packages: the machine's business, never the Spec's."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from modelpack.errors import InputError
from modelpack.inputs.debian import deb822
from modelpack.inputs.opening import open_regular
from modelpack.web.urls import is_web

DEBIAN = "http://deb.debian.org/debian"
DEBIAN_SECURITY = "http://deb.debian.org/debian-security"
SNAPSHOT = "https://snapshot.debian.org"

_SUITE = re.compile(
    r"(?:stable|oldstable|testing|unstable|sid|bookworm|trixie|forky)"
    r"(?:-updates|-security|-backports|-proposed-updates)?(?:/updates)?"
)
_MAX_SOURCES = 256
_MAX_SOURCE_SIZE = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Mirrors:
    """Roots of Debian's archives, best first; every one has `dists` and `pool` below it."""

    debian: tuple[str, ...] = (DEBIAN,)
    debian_security: tuple[str, ...] = (DEBIAN_SECURITY,)
    snapshot: str = SNAPSHOT
    "has `archive/debian/<time>/pool/…` below it: every package that there ever was"

    def of(self, archive: str) -> tuple[str, ...]:
        """Return the roots of `debian` or `debian-security`."""
        return self.debian_security if archive == "debian-security" else self.debian


def find(
    environment: Mapping[str, str],
    user_config: Mapping[str, object],
    apt_root: Path = Path("/etc/apt"),
) -> Mirrors:
    """Return the mirrors of this machine.

    The first that says something wins: MODELPACK_DEBIAN_MIRROR, MODELPACK_DEBIAN_SECURITY_MIRROR
    and MODELPACK_DEBIAN_SNAPSHOT, each one or more URLs; `[mirrors]` of the user's configuration
    with `debian`, `debian-security` and `snapshot`. Else what apt uses, then Debian's own.
    Raises InputError for something that is not a http or https URL.
    """
    debian = _chosen(environment, "MODELPACK_DEBIAN_MIRROR", user_config, "debian")
    security = _chosen(
        environment, "MODELPACK_DEBIAN_SECURITY_MIRROR", user_config, "debian-security"
    )
    snapshot = _chosen(environment, "MODELPACK_DEBIAN_SNAPSHOT", user_config, "snapshot")
    apt = () if debian and security else tuple(_apt_roots(apt_root))
    return Mirrors(
        debian=debian or _unique((*_named(apt, "debian"), DEBIAN)),
        debian_security=security or _unique((*_named(apt, "debian-security"), DEBIAN_SECURITY)),
        snapshot=snapshot[0] if snapshot else SNAPSHOT,
    )


def _chosen(
    environment: Mapping[str, str], variable: str, user_config: Mapping[str, object], key: str
) -> tuple[str, ...]:
    if text := environment.get(variable, "").strip():
        return _unique(_root(url, at=variable) for url in text.split())
    at = f"mirrors.{key}"
    table = user_config.get("mirrors", {})
    if not isinstance(table, Mapping):
        raise InputError("expected a table", at="mirrors")
    value = table.get(key, ())
    urls = [value] if isinstance(value, str) else value
    if not isinstance(urls, list | tuple) or not all(isinstance(url, str) for url in urls):
        raise InputError("expected a URL or a list of URLs", at=at)
    return _unique(_root(url, at=at) for url in urls)


def _root(url: str, *, at: str) -> str:
    if not is_web(url):
        raise InputError("not a http or https URL", at=at, hint=f"write it like `{DEBIAN}`")
    return url.rstrip("/")


def _named(roots: Iterable[str], name: str) -> tuple[str, ...]:
    return tuple(root for root in roots if root.rsplit("/", 1)[-1] == name)


def _unique(urls: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(urls))


def _apt_roots(apt_root: Path) -> Iterator[str]:
    """Yield the roots that apt's sources name together with an official suite of Debian."""
    folder = apt_root / "sources.list.d"
    try:
        found = sorted(folder.iterdir())[:_MAX_SOURCES]
    except OSError:
        found = []
    for path in (apt_root / "sources.list", *found):
        text = _text(path)
        sources = _deb822_sources(text) if path.suffix == ".sources" else _line_sources(text)
        if path.suffix in (".list", ".sources"):
            yield from (
                url.rstrip("/")
                for url, suites in sources
                if is_web(url) and any(map(_SUITE.fullmatch, suites))
            )


def _line_sources(text: str) -> Iterator[tuple[str, list[str]]]:
    """Yield URL and suite of every `deb [options] URL SUITE COMPONENT…` (sources.list(5))."""
    for line in text.splitlines():
        bare = re.sub(r"\[[^\]]*\]", " ", line.partition("#")[0], count=1)
        words = bare.split()
        if len(words) > 2 and words[0] == "deb":  # noqa: PLR2004  type, URL, suite
            yield words[1], [words[2].rstrip("/")]


def _deb822_sources(text: str) -> Iterator[tuple[str, list[str]]]:
    for source in deb822.paragraphs(text):
        fields = {name.lower(): value for name, value in source.items()}
        enabled = fields.get("enabled", "yes").lower() not in ("no", "false", "0", "off")
        if enabled and "deb" in fields.get("types", "").split():
            for url in fields.get("uris", "").split():
                yield url, [suite.rstrip("/") for suite in fields.get("suites", "").split()]


def _text(path: Path) -> str:
    """Return what apt's file says; nothing when it is missing, strange or not ours to read."""
    try:
        with open_regular(path) as file:
            return file.read(_MAX_SOURCE_SIZE).decode(errors="replace")
    except (InputError, OSError):
        return ""
