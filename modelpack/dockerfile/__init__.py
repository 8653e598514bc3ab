"""A Plan as a standalone Dockerfile, and what its build context must hold.

Pure: the text is a function of Plan, Lock and template. It builds the same files as `modelpack
build`, with plain `docker build`, by people who have no modelpack.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from modelpack.dockerfile.syntax import Quoted, output, pair, quote
from modelpack.errors import InputError
from modelpack.lock import OWN_LAYER, AssembledBase, Lock, PlatformLock, Wheel
from modelpack.metadata import PLACE, mounted
from modelpack.plan import VENV, Plan
from modelpack.platform import Platform
from modelpack.run_configuration import HOME
from modelpack.spec import Spec

TEMPLATE: Final = "Dockerfile.j2"
NAME: Final = "Dockerfile"
FIRST_LINE: Final = "# Made by `modelpack render`"
"what tells a context of ours from a folder of somebody else"
CODE: Final = "code"
META: Final = "meta"
INSTALL: Final = "install"
SETTLE: Final = f"{INSTALL}/settle"
WEIGHTS: Final = "weights"
HOMES: Final = HOME.split("/")[1]
"the folder of homes: only on a base that is an image, which has none for our user"
_VISIBLE = "NVIDIA_VISIBLE_DEVICES"
_SECOND = 1_000_000_000
_LINE_LIMIT = 65_535
"bytes of a line that the parser of Docker 20.10 reads"
_SAID = frozenset({
    "Cmd", "Entrypoint", "Env", "ExposedPorts", "Healthcheck", "Labels", "StopSignal", "User",
    "WorkingDir",
})  # fmt: skip
"what of a run configuration the template says"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How to render; none of it changes what is built."""

    link: bool = False
    "`COPY --link`: layers that stand alone, for BuildKit of Docker 23 and later"
    wheels: bool = False
    "the wheels lie in the context, so that the build needs no package index"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """Weight files that one COPY brings."""

    folder: str
    "in the context"
    weights: str
    "the name of their `[weights]`"
    destination: str
    files: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dockerfile:
    """The text for one platform, and what it takes from the context."""

    name: str
    "of the file: `Dockerfile`, of further platforms `Dockerfile.arm64`"
    platform: Platform
    text: str
    archive: str
    "where the assembled base lies, as a tar; empty: the base is an image"
    requirements: Mapping[str, str]
    "text by path: none without wheels"
    wheels: Mapping[str, Wheel]
    "by path: those that lie in the context"
    shards: tuple[Shard, ...]
    home: str
    "the folder in the context that becomes the user's home; empty: the base has one"

    @property
    def folders(self) -> frozenset[str]:
        """The folders at the top of the context that it needs."""
        paths = [*self.requirements, *self.wheels, *(shard.folder for shard in self.shards)]
        paths += [self.archive] if self.archive else []
        paths += [INSTALL] if self.requirements else []
        paths += [self.home] if self.home else []
        return frozenset({CODE, META, *(path.partition("/")[0] for path in paths)})


def render(
    plan: Plan,
    spec: Spec,
    lock: Lock,
    platform: PlatformLock,
    *,
    template: str,
    pip: Wheel,
    development: Sequence[Wheel] = (),
    name: str = NAME,
    options: Options = Options(),
) -> Dockerfile:
    """Return the Dockerfile of `plan`, which was made for `platform`.

    With `[checks]` it has a stage for them, with the `development` wheels that no image holds.
    Raises InputError for a value that no Dockerfile can hold.
    """
    folder = platform.platform.architecture
    wheels = sorted(platform.wheels, key=lambda wheel: wheel.filename)
    shards = _shards(plan, lock)
    foreign = not isinstance(platform.base, AssembledBase)
    archive = f"{folder}/base.tar" if isinstance(platform.base, AssembledBase) else ""
    requirements = f"{folder}/requirements.txt"
    inside = {f"{folder}/wheels/{w.filename}": w for w in wheels} if options.wheels else {}
    own = f"{folder}/development.txt"
    beside = {f"{folder}/development/{w.filename}": w for w in development if options.wheels}
    text = _fill(template, {
        "file": quote(name),
        "name": quote(_image_name(plan)),
        "link": options.link,
        "offline": bool(inside) or not wheels,
        # Where no index is asked, the checks have no network even with old builders.
        "alone": options.wheels or not (wheels or development),
        "base": _base(platform, archive),
        "environment": _environment(
            platform, requirements, pip, wheels=f"{folder}/wheels/" if inside else ""
        ) if wheels else None,
        "checks": [quote(argv) for argv in spec.checks.values()],
        "development": _environment(
            platform, own, pip, wheels=f"{folder}/development/" if beside else ""
        ) if development else None,
        "shards": [
            {"source": quote(f"{s.folder}/"), "destination": quote(f"{s.destination}/")}
            for s in shards
        ],
        "mounts": [quote(weights.destination) for weights in mounted(spec, lock)],
        "owner": quote(plan.config["User"]) if foreign else None,
        "homes": quote(f"{HOMES}/"),
        "home": quote(f"{HOME.rpartition('/')[0]}/"),
        "gpus": quote("void") if foreign and _takes_gpus(spec) else None,
        "code": quote(f"{plan.config['WorkingDir']}/"),
        "meta": quote(f"{PLACE}/"),
        **_configuration(plan.config),
    })  # fmt: skip
    return Dockerfile(
        name=name,
        platform=platform.platform,
        text=text,
        archive=archive,
        requirements={
            **({requirements: _requirements(wheels)} if wheels else {}),
            **({own: _requirements(development)} if development else {}),
        },
        wheels={**inside, **beside},
        shards=shards,
        home=HOME.strip("/") if foreign else "",
    )


def ignore_file(dockerfiles: Iterable[Dockerfile]) -> str:
    """Return the `.dockerignore` of a context: only what is copied is sent to the builder."""
    folders = sorted({folder for one in dockerfiles for folder in one.folders})
    return "".join(f"{line}\n" for line in (FIRST_LINE, "*", *(f"!{name}" for name in folders)))


def _fill(template: str, values: Mapping[str, Any]) -> str:
    from jinja2 import Environment, StrictUndefined  # noqa: PLC0415  only where one is rendered

    # Nothing is escaped here: `output` lets only through what was quoted for a Dockerfile.
    environment = Environment(
        undefined=StrictUndefined, finalize=output, autoescape=False, trim_blocks=True,  # noqa: S701
        lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    text = environment.from_string(template).render(values)
    for line in text.splitlines():
        if len(line.encode()) > _LINE_LIMIT:
            raise InputError(
                f"a Dockerfile cannot hold a value of this length: {quote(line[:40]).text} …",
                hint="let `modelpack build` make the image",
            )  # fmt: skip
    return text


def _takes_gpus(spec: Spec) -> bool:
    """Tell whether a base may ask for every GPU, as NVIDIA's do, and the author has not."""
    return spec.runtime.device == "cuda" and _VISIBLE not in spec.runtime.environment


def _image_name(plan: Plan) -> str:
    labels = plan.config["Labels"]
    name, version = (labels[f"dev.modelpack.model.{key}"] for key in ("name", "version"))
    return f"{name}:{version}"


def _base(platform: PlatformLock, archive: str) -> Mapping[str, Quoted | None]:
    base = platform.base
    if isinstance(base, AssembledBase):
        return {"archive": quote(archive), "image": None}
    name = base.reference.partition("@")[0]
    return {"archive": None, "image": quote(f"{name}@{base.digest}", at="runtime.base")}


def _environment(
    platform: PlatformLock, requirements: str, pip: Wheel, *, wheels: str
) -> Mapping[str, Quoted | None]:
    python = platform.interpreter.path
    source = ["--no-index", "--find-links", "wheels"] if wheels else []
    return {
        # An image may have a user of its own, who may not write.
        "user": None if isinstance(platform.base, AssembledBase) else quote("0:0"),
        "requirements": quote(requirements),
        "pip": quote(f"{INSTALL}/{pip.filename}"),
        "programs": quote(f"{SETTLE}/"),
        "wheels": quote(wheels) if wheels else None,
        "venv": quote(VENV),
        "create": quote([python, "-I", "-m", "venv", "--without-pip", VENV]),
        "install": quote([
            f"{VENV}/bin/python", "-I", f"{pip.filename}/pip", "install", *source,
            "--require-hashes", "--only-binary=:all:", "--no-deps", "--no-compile",
            "--no-cache-dir", "--no-input", "--disable-pip-version-check",
            "--requirement", requirements.rpartition("/")[2],
        ]),
        "settle": quote([python, "-I", "environment.py", VENV, python, platform.bytecode]),
    }  # fmt: skip


def _requirements(wheels: Sequence[Wheel]) -> str:
    """Return the locked wheels for pip, named as their files are: it decides where headers go."""
    lines = [
        f"{wheel.filename.partition('-')[0]}=={wheel.version} --hash=sha256:{wheel.sha256}"
        for wheel in wheels
    ]
    return "".join(f"{line}\n" for line in (FIRST_LINE, *lines))


def _shards(plan: Plan, lock: Lock) -> tuple[Shard, ...]:
    """Return the weight files of the plan, step by step, in folders whose names need no quoting."""
    names = {weights.destination: weights.name for weights in lock.weights}
    found: list[Shard] = []
    for step in plan.steps:
        if step.kind != "weights":
            continue
        destination, files = step.inputs["destination"], step.inputs["files"]
        number = sum(shard.destination == destination for shard in found) + 1
        part = str(number) if files[0][1] >= OWN_LAYER else "small"
        found.append(Shard(
            folder=f"{WEIGHTS}/{names[destination]}/{part}", weights=names[destination],
            destination=destination, files=tuple(path for path, _, _ in files),
        ))  # fmt: skip
    return tuple(found)


def _configuration(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the run configuration quoted; raises InputError when it has what we cannot say."""
    if unsaid := sorted(set(config) - _SAID):
        raise InputError(f"a Dockerfile of ours does not say `{'`, `'.join(unsaid)}`")
    variables = [item.partition("=") for item in config["Env"]]
    health = config.get("Healthcheck")
    return {
        "labels": [
            pair(key, value, at=f"label {key}") for key, value in config["Labels"].items()
        ],
        "variables": [
            pair(key, value, at=f"runtime.environment.{key}") for key, _, value in variables
        ],
        "ports": [quote(port) for port in config.get("ExposedPorts", ())],
        "workdir": quote(config["WorkingDir"]),
        "user": quote(config["User"]),
        "stop_signal": quote(config["StopSignal"]),
        "health": _health(health) if health else None,
        "entrypoint": quote(config["Entrypoint"]),
        "command": quote(config["Cmd"]),
    }  # fmt: skip


def _health(check: Mapping[str, Any]) -> Mapping[str, Quoted]:
    seconds = {key: check[key] // _SECOND for key in ("Interval", "Timeout", "StartPeriod")}
    return {
        "interval": quote(seconds["Interval"]),
        "timeout": quote(seconds["Timeout"]),
        "start_period": quote(seconds["StartPeriod"]),
        "retries": quote(check["Retries"]),
        "command": quote(check["Test"][1:]),
    }
