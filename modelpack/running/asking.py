"""What a person asks for when an image is run, parsed: ports, variables, limits, GPUs, weights."""

import ipaddress
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from modelpack import quantity
from modelpack.engine.value import Container, Gpus, Mount, Network, Port, Variable
from modelpack.errors import InputError, ModelpackError, joined
from modelpack.metadata import TRUST
from modelpack.running.facts import Facts

_HIGHEST_PORT = 65535
_LARGEST_USER = (1 << 31) - 1
_LOOPBACK = "127.0.0.1"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_DEVICE = re.compile(r"[A-Za-z0-9][A-Za-z0-9:._-]*")
_CONTAINER_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{1,127}")
_SIZE = re.compile(r"([0-9]{1,15})([bkmg])", re.IGNORECASE)
"as Docker writes sizes: powers of 1024"
_POWERS = "bkmg"

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What was asked for on the command line; texts as they were typed."""

    command: tuple[str, ...] = ()
    publish: str = ""
    network: Network = "bridge"
    memory: str = ""
    cpus: float = 0.0
    environment: tuple[str, ...] = ()
    gpus: str = ""
    user: int | None = None
    name: str = ""
    mounts: tuple[str, ...] = ()
    "`FOLDER` or `NAME=FOLDER`"
    trust: str = ""
    "folder with the key, or the identity, that must have signed the weights"
    init: bool = False
    remove: bool = False


def container(
    image: str,
    facts: Facts,
    asked: Asked,
    *,
    variables: Mapping[str, str],
    project: Mapping[str, Path] | None,
) -> Container:
    """Return the container that was asked for; raise InputError with everything that is wrong.

    `variables` is where the values of bare names come from, `project` has the folders of the
    image's own project by the name of their weights.
    """
    problems: list[ModelpackError] = []

    def ask(parse: Callable[..., T], *words: object) -> T | None:
        try:
            return parse(*words)
        except ModelpackError as error:
            problems.append(error)
            return None

    name = ask(_name, asked.name)
    user = ask(_user, asked.user)
    found = [ask(_variable, text, variables) for text in asked.environment]
    ports = ask(_ports, asked, facts)
    memory = ask(_memory, asked.memory)
    gpus = ask(_gpus, asked.gpus)
    mounts = ask(_weights, facts, asked.mounts, project)
    trust = ask(_trust, asked.trust)
    if problems:
        raise joined(problems)
    return Container(
        image=image,
        name=name or "",
        command=asked.command,
        user=user or "",
        variables=tuple(variable for variable in found if variable),
        ports=ports or (),
        network=asked.network,
        memory=memory or 0,
        cpus=asked.cpus,
        gpus=gpus,
        mounts=(*(mounts or ()), *(trust or ())),
        init=asked.init,
        remove=asked.remove,
    )


def _name(name: str) -> str:
    if name and not _CONTAINER_NAME.fullmatch(name):
        raise InputError(f"not a name of a container: `{name}`", at="--name")
    return name


def _user(user: int | None) -> str:
    if user is None:
        return ""
    if not 0 < user <= _LARGEST_USER:
        raise InputError(f"not a user to run a service as: {user}", at="--user",
                         hint="any number above 0: files belong to group 0")  # fmt: skip
    return f"{user}:0"


def _variable(text: str, environment: Mapping[str, str]) -> Variable:
    name, given, value = text.partition("=")
    if not _NAME.fullmatch(name):
        raise InputError("not the name of a variable before `=`", at="--env",
                         hint="--env NAME=VALUE, or --env NAME for its value here")  # fmt: skip
    if given:
        return Variable(name=name, value=value)
    if name not in environment:
        raise InputError(f"`{name}` is not set here", at="--env",
                         hint=f"export {name}, or --env {name}=VALUE")  # fmt: skip
    return Variable(name=name, value=environment[name], secret=True)


def _ports(asked: Asked, facts: Facts) -> tuple[Port, ...]:
    if asked.network == "none":
        if asked.publish:
            raise InputError("without a network no port can be published", at="--publish",
                             hint="leave out `--network none`")  # fmt: skip
        return ()
    if not asked.publish:
        return tuple(Port(container=port, host=port) for port in facts.ports)
    return (port_of(asked.publish, facts.ports),)


def port_of(text: str, exposed: Sequence[int]) -> Port:
    """Return the port that `[ADDRESS:]PORT[:CONTAINER_PORT]` means; the image exposes `exposed`."""
    address, rest = _LOOPBACK, text
    if text.startswith("["):
        address, _, rest = text[1:].partition("]:")
    elif text.count(":") == 2 or "." in text:  # noqa: PLR2004
        address, _, rest = text.partition(":")
    first, colon, second = rest.partition(":")
    try:
        ipaddress.ip_address(address)
    except ValueError as error:
        raise _no_port(text) from error
    host = _number(first, text, lowest=0)
    if colon:
        return Port(container=_number(second, text, lowest=1), host=host, address=address)
    if len(exposed) != 1:
        said = ", ".join(map(str, exposed)) or "none"
        raise InputError(f"which port of the image? it exposes {said}", at="--publish",
                         hint=f"--publish {text}:CONTAINER_PORT")  # fmt: skip
    return Port(container=exposed[0], host=host, address=address)


def _number(text: str, whole: str, *, lowest: int) -> int:
    digits = text.isascii() and text.isdecimal() and len(text) <= len(str(_HIGHEST_PORT))
    if not digits or not lowest <= int(text) <= _HIGHEST_PORT:
        raise _no_port(whole)
    return int(text)


def _no_port(text: str) -> InputError:
    return InputError(
        f"not a port: `{text}`", at="--publish",
        hint="[ADDRESS:]PORT[:CONTAINER_PORT], such as 9000 or 0.0.0.0:80:8080; 0 takes a free one",
    )  # fmt: skip


def _memory(text: str) -> int:
    """Return bytes: `2 GiB` as in modelpack.toml, or `2g` as Docker writes them."""
    if not text:
        return 0
    match = _SIZE.fullmatch(text)
    if match and text[-1] != "B":
        return int(match[1]) << 10 * _POWERS.index(match[2].lower())
    return quantity.size(text, at="--memory")


def _gpus(text: str) -> Gpus | None:
    if not text:
        return None
    if text == "all":
        return Gpus(count=-1)
    if text.isascii() and text.isdecimal() and int(text[:4]) > 0:
        return Gpus(count=int(text[:4]))
    devices = text.removeprefix("device=").split(",") if text.startswith("device=") else []
    if not devices or not all(_DEVICE.fullmatch(device) for device in devices):
        raise InputError(f"not GPUs: `{text}`", at="--gpus",
                         hint="all, a number, or device=0,GPU-4f2a…")  # fmt: skip
    return Gpus(devices=tuple(devices))


def _weights(
    facts: Facts, given: Sequence[str], project: Mapping[str, Path] | None
) -> tuple[Mount, ...]:
    """Return the folders that are mounted: those `given`, else those of the image's `project`."""
    folders = dict(project or {}) if not given else _named(facts, given)
    found = []
    for mounted in facts.mounted:
        folder = folders.get(mounted.name)
        if folder is None:
            word = "FOLDER" if len(facts.mounted) == 1 else f"{mounted.name}=FOLDER"
            raise InputError(
                f"the weights `{mounted.name}` are not in the image: they are mounted at "
                f"{mounted.destination}", at="--mount-weights",
                hint=f"--mount-weights {word}, the folder that was packed",
            )  # fmt: skip
        if not folder.is_dir():
            raise InputError("there is no such folder", at=str(folder),
                             hint="--mount-weights FOLDER")  # fmt: skip
        found.append(Mount(source=str(folder.resolve()), target=mounted.destination))
    return tuple(found)


def _trust(folder: str) -> tuple[Mount, ...]:
    if not folder:
        return ()
    if not Path(folder).is_dir():
        hint = "a folder with key.pub, or signer.json and trusted_root.json"
        raise InputError("there is no such folder", at="--trust", hint=hint)
    return (Mount(source=str(Path(folder).resolve()), target=TRUST),)


def _named(facts: Facts, given: Sequence[str]) -> dict[str, Path]:
    names = [mounted.name for mounted in facts.mounted]
    if not names:
        raise InputError("the weights are in the image: nothing is mounted", at="--mount-weights",
                         hint="leave it out")  # fmt: skip
    folders: dict[str, Path] = {}
    for text in given:
        name, equals, folder = text.partition("=")
        if not equals or name not in names:
            if len(names) > 1:
                raise InputError("which weights? the image has more than one set that is mounted: "
                                 + ", ".join(names), at="--mount-weights",
                                 hint=f"--mount-weights {names[0]}={text}")  # fmt: skip
            name, folder = names[0], text
        if name in folders:
            raise InputError(f"two folders for the weights `{name}`", at="--mount-weights")
        folders[name] = Path(folder)
    return folders
