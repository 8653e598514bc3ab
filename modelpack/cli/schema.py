"""`modelpack schema`: the JSON Schema of modelpack.toml, for editors."""

import click

from modelpack.cli.output import Output, with_output


@click.command("schema")
@with_output
def command(output: Output) -> None:  # noqa: ARG001  JSON either way
    """Print the JSON Schema (2020-12) of modelpack.toml.

    Editors with Even Better TOML or taplo complete and check with it:
    `modelpack schema > modelpack.schema.json`, and `#:schema ./modelpack.schema.json` as first
    line of modelpack.toml.
    """
    from modelpack.cli import display  # noqa: PLC0415
    from modelpack.spec import schema as spec_schema  # noqa: PLC0415

    click.echo(display.to_json(spec_schema.document()))
