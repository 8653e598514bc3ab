"""Templates of files for other systems, filled in between brackets that none of them has.

Nothing is escaped: a value is written as JSON, which YAML reads as it is, or is a word that needs
no escaping.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any


def fill(
    template: str, values: Mapping[str, Any], *, finalize: Callable[[Any], Any] | None = None
) -> str:
    """Return `template` with `values`; `finalize` makes text of what is printed, or refuses it."""
    from jinja2 import Environment, StrictUndefined  # noqa: PLC0415  only where one is rendered

    environment = Environment(
        undefined=StrictUndefined, finalize=finalize, autoescape=False,  # noqa: S701  YAML, no HTML
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
        variable_start_string="[=", variable_end_string="=]",
        comment_start_string="{##", comment_end_string="##}",
    )  # fmt: skip
    environment.filters["json"] = _json
    return environment.from_string(template).render(values)


def _json(value: object) -> str:
    return json.dumps(value, sort_keys=True)
