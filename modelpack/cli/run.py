"""`modelpack run`: the image in the local engine, as hard as a platform would run it."""

import shlex
from typing import TYPE_CHECKING, cast

import click

from modelpack.cli.frame.output import Output, with_output

if TYPE_CHECKING:
    from modelpack.engine.value import Container, Kind, Network
    from modelpack.reference import Reference
    from modelpack.running.asking import Asked
    from modelpack.running.preparing import Found

_COMMAND = "modelpack.run.command"


class RunCommand(click.Command):
    """A command whose words behind `--` are another one."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take the words behind the first `--` away, whatever they look like."""
        end = args.index("--") if "--" in args else len(args)
        ctx.meta[_COMMAND] = tuple(args[end + 1 :])
        return super().parse_args(ctx, args[:end])


@click.command("run", cls=RunCommand)
@click.argument("image", default=".", metavar="[IMAGE] [-- COMMAND...]")
@click.option(
    "--publish", default="", metavar="PORT",
    help="Where the service answers: [ADDRESS:]PORT[:CONTAINER_PORT], 0 for a free one (default: "
    "the image's own port on 127.0.0.1).",
)  # fmt: skip
@click.option(
    "--network", type=click.Choice(["bridge", "none"]), default="bridge", show_default=True,
    help="The network it has.",
)  # fmt: skip
@click.option("--memory", default="", metavar="SIZE", help="At most so much memory: 2GiB, 512m.")
@click.option(
    "--cpus", type=click.FloatRange(min=0, min_open=True), metavar="N", help="At most N processors."
)
@click.option(
    "--env", "environment", multiple=True, metavar="NAME[=VALUE]",
    help="Set a variable; without a value it is the one here, for secrets (repeatable).",
)  # fmt: skip
@click.option("--gpus", default="", metavar="GPUS", help="all, a number, or device=0,1.")
@click.option("--user", type=int, metavar="N", help="Run as this user, in group 0.")
@click.option(
    "--mount-weights", "mounts", multiple=True, metavar="[NAME=]FOLDER",
    help="The folder of weights that are not in the image (default: the project's own).",
)  # fmt: skip
@click.option(
    "--trust", default="", metavar="FOLDER",
    help="Who must have signed the weights: key.pub, or signer.json and trusted_root.json "
    "(`runtime.require-signature`).",
)  # fmt: skip
@click.option("--name", default="", metavar="NAME", help="Name of the container.")
@click.option("--init", is_flag=True, help="Let a small init be process 1, for deaf commands.")
@click.option("--detach", is_flag=True, help="Leave it running and print its id.")
@click.option("--rm/--no-rm", "remove", default=True, help="Remove it when it ends (default: yes).")
@click.option(
    "--timeout", default="", metavar="TIME",
    help="Wait so long, such as 2m, until it is ready by its health check; else stop it, and end "
    "with 1.",
)  # fmt: skip
@click.option(
    "--stop-timeout", default="30s", show_default=True, metavar="TIME",
    help="After Ctrl-C or SIGTERM wait so long before it is killed.",
)  # fmt: skip
@click.option(
    "--print", "--dry-run", "only_print", is_flag=True,
    help="Print the command line that does the same, and do nothing.",
)  # fmt: skip
@with_output
def command(
    *,
    output: Output,
    image: str,
    publish: str,
    network: str,
    memory: str,
    cpus: float | None,
    environment: tuple[str, ...],
    gpus: str,
    user: int | None,
    mounts: tuple[str, ...],
    trust: str,
    name: str,
    init: bool,
    detach: bool,
    remove: bool,
    timeout: str,
    stop_timeout: str,
    only_print: bool,
) -> None:
    """Run an image in Docker or podman: read-only, without capabilities, /tmp in memory.

    IMAGE is a project (default `.`: the image last built from it), oci:PATH[:TAG|@DIGEST],
    oci-archive:FILE, docker-archive:FILE, docker-daemon:NAME, containers-storage:NAME, or a name
    that the engine has or can pull. It is loaded when the engine has it not. The service's log
    goes to stderr, and so does what it prints; what a COMMAND prints goes to stdout. Ctrl-C and
    SIGTERM stop it. Ends with the exit status of the container; 78 when its guard refused the
    weights.
    """
    from modelpack import quantity, reference  # noqa: PLC0415  not for `--help`
    from modelpack.cli import environment as machine  # noqa: PLC0415
    from modelpack.cli.frame.run_container import Run  # noqa: PLC0415
    from modelpack.running import asking, preparing  # noqa: PLC0415

    asked = asking.Asked(
        command=click.get_current_context().meta[_COMMAND], publish=publish,
        network=cast("Network", network), memory=memory, cpus=cpus or 0.0,
        environment=environment, gpus=gpus, user=user, name=name, mounts=mounts, trust=trust,
        init=init,
        remove=remove and (detach or only_print),
    )  # fmt: skip
    seconds = quantity.duration(timeout, at="--timeout") / 1000 if timeout else None
    patience = -(-quantity.duration(stop_timeout, at="--stop-timeout") // 1000)
    what = reference.parse(image, at="IMAGE")
    engine = None if only_print and _is_here(what) else machine.engine_for(what)
    host = str(machine.host() or "linux/amd64")
    with preparing.found(
        what, engine=engine, host=host, progress=output.progress(),
        credentials=None if only_print else machine.credentials(),
    ) as found:  # fmt: skip
        container = asking.container(
            found.name, found.facts, asked, variables=machine.variables(),
            project=preparing.folders(what),
        )  # fmt: skip
        if engine is None or only_print:
            _print(output, container, found, detach=detach)
            return
        _warn(output, found, asked)
        container = _of(container, found.load(engine, output.progress()))
    run = Run(output=output, engine=engine, found=found, container=container)
    if detach:
        run.detached(seconds, patience)
    else:
        run.attached(seconds, patience, keep=not remove)


def _is_here(name: "Reference") -> bool:
    """Tell whether an image can be looked at without an engine."""
    from modelpack import reference  # noqa: PLC0415

    return isinstance(name, reference.Project | reference.Layout | reference.Archive)


def _of(container: "Container", image: str) -> "Container":
    from dataclasses import replace  # noqa: PLC0415

    return replace(container, image=image)


def _print(output: Output, container: "Container", found: "Found", *, detach: bool) -> None:
    from modelpack.cli import environment  # noqa: PLC0415
    from modelpack.engine.command_line import command_line  # noqa: PLC0415
    from modelpack.errors import ModelpackError  # noqa: PLC0415

    kind: Kind = "docker"
    held: str | None = None
    try:
        engine = environment.engine()
        kind, held = engine.about.kind, found.held(engine)
    except ModelpackError:  # none is needed
        pass
    image = held or found.name
    words = command_line(container, image, kind=kind, detach=detach)
    if held is None:
        output.say("the engine must have the image first: modelpack build --load, or modelpack run")
    output.result(text=shlex.join(words), document={"command": list(words), "image": image})


def _warn(output: Output, found: "Found", asked: "Asked") -> None:
    if not found.facts.ours:
        output.say("not packed by modelpack: nothing checks its weights when it starts")
    if found.facts.cuda and not asked.gpus:
        output.say("the image is for GPUs, and gets none: --gpus all")
