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
    from modelpack.functional.value import Tested


@dataclass(frozen=True, slots=True, kw_only=True)
class Approved:
    """What the gates found in an image that may have its names."""

    scans: tuple["Scanned", ...] = ()
    "of each platform"
    tested: "Tested | None" = None
    "of the engine's platform"
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

    In order, until the first no. What `vouch` returns stays with images that may not have them, so
    that people can look.
    """
    found, said = _scanned(this, lock, images, places, vouch, machine=machine, options=options)
    if options.test is None:
        return Approved(scans=found, evidence=said)
    from modelpack.pipeline import trial  # noqa: PLC0415  not for every build

    tested, result = trial.approve(
        this, images, places.held, lambda: (*vouch(), *said), wanted=options.test, machine=machine
    )
    return Approved(scans=found, tested=tested, evidence=(*said, result))


def _scanned(
    this: Project,
    lock: Lock,
    images: Images,
    places: Places,
    vouch: Callable[[], tuple[Evidence, ...]],
    *,
    machine: Machine,
    options: Options,
) -> tuple[tuple["Scanned", ...], tuple[Evidence, ...]]:
    if options.scan is None:
        return (), ()
    from modelpack.assembly import scans  # noqa: PLC0415  not for every build

    found = scans.approve(
        this.spec, lock, images.serving, images.whole, images.mounted, places.held, vouch,
        wanted=options.scan, machine=machine,
    )  # fmt: skip
    return found, scans.evidence(found, scans.image_name(this.spec))
