"""What `build --test` needs before anything is built: an engine, golden files, rules."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from modelpack.engine.door import Engine
    from modelpack.functional.gate import Wanted
    from modelpack.project import Project


def wanted(this: "Project", platforms: Sequence[str], engine: "Engine | None") -> "Wanted":
    """Return what is asked of the image; raise what is wrong with that, or with the engine.

    In the `engine` that gets the image anyway it stays, in another there is nothing of it after.
    """
    from modelpack.cli import environment  # noqa: PLC0415
    from modelpack.cli.frame import loading  # noqa: PLC0415
    from modelpack.functional import gate, golden_files, rules  # noqa: PLC0415

    golden = golden_files.read(this.root, this.spec.test.golden)
    serves = any(not one.request.call for one in golden)
    return gate.Wanted(
        engine=engine or loading.ready_engine(this.spec, platforms, at="--test"), golden=golden,
        rules=rules.of_spec(this.spec, serves=serves), clock=environment.now,
        keeps=engine is not None,
    )  # fmt: skip
