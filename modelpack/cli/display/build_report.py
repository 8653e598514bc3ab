"""What a build made, as a table for people and as JSON."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from modelpack.cli import display

if TYPE_CHECKING:
    from modelpack.assembly.assemble import Made
    from modelpack.assembly.evidence import Evidence
    from modelpack.oci.image import Image
    from modelpack.pipeline import Built
    from modelpack.project import Project


def document(built: "Built", targets: list[str]) -> dict[str, Any]:
    """Return the build record: what `--json` prints and `dist/build.json` holds."""
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
        "evidence": rows(built.evidence),
        "signed": [
            {"kind": one.wanted.kind, "predicate_type": one.wanted.statement.predicate_type,
             "image": one.wanted.subject.digest, "referrer": one.manifest}
            for one in built.signed
        ],
        "pushed": list(built.pushed),
        "loaded": None,
        "scans": [scanned.summary for scanned in built.scans],
        "test": built.tested.summary if built.tested else None,
        "findings": [display.plain(finding) for finding in built.findings],
    }  # fmt: skip


def rows(said: Iterable["Evidence"]) -> list[dict[str, Any]]:
    """Return statements as the record lists them."""
    return [
        {
            "kind": one.kind,
            "predicate_type": one.statement.predicate_type,
            "digest": one.digest,
            "file": one.file,
            "images": [subject.digest for subject in one.subjects],
        }
        for one in said
    ]


def _layer(item: "Made", built: "Built") -> dict[str, Any]:
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


def _proof(item: "Made", built: "Built") -> str:
    """Return who vouches for the layer's content: this machine, or only the lock."""
    if item.step.kind != "weights":
        return "hashed"
    names = {weights.destination: weights.name for weights in built.lock.weights}
    name = names[item.step.inputs["destination"]]
    proofs = {built.at_hand.proofs[name, path] for path, _, _ in item.step.inputs["files"]}
    return "lock" if "lock" in proofs else "hashed"


def text(this: "Project", built: "Built", said: dict[str, Any]) -> str:
    """Return the layer table and what to do next, for people."""
    several = len(said["images"]) > 1
    rows = [
        [*([layer["platform"] or layer["role"]] if several else []), layer["step"], layer["name"],
         display.size(layer["size"]), layer["digest"][7:19], "reused" if layer["reused"] else ""]
        for layer in said["layers"]
    ]  # fmt: skip
    head = [*(["image"] if several else []), "layer", "content", "size", "digest", ""]
    table = display.table(rows, head=head, right=[head.index("size")])
    lock = f"wrote {this.lock_path.name}\n" if built.new_lock else ""
    distinct = {layer["digest"]: layer["size"] for layer in said["layers"]}
    size = display.size(sum(distinct.values()))
    return f"{table}\n{lock}{this.spec.model.name} {this.spec.model.version}: {size} in " + (
        ", ".join([*said["outputs"], *said["pushed"]])
    )
