"""A build after a code edit: no weight file is opened, nothing heavy is loaded."""

import os
import subprocess
import sys

from modelpack import pipeline, project
from modelpack.builders import docker
from modelpack.digest import hex_of
from tests import projects

HEAVY = frozenset({
    "pip", "piptools", "installer", "pysequoia", "safetensors", "packaging.metadata", "jinja2",
    "docker", "sigstore", "numpy", "ssl", "cyclonedx", "packageurl", "license_expression",
    "packaging.requirements", "xml", "http.client", "urllib.request", "tarfile", "email",
    # What is needed where something is locked, made anew, or long: it took as long as all the rest.
    "concurrent.futures", "importlib.resources", "logging", "modelpack.checks.model_files.gate",
    "modelpack.inputs.layer_contents", "modelpack.oci.archive", "modelpack.resolve.resolving",
    "modelpack.trust.bundle", "tempfile",
})  # fmt: skip
MODULES = 170
WATCHED = """
import sys
opened = []
def hook(event, arguments):
    if event == "open" and isinstance(arguments[0], (str, bytes)):
        path = arguments[0]
        opened.append(path if isinstance(path, str) else path.decode())
sys.addaudithook(hook)
from modelpack.__main__ import main
try:
    main(["build", *sys.argv[1:], "--locked", "--offline", "-q"])
except SystemExit as stop:
    print(stop.code)
print("\\n".join(sorted(sys.modules)), file=sys.stderr)
print("OPENED", file=sys.stderr)
print("\\n".join(opened), file=sys.stderr)
"""


def build(folder, cache, *options, **variables):
    """Build in a process that tells which modules it loaded and which files it opened."""
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, str(folder), *options], capture_output=True, text=True,
        check=True, env={**os.environ, "MODELPACK_CACHE": str(cache), **variables},
    )  # fmt: skip
    digest, status = done.stdout.split()
    modules, _, opened = done.stderr.partition("OPENED\n")
    assert status == "0", done.stderr
    return digest, set(modules.split()), opened.splitlines()


def project_and_cache(tmp_path):
    cache = tmp_path / "cache"
    folder = projects.make_project(tmp_path / "project", cache)
    for file in (folder / "weights").iterdir():
        os.utime(file, (1_700_000_000, 1_700_000_000))
    return folder, cache


def test_the_first_build_opens_the_weights(tmp_path):
    folder, cache = project_and_cache(tmp_path)
    _, _, opened = build(folder, cache)
    assert [path for path in opened if "/weights/model" in path]


def test_a_code_edit_opens_no_weight_file_and_loads_nothing_heavy(tmp_path):
    folder, cache = project_and_cache(tmp_path)
    before, _, _ = build(folder, cache)
    # A file younger than two seconds is hashed again: what it was may have changed unseen.
    settle(folder / "weights")
    build(folder, cache)
    (folder / "service" / "__main__.py").write_text("print('edited')\n")
    after, modules, opened = build(folder, cache)
    assert after != before
    assert not modules & HEAVY
    # Each takes half a millisecond of what a build after an edit takes: import late what it has
    # no use for.
    assert len([name for name in modules if name.startswith("modelpack.")]) <= MODULES
    assert not [path for path in opened if "/weights/" in path and not path.endswith("/weights")]
    assert "modelpack.checks.elf.gate" not in modules  # the verdict on its libraries is remembered


def test_a_code_edit_is_the_same_work_with_a_docker_builder(tmp_path):
    folder, cache = project_and_cache(tmp_path)
    build(folder, cache)
    settle(folder / "weights")
    build(folder, cache)
    remember_for_docker(folder, cache)
    (folder / "service" / "__main__.py").write_text("print('edited')\n")
    # No program is there to be started.
    after, modules, opened = build(folder, cache, "--builder", "far", PATH=str(tmp_path))
    assert after == build(folder, cache)[0]
    assert not modules & HEAVY
    assert "modelpack.builders.buildkit" not in modules
    assert not [path for path in opened if "/weights/" in path and not path.endswith("/weights")]


def remember_for_docker(folder, cache):
    """Let the cache have the layer of the dependencies as BuildKit would have made it."""
    this = project.read(folder)
    machine = projects.machine_of(cache)
    read = pipeline.read_code(this, machine=machine, epoch=0, options=pipeline.Options())
    ((_, planned),) = pipeline.make_plans(this, this.lock, read)
    (step,) = [step for step in planned.steps if step.kind == "dependencies"]
    made, key = (
        cache / "steps" / f"{hex_of(digest)}.json" for digest in (step.digest, docker.key(step))
    )
    made.rename(key)


def test_a_code_edit_compresses_no_dependency_again(tmp_path):
    folder, cache = project_and_cache(tmp_path)
    build(folder, cache)
    blobs = {path: path.stat().st_mtime_ns for path in (cache / "blobs" / "sha256").iterdir()}
    (folder / "service" / "__main__.py").write_text("print('edited')\n")
    build(folder, cache)
    after = {path: path.stat().st_mtime_ns for path in (cache / "blobs" / "sha256").iterdir()}
    assert {path for path in after if after[path] != blobs.get(path)} != set()
    assert len(set(after) - set(blobs)) == 1
    assert all(after[path] == blobs[path] for path in blobs)


def settle(folder):
    """Wait until the file system's clock is two seconds past the last change of these files."""
    newest = max(file.stat().st_ctime_ns for file in folder.iterdir())
    probe = folder.parent / "clock"
    while True:
        probe.touch()
        if probe.stat().st_mtime_ns - newest > 2_100_000_000:
            probe.unlink()
            return
        subprocess.run(["sleep", "0.2"], check=True)
