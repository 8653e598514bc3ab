"""`modelpack promote`: an image becomes the one of a stage, if the policy lets it."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from modelpack.cli.frame.output import Output, with_output
from modelpack.cli.frame.signing import SigningOptions, configured, prepared, signing_options
from modelpack.cli.frame.verifying import EXIT
from modelpack.errors import Finding, InputError, ModelpackError

if TYPE_CHECKING:
    from modelpack.promoting.promote import Done
    from modelpack.trust.policy import Policy

_FILE = click.Path(path_type=Path, dir_okay=False)

_MANY = 4000
"characters of a reason"


@click.command("promote")
@click.argument("image", metavar="IMAGE")
@click.option("--to", "stage", required=True, metavar="STAGE", help="A stage of the policy.")
@click.option(
    "--policy", "policy_path", type=_FILE, required=True, metavar="FILE",
    help="What must be true of the image, and who may promote to which stage.",
)  # fmt: skip
@click.option("--reason", default="", metavar="TEXT", help="Why; stands in the statement.")
@signing_options
@click.option(
    "--adopt", is_flag=True,
    help="Take the stage's tag over from an image that nobody promoted.",
)  # fmt: skip
@click.option(
    "--notify", "urls", multiple=True, metavar="URL",
    help="POST what happened, as JSON, there (repeatable).",
)  # fmt: skip
@with_output
def command(
    *,
    output: Output,
    image: str,
    stage: str,
    policy_path: Path,
    reason: str,
    how: SigningOptions,
    adopt: bool,
    urls: tuple[str, ...],
) -> None:
    """Let IMAGE, HOST/NAME[:TAG|@DIGEST], be what STAGE is from now on.

    The whole policy must hold for the image, and what it asks for this stage: an earlier stage,
    statements, a fresh scan, somebody else than who built it. Who promotes is whoever the key or
    the certificate says. A statement beside the image says so, one beside the image that had the
    stage says that it has it no more, and last the tag STAGE moves. Rolling back is promoting an
    older image again. `modelpack verify --stage STAGE` proves it.
    """
    from modelpack import reference  # noqa: PLC0415
    from modelpack.cli import environment  # noqa: PLC0415
    from modelpack.cli.frame.place import open_machine, warn  # noqa: PLC0415
    from modelpack.promoting.promote import Order, carry_out  # noqa: PLC0415  slow to import
    from modelpack.trust import policy_file  # noqa: PLC0415

    name = reference.parse(image, at="IMAGE")
    if not isinstance(name, reference.Registry):
        raise InputError(f"stages are tags of a registry: `{name}` is in none", at="IMAGE",
                         hint="modelpack push, then promote it there")  # fmt: skip
    policy = policy_file.read(policy_path)
    _check(policy, stage, reason)
    machine = open_machine(output)
    with prepared(how) as signing:
        _, trusted = configured(how)
        done = carry_out(
            Order(name=name, stage=stage, reason=reason, policy=policy, trusted=trusted,
                  signing=signing, now=environment.now(), adopt=adopt),
            machine,
        )  # fmt: skip
    findings = done.findings
    if done.promotion is not None:
        event = _event(done, name, stage)
        findings += tuple(found for url in urls if (found := _notify(url, event)))
    warn(output, findings)
    output.result(text=_text(done, stage), document=_document(done, name, stage, findings))
    click.get_current_context().exit(EXIT[done.report.answer])


def _check(policy: "Policy", stage: str, reason: str) -> None:
    if stage not in policy.stages:
        known = ", ".join(f"`{name}`" for name in policy.stages) or "none"
        raise InputError(f"the policy has no stage `{stage}`", at="--to",
                         hint=f"it has {known}; write `[stages.{stage}]`")  # fmt: skip
    if len(reason) > _MANY or not all(char.isprintable() or char == "\n" for char in reason):
        raise InputError(f"not a text of up to {_MANY} characters", at="--reason")


def _notify(url: str, event: dict[str, Any]) -> Finding | None:
    """Tell somebody what happened; it happened whether they listen or not."""
    from modelpack import canonical_json  # noqa: PLC0415
    from modelpack.cli import environment  # noqa: PLC0415
    from modelpack.web.client import Client  # noqa: PLC0415

    body = canonical_json.dumps(event)
    headers = {"Content-Type": "application/json", "Content-Length": str(len(body))}
    try:
        client = Client(environment.variables())
        with client.open("POST", url, headers=headers, body=body, at="--notify") as reply:
            if reply.status < 300:  # noqa: PLR2004  it was taken
                return None
            message = f"the answer is {reply.status}"
    except ModelpackError as error:
        message = error.findings[0].message
    return Finding(message=f"nobody was told: {message}", at="--notify", severity="warning",
                   rule="promote.notify")  # fmt: skip


def _event(done: "Done", name: object, stage: str) -> dict[str, Any]:
    promotion = done.promotion
    return {
        "schema": 1,
        "event": "promoted",
        "image": str(name),
        "digest": done.report.digest,
        "stage": stage,
        "sequence": promotion.sequence if promotion else None,
        "previous": promotion.previous if promotion else None,
        "reason": promotion.reason if promotion else None,
        "by": done.by,
    }


def _text(done: "Done", stage: str) -> str:
    from modelpack.cli.display import verify_report  # noqa: PLC0415

    report = verify_report.text(done.report, verbose=False)
    if done.promotion is None:
        return f"{report}\nnot promoted to {stage}"
    before = f", after {done.promotion.previous}" if done.promotion.previous else ""
    return (
        f"{report}\n{done.report.digest} is {stage}, by number {done.promotion.sequence}{before}\n"
        f"promoted by {done.by}"
    )


def _document(
    done: "Done", name: object, stage: str, findings: tuple[Finding, ...]
) -> dict[str, Any]:
    from modelpack.cli.display import verify_report  # noqa: PLC0415
    from modelpack.cli.frame.place import as_document  # noqa: PLC0415

    return {
        **_event(done, name, stage),
        "event": "promoted" if done.promotion else "refused",
        "attached": list(done.attached),
        "report": verify_report.document(done.report),
        "findings": as_document(findings),
    }
