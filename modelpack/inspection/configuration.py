"""The image configuration of anybody, read leniently: what is not as specified is reported.

Source: OCI image-spec, config.md; `Healthcheck` is Docker's extension.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from modelpack.errors import InputError
from modelpack.inputs.quoting import quoted
from modelpack.inspection.json_document import parse_object
from modelpack.inspection.value import NOTHING, RunClaim
from modelpack.oci.layer import CONFIGS

_TOP_KEYS = ("architecture", "os", "variant", "created", "config", "rootfs", "history")
_RUN_KEYS = (
    "User", "Entrypoint", "Cmd", "WorkingDir", "Env", "ExposedPorts", "Volumes", "Healthcheck",
    "StopSignal", "Labels",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One entry of the history."""

    created_by: str
    empty_layer: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """What the configuration says; nothing where it does not."""

    is_image: bool = False
    "whether it is the configuration of a container image, and legible"
    platform: str = ""
    created: str = ""
    labels: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    run: RunClaim = field(default_factory=RunClaim)
    raw: Mapping[str, Any] = field(default_factory=dict)
    "the `config` member as it stands"
    diff_ids: tuple[str, ...] = ()
    history: tuple[Step, ...] = ()
    findings: tuple[str, ...] = ()


def is_for(stated: str, platform: str) -> bool:
    """Tell whether `stated`, which may have a variant (`linux/arm64/v8`), is `platform`."""
    return f"{stated}/".startswith(f"{platform}/")


def parse(data: bytes, media_type: str) -> Configuration:
    """Return what the configuration `data` says; never raises."""
    if media_type not in CONFIGS:
        return Configuration()
    try:
        value = parse_object(data, at="configuration")
    except InputError as error:
        return Configuration(findings=(f"the configuration is {error.findings[0].message}",))
    reader = _Reader()
    reader.other_case(value, _TOP_KEYS)
    run = reader.table(value, "config")
    reader.other_case(run, _RUN_KEYS)
    rootfs = reader.table(value, "rootfs")
    parts = [reader.text(value, key) for key in ("os", "architecture", "variant")]
    return Configuration(
        is_image=True,
        platform="/".join(part for part in parts if part),
        created=reader.text(value, "created"),
        labels=dict(sorted(reader.texts_by_key(run, "Labels").items())),
        run=_run(reader, run),
        raw=run,
        diff_ids=reader.texts(rootfs, "diff_ids"),
        history=tuple(_history(reader, value)),
        findings=tuple(reader.findings),
    )


def _run(reader: "_Reader", run: Mapping[str, Any]) -> RunClaim:
    return RunClaim(
        user=reader.text(run, "User"),
        entrypoint=reader.texts(run, "Entrypoint"),
        command=reader.texts(run, "Cmd"),
        workdir=reader.text(run, "WorkingDir"),
        env=reader.texts(run, "Env"),
        ports=tuple(sorted(reader.table(run, "ExposedPorts"))),
        volumes=tuple(sorted(reader.table(run, "Volumes"))),
        healthcheck=reader.texts(reader.table(run, "Healthcheck"), "Test"),
        stop_signal=reader.text(run, "StopSignal"),
    )


def _history(reader: "_Reader", value: Mapping[str, Any]) -> Iterable[Step]:
    for item in reader.array(value, "history"):
        if not isinstance(item, dict):
            reader.wrong("history")
            return
        yield Step(
            created_by=reader.text(item, "created_by"),
            empty_layer=item.get("empty_layer") is True,
        )


class _Reader:
    """Takes members of the type they must have; notes the others once and leaves them out."""

    def __init__(self) -> None:
        self.findings: list[str] = []

    def wrong(self, key: str) -> None:
        sentence = f"`{key}` in the configuration is not of the type that it must have"
        if sentence not in self.findings:
            self.findings.append(sentence)

    def other_case(self, value: Mapping[str, Any], known: tuple[str, ...]) -> None:
        """Note keys that engines, which ignore case, may take for known ones."""
        lower = {key.lower(): key for key in known}
        for key in value:
            if lower.get(key.lower(), key) != key:
                self.findings.append(
                    f"the configuration has a key {quoted(key)}, which an engine may take for "
                    f"`{lower[key.lower()]}`"
                )

    def text(self, value: Mapping[str, Any], key: str) -> str:
        found = value.get(key)
        if isinstance(found, str):
            return found
        if found is not None:
            self.wrong(key)
        return ""

    def table(self, value: Mapping[str, Any], key: str) -> Mapping[str, Any]:
        found = value.get(key)
        if isinstance(found, dict):
            return found
        if found is not None:
            self.wrong(key)
        return {}

    def array(self, value: Mapping[str, Any], key: str) -> list[Any]:
        found = value.get(key)
        if isinstance(found, list):
            return found
        if found is not None:
            self.wrong(key)
        return []

    def texts(self, value: Mapping[str, Any], key: str) -> tuple[str, ...]:
        found = self.array(value, key)
        if all(isinstance(item, str) for item in found):
            return tuple(found)
        self.wrong(key)
        return ()

    def texts_by_key(self, value: Mapping[str, Any], key: str) -> dict[str, str]:
        found = self.table(value, key)
        if not all(isinstance(item, str) for item in found.values()):
            self.wrong(key)
        return {name: item for name, item in found.items() if isinstance(item, str)}
