"""Credentials as docker and podman keep them: files, and programs that are asked.

Source: docker's `config.json` and docker-credential-helpers, containers-auth.json(5).
"""

import base64
import binascii
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modelpack import process
from modelpack.errors import InputError, Unavailable
from modelpack.oci.manifest import printable
from modelpack.reference import DOCKER_HUB, Registry

_LIMIT = 4 << 20
"bytes of a file"
PATIENCE = 60.0
"seconds for a program that may ask a person or a cloud"
DOCKER_HUB_KEY = "https://index.docker.io/v1/"
"what docker calls Docker Hub in its files and to its programs"
_HUB_NAMES = (DOCKER_HUB, "index.docker.io", "registry-1.docker.io")
PROGRAM = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_IDENTITY = "<token>"
"in the place of a user: the secret is an identity token"
_NOT_THERE = b"credentials not found"


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """What proves to a registry who we are; the secrets are in no `repr`."""

    username: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)
    "to be exchanged for a token (OAuth 2 refresh token)"
    registry_token: str = field(default="", repr=False)
    "to be sent as it is"
    source: str
    "the file or program it is from, for messages"

    @property
    def basic(self) -> str:
        """The value of an `Authorization` header."""
        pair = f"{self.username}:{self.password}".encode()
        return f"Basic {base64.b64encode(pair).decode()}"


class Credentials:
    """Finds the credential for a repository; each file is read, each program asked, once."""

    def __init__(self, files: Sequence[Path], *, environment: Mapping[str, str]) -> None:
        self._paths, self._environment = files, environment
        self._read: dict[Path, Mapping[str, Any]] = {}
        self._answers: dict[tuple[str, str], Credential | None] = {}
        self.trouble: list[str] = []
        "why a store of all credentials could not be asked, for the message when one is needed"

    def find(self, name: Registry) -> Credential | None:
        """Return the credential for `name`, or None.

        Raises InputError for a damaged file, Unavailable when the program that a file names for
        this very registry fails.
        """
        for path in self._paths:
            found = self._in(path, name)
            if found is not None:
                return found
        return None

    def _in(self, path: Path, name: Registry) -> Credential | None:
        """Look into one file: the registry's own program, its entry, the program for all."""
        content = self._content(path)
        own = _table(content, "credHelpers", path)
        for host in _hosts(name):
            if program := own.get(host):
                return self._ask(program, name, path)
        entries = {_plain(key): value for key, value in _table(content, "auths", path).items()}
        for key in _keys(name):
            if found := _entry(entries.get(key), path):
                return found
        if program := content.get("credsStore"):
            try:
                return self._ask(program, name, path)
            except Unavailable as error:  # such as a laptop's program in a copied file
                self.trouble += [finding.message for finding in error.findings]
        return None

    def _content(self, path: Path) -> Mapping[str, Any]:
        if path not in self._read:
            self._read[path] = read_object(path)
        return self._read[path]

    def _ask(self, program: object, name: Registry, path: Path) -> Credential | None:
        if not isinstance(program, str) or not PROGRAM.fullmatch(program):
            raise InputError("a credential program has a strange name", at=str(path))
        server = DOCKER_HUB_KEY if name.host == DOCKER_HUB else name.host
        key = (program, server)
        if key not in self._answers:
            self._answers[key] = _asked(f"docker-credential-{program}", server, self._environment)
        return self._answers[key]


def _asked(program: str, server: str, environment: Mapping[str, str]) -> Credential | None:
    """Ask a credential program (docker-credential-helpers, "get"); None: it knows none."""
    done = process.run(
        [program, "get"], environment=environment, stdin=server.encode(), timeout=PATIENCE
    )
    if done.status:
        if _NOT_THERE in done.stdout + done.stderr:
            return None
        said = printable(done.last_lines(1))
        raise Unavailable(f"`{program}` has no credential for `{server}`: {said}", at=program)
    try:
        answer = json.loads(done.stdout)
        username, secret = answer["Username"], answer["Secret"]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise Unavailable(f"`{program}` answers something strange", at=program) from error
    if not isinstance(username, str) or not isinstance(secret, str):
        raise Unavailable(f"`{program}` answers something strange", at=program)
    if username == _IDENTITY:
        return Credential(identity_token=secret, source=program)
    return Credential(username=username, password=secret, source=program)


def read_object(path: Path) -> Mapping[str, Any]:
    """Return what a file of credentials holds; nothing where there is none."""
    try:
        with path.open("rb") as file:
            data = file.read(_LIMIT + 1)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", at=str(path)) from error
    try:
        value = json.loads(data) if data.strip() else {}
    except (ValueError, RecursionError) as error:
        raise InputError("not valid JSON", at=str(path), hint="log in anew") from error
    if len(data) > _LIMIT or not isinstance(value, dict):
        raise InputError("not a file of credentials", at=str(path), hint="log in anew")
    return value


def _table(content: Mapping[str, Any], key: str, path: Path) -> Mapping[str, Any]:
    value = content.get(key) or {}
    if not isinstance(value, dict):
        raise InputError(f"`{key}` is not a table", at=str(path))
    return value


def _hosts(name: Registry) -> tuple[str, ...]:
    return (*_HUB_NAMES, DOCKER_HUB_KEY) if name.host == DOCKER_HUB else (name.host,)


def _keys(name: Registry) -> Iterator[str]:
    """Yield the keys of `auths` that may stand for `name`, the most specific first."""
    for host in _HUB_NAMES if name.host == DOCKER_HUB else (name.host,):
        path = f"{host}/{name.repository}"
        while path:
            yield path
            path = path.rpartition("/")[0]


def _plain(key: str) -> str:
    """Return a key of `auths` without scheme and API version: `index.docker.io`."""
    bare = re.sub(r"^https?://", "", key).rstrip("/")
    return re.sub(r"/v[12]$", "", bare)


def _entry(value: object, path: Path) -> Credential | None:
    """Return what an entry of `auths` holds; None for the empty one that docker leaves there."""
    if not isinstance(value, dict):
        return None
    texts: dict[str, str] = {k: v for k, v in value.items() if isinstance(v, str)}
    username, password = texts.get("username", ""), texts.get("password", "")
    if auth := texts.get("auth"):
        try:
            pair = base64.b64decode(auth, validate=True).decode().rstrip("\0")
        except (binascii.Error, ValueError) as error:
            raise InputError("a credential is not base64", at=str(path)) from error
        username, _, password = pair.partition(":")
    identity, token = texts.get("identitytoken", ""), texts.get("registrytoken", "")
    if not (username or identity or token):
        return None
    return Credential(
        username=username, password=password, identity_token=identity, registry_token=token,
        source=str(path),
    )  # fmt: skip
