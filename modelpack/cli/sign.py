"""`modelpack sign`: signatures on an image and on what was said of it here."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from modelpack.cli.frame.output import Output, with_output
from modelpack.cli.frame.signing import SigningOptions, prepared, signing_options

if TYPE_CHECKING:
    from modelpack.digest import Digest
    from modelpack.project import Project
    from modelpack.reference import Reference
    from modelpack.signing.storing import Done
    from modelpack.signing.value import Signed

_RECORD_LIMIT = 64 << 20


@click.command("sign")
@click.argument("image", default=".", metavar="[IMAGE]")
@click.option(
    "--file", type=click.Path(path_type=Path), metavar="F",
    help="Require what [sign] of this file says (default: modelpack.toml of a project).",
)  # fmt: skip
@signing_options
@click.option(
    "--record", "records", type=click.Path(path_type=Path, dir_okay=False), multiple=True,
    metavar="FILE",
    help="Also sign the statements that this dist/build.json lists, of a build on another machine "
    "that you vouch for (repeatable).",
)  # fmt: skip
@click.option("--legacy", is_flag=True, help="Also sign as cosign 2 did, under a tag.")
@with_output
def command(
    *,
    output: Output,
    image: str,
    file: Path | None,
    how: SigningOptions,
    records: tuple[Path, ...],
    legacy: bool,
) -> None:
    """Sign IMAGE (default: the one last built here), and what was found out about it here.

    IMAGE is a project, a layout oci:PATH[:TAG|@DIGEST], or an image in a registry. Signed are its
    digest, those of its platforms and of its mounted weights, and the statements about them that
    this machine made: provenance, SBOM, scan, test. Never signed is a statement that came from
    elsewhere. Each becomes a Sigstore bundle beside the image, and is verified before. Signing
    again adds only what is new. The image itself never changes.
    """
    from modelpack import reference  # noqa: PLC0415
    from modelpack.assembly.scans import image_name  # noqa: PLC0415
    from modelpack.cli.frame.place import open_machine, warn  # noqa: PLC0415
    from modelpack.signing.storing import Order, carry_out  # noqa: PLC0415
    from modelpack.trust.made_here import MadeHere  # noqa: PLC0415

    name = reference.parse(image, at="IMAGE")
    this = _project(name, file)
    machine = open_machine(output)
    made = MadeHere(machine.cache, also=_recorded(records))
    called = name.name if isinstance(name, reference.Registry) else ""
    with prepared(how, legacy=legacy) as signing:
        done = carry_out(
            Order(
                image=name, called=called or (image_name(this.spec) if this else ""), made=made,
                gates=this.spec.sign.require if this else (), signing=signing, legacy=legacy,
            ),
            machine,
        )  # fmt: skip
    warn(output, done.findings)
    output.result(text=_text(done), document=_document(done))


def _project(name: "Reference", file: Path | None) -> "Project | None":
    """Return the project whose `[sign]` counts; an image's own claims never do."""
    from modelpack import project, reference  # noqa: PLC0415

    if file is not None:
        return project.read(file.parent, file=file)
    if isinstance(name, reference.Project) and (Path(name.path) / project.FILENAME).exists():
        return project.read(Path(name.path))
    return None


def _recorded(records: tuple[Path, ...]) -> "list[Digest]":
    """Return the digests of the statements that build records list, or raise InputError."""
    from modelpack import digest  # noqa: PLC0415
    from modelpack.errors import InputError  # noqa: PLC0415
    from modelpack.inputs.opening import open_regular  # noqa: PLC0415
    from modelpack.oci.manifest import parse_object  # noqa: PLC0415

    found: list[Digest] = []
    for path in records:
        with open_regular(path) as stream:
            data = stream.read(_RECORD_LIMIT + 1)
        listed = parse_object(data, at=str(path), limit=_RECORD_LIMIT).get("evidence")
        if not isinstance(listed, list):
            raise InputError("not a record of a build", at=str(path), hint="name dist/build.json")
        for item in listed:
            text = item.get("digest") if isinstance(item, dict) else None
            found.append(digest.parse(text if isinstance(text, str) else "", at=str(path)))
    return found


def _text(done: "Done") -> str:
    """Return what is signed now, for people."""
    from modelpack.cli import display  # noqa: PLC0415
    from modelpack.quantity import counted  # noqa: PLC0415

    image = done.image
    rows = []
    for subject in image.subjects:
        own = [one for one in image.signed if one.wanted.subject == subject.descriptor]
        rows += [
            [subject.role, subject.descriptor.digest[7:19], one.wanted.kind,
             one.wanted.statement.predicate_type, "was there" if one.referrer_digest else ""]
            for one in sorted(own, key=lambda one: one.wanted.kind)
        ]  # fmt: skip
    table = display.table(rows, head=["image", "digest", "signed", "type", ""], right=[])
    lines = [table, f"{image.root.digest} is signed by {image.signer.identity}"]
    if image.others:
        lines.append(f"{image.others} unsigned statements were not made here, and are left alone")
    if done.legacy:
        lines.append(f"{counted(len(done.legacy), 'signature')} as cosign 2 wrote them")
    return "\n".join(lines)


def _document(done: "Done") -> dict[str, Any]:
    image = done.image
    identity = image.signer.identity
    older = dict(done.legacy)
    return {
        "digest": image.root.digest,
        "signer": {
            "identity": identity.subject or None,
            "issuer": identity.issuer or None,
            "key": identity.key or None,
        },
        "images": [
            {
                "digest": subject.descriptor.digest,
                "role": subject.role,
                "legacy": older.get(subject.descriptor.digest),
                "statements": [
                    _statement(one)
                    for one in image.signed
                    if one.wanted.subject == subject.descriptor
                ],
            }
            for subject in image.subjects
        ],
        "superseded": [entry.digest for _, entry in image.superseded],
        "left_alone": image.others,
        "findings": _findings(done),
    }


def _findings(done: "Done") -> list[dict[str, Any]]:
    from modelpack.cli.frame.place import as_document  # noqa: PLC0415

    return as_document(done.findings)


def _statement(one: "Signed") -> dict[str, Any]:
    return {
        "kind": one.wanted.kind,
        "predicate_type": one.wanted.statement.predicate_type,
        "digest": one.wanted.digest,
        "referrer": one.manifest,
        "new": one.referrer_digest is None,
        "log_index": [entry.log_index for entry in one.bundle.entries],
    }
