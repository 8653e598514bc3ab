"""A container that `modelpack run` started: what a person sees of it, and how the command ends."""

import sys
from typing import TYPE_CHECKING, Any

import click

from modelpack.cli.frame.output import Output
from modelpack.errors import Refused

if TYPE_CHECKING:
    from modelpack.engine.door import Engine
    from modelpack.engine.value import Container, Port, State
    from modelpack.errors import Finding
    from modelpack.running.following import Ended, Watch
    from modelpack.running.preparing import Found


class Run:
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
        from modelpack.cli.frame.place import as_document  # noqa: PLC0415

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
