"""What an admission controller would say, without a cluster: its conditions, carried out."""

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jsonschema
import yaml

ASSETS = Path(__file__).parent / "assets" / "admission"
POLICY = """\
schema = 1

[signers.ci]
identity = "ci@modelpack.test"
issuer = "https://issuer.modelpack.test"

[signers.release-bot]
identity-regexp = "https://github\\\\.com/acme/[a-z]+/.*"
issuer = "https://token.actions.githubusercontent.com"

[signature]
signers = ["ci", "release-bot"]

[provenance]
signers = ["ci"]
build-types = ["https://modelpack.dev/build-types/*"]
clean = true

[sbom]

[scan]
fail-on = "HIGH"

[malware]
may-skip = ["/models/*.safetensors"]

[test]

[checks]
required = ["lint", "unit"]

[evaluation]
require = { accuracy = ">= 0.9", "slices.en.f1" = "> 0.5" }

[rebuild]

[[statements]]
type = "https://acme.example/review/v1"

[[waivers]]
requirement = "scan"
id = "CVE-2025-0002"
reason = "nothing parses XML"
expires = 2027-01-31
"""


def resources(text: str) -> list[dict[str, Any]]:
    """Return rendered resources, each of which its controller's own schema takes."""
    found = [item for item in yaml.safe_load_all(text) if item]
    for item in found:
        pinned = json.loads((ASSETS / f"{item['kind']}.json").read_text("utf-8"))
        assert item["apiVersion"] == f"{pinned['group']}/{pinned['version']}"
        schema = _strict(pinned["openAPIV3Schema"])
        body = {"apiVersion", "kind", "metadata"}
        jsonschema.validate(
            {key: value for key, value in item.items() if key not in body},
            {**schema, "properties": {
                key: value for key, value in schema["properties"].items() if key not in body
            }},
        )  # fmt: skip
    return found


def kyverno(
    program: str,
    policy: Mapping[str, Any],
    *,
    signed: Mapping[str, Sequence[str]],
    payloads: Mapping[str, Any],
    now: str,
    images: Sequence[str] = ("registry.test/acme/minilm",),
) -> list[str]:
    """Return why Kyverno would refuse a pod: messages of what is not true; empty: it is let in.

    `signed` are the signers' ids, and `payloads` the statements, by the name of the attestation.
    """
    spec = policy["spec"]
    case = {
        "variables": spec["variables"],
        "validations": spec["validations"],
        "images": {"containers": list(images), "initContainers": [], "ephemeralContainers": []},
        "attestors": [item["name"] for item in spec["attestors"]],
        "attestations": [item["name"] for item in spec["attestations"]],
        "signed": signed,
        "payloads": payloads,
        "now": now,
    }
    done = subprocess.run(
        [program], input=json.dumps(case), capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout)
    return [
        item["message"]
        for item, result in zip(spec["validations"], results, strict=True)
        if result != "true"
    ]


def _strict(schema: Any) -> Any:
    """Return a schema that refuses what Kubernetes would silently drop."""
    if isinstance(schema, list):
        return [_strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: _strict(value) for key, value in schema.items()}
    if "properties" in found and not found.get("x-kubernetes-preserve-unknown-fields"):
        found.setdefault("additionalProperties", False)
    return found
