"""`modelpack login`: credentials for a registry, kept where docker and podman look for them."""

import sys

import click

from modelpack.cli.frame.output import Output, with_output
from modelpack.errors import InputError

_LONGEST = 64 << 10
"characters of a password: some are tokens"


@click.command("login")
@click.argument("registry", metavar="REGISTRY")
@click.option("-u", "--username", default="", metavar="NAME", help="Who (default: asked for).")
@click.option(
    "--password-stdin", is_flag=True, help="Read the password from stdin (default: asked for)."
)
@with_output
def command(*, output: Output, registry: str, username: str, password_stdin: bool) -> None:
    """Try out credentials for REGISTRY, such as ghcr.io, and keep them.

    They are kept as `docker login` does: by the credential program that docker's config.json
    names, else in that file, readable by its owner only. A password never stands on a command line.
    """
    from modelpack import reference  # noqa: PLC0415
    from modelpack.cli import environment  # noqa: PLC0415
    from modelpack.oci.registry import logins  # noqa: PLC0415
    from modelpack.oci.registry.credentials import Credential  # noqa: PLC0415

    host = reference.registry(f"{registry.strip('/')}/any", at="REGISTRY").host
    if not {".", ":"} & set(registry) and registry != "localhost":
        raise InputError(f"not a registry: `{registry}`", at="REGISTRY", hint="such as `ghcr.io`")
    if not username:
        username = _asked("username", hide=False)
    password = _from_stdin() if password_stdin else _asked("password", hide=True)
    credential = Credential(username=username, password=password, source="login")
    settings = environment.registries()
    logins.check(host, credential, settings)
    place = logins.keep(host, credential, settings)
    output.say(f"kept in {place}")
    output.result(text=host, document={"registry": host, "username": username, "kept": place})


def _asked(what: str, *, hide: bool) -> str:
    if not sys.stdin.isatty():
        raise InputError(
            f"no {what}, and nobody to ask", at=f"--{what}",
            hint="modelpack login REGISTRY --username NAME --password-stdin < FILE",
        )  # fmt: skip
    answer: str = click.prompt(what, hide_input=hide, err=True)
    return answer


def _from_stdin() -> str:
    text = sys.stdin.read(_LONGEST + 1)
    password = text.removesuffix("\n").removesuffix("\r")
    if not password or len(text) > _LONGEST:
        raise InputError("no password on stdin, or one that is too long", at="--password-stdin")
    return password
