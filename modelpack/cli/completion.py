"""`modelpack completion`: a script that completes commands and options in a shell."""

import click

from modelpack.cli.frame.completing import VARIABLE
from modelpack.cli.frame.output import Output, with_output


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@with_output
def command(output: Output, shell: str) -> None:
    """Print a completion script for SHELL.

    bash: eval "$(modelpack completion bash)" in ~/.bashrc;
    zsh: the same with zsh in ~/.zshrc;
    fish: modelpack completion fish > ~/.config/fish/completions/modelpack.fish
    """
    from click import shell_completion  # noqa: PLC0415  not for `--help`

    from modelpack.cli import group  # noqa: PLC0415  it imports this module late

    kind = shell_completion.get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"no completion for `{shell}`")
    # Not kind.source(): for bash that starts bash, only to learn its version.
    script = kind(group, {}, "modelpack", VARIABLE)
    text = script.source_template % script.source_vars()
    output.result(text=text, document={"shell": shell, "script": text})
