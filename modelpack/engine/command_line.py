"""The command line that starts the same container by hand: what `modelpack run --print` prints."""

from modelpack.engine.value import Container, Gpus, Kind, Mount, Variable


def command_line(
    container: Container, image: str, *, kind: Kind = "docker", detach: bool = False
) -> tuple[str, ...]:
    """Return the words of `docker run` (or podman's); `image` is a name that the engine has."""
    return (
        kind,
        "run",
        *(["--detach"] if detach else []),
        *(["--rm"] if container.remove else []),
        *([f"--name={container.name}"] if container.name else []),
        *(["--init"] if container.init else []),
        "--read-only",
        "--cap-drop=ALL",
        "--security-opt=no-new-privileges",
        *(f"--tmpfs={folder}:{options}" for folder, options in container.tmpfs.items()),
        *([f"--user={container.user}"] if container.user else []),
        *(["--network=none"] if container.network == "none" else []),
        *(f"--publish={port}" for port in container.ports),
        *_limits(container),
        *(_gpus(container.gpus, kind) if container.gpus else []),
        *(_mount(mount) for mount in container.mounts),
        *(word for variable in container.variables for word in _variable(variable)),
        *([f"--entrypoint={container.entrypoint}"] if container.entrypoint else []),
        image,
        *container.command,
    )


def _limits(container: Container) -> list[str]:
    words = []
    if container.memory:
        words += [f"--memory={container.memory}", f"--memory-swap={container.memory}"]
    if container.cpus:
        words.append(f"--cpus={container.cpus:g}")
    return words


def _gpus(gpus: Gpus, kind: Kind) -> list[str]:
    """Return the words for GPUs: podman's are devices of the Container Device Interface."""
    if kind == "podman":
        names = gpus.devices or (["all"] if gpus.count < 0 else map(str, range(gpus.count)))
        return [f"--device=nvidia.com/gpu={name}" for name in names]
    if gpus.devices:
        # Docker reads the value as a line of CSV.
        return [f'--gpus="device={",".join(gpus.devices)}"']
    return [f"--gpus={'all' if gpus.count < 0 else gpus.count}"]


def _mount(mount: Mount) -> str:
    fields = ["type=bind", f"source={mount.source}", f"target={mount.target}", "readonly"]
    return "--mount=" + ",".join(_csv(field) for field in fields)


def _csv(field: str) -> str:
    """Return one field of a line of CSV (RFC 4180)."""
    if not set(field) & set(',"\n'):
        return field
    doubled = field.replace('"', '""')
    return f'"{doubled}"'


def _variable(variable: Variable) -> list[str]:
    """Return a variable; the value of one from the environment stays there."""
    if variable.secret:
        return ["--env", variable.name]
    return ["--env", f"{variable.name}={variable.value}"]
