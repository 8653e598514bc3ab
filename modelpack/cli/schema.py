"""`modelpack schema`: the JSON Schema of modelpack.toml, for editors."""

import click

from modelpack.cli.frame.output import Output, with_output


@click.command("schema")
@click.option("--policy", is_flag=True, help="That of a policy for `modelpack verify --policy`.")
@click.option("--golden", is_flag=True, help="That of a golden file for `modelpack test`.")
@with_output
def command(output: Output, *, policy: bool, golden: bool) -> None:  # noqa: ARG001  JSON anyway
    """Print the JSON Schema (2020-12) of modelpack.toml, of a policy, or of a golden file.

    Editors with Even Better TOML or taplo complete and check with it:
    `modelpack schema > modelpack.schema.json`, and `#:schema ./modelpack.schema.json` as first
    line of modelpack.toml.
    """
    from modelpack.cli import display  # noqa: PLC0415
    from modelpack.functional import golden_schema  # noqa: PLC0415
    from modelpack.spec import schema as spec_schema  # noqa: PLC0415
    from modelpack.trust.policy import grammar  # noqa: PLC0415

    if policy and golden:
        raise click.UsageError("`--policy` or `--golden`, not both")
    found = grammar.schema() if policy else golden_schema.schema() if golden else None
    click.echo(display.to_json(found or spec_schema.document()))
