"""What a rebuild refuses, and which reasons it gives: on a small whole project."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from modelpack import rebuilding
from modelpack.comparison.recorded import Recorded, RecordedCode, read_code, recorded
from modelpack.comparison.verdict import statement
from modelpack.digest import of as digest_of
from modelpack.errors import Refused, Unavailable
from modelpack.inputs.machine import Machine
from modelpack.inspection import predicates
from modelpack.inspection.reading import read
from modelpack.inspection.vouching import with_referrers
from modelpack.lock import RuntimeLock
from modelpack.oci.layout import Layout
from modelpack.trust import predicate_types
from modelpack.trust import statement as statements
from tests import projects, values


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("built")
    project = projects.make_project(root / "project", root / "cache")
    projects.build(project, root / "cache")
    return root


@pytest.fixture
def machine(built: Path) -> Machine:
    return projects.machine_of(built / "cache")


@pytest.fixture
def layout(built: Path) -> Iterator[Layout]:
    store = Layout(built / "project" / "dist" / "image")
    with store.reading():
        yield store


@pytest.fixture
def image(layout: Layout) -> Recorded:
    return recorded(with_referrers(layout, read(layout, layout.manifests()[0])))


@pytest.fixture
def code(built: Path, image: Recorded) -> RecordedCode:
    return read_code(image, built / "project", environment={})


def test_an_image_says_what_it_was_made_with(image: Recorded) -> None:
    assert image.builder == "embedded"
    assert image.version


def test_a_verdict_is_a_statement_about_the_image(
    image: Recorded, code: RecordedCode, layout: Layout, machine: Machine
) -> None:
    options = rebuilding.Options(clock=iter((100, 200)).__next__)
    verdict = rebuilding.rebuild(image, code, layout, machine=machine, options=options)
    assert verdict.reproduced
    said = statements.parse(statement(verdict).as_bytes())
    assert said.is_about(image.documents.descriptor.digest)
    assert said.predicate["metadata"] == {
        "startedOn": "1970-01-01T00:01:40Z", "finishedOn": "1970-01-01T00:03:20Z",
    }  # fmt: skip
    assert predicates.word(predicate_types.REBUILD) == "rebuild"


def test_another_guard_and_builder_are_reasons(
    image: Recorded, code: RecordedCode, layout: Layout, machine: Machine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    other = RuntimeLock(guard=digest_of(b"other"), probe=image.lock.runtime.probe)
    monkeypatch.setattr(rebuilding, "runtime_lock", lambda _spec: other)
    verdict = rebuilding.rebuild(
        replace(image, builder="docker"), code, layout, machine=machine,
        options=rebuilding.Options(),
    )  # fmt: skip
    guard, builder = verdict.reasons
    assert guard.startswith("the guard of this modelpack is not the locked one")
    assert image.version in guard
    assert "`--builder docker`" in builder


def test_a_strange_base_runs_nothing_here(
    image: Recorded, code: RecordedCode, layout: Layout, machine: Machine
) -> None:
    """Its interpreter would compile, and nobody but the image vouches for it."""
    platform = replace(image.platform, base=values.image_base(), bytecode="unchecked-hash")
    strange = replace(image, platform=platform)
    with pytest.raises(Refused, match="trusted to"):
        rebuilding.rebuild(
            strange, replace(code, lock_from="image"), layout, machine=machine,
            options=rebuilding.Options(),
        )  # fmt: skip


def test_a_base_that_is_not_allowed_is_refused(
    image: Recorded, code: RecordedCode, layout: Layout, machine: Machine
) -> None:
    spec = replace(image.spec, runtime=replace(image.spec.runtime, base="evil.example/base:1"))
    with pytest.raises(Refused):
        rebuilding.rebuild(
            replace(image, spec=spec), code, layout, machine=replace(machine, bases=("ghcr.io/*",)),
            options=rebuilding.Options(),
        )  # fmt: skip


@pytest.mark.parametrize("path", ["../elsewhere", "/etc"])
def test_code_and_weights_lie_below_the_folder(
    path: str, built: Path, image: Recorded, code: RecordedCode, layout: Layout, machine: Machine
) -> None:
    """An image's own word makes nobody read other folders."""
    spec = replace(image.spec, code=replace(image.spec.code, path=path))
    with pytest.raises(Refused, match="below the project"):
        read_code(replace(image, spec=spec), built / "project", environment={})
    weights = (replace(image.spec.weights[0], path=path),)
    with pytest.raises(Refused, match="below the project"):
        rebuilding.rebuild(
            replace(image, spec=replace(image.spec, weights=weights)), code, layout,
            machine=machine, options=rebuilding.Options(),
        )  # fmt: skip


def test_many_strange_files_are_summed_up(built: Path, image: Recorded) -> None:
    files = tuple(replace(image.source.files[0], path=f"service/{n}.py") for n in range(100))
    source = replace(image.source, files=files)
    with pytest.raises(Refused) as stopped:
        read_code(replace(image, source=source), built / "project", environment={})
    assert len(stopped.value.findings) == 51
    assert "files more" in stopped.value.findings[-1].message


def test_an_image_whose_lock_lacks_its_platform_cannot_be_made(image: Recorded) -> None:
    documents = image.documents
    config = documents.config_bytes.replace(b'"architecture":"amd64"', b'"architecture":"riscv64"')
    with pytest.raises(Unavailable, match="no such platform"):
        recorded(replace(documents, config_bytes=config))
