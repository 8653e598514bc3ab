"""Dependency layers from BuildKit: pip runs in the base that the image will have, wherever that is.

BuildKit makes files, modelpack makes layers (ADR 0010): what comes back is a tar that is taken for
hostile, held against the wheels, and written with our own tar and the locked compressor. So it is
the same layer from every BuildKit, Docker 20.10 included, and as the embedded builder makes it.
"""

import shutil
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from modelpack import canonical_json
from modelpack.builders import build_context, buildkit
from modelpack.builders.build_log import BuildLog
from modelpack.builders.embedded import Embedded
from modelpack.digest import Digest
from modelpack.digest import of as digest_of
from modelpack.errors import InputError, Refused
from modelpack.inputs.machine import Machine
from modelpack.inputs.scratch import scratch_folder
from modelpack.lock import AssembledBase, Compressor, PlatformLock
from modelpack.oci import tar_tree
from modelpack.oci.image import Image
from modelpack.oci.layer import TAR_ZSTD, Layer, StoredFile
from modelpack.oci.layer_cache import LayerCache
from modelpack.oci.layout import Layout
from modelpack.oci.store import Root
from modelpack.oci.tree import Tree
from modelpack.plan import VENV, Step

KIND: Final = "docker"


def key(step: Step) -> Digest:
    """Return the key of the finished layer of `step`, whichever BuildKit made it."""
    if step.kind != "dependencies":
        return step.digest
    parts = {"step": step.digest, "builder": KIND, "recipe": build_context.recipe_digest()}
    return digest_of(canonical_json.dumps(parts))


class Docker:
    """Makes the layers that Steps describe, within `with`, which owns the scratch folder.

    No program is started before a layer must be made.
    """

    reproducible = True

    def __init__(
        self,
        name: str,
        platform: PlatformLock,
        *,
        embedded: Embedded,
        compressor: Compressor,
        machine: Machine,
        layers: LayerCache,
        base: tuple[Step, ...],
        use_cache: bool,
    ) -> None:
        """`base` are the steps of the base, whose layers are those of the `embedded` builder."""
        self.name = name
        self._platform = platform
        self._compressor = compressor
        self._machine = machine
        self._layers = layers
        self._base = base
        self._use_cache = use_cache
        self._made: dict[Digest, Layer] = {}
        self._stack = ExitStack()
        self._embedded = self._stack.enter_context(embedded)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def key(self, step: Step) -> Digest:
        """Return the key of the finished layer of `step`."""
        return key(step)

    def layer(self, step: Step) -> Layer:
        """Return the finished layer of a base or dependencies `step`."""
        if step.kind == "base":
            self._made[step.digest] = self._embedded.layer(step)
            return self._made[step.digest]
        entries = self._environment().entries()
        self._machine.progress.say(f"writing the {step.kind} layer")
        return self._layers.make(
            self.key(step), entries, self._compressor,
            created_by=f"modelpack {step.kind}", threads=self._machine.threads,
        )  # fmt: skip

    def _environment(self) -> Tree:
        """Return the virtual environment that pip makes of the wheels in BuildKit."""
        from modelpack.inputs.python import package_index, pip_installed, pip_wheel  # noqa: PLC0415

        machine, platform = self._machine, self._platform
        client = buildkit.connect(self.name, machine.environment)
        client.require(platform.platform)
        paths = package_index.fetch(
            platform.wheels, downloads=machine.downloads, indexes=machine.indexes,
            environment=machine.environment, offline=machine.offline, progress=machine.progress,
        )  # fmt: skip
        pip = pip_wheel.fetch(machine)
        scratch = self._stack.enter_context(scratch_folder(machine.cache))
        pip_installed.check(
            platform.wheels, paths, interpreter=platform.interpreter, scratch=scratch
        )
        found = self._built(client, scratch, paths, pip)
        return pip_installed.environment(
            found, platform.wheels, paths, interpreter=platform.interpreter, scratch=scratch,
            venv=VENV.strip("/"), bytecode=platform.bytecode != "none",
        )  # fmt: skip

    def _built(
        self, client: buildkit.Client, scratch: Path, paths: Mapping[str, Path], pip: Path
    ) -> Tree:
        context, result = scratch / "context", scratch / "built.tar"
        context.mkdir()
        first, contexts = self._base_of(client, context, scratch)
        build_context.write(context, self._platform, paths=paths, pip=pip, first=first)
        self._machine.progress.say(f"building with `{self.name}`")
        with result.open("wb") as output:
            buildkit.build(
                client, context, output, platform=self._platform.platform, contexts=contexts,
                use_cache=self._use_cache, environment=self._machine.environment,
                log=BuildLog(self._machine.progress.say, stages={
                    build_context.PIP_STEP: f"installing {len(self._platform.wheels)} wheels",
                    build_context.SETTLING_STEP: "checking what was installed, compiling it",
                }),
            )  # fmt: skip
        try:
            return tar_tree.read(result, at=f"what builder `{self.name}` returned")
        except InputError as error:
            raise Refused(*error.findings) from error

    def _base_of(
        self, client: buildkit.Client, context: Path, scratch: Path
    ) -> tuple[list[str], dict[str, str]]:
        """Return the first lines of the Dockerfile and the named contexts that are the base."""
        base = self._platform.base
        if not isinstance(base, AssembledBase):
            reference = f"{base.reference.partition('@')[0]}@{base.digest}"
            return [f"FROM {reference} AS {build_context.BASE}"], {}
        layers = tuple(
            self._made.get(step.digest) or self._layers.find(step.digest) or self.layer(step)
            for step in self._base
        )
        if client.takes_layouts:
            image = Image(
                platform=self._platform.platform, layers=layers, config={}, created=0
            )  # fmt: skip
            place = f"oci-layout://{_layout(image, scratch / 'base')}@{image.digest}"
            return [], {build_context.BASE: place}
        lines = [f"FROM scratch AS {build_context.BASE}"]
        for number, layer in enumerate(layers, start=1):
            name = f"base-{number}.tar"
            _place_layer(layer, context / name)
            lines.append(f"ADD {name} /")
        return lines, {}


def _layout(image: Image, folder: Path) -> Path:
    with Layout(folder) as layout:
        layout.write_all(image.blobs, lambda _: None)
        layout.commit([Root(manifest=image.manifest_blob)])
    return folder


def _place_layer(layer: Layer, target: Path) -> None:
    """Put a layer where ADD unpacks it: as it is, but for what old engines cannot read."""
    origin = layer.blob.origin
    if not isinstance(origin, StoredFile):
        raise TypeError("the embedded builder keeps its layers as files")
    if layer.blob.descriptor.media_type == TAR_ZSTD:
        import zstandard  # noqa: PLC0415  optional

        with open(origin.path, "rb") as source, target.open("wb") as out:
            reader = zstandard.ZstdDecompressor().stream_reader(source, read_across_frames=True)
            while chunk := reader.read(1 << 20):
                out.write(chunk)
        return
    # No hard link: it would look like a change to another build that reads the file now.
    shutil.copyfile(origin.path, target)
