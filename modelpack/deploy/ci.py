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
from modelpack.errors import InputError
from modelpack.reference import Registry
from modelpack.spec import Spec

_WORD = re.compile(r"[A-Za-z0-9_./:@+=,\[\]-]+")
"means itself in YAML's double quotes, in a shell's, and in a comment"
_PART = r"(?!\.\.?(?:/|$))[A-Za-z0-9_@+.-]+"
_FOLDER = re.compile(rf"\.|(?!-){_PART}(?:/{_PART})*")
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


def render(name: str, spec: Spec, *, folder: str, template: str, tools: Tools) -> str:
    """Return the pipeline for the system `name` of a project in `folder`, below the repository.

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
    values = {"system": name, **_values(spec, target, folder, tools)}
    # Other brackets than GitHub's expressions have; `_word` lets through what needs no escaping.
    return fill(template, values, finalize=_word)


def tested(spec: Spec) -> bool:
    """Tell whether the project declares a functional test."""
    return bool(spec.test.golden)


def _values(spec: Spec, target: Registry, folder: str, tools: Tools) -> Mapping[str, Any]:
    below = "" if folder == "." else f"{folder}/"
    return {
        "version": tools.modelpack,
        "trivy": tools.trivy,
        "requirement": f"modelpack-build{_extras(spec)}=={tools.modelpack}",
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
        "test": tools.test and tested(spec),
        "gate": spec.scan,
    }


def _extras(spec: Spec) -> str:
    """Return what of modelpack's optional dependencies the project needs."""
    found = {
        extra
        for weights in spec.weights
        for scheme, extra in _EXTRAS.items()
        if weights.source.startswith(scheme)
    }
    if spec.image.compression == "zstd":
        found.add("zstd")
    return f"[{','.join(sorted(found))}]" if found else ""


def _word(value: object) -> str:
    """Return what the template prints of `value` (jinja2's finalize)."""
    text = str(value)
    if not _WORD.fullmatch(text):
        raise InputError(f"a pipeline cannot hold `{text[:80]}`", hint="use a plainer name")
    return text
