"""`modelpack prune`: old versions leave a repository, with what vouches for them."""

from typing import TYPE_CHECKING, Any

import click

from modelpack.cli.frame.output import Output, with_output
from modelpack.errors import InputError

if TYPE_CHECKING:
    from modelpack.digest import Digest
    from modelpack.promoting.pruning import Found, Version


@click.command("prune")
@click.argument("repository", metavar="REPOSITORY")
@click.option("--keep", type=click.IntRange(min=1), metavar="N", help="The newest N versions stay.")
@click.option("--older-than", default="", metavar="AGE", help="Younger ones stay, such as 90d.")
@click.option("-y", "--yes", is_flag=True, help="Remove them; otherwise only say what would go.")
@with_output
def command(*, output: Output, repository: str, keep: int | None, older_than: str,
            yes: bool) -> None:  # fmt: skip
    """Remove old versions from REPOSITORY, HOST/NAME, with their statements and signatures.

    Says what would go, unless --yes. With both options only what is old by both goes; the age is
    that of the commit, which an image says itself. What a stage or another tag without a number
    names stays, what it would be rolled back to, and what an index or an image with mounted weights
    that stays needs. A registry frees the space when it collects its garbage.
    """
    from modelpack import quantity, reference  # noqa: PLC0415
    from modelpack.cli import environment  # noqa: PLC0415
    from modelpack.cli.frame.place import as_document, open_machine, warn  # noqa: PLC0415
    from modelpack.oci.registry.writing import WritableRepository  # noqa: PLC0415  the network
    from modelpack.promoting import pruning  # noqa: PLC0415

    name = reference.parse(repository, at="REPOSITORY")
    if not isinstance(name, reference.Registry) or name.tag or name.digest:
        raise InputError("not a repository of a registry", at="REPOSITORY",
                         hint="HOST/NAME, without a tag or digest")  # fmt: skip
    if keep is None and not older_than:
        raise InputError("says nothing of what may go", at="prune",
                         hint="--keep N, --older-than AGE, or both")  # fmt: skip
    seconds = quantity.duration(older_than, at="--older-than") // 1000 if older_than else None
    machine = open_machine(output)
    store = WritableRepository(name, machine.registries, deletes=yes)
    rules = pruning.Rules(keep=keep, older_than=seconds)
    found = pruning.look(store, rules, now=environment.now(), progress=machine.progress)
    gone = pruning.remove(store, found, progress=machine.progress) if yes else ()
    warn(output, found.findings)
    output.result(
        text=_text(found, gone, yes=yes),
        document={
            "repository": f"{name.host}/{name.repository}",
            "dry_run": not yes,
            "versions": [
                _version(one, removed=one.root.digest in gone) for one in found.versions
            ],
            "removed": list(gone),
            "findings": as_document(found.findings),
        },
    )  # fmt: skip


def _text(found: "Found", gone: "tuple[Digest, ...]", *, yes: bool) -> str:
    from modelpack.canonical_json import rfc3339  # noqa: PLC0415
    from modelpack.cli import display  # noqa: PLC0415
    from modelpack.quantity import counted  # noqa: PLC0415

    rows = [
        [_fate(one, gone, yes=yes), ", ".join(one.tags), one.root.digest[7:19],
         rfc3339(one.created) if one.created else "", one.stays]
        for one in found.versions
    ]  # fmt: skip
    table = display.table(rows, head=["", "tags", "digest", "made", "because"], right=[])
    count = sum(one.root.digest in gone for one in found.going) if yes else len(found.going)
    if yes:
        return (
            f"{table}\n{counted(count, 'version')} removed, {counted(len(gone), 'manifest')} in all"
        )
    return f"{table}\n{counted(count, 'version')} would go" + (
        "; --yes removes them" if count else ""
    )


def _fate(one: "Version", gone: "tuple[Digest, ...]", *, yes: bool) -> str:
    if not yes:
        return "stays" if one.stays else "goes"
    return "gone" if one.root.digest in gone else "stays"


def _version(one: "Version", *, removed: bool) -> dict[str, Any]:
    from modelpack.canonical_json import rfc3339  # noqa: PLC0415

    return {
        "tags": list(one.tags),
        "digest": one.root.digest,
        "created": rfc3339(one.created) if one.created else None,
        "stays": one.stays or None,
        "removed": removed,
    }
