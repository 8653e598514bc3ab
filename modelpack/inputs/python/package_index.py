"""Package indexes asked through pip: which wheel fits a locked requirement."""

import hashlib
import json
import posixpath
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from modelpack.errors import InputError
from modelpack.inputs.python import index_diagnosis, pip_command
from modelpack.inputs.python.pinned import Requirement, Requirements
from modelpack.inputs.python.target import Target
from modelpack.lock import Wheel
from modelpack.progress import SILENT, Progress
from modelpack.quantity import counted

_METADATA_LIMIT = 16 << 20
_METADATA_BY_RANGES = "--use-feature=fast-deps"
"""of an index that does not state metadata by itself (PEP 658), only the end of each wheel is read,
not gigabytes; without it where a server or a release of pip does not know that"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selected:
    """A wheel chosen for a target, with what its core metadata demands."""

    wheel: Wheel
    extras: tuple[str, ...] = ()
    "that the lockfile asks for"
    requires_dist: tuple[str, ...] = ()
    requires_python: str = ""
    provides_extra: tuple[str, ...] = ()


def select(
    requirements: Requirements,
    *,
    target: Target,
    indexes: Mapping[str, str | None],
    environment: Mapping[str, str],
    progress: Progress = SILENT,
) -> tuple[Selected, ...]:
    """Return the wheel of every requirement that fits `target` and has a locked hash, by name.

    `indexes` gives a URL for each name, or None for what pip is configured with; the first one
    that has such a wheel is taken. Raises InputError with a finding for each requirement that
    none satisfies, Unavailable when an index cannot be asked.
    """
    wanted = {one.name: one for one in requirements.requirements}
    progress.say(f"asking the package index for {counted(len(wanted), 'wheel')}")
    chosen: dict[str, Selected] = {}
    for name, url in indexes.items():
        query = _Query(target=target, environment=environment, index=name, url=url)
        chosen.update(query.select({k: one for k, one in wanted.items() if k not in chosen}))
    findings = [
        index_diagnosis.missing(
            one, target=target, urls=tuple(indexes.values()), environment=environment,
            at=f"{requirements.path}:{one.line}" if one.line else requirements.path,
        )
        for one in sorted(wanted.values(), key=lambda one: one.line)
        if one.name not in chosen
    ]  # fmt: skip
    if findings:
        raise InputError(*findings)
    return tuple(chosen[name] for name in sorted(chosen))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Query:
    """Questions to one index."""

    target: Target
    environment: Mapping[str, str]
    index: str
    url: str | None

    def select(self, wanted: Mapping[str, Requirement]) -> Mapping[str, Selected]:
        """Return what of `wanted` this index has.

        The hashes that the index states are compared here: pip would download every wheel to
        check them, which `fetch` makes it do when the files are needed.
        """
        chosen: dict[str, Selected] = {}
        left, report = self._report(dict(wanted))
        for item in report:
            found = self._stated(item, left)
            if found:
                chosen[found.wheel.name] = found
        for name, one in left.items():
            if name not in chosen:
                # Another file fits better than the locked one, or the index states no sha256.
                found = self._downloaded(one)
                if found:
                    chosen[name] = found
        return chosen

    def _report(self, left: dict[str, Requirement]) -> tuple[dict[str, Requirement], list[Any]]:
        """Return what of `left` the index has in any form, and pip's report on it."""
        ranges = [_METADATA_BY_RANGES]
        while left:
            with tempfile.TemporaryDirectory(prefix="modelpack-") as folder:
                place = Path(folder)
                lines = [f"{one.name}=={one.version}" for one in left.values()]
                pip_command.write_requirements(place / "requirements.txt", lines, [self.url])
                answer = pip_command.run(
                    "install",
                    [
                        "--dry-run", "--ignore-installed", "--quiet", "--report=report.json",
                        *ranges, *pip_command.target_options(self.target),
                        "--requirement=requirements.txt",
                    ],
                    environment=self.environment, cwd=place,
                )  # fmt: skip
                if answer.succeeded:
                    return left, json.loads((place / "report.json").read_bytes())["install"]
            refused = answer.refused
            if answer.trouble or (refused not in left and not ranges):
                raise answer.unavailable()
            if refused in left:
                del left[refused]
            else:
                ranges = []
        return {}, []

    def _stated(self, item: Any, wanted: Mapping[str, Requirement]) -> Selected | None:  # noqa: ANN401  JSON
        """Return the choice in an item of pip's report, None unless its hash is locked."""
        download, metadata = item["download_info"], item["metadata"]
        sha256 = download.get("archive_info", {}).get("hashes", {}).get("sha256", "")
        filename = posixpath.basename(unquote(urlsplit(download["url"]).path))
        one = _named(filename, wanted)
        if one is None or sha256 not in one.hashes:
            return None
        return Selected(
            wheel=self._wheel(one, filename, sha256=sha256, size=0),
            extras=one.extras,
            requires_dist=tuple(metadata.get("requires_dist", ())),
            requires_python=metadata.get("requires_python", ""),
            provides_extra=tuple(metadata.get("provides_extra", ())),
        )

    def _downloaded(self, one: Requirement) -> Selected | None:
        """Return the choice that pip makes among the locked hashes, None when there is none."""
        hashes = " ".join(f"--hash=sha256:{digits}" for digits in one.hashes)
        line = f"{one.name}=={one.version} {hashes}"
        options = pip_command.target_options(self.target)
        with tempfile.TemporaryDirectory(prefix="modelpack-") as folder:
            pip_command.download([line], options, [self.url], self.environment, Path(folder))
            for path in Path(folder).glob("*.whl"):
                with path.open("rb") as file:
                    sha256 = hashlib.file_digest(file, "sha256").hexdigest()
                size = path.stat().st_size
                return _described(path, one, self._wheel(one, path.name, sha256=sha256, size=size))
        return None

    def _wheel(self, one: Requirement, filename: str, *, sha256: str, size: int) -> Wheel:
        return Wheel(
            name=one.name, version=one.version, filename=filename, size=size, sha256=sha256,
            index=self.index,
        )  # fmt: skip


def _named(filename: str, wanted: Mapping[str, Requirement]) -> Requirement | None:
    """Return the requirement that the wheel `filename` is for."""
    try:
        name, version, _, _ = parse_wheel_filename(filename)
    except InvalidWheelFilename:
        return None
    one = wanted.get(name)
    return one if one and one.version == str(version) else None


def _described(path: Path, one: Requirement, wheel: Wheel) -> Selected:
    """Return `wheel` with the core metadata in its file at `path`."""
    from zipfile import BadZipFile, ZipFile  # noqa: PLC0415  slow to import

    from packaging.metadata import parse_email  # noqa: PLC0415

    try:
        with ZipFile(path) as archive:
            name = next(n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
            with archive.open(name) as member:
                metadata, _ = parse_email(member.read(_METADATA_LIMIT))
    except (BadZipFile, StopIteration, ValueError, NotImplementedError, RuntimeError) as error:
        raise InputError("is not a wheel with metadata", at=wheel.filename) from error
    return Selected(
        wheel=wheel,
        extras=one.extras,
        requires_dist=tuple(metadata.get("requires_dist", ())),
        requires_python=metadata.get("requires_python", ""),
        provides_extra=tuple(metadata.get("provides_extra", ())),
    )
