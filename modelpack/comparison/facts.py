"""The documents of an image, ours or anybody's, to the Facts that it is compared by: pure."""

from collections.abc import Iterator, Mapping, Sequence

from modelpack import canonical_json
from modelpack.comparison.value import Content, Facts, LayerFact, Package
from modelpack.errors import InputError
from modelpack.inspection import configuration, description, parts
from modelpack.inspection.description import Description
from modelpack.inspection.documents import Documents
from modelpack.inspection.json_document import parse_object
from modelpack.lock import ImageBase, Lock, PlatformLock, WeightsLock
from modelpack.source import Source

_DEPTH = 12
"of settings that are told apart; what lies deeper is one text"
_NO_META = "it does not describe its packages, weights and code: modelpack did not make it"


def facts(documents: Documents) -> Facts:
    """Return what can be known of an image without its layers, but for the small last one."""
    config = documents.manifest.config
    settings = configuration.parse(documents.config_bytes, config.media_type if config else "")
    told, unknown = _told(documents)
    platform = parts.platform_lock(told.lock, settings.platform)
    written, history = _configuration(documents)
    weights = told.weight_sets
    return Facts(
        digest=documents.descriptor.digest,
        config_digest=config.digest if config else "",
        config_size=config.size if config else 0,
        platform=settings.platform,
        platforms={one.platform: one.digest for one in documents.platforms},
        configuration=written,
        history=history,
        settings=flat(canonical_json.plain(told.spec)) if told.spec else {},
        build=dict(_build(told.lock, platform, told.source)),
        packages={
            f"{one.type} {one.name}": Package(version=one.version, sha256=one.sha256)
            for one in parts.packages(platform)
        },
        weights={
            one.path: Content(size=one.size, sha256=one.sha256)
            for one in parts.weight_files(weights)
        },
        tensors=dict(_tensors(weights)),
        parameters=sum(one.parameters for one in parts.weight_sets(told)),
        code={
            one.path: Content(
                size=one.size, sha256=one.sha256, executable=one.executable, link=one.link
            )
            for one in (told.source.files if told.source else ())
        },
        layers=tuple(
            LayerFact(
                kind=one.kind, content=one.content, digest=one.digest,
                diff_id=_read_diff_id(documents, one.index) or one.diff_id, size=one.size,
            )
            for one in parts.layers(documents, settings, told, platform)
        ),
        unknown=unknown,
    )  # fmt: skip


def flat(value: object, key: str = "", depth: int = 0) -> dict[str, str]:
    """Return a JSON value as texts by dotted path; lists of plain values stay whole."""
    if isinstance(value, Mapping) and depth < _DEPTH:
        return {
            path: text
            for name in sorted(value)
            for path, text in flat(value[name], f"{key}.{name}" if key else name, depth + 1).items()
        }
    if isinstance(value, list) and depth < _DEPTH and any(
        isinstance(item, Mapping | list) for item in value
    ):  # fmt: skip
        return {
            path: text
            for number, item in enumerate(value)
            for path, text in flat(item, f"{key}[{_name(item, number)}]", depth + 1).items()
        }
    return {key: value if isinstance(value, str) else canonical_json.dumps(value).decode()}


def _name(item: object, number: int) -> str:
    """Return how an item of a list is called: by its name, so that another order moves nothing."""
    name = item.get("name") if isinstance(item, Mapping) else None
    return name if isinstance(name, str) and name else str(number)


def _read_diff_id(documents: Documents, index: int) -> str:
    """Return the diff_id of the layer that was read, which the configuration may misname."""
    meta = documents.meta
    return meta.diff_id if meta is not None and meta.position == index else ""


def _told(documents: Documents) -> tuple[Description, tuple[str, ...]]:
    if documents.nameplates or documents.trouble:
        told = description.parse_nameplates(documents.nameplates, documents.trouble)
        return told, told.unknown
    meta = documents.meta
    if meta is None:
        return Description(), (_NO_META,)
    if meta.trouble:
        return Description(), (f"its last layer cannot be read: {meta.trouble}",)
    told = description.parse(meta.files)
    return told, told.unknown


def _configuration(documents: Documents) -> tuple[dict[str, str], dict[str, str]]:
    """Return settings and history by the names that they have in OCI's configuration."""
    try:
        value = parse_object(documents.config_bytes, at="configuration")
    except InputError:
        value = {}
    rest = {key: item for key, item in value.items() if key not in ("rootfs", "history", "config")}
    run = value.get("config")
    run = dict(run) if isinstance(run, dict) else {}
    variables = run.pop("Env", None)
    found = {**flat(rest), **flat(run)}
    found |= _variables(variables)
    found |= {f"annotations.{k}": v for k, v in documents.manifest.annotations.items()}
    steps = value.get("history")
    steps = [
        {key: item for key, item in step.items() if key != "created"}
        for step in (steps if isinstance(steps, list) else [])
        if isinstance(step, dict)
    ]
    return found, flat(steps, "history")


def _variables(value: object) -> dict[str, str]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        return {} if value is None else {"Env": canonical_json.dumps(value).decode()}
    pairs = (item.partition("=") for item in value)
    return {f"Env.{name}": text for name, _, text in pairs}


def _build(
    lock: Lock | None, platform: PlatformLock | None, source: Source | None
) -> Iterator[tuple[str, str]]:
    if lock is not None:
        compressor = lock.compressor
        yield "format", str(lock.format)
        yield (
            "compressor",
            (
                f"{compressor.name} by {compressor.package} {compressor.version}, level "
                f"{compressor.level}, members of {compressor.member} bytes"
            ),
        )
        yield "guard", lock.runtime.guard
        yield "probe", lock.runtime.probe
        if lock.runtime.signature:
            yield "signature check", lock.runtime.signature
    if platform is not None:
        python = platform.interpreter
        yield "interpreter", f"{python.version} at {python.path}, glibc {python.glibc}"
        yield "bytecode", platform.bytecode
        base = platform.base
        if isinstance(base, ImageBase):
            yield "base", f"{base.reference}@{base.digest}"
        else:
            yield "base", base.distribution
            for release in base.releases:
                yield f"base.{release.archive} {release.suite}", release.snapshot
    if source is not None:
        yield "revision", source.revision
        yield "dirty", {True: "yes", False: "no", None: "not known"}[source.dirty]


def _tensors(sets: Sequence[WeightsLock]) -> Iterator[tuple[str, str]]:
    """Yield dtype and shape of every tensor; which shard holds it does not matter."""
    for weights in sets:
        for file in weights.files:
            for tensor in file.tensors:
                dtype, _, rest = tensor.partition(" ")
                shape, _, name = rest.partition(" ")
                yield f"{weights.name}: {name}", f"{dtype} {shape}"
