"""Demands as the resources of a controller, through its template."""

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from modelpack.deploy.admission.demands import Demand, Demands, Signer
from modelpack.deploy.filling import fill
from modelpack.errors import Finding, InputError

TEMPLATES: Final[Mapping[str, str]] = MappingProxyType({
    "kyverno": "policy/kyverno.yaml.j2",
    "policy-controller": "policy/policy-controller.yaml.j2",
})  # fmt: skip
_NAME: Final = re.compile(r"(?=.{1,63}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?")
_HOST: Final = re.compile(r"localhost(?::[0-9]+)?|[A-Za-z0-9*.-]+(?:\.[A-Za-z0-9*-]+|:[0-9*]+)")
_PATH: Final = re.compile(r"[a-z0-9._/*-]{1,400}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Private:
    """A Sigstore of one's own, instead of the public one."""

    text: str
    "the trusted root as JSON"
    mirror: str = ""
    "URL of its TUF repository, which Kyverno asks even where it is given a trusted root"
    root: bytes = b""
    "of the TUF repository"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Which controller is asked, and for which images."""

    controller: str
    name: str
    "of the resources"
    images: tuple[str, ...]
    "patterns of names without tag or digest, such as `ghcr.io/acme/*`; `*`: any characters"
    source: str
    "the policy's file, for people"

    def check(self) -> None:
        """Raise InputError for what Kubernetes or the controller would not take."""
        findings = []
        if not _NAME.fullmatch(self.name):
            findings.append(Finding(message="not a name of a Kubernetes resource", at="--name",
                                    hint="use lowercase letters, digits and `-`"))  # fmt: skip
        if not self.images:
            findings.append(Finding(message="no images", at="--images",
                                    hint="give a pattern, such as `ghcr.io/acme/*`"))  # fmt: skip
        findings += [
            Finding(
                message=f"not a pattern of image names: `{each[:80]}`",
                at="--images",
                hint="REGISTRY/NAME without tag or digest, in which `*` stands for anything",
            )
            for each in self.images
            if not _is_pattern(each)
        ]
        if findings:
            raise InputError(*findings)


def _is_pattern(text: str) -> bool:
    host, slash, path = text.partition("/")
    return bool(slash and _HOST.fullmatch(host) and _PATH.fullmatch(path))


def _globs(controller: str, pattern: str) -> tuple[str, ...]:
    """Return the controller's patterns for every tag and digest of the images of `pattern`.

    It matches whole references: one that is not matched is let in unasked.
    """
    if controller == "kyverno":
        stars, bare = "*", [pattern]
    else:
        # where `*` ends at a slash, names always have a tag, and Docker Hub another name
        stars, bare = "**", []
        pattern = re.sub(r"^docker\.io/", "index.docker.io/", pattern).replace("*", stars)
    if pattern.endswith("*"):
        return (pattern,)
    return (*bare, f"{pattern}:{stars}", f"{pattern}@{stars}")


def render(
    demands: Demands, target: Target, template: str, *, private: Private | None = None
) -> str:
    """Return the YAML by which a controller demands it."""
    target.check()
    if target.controller == "policy-controller":
        _check_keyless(demands)
        _check_tuf(private)
    values: dict[str, Any] = {
        "name": target.name,
        "source": target.source,
        "images": [glob for each in target.images for glob in _globs(target.controller, each)],
        "left_out": demands.left_out,
        "log": demands.log,
        "signers": demands.signers,
        "demands": [_demand(each) for each in demands.demands],
        "trusted_root": private.text if private else "",
        "tuf": _tuf(private) if private and private.mirror else None,
    }
    return fill(template, values)


def _check_tuf(private: Private | None) -> None:
    """Raise InputError for keys without a TUF repository, with which no bundle ever verifies.

    policy-controller 0.15 takes the hexadecimal text of a log's id for the id, where a TrustRoot
    lists keys (`pkg/apis/config/sigstore_keys.go`, ConvertTransparencyLogInstance).
    """
    if private and not private.mirror:
        raise InputError(
            "policy-controller finds no log of a Sigstore of your own but through its TUF "
            "repository", at="--trusted-root", hint="give `--tuf-mirror` and `--tuf-root`, too",
        )  # fmt: skip


def _demand(demand: Demand) -> Mapping[str, Any]:
    return {
        "name": demand.name,
        "id": demand.id,
        "type": demand.type,
        "signers": demand.signers,
        "who": demand.who,
        "attestors": [f"attestors.{signer.id}" for signer in demand.who],
        "conditions": demand.conditions,
    }


def _check_keyless(demands: Demands) -> None:
    """Raise InputError for signers by key, whose bundles policy-controller does not verify."""
    keys: list[Signer] = [signer for signer in demands.signers if signer.key]
    if keys:
        raise InputError(*(
            Finding(
                message="policy-controller verifies no bundles that were signed with a key",
                at=f"signers.{signer.name}.key",
                hint="render for `kyverno`, or name a signer with an identity",
            )
            for signer in keys
        ))  # fmt: skip


def _tuf(private: Private) -> Mapping[str, str]:
    return {"mirror": private.mirror, "root": base64.b64encode(private.root).decode()}
