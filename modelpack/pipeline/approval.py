"""What must pass before an image that was just made gets its names, where a build is asked for it.

Each gate sees the image in the layouts by its digest alone, raises unless it may have its names,
and says what it found in evidence that stands beside the image, passed or not.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelpack.assembly.evidence import Evidence
from modelpack.inputs.machine import Machine
from modelpack.lock import Lock
from modelpack.pipeline.places import Places
from modelpack.pipeline.value import Images, Options
from modelpack.project import Project

if TYPE_CHECKING:
    from modelpack.evidence.scan.scanning import Scanned


@dataclass(frozen=True, slots=True, kw_only=True)
class Approved:
    """What the gates found in an image that may have its names."""

    scans: tuple["Scanned", ...] = ()
    "of each platform"
    evidence: tuple[Evidence, ...] = ()


def expect_tools(options: Options, machine: Machine) -> None:
    """Raise what is missing rather now than when all is built."""
    if options.scan is not None:
        from modelpack.evidence.scan import trivy  # noqa: PLC0415

        trivy.find(machine.environment)


def approve(
    this: Project,
    lock: Lock,
    images: Images,
    places: Places,
    vouch: Callable[[], tuple[Evidence, ...]],
    *,
    machine: Machine,
    options: Options,
) -> Approved:
    """Let each gate that is asked for look at the images; raise unless they may have their names.

    What `vouch` returns stays with images that may not, so that people can look.
    """
    if options.scan is None:
        return Approved()
    from modelpack.assembly import scans  # noqa: PLC0415  not for every build

    found = scans.approve(
        this.spec, lock, images.serving, images.whole, images.mounted, places.held, vouch,
        wanted=options.scan, machine=machine,
    )  # fmt: skip
    return Approved(scans=found, evidence=scans.evidence(found, scans.image_name(this.spec)))
