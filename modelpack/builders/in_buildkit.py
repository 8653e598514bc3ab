"""One build in BuildKit: the locked wheels installed on the base, given back as a tree of files."""

from collections.abc import Mapping
from pathlib import Path

from modelpack import canonical_json
from modelpack.builders import buildkit, recipe
from modelpack.builders.build_log import BuildLog
from modelpack.digest import hex_of
from modelpack.errors import InputError, Refused
from modelpack.inputs.machine import Machine
from modelpack.inputs.python import locked_wheels, pip_installed, pip_wheel
from modelpack.lock import ImageBase, PlatformLock
from modelpack.oci import tar_tree
from modelpack.oci.blobs import content_of
from modelpack.oci.image import Image
from modelpack.oci.layer import Layer, StoredFile
from modelpack.oci.plain_layers import write_plain
from modelpack.oci.tree import Tree
from modelpack.plan import VENV
from modelpack.quantity import counted


def environment(
    client: buildkit.Client,
    platform: PlatformLock,
    *,
    base: tuple[Layer, ...],
    machine: Machine,
    scratch: Path,
    use_cache: bool,
) -> Tree:
    """Return the virtual environment that pip makes of the locked wheels in BuildKit.

    `base` are the layers of the base. Contents lie in `scratch`, which must outlive the
    Tree. Raises Refused for what no wheel vouches for, and when the wheels are not installed;
    Unavailable where the builder fails.
    """
    paths = locked_wheels.fetch(
        platform.wheels, downloads=machine.downloads, indexes=machine.indexes,
        environment=machine.environment, offline=machine.offline, progress=machine.progress,
    )  # fmt: skip
    pip = pip_wheel.fetch(machine)
    pip_installed.check(platform.wheels, paths, interpreter=platform.interpreter, scratch=scratch)
    context = scratch / "context"
    context.mkdir()
    first, contexts = _base(client, platform, base, scratch)
    recipe.write(context, platform, paths=paths, pip=pip, first=first)
    found = _build(client, context, contexts, platform, machine=machine, use_cache=use_cache)
    return pip_installed.environment(
        found, platform.wheels, paths, interpreter=platform.interpreter, scratch=scratch,
        venv=VENV.strip("/"), bytecode=platform.bytecode != "none",
    )  # fmt: skip


def _build(
    client: buildkit.Client,
    context: Path,
    contexts: Mapping[str, str],
    platform: PlatformLock,
    *,
    machine: Machine,
    use_cache: bool,
) -> Tree:
    """Build `context` and return what the builder returned, as it is."""
    machine.progress.say(f"building with `{client.builder}`")
    stages = {
        recipe.PIP_STEP: f"installing {counted(len(platform.wheels), 'wheel')}",
        recipe.SETTLING_STEP: "checking what was installed, compiling it",
    }
    result = context.with_name("built.tar")
    with result.open("wb") as output:
        buildkit.build(
            client, context, output, platform=platform.platform, contexts=contexts,
            use_cache=use_cache, environment=machine.environment,
            log=BuildLog(machine.progress.say, stages=stages),
        )  # fmt: skip
    try:
        return tar_tree.read(result, at=f"what builder `{client.builder}` returned")
    except InputError as error:
        raise Refused(*error.findings) from error


def _base(
    client: buildkit.Client, platform: PlatformLock, layers: tuple[Layer, ...], scratch: Path
) -> tuple[list[str], dict[str, str]]:
    """Return the first lines of the Dockerfile and the named contexts that are the base."""
    if client.takes_layouts:
        # With a configuration of our own: no variable, user or trigger of a foreign base is there.
        image = Image(platform=platform.platform, layers=layers, config={}, created=0)
        place = _layout(image, scratch / "base")
        return [], {recipe.BASE: f"oci-layout://{place}@{image.digest}"}
    if isinstance(platform.base, ImageBase):
        name = platform.base.reference.partition("@")[0]
        return [f"FROM {name}@{platform.base.digest} AS {recipe.BASE}"], {}
    lines = [f"FROM scratch AS {recipe.BASE}"]
    for number, layer in enumerate(layers, start=1):
        name = f"base-{number}.tar"
        write_plain(layer, scratch / "context" / name)
        lines.append(f"ADD {name} /")
    return lines, {}


def _layout(image: Image, folder: Path) -> Path:
    """Write an OCI layout whose layers are links to where they lie: no layer is copied."""
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    for blob in (*image.blobs, image.manifest_blob):
        place = blobs / hex_of(blob.digest)
        if isinstance(blob.origin, StoredFile):
            place.symlink_to(Path(blob.origin.path).absolute())
        else:
            place.write_bytes(content_of(blob))
    index = {"schemaVersion": 2, "manifests": [image.manifest_blob.descriptor.as_json()]}
    (folder / "index.json").write_bytes(canonical_json.dumps(index))
    (folder / "oci-layout").write_bytes(canonical_json.dumps({"imageLayoutVersion": "1.0.0"}))
    return folder
