"""`modelpack rebuild`: whether an image is what its sources give."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from modelpack.cli.frame.output import Output, with_output

if TYPE_CHECKING:
    from collections.abc import Sequence

    from modelpack.comparison.verdict import Verdict
    from modelpack.reference import Reference, Registry

_NOT_REPRODUCED = 1


@click.command("rebuild")
@click.argument("image", default=".", metavar="[IMAGE]")
@click.option(
    "--source", type=click.Path(path_type=Path, file_okay=False), metavar="DIR",
    help="Folder with the recorded code, such as a checkout of the recorded commit (default: the "
    "project, where IMAGE is one).",
)  # fmt: skip
@click.option(
    "--builder", default="embedded", show_default=True, metavar="NAME",
    help="What installs the dependencies, as for `modelpack build`.",
)  # fmt: skip
@click.option(
    "--platform", default="", metavar="OS/ARCH", help="Only this image of an index: linux/arm64."
)
@click.option("--offline", is_flag=True, help="Use nothing but what is on this machine.")
@click.option(
    "--attach/--no-attach", default=None,
    help="Keep the verdict with the image in its layout or registry (default: in a project's "
    "layout).",
)  # fmt: skip
@with_output
def command(
    *,
    output: Output,
    image: str,
    source: Path | None,
    builder: str,
    platform: str,
    offline: bool,
    attach: bool | None,
) -> None:
    """Make an image again from what it says of itself and its code, and compare every byte.

    Ends with 0 when the same image came out, with 1 when not, naming the first layer, file and
    byte that differ, and with 3 when it could not be made, such as without a pinned package.
    The code in DIR must be the recorded one, file by file. Weights are hashed where DIR has them,
    else taken by their digests. What lies in DIR/dist is left as it is.
    """
    from modelpack import rebuilding, reference  # noqa: PLC0415  not for `--help`
    from modelpack.cli import environment  # noqa: PLC0415
    from modelpack.cli.frame.place import open_machine  # noqa: PLC0415
    from modelpack.comparison.recorded import read_code, recorded  # noqa: PLC0415
    from modelpack.comparison.verdict import statement  # noqa: PLC0415
    from modelpack.digest import of as digest_of  # noqa: PLC0415
    from modelpack.inspection.reading import read_image  # noqa: PLC0415
    from modelpack.inspection.vouching import with_referrers  # noqa: PLC0415
    from modelpack.stores import opening  # noqa: PLC0415  not for `--help`
    from modelpack.trust.made_here import MadeHere  # noqa: PLC0415

    name = reference.parse(image, at="IMAGE")
    root = _source(name, source)
    attach = _attaches(name, attach)
    machine = open_machine(output, offline=offline)
    options = rebuilding.Options(
        builder=builder, keeps_manifests=_keeps_manifests(name), clock=environment.now
    )
    verdicts = []
    with opening.opened(
        name, engines=environment.engine_for, registries=environment.registries
    ) as (store, top):
        first = read_image(store, top, platform=platform)
        others = [] if platform else [one.platform for one in first.platforms]
        for documents in [read_image(store, top, platform=other) for other in others] or [first]:
            one = recorded(with_referrers(store, documents))
            code = read_code(one, root, environment=machine.environment)
            verdicts.append(
                rebuilding.rebuild(one, code, store, machine=machine, options=options)
            )  # fmt: skip
    MadeHere(machine.cache).keep(digest_of(statement(one).as_bytes()) for one in verdicts)
    if attach:
        _attach(name, verdicts, output)
    reproduced = all(verdict.reproduced for verdict in verdicts)
    output.result(
        text="\n\n".join(map(_text, verdicts)),
        document={"reproduced": reproduced, "images": [_document(one) for one in verdicts]},
    )
    click.get_current_context().exit(0 if reproduced else _NOT_REPRODUCED)


def _source(name: "Reference", source: Path | None) -> Path:
    from modelpack import reference  # noqa: PLC0415
    from modelpack.errors import InputError  # noqa: PLC0415

    if source is not None:
        return source
    if isinstance(name, reference.Project):
        return Path(name.path)
    raise InputError("where is the code that the image was built from?", at="--source",
                     hint="check out the commit that `modelpack inspect` shows, and name its "
                     "folder with `--source`")  # fmt: skip


def _attaches(name: "Reference", wanted: bool | None) -> bool:
    from modelpack import reference  # noqa: PLC0415

    kept = reference.Project | reference.Layout | reference.Registry
    if wanted and not isinstance(name, kept):
        raise click.UsageError("`--attach` is for an image in a layout or a registry")
    return isinstance(name, reference.Project) if wanted is None else wanted


def _keeps_manifests(name: "Reference") -> bool:
    """Tell whether the image lies where its manifest is the one that was made."""
    from modelpack import reference  # noqa: PLC0415

    match name:
        case reference.Daemon() | reference.ContainersStorage():
            return False
        case reference.Archive():
            return name.kind == "oci-archive"
        case _:
            return True


def _attach(name: "Reference", verdicts: "Sequence[Verdict]", output: Output) -> None:
    from modelpack import reference  # noqa: PLC0415
    from modelpack.comparison.verdict import KIND, statement  # noqa: PLC0415
    from modelpack.errors import Unavailable  # noqa: PLC0415
    from modelpack.oci.layout import Layout  # noqa: PLC0415
    from modelpack.stores import opening  # noqa: PLC0415
    from modelpack.trust.statement import referrer  # noqa: PLC0415

    match name:
        case reference.Project():
            place = opening.built(name)
        case reference.Layout():
            place = Path(name.path)
        case reference.Registry():
            _attach_far(name, verdicts)
            return
        case _:
            return
    try:
        with Layout(place) as layout:
            for verdict in verdicts:
                layout.attach(verdict.image, [referrer(statement(verdict), kind=KIND)])
    except Unavailable as error:
        output.say(f"the verdict is not kept with the image: {error}")


def _attach_far(name: "Registry", verdicts: "Sequence[Verdict]") -> None:
    from modelpack.cli.environment import cache_folder, registries  # noqa: PLC0415
    from modelpack.comparison.verdict import KIND, statement  # noqa: PLC0415
    from modelpack.oci.registry.unfinished import FOLDER  # noqa: PLC0415
    from modelpack.oci.registry.writing import WritableRepository  # noqa: PLC0415
    from modelpack.trust.statement import referrer  # noqa: PLC0415

    store = WritableRepository(name, registries(), uploads=cache_folder() / FOLDER)
    for verdict in verdicts:
        store.attach(verdict.image, [referrer(statement(verdict), kind=KIND)])


def _text(verdict: "Verdict") -> str:
    """Return the verdict for people; no value of the image's starts a line."""
    from modelpack.cli.display import escape  # noqa: PLC0415

    made_from = verdict.made_from
    lines = [
        f"{verdict.platform}  {'reproduced' if verdict.reproduced else 'NOT reproduced'}",
        f"image    {verdict.image.digest}",
        f"rebuilt  {verdict.rebuilt}",
    ]
    layer = verdict.layer
    if layer is not None:
        lines.append(f"first difference: layer {layer.index + 1}, {layer.kind or 'unknown'}")
        lines.append(f"  image    {layer.recorded or 'has no such layer'}")
        lines.append(f"  rebuilt  {layer.rebuilt or 'has no such layer'}")
        place = layer.place
        if place is not None:
            at = "" if place.offset is None else f" at byte {place.offset}"
            lines.append(f"  {place.path or 'the whole layer'}: {place.what} differs{at}")
            if place.recorded or place.rebuilt:
                lines.append(f"  image has {place.recorded}, rebuilt has {place.rebuilt}")
    lines += [
        f"configuration: {change.key}: image has {change.before}, rebuilt has {change.after}"
        for change in verdict.configuration
    ]
    lines += [f"note: {reason}" for reason in verdict.reasons]
    revision = made_from.revision or "none"
    lines.append(f"code     revision {revision} ({made_from.revision_is.replace('-', ' ')})")
    proofs = {"hashed": "hashed here", "lock": "taken by digest: they are not here"}
    lines += [f"weights  {name}: {proofs[proof]}" for name, proof in made_from.weights.items()]
    return "\n".join(map(escape, lines))


def _document(verdict: "Verdict") -> dict[str, Any]:
    from modelpack.comparison.verdict import statement  # noqa: PLC0415

    return {"digest": verdict.image.digest, **statement(verdict).predicate}
