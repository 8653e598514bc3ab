"""A pipeline for a CI system, from its template and what a project's Spec says.

Pure. A pipeline is a program that holds credentials: what it says of a project is a plain word, or
is refused, so that no name is ever read as YAML, as an expression or as shell.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from modelpack import reference
from modelpack.deploy.filling import fill
from modelpack.errors import Finding, InputError
from modelpack.reference import Registry
from modelpack.spec import Spec
from modelpack.trust.policy import Policy

_WORD = re.compile(r"[A-Za-z0-9_./:@+=,\[\]-]+")
"means itself in YAML's double quotes, in a shell's, and in a comment"
_PART = r"(?!\.\.?(?:/|$))[A-Za-z0-9_@+.-]+"
_FOLDER = re.compile(rf"\.|(?!-){_PART}(?:/{_PART})*")
_LAST: Final = "production"
"the stage in which an image gets its tags, if there is one of that name"
_TIERS: Final = frozenset({"production", "staging", "testing", "development"})
_EXTRAS: Mapping[str, str] = MappingProxyType({"hf://": "hf", "s3://": "s3"})


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """A CI system: its template, and where in a repository it looks for its pipeline."""

    template: str
    path: str


SYSTEMS: Final[Mapping[str, System]] = MappingProxyType({
    "github": System(template="ci/github.yml.j2", path=".github/workflows/modelpack.yml"),
    "gitlab": System(template="ci/gitlab.yml.j2", path=".gitlab-ci.yml"),
    "generic": System(template="ci/generic.sh.j2", path="modelpack-ci.sh"),
})  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What the pipeline runs."""

    modelpack: str
    "its version"
    trivy: str
    "a version, with its `v`"
    test: bool
    "whether this version has `modelpack test`"


@dataclass(frozen=True, slots=True, kw_only=True)
class Promotion:
    """The policy by which images move from stage to stage, and where it is in the repository."""

    path: str
    policy: Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stage:
    """What a template says of a job after which an image has a stage."""

    name: str
    job: str
    needs: str
    waits: bool
    "for somebody, where that is the pipeline's business"
    tags: bool
    "it also gives the tags of the toml"
    tier: str = ""
    "of the deployment, as GitLab calls it"


def render(
    name: str, spec: Spec, *, folder: str, template: str, tools: Tools,
    promotion: Promotion | None = None,
) -> str:  # fmt: skip
    """Return the pipeline for the system `name` of a project in `folder`, below the repository.

    With `promotion`, an image moves through the stages of the policy, each in a job of its own.
    Raises InputError for a project that names no repository, and for a value that is no word.
    """
    if not spec.image.repository:
        raise InputError(
            "the project names no repository", at="image.repository",
            hint='set it, such as `repository = "ghcr.io/acme/minilm"`',
        )  # fmt: skip
    if not _FOLDER.fullmatch(folder):
        raise InputError(
            f"a pipeline cannot name the folder `{folder}`", at="DIR",
            hint="use letters, digits and `_@+.-` only, within the repository",
        )  # fmt: skip
    target = reference.registry(spec.image.repository, at="image.repository")
    if promotion is not None and not _FOLDER.fullmatch(promotion.path):
        raise InputError(
            f"a pipeline cannot name the file `{promotion.path}`", at="--policy",
            hint="use letters, digits and `_@+.-` only, within the repository",
        )  # fmt: skip
    values = {
        "system": name, **_values(spec, target, folder, tools), "stages": _stages(promotion),
        "policy": promotion.path if promotion else "",
    }  # fmt: skip
    # Other brackets than GitHub's expressions have; `_word` lets through what needs no escaping.
    return fill(template, values, finalize=_word)


def tested(spec: Spec) -> bool:
    """Tell whether the project declares a functional test."""
    return bool(spec.test.golden)


def doubts(promotion: Promotion | None) -> tuple[Finding, ...]:
    """Return a warning for each stage to which one pipeline cannot promote what it built."""
    stages = promotion.policy.stages if promotion else {}
    return tuple(
        Finding(
            message="this pipeline builds and promotes under one identity, which the stage refuses",
            at=f"stages.{name}.approver-not-builder", rule="ci.approver", severity="warning",
            hint="the approval is the environment's: write `approver-not-builder = false`; or let "
            "somebody else promote: modelpack promote IMAGE --to {name}".replace("{name}", name),
        )
        for name, stage in stages.items() if stage.approver_not_builder
    )  # fmt: skip


def _stages(promotion: Promotion | None) -> tuple[_Stage, ...]:
    """Return the jobs after verification, each after the one that it needs."""
    if promotion is None:
        return (
            _Stage(name=_LAST, job=_LAST, needs="verify", waits=True, tags=True, tier=_LAST),
        )  # fmt: skip
    rules, order = promotion.policy.stages, list[str]()
    while len(order) < len(rules):  # the policy has been read: no stage waits for itself
        order += [
            name for name, stage in rules.items()
            if name not in order and (not stage.after or stage.after in order)
        ]  # fmt: skip
    if dotted := [name for name in order if "." in name]:
        raise InputError(
            f"a pipeline cannot have a job for the stage `{dotted[0]}`", at="--policy",
            hint="name it without a `.`",
        )  # fmt: skip
    last = _LAST if _LAST in order else order[-1]
    return tuple(
        _Stage(
            name=name, job=f"promote-{name}", waits=bool(rules[name].after) or len(order) == 1,
            needs=f"promote-{rules[name].after}" if rules[name].after else "verify",
            tags=name == last, tier=name if name in _TIERS else "",
        )
        for name in order
    )  # fmt: skip


def _values(spec: Spec, target: Registry, folder: str, tools: Tools) -> Mapping[str, Any]:
    below = "" if folder == "." else f"{folder}/"
    tests = tools.test and tested(spec)
    return {
        "version": tools.modelpack,
        "trivy": tools.trivy,
        "requirement": f"modelpack-build{_extras(spec, tests=tests)}=={tools.modelpack}",
        "model": spec.model.name,
        "project": "." if folder == "." else f"./{folder}",
        "toml": f"{below}modelpack.toml",
        "lock": f"{below}modelpack.lock",
        "dist": f"{below}dist",
        "repository": target.name,
        "registry": target.host,
        "tags": spec.image.tags or (spec.model.version,),
        "weights_here": any(weights.path for weights in spec.weights),
        "checks": bool(spec.checks),
        "test": tests,
        "gate": spec.scan,
    }


def _extras(spec: Spec, *, tests: bool) -> str:
    """Return what of modelpack's optional dependencies the project needs."""
    found = {
        extra
        for weights in spec.weights
        for scheme, extra in _EXTRAS.items()
        if weights.source.startswith(scheme)
    }
    if spec.image.compression == "zstd":
        found.add("zstd")
    if spec.interface.is_stated:
        found.add("interface")
    if spec.interface.openapi and tests:
        found.add("schemathesis")
    return f"[{','.join(sorted(found))}]" if found else ""


def _word(value: object) -> str:
    """Return what the template prints of `value` (jinja2's finalize)."""
    text = str(value)
    if not _WORD.fullmatch(text):
        raise InputError(f"a pipeline cannot hold `{text[:80]}`", hint="use a plainer name")
    return text
