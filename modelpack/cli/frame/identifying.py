"""Which manifest an engine's image has, by the registry it came from or by the build record."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from modelpack.errors import ModelpackError

if TYPE_CHECKING:
    from modelpack.engine.door import Engine
    from modelpack.inspection.reading import Readable
    from modelpack.oci.layer import Descriptor
    from modelpack.project import Project
    from modelpack.reference import Registry


@dataclass(frozen=True, slots=True)
class Identifier:
    """What a registry, the engine itself and the project's last build know."""

    project: "Project"

    def far(self, name: "Registry") -> "tuple[Readable, Descriptor]":
        """Return a registry's repository, and the manifest or index that `name` stands for."""
        from modelpack.cli import environment  # noqa: PLC0415
        from modelpack.oci.registry.repository import Repository  # noqa: PLC0415
        from modelpack.stores import opening  # noqa: PLC0415

        repository = Repository(name, environment.registries())
        return repository, opening.found(repository, name)

    def held(self, engine: "Engine", name: str) -> "Descriptor | None":
        """Return the manifest of an image that the engine has by itself; None: nobody knows."""
        held = engine.image(name)
        if held is None:
            return None
        return built_here(self.project, held.id) or held.manifest


def built_here(this: "Project", image: str) -> "Descriptor | None":
    """Return the manifest of what was last built, where that is `image`: its configuration, or it.

    None: something else was, or its layout has gone.
    """
    from modelpack.cli.frame import build_record  # noqa: PLC0415
    from modelpack.oci.layout import Layout  # noqa: PLC0415

    for row in build_record.images(this.output / "build.json"):
        if row.get("role") == "serve" and image in (row.get("config"), row.get("digest")):
            try:
                return Layout(Path(this.layout)).resolve(str(row["digest"]))
            except ModelpackError:
                return None
    return None
