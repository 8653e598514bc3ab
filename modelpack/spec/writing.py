"""A Spec, or a table of it, as the author could have written it: what has its default is left out.

So an image, and a lock, stays the same when a later version knows more keys.
"""

from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Any

from modelpack import canonical_json
from modelpack.spec import Spec, Weights


def written(table: Spec | Weights) -> dict[str, Any]:
    """Return the keys of `table` that say something, as JSON values.

    Read back by `modelpack.spec.decoding.decode_document` it is the same Spec.
    """
    return _table(table)


def _table(table: Any) -> dict[str, Any]:  # noqa: ANN401  any table of the spec
    return {
        field.name.replace("_", "-"): _value(getattr(table, field.name))
        for field in fields(table)
        if getattr(table, field.name) != _default(field)
    }


def _value(value: Any) -> Any:  # noqa: ANN401  any value in a table
    if isinstance(value, tuple):
        return [_value(item) for item in value]
    return _table(value) if is_dataclass(value) else canonical_json.plain(value)


def _default(field: Field[Any]) -> Any:  # noqa: ANN401  whatever the field holds
    if field.default_factory is not MISSING:
        return field.default_factory()
    return field.default
