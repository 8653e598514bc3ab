"""Secrets in the spec: all of it goes into the image, in labels, environment or `spec.json`."""

from collections.abc import Iterator

from modelpack import canonical_json
from modelpack.checks.secrets.gate import findings_in_values
from modelpack.errors import Finding
from modelpack.spec import Spec


def findings(spec: Spec) -> tuple[Finding, ...]:
    """Return the secrets among all texts of `spec`, each at its dotted path."""
    found: list[Finding] = []
    for table, content in canonical_json.plain(spec).items():
        for at, key, text in _texts(table, content):
            found += findings_in_values({key: text}, at=at)
    return tuple(found)


def _texts(at: str, value: object) -> Iterator[tuple[str, str, str]]:
    """Yield the place, the key and the text of everything below `value`."""
    if isinstance(value, list):
        value = {f"[{position}]": item for position, item in enumerate(value)}
    if not isinstance(value, dict):
        return
    for key, item in value.items():
        if isinstance(item, str):
            yield at, key, item
        else:
            yield from _texts(f"{at}.{key}", item)
