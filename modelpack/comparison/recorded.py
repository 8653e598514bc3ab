"""What an image says it was made from, and the code in a folder that is the recorded one."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelpack import project
from modelpack.comparison.verdict import Origin, Revision
from modelpack.digest import of as digest_of
from modelpack.errors import Finding, InputError, ModelpackError, Refused, Unavailable
from modelpack.inputs import code as code_inputs
from modelpack.inputs import git
from modelpack.inputs import interface as interface_inputs
from modelpack.inputs.code import ReadCode
from modelpack.inspection import configuration, description, parts
from modelpack.inspection.documents import Documents
from modelpack.lock import Lock, PlatformLock
from modelpack.lock import encoding as lock_encoding
from modelpack.source import CodeFile, Source
from modelpack.spec import Spec
from modelpack.trust import predicate_types

_SHOWN = 50
"files that are named in one refusal"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """An image and what it says it was made from."""

    documents: Documents
    spec: Spec
    lock: Lock
    source: Source
    platform: PlatformLock
    builder: str = ""
    "what made its dependencies layer, as the provenance beside it says; empty: not said"
    version: str = ""
    "of the modelpack that made it, likewise"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedCode:
    """The recorded code, read from a folder."""

    root: Path
    code: ReadCode
    source: Source
    "as the image records it, but for the files, which were read"
    interface: Mapping[str, bytes]
    "documents of the interface, by their kind"
    spec_from: Origin
    lock_from: Origin
    revision_is: Revision


def recorded(documents: Documents) -> Recorded:
    """Return what the image says it was made from; raise Unavailable where it does not say."""
    config = documents.manifest.config
    settings = configuration.parse(documents.config_bytes, config.media_type if config else "")
    at = documents.descriptor.digest
    if documents.nameplates:
        raise Unavailable(
            "an image of mounted weights is made from weights alone", at=at,
            hint="modelpack rebuild the image that serves, and check the weights by their digests",
        )  # fmt: skip
    meta = documents.meta
    if meta is None or meta.trouble:
        reason = meta.trouble if meta else "modelpack did not make it"
        raise Unavailable(f"the image does not say what it was made from: {reason}", at=at)
    told = description.parse(meta.files)
    if told.spec is None or told.lock is None or told.source is None:
        raise Unavailable(*told.unknown, at=at)
    platform = parts.platform_lock(told.lock, settings.platform)
    if platform is None:
        raise Unavailable("its lock has no such platform as its configuration names", at=at)
    builder, version = _provenance(documents)
    return Recorded(
        documents=documents, spec=told.spec, lock=told.lock, source=told.source,
        platform=platform, builder=builder, version=version,
    )  # fmt: skip


def read_code(of: Recorded, root: Path, *, environment: Mapping[str, str]) -> RecordedCode:
    """Read the recorded code below `root`; raise Refused naming each file that is another one."""
    if not root.is_dir():
        raise InputError("there is no such folder", at=str(root))
    spec = of.spec
    folder = root / spec.code.path
    if not folder.resolve().is_relative_to(root.resolve()):
        raise Refused("the code's folder is not below the project", at=spec.code.path)
    if not folder.is_dir():
        raise Refused(f"there is no folder `{spec.code.path}`", at=str(root), hint=_hint(of))
    leave_out = frozenset((root / item.path).resolve() for item in spec.weights if item.path)
    code, unfit = code_inputs.find(folder, spec.code, leave_out=leave_out)
    interface = interface_inputs.read(root, spec)
    other = [
        *_differences(of.source.files, code.files, _hint(of)),
        *_interface_differences(of, interface),
    ]
    findings = [*(finding for finding in unfit if finding.rule != "code.empty"), *other]
    if findings:
        more = len(findings) - _SHOWN
        tail = [Finding(message=f"and {more} files more", at="code")] if more > 0 else []
        raise Refused(*findings[:_SHOWN], *tail)
    said = of.source
    return RecordedCode(
        root=root,
        code=code,
        source=Source(
            files=code.files, revision=said.revision, dirty=said.dirty, created=said.created,
            digest=code.digest, interface=said.interface,
        ),
        interface=interface,
        spec_from="source" if _has_spec(root, spec) else "image",
        lock_from="source" if _has_lock(root, of.lock) else "image",
        revision_is=_revision(folder, said.revision, environment),
    )  # fmt: skip


def _differences(
    recorded_files: Sequence[CodeFile], found: Sequence[CodeFile], hint: str
) -> Iterator[Finding]:
    was, here = ({file.path: file for file in files} for files in (recorded_files, found))
    for path in sorted({*was, *here}):
        one, other = was.get(path), here.get(path)
        if one == other:
            continue
        if other is None:
            message = "the recorded file is not there"
        elif one is None:
            message = "the image has no such code file"
        elif (one.sha256, one.link) != (other.sha256, other.link):
            message = f"not the recorded file: sha256:{other.sha256} instead of sha256:{one.sha256}"
        else:
            message = "the recorded file is executable, this one is not"
            if not one.executable:
                message = "the recorded file is not executable, this one is"
        yield Finding(message=message, at=f"code: {path}", rule="rebuild.code", hint=hint)


def _interface_differences(of: Recorded, found: Mapping[str, bytes]) -> Iterator[Finding]:
    for kind in sorted({*of.source.interface, *found}):
        here = digest_of(found[kind]) if kind in found else "no document"
        if here != of.source.interface.get(kind):
            message = f"not the recorded document: {here} instead of "
            message += of.source.interface.get(kind, "no document")
            yield Finding(message=message, at=f"interface.{kind}", rule="rebuild.interface",
                          hint=_hint(of))  # fmt: skip


def _hint(of: Recorded) -> str:
    revision = of.source.revision
    return f"git checkout {revision}" if revision else "give the recorded code as `--source`"


def _has_spec(root: Path, spec: Spec) -> bool:
    """Tell whether a toml at the top of the folder says what the image's spec says."""
    for path in sorted(root.glob("*.toml"))[:_SHOWN]:
        try:
            if project.read(root, file=path, ignore_lock=True).spec == spec:
                return True
        except ModelpackError:
            continue
    return False


def _has_lock(root: Path, lock: Lock) -> bool:
    wanted = lock_encoding.dump(lock)
    for path in sorted(root.glob("*.lock"))[:_SHOWN]:
        try:
            same_size = path.is_file() and path.stat().st_size == len(wanted)
            if same_size and path.read_bytes() == wanted:
                return True
        except OSError:
            continue
    return False


def _revision(folder: Path, revision: str, environment: Mapping[str, str]) -> Revision:
    if not revision:
        return "not-recorded"
    commit = git.head(folder, environment=environment)
    if commit is None:
        return "no-repository"
    return "checked-out" if commit.revision == revision else "other-commit"


def _provenance(documents: Documents) -> tuple[str, str]:
    """Return builder and version from the provenance beside the image; unsigned, for reasons."""
    for document in documents.referrers:
        if document.statement and document.statement.predicate_type == predicate_types.PROVENANCE:
            said = document.statement.predicate
            builder = _at(said, "buildDefinition", "externalParameters", "builder")
            version = _at(said, "runDetails", "builder", "version", "modelpack")
            return builder, version
    return "", ""


def _at(value: Any, *keys: str) -> str:  # noqa: ANN401  any JSON value
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value if isinstance(value, str) else ""
