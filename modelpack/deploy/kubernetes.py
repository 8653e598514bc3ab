"""A Workload as the resources of Kubernetes, through a template; pure."""

from typing import Final

from modelpack.deploy.filling import fill
from modelpack.deploy.workload import Workload
from modelpack.metadata import TRUST

TEMPLATE: Final = "kubernetes/workload.yaml.j2"
_PERIOD: Final = 5
"seconds between two looks whether it has started"
_PATIENCE: Final = 2
"times the declared start: a node pulls, and reads, at its own speed"
_SLACK: Final = 300
"seconds for what comes before the container: scheduling, pulling the image"


def render(workload: Workload, template: str, *, title: str) -> str:
    """Return the YAML that runs it; `title` says in a comment what it was made of."""
    health, wishes = workload.health, workload.wishes
    startup = health.ready or health.live if workload.port else ""
    failures = -(-_PATIENCE * workload.start // _PERIOD)
    values = {
        "title": title,
        "name": workload.name,
        "namespace": wishes.namespace,
        "labels": workload.labels,
        "annotations": workload.annotations,
        "replicas": wishes.replicas,
        "deadline": _PERIOD * failures + _SLACK,
        "grace": workload.grace,
        "architecture": workload.architecture,
        "pull_secret": wishes.pull_secret,
        "image": workload.image,
        "port": workload.port,
        "startup": startup,
        "period": _PERIOD,
        "failures": failures,
        "ready": health.ready if workload.port else "",
        "live": health.live if workload.port else "",
        "requests": workload.requests,
        "limits": workload.limits,
        "volumes": [
            {"volume": _volume(number, each.claim), "destination": each.destination,
             "path": each.destination.lstrip("/")}
            for number, each in enumerate(workload.volumes)
        ],
        "weights_image": workload.weights_image,
        "claims": [
            {"volume": _volume(number, each.claim), "name": each.claim}
            for number, each in enumerate(workload.volumes)
            if each.claim
        ],
        "trust": {"place": TRUST, "config_map": wishes.trust} if wishes.trust else None,
        "isolated": wishes.isolated,
    }  # fmt: skip
    return fill(template, values)


def _volume(number: int, claim: str) -> str:
    """Return the name of a volume in the pod."""
    return f"claim-{number}" if claim else "weights"
