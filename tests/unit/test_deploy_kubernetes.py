"""`modelpack deploy kubernetes`: what a cluster takes, and what an image needs of it."""

import itertools
import json
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from modelpack import spec as spec_of
from modelpack import templates
from modelpack.deploy import kubernetes, workload
from modelpack.deploy.workload import Wishes
from modelpack.errors import InputError
from modelpack.metadata import TRUST
from modelpack.oci.layout import Layout
from modelpack.platform import Platform
from modelpack.run_configuration import start_period
from modelpack.spec import Health, Image, Model, Runtime, Spec, Weights
from tests import values
from tests.command_line import run_here
from tests.described_image import complete
from tests.images import put

VERSION = "1.35"
SERVE, WEIGHTS = values.digest("a"), values.digest("b")
HEALTH = Health(live="/healthz", ready="/readyz")
SERVICE = Runtime(port=8080, health=HEALTH)


def made(spec: Spec, wishes: Wishes | None = None, **changes: Any) -> list[dict[str, Any]]:
    """Return the resources, each of which Kubernetes takes."""
    lock = values.lock(**changes)
    of = workload.of(spec, lock, wishes or Wishes(), repository="ghcr.io/acme/digits",
                     digest=SERVE, weights_image=WEIGHTS)  # fmt: skip
    text = kubernetes.render(of, templates.text(kubernetes.TEMPLATE), title="x")
    assert text.isascii()
    resources = list(yaml.safe_load_all(text))
    for resource in resources:
        kubernetes_validate.validate(resource, VERSION, strict=True)
    return resources


def pod(resources: list[dict[str, Any]]) -> dict[str, Any]:
    return resources[0]["spec"]["template"]["spec"]


def container(resources: list[dict[str, Any]]) -> dict[str, Any]:
    (only,) = pod(resources)["containers"]
    return only


def kinds(resources: list[dict[str, Any]]) -> list[str]:
    return [resource["kind"] for resource in resources]


def mounting(**changes: Any) -> Spec:
    weights = tuple(
        Weights(name=name, path=name, destination=f"/models/{name}", mode="mount")
        for name in ("digits", "adapter")
    )
    return values.spec(weights=weights, **changes)


def test_the_image_is_named_by_digest_and_confined() -> None:
    resources = made(values.spec(runtime=SERVICE))
    one = container(resources)
    assert one["image"] == f"ghcr.io/acme/digits@{SERVE}"
    assert one["securityContext"] == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }  # fmt: skip
    assert pod(resources)["securityContext"] == {
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert pod(resources)["automountServiceAccountToken"] is False


def test_the_service_and_its_policy_reach_the_pods_that_the_deployment_makes() -> None:
    deployment, service, policy = made(values.spec(runtime=SERVICE))
    labels = deployment["spec"]["template"]["metadata"]["labels"].items()
    for selector in (
        deployment["spec"]["selector"]["matchLabels"], service["spec"]["selector"],
        policy["spec"]["podSelector"]["matchLabels"],
    ):  # fmt: skip
        assert selector.items() <= labels
    assert service["spec"]["ports"][0]["targetPort"] == "http"
    assert policy["spec"]["egress"] == []
    assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]


def test_it_has_the_time_to_check_and_load_its_weights() -> None:
    spec = values.spec(runtime=SERVICE)
    small = container(made(spec))["startupProbe"]
    files = values.weights_lock(values.weight_file(size=150 << 30))
    large = container(made(spec, weights=(files,)))["startupProbe"]
    needed = start_period(values.lock(weights=(files,)))
    assert large["periodSeconds"] * large["failureThreshold"] >= needed
    assert large["failureThreshold"] > small["failureThreshold"]
    resources = made(spec, weights=(files,))
    assert resources[0]["spec"]["progressDeadlineSeconds"] > needed
    slow = values.spec(
        runtime=SERVICE, test=spec_of.Test(limits={"cold-start": "1h", "stop": "90s"})
    )
    resources = made(slow)
    probe = container(resources)["startupProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] >= 3600
    assert pod(resources)["terminationGracePeriodSeconds"] == 90


def test_probes_are_those_that_are_declared() -> None:
    one = container(made(values.spec(runtime=SERVICE)))
    assert one["startupProbe"]["httpGet"]["path"] == "/readyz"
    assert one["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "http"}
    assert one["livenessProbe"]["httpGet"]["path"] == "/healthz"
    live = container(made(values.spec(runtime=Runtime(port=1, health=Health(live="/l")))))
    assert live["startupProbe"]["httpGet"]["path"] == "/l"
    assert "readinessProbe" not in live
    none = made(values.spec(runtime=Runtime()))
    assert not {"ports", "startupProbe", "livenessProbe"} & {*container(none)}
    assert kinds(none) == ["Deployment", "NetworkPolicy"]


def test_what_was_tested_under_is_what_it_gets() -> None:
    spec = values.spec(
        runtime=SERVICE, test=spec_of.Test(limits={"memory": "256 MiB", "cpus": "1.5"})
    )
    assert container(made(spec))["resources"] == {
        "requests": {"cpu": "1.5", "memory": "256Mi"}, "limits": {"memory": "256Mi"}
    }  # fmt: skip
    odd = values.spec(runtime=SERVICE, test=spec_of.Test(limits={"memory": "500 MB"}))
    assert container(made(odd))["resources"]["limits"] == {"memory": "500000000"}
    wishes = Wishes(memory="4Gi", cpu="500m")
    assert container(made(spec, wishes))["resources"]["requests"] == {
        "cpu": "500m",
        "memory": "4Gi",
    }
    assert "resources" not in container(made(values.spec(runtime=SERVICE)))


@pytest.mark.parametrize(("device", "wished", "limits"), [
    ("cuda", None, {"nvidia.com/gpu": "1"}), ("cuda", 8, {"nvidia.com/gpu": "8"}),
    ("cuda", 0, None), ("cpu", None, None),
])  # fmt: skip
def test_gpus(device: Any, wished: int | None, limits: dict[str, str] | None) -> None:
    spec = values.spec(runtime=Runtime(port=1, device=device))
    found = container(made(spec, Wishes(gpus=wished))).get("resources", {})
    assert found.get("limits") == limits


def test_mounted_weights_come_from_their_image() -> None:
    resources = made(mounting(runtime=SERVICE))
    volumes = {volume["name"]: volume for volume in pod(resources)["volumes"]}
    assert volumes["weights"]["image"]["reference"] == f"ghcr.io/acme/digits@{WEIGHTS}"
    mounts = [m for m in container(resources)["volumeMounts"] if m["name"] == "weights"]
    assert mounts == [
        {"name": "weights", "mountPath": f"/models/{name}", "subPath": f"models/{name}",
         "readOnly": True}
        for name in ("digits", "adapter")
    ]  # fmt: skip


def test_or_from_claims() -> None:
    resources = made(mounting(runtime=SERVICE), Wishes(claims={"adapter": "nfs-1"}))
    volumes = {volume["name"]: volume for volume in pod(resources)["volumes"]}
    assert volumes["claim-1"]["persistentVolumeClaim"] == {"claimName": "nfs-1", "readOnly": True}
    assert "image" in volumes["weights"]
    both = Wishes(claims={"adapter": "nfs-1", "digits": "nfs-2"})
    names = {volume["name"] for volume in pod(made(mounting(), both))["volumes"]}
    assert names == {"tmp", "claim-0", "claim-1"}


def test_who_must_have_signed_the_weights_is_mounted() -> None:
    runtime = Runtime(port=8080, require_signature=True)
    with pytest.raises(InputError, match="nobody says by whom"):
        made(values.spec(runtime=runtime))
    resources = made(values.spec(runtime=runtime), Wishes(trust="publishers"))
    assert {"name": "trust", "mountPath": TRUST, "readOnly": True} in container(resources)[
        "volumeMounts"
    ]
    assert {"name": "trust", "configMap": {"name": "publishers"}} in pod(resources)["volumes"]


def test_nodes_of_another_architecture_do_not_get_it() -> None:
    spec = values.spec(runtime=SERVICE)
    assert pod(made(spec))["nodeSelector"]["kubernetes.io/arch"] == "amd64"
    several = (values.platform_lock(), values.platform_lock(platform=Platform("linux", "arm64")))
    selector = pod(made(spec, platforms=several))["nodeSelector"]
    assert selector == {"kubernetes.io/os": "linux"}


def test_several_pods_are_not_drained_at_once() -> None:
    resources = made(values.spec(runtime=SERVICE), Wishes(replicas=3))
    assert kinds(resources)[-1] == "PodDisruptionBudget"
    assert resources[0]["spec"]["replicas"] == 3
    scaled = made(values.spec(runtime=SERVICE), Wishes(replicas=None))
    assert "replicas" not in scaled[0]["spec"]


@pytest.mark.parametrize(
    ("port", "replicas", "isolated", "namespace", "secret"),
    list(itertools.product((0, 8080), (1, 2), (True, False), ("", "ml"), ("", "regcred"))),
)
def test_every_mixture_is_one_that_kubernetes_takes(
    port: int, replicas: int, isolated: bool, namespace: str, secret: str
) -> None:
    wishes = Wishes(replicas=replicas, isolated=isolated, namespace=namespace, pull_secret=secret)
    resources = made(values.spec(runtime=Runtime(port=port, health=HEALTH)), wishes)
    assert ("NetworkPolicy" in kinds(resources)) is isolated
    assert {resource["metadata"].get("namespace", "") for resource in resources} == {namespace}
    assert pod(resources).get("imagePullSecrets", []) == ([{"name": secret}] if secret else [])


@pytest.mark.parametrize(
    "path", ["/a b", '/"', "/\N{GREEK SMALL LETTER PI}", "/: {x", "/[= name =]", "/#", "/{{x}}"]
)
def test_no_path_is_read_as_yaml(path: str) -> None:
    health = Health(live=path, ready=path)
    assert container(made(values.spec(runtime=Runtime(port=1, health=health))))["livenessProbe"][
        "httpGet"
    ]["path"] == path  # fmt: skip


def test_all_that_is_wrong_is_said_at_once() -> None:
    wishes = Wishes(name="A_b", namespace="-", cpu="two", memory="4GB", pull_secret="?",
                    claims={"other": "X"})  # fmt: skip
    with pytest.raises(InputError) as error:
        made(mounting(), wishes)
    places = [finding.at for finding in error.value.findings]
    assert places == ["--name", "--namespace", "--pull-secret", "--cpu", "--memory",
                      "--weights-claim", "--weights-claim"]  # fmt: skip


def test_a_name_of_a_model_becomes_one_of_kubernetes() -> None:
    resources = made(values.spec(model=Model(name="all.mini_lm-6", version="1.0+cu")))
    assert resources[0]["metadata"]["name"] == "all-mini-lm-6"
    assert "app.kubernetes.io/version" not in resources[0]["metadata"]["labels"]


def test_the_command_reads_the_image_last_built(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = complete(spec=values.spec(runtime=SERVICE, image=Image(repository="ghcr.io/acme/x")))
    folder = tmp_path / "dist" / "image"
    layout = Layout(folder)
    with layout:
        put(layout, image.image(), "1")
    done = run_here(capsys, "deploy", "kubernetes", f"{tmp_path}")
    assert done.status == 0, done.err
    first = next(iter(yaml.safe_load_all(done.out)))
    assert first["spec"]["template"]["spec"]["containers"][0]["image"].startswith(
        "ghcr.io/acme/x@sha256:"
    )
    done = run_here(capsys, "deploy", "kubernetes", f"{tmp_path}", "--json")
    document = json.loads(done.out)
    assert [*document] == ["schema", "image", "weights_image", "name", "text"]
    assert document["weights_image"] is None
    done = run_here(capsys, "deploy", "kubernetes", f"oci:{folder}")
    assert (done.status, "pulls from a registry" in done.err) == (2, True)
