"""What a test needs to know of an image, and the container that it is tested in."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from modelpack.assembly.evidence import Evidence
from modelpack.canonical_json import pretty
from modelpack.engine.door import Engine
from modelpack.engine.value import Container
from modelpack.errors import Unavailable
from modelpack.functional import interfaces, predicate
from modelpack.functional.golden import Golden
from modelpack.functional.rules import Rules
from modelpack.functional.run import Subject
from modelpack.functional.value import Tested
from modelpack.metadata import GUARD
from modelpack.oci.layer import Descriptor
from modelpack.plan import VENV
from modelpack.progress import Progress
from modelpack.running import asking
from modelpack.running.asking import Asked
from modelpack.running.preparing import Found

KIND = "test"
"of evidence: a later test takes the place of an earlier one"
USER = 54321
"whom nobody planned for, as some platforms choose one"
_SETTINGS = 1 << 16
"bytes of what says that a folder is a virtual environment"
_PYTHON = "python3"
"of an image that says nothing of its interpreter"


def container(
    found: Found,
    rules: Rules,
    *,
    mounts: tuple[str, ...],
    trust: str,
    gpus: str,
    project: Mapping[str, Path] | None,
) -> Container:
    """Return the container of a test: as hard as a platform runs it, and without a network."""
    asked = Asked(
        network="none", memory=rules.limits.get("memory", ""), cpus=rules.cpus, user=USER,
        mounts=mounts, trust=trust, gpus=gpus,
    )  # fmt: skip
    return asking.container(found.name, found.facts, asked, variables={}, project=project)


def subject(
    engine: Engine,
    found: Found,
    container: Container,
    *,
    golden: tuple[Golden, ...],
    rules: Rules,
    progress: Progress,
) -> Subject:
    """Bring the image into the engine, and return what is tested."""
    image = found.load(engine, progress)
    held = engine.image(image)
    if held is None:
        raise Unavailable(f"the engine has lost the image `{image}`", at=str(engine.about))
    words = [str(word) for word in held.config.get("Entrypoint") or ()]
    python = _interpreter(words)
    calls = tuple(one for one in golden if one.request.call)
    return Subject(
        container=replace(container, image=image),
        declared=str(held.config.get("User") or ""),
        python=python,
        size=found.size,
        golden=tuple(one for one in golden if not one.request.call),
        calls=calls,
        caller=_caller(engine, image, python) if calls else "",
        rules=rules,
        interface=interfaces.stated(engine, image, held.config.get("Labels") or {}),
    )


def _interpreter(entrypoint: Sequence[str]) -> str:
    """Return the interpreter that starts the guard: the path before it and its options."""
    before = entrypoint[: entrypoint.index(GUARD)] if GUARD in entrypoint else ()
    return next((word for word in reversed(before) if word.startswith("/")), _PYTHON)


def _caller(engine: Engine, image: str, python: str) -> str:
    """Return the interpreter that sees the image's packages: that of its virtual environment."""
    found = engine.file(image, f"{VENV}/pyvenv.cfg", limit=_SETTINGS)
    return python if found is None else f"{VENV}/bin/python"


def evidence(tested: Tested, manifest: Descriptor, name: str) -> Evidence:
    """Return what `tested` says of the image `name`."""
    said = predicate.statement(tested, name, manifest.digest)
    return Evidence(
        kind=KIND, file="test.json", copy=pretty(said.as_json()), statement=said,
        subjects=(replace(manifest, annotations={}),),
    )  # fmt: skip
