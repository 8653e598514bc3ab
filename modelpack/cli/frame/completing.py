"""Answer a shell that asks what could come next; the scripts are `modelpack completion`'s."""

import os

import click

VARIABLE = "_MODELPACK_COMPLETE"


def answer_shell(group: click.Group) -> bool:
    """Print completions if a completion script runs us; return whether one did."""
    instruction = os.environ.get(VARIABLE, "")  # noqa: TID251  before anything else is imported
    if not instruction:
        return False
    from click.shell_completion import shell_complete  # noqa: PLC0415  only for a shell

    shell_complete(group, {}, "modelpack", VARIABLE, instruction)
    return True
