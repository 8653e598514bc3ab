"""Trivy's JSON report as a Report: typed, bounded, and without what it shows of secrets.

Source: Trivy 0.74, `pkg/types/report.go`; members that are empty are left out there.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Final, TypeVar, cast

from modelpack.errors import Unavailable
from modelpack.evidence.scan import (
    RANK,
    License,
    Misconfiguration,
    Package,
    Report,
    Secret,
    Severity,
    Vulnerability,
)
from modelpack.inputs.quoting import quoted

LIMIT: Final = 256 << 20
"bytes of a report; that of a large CUDA image has some ten million"
_SCHEMA = 2
_FAILED = "FAIL"

T = TypeVar("T")


def parse(data: bytes) -> Report:
    """Return the report in `data`; raise Unavailable when it is not one that can be understood."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _wrong("not valid JSON") from error
    if not isinstance(value, dict):
        raise _wrong("not a JSON object")
    if value.get("SchemaVersion") != _SCHEMA:
        raise _wrong("its `SchemaVersion` is not 2, the one that this modelpack knows")
    metadata = _table(value, "Metadata")
    system = _table(metadata, "OS")
    results = _tables(value, "Results")
    # Trivy gives what it finds in the configuration the image's own name for a path.
    image = _text(value, "ArtifactName")
    return Report(
        scanner=_text(_table(value, "Trivy"), "Version"),
        created=_text(value, "CreatedAt"),
        image_id=_text(metadata, "ImageID"),
        system=f"{_text(system, 'Family')} {_text(system, 'Name')}".strip(),
        end_of_life=system.get("EOSL") is True,
        packages=_all(results, "Packages", _package),
        vulnerabilities=_all(results, "Vulnerabilities", _vulnerability),
        secrets=_all(results, "Secrets", partial(_secret, image=image)),
        misconfigurations=_all(results, "Misconfigurations", _misconfiguration),
        licenses=_all(results, "Licenses", _license),
    )


def _all(
    results: list[Mapping[str, Any]],
    key: str,
    reader: Callable[[Mapping[str, Any], Mapping[str, Any]], T | None],
) -> tuple[T, ...]:
    """Return what `reader` makes of each entry of `key` in each result, each thing once."""
    found = (reader(entry, result) for result in results for entry in _tables(result, key))
    return tuple(dict.fromkeys(item for item in found if item is not None))


def _package(entry: Mapping[str, Any], result: Mapping[str, Any]) -> Package | None:
    purl = _text(_table(entry, "Identifier"), "PURL")
    kind = purl.removeprefix("pkg:").partition("/")[0] if purl else _text(result, "Type")
    return Package(
        type=kind, name=_text(entry, "Name"), version=_version(entry), purl=purl
    )  # fmt: skip


def _version(entry: Mapping[str, Any]) -> str:
    """Return the whole version of a package; those of RPMs and some others come in parts."""
    version, release = _text(entry, "Version"), _text(entry, "Release")
    epoch = entry.get("Epoch", 0)
    if not isinstance(epoch, int):
        raise _wrong("`Epoch` is not a number")
    return f"{epoch}:" * bool(epoch) + version + f"-{release}" * bool(release)


def _vulnerability(entry: Mapping[str, Any], _: Mapping[str, Any]) -> Vulnerability:
    return Vulnerability(
        id=_text(entry, "VulnerabilityID"),
        severity=_severity(entry),
        title=_text(entry, "Title"),
        url=_text(entry, "PrimaryURL"),
        package=_text(entry, "PkgName"),
        installed=_text(entry, "InstalledVersion"),
        fixed=_text(entry, "FixedVersion"),
        status=_text(entry, "Status"),
        purl=_text(_table(entry, "PkgIdentifier"), "PURL"),
        path=_path(_text(entry, "PkgPath")),
        aliases=tuple(_texts(entry, "VendorIDs")),
    )


def _secret(entry: Mapping[str, Any], result: Mapping[str, Any], *, image: str) -> Secret:
    """Return where a secret is: `Match` and `Code`, which show the text around it, stay behind."""
    target = _text(result, "Target")
    line = entry.get("StartLine", 0)
    if not isinstance(line, int):
        raise _wrong("`StartLine` is not a number")
    return Secret(
        id=_text(entry, "RuleID"),
        severity=_severity(entry),
        title=_text(entry, "Title"),
        path="" if target == image else _path(target),
        line=line,
    )


def _misconfiguration(entry: Mapping[str, Any], _: Mapping[str, Any]) -> Misconfiguration | None:
    if _text(entry, "Status") != _FAILED:
        return None
    return Misconfiguration(
        id=_text(entry, "ID"),
        severity=_severity(entry),
        title=_text(entry, "Title"),
        message=_text(entry, "Message"),
        url=_text(entry, "PrimaryURL"),
    )


def _license(entry: Mapping[str, Any], _: Mapping[str, Any]) -> License:
    return License(
        expression=_text(entry, "Name"),
        package=_text(entry, "PkgName"),
        path=_path(_text(entry, "FilePath")),
    )


def _severity(entry: Mapping[str, Any]) -> Severity:
    text = _text(entry, "Severity") or "UNKNOWN"
    if text not in RANK:
        raise _wrong(f"a severity {quoted(text)} that this modelpack does not know")
    return cast("Severity", text)


def _path(text: str) -> str:
    return f"/{text.lstrip('/')}" if text else ""


def _table(value: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = value.get(key)
    if found is not None and not isinstance(found, dict):
        raise _wrong(f"`{key}` is not an object")
    return found or {}


def _tables(value: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    return list(_array(value, key, dict))


def _texts(value: Mapping[str, Any], key: str) -> list[str]:
    return list(_array(value, key, str))


def _array(value: Mapping[str, Any], key: str, kind: type[T]) -> Iterator[T]:
    found = value.get(key)
    if found is not None and not isinstance(found, list):
        raise _wrong(f"`{key}` is not a list")
    for item in found or ():
        if not isinstance(item, kind):
            raise _wrong(f"`{key}` holds something of another type")
        yield item


def _text(value: Mapping[str, Any], key: str) -> str:
    found = value.get(key)
    if found is not None and not isinstance(found, str):
        raise _wrong(f"`{key}` is not a text")
    return found or ""


def _wrong(reason: str) -> Unavailable:
    return Unavailable(
        f"the report of Trivy cannot be understood: {reason}",
        hint="use Trivy 0.65 or newer; this modelpack is tested with 0.74",
    )
