"""An Inspection as text for people: a header block, tables, and what cannot be relied on."""

from collections.abc import Iterator, Mapping, Sequence

from modelpack import digest as digests
from modelpack.cli import display
from modelpack.cli.display import inspect_evidence, inspect_tensors
from modelpack.inspection.value import Inspection, OperationClaim, WeightFileClaim, WeightSetClaim
from modelpack.lock.tensors import Tensor

NOTICE = "claims, not verified"
_PACKAGES_SHOWN = 10
_LABELS_SHOWN = 20
_DATA_SHOWN = 5
_CONTENT = 160
"characters of what a foreign layer says that made it"
_ITEM = "  - "
_OURS = "dev.modelpack."
_ARTIFACTS = {"modelpack": "CNCF ModelPack", "kitops": "KitOps ModelKit"}


def report(
    inspection: Inspection,
    *,
    verbose: bool,
    tensors: Mapping[str, tuple[Tensor, ...]] | None = None,
) -> str:
    """Return the whole text; `verbose` leaves nothing out, and shows the `tensors` of files."""
    sections = [
        f"{NOTICE}: what the {'artifact' if inspection.artifact else 'image'} says about itself",
        _block(identity(inspection)),
        _sentences("DOES NOT ADD UP", inspection.findings),
        _block(origin(inspection, verbose=verbose), "MADE FROM"),
        _block(start(inspection, verbose=verbose), "STARTS"),
        _platforms(inspection),
        _layers(inspection),
        _weights(inspection),
        inspect_tensors.report(inspection, tensors or {}),
        _interface(inspection) if verbose else "",
        _packages(inspection, verbose=verbose),
        inspect_evidence.report(inspection.referrers, verbose=verbose),
        _labels(inspection, verbose=verbose),
        _sentences("CANNOT BE KNOWN", inspection.unknown),
        NOTICE,
    ]
    return "\n\n".join(section for section in sections if section)


def _block(rows: Iterator[tuple[str, str]], title: str = "") -> str:
    """Return `name  value` lines; no digest is ever cut: they are there to be copied."""
    lines = display.table([row for row in rows if row[1]], wrap=True)
    return f"{title}\n{lines}" if title and lines else lines


def _sentences(title: str, sentences: Sequence[str]) -> str:
    room = display.terminal_width() - len(_ITEM)
    lines = [
        line
        for sentence in sentences
        for line in _item(display.wrapped(display.escape(sentence), room))
    ]
    return "\n".join([title, *lines]) if lines else ""


def _item(lines: Sequence[str]) -> Iterator[str]:
    yield f"{_ITEM}{lines[0]}"
    for line in lines[1:]:
        yield f"{' ' * len(_ITEM)}{line}"


def identity(inspection: Inspection) -> Iterator[tuple[str, str]]:
    """Yield what it is: its digests, and what its author says of the model."""
    model, claims = inspection.model, inspection.claims
    artifact = inspection.artifact
    yield "artifact" if artifact else "image", inspection.digest
    if artifact is None:
        yield "image id", inspection.config_digest
    else:
        yield "of kind", f"{_ARTIFACTS[artifact.kind]} {artifact.type}".strip()
        for image in artifact.images:
            yield "view of", image
    yield "index", inspection.index
    yield "platform", inspection.platform
    yield "size", f"{display.size(inspection.size)} in {count(len(inspection.layers), 'layer')}"
    yield "created", claims.created
    yield "model", f"{model.name} {model.version}".strip()
    yield "about", model.description
    yield "license", model.license
    yield "task", model.task
    yield "kind", ", ".join(part for part in (model.architecture, model.framework) if part)
    yield "made from", model.base
    if artifact is not None:
        said = (artifact.format, artifact.parameters, artifact.precision, artifact.quantization)
        yield "format", ", ".join(part for part in said if part)
        yield "family", artifact.family if artifact.family != model.architecture else ""
        yield "authors", ", ".join((*artifact.authors, *filter(None, [artifact.vendor])))
    yield "unsafe", "; ".join(claims.unsafe)


def origin(inspection: Inspection, *, verbose: bool) -> Iterator[tuple[str, str]]:
    """Yield what it was built from."""
    source, training, claims = inspection.source, inspection.training, inspection.claims
    state = {True: " + changes", False: "", None: ""}[source.dirty]
    yield "revision", source.revision + state if source.revision else ""
    files = "" if source.files is None else f", {count(source.files, 'file')}"
    yield "source", source.digest + files if source.digest else ""
    yield "trained by", training.run
    yield "trained with", training.source
    shown = training.data if verbose else training.data[:_DATA_SHOWN]
    for data in shown:
        parts = (data.name, data.version, data.uri, data.digest)
        yield "trained on", ", ".join(part for part in parts if part)
    if len(training.data) > len(shown):
        more = len(training.data) - len(shown)
        yield "", f"and {more} more (-v shows them)"
    yield "base", " ".join(part for part in (claims.base_name, claims.base_digest) if part)
    yield "weights", claims.weights
    yield "mounted", claims.weights_image
    if interface := inspection.interface:
        yield "interface", f"{interface.digest} {interface.title}".strip()
        yield "answers", ", ".join(interface.operations if verbose else interface.operations[:8])
        yield "request", ", ".join(interface.input)
        yield "response", ", ".join(interface.output)
    yield "lock", claims.lock
    yield "plan", claims.plan


def start(inspection: Inspection, *, verbose: bool) -> Iterator[tuple[str, str]]:
    """Yield how its container starts."""
    config = inspection.config
    yield "user", config.user
    yield "entry", _words(config.entrypoint)
    yield "command", _words(config.command)
    yield "workdir", config.workdir
    yield "ports", ", ".join(config.ports)
    yield "volumes", ", ".join(config.volumes)
    yield "health", _words(config.healthcheck)
    yield "stop", config.stop_signal
    if verbose:
        for item in config.env:
            yield "env", item
    elif config.env:
        yield "env", f"{count(len(config.env), 'variable')} (-v shows them)"


def _words(words: Sequence[str]) -> str:
    """Return a command line in which words with white space are quoted."""
    return " ".join(repr(word) if not word or word.split() != [word] else word for word in words)


def _platforms(inspection: Inspection) -> str:
    rows = [
        ("*" if image.digest == inspection.digest else "", image.platform, image.digest)
        for image in inspection.platforms
    ]
    return f"PLATFORMS (* is shown)\n{display.table(rows, width=0)}" if rows else ""


def _layers(inspection: Inspection) -> str:
    rows = [
        (
            str(layer.index + 1),
            layer.kind,
            display.size(layer.size),
            _short(layer.digest),
            layer.content[:_CONTENT],
        )
        for layer in inspection.layers
    ]
    head = ("#", "KIND", "SIZE", "DIGEST", "CONTENT")
    return f"LAYERS\n{display.table(rows, head=head, right=(0, 2))}" if rows else ""


def _weights(inspection: Inspection) -> str:
    how = ", from an image of their own that is mounted there"
    if inspection.claims.role == "weights":
        how = ", to be mounted there"
    return "\n\n".join(
        _weight_set(item, inspection.weights, how if item.mode == "mount" else "")
        for item in inspection.weight_sets
    )


def _weight_set(item: WeightSetClaim, files: Sequence[WeightFileClaim], how: str) -> str:
    folder = item.destination.rstrip("/") + "/"
    rows = [
        (
            file.path.removeprefix(folder),
            display.size(file.size),
            "" if file.tensors is None else str(file.tensors),
            "" if file.parameters is None else display.number(file.parameters),
            file.sha256[:12],
            dtypes(file.dtypes),
        )
        for file in files
        if file.set == item.name
    ]
    total = (
        count(item.files, "file"),
        display.size(item.size),
        str(item.tensors) if item.tensors else "",
        display.number(item.parameters) if item.parameters else "",
        "",
        dtypes(item.dtypes),
    )
    head = ("FILE", "SIZE", "TENSORS", "PARAMS", "SHA256", "DTYPES")
    origin = f", from {item.source}" if item.source else ""
    title = display.escape(f"WEIGHTS {item.name} at {folder}{how}{origin}")
    return f"{title}\n{display.table([*rows, total], head=head, right=(1, 2, 3))}"


def dtypes(counts: Mapping[str, int]) -> str:
    """Return one dtype by name, several with their numbers of parameters."""
    if len(counts) == 1:
        return next(iter(counts))
    return ", ".join(f"{dtype} {display.number(count)}" for dtype, count in counts.items())


def _interface(inspection: Inspection) -> str:
    """Return what each operation takes and answers, field by field."""
    details = inspection.interface.details if inspection.interface else ()
    rows = [
        (name if number == 0 else "", *row)
        for one in details
        for number, (name, *row) in enumerate(_fields(one))
    ]
    head = ("OPERATION", "IN", "FIELD", "OF", "BOUNDS")
    return f"INTERFACE\n{display.table(rows, head=head, width=0)}" if rows else ""


def _fields(one: OperationClaim) -> Iterator[tuple[str, str, str, str, str]]:
    answers = ((f"answer {given.status}".strip(), given.fields) for given in one.answers)
    places = [("parameters", one.parameters), ("request", one.request), *answers]
    for place, fields in places:
        for field in fields:
            name = (field.name or "the whole") + ("" if field.required else "?")
            yield one.name or "a request", place, name, field.type, field.bounds
    if not any(fields for _, fields in places):
        yield one.name, "", "", "", ""


def _packages(inspection: Inspection, *, verbose: bool) -> str:
    found = inspection.packages
    if not found:
        return ""
    sections = []
    for kind, title in (("deb", "DEBIAN PACKAGES"), ("wheel", "PYTHON PACKAGES")):
        chosen = [package for package in found if package.type == kind]
        shown = chosen if verbose else chosen[:_PACKAGES_SHOWN]
        rows = [(package.name, package.version) for package in shown]
        if len(chosen) > len(shown):
            rows.append((f"and {len(chosen) - len(shown)} more (-v shows them)", ""))
        if rows:
            sections.append(f"{title} ({len(chosen)})\n{display.table(rows)}")
    return "\n\n".join(sections)


def _labels(inspection: Inspection, *, verbose: bool) -> str:
    """Return the labels: all of them when asked, else those of images that are not ours."""
    labels = inspection.claims.labels
    ours = any(key.startswith(_OURS) for key in labels)
    if not labels or (ours and not verbose):
        return ""
    rows = list(labels.items())
    shown = rows if verbose else rows[:_LABELS_SHOWN]
    if len(rows) > len(shown):
        shown = [*shown, (f"and {len(rows) - len(shown)} more (-v shows them)", "")]
    return f"LABELS\n{display.table(shown)}"


def _short(digest: str) -> str:
    return digests.short(digests.Digest(digest))


def count(number: int, noun: str) -> str:
    """Return `1 layer`, `3 layers`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
