"""Where the images of one build go: layouts, archives and registries, seen all at once or never."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from modelpack import reference
from modelpack.assembly import outputs as files
from modelpack.assembly import pushing
from modelpack.assembly.image_names import expect_room
from modelpack.assembly.outputs import Output, Vouched
from modelpack.assembly.pushing import Registries
from modelpack.errors import Finding, InputError
from modelpack.inputs.machine import Machine
from modelpack.lock import Lock
from modelpack.oci.image import Image, Index
from modelpack.oci.layout import Layout
from modelpack.pipeline.value import Options
from modelpack.project import Project


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """The outputs, with the layouts among them held, and the registries."""

    outputs: tuple[Output, ...]
    layouts: tuple[Layout | None, ...]
    "of each output; None: it is an archive"
    registries: Registries
    machine: Machine

    @property
    def held(self) -> tuple[Layout, ...]:
        """The layouts."""
        return tuple(layout for layout in self.layouts if layout is not None)

    @property
    def into(self) -> Layout | None:
        """The layout that finished layers can be read from."""
        return next(iter(self.held), None)

    def write_content(
        self, whole: Image | Index, weights: Image | None, *, lock: Lock
    ) -> tuple[Finding, ...]:
        """Bring what the image, and that of its `weights`, is made of everywhere; nobody sees it.

        Returns warnings.
        """
        files.write_content(self.outputs, self.layouts, whole, weights, machine=self.machine)
        return self.registries.write_content(whole, weights, lock=lock, machine=self.machine)

    def name_images(self, whole: Image | Index, weights: Image | None, beside: Vouched) -> None:
        """Let the images be seen, with what vouches for them: one step for each place."""
        files.write_archives(self.outputs, whole, weights, beside, machine=self.machine)
        files.name_images(self.outputs, self.layouts, whole, weights, beside)
        self.registries.name_images(whole, weights, beside)


@contextmanager
def opened(outputs: Sequence[Output], options: Options, machine: Machine) -> Iterator[Places]:
    """Hold the layouts under their locks: a second build of this project waits here."""
    with ExitStack() as stack:
        yield Places(
            outputs=tuple(outputs),
            layouts=tuple(stack.enter_context(output.open(machine)) for output in outputs),
            registries=pushing.opened(options.pushes, machine, replace=options.replace),
            machine=machine,
        )


def expect_fit(this: Project, outputs: Sequence[Output], options: Options) -> None:
    """Raise InputError for what an output cannot hold."""
    count = len(options.platforms or this.spec.image.platforms)
    mounts = any(weights.mode == "mount" for weights in this.spec.weights)
    for output in outputs:
        if count > 1:
            output.expect_one_platform()
        if mounts:
            expect_room(output.tags, at=str(output.target))
            expect_room(output.names, at=str(output.target))
    if mounts:
        pushing.check_room(options.pushes)
    if options.test and not any(isinstance(output.target, reference.Layout) for output in outputs):
        raise InputError("an image is tested out of a layout, and none is written", at="--test",
                         hint="--output oci:dist/image")  # fmt: skip
