"""`modelpack doctor`: what it finds, and when it says no."""

import json
import sys
from dataclasses import replace

import pytest
from click.testing import CliRunner

from modelpack.builders import capability as builder_capability
from modelpack.cli import environment
from modelpack.cli.doctor import command
from modelpack.inputs import capabilities
from modelpack.inputs.capabilities import Capability
from modelpack.inputs.debian.mirrors import Mirrors
from tests.fakes.programs import Programs


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """This machine, with a cache of its own."""
    monkeypatch.setenv("MODELPACK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("MODELPACK_CONFIG", str(tmp_path / "none.toml"))
    return environment.machine()


def probe(machine, folder, **options) -> dict[str, Capability]:
    """Return capabilities by name."""
    found = capabilities.probe(machine, folder, online=False, **options)
    return {capability.name: capability for capability in found}


def test_python_and_every_required_package_are_named(machine, tmp_path):
    found = probe(machine, tmp_path)
    assert found["Python"].found.startswith(f"{sys.version_info.major}.")
    assert {"click", "deflate", "installer", "packaging", "pip", "tomli"} <= set(found)
    assert found["tomli"].state == "ok"


def test_a_machine_without_programs_is_told_how_to_mend_it(machine, tmp_path):
    bare = replace(
        machine,
        environment={"PATH": str(tmp_path), "DOCKER_HOST": f"unix://{tmp_path}/none.sock"},
        host=None,
    )
    found = probe(bare, tmp_path)
    for name in ("Trivy", "git", "platform", "user namespaces", "container engine"):
        assert found[name].state == "limited"
        assert found[name].hint
    assert "check --run" in found["user namespaces"].needed_for
    assert "container engine" in found["user namespaces"].hint


def test_an_engine_that_answers_is_named_with_its_version(machine, tmp_path, fake):
    found = probe(replace(machine, environment={"DOCKER_HOST": fake.url}), tmp_path)

    assert found["container engine"].state == "ok"
    assert found["container engine"].found == f"Docker 28.5.2 at {fake.url}"


def test_the_builder_that_docker_would_use_is_named(machine, tmp_path):
    programs = Programs(tmp_path / "bin")
    there = replace(machine, environment=programs.environment)

    assert builder_capability.probe(there).state == "limited"
    assert "neither `docker` nor `buildx`" in builder_capability.probe(there).found
    assert builder_capability.probe(there).hint

    programs.add("docker", ("version*", "echo 20.10.24 20.10.24"))
    assert builder_capability.probe(there).state == "ok"
    assert builder_capability.probe(there).found == "docker, driver docker, BuildKit 20.10.24"


def test_mirrors_are_asked_only_online(machine, tmp_path):
    nowhere = "http://127.0.0.1:9"
    deaf = replace(
        machine,
        mirrors=Mirrors(debian=(nowhere,), debian_security=(nowhere,), snapshot=nowhere),
        environment={"PATH": ""},
    )
    assert "Debian mirror" not in probe(deaf, tmp_path)
    found = {c.name: c for c in capabilities.probe(deaf, tmp_path, online=True)}
    assert found["Debian mirror"].state == "missing"
    assert found["Debian snapshots"].state == "limited"


def test_the_table_has_a_row_for_each_and_the_hints_below(machine):
    result = CliRunner().invoke(command, [])
    document = json.loads(CliRunner().invoke(command, ["--json"]).stdout)
    assert result.exit_code == (1 if document["missing"] else 0)
    for capability in document["capabilities"]:
        assert capability["name"] in result.stdout
        assert capability["hint"] in result.stdout


def test_something_missing_is_a_no(machine, monkeypatch):
    missing = Capability(name="pip", state="missing", found="-", needed_for="lock", hint="get it")
    monkeypatch.setattr(capabilities, "probe", lambda *_, **__: (missing,))
    result = CliRunner().invoke(command, [])
    assert result.exit_code == 1
    assert "MISSING  pip" in result.stdout
    assert "hint: pip: get it" in result.stdout
