"""`modelpack build`: the image."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from modelpack.cli.frame.output import Output, with_output
from modelpack.cli.frame.place import as_document, open_machine, open_project, project_options, warn
from modelpack.cli.frame.scanning import database_option, wanted_database
from modelpack.cli.frame.signing import SigningOptions, for_build, signing_options
from modelpack.errors import InputError

if TYPE_CHECKING:
    from modelpack import pipeline
    from modelpack.assembly.assemble import Made
    from modelpack.assembly.pushing import Push
    from modelpack.oci.image import Image
    from modelpack.project import Project


@click.command("build")
@project_options
@click.option("--locked", is_flag=True, help="Fail when there is no lock instead of making one.")
@click.option("--offline", is_flag=True, help="Use nothing but what is on this machine.")
@click.option(
    "--builder", default="embedded", show_default=True, metavar="NAME",
    help="What installs the dependencies: `embedded`, `docker` (BuildKit, as Docker itself would "
    "use it), or a builder that buildx knows. The image is the same one.",
)  # fmt: skip
@click.option(
    "--output", "targets", multiple=True, metavar="IMAGE",
    help="Where the image goes: oci:FOLDER, oci-archive:FILE, docker-archive:FILE (repeatable; "
    "default: the layout DIR/dist/image).",
)  # fmt: skip
@click.option(
    "--tag", "names", multiple=True, metavar="REF",
    help="Full name of the image, such as ghcr.io/acme/minilm:1.2.0 (repeatable; default: from "
    "[image] and [model]).",
)  # fmt: skip
@click.option(
    "--platform", "platforms", multiple=True, metavar="OS/ARCH",
    help="Build this one of the locked platforms (repeatable; default: all, under one index).",
)  # fmt: skip
@click.option(
    "--revision", metavar="REV", help="The commit to record, or `none` (default: what git says)."
)
@click.option(
    "--scan", "scanning", is_flag=True,
    help="Scan the image before it gets its names (see `modelpack scan`).",
)  # fmt: skip
@database_option
@click.option(
    "--test", "testing", is_flag=True,
    help="Test the image in Docker or podman before it gets its names (see `modelpack test`).",
)  # fmt: skip
@click.option("--no-cache", is_flag=True, help="Make every layer anew.")
@click.option(
    "--load", "into_engine", is_flag=True,
    help="Also load the image into Docker or podman, under its full names.",
)  # fmt: skip
@click.option(
    "--push", "pushing", is_flag=True,
    help="Push the image under its full names, straight from the source files; without --output, "
    "nothing else is written but dist/build.json.",
)  # fmt: skip
@click.option("--replace", is_flag=True, help="Let version tags move to this image with --push.")
@click.option(
    "--sign", "signing", is_flag=True,
    help="Sign the image before it gets its names (see `modelpack sign`).",
)  # fmt: skip
@signing_options
@click.option(
    "--metadata-file", type=click.Path(path_type=Path), metavar="FILE",
    help="Also write what --json prints to FILE.",
)  # fmt: skip
@with_output
def command(
    *,
    output: Output,
    folder: Path | None,
    file: Path | None,
    locked: bool,
    offline: bool,
    builder: str,
    targets: tuple[str, ...],
    names: tuple[str, ...],
    platforms: tuple[str, ...],
    revision: str | None,
    scanning: bool,
    database: Path | None,
    testing: bool,
    no_cache: bool,
    into_engine: bool,
    pushing: bool,
    replace: bool,
    signing: bool,
    how: SigningOptions,
    metadata_file: Path | None,
) -> None:
    """Build the image of the project in DIR (default: here) and print its digest.

    Makes a missing modelpack.lock, and never changes one that exists. Needs neither root nor, but
    for `--builder docker`, Docker. Everything that is wrong is said at once, and then nothing is
    written.
    """
    from modelpack import pipeline, platform, project  # noqa: PLC0415
    from modelpack.assembly import outputs  # noqa: PLC0415
    from modelpack.assembly.image_names import image_names  # noqa: PLC0415
    from modelpack.canonical_json import pretty  # noqa: PLC0415
    from modelpack.cli import environment  # noqa: PLC0415
    from modelpack.cli.display import testing_report  # noqa: PLC0415
    from modelpack.cli.frame import gpu_memory, loading, trying  # noqa: PLC0415

    invocation = environment.invocation()
    this = open_project(folder, file)
    engine = loading.ready_engine(this.spec, platforms, at="--load") if into_engine else None
    test = trying.wanted(this, platforms, engine) if testing else None
    machine = open_machine(output, offline=offline)
    tags, full = image_names(this.spec, names)
    pushes = _pushes(this, names, full, offline=offline) if pushing else ()
    wanted = targets or ([f"oci:{this.layout}"] if into_engine or testing or not pushing else [])
    parsed = outputs.parse_all(wanted, tags=tags, names=full)
    with for_build(how, asked=signing, offline=offline) as ready:
        built = pipeline.build(
            this,
            machine=machine,
            outputs=parsed,
            options=pipeline.Options(
                revision=revision, epoch=environment.source_date_epoch(), locked=locked,
                use_cache=not no_cache, builder=builder, invocation=invocation,
                platforms=frozenset(platform.parse(name, at="--platform") for name in platforms),
                scan=wanted_database(database) if scanning else None,
                test=test, pushes=pushes, replace=replace, signing=ready,
            ),
        )  # fmt: skip
    warn(output, built.findings)
    memory = gpu_memory.tell(output, this.spec, built.lock)
    document = {**describe(built, [str(item.target) for item in parsed]), "gpu_memory": memory}
    if parsed:
        outputs.write_copies(this.output, built.evidence)
    record = this.output / "build.json"
    project.write(record, pretty({"schema": 1, **document}))
    if built.tested:
        output.say(testing_report.answer(built.tested))
    if not output.quiet and not output.as_json:
        click.echo(summary(this, built, document), err=True)
    if engine is not None:
        document["loaded"] = loading.load(engine, parsed[0], built.digest, output)
        project.write(record, pretty({"schema": 1, **document}))
    if metadata_file is not None:
        project.write(metadata_file, pretty({"schema": 1, **document}))
    _tell_job(this, built, document)
    output.result(text=built.digest, document=document)


def _pushes(
    this: "Project", given: tuple[str, ...], names: tuple[str, ...], *, offline: bool
) -> "tuple[Push, ...]":  # fmt: skip
    """Return where `--push` brings the image; raise InputError where nothing says it."""
    from modelpack.assembly import pushing  # noqa: PLC0415

    if offline:
        raise InputError("`--push` needs the network, which `--offline` rules out", at="--push")
    if not given and not this.spec.image.repository:
        raise InputError(
            "nothing says where to", at="--push",
            hint="set image.repository, or name it with `--tag HOST/NAME:TAG`",
        )  # fmt: skip
    return pushing.parse_all(names)


def _tell_job(this: "Project", built: "pipeline.Built", document: dict[str, Any]) -> None:
    """Tell the CI job, where there is one."""
    from modelpack.cli import environment  # noqa: PLC0415
    from modelpack.cli.display import job_summary  # noqa: PLC0415

    values = {"digest": built.digest, "pushed": " ".join(built.pushed)}
    if built.scans:
        values["scan"] = job_summary.outcome(built.scans)
    name = f"{this.spec.model.name} {this.spec.model.version}"
    said = [job_summary.built(name, document)]
    if built.tested:
        values["test"] = built.tested.outcome
        said.append(job_summary.tested(name, built.tested))
    environment.job().tell(values, summary="\n\n".join(said))


def describe(built: "pipeline.Built", targets: list[str]) -> dict[str, Any]:
    """Return the build record: what `--json` prints and `dist/build.json` holds."""
    from modelpack.cli.frame import build_record  # noqa: PLC0415
    from modelpack.lock import encoding as lock_encoding  # noqa: PLC0415
    from modelpack.metadata import weights_digest  # noqa: PLC0415

    images: list[tuple[str, str | None, Image, tuple[Made, ...]]] = [
        ("serve", str(plan.platform), image, made) for plan, image, made in built.images
    ]
    if built.weights:
        images.append(("weights", None, *built.weights[1:]))
    return {
        "digest": built.digest,
        "images": [
            {"role": role, "platform": platform, "digest": image.digest,
             "config": image.config_blob.digest}
            for role, platform, image, _ in images
        ],
        "layout": next((t.removeprefix("oci:") for t in targets if t.startswith("oci:")), None),
        "outputs": targets,
        "builder": built.builder,
        "plan": built.images[0][0].digest,
        "lock": lock_encoding.digest(built.lock),
        "weights": weights_digest(built.lock),
        "revision": built.source.source.revision,
        "dirty": built.source.source.dirty,
        "layers": [
            {"role": role, "platform": platform, **_layer(item, built)}
            for role, platform, _, made in images
            for item in made
        ],
        "evidence": build_record.rows(built.evidence),
        "signed": [
            {"kind": one.wanted.kind, "predicate_type": one.wanted.statement.predicate_type,
             "image": one.wanted.subject.digest, "referrer": one.manifest}
            for one in built.signed
        ],
        "pushed": list(built.pushed),
        "loaded": None,
        "scans": [scanned.summary for scanned in built.scans],
        "test": built.tested.summary if built.tested else None,
        "findings": as_document(built.findings),
    }  # fmt: skip


def _layer(item: "Made", built: "pipeline.Built") -> dict[str, Any]:
    layer = item.layer
    return {
        "step": item.step.kind,
        "name": item.step.name,
        "key": item.step.digest,
        "digest": layer.blob.digest,
        "diff_id": layer.diff_id,
        "size": layer.blob.size,
        "media_type": layer.blob.descriptor.media_type,
        "paths": _paths(item),
        "reused": item.reused,
        "proof": _proof(item, built),
        "reproducible": item.reproducible,
    }


def _paths(item: "Made") -> list[str]:
    """Return where in the image the layer's files are: each weight file, else the folder."""
    match item.step.kind:
        case "weights":
            place = item.step.inputs["destination"]
            return [f"{place}/{path}" for path, _, _ in item.step.inputs["files"]]
        case "code":
            return [item.step.inputs["workdir"]]
        case "dependencies":
            return [item.step.inputs["venv"]]
        case "meta":
            return [item.step.name]
        case "nameplate":
            return [path for path, _ in item.step.inputs["nameplates"]]
        case _:
            return ["/"]


def _proof(item: "Made", built: "pipeline.Built") -> str:
    """Return who vouches for the layer's content: this machine, or only the lock."""
    if item.step.kind != "weights":
        return "hashed"
    names = {weights.destination: weights.name for weights in built.lock.weights}
    name = names[item.step.inputs["destination"]]
    proofs = {built.at_hand.proofs[name, path] for path, _, _ in item.step.inputs["files"]}
    return "lock" if "lock" in proofs else "hashed"


def summary(this: "Project", built: "pipeline.Built", document: dict[str, Any]) -> str:
    """Return the layer table and what to do next, for people."""
    from modelpack.cli import display  # noqa: PLC0415

    several = len(document["images"]) > 1
    rows = [
        [*([layer["platform"] or layer["role"]] if several else []), layer["step"], layer["name"],
         display.size(layer["size"]), layer["digest"][7:19], "reused" if layer["reused"] else ""]
        for layer in document["layers"]
    ]  # fmt: skip
    head = [*(["image"] if several else []), "layer", "content", "size", "digest", ""]
    table = display.table(rows, head=head, right=[head.index("size")])
    lock = f"wrote {this.lock_path.name}\n" if built.new_lock else ""
    distinct = {layer["digest"]: layer["size"] for layer in document["layers"]}
    size = display.size(sum(distinct.values()))
    return f"{table}\n{lock}{this.spec.model.name} {this.spec.model.version}: {size} in " + (
        ", ".join([*document["outputs"], *document["pushed"]])
    )
