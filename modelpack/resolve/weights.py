"""Weight files to their digests, gated: nothing that can carry code, no damaged header."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from modelpack import spec as specs
from modelpack.errors import Finding, InputError, ModelpackError, Refused, joined
from modelpack.inputs import weights as weight_inputs
from modelpack.inputs.machine import Machine
from modelpack.inputs.weights import SourceFile
from modelpack.lock import WeightFile, WeightsLock, WeightsSource
from modelpack.oci.layout import Layout
from modelpack.plan import is_own_layer
from modelpack.progress import Advance
from modelpack.spec import Spec

if TYPE_CHECKING:
    from modelpack.checks.model_files.gate import ModelFiles

_TENSORS = (".safetensors", ".gguf", ".onnx", ".onnx_data", ".onnx.data", ".npy", ".npz", ".ubj")
"names of files that hold numbers; all others are searched for secrets"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gated:
    """The files of a `[weights]`, and the warnings of the gates that they passed."""

    weights: specs.Weights
    files: tuple[SourceFile, ...]
    findings: tuple[Finding, ...]
    looked: "ModelFiles | None" = None
    "what the files say of themselves; None: they were not looked at"
    source: WeightsSource | None = None
    "where they were fetched from; None: a folder"


def resolve_weights(
    spec: Spec, root: Path, *, machine: Machine, into: Layout | None
) -> tuple[tuple[WeightsLock, ...], tuple[Finding, ...]]:
    """Return every `[weights]` by content and the warnings met; raise with all that is wrong."""
    found = (*gated(spec, root), *fetched(spec, root, machine=machine))
    return lock_weights(in_order(spec, found), machine=machine, into=into)


def in_order(spec: Spec, found: Sequence[Gated]) -> tuple[Gated, ...]:
    """Return `found` in the order of the spec."""
    order = [weights.name for weights in spec.weights]
    return tuple(sorted(found, key=lambda item: order.index(item.weights.name)))


def lock_weights(
    found: Sequence[Gated], *, machine: Machine, into: Layout | None
) -> tuple[tuple[WeightsLock, ...], tuple[Finding, ...]]:
    """Return what passed the gates by content, each file read once, and the warnings met."""
    findings = [f for group in found for f in located(group.weights, group.findings)]
    total = sum(file.status.st_size for group in found for file in group.files)
    with machine.progress.task("hashing weights", total) as advance:
        locks = tuple(_lock(group, machine, into, advance) for group in found)
    return locks, tuple(findings)


def gate(spec: Spec, root: Path, *, required: bool = True) -> tuple[Finding, ...]:
    """Return the warnings of the gates for all weights; raise with everything that is wrong.

    Unless `required`, weights that are not on this machine are a warning. Sources are not asked.
    """
    found = gated(spec, root, required=required)
    return (
        *(f for group in found for f in located(group.weights, group.findings)),
        *(_not_asked(weights) for weights in spec.weights if weights.source and required),
    )


def gated(spec: Spec, root: Path, *, required: bool = True) -> tuple[Gated, ...]:
    """Return the files of every `[weights]` with a folder, with the warnings of the gates.

    Whole files are not read for it, so that a refusal is fast. Raises with all that is wrong.
    """

    def one(weights: specs.Weights) -> Gated:
        if not required and not (root / weights.path).exists():
            return Gated(weights=weights, files=(), findings=(_absent(weights),))
        files = find(root, weights)
        looked = look(files)
        return Gated(
            weights=weights, files=files, looked=looked, findings=check(weights, files, looked)
        )

    return _passed(one, (weights for weights in spec.weights if weights.path))


def fetched(spec: Spec, root: Path, *, machine: Machine) -> tuple[Gated, ...]:
    """Return the files of every `[weights]` with a source, fetched and gated.

    Raises as `gated` does, and Unavailable when a source cannot be asked.
    """
    if not any(weights.source for weights in spec.weights):
        return ()
    from modelpack.fetching import weights as sources  # noqa: PLC0415  the network

    def one(weights: specs.Weights) -> Gated:
        found = sources.fetch(weights, root, machine=machine)
        looked = look(found.files)
        return Gated(
            weights=weights, files=found.files, looked=looked,
            findings=check(weights, found.files, looked), source=found.source,
        )  # fmt: skip

    return _passed(one, (weights for weights in spec.weights if weights.source))


def _passed(
    one: Callable[[specs.Weights], Gated], wanted: Iterable[specs.Weights]
) -> tuple[Gated, ...]:
    """Return what `one` returns of each; raise with all that is wrong with any."""
    found: list[Gated] = []
    errors: list[ModelpackError] = []
    for weights in wanted:
        try:
            group = one(weights)
        except ModelpackError as error:
            errors.append(error)
            continue
        if any(finding.severity == "error" for finding in group.findings):
            errors.append(Refused(*located(weights, group.findings)))
        found.append(group)
    if errors:
        raise joined(errors)
    return tuple(found)


def _absent(weights: specs.Weights) -> Finding:
    return Finding(
        message=f"`{weights.path}` is not on this machine: its files were not looked at",
        at=f"weights.{weights.name}.path", rule="weights.absent", severity="warning",
    )  # fmt: skip


def _not_asked(weights: specs.Weights) -> Finding:
    return Finding(
        message=f"`{weights.source}` was not asked: its files were not looked at",
        at=f"weights.{weights.name}.source", rule="weights.absent", severity="warning",
        hint="modelpack lock",
    )  # fmt: skip


def located(weights: specs.Weights, findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Return `findings` with the files that they are about as paths below the project."""
    return tuple(
        finding if finding.at.partition(".")[0] == "weights"
        else replace(finding, at=f"{(weights.path or weights.source).rstrip('/')}/{finding.at}")
        for finding in findings
    )  # fmt: skip


def find(root: Path, weights: specs.Weights) -> tuple[SourceFile, ...]:
    """Return the weight files on this machine; raise Refused for what cannot be packed."""
    if not (root / weights.path).is_dir():
        raise InputError(
            f"there is no folder `{weights.path}`", at=f"weights.{weights.name}.path",
            hint="put the weights there, or name the folder that they are in",
        )  # fmt: skip
    files = weight_inputs.find(root, weights)
    if files.findings:
        raise Refused(*located(weights, files.findings))
    return files.files


def look(files: Sequence[SourceFile]) -> "ModelFiles":
    """Return what the files of one `[weights]` say of themselves, read from their headers."""
    from modelpack.checks.model_files import gate as model_files  # noqa: PLC0415  not for a code-only build

    return model_files.look({file.path: file.source for file in files})


def check(
    weights: specs.Weights, files: Sequence[SourceFile], looked: "ModelFiles"
) -> tuple[Finding, ...]:
    """Return what the gates say of these files: formats, headers, indexes, side files, secrets."""
    from modelpack.checks import weights as structure  # noqa: PLC0415  not for a code-only build

    sources: Mapping[str, Path] = {file.path: file.source for file in files}
    return (
        *structure.findings(sources, require=weights.require),
        *looked.findings,
        *check_each(weights, files),
    )


def check_each(weights: specs.Weights, files: Sequence[SourceFile]) -> tuple[Finding, ...]:
    """Return what the gates say of each file by itself, whatever others there are."""
    from modelpack.checks.formats import gate as formats  # noqa: PLC0415  not for a code-only build
    from modelpack.checks.formats import second_opinion  # noqa: PLC0415
    from modelpack.checks.secrets import gate as secrets  # noqa: PLC0415  not for a code-only build

    sources: Mapping[str, Path] = {file.path: file.source for file in files}
    side_files = [path for path in sources if not path.endswith(_TENSORS)]
    found = formats.findings(sources, allow_unsafe=weights.allow_unsafe)
    excepted = {one.at: sources[one.at] for one in found if one.hint.startswith(formats.ALLOWED)}
    return (
        *found,
        *second_opinion.findings(excepted, weights.allow_imports),
        *(
            finding
            for path in side_files
            for finding in secrets.findings_in_file(sources[path], at=path)
        ),
    )


def _lock(group: Gated, machine: Machine, into: Layout | None, advance: Advance) -> WeightsLock:
    weights, files = group.weights, group.files

    def measure(file: SourceFile) -> WeightFile:
        measured = weight_inputs.measure(
            file, destination=weights.destination, digests=machine.digests, into=into,
            advance=advance,
        )  # fmt: skip
        return replace(measured, tensors=tensor_lines(file, group.looked))

    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415  not for a code-only build

    with ThreadPoolExecutor(machine.threads) as pool:
        measured = tuple(pool.map(measure, files))
    small = [file for file in measured if not is_own_layer(file)]
    sources = {file.path: file.source for file in files}
    bundle = weight_inputs.bundle_layer(
        weights.destination, small, sources, digests=machine.digests
    ) if small else None  # fmt: skip
    return WeightsLock(
        name=weights.name,
        bundle=bundle.diff_id if bundle else None,
        destination=weights.destination,
        digest=weight_inputs.weights_digest(measured),
        files=measured,
        unsafe=tuple(sorted({f"{f.rule} {f.at}" for f in group.findings if _is_exception(f)})),
        source=group.source,
    )  # fmt: skip


def _is_exception(finding: Finding) -> bool:
    """Tell whether a finding was allowed by name, which labels and inspection show."""
    return finding.severity == "warning" and finding.hint.startswith("allowed by")


def tensor_lines(file: SourceFile, looked: "ModelFiles | None") -> tuple[str, ...]:
    """Return the tensors of a file as the lock writes them, where its format says them."""
    if not file.path.endswith(".safetensors"):
        return looked.tensors.get(file.path, ()) if looked else ()
    from modelpack.inputs.safetensors import read_header  # noqa: PLC0415
    from modelpack.lock import tensors as lock_tensors  # noqa: PLC0415

    header = read_header(file.source)
    return tuple(
        lock_tensors.line(tensor.dtype, tensor.shape, tensor.name) for tensor in header.tensors
    )
