"""What of a base's configuration an image keeps: an allow-list, and a word about the rest.

Source: OCI image-spec, config.md; reproducible images: what a base says about itself is not ours.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from modelpack import digest as digests
from modelpack.digest import Digest
from modelpack.errors import Finding, InputError, Refused
from modelpack.oci.manifest import parse_object, printable
from modelpack.platform import Platform

LIMIT = 8 << 20
"bytes"
_COUNT_LIMIT = 1000
_VALUE_LIMIT = 64 << 10
_LAST_TIME = 253_402_300_799
"9999-12-31T23:59:59Z"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_KEPT = re.compile(
    r"PATH|LANG|LANGUAGE|LC_[A-Z]+|TZ|LD_LIBRARY_PATH|SSL_CERT_FILE|SSL_CERT_DIR|NVIDIA_REQUIRE_\w+"
    r"|CUDA_VERSION"
)
"""how programs find one another, their language, what NVIDIA's runtime asks of the driver, and
which CUDA this is: that is for our own checks, and `run_configuration` drops it"""
_OF_NO_USE = re.compile(
    # What the build of official images leaves, and what belongs to the machine or to us.
    r"GPG_KEY|PYTHON_\w+|PYTHONDONTWRITEBYTECODE|PYTHONUNBUFFERED|PYTHONIOENCODING|DEBIAN_FRONTEND"
    r"|HOME|HOSTNAME|USER|LOGNAME|TERM|SHELL|PWD|container|NVARCH|NV_\w+|LIBRARY_PATH"
    r"|NVIDIA_DRIVER_CAPABILITIES|NVIDIA_PRODUCT_NAME|NVIDIA_\w+_VERSION"
)
_ALL_GPUS = "NVIDIA_VISIBLE_DEVICES"
_DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """The parts of an image configuration that matter to a base."""

    platform: Platform
    created: int
    "seconds since 1970; 0 where it does not say"
    diff_ids: tuple[Digest, ...]
    environment: Mapping[str, str]
    "the variables that are kept"
    findings: tuple[Finding, ...]
    "what is dropped, where a person would care"

    @property
    def search(self) -> tuple[str, ...]:
        """The folders of PATH."""
        folders = self.environment.get("PATH", _DEFAULT_PATH).split(":")
        return tuple(dict.fromkeys(folder for folder in folders if folder.startswith("/")))


def parse(data: bytes, *, name: str) -> Configuration:
    """Return what the configuration of the base called `name` says.

    Raises InputError for one that is damaged, and Refused for one with ONBUILD: its author counts
    on a build that would carry that out.
    """
    value = parse_object(data, at=name)
    run = _table(value, "config", name)
    if triggers := run.get("OnBuild"):
        raise Refused(
            Finding(
                message=f"`{name}` has ONBUILD instructions, which nothing here carries out: "
                f"{printable(str(triggers))}",
                at="runtime.base", hint="choose the image that it was made from",
                rule="base.onbuild",
            )
        )  # fmt: skip
    variables = dict(_variables(run, name))
    return Configuration(
        platform=Platform(_text(value, "os", name), _text(value, "architecture", name)),
        created=_time(value.get("created")),
        diff_ids=tuple(_diff_ids(value, name)),
        environment={k: v for k, v in sorted(variables.items()) if _KEPT.fullmatch(k)},
        findings=(*_dropped_variables(variables, name), *_dropped_settings(run, name)),
    )


def _dropped_variables(variables: Mapping[str, str], name: str) -> Iterator[Finding]:
    if _ALL_GPUS in variables:
        yield _warning(
            f"`{name}` sets `{_ALL_GPUS}`, which takes GPUs that nobody gave: it is dropped",
            "whoever starts the container gives it GPUs", "base.environment",
        )  # fmt: skip
    others = [
        key
        for key in sorted(variables)
        if key != _ALL_GPUS and not _KEPT.fullmatch(key) and not _OF_NO_USE.fullmatch(key)
    ]
    if others:
        yield _warning(
            f"variables of `{name}` that are dropped: {_listed(others)}",
            "set what you need in `[runtime] environment`", "base.environment",
        )  # fmt: skip


def _dropped_settings(run: Mapping[str, Any], name: str) -> Iterator[Finding]:
    if volumes := _table(run, "Volumes", name):
        yield _warning(
            f"volumes of `{name}` that are dropped: {_listed(sorted(volumes))}",
            "mount what is to be written when the container is started", "base.volume",
        )  # fmt: skip
    if entry := run.get("Entrypoint"):
        words = entry if isinstance(entry, list) else [entry]
        yield _warning(
            f"the entry point of `{name}` is not run: `{printable(' '.join(map(str, words)))}`",
            "the guard starts `code.command` itself; do what it did in the code", "base.entrypoint",
        )  # fmt: skip


def _warning(message: str, hint: str, rule: str) -> Finding:
    return Finding(message=message, at="runtime.base", hint=hint, rule=rule, severity="warning")


def _listed(names: Sequence[object], most: int = 8) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(f"`{printable(str(name))}`" for name in names[:most]) + more


def _variables(run: Mapping[str, Any], name: str) -> Iterator[tuple[str, str]]:
    items = run.get("Env") or []
    if not isinstance(items, list) or len(items) > _COUNT_LIMIT:
        raise InputError("`config.Env` is not a list of variables", at=name)
    for item in items:
        key, equals, value = item.partition("=") if isinstance(item, str) else ("", "", "")
        odd = len(value) > _VALUE_LIMIT or not value.isprintable()
        if not equals or not _NAME.fullmatch(key) or odd:
            if _KEPT.fullmatch(key):
                raise InputError(f"`config.Env` has a strange `{key}`", at=name)
            continue
        yield key, value


def _diff_ids(value: Mapping[str, Any], name: str) -> Iterator[Digest]:
    items = _table(value, "rootfs", name).get("diff_ids")
    if not isinstance(items, list) or len(items) > _COUNT_LIMIT:
        raise InputError("`rootfs.diff_ids` is not a list of digests", at=name)
    for item in items:
        yield digests.parse(printable(item) if isinstance(item, str) else "", at=name)


def _time(value: object) -> int:
    try:
        seconds = int(datetime.fromisoformat(str(value)).timestamp())
    except (ValueError, OverflowError, OSError):
        return 0
    return seconds if 0 <= seconds <= _LAST_TIME else 0


def _table(value: Mapping[str, Any], key: str, name: str) -> Mapping[str, Any]:
    found = value.get(key) or {}
    if not isinstance(found, dict):
        raise InputError(f"`{key}` is not an object", at=name)
    return found


def _text(value: Mapping[str, Any], key: str, name: str) -> str:
    found = value.get(key)
    if not isinstance(found, str):
        raise InputError(f"`{key}` is not a text", at=name)
    return printable(found)
