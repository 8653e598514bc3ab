"""`modelpack verify`: proves who signed an image, and what a policy asks of it."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from modelpack.cli.frame import verifying
from modelpack.cli.frame.output import Output, with_output
from modelpack.errors import InputError

if TYPE_CHECKING:
    from modelpack.trust.policy import Policy
    from modelpack.verifying.gathering import Gathered
    from modelpack.verifying.report import Report

KINDS = (
    "signature", "provenance", "sbom", "scan", "malware", "test", "checks", "evaluation",
    "rebuild", "weights",
)  # fmt: skip
_ANSWER = 1 << 20
"bytes of what a service says of itself"
_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command("verify")
@click.argument("image", default=".", metavar="[IMAGE]")
@click.option("--policy", type=_FILE, metavar="FILE", help="What must be true, as TOML.")
@click.option("--key", type=_FILE, metavar="FILE", help="Public key (PEM) of who must have signed.")
@click.option(
    "--certificate-identity",
    "identity",
    default="",
    metavar="WHO",
    help="Whom the certificate must be for: an address, or a workflow's URI.",
)
@click.option(
    "--certificate-identity-regexp",
    "identity_regexp",
    default="",
    metavar="RE",
    help="Regular expression that the whole identity matches.",
)
@click.option(
    "--certificate-oidc-issuer",
    "issuer",
    default="",
    metavar="URL",
    help="Who must know that identity.",
)
@click.option(
    "--certificate-oidc-issuer-regexp",
    "issuer_regexp",
    default="",
    metavar="RE",
    help="Regular expression that the whole issuer matches.",
)
@click.option(
    "--statement",
    "statements",
    multiple=True,
    metavar="KIND",
    help=f"What they must have signed: {', '.join(KINDS)}, or a predicate type (repeatable; "
    "default: signature).",
)
@click.option(
    "--weights", is_flag=True,
    help="They must have signed the model itself (OpenSSF Model Signing): --statement weights.",
)  # fmt: skip
@click.option(
    "--stage", default="", metavar="NAME",
    help="It must have this stage of the policy now: promoted, not replaced since.",
)  # fmt: skip
@click.option(
    "--running", default="", metavar="URL",
    help="What this address says of itself (`health.version`) must be this image.",
)  # fmt: skip
@click.option(
    "--no-weights-image", is_flag=True,
    help="Do not look at the image of mounted weights: only its files come to where it runs, and "
    "the guard checks them.",
)  # fmt: skip
@click.option("--max-age", default="", metavar="AGE", help="How old it may be: 90d.")
@click.option(
    "--trusted-root",
    type=_FILE,
    metavar="FILE",
    help="Whom to trust, without network (default: the public Sigstore, fetched by TUF).",
)
@click.option(
    "--trust-config", type=_FILE, metavar="FILE", help="The same out of a client's configuration."
)
@click.option(
    "--no-log", is_flag=True,
    help="With --key: no transparency log need have the signature, and its time is not proved.",
)  # fmt: skip
@with_output
def command(*, output: Output, image: str, **options: Any) -> None:  # noqa: ANN401  click's
    """Prove who signed IMAGE and, with a policy, what else must be true of it.

    IMAGE is a project (a folder, default `.`: the image last built from it), a layout
    oci:PATH[:TAG|@DIGEST], an archive oci-archive:FILE, or an image in a registry,
    HOST/NAME[:TAG|@DIGEST]. A tag is resolved once: all that is said is about the digest that is
    printed. Say who must have signed by --key, by --certificate-identity and
    --certificate-oidc-issuer, or by --policy. Read are Sigstore bundles, of whatever tool, and
    cosign's older signatures. Ends with 0 when everything is proved, with 1 when it is not, with 3
    when it could not be found out.
    """
    from modelpack import reference  # noqa: PLC0415  not for `--help`
    from modelpack.cli import display  # noqa: PLC0415
    from modelpack.cli.display import verify_report  # noqa: PLC0415
    from modelpack.cli.environment import engine_for, registries  # noqa: PLC0415
    from modelpack.stores import opening  # noqa: PLC0415
    from modelpack.verifying.gathering import gather  # noqa: PLC0415

    policy = _policy(options)
    trusted = verifying.whom_to_trust(policy, options["trusted_root"], options["trust_config"])
    name = reference.parse(image, at="IMAGE")
    with opening.opened(name, engines=engine_for, registries=registries) as (store, root):
        place = verifying.repository_of(name)
        gathered = gather(store, root, repository=place, weights=not options["no_weights_image"])
    stage = verifying.stage_of(policy, options["stage"])
    report = verifying.judged(gathered, policy, place, trusted=trusted, stage=stage)
    if options["running"]:
        report = _with_running(report, gathered, options["running"])
    for note in report.notes:
        if not output.quiet:
            click.echo(display.finding(note), err=True)
    output.result(
        text="" if output.as_json else verify_report.text(report, verbose=output.verbose),
        document=verify_report.document(report),
    )
    click.get_current_context().exit(verifying.EXIT[report.answer])


def _with_running(report: "Report", gathered: "Gathered", url: str) -> "Report":
    """Return the report with whether `url` serves the image; raises Unavailable: nobody answers."""
    from modelpack.cli.environment import variables  # noqa: PLC0415
    from modelpack.oci.manifest import parse_object  # noqa: PLC0415
    from modelpack.verifying import running  # noqa: PLC0415
    from modelpack.web.client import Client  # noqa: PLC0415

    data = Client(variables()).read(url, limit=_ANSWER, at="--running")
    found = running.requirement(parse_object(data, at=url, limit=_ANSWER), gathered.images, url)
    first, *rest = report.judged
    return replace(
        report,
        judged=(replace(first, requirements=(*first.requirements, found)), *rest),
    )  # fmt: skip


def _policy(options: dict[str, Any]) -> "Policy":
    """Return the policy in the file, or the one that the options amount to."""
    from modelpack.trust import policy_file  # noqa: PLC0415

    given = [
        option
        for option, name in (
            ("--key", "key"), ("--certificate-identity", "identity"),
            ("--certificate-identity-regexp", "identity_regexp"),
            ("--certificate-oidc-issuer", "issuer"),
            ("--certificate-oidc-issuer-regexp", "issuer_regexp"), ("--statement", "statements"),
            ("--weights", "weights"),
            ("--max-age", "max_age"), ("--no-log", "no_log"),
        )
        if options[name]
    ]  # fmt: skip
    if options["policy"] is None:
        return _policy_of(options)
    if given:
        raise InputError(f"the policy says who must have signed: leave out {', '.join(given)}",
                         at="--policy")  # fmt: skip
    return policy_file.read(options["policy"])


def _policy_of(options: dict[str, Any]) -> "Policy":
    from modelpack import quantity  # noqa: PLC0415
    from modelpack.trust import policy as policies  # noqa: PLC0415

    if options["max_age"]:
        quantity.duration(options["max_age"], at="--max-age")
    name, signer = _signer(options)
    asked = (*options["statements"], *(("weights",) if options["weights"] else ()))
    kinds = asked or ("signature",)
    for kind in kinds:
        if kind not in KINDS and ":" not in kind:
            known = ", ".join(f"`{one}`" for one in KINDS)
            raise InputError(f"not a statement that is known: `{kind}`", at="--statement",
                             hint=f"one of {known}, or the URI of a predicate type")  # fmt: skip
    some: dict[str, Any] = {"signers": (name,), "max_age": options["max_age"]}
    sections: dict[str, Any] = {
        "provenance": policies.Provenance(**some),
        "sbom": policies.Sbom(**some),
        "scan": policies.Scan(**{**some, "max_age": options["max_age"] or "7d"}),
        "malware": policies.Malware(**{**some, "max_age": options["max_age"] or "7d"}),
        "test": policies.Test(**some),
        "checks": policies.Checks(**some),
        "evaluation": policies.Evaluation(**some),
        "rebuild": policies.Rebuild(**some),
        "weights": policies.Weights(signers=(name,)),
    }
    return policies.Policy(
        schema=1,
        signers={name: signer},
        log=not options["no_log"],
        signature=policies.Signature(**some) if "signature" in kinds else None,
        **{kind: section for kind, section in sections.items() if kind in kinds},
        statements=tuple(policies.Required(type=k, **some) for k in kinds if k not in KINDS),
    )


def _signer(options: dict[str, Any]) -> "tuple[str, Any]":
    """Return who must have signed, under the name of the option that says so."""
    from modelpack.trust import policy_file, public_keys  # noqa: PLC0415
    from modelpack.trust.expected import pattern  # noqa: PLC0415
    from modelpack.trust.policy import Signer  # noqa: PLC0415

    identity = (options["identity"], options["identity_regexp"])
    issuer = (options["issuer"], options["issuer_regexp"])
    if options["key"] is not None:
        if any((*identity, *issuer)):
            raise InputError("signed by a key, or by somebody with a certificate: not both",
                             at="--key")  # fmt: skip
        pem = policy_file.contents(options["key"], limit=public_keys.SIZE_LIMIT)
        public_keys.of_pem(pem, at=str(options["key"]))
        return str(options["key"]), Signer(key=pem.decode())
    if options["no_log"]:
        raise InputError("a certificate proves nothing without a log", at="--no-log",
                         hint="it is for `--key`")  # fmt: skip
    if not any(identity) and not any(issuer):
        raise InputError(
            "nobody is said to have signed it", at="verify",
            hint="give --key FILE; --certificate-identity and --certificate-oidc-issuer; or "
            "--policy FILE",
        )  # fmt: skip
    pattern(*identity, at="--certificate-identity, --certificate-identity-regexp")
    pattern(*issuer, at="--certificate-oidc-issuer, --certificate-oidc-issuer-regexp")
    return "whom the options name", Signer(
        identity=identity[0], identity_regexp=identity[1], issuer=issuer[0],
        issuer_regexp=issuer[1],
    )  # fmt: skip
