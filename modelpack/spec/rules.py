"""What must hold between the values of a Spec, beyond how each one is written."""

from collections.abc import Sequence

from modelpack import reference
from modelpack.errors import InputError
from modelpack.spec import Image, ScanIgnore, Spec, weight_rules
from modelpack.spec.folders import check_free
from modelpack.spec.problems import Problems, dotted, shown, similar

SCHEMA = 1
ASSEMBLED_BASES = ("debian:12", "debian:13")
OWN_VARIABLES = frozenset({"VIRTUAL_ENV", "PYTHONHOME", "PYTHONPLATLIBDIR"})
"names that the image sets itself, or that would change what the guard runs on"
OWN_VARIABLE_PREFIX = "MODELPACK_"
DEVICE_VARIABLES = {
    "CUDA_VERSION": "take it out: `NVIDIA_REQUIRE_CUDA` is set from the locked wheels",
    "NVIDIA_VISIBLE_DEVICES": "take it out: `docker run --gpus`, Kubernetes' device plugin and "
    "CDI set it",
}
"names by which an image would take GPUs that nobody gave it, each with what does it right"
_STANDARD = "org.opencontainers.image."
OWN_LABELS = frozenset(
    _STANDARD + name
    for name in (
        "base.digest", "base.name", "created", "description", "licenses", "revision", "title",
        "version",
    )
)  # fmt: skip
OWN_LABEL_PREFIX = "dev.modelpack."


def check(spec: Spec, problems: Problems, *, weights_at: Sequence[str]) -> None:
    """Note what does not hold in `spec`; `weights_at` has the dotted path of each weights."""
    _check_model(spec, problems)
    weight_rules.check(spec, problems, weights_at=weights_at)
    _check_code(spec, problems)
    _check_dependencies(spec, problems)
    _check_runtime(spec, problems)
    _check_image(spec.image, problems)
    _check_gates(spec, problems)


def _check_model(spec: Spec, problems: Problems) -> None:
    if spec.model.license and (complaint := _license_complaint(spec.model.license)):
        problems.add(
            "model.license",
            complaint,
            hint="write an SPDX expression such as `Apache-2.0`, or `LicenseRef-` and a name",
            rule="license",
        )


def _license_complaint(text: str) -> str:
    try:
        from packaging import licenses  # noqa: PLC0415  long tables, for this one line
    except ImportError:
        return ""
    try:
        licenses.canonicalize_license_expression(text)
    except licenses.InvalidLicenseExpression:
        return f"`{shown(text)}` is not an SPDX expression"
    return ""


def _check_code(spec: Spec, problems: Problems) -> None:
    if spec.code.command and not spec.code.command[0]:
        problems.add("code.command[0]", "is empty", hint="name a program", rule="empty")
    check_free(spec.code.workdir, "code.workdir", problems, hint="such as `/app`")


def _check_dependencies(spec: Spec, problems: Problems) -> None:
    dependencies = spec.dependencies
    if dependencies.source and not dependencies.lockfile:
        problems.add(
            "dependencies.lockfile",
            "is missing, but there is a `source` to compile it from",
            hint='add `lockfile = "requirements.lock"`',
            rule="missing-key",
        )
    elif dependencies.source == dependencies.lockfile and dependencies.source:
        problems.add(
            "dependencies.source", "is the lockfile itself", hint="name its input", rule="overlap"
        )
    if dependencies.development and dependencies.development in (
        dependencies.lockfile, dependencies.source
    ):  # fmt: skip
        problems.add(
            "dependencies.development", "is what the image holds itself",
            hint="name a lock of its own for the checks, or leave it out", rule="overlap",
        )  # fmt: skip
    if dependencies.lockfile and not dependencies.indexes:
        problems.add("dependencies.indexes", "is empty", hint='such as `["pypi"]`', rule="empty")


def _check_runtime(spec: Spec, problems: Problems) -> None:
    runtime = spec.runtime
    _check_base(runtime.base, problems)
    if runtime.packages and not runtime.base.startswith("debian"):
        problems.add(
            "runtime.packages",
            "are for a base that is assembled from packages",
            hint='set `base = "debian:13"`, or take an image that has them',
            rule="base",
        )
    for name in runtime.environment:
        at = dotted("runtime.environment", name)
        if name in OWN_VARIABLES or name.startswith(OWN_VARIABLE_PREFIX):
            problems.add(
                at,
                f"`{name}` belongs to the image",
                hint="`runtime.verify-override` lets `MODELPACK_VERIFY` act at start"
                if name == "MODELPACK_VERIFY"
                else "take it out",
                rule="reserved",
            )
        if hint := DEVICE_VARIABLES.get(name):
            problems.add(
                at, f"`{name}` in an image takes GPUs past the scheduler", hint=hint,
                rule="reserved",
            )  # fmt: skip
    _check_mounts(spec, problems)
    gpu = runtime.gpu
    needs_gpu = gpu.targets or gpu.memory or gpu.overhead or gpu.driver
    if needs_gpu and runtime.device != "cuda" and not problems.known("runtime.device"):
        problems.add("runtime.gpu", "needs a GPU", hint='add `device = "cuda"`', rule="gpu")
    health = runtime.health
    has_paths = health.live or health.ready or health.version or health.metrics
    if has_paths and not runtime.port and not problems.known("runtime.port"):
        problems.add("runtime.health", "needs a port", hint="add `port = 8080`", rule="health")


def _check_mounts(spec: Spec, problems: Problems) -> None:
    runtime = spec.runtime
    if runtime.verify_mounts != "strict":
        return
    if not any(weights.mode == "mount" for weights in spec.weights):
        problems.add(
            "runtime.verify-mounts", "needs mounted weights", hint='add `mode = "mount"` to them',
            rule="mounts",
        )  # fmt: skip
    if runtime.verify == "off":
        problems.add(
            "runtime.verify-mounts", "needs the guard, which is off",
            hint='set `verify = "full"`', rule="mounts",
        )  # fmt: skip


def _check_base(base: str, problems: Problems) -> None:
    if base in ASSEMBLED_BASES:
        return
    if base == "debian" or base.startswith(("debian:", "debian@")):
        problems.add(
            "runtime.base",
            f"`{shown(base)}` is not assembled here",
            hint=f"{similar(base, ASSEMBLED_BASES)} for the image of that name write "
            f"`docker.io/library/{shown(base)}`".lstrip(),
            rule="base",
        )
        return
    try:
        reference.registry(base)
    except InputError as error:
        problems.add(
            "runtime.base",
            error.findings[0].message,
            hint="`debian:13`, `debian:12` or an image such as `python:3.13-slim`",
            rule="base",
        )


def _check_image(image: Image, problems: Problems) -> None:
    if image.repository:
        _check_repository(image.repository, problems)
    for key in image.labels:
        if key in OWN_LABELS or key.startswith(OWN_LABEL_PREFIX):
            problems.add(
                dotted("image.labels", key),
                f"`{key}` is set by the build",
                hint="choose a key of your own, such as `com.example.team`",
                rule="reserved",
            )


def _check_repository(text: str, problems: Problems) -> None:
    try:
        found = reference.registry(text)
    except InputError as error:
        finding = error.findings[0]
        problems.add("image.repository", finding.message, hint=finding.hint, rule="reference")
        return
    if found.tag or found.digest:
        problems.add(
            "image.repository",
            "is a repository, without tag and digest",
            hint=f'write `repository = "{found.name}"` and give tags in `tags`',
            rule="reference",
        )


def _check_gates(spec: Spec, problems: Problems) -> None:
    for name, argv in spec.checks.items():
        if not argv or not argv[0]:
            problems.add(dotted("checks", name), "is empty", hint="name a program", rule="empty")
    if spec.evaluation.require and not spec.evaluation.report:
        problems.add(
            "evaluation.report", "is missing", hint='add `report = "…"`', rule="missing-key"
        )
    if spec.interface.served and not spec.interface.openapi:
        problems.add(
            "interface.openapi", "is missing", hint='add `openapi = "openapi.json"`',
            rule="missing-key",
        )  # fmt: skip
    _check_exceptions(spec.scan.ignore, problems)


def _check_exceptions(exceptions: Sequence[ScanIgnore], problems: Problems) -> None:
    seen = set[tuple[str, str, str]]()
    for position, ignored in enumerate(exceptions):
        at = f"scan.ignore[{position}]"
        scope = (ignored.id, ignored.package, ignored.path)
        if ignored.id and scope in seen:
            problems.add(f"{at}.id", f"`{ignored.id}` stands here twice", rule="duplicate")
        seen.add(scope)
        # Rules for secrets are in lower case, unlike all else.
        if ignored.id[:1].islower() and not ignored.path and not problems.known(f"{at}.path"):
            problems.add(
                f"{at}.path",
                "is missing: a secret is accepted in one file only",
                hint='add `path = "/…"`, as the scan prints it',
                rule="missing-key",
            )
