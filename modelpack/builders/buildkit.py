"""The door to BuildKit: the program that speaks to it, which builder it is, and one build.

`docker buildx`, or buildx by itself; for an engine's own BuildKit also the `docker build` of
clients that came before buildx. What is configured for Docker on this machine holds here.
"""

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from modelpack import process
from modelpack.builders import build_failure
from modelpack.builders.build_log import BuildLog
from modelpack.errors import InputError, ModelpackError, Unavailable
from modelpack.inputs.quoting import quoted
from modelpack.platform import Platform

ENGINE = "docker"
"the name of the builder that Docker itself uses when none is named"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]{,127}")
"what buildx calls a builder: never an option of a program"
_SURROUNDINGS = {"BUILDKIT_PROGRESS": "plain", "DOCKER_BUILDKIT": "1", "NO_COLOR": "1"}
_PATIENCE = 60.0
"seconds for a builder to say what it is"
_OLDEST_ENGINE = (20, 10)
_FIRST_WITHOUT = (23, 0)
"the first Docker client whose `build` leaves BuildKit to buildx"
_LAYOUTS_SINCE = (0, 11)
"the first BuildKit that takes an OCI layout as a base"


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """A program that was found, and the builder that it will use."""

    argv: tuple[str, ...]
    builder: str
    driver: str
    "`docker`, `docker-container`, `remote`, `kubernetes`; empty: it did not say"
    version: str
    "of BuildKit, as it calls itself"
    platforms: frozenset[str]
    "whose programs it can run; empty: it did not say"
    buildx: bool = True

    @property
    def about(self) -> str:
        """What it is, for people: `docker buildx, driver remote, BuildKit v0.26.3`."""
        program = " ".join((Path(self.argv[0]).name, *self.argv[1:]))
        return f"{program}, driver {self.driver or 'unknown'}, BuildKit {self.version or 'unknown'}"

    @property
    def takes_layouts(self) -> bool:
        """Whether a base can be named as an OCI layout: not in an engine's own BuildKit."""
        if self.driver in ("", "docker"):
            return False
        numbers = _numbers(self.version)
        return numbers in ((), (0, 0)) or numbers >= _LAYOUTS_SINCE

    def require(self, platform: Platform) -> None:
        """Raise Unavailable when the builder says that it cannot run programs of `platform`."""
        if self.platforms and str(platform) not in self.platforms:
            raise build_failure.explain(
                "exec format error", [f"it runs {', '.join(sorted(self.platforms))}"],
                builder=self.builder, platform=str(platform),
            )  # fmt: skip


def connect(builder: str, environment: Mapping[str, str]) -> Client:
    """Return what speaks to the builder of this name; ENGINE is the one that Docker itself uses.

    Raises InputError when there is no builder of this name, Unavailable when there is no program
    for it, or it is too old.
    """
    if not _NAME.fullmatch(builder):
        raise InputError(
            f"{quoted(builder)} is no name of a builder", at="--builder",
            hint="docker buildx ls",
        )  # fmt: skip
    docker, buildx = _programs(environment)
    if buildx:
        return _inspected(buildx, builder, environment)
    if docker is None:
        raise Unavailable(
            "neither `docker` nor `buildx` is in PATH", at=f"--builder {builder}",
            hint=f"install Docker with its buildx plugin, {build_failure.EMBEDDED}",
        )  # fmt: skip
    if builder != ENGINE:
        raise Unavailable(
            f"`{docker}` has no buildx, which knows builders by name", at=f"--builder {builder}",
            hint=f"install docker-buildx-plugin, {build_failure.EMBEDDED}",
        )  # fmt: skip
    return _engine(docker, environment)


def build(
    client: Client,
    context: Path,
    output: BinaryIO,
    *,
    platform: Platform,
    contexts: Mapping[str, str],
    use_cache: bool,
    environment: Mapping[str, str],
    log: BuildLog,
) -> None:
    """Build the Dockerfile in `context` without network; its last stage goes to `output` as a tar.

    Raises what explains why it failed.
    """
    argv = [
        *client.argv, "build", "--platform", str(platform), "--network", "none",
        "--progress", "plain", "--build-arg", "SOURCE_DATE_EPOCH=0",
        "--output", "type=tar,dest=-",
    ]  # fmt: skip
    if client.buildx:
        argv += ["--provenance=false", "--sbom=false"]
        if client.builder != ENGINE:
            argv += ["--builder", client.builder]
    if not use_cache:
        argv.append("--no-cache")
    for name, value in contexts.items():
        argv += ["--build-context", f"{name}={value}"]
    status = process.stream(
        [*argv, str(context)], environment={**environment, **_SURROUNDINGS},
        output=output, said=log.take,
    )  # fmt: skip
    if status:
        raise build_failure.explain(
            log.text, log.last_lines, builder=client.builder, platform=str(platform)
        )


def _programs(environment: Mapping[str, str]) -> tuple[str | None, tuple[str, ...]]:
    """Return `docker`, and how to start buildx: its plugin, or the program by itself."""
    path = environment.get("PATH")
    docker = shutil.which("docker", path=path)
    if docker and _run((docker, "buildx", "version"), environment).status == 0:
        return docker, (docker, "buildx")
    alone = shutil.which("docker-buildx", path=path) or shutil.which("buildx", path=path)
    return docker, (alone,) if alone else ()


def _inspected(argv: tuple[str, ...], builder: str, environment: Mapping[str, str]) -> Client:
    own = (builder,) if builder != ENGINE else ()
    done = _run((*argv, "inspect", *own), environment)
    said = done.stderr.decode(errors="replace")
    if done.status and re.search(r"no builder .* found", said):
        raise build_failure.unknown(builder, _known(argv, environment))
    facts = _facts(done.stdout.decode(errors="replace"))
    problem = facts.get("error", [""])[0] or (said if done.status else "")
    if problem:
        raise build_failure.explain(problem, problem.splitlines(), builder=builder)
    # A remote one that is not running is not there; others are started by a build.
    if facts.get("driver") == ["remote"] and "running" not in facts.get("status", ["running"]):
        raise build_failure.explain("waiting for connection", [], builder=builder)
    platforms = ",".join(facts.get("platforms", [])).replace("*", "").split(",")
    return Client(
        argv=argv,
        builder=builder,
        driver=facts.get("driver", [""])[0],
        version=(facts.get("buildkit version") or facts.get("buildkit") or [""])[0],
        platforms=frozenset(name.strip() for name in platforms if name.strip()),
    )


def _facts(text: str) -> dict[str, list[str]]:
    """Return what `buildx inspect` says by lowercase name, once for each node."""
    facts: dict[str, list[str]] = {}
    for line in text.splitlines():
        name, colon, value = line.partition(":")
        if colon and not line.startswith(" "):
            facts.setdefault(name.strip().lower(), []).append(value.strip())
    return facts


def _known(argv: tuple[str, ...], environment: Mapping[str, str]) -> list[str]:
    """Return the names of all builders, as the first column of `buildx ls` has them."""
    lines = _run((*argv, "ls"), environment).stdout.decode(errors="replace").splitlines()[1:]
    return [line.split()[0].rstrip("*") for line in lines if line[:1].strip()]


def _engine(docker: str, environment: Mapping[str, str]) -> Client:
    """Return the client for an engine's own BuildKit without buildx."""
    form = "{{.Client.Version}} {{.Server.Version}}"
    done = _run((docker, "version", "--format", form), environment)
    client, _, server = done.stdout.decode(errors="replace").strip().partition(" ")
    if done.status or not server:
        said = done.stderr.decode(errors="replace")
        raise build_failure.explain(said, said.splitlines(), builder=ENGINE)
    for what, version in (("client", client), ("engine", server)):
        if _numbers(version) < _OLDEST_ENGINE:
            raise Unavailable(
                f"the Docker {what} {version} is too old", at=f"--builder {ENGINE}",
                hint=f"it must be {build_failure.OLDEST} at least, {build_failure.EMBEDDED}",
            )  # fmt: skip
    if _numbers(client) >= _FIRST_WITHOUT:
        raise Unavailable(
            f"Docker {client} builds with its buildx plugin, which is missing",
            at=f"--builder {ENGINE}",
            hint=f"install docker-buildx-plugin, {build_failure.EMBEDDED}",
        )
    return Client(
        argv=(docker,), builder=ENGINE, driver="docker", version=server, platforms=frozenset(),
        buildx=False,
    )  # fmt: skip


def _run(argv: tuple[str, ...], environment: Mapping[str, str]) -> process.Completed:
    try:
        return process.run(
            argv, environment={**environment, **_SURROUNDINGS}, timeout=_PATIENCE
        )  # fmt: skip
    except ModelpackError as error:
        return process.Completed(status=1, stdout=b"", stderr=str(error).encode())


def _numbers(version: str) -> tuple[int, ...]:
    """Return the first two numbers of a version; nothing where it is none."""
    found = re.match(r"v?(\d+)\.(\d+)", version)
    return (int(found[1]), int(found[2])) if found else ()
