"""`modelpack push`: an image into a registry."""

from typing import TYPE_CHECKING

import click

from modelpack.cli.frame.output import Output, with_output
from modelpack.cli.frame.transferring import artifact_option, attestations_option
from modelpack.errors import InputError

if TYPE_CHECKING:
    from modelpack.reference import Reference, Registry


@click.command("push")
@click.argument("image", default=".", metavar="[IMAGE]")
@click.argument("name", default="", metavar="[REF]")
@click.option("--no-referrers", is_flag=True, help="Leave behind what vouches for the image.")
@click.option("--replace", is_flag=True, help="Let a version tag move to this image.")
@artifact_option
@attestations_option
@with_output
def command(
    *, output: Output, image: str, name: str, no_referrers: bool, replace: bool,
    artifact: str | None, attested: bool,
) -> None:  # fmt: skip
    """Bring IMAGE (default: the one last built here) into a registry and print its digest.

    REF is where to, such as ghcr.io/acme/minilm:1.2.0; without it, the repository and the tags of
    modelpack.toml; without a tag, those that the image has. Sent is what the repository lacks: an
    upload that was cut, or whose process was killed, goes on where it stood. With the image go its
    platforms, its mounted weights and what vouches for them; the tag is set last. A version tag
    (one with a digit) that holds another image is not moved without --replace.
    """
    from modelpack import reference  # noqa: PLC0415
    from modelpack.cli.frame.place import open_machine  # noqa: PLC0415
    from modelpack.cli.frame.transferring import carry_out, document  # noqa: PLC0415
    from modelpack.stores.transfer import with_suffix  # noqa: PLC0415

    source = reference.parse(image, at="IMAGE")
    if name:
        target = reference.registry(name.removeprefix("docker://"), at="REF")
        tags: tuple[str, ...] = ()
    else:
        target, tags = _own(source)
        tags = with_suffix(tags, reference.ARTIFACT_SUFFIX if artifact else "")
    done = carry_out(
        output, source, target, machine=open_machine(output), tags=tags,
        referrers=not no_referrers, replace=replace, artifact=artifact or "", attested=attested,
    )  # fmt: skip
    output.result(text=done.digest, document=document(done))


def _own(source: "Reference") -> tuple["Registry", tuple[str, ...]]:
    """Return the repository and the tags that a project says are its own."""
    from pathlib import Path  # noqa: PLC0415

    from modelpack import project, reference  # noqa: PLC0415
    from modelpack.assembly.image_names import image_names  # noqa: PLC0415

    if not isinstance(source, reference.Project):
        raise InputError("say where to", at="REF", hint=f"modelpack push {source} HOST/NAME:TAG")
    spec = project.read(Path(source.path)).spec
    if not spec.image.repository:
        raise InputError(
            "the project names no repository", at="image.repository",
            hint=f"modelpack push {source} HOST/NAME:TAG",
        )  # fmt: skip
    return reference.registry(spec.image.repository, at="image.repository"), image_names(spec, ())[
        0
    ]
