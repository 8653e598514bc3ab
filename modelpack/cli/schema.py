"""`modelpack schema`: the JSON Schema of modelpack.toml, for editors."""

import click

from modelpack.cli.frame.output import Output, with_output


@click.command("schema")
@click.option("--policy", is_flag=True, help="That of a policy for `modelpack verify --policy`.")
@with_output
def command(output: Output, *, policy: bool) -> None:  # noqa: ARG001  JSON either way
    """Print the JSON Schema (2020-12) of modelpack.toml, or of a policy.

    Editors with Even Better TOML or taplo complete and check with it:
    `modelpack schema > modelpack.schema.json`, and `#:schema ./modelpack.schema.json` as first
    line of modelpack.toml.
    """
    from modelpack.cli import display  # noqa: PLC0415
    from modelpack.spec import schema as spec_schema  # noqa: PLC0415
    from modelpack.trust.policy import grammar  # noqa: PLC0415

    if policy:
        click.echo(display.to_json(grammar.schema()))
        return
    click.echo(display.to_json(spec_schema.document()))
