"""The command line: one file per command, a table of their names, and imports that come late."""

import importlib

import click

from modelpack import __version__
from modelpack.cli.frame.output import complete

SECTIONS: dict[str, dict[str, str]] = {
    "A project": {
        "init": "Write a first modelpack.toml from what a folder holds.",
        "schema": "Print the JSON Schema of modelpack.toml, for editors.",
        "shard": "Split safetensors into shards with an index, or merge them.",
        "lock": "Pin every input in modelpack.lock, or tell whether it is stale.",
        "check": "Look for all that would refuse a build.",
        "plan": "Show what would be built, and what again and why.",
    },
    "Its image": {
        "build": "Build the image; makes a missing modelpack.lock.",
        "render": "Write a Dockerfile and its context, for plain docker build.",
        "rebuild": "Make an image again and say where it differs.",
        "run": "Run an image in Docker or podman, hardened.",
        "test": "Ask a running image what must be answered, and measure it.",
        "scan": "Let Trivy look at an image, and judge what it finds.",
    },
    "What it is": {
        "inspect": "Show what an image claims to be and where it came from.",
        "diff": "Show what differs between two images, and what must be pulled.",
        "sbom": "Print the bill of materials of an image.",
        "card": "Print a model card of an image, in Markdown.",
    },
    "Where it goes": {
        "push": "Bring an image, and what belongs to it, into a registry.",
        "pull": "Fetch an image, and what belongs to it, from a registry.",
        "copy": "Copy an image, and what belongs to it, between places.",
        "attach": "Keep evidence of others beside an image.",
        "login": "Keep credentials for a registry where docker and podman do.",
        "prune": "Remove old versions of a repository, and what vouches for them.",
    },
    "Who vouches": {
        "sign": "Sign an image, and what was found out about it here.",
        "verify": "Prove who signed an image, and what a policy asks of it.",
        "promote": "Let an image become the one of a stage, such as production.",
        "deploy": "Write what a cluster needs to run an image, or to refuse it.",
        "ci": "Write a pipeline for GitHub, GitLab or another CI.",
    },
    "This machine": {
        "doctor": "Show what this machine lacks, and for which command.",
        "cache": "Show or prune what is kept on disk.",
        "completion": "Print a completion script for bash, zsh or fish.",
    },
}
COMMANDS: dict[str, str] = {
    name: text for commands in SECTIONS.values() for name, text in commands.items()
}
"Names and help texts; a test compares them with the commands, which are imported on use."


class CommandTable(click.Group):
    """A group that knows its commands' names and texts without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Return the names in the order of work."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import the command; every command takes `--json`, `-q` and `-v`."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"modelpack.cli.{cmd_name}")
        return complete(module.command)

    def format_commands(
        self,
        ctx: click.Context,  # noqa: ARG002
        formatter: click.HelpFormatter,
    ) -> None:
        """Write the tables, with one width for all names."""
        width = max(map(len, COMMANDS))
        for title, commands in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(f"{name:{width}}", text) for name, text in commands.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or fail with the most similar names."""
        name = args[0]
        if name in COMMANDS or name.startswith("-"):
            return super().resolve_command(ctx, args)
        import difflib  # noqa: PLC0415  only for mistakes

        near = difflib.get_close_matches(name[:64], COMMANDS, n=1)
        hint = f" — did you mean `{near[0]}`?" if near else ""
        raise click.UsageError(f"no command `{name[:64]}`{hint}", ctx)


group = CommandTable(
    name="modelpack",
    help="Reproducible, verifiable container images for machine-learning models.\n\n"
    "`modelpack init` writes a first modelpack.toml; `modelpack build` packs it;\n"
    "`modelpack inspect .` shows what is in the image.",
    epilog="Exit status: 0 yes, 1 the answer is no, 2 wrong input or stale lock, 3 could not find "
    "out.",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    params=[
        click.Option(
            ["--version"],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            help="Print the version.",
            callback=lambda ctx, _, value: _print_version(ctx) if value else None,
        )
    ],
)


def _print_version(ctx: click.Context) -> None:
    click.echo(f"modelpack {__version__}")
    ctx.exit()
