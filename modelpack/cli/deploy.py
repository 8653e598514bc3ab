"""`modelpack deploy`: what a cluster needs to run an image, or to refuse it."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from modelpack.cli.frame.output import Output, with_output

if TYPE_CHECKING:
    from modelpack.deploy.admission.rendering import Private
    from modelpack.lock import Lock
    from modelpack.spec import Spec

_FILE = click.Path(path_type=Path, dir_okay=False)
_ROOT_LIMIT = 1 << 20
"bytes of a trusted root: what Kyverno takes"


@click.group("deploy")
def command() -> None:
    """Write what a cluster needs to run an image, or to refuse it."""


@command.command("kubernetes")
@click.argument("image", default=".", metavar="[IMAGE]")
@click.option("--name", default="", metavar="NAME", help="Of the resources (default: the model's).")
@click.option("--namespace", default="", metavar="NAME", help="Where they are (default: left out).")
@click.option("--replicas", type=click.IntRange(1, 10_000), default=1, show_default=True,
              metavar="N", help="Pods that run at once.")  # fmt: skip
@click.option("--autoscaled", is_flag=True, help="Leave their number to an autoscaler.")
@click.option(
    "--cpu", default="", metavar="QUANTITY",
    help="Processors that a pod asks for, such as `2` (default: test.limits.cpus).",
)  # fmt: skip
@click.option(
    "--memory", default="", metavar="QUANTITY",
    help="Memory that a pod asks for and may not exceed, such as `4Gi` (default: "
    "test.limits.memory).",
)  # fmt: skip
@click.option(
    "--gpus", type=click.IntRange(0, 64), metavar="N",
    help="GPUs of a pod (default: 1 where the image is for GPUs).",
)  # fmt: skip
@click.option(
    "--weights-claim", "claims", multiple=True, metavar="[NAME=]CLAIM",
    help="A volume claim with the mounted weights (repeatable; default: the weights image as an "
    "image volume).",
)  # fmt: skip
@click.option(
    "--trust", default="", metavar="NAME",
    help="Config map that says who must have signed the weights.",
)  # fmt: skip
@click.option("--pull-secret", default="", metavar="NAME", help="Secret to pull the image with.")
@click.option("--no-network-policy", is_flag=True, help="Let the service reach the network.")
@with_output
def kubernetes(
    *,
    output: Output,
    image: str,
    name: str,
    namespace: str,
    replicas: int,
    autoscaled: bool,
    cpu: str,
    memory: str,
    gpus: int | None,
    claims: tuple[str, ...],
    trust: str,
    pull_secret: str,
    no_network_policy: bool,
) -> None:
    """Print what a Kubernetes cluster needs to run an image: by digest, hardened, with its probes.

    IMAGE is an image in a registry, or a project (default: `.`) whose image.repository has the
    image last built there. A Deployment, a Service and a NetworkPolicy that lets the service reach
    nobody; mounted weights are an image volume. It is made from what the image says of itself:
    verify it before.
    """
    from modelpack import templates  # noqa: PLC0415
    from modelpack.deploy import kubernetes as resources  # noqa: PLC0415
    from modelpack.deploy import workload  # noqa: PLC0415

    found = _served(image)
    wishes = workload.Wishes(
        name=name, namespace=namespace, replicas=None if autoscaled else replicas, cpu=cpu,
        memory=memory, gpus=gpus, pull_secret=pull_secret, claims=_claims(claims, found.spec),
        trust=trust, isolated=not no_network_policy,
    )  # fmt: skip
    made = workload.of(
        found.spec, found.lock, wishes, repository=found.repository, digest=found.digest,
        weights_image=found.weights_image,
    )  # fmt: skip
    rendered = resources.render(made, templates.text(resources.TEMPLATE), title=made.image)
    if output.as_json:
        document = {"image": made.image, "weights_image": made.weights_image or None,
                    "name": made.name, "text": rendered}  # fmt: skip
        output.result(text="", document=document)
    else:
        click.echo(rendered, nl=False)  # plain ASCII: every value in it is JSON


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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Served:
    """An image that serves, as a registry has it."""

    spec: "Spec"
    lock: "Lock"
    repository: str
    digest: str
    "of the index, where it is one of several"
    weights_image: str


def _served(image: str) -> _Served:
    """Read what `image` says of itself, and by which name a cluster pulls it."""
    from modelpack import reference  # noqa: PLC0415
    from modelpack.cli.environment import engine_for, registries  # noqa: PLC0415
    from modelpack.errors import InputError  # noqa: PLC0415
    from modelpack.inspection import configuration, description  # noqa: PLC0415
    from modelpack.inspection.reading import read_image  # noqa: PLC0415
    from modelpack.run_configuration import WEIGHTS_IMAGE_LABEL  # noqa: PLC0415
    from modelpack.stores import opening  # noqa: PLC0415

    what = reference.parse(image, at="IMAGE")
    if not isinstance(what, reference.Registry | reference.Project):
        raise InputError("a cluster pulls from a registry", at=image,
                         hint=f"modelpack copy {image} REGISTRY/NAME:TAG")  # fmt: skip
    with opening.opened(what, engines=engine_for, registries=registries) as (store, root):
        documents = read_image(store, root)
    said = description.parse(documents.meta.files if documents.meta else {})
    if said.spec is None or said.lock is None:
        raise InputError("it does not say how it runs", at=image, hint=f"modelpack inspect {image}")
    labels = configuration.parse(
        documents.config_bytes, documents.manifest.config.media_type
        if documents.manifest.config else "",
    ).labels  # fmt: skip
    repository = what.name if isinstance(what, reference.Registry) else said.spec.image.repository
    if not repository:
        raise InputError("the project names no repository", at="image.repository",
                         hint='set it, such as `repository = "ghcr.io/acme/minilm"`')  # fmt: skip
    return _Served(
        spec=said.spec, lock=said.lock, repository=repository, digest=root.digest,
        weights_image=labels.get(WEIGHTS_IMAGE_LABEL, ""),
    )  # fmt: skip


def _claims(given: tuple[str, ...], spec: "Spec") -> dict[str, str]:
    """Return the claims by the name of their weights; a single one needs no name."""
    from modelpack.errors import InputError  # noqa: PLC0415

    mounted = [weights.name for weights in spec.weights if weights.mode == "mount"]
    claims: dict[str, str] = {}
    for text in given:
        name, equals, claim = text.partition("=")
        if not equals:
            if len(mounted) > 1:
                raise InputError("which weights? " + ", ".join(mounted), at="--weights-claim",
                                 hint=f"--weights-claim {mounted[0]}={text}")  # fmt: skip
            name, claim = mounted[0] if mounted else spec.model.name, text
        if name in claims:
            raise InputError(f"two claims for the weights `{name}`", at="--weights-claim")
        claims[name] = claim
    return claims


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
