"""`build --load`: the engine is asked before anything is built, and gets what was written."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from modelpack.cli.frame.output import Output

if TYPE_CHECKING:
    from modelpack.assembly import outputs
    from modelpack.digest import Digest
    from modelpack.engine.door import Engine
    from modelpack.spec import Spec


def ready_engine(spec: "Spec", platforms: Sequence[str], *, at: str) -> "Engine":
    """Return the engine; raise when none answers, or when it cannot use what will be built.

    Of the spec's platforms only `platforms` are built, where there are any. `at` is the option that
    asks for it.
    """
    from modelpack.cli import environment  # noqa: PLC0415
    from modelpack.engine import loading  # noqa: PLC0415
    from modelpack.errors import InputError  # noqa: PLC0415

    engine = environment.engine()
    loading.check_compression(engine, [f"+{spec.image.compression}"])
    platform = str(engine.about.platform)
    if platform not in (platforms or spec.image.platforms):
        raise InputError(
            f"the engine runs `{platform}`, which is not built", at=at,
            hint=f"--platform {platform}" if platforms else f'add "{platform}" to image.platforms',
        )  # fmt: skip
    return engine


def load(
    engine: "Engine", where: "outputs.Output", digest: "Digest", output: Output
) -> dict[str, Any]:  # fmt: skip
    """Give the engine the image with `digest` from one of the build's outputs, and say so."""
    from modelpack import reference  # noqa: PLC0415
    from modelpack.engine import loading  # noqa: PLC0415
    from modelpack.stores import opening  # noqa: PLC0415

    place: reference.Layout | reference.Archive = where.target
    if isinstance(place, reference.Layout):
        place = reference.Layout(place.path, "", digest)
    with opening.on_disk(place) as (store, root):
        loaded = loading.load(engine, store, root, names=where.names, progress=output.progress())
    names = ", ".join(loaded.names)
    verb = "loaded into" if loaded.sent else "already in"
    output.say(f"{names}: {verb} {engine.about}")
    return {
        "engine": str(engine.about),
        "id": loaded.id,
        "names": list(loaded.names),
        "digest": loaded.manifest,
        "sent": loaded.sent,
    }
