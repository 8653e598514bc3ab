"""An engine through the `docker` SDK, which is imported late: it costs more than most commands.

Source: Docker Engine API 1.40 and later; podman answers the same one.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any
from urllib.parse import quote

from modelpack.engine import exchanging, wire
from modelpack.engine.failure import answered, spoken
from modelpack.engine.value import About, Container, Exchanged, HeldImage, State
from modelpack.errors import InputError, Unavailable
from modelpack.oci.content import BLOCK
from modelpack.oci.registry.credentials import Credential
from modelpack.oci.tar_index import members
from modelpack.progress import Progress

Client = Any
"a docker.APIClient; the SDK has no types"
_OK = 200
_NO_SUCH = 404
_CONFLICT = 409
_ONE_SHOT = (1, 41)
"the first API whose statistics do not take a second"
_TAR_OVERHEAD = 1 << 16
"bytes of a tar of one file beside the file"


class SdkEngine:
    """A Docker engine, or podman that answers like one."""

    def __init__(self, about: About, client: Client, patient: Client) -> None:
        """Speak through `client`, and through `patient`, which never times out, of long things."""
        self._about = about
        self._client = client
        self._patient = patient

    @property
    def about(self) -> About:
        """Which engine it is."""
        return self._about

    def close(self) -> None:
        """End the connections that are kept open."""
        self._client.close()
        self._patient.close()

    def _spoken(self, doing: str) -> Any:  # noqa: ANN401  a context
        return spoken(self._about.address, doing)

    def image(self, name: str) -> HeldImage | None:
        """Return the image with a name or id; None when the engine has none."""
        with self._spoken("look for an image"):
            found = _found(self._client.inspect_image, name)
        return None if found is None else wire.held(found)

    def load(self, archive: Iterable[bytes], progress: Progress) -> None:
        """Keep the image of an archive in the form of `docker save`."""
        doing = "load the image"
        with self._spoken(doing):
            _listen(self._patient.load_image(archive), doing, progress)

    def tag(self, image: str, name: str) -> None:
        """Give an image that is there a name."""
        repository, _, tag = name.rpartition(":")
        with self._spoken("name an image"):
            self._client.tag(image, repository, tag)

    def forget(self, image: str) -> None:
        """Remove a name of an image, and with the last one the image."""
        from docker.errors import APIError  # noqa: PLC0415

        with self._spoken("remove the image"):
            try:
                self._client.remove_image(image)
            except APIError as error:
                if error.status_code not in (_NO_SUCH, _CONFLICT):
                    raise

    def pull(self, name: str, credential: Credential | None, progress: Progress) -> None:
        """Fetch an image from its registry, which may want to know who asks."""
        doing = f"pull `{name}`"
        repository, tag = _repository_and_tag(name)
        with self._spoken(doing):
            lines = self._patient.pull(
                repository, tag=tag, stream=True, decode=True, auth_config=wire.auth(credential)
            )
            _listen(lines, doing, progress)

    @contextmanager
    def saved(self, name: str) -> Iterator[Iterator[bytes]]:
        """Return the archive of an image in the form of `docker save`, block by block."""
        doing = "save the image"
        client = self._patient
        # Not `get_image`: it cannot be ended before all of it has come.
        url = f"{client.base_url}/v{client.api_version}/images/{quote(name, safe='')}/get"
        with self._spoken(doing), client.get(url, stream=True, timeout=None) as response:
            if response.status_code != _OK:
                raise answered(_message(response), doing=doing)
            yield response.iter_content(BLOCK)

    def file(self, image: str, path: str, *, limit: int) -> bytes | None:
        """Return a file of an image, of up to `limit` bytes; None when it has none there."""
        with self._spoken("read a file of the image"):
            # Never started: a container is the only way to an image's files.
            made = self._client.create_container(image, ["-"], use_config_proxy=False)["Id"]
            try:
                found = _found(self._client.get_archive, made, path=path)
                return None if found is None else _only_file(found[0], limit, at=path)
            finally:
                self.remove(made)

    def create(self, container: Container) -> str:
        """Make a container and return its id; nothing runs yet."""
        if container.gpus is not None and self._about.kind == "podman":
            raise Unavailable(
                "podman ignores a request for GPUs that comes through its socket",
                at="--gpus", hint="run what `modelpack run --print` prints",
            )  # fmt: skip
        with self._spoken("create the container"):
            made = self._client.create_container(
                container.image,
                command=list(container.command) or None,
                entrypoint=[container.entrypoint] if container.entrypoint else None,
                user=container.user or None,
                environment={v.name: v.value for v in container.variables} or None,
                ports=[port.container for port in container.ports] or None,
                name=container.name or None,
                host_config=self._client.create_host_config(**wire.host_options(container)),
                # What is asked for is all that gets in: no proxies of ~/.docker/config.json.
                use_config_proxy=False,
            )
        return str(made["Id"])

    def start(self, container: str) -> None:
        """Start a container."""
        with self._spoken("start the container"):
            self._client.start(container)

    def output(
        self, container: str, *, stdout: bool, stderr: bool, follow: bool = True
    ) -> Iterator[bytes]:
        """Yield what a container has written and, to `follow`, what it writes until it ends."""
        with self._spoken("show what the container writes"):
            yield from self._patient.logs(
                container, stdout=stdout, stderr=stderr, stream=True, follow=follow
            )

    def wait(self, container: str) -> int:
        """Wait until a container ends, and return its exit status."""
        with self._spoken("wait for the container"):
            return int(self._patient.wait(container)["StatusCode"])

    def state(self, container: str) -> State | None:
        """Return how a container is; None when there is none."""
        with self._spoken("look at the container"):
            found = _found(self._client.inspect_container, container)
        return None if found is None else wire.state(found)

    def execute(self, container: str, command: tuple[str, ...]) -> int:
        """Run one more command in a running container, and return its exit status."""
        with self._spoken("run a command in the container"):
            made = self._client.exec_create(container, list(command))["Id"]
            self._client.exec_start(made)
            return int(self._client.exec_inspect(made)["ExitCode"] or 0)

    def exchange(
        self, container: str, command: tuple[str, ...], told: bytes, *, limit: int, seconds: float
    ) -> Exchanged:
        """Run one more command, tell it `told` and return what it answered, up to `limit` bytes."""
        with self._spoken("ask in the container"):
            made = self._client.exec_create(container, list(command), stdin=True)["Id"]
            raw = self._patient.exec_start(made, socket=True)
            try:
                out, err = exchanging.exchange(raw, told, limit=limit, seconds=seconds)
            finally:
                raw.close()
            status = self._client.exec_inspect(made)["ExitCode"]
        return Exchanged(status=int(status or 0), stdout=out, stderr=err)

    def memory(self, container: str) -> int | None:
        """Return the bytes that a running container needs now; None where nobody can tell."""
        at_once = {"one_shot": True} if _version(self._about.api) >= _ONE_SHOT else {}
        with self._spoken("measure the container"):
            stats = _found(self._client.stats, container, stream=False, **at_once)
        return None if stats is None else wire.memory(stats)

    def stop(self, container: str, *, patience: int) -> None:
        """Send the image's stop signal, and kill what still runs after `patience` seconds."""
        with self._spoken("stop the container"):
            _found(self._patient.stop, container, timeout=patience)

    def remove(self, container: str) -> None:
        """Remove a container, killing it if it runs; none there is as good."""
        with self._spoken("remove the container"):
            _found(self._client.remove_container, container, force=True, v=True)


def _version(api: str) -> tuple[int, ...]:
    return tuple(int(part) for part in api.split(".") if part.isdecimal())


def _found(ask: Any, what: str, **options: Any) -> Any:  # noqa: ANN401
    """Return what `ask` returns, or None when the engine has no such thing."""
    from docker.errors import APIError  # noqa: PLC0415

    try:
        return ask(what, **options)
    except APIError as error:
        if error.status_code == _NO_SUCH:
            return None
        raise


def _message(response: Any) -> str:  # noqa: ANN401  a requests.Response
    """Return what the engine answered instead of what it was asked for."""
    try:
        return str(response.json()["message"])
    except (ValueError, LookupError, TypeError):
        return str(response.text)


def _only_file(blocks: Iterable[bytes], limit: int, *, at: str) -> bytes:
    """Return the one file of a tar, or raise InputError when there is none or it is too large."""
    data = b""
    for block in blocks:
        data += block
        if len(data) > limit + _TAR_OVERHEAD:
            raise InputError(f"larger than {limit} bytes", at=at)
    files = list(members(BytesIO(data), at=at).values())
    if len(files) != 1:
        raise InputError("not a file", at=at)
    return data[files[0].offset : files[0].offset + files[0].size]


def _listen(lines: Iterable[Any], doing: str, progress: Progress) -> None:
    """Follow an engine's progress; raise when a line is an error."""
    for line in lines:
        if not isinstance(line, dict):
            continue
        if said := line.get("error") or (line.get("errorDetail") or {}).get("message"):
            raise answered(str(said), doing=doing)
        status = line.get("status")
        if isinstance(status, str) and "progressDetail" not in line:
            progress.say(status)


def _repository_and_tag(name: str) -> tuple[str, str]:
    """Split a full name for the engine, which takes a digest for a tag."""
    before, at, digest = name.partition("@")
    if at:
        return before.rpartition(":")[0] if ":" in before.rpartition("/")[2] else before, digest
    repository, colon, tag = name.rpartition(":")
    if not colon or "/" in tag:
        raise InputError(f"`{name}` has neither a tag nor a digest", at="IMAGE",
                         hint=f"{name}:TAG")  # fmt: skip
    return repository, tag
