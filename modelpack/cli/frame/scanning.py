"""What `scan` and `build --scan` share: which vulnerability database is used."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from modelpack.evidence.scan.database import Wanted

database_option = click.option(
    "--db", "database", type=click.Path(path_type=Path, file_okay=False), metavar="DIR",
    help="Use the vulnerability database in this folder as it is.",
)  # fmt: skip


def wanted_database(given: Path | None) -> "Wanted":
    """Return the database in the folder `given`, else as the user's configuration says."""
    from modelpack.cli import environment  # noqa: PLC0415
    from modelpack.evidence.scan.database import Wanted  # noqa: PLC0415

    settings = environment.configuration().get("scan", {})
    folder, repository, java = (
        str(settings.get(key, "")) for key in ("database", "repository", "java-repository")
    )
    if given is None and folder:
        given = Path(folder).expanduser()
    return Wanted(folder=given, repository=repository, java_repository=java)
