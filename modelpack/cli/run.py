"""`modelpack run`: the image in the local engine, as hard as a platform would run it."""

import shlex
import sys
from typing import TYPE_CHECKING, Any, cast

import click

from modelpack.cli.output import Output, with_output
from modelpack.errors import Refused

if TYPE_CHECKING:
    from modelpack.engine.door import Engine
    from modelpack.engine.value import Container, Kind, Network, Port, State
    from modelpack.errors import Finding
    from modelpack.reference import Reference
    from modelpack.running.asking import Asked
    from modelpack.running.following import Ended, Watch
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
    from modelpack.running import asking, preparing  # noqa: PLC0415

    asked = asking.Asked(
        command=click.get_current_context().meta[_COMMAND], publish=publish,
        network=cast("Network", network), memory=memory, cpus=cpus or 0.0,
        environment=environment, gpus=gpus, user=user, name=name, mounts=mounts, init=init,
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
    run = _Run(output=output, engine=engine, found=found, container=container)
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


class _Run:
    """One container, with somebody watching or without."""

    def __init__(
        self, *, output: Output, engine: "Engine", found: "Found", container: "Container"
    ) -> None:
        self.output, self.engine, self.found, self.container = output, engine, found, container

    def attached(self, seconds: float | None, patience: int, *, keep: bool) -> None:
        """Show what it writes until it ends, and end with its exit status."""
        from modelpack.cli import display  # noqa: PLC0415
        from modelpack.running import explaining, following  # noqa: PLC0415

        with following.started(
            self.engine, self.container, keep=keep, patience=patience, say=self.output.say
        ) as watch:
            self._show(watch)
            state = self.engine.state(watch.id)
            self._announce(state)
            ended = watch.end(self.found.facts.health, seconds)
            log = bytes(watch.tail)
        why = explaining.findings(
            self.container, ended.status, ended.state, log, stopped=ended.stopped
        )
        if ended.late:
            self._too_late(seconds, why)
        for finding in why:
            click.echo(display.finding(finding), err=True)
        if self.output.as_json:
            self.output.result(text="", document=self._ended(watch.id, state, ended, why))
        click.get_current_context().exit(ended.status)

    def detached(self, seconds: float | None, patience: int) -> None:
        """Leave it running, once it is ready where that is to be waited for."""
        from modelpack.running import following  # noqa: PLC0415

        with following.started(
            self.engine, self.container, keep=True, patience=patience, say=self.output.say
        ) as watch:
            if seconds is not None:
                self._until_ready(watch, seconds)
            state = self.engine.state(watch.id)
        self._announce(state)
        self.output.result(text=watch.id, document=self._started(watch.id, state))

    def _until_ready(self, watch: "Watch", seconds: float) -> None:
        """Wait; raise Refused with the end of its log when it ended, or is not ready in time."""
        from modelpack.running import explaining  # noqa: PLC0415

        watch.show(lambda _: None, stdout=False, stderr=True)
        ready = watch.ready(self.found.facts.health, seconds)
        state = self.engine.state(watch.id)
        if ready and state is not None and state.running:
            return
        if not ready:
            watch.stop()
        watch.drain()
        log = bytes(watch.tail)
        _to_stderr(log)
        status = explaining.GUARD_REFUSED if b"guard.refused" in log else 0
        if state is not None and state.status is not None:
            status = state.status
        why = explaining.findings(self.container, status, state, log, stopped=not ready)
        if ready:
            raise Refused("the container ended before it was ready", *why,
                          hint="run it without `--detach`")  # fmt: skip
        self._too_late(seconds, why)

    def _too_late(self, seconds: float | None, why: "tuple[Finding, ...]") -> None:
        raise Refused(
            f"the service was not ready within {seconds:g} s, and was stopped", *why,
            hint="see its log above, or give it more time with `--timeout`",
        )  # fmt: skip

    def _show(self, watch: "Watch") -> None:
        """Pass on what it writes: with a COMMAND its stdout is the result, else all is log."""
        if self.container.command and not self.output.as_json:
            watch.show(_to_stdout, stdout=True, stderr=False)
            watch.show(_to_stderr, stdout=False, stderr=True)
        else:
            watch.show(_to_stderr, stdout=True, stderr=True)

    def _announce(self, state: "State | None") -> None:
        if state is None or not state.running:
            return
        for port in state.ports:
            self.output.say(f"{state.name} at {_url(port)}")
        if self.container.ports and not state.ports:
            self.output.say(f"{state.name} cannot be reached: the engine gave it no network")

    def _started(self, id_: str, state: "State | None") -> dict[str, Any]:
        from modelpack.cli import display  # noqa: PLC0415

        return {
            "id": id_,
            "name": state.name if state else self.container.name,
            "image": self.container.image,
            "digest": self.found.digest,
            "engine": display.plain(self.engine.about),
            "ports": [{**display.plain(p), "url": _url(p)} for p in (state.ports if state else ())],
        }  # fmt: skip

    def _ended(
        self, id_: str, state: "State | None", ended: "Ended", why: "tuple[Finding, ...]"
    ) -> dict[str, Any]:
        from modelpack.cli.place import as_document  # noqa: PLC0415

        return {
            **self._started(id_, state),
            "status": ended.status,
            "out_of_memory": ended.state is not None and ended.state.out_of_memory,
            "findings": as_document(why),
        }


def _url(port: "Port") -> str:
    address = "127.0.0.1" if port.address in ("0.0.0.0", "::") else port.address  # noqa: S104
    return f"http://{f'[{address}]' if ':' in address else address}:{port.host}"


def _to_stdout(block: bytes) -> None:
    sys.stdout.buffer.write(block)
    sys.stdout.buffer.flush()


def _to_stderr(block: bytes) -> None:
    sys.stderr.buffer.write(block)
    sys.stderr.buffer.flush()
