"""The names of an image: tags of a layout, full names for engines."""

from collections.abc import Sequence

from modelpack import reference
from modelpack.errors import InputError
from modelpack.spec import Spec


def image_names(spec: Spec, given: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the tags and the full names that `given` (`--tag`), else the spec, asks for.

    Raises InputError when a given name is not a repository with a tag.
    """
    if not given:
        tags = spec.image.tags or (spec.model.version,)
        repository = spec.image.repository or spec.model.name
        return tags, tuple(f"{repository}:{tag}" for tag in tags)
    parsed = [reference.registry(name, at="--tag") for name in given]
    for name, item in zip(given, parsed, strict=True):
        if not item.tag or item.digest:
            raise InputError(f"`{name}` has no tag, or a digest", at="--tag",
                             hint="name it like `ghcr.io/acme/minilm:1.2.0`")  # fmt: skip
    return tuple(dict.fromkeys(item.tag for item in parsed)), tuple(given)
