"""Credentials tried out at a registry, and kept where docker and podman look for them.

Source: docker's `config.json` and docker-credential-helpers ("store").
"""

import base64
import json
import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from modelpack import process
from modelpack.errors import InputError, Unavailable
from modelpack.oci.manifest import printable
from modelpack.oci.registry.credentials import (
    DOCKER_HUB_KEY,
    PATIENCE,
    PROGRAM,
    Credential,
    Credentials,
    read_object,
)
from modelpack.oci.registry.session import Session
from modelpack.oci.registry.settings import Endpoint, Settings
from modelpack.reference import DOCKER_HUB, Registry
from modelpack.web.client import Client

_DONE = range(200, 300)


class _Given(Credentials):
    """The one credential that is tried out."""

    def __init__(self, credential: Credential) -> None:
        super().__init__((), environment={})
        self._credential = credential

    def find(self, name: Registry) -> Credential:  # noqa: ARG002
        return self._credential


def check(host: str, credential: Credential, settings: Settings) -> None:
    """Raise Unavailable unless the registry at `host` lets `credential` in."""
    name = Registry(host, "")
    session = Session(
        name, Endpoint.of(name, settings), client=Client(settings.environment),
        credentials=_Given(credential),
    )  # fmt: skip
    with session.open_root() as reply:
        if reply.status not in _DONE:
            raise Unavailable(f"`{host}` answers {reply.status}", at=host)


def keep(host: str, credential: Credential, settings: Settings) -> str:
    """Keep `credential` for `host`; return where: a file, or a credential program.

    The first file of `settings` decides. It is docker's, and read by podman too.
    """
    path = settings.credential_files[0]
    content = dict(read_object(path))
    server = DOCKER_HUB_KEY if host == DOCKER_HUB else host
    helpers = content.get("credHelpers")
    program = helpers.get(host) if isinstance(helpers, dict) else None
    program = program or content.get("credsStore")
    if program:
        return _stored(program, server, credential, settings, path)
    entries = content.get("auths") or {}
    if not isinstance(entries, dict):
        raise InputError("`auths` is not a table", at=str(path))
    pair = f"{credential.username}:{credential.password}".encode()
    entry = {"auth": base64.b64encode(pair).decode()}
    _write(path, {**content, "auths": {**entries, server: entry}})
    return str(path)


def _stored(
    program: object, server: str, credential: Credential, settings: Settings, path: Path
) -> str:  # fmt: skip
    if not isinstance(program, str) or not PROGRAM.fullmatch(program):
        raise InputError("a credential program has a strange name", at=str(path))
    name = f"docker-credential-{program}"
    secret = {
        "ServerURL": server, "Username": credential.username, "Secret": credential.password,
    }  # fmt: skip
    done = process.run(
        [name, "store"], environment=settings.environment, stdin=json.dumps(secret).encode(),
        timeout=PATIENCE,
    )  # fmt: skip
    if done.status:
        said = printable(done.last_lines(1).replace(credential.password, "…"))
        raise Unavailable(f"`{name}` keeps nothing: {said}", at=name)
    return name


def _write(path: Path, content: dict[str, Any]) -> None:
    """Put a file in the place of another in one step; nobody else may read it."""
    place = Path(os.path.realpath(path))
    try:
        place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, temporary = tempfile.mkstemp(dir=place.parent, prefix=".config-")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(content, file, indent="\t")
                file.write("\n")
            os.rename(temporary, place)
        except BaseException:
            with suppress(OSError):
                os.unlink(temporary)
            raise
    except OSError as error:
        raise Unavailable(f"cannot write: {error.strerror}", at=str(place)) from error
