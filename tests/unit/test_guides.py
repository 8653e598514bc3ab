"""The manifests in the guides are ones that Kubernetes takes, and say what the text says."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

GUIDES = Path(__file__).parents[2] / "docs" / "guides"
VERSION = "1.35"
"of Kubernetes, in which image volumes are on by default"
_BLOCK = re.compile(r"^```yaml\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def _manifests() -> Iterator[Any]:
    """Yield every YAML document of the guides."""
    for guide in sorted(GUIDES.glob("*.md")):
        for block in _BLOCK.findall(guide.read_text("utf-8")):
            for document in yaml.safe_load_all(block):
                yield pytest.param(document, id=f"{guide.stem}-{document['kind']}")


MANIFESTS = tuple(_manifests())


def pod_of(document: Any) -> Any:
    """Return the pod of a manifest; of KServe's, the containers as a pod."""
    spec = document["spec"]
    if document["kind"] == "InferenceService":
        containers = spec["predictor"]["containers"]
        return {"containers": containers, "volumes": []}
    return spec["template"]["spec"] if "template" in spec else spec


def test_the_guide_of_mounted_weights_has_manifests() -> None:
    kinds = ("Deployment", "Pod", "InferenceService")
    assert {f"mounted-weights-{kind}" for kind in kinds} <= {one.id for one in MANIFESTS}


@pytest.mark.parametrize("document", MANIFESTS)
def test_a_manifest_is_one_that_kubernetes_takes(document: Any) -> None:
    if document["apiVersion"].startswith("serving.kserve.io/"):
        # No schema of KServe's is at hand: its containers are those of a pod.
        document = {
            "apiVersion": "v1", "kind": "Pod", "metadata": document["metadata"],
            "spec": {"containers": pod_of(document)["containers"]},
        }  # fmt: skip
    kubernetes_validate.validate(document, VERSION, strict=True)


@pytest.mark.parametrize("document", MANIFESTS)
def test_the_schema_would_refuse_another_key(document: Any) -> None:
    pod = pod_of(document)
    wrong = {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"},
        "spec": {"containers": [{**pod["containers"][0], "volumeMount": []}]},
    }  # fmt: skip
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, VERSION, strict=True)


def test_the_guide_of_running_has_a_pod_that_can_write_nowhere_and_gain_nothing() -> None:
    (document,) = [one.values[0] for one in MANIFESTS if one.id == "running-Deployment"]
    pod: Any = pod_of(document)
    (container,) = pod["containers"]

    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"] == {
        "readOnlyRootFilesystem": True, "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
    }  # fmt: skip
    assert [volume for volume in pod["volumes"] if "emptyDir" not in volume] == []


@pytest.mark.parametrize("document", MANIFESTS)
def test_weights_are_mounted_read_only_where_the_image_looks_for_them(document: Any) -> None:
    pod = pod_of(document)
    (container,) = pod["containers"]
    variables = {item["name"]: item["value"] for item in container.get("env", ())}
    for mount in container.get("volumeMounts", ()):
        if mount["name"] != "weights":
            continue
        assert mount["readOnly"] is True
        assert variables.get("MODELPACK_WEIGHTS", mount["mountPath"]) == mount["mountPath"]
        assert f"/{mount['subPath']}" == "/models/minilm"
        assert mount["name"] in {volume["name"] for volume in pod["volumes"]}
    if "STORAGE_URI" in variables:
        assert variables["STORAGE_URI"].startswith("oci+native://")
        assert variables["MODELPACK_WEIGHTS"] == "/mnt/models/minilm"
