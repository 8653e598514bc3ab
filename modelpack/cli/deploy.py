"""`modelpack deploy`: what a cluster needs to run an image, or to refuse it."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from modelpack.cli.frame.output import Output, with_output

if TYPE_CHECKING:
    from modelpack.deploy.admission.rendering import Private

_FILE = click.Path(path_type=Path, dir_okay=False)
_ROOT_LIMIT = 1 << 20
"bytes of a trusted root: what Kyverno takes"


@click.group("deploy")
def command() -> None:
    """Write what a cluster needs to run an image, or to refuse it."""


@command.command("policy")
@click.argument("controller", type=click.Choice(["kyverno", "policy-controller"]))
@click.option(
    "--policy", "file", type=_FILE, required=True, metavar="FILE",
    help="What must be true of an image, as for `modelpack verify`.",
)  # fmt: skip
@click.option(
    "--images", multiple=True, required=True, metavar="PATTERN",
    help="Which images it is asked of, whatever their tag or digest, such as `ghcr.io/acme/*`; `*` "
    "stands for any characters (repeatable).",
)  # fmt: skip
@click.option(
    "--trusted-root", type=_FILE, metavar="FILE",
    help="Keys and certificates of a Sigstore of your own (default: the public one).",
)  # fmt: skip
@click.option(
    "--tuf-mirror", metavar="URL",
    help="TUF repository of a Sigstore of your own, which the controllers ask in any case.",
)  # fmt: skip
@click.option("--tuf-root", type=_FILE, metavar="FILE", help="Its root.json; with --tuf-mirror.")
@click.option("--name", default="modelpack", metavar="NAME", help="Of the resources.")
@with_output
def policy(
    *,
    output: Output,
    controller: str,
    file: Path,
    images: tuple[str, ...],
    trusted_root: Path | None,
    tuf_mirror: str | None,
    tuf_root: Path | None,
    name: str,
) -> None:
    """Print the admission policy of a cluster: who must have signed an image, and what of it.

    For Kyverno (1.19 or newer) or sigstore's policy-controller (0.15 or newer), from the file that
    `modelpack verify --policy` judges by. What the controller cannot judge is named on stderr.
    """
    from modelpack import templates  # noqa: PLC0415
    from modelpack.cli.frame.place import as_document, warn  # noqa: PLC0415
    from modelpack.deploy.admission import demands, rendering  # noqa: PLC0415
    from modelpack.errors import Finding  # noqa: PLC0415
    from modelpack.trust import policy_file  # noqa: PLC0415

    asked = demands.of(policy_file.read(file))
    target = rendering.Target(
        controller=controller, name=name, images=images, source=_printable(file.name)
    )
    private = _private(trusted_root, tuf_mirror, tuf_root)
    template = templates.text(rendering.TEMPLATES[controller])
    rendered = rendering.render(asked, target, template, private=private)
    findings = tuple(
        Finding(message=f"not judged at admission: {each}", at=str(file), rule="deploy.left-out",
                hint="`modelpack verify --policy` judges it, before a promotion",
                severity="warning")
        for each in asked.left_out
    )  # fmt: skip
    warn(output, findings)
    document = {
        "controller": controller, "images": list(images), "text": rendered,
        "demands": [
            {"name": each.name, "type": each.type, "signers": list(each.signers),
             "conditions": [one.message for one in each.conditions]}
            for each in asked.demands
        ],
        "findings": as_document(findings),
    }  # fmt: skip
    if output.as_json:
        output.result(text="", document=document)
    else:
        click.echo(rendered, nl=False)  # plain ASCII: every value in it is JSON


def _private(
    trusted_root: Path | None, mirror: str | None, tuf_root: Path | None
) -> "Private | None":
    """Return the Sigstore that is named; raises InputError for half of one."""
    from modelpack.deploy.admission.rendering import Private  # noqa: PLC0415
    from modelpack.errors import InputError  # noqa: PLC0415
    from modelpack.trust import policy_file  # noqa: PLC0415
    from modelpack.trust import trusted_root as trusted_roots  # noqa: PLC0415

    if bool(mirror) != bool(tuf_root) or (mirror and not trusted_root):
        raise InputError(
            "a TUF repository is its address, its root and a trusted root", at="--tuf-mirror",
            hint="give `--tuf-mirror`, `--tuf-root` and `--trusted-root`",
        )  # fmt: skip
    if trusted_root is None:
        return None
    data = policy_file.contents(trusted_root, limit=_ROOT_LIMIT)
    trusted_roots.parse(data, at=str(trusted_root))
    return Private(
        text=data.decode(), mirror=mirror or "",
        root=policy_file.contents(tuf_root, limit=_ROOT_LIMIT) if tuf_root else b"",
    )  # fmt: skip


def _printable(text: str) -> str:
    """Return a file's name as it can stand in a comment."""
    return "".join(one if one.isascii() and one.isprintable() else "?" for one in text)
