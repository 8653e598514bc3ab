"""A suite's `InRelease`: signed, of the right origin, and not too old."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from time import gmtime, strftime

from modelpack.errors import Refused, Unavailable
from modelpack.inputs.debian import deb822
from modelpack.inputs.debian import keys as debian_keys
from modelpack.inputs.debian.packages import PackagesFile
from modelpack.inputs.decompression import decompress
from modelpack.lock import DebianRelease

MAX_SIZE = 8 << 20
"bytes of an InRelease; Debian's have 150 kB"
MAX_PACKAGES = 512 << 20
"bytes of a decompressed Packages file; Debian's have 60 MB"
_CLOCK_SKEW = 24 * 3600
_SUM = re.compile(r"([0-9a-f]{64})\s+([0-9]{1,12})\s+(\S{1,500})")


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file of a suite, below `dists/<suite>`."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A verified InRelease."""

    lock: DebianRelease
    date: int
    "seconds since 1970"
    by_hash: bool
    files: Mapping[str, File]

    def packages_file(self, architecture: str) -> tuple[File, str]:
        """Return the index of `main` for `architecture`, and the suffix of its compression.

        Raises Unavailable when there is none.
        """
        path = f"main/binary-{architecture}/Packages"
        for suffix in ("xz", "gz", ""):
            file = self.files.get(f"{path}.{suffix}" if suffix else path)
            if file is not None:
                return file, suffix
        raise Unavailable(f"has no packages for {architecture}", at=self.lock.suite)


def parse(
    message: bytes,
    *,
    archive: str,
    suite: str,
    codename: str,
    keys: tuple[bytes, ...],
    environment: Mapping[str, str],
    now: int,
) -> Release:
    """Return what `message`, an InRelease, says once all that it claims was checked.

    `now` is in seconds since 1970. Raises Refused for a wrong signature, origin, codename or
    archive, Unavailable for one that is not valid (any more). Source: Debian wiki,
    "DebianRepository/Format"; Policy 5.1.
    """
    at = f"InRelease of {suite}"
    signed = debian_keys.verify(message, keys=keys, environment=environment, at=at)
    fields = next(deb822.paragraphs(signed.text.decode(errors="replace")), {})
    label = "Debian-Security" if archive == "debian-security" else "Debian"
    for name, expected in (("Origin", "Debian"), ("Label", label), ("Codename", suite)):
        if fields.get(name) != expected:
            raise Refused(
                f"`{name}` is {fields.get(name, '')[:60]!a} instead of `{expected}`",
                at=at,
                hint=f"the mirror does not serve {archive} of {codename}: use another one",
            )
    date = _seconds(fields, "Date", at)
    _check_age(fields, date, now, at)
    return Release(
        lock=DebianRelease(
            archive=archive,
            suite=suite,
            snapshot=strftime("%Y%m%dT%H%M%SZ", gmtime(date)),
            sha256=sha256(message).hexdigest(),
            signed_by=signed.fingerprints,
        ),
        date=date,
        by_hash=fields.get("Acquire-By-Hash") == "yes",
        files=_files(fields.get("SHA256", "")),
    )


def unpack(release: Release, data: bytes, suffix: str) -> PackagesFile:
    """Return the Packages file in `data`, whose digest was checked."""
    lock = release.lock
    text = decompress(data, suffix, limit=MAX_PACKAGES, at=f"Packages of {lock.suite}")
    return PackagesFile(archive=lock.archive, suite=lock.suite, text=text)


def _check_age(fields: deb822.Paragraph, date: int, now: int, at: str) -> None:
    hint = "use another mirror (MODELPACK_DEBIAN_MIRROR), or set the clock of this machine"
    if date > now + _CLOCK_SKEW:
        raise Unavailable(f"was made in the future ({fields['Date']})", at=at, hint=hint)
    if "Valid-Until" in fields and _seconds(fields, "Valid-Until", at) < now:
        raise Unavailable(f"expired ({fields['Valid-Until']})", at=at, hint=hint)


def _seconds(fields: deb822.Paragraph, name: str, at: str) -> int:
    """Return a date of RFC 5322 in seconds since 1970."""
    from email.utils import mktime_tz, parsedate_tz  # noqa: PLC0415  only to look packages up

    parsed = parsedate_tz(fields.get(name, "")[:100])
    try:
        if parsed is not None and (seconds := int(mktime_tz(parsed))) >= 0:
            return seconds
    except (OverflowError, ValueError):
        pass
    raise Refused(f"`{name}` is not a date: {fields.get(name, '')[:60]!a}", at=at)


def _files(sums: str) -> Mapping[str, File]:
    found = map(_SUM.fullmatch, sums.split("\n"))
    files = (File(sha256=m[1], size=int(m[2]), path=m[3]) for m in found if m)
    return {file.path: file for file in files}
