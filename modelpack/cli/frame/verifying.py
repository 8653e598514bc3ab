"""What `verify` shares with what verifies too: whom to trust, what is asked, how it ends."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from modelpack.errors import InputError

if TYPE_CHECKING:
    from modelpack.cli.display.page.html import Verified
    from modelpack.inspection.reading import Readable
    from modelpack.oci.layer import Descriptor
    from modelpack.reference import Reference
    from modelpack.trust.policy import Policy
    from modelpack.trust.trusted_root import TrustedRoot
    from modelpack.verifying.gathering import Gathered
    from modelpack.verifying.report import Report

EXIT: Final = {"verified": 0, "refused": 1, "unknown": 3}
_FILE = click.Path(path_type=Path, dir_okay=False)


def policy_options(help_text: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command that shows an image the options by which it verifies it as well."""

    def given(function: Callable[..., None]) -> Callable[..., None]:
        function = click.option(
            "--stage", default="", metavar="NAME",
            help="With --policy: it must have this stage of the policy now, as for `verify`.",
        )(function)  # fmt: skip
        function = click.option(
            "--trusted-root", type=_FILE, metavar="FILE",
            help="With --policy: whom to trust, without network.",
        )(function)  # fmt: skip
        return click.option("--policy", type=_FILE, metavar="FILE", help=help_text)(function)

    return given


def expect_policy(policy: Path | None, trusted_root: Path | None, stage: str) -> None:
    """Raise where options are given that say nothing without a policy."""
    if trusted_root is not None and policy is None:
        raise click.UsageError("`--trusted-root` goes with `--policy`")
    if stage and policy is None:
        raise click.UsageError("`--stage` goes with `--policy`, which says what it asks")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is to be proved, and by what."""

    file: Path
    policy: "Policy"
    stage: str
    trusted_root: Path | None

    def judged(self, store: "Readable", root: "Descriptor", name: "Reference") -> "Verified":
        """Return what comes of verifying the very image that is shown."""
        from modelpack.cli.display.page.html import Verified  # noqa: PLC0415
        from modelpack.verifying.gathering import gather  # noqa: PLC0415

        trusted = whom_to_trust(self.policy, self.trusted_root, None)
        place = repository_of(name)
        gathered = gather(store, root, repository=place)
        report = judged(gathered, self.policy, place, trusted=trusted, stage=self.stage)
        return Verified(policy=self.file.name, report=report, stage=self.stage)


def asked_for(policy: Path, trusted_root: Path | None, stage: str) -> Asked:
    """Return what the options ask for; raises InputError where the policy says nothing of it."""
    from modelpack.trust import policy_file  # noqa: PLC0415

    read = policy_file.read(policy)
    return Asked(
        file=policy, policy=read, stage=stage_of(read, stage), trusted_root=trusted_root
    )  # fmt: skip


def repository_of(name: "Reference") -> str:
    """Return the repository that an image is in, with its host; nothing where it is in none."""
    from modelpack.reference import Registry  # noqa: PLC0415

    return name.name if isinstance(name, Registry) else ""


def judged(
    gathered: "Gathered", policy: "Policy", repository: str, *, trusted: "TrustedRoot", stage: str
) -> "Report":
    """Return what comes of judging an image, by all that this machine knows of `stage`."""
    from modelpack.cli.environment import cache_folder, now  # noqa: PLC0415
    from modelpack.promoting.memory import Memory  # noqa: PLC0415
    from modelpack.verifying.judging import judge  # noqa: PLC0415
    from modelpack.verifying.stages import sequence_of  # noqa: PLC0415

    whose = (policy.stages[stage].repository or repository) if stage else ""
    memory = Memory(cache_folder(), whose) if whose else None
    report = judge(
        gathered, policy, trusted=trusted, now=now(), stage=stage,
        remembered=memory.sequence(stage) if memory else 0,
    )  # fmt: skip
    if memory and report.answer == "verified":
        memory.saw(stage, sequence_of(report))
    return report


def stage_of(policy: "Policy", stage: str) -> str:
    """Return the stage that is asked for, which the policy knows."""
    if stage and stage not in policy.stages:
        known = ", ".join(f"`{name}`" for name in policy.stages)
        raise InputError(f"the policy has no stage `{stage}`", at="--stage",
                         hint=f"it has {known}" if known else "--policy FILE")  # fmt: skip
    return stage


def whom_to_trust(policy: "Policy", root: Path | None, configuration: Path | None) -> "TrustedRoot":
    """Return whom to trust; nobody where keys are enough, which asks no network."""
    from modelpack.trust import policy_file, public_root, trusted_root  # noqa: PLC0415

    if root is not None and configuration is not None:
        raise InputError("both say whom to trust", at="--trusted-root, --trust-config")
    path = root or configuration
    if path is not None:
        data = policy_file.contents(path, limit=trusted_root.SIZE_LIMIT)
        return trusted_root.parse(data, at=str(path))
    if not policy.log and all(signer.key for signer in policy.signers.values()):
        return trusted_root.TrustedRoot()
    return public_root.fetch(offline=False)
