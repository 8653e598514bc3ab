"""Base and dependency layers from `.deb`s and wheels: no daemon, no root, no maintainer script.

The only program that runs is the base's own interpreter, to compile bytecode.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from modelpack.digest import Digest
from modelpack.errors import InputError, Unavailable
from modelpack.inputs.machine import Machine
from modelpack.lock import AssembledBase, Compressor, ImageBase, PlatformLock
from modelpack.oci.layer import Blob, Descriptor, Layer, StoredFile
from modelpack.oci.layer_cache import LayerCache
from modelpack.oci.layout import Layout
from modelpack.oci.tar import Content, Entry
from modelpack.oci.tree import Tree
from modelpack.plan import VENV, Step
from modelpack.quantity import counted

if TYPE_CHECKING:
    from modelpack.inputs.python.base_interpreter import BaseInterpreter
    from modelpack.platform import Platform


class Embedded:
    """Makes the layers that Steps describe, within `with`, which owns the scratch folder.

    The interpreter of `compiler`, which is that of `platform` unless another one is given,
    compiles the bytecode: see `modelpack.lock.bytecode`.
    """

    name = "embedded"
    reproducible = True

    def __init__(
        self,
        platform: PlatformLock,
        *,
        compiler: PlatformLock | None = None,
        user: int,
        compressor: Compressor,
        machine: Machine,
        layers: LayerCache,
        stores: Sequence[Layout] = (),
    ) -> None:
        """`stores` may have the layers of a base from a registry already."""
        self._platform = platform
        self._compiler = compiler or platform
        self._user = user
        self._compressor = compressor
        self._machine = machine
        self._layers = layers
        self._stores = stores
        self._image_layers: Mapping[Digest, Path] = {}
        self._stack = ExitStack()
        self._scratch: Path | None = None
        self._bases: dict[Platform, Tree] = {}
        self._runner: BaseInterpreter | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._scratch = None
        self._stack.close()

    def key(self, step: Step) -> Digest:
        """Return the key of the finished layer of `step`: its own digest covers all of it."""
        return step.digest

    def layer(self, step: Step) -> Layer:
        """Return the finished layer of a base or dependencies `step`."""
        if step.kind == "base" and isinstance(self._platform.base, ImageBase):
            return self._layer_of_image(self._platform.base, step)
        entries = (
            self._base_entries() if step.kind == "base" else self._dependency_entries()
        )  # fmt: skip
        self._machine.progress.say(f"writing the {step.kind} layer")
        layer = self._layers.make(
            self.key(step),
            entries,
            self._compressor,
            created_by=f"modelpack {step.kind}",
            threads=self._machine.threads,
        )
        from modelpack.inputs import layer_contents  # noqa: PLC0415  only when a layer is made
        from modelpack.inputs.layer_memory import LayerMemory  # noqa: PLC0415

        # While all is at hand: an SBOM will ask, and later the layer would have to be unpacked.
        LayerMemory(self._machine.cache).keep(layer.diff_id, layer_contents.of_entries(entries))
        return layer

    def _layer_of_image(self, base: ImageBase, step: Step) -> Layer:
        """Return a layer of an image from a registry as it is, from a store that has it already."""
        from modelpack.inputs.base_image import files  # noqa: PLC0415  only for such a base

        layers = {layer.digest: layer for layer in base.layers}
        descriptors = {
            digest: Descriptor(media_type=layer.media_type, digest=digest, size=layer.size)
            for digest, layer in layers.items()
        }
        if not self._image_layers:
            at_hand = {
                digest: store.path_of(digest)
                for store in self._stores
                for digest, descriptor in descriptors.items()
                if store.has(descriptor)
            }
            missing = layers.keys() - at_hand.keys()
            self._image_layers = {
                **at_hand, **files.layers(base, machine=self._machine, wanted=missing)
            }  # fmt: skip
        digest = step.known
        assert digest is not None  # noqa: S101  every layer of an image is known
        return Layer(
            blob=Blob(
                descriptor=descriptors[digest],
                origin=StoredFile(str(self._image_layers[digest])),
            ),
            diff_id=layers[digest].diff_id,
            created_by="modelpack base",
        )

    def _base_entries(self) -> tuple[Entry, ...]:
        tree = self._base_tree(self._platform)
        if self._platform.bytecode != "none":
            library = f"usr/lib/python{self._platform.interpreter.minor}"
            groups: dict[str, list[str]] = defaultdict(list)
            for path in tree:
                if path.startswith(library + "/") and _is_module(tree[path]):
                    groups[path.removeprefix(library + "/").partition("/")[0]].append(path)
            # Loose modules go in one group: a process for each would cost more than it gives.
            loose = [name for name in groups if name.endswith(".py")]
            together = {"library": [path for name in loose for path in groups.pop(name)]}
            self._compile(tree, {**groups, **together})
        return tree.entries()

    def _dependency_entries(self) -> tuple[Entry, ...]:
        from modelpack.inputs.python import locked_wheels, wheels  # noqa: PLC0415  only when one is made

        machine, platform = self._machine, self._platform
        if platform.bytecode != "none" and isinstance(platform.base, ImageBase):
            raise _foreign(platform.base)
        paths = locked_wheels.fetch(
            platform.wheels, downloads=machine.downloads, indexes=machine.indexes,
            environment=machine.environment, offline=machine.offline, progress=machine.progress,
        )  # fmt: skip
        machine.progress.say(f"installing {counted(len(platform.wheels), 'wheel')}")
        tree = wheels.tree(
            platform.wheels, paths, interpreter=platform.interpreter,
            scratch=self._scratch_folder("wheels"), venv=VENV.strip("/"),
        )  # fmt: skip
        if platform.bytecode != "none":
            groups: dict[str, list[str]] = defaultdict(list)
            for path in tree:
                if "/site-packages/" in path and _is_module(tree[path]):
                    groups[tree.owner(path)].append(path)
            self._compile(tree, groups)
        return tree.entries()

    def _compile(self, tree: Tree, groups: Mapping[str, list[str]]) -> None:
        from modelpack.inputs.python import bytecode  # noqa: PLC0415  only when a layer is made

        self._machine.progress.say("compiling bytecode with the base's own interpreter")
        runner = self._interpreter()
        compiled: Mapping[str, Content] = bytecode.compile(
            tree,
            sources=[(label, tuple(groups[label])) for label in sorted(groups)],
            base_root=runner.root,
            interpreter=self._compiler.interpreter,
            platform=self._compiler.platform,
            scratch=self._scratch_folder("bytecode"),
            cache=self._machine.cache / "bytecode",
            progress=self._machine.progress,
        )
        for path, content in compiled.items():
            tree.file(path, content, owner="bytecode")

    def _interpreter(self) -> "BaseInterpreter":
        from modelpack.inputs.python.base_interpreter import BaseInterpreter  # noqa: PLC0415

        if self._runner is None:
            compiler = self._compiler
            self._runner = BaseInterpreter.extract(
                self._base_tree(compiler), self._scratch_folder("base") / "root",
                interpreter=compiler.interpreter, platform=compiler.platform,
            )  # fmt: skip
        if not self._runner.runnable:
            raise Unavailable(
                f"bytecode for {self._platform.platform} cannot be compiled on this machine",
                at="runtime.bytecode",
                hint="build on that platform, or lock with the platform of this machine, too, or "
                'set `bytecode = "none"` and run `modelpack lock`',
            )
        return self._runner

    def _base_tree(self, platform: PlatformLock) -> Tree:
        from modelpack.inputs.debian import base as debian_base  # noqa: PLC0415  only when a layer is made

        if platform.platform not in self._bases:
            base = platform.base
            if not isinstance(base, AssembledBase):
                raise _foreign(base)
            machine = self._machine
            debs = debian_base.fetch(
                base, mirrors=machine.mirrors, downloads=machine.downloads,
                environment=machine.environment, offline=machine.offline,
                progress=machine.progress,
            )  # fmt: skip
            machine.progress.say(f"unpacking {counted(len(debs), 'Debian package')}")
            self._bases[platform.platform] = debian_base.tree(
                base,
                debs,
                platform=platform.platform,
                user=self._user,
                spill=self._scratch_folder("debian") / "content",
            )
        return self._bases[platform.platform]

    def _scratch_folder(self, name: str) -> Path:
        import tempfile  # noqa: PLC0415  only when a layer is made

        from modelpack.inputs.scratch import scratch_folder  # noqa: PLC0415

        if self._scratch is None:
            self._scratch = self._stack.enter_context(scratch_folder(self._machine.cache))
        return Path(tempfile.mkdtemp(dir=self._scratch, prefix=f"{name}-"))


def _foreign(base: ImageBase) -> InputError:
    return InputError(
        f"the interpreter of `{base.reference}` would have to run on this machine to compile "
        "bytecode, and nobody here vouches for it", at="runtime.bytecode",
        hint='`modelpack build --builder docker`, or set `bytecode = "none"`',
    )  # fmt: skip


def _is_module(entry: Entry) -> bool:
    return entry.kind == "file" and entry.path.endswith(".py")
