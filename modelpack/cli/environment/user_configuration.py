"""The user's configuration file: mirrors, indexes, registries, bases, scans of one machine."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from modelpack import reference
from modelpack.errors import Finding, InputError
from modelpack.inputs.base_image import allowed
from modelpack.spec.decoding import load
from modelpack.spec.problems import similar
from modelpack.web.urls import is_web

_ARCHIVES = ("debian", "debian-security", "snapshot")
_SCAN = ("database", "repository", "java-repository")
_NO_URL = "not a http or https URL"

Problem = tuple[str, str, str]
"key below the table, message, hint"


def parse(data: bytes, *, filename: str) -> Mapping[str, Mapping[str, object]]:
    """Return the tables that `data` holds, or raise InputError with every problem.

    `[mirrors]` maps an archive of Debian to one or more URLs, `[indexes]` a name that a
    modelpack.toml uses to a URL. `[registries]` lists `insecure` hosts, and under `mirrors` where
    the repositories of another host are. `[bases]` lists under `allow` all that may be a base.
    `[scan]` has the folder of a vulnerability `database`, or the `repository` it comes from
    (and `java-repository`).
    """
    document = load(data, filename=filename)
    findings = []
    for table, content in document.items():
        if table not in _TABLES:
            known = ", ".join(f"`{name}`" for name in _TABLES)
            problems: Iterator[Problem] = iter(
                [("", "unknown table", similar(table, tuple(_TABLES)) or f"known: {known}")]
            )
        elif not isinstance(content, Mapping):
            problems = iter([("", "expected a table", f"write `[{table}]`")])
        else:
            problems = _TABLES[table](content)
        findings += [
            Finding(message=message, at=f"{filename}: {table}{key and f'.{key}'}", hint=hint)
            for key, message, hint in problems
        ]
    if findings:
        raise InputError(*findings)
    return document


def _mirrors(table: Mapping[str, Any]) -> Iterator[Problem]:
    for key, value in table.items():
        if key not in _ARCHIVES:
            yield key, "unknown archive", similar(key, _ARCHIVES)
        urls = value if isinstance(value, list) else [value]
        if not urls or not all(isinstance(url, str) and is_web(url) for url in urls):
            yield key, _NO_URL, ""


def _indexes(table: Mapping[str, Any]) -> Iterator[Problem]:
    for key, value in table.items():
        if not isinstance(value, str) or not is_web(value):
            yield key, _NO_URL, ""


def _registries(table: Mapping[str, Any]) -> Iterator[Problem]:
    for key in table.keys() - {"insecure", "mirrors"}:
        yield key, "unknown key", similar(key, ("insecure", "mirrors"))
    insecure, mirrors = table.get("insecure", []), table.get("mirrors", {})
    if not isinstance(insecure, list) or not all(map(_is_host, insecure)):
        yield "insecure", "expected a list of hosts", 'write it like `["registry.lan:5000"]`'
    if not isinstance(mirrors, Mapping):
        yield "mirrors", "expected a table", 'write it like `{ "docker.io" = "mirror.lan/hub" }`'
        return
    for host, place in mirrors.items():
        if not _is_host(host) or not _is_place(place):
            yield f"mirrors.{host}", "expected a host and where its repositories are", ""


def _bases(table: Mapping[str, Any]) -> Iterator[Problem]:
    for key in table.keys() - {"allow"}:
        yield key, "unknown key", similar(key, ("allow",))
    patterns = table.get("allow", [])
    if not isinstance(patterns, list):
        yield "allow", "expected a list", 'write it like `["docker.io/library/python"]`'
        return
    for number, pattern in enumerate(patterns):
        if complaint := allowed.complaint(pattern):
            yield f"allow[{number}]", complaint, "such as `docker.io/library/python` or `ghcr.io/*`"


def _scan(table: Mapping[str, Any]) -> Iterator[Problem]:
    for key, value in table.items():
        if key not in _SCAN:
            yield key, "unknown key", similar(key, _SCAN)
        elif not isinstance(value, str) or not value:
            yield key, "expected a text", ""


def _is_host(text: object) -> bool:
    return _is_place(text) and "/" not in str(text)


def _is_place(text: object) -> bool:
    try:
        return isinstance(text, str) and reference.registry(f"{text}/a/b").name == f"{text}/a/b"
    except InputError:
        return False


_TABLES: Mapping[str, Callable[[Mapping[str, Any]], Iterator[Problem]]] = {
    "mirrors": _mirrors, "indexes": _indexes, "registries": _registries, "bases": _bases,
    "scan": _scan,
}  # fmt: skip
