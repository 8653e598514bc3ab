"""`modelpack card`: a model card in Markdown, from an image and its statements."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from modelpack.cli.frame import verifying
from modelpack.cli.frame.image_options import host_platform, platform_option
from modelpack.cli.frame.output import Output, with_output
from modelpack.cli.frame.verifying import policy_options

if TYPE_CHECKING:
    from modelpack.cli.display.card_text import Told
    from modelpack.cli.display.page.html import Verified
    from modelpack.inspection.documents import Documents
    from modelpack.reference import Reference

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command("card")
@click.argument("image", default=".", metavar="[IMAGE]")
@platform_option
@policy_options("Verify too, and show what was asked for and found. Ends as `verify` does.")
@with_output
def command(
    *, output: Output, image: str, platform: str, policy: Path | None, trusted_root: Path | None,
    stage: str,
) -> None:  # fmt: skip
    """Print a model card, in Markdown, of what an image and the statements beside it say.

    IMAGE is a project (a folder, default `.`: the image last built from it), a layout
    oci:PATH[:TAG|@DIGEST], an archive oci-archive:FILE, or an image in a registry. What the model
    is for, what it was trained on, how it was evaluated, what is in it and who vouches for it: all
    claims, unless --policy says what must be proved.
    """
    from modelpack import reference  # noqa: PLC0415  not for `--help`
    from modelpack.cli.display import card_text  # noqa: PLC0415
    from modelpack.cli.environment import engine_for, registries  # noqa: PLC0415
    from modelpack.inspection.artifacts import with_contents  # noqa: PLC0415
    from modelpack.inspection.reading import read  # noqa: PLC0415
    from modelpack.inspection.vouching import with_referrers  # noqa: PLC0415
    from modelpack.stores import opening  # noqa: PLC0415  not for `--help`

    verifying.expect_policy(policy, trusted_root, stage)
    asked = verifying.asked_for(policy, trusted_root, stage) if policy else None
    name = reference.parse(image, at="IMAGE")
    with opening.opened(name, engines=engine_for, registries=registries) as (store, root):
        documents = read(store, root, platform=platform, host=host_platform())
        documents = with_contents(store, with_referrers(store, documents))
        verified = asked.judged(store, root, name) if asked else None
    told = _told(documents, verified, name)
    text = card_text.card(told)
    answer = verified.report.answer if verified else None
    document = {"digest": told.inspection.digest, "answer": answer, "card": text}
    output.result(text=text.rstrip("\n"), document=document)
    if answer:
        click.get_current_context().exit(verifying.EXIT[answer])


def _told(
    documents: "Documents", verified: "Verified | None", name: "Reference"
) -> "Told":  # fmt: skip
    """Return what is said in the image and beside it."""
    from modelpack.cli.display.card_text import Told  # noqa: PLC0415
    from modelpack.inspection import description  # noqa: PLC0415
    from modelpack.inspection.describing import describe  # noqa: PLC0415
    from modelpack.reference import Registry  # noqa: PLC0415

    meta = documents.meta
    spec = description.parse(meta.files).spec if meta and not meta.trouble else None
    place = name.name if isinstance(name, Registry) else spec.image.repository if spec else ""
    return Told(
        inspection=describe(documents), card=spec.card if spec else None, repository=place,
        verified=verified,
    )  # fmt: skip
