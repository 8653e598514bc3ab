"""What loading, running and testing an image ask of a container engine, and no more."""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Protocol

from modelpack.engine.value import About, Container, Exchanged, HeldImage, State
from modelpack.oci.registry.credentials import Credential
from modelpack.progress import Progress


class Engine(Protocol):
    """A container engine that answers.

    Every method raises Unavailable when the engine goes away or cannot do what is asked, and
    InputError when what is asked is wrong: a name that is taken, a port in use.
    """

    @property
    def about(self) -> About:
        """Which engine it is."""

    def image(self, name: str) -> HeldImage | None:
        """Return the image with a name or id; None when the engine has none."""

    def load(self, archive: Iterable[bytes], progress: Progress) -> None:
        """Keep the image of an archive in the form of `docker save`."""

    def tag(self, image: str, name: str) -> None:
        """Give an image that is there a name (`minilm:1.2.0`), which another one may lose."""

    def forget(self, image: str) -> None:
        """Remove a name of an image, and with the last one the image.

        What is not there, or what a container needs, is as good.
        """

    def pull(self, name: str, credential: Credential | None, progress: Progress) -> None:
        """Fetch an image from its registry, which may want to know who asks."""

    def saved(self, name: str) -> AbstractContextManager[Iterator[bytes]]:
        """Return the archive of an image in the form of `docker save`, block by block."""

    def file(self, image: str, path: str, *, limit: int) -> bytes | None:
        """Return a file of an image, of up to `limit` bytes; None when it has none there."""

    def create(self, container: Container) -> str:
        """Make a container and return its id; nothing runs yet."""

    def start(self, container: str) -> None:
        """Start a container."""

    def output(
        self, container: str, *, stdout: bool, stderr: bool, follow: bool = True
    ) -> Iterator[bytes]:
        """Yield what a container has written and, to `follow`, what it writes until it ends."""

    def wait(self, container: str) -> int:
        """Wait until a container ends, and return its exit status."""

    def state(self, container: str) -> State | None:
        """Return how a container is; None when there is none."""

    def execute(self, container: str, command: tuple[str, ...]) -> int:
        """Run one more command in a running container, and return its exit status."""

    def exchange(
        self, container: str, command: tuple[str, ...], told: bytes, *, limit: int, seconds: float
    ) -> Exchanged:
        """Run one more command, tell it `told` and return what it answered, up to `limit` bytes.

        The command must know by itself where what it is told ends: its stdin stays open.
        """

    def memory(self, container: str) -> int | None:
        """Return the bytes that a running container needs now; None where nobody can tell."""

    def stop(self, container: str, *, patience: int) -> None:
        """Send the image's stop signal, and kill what still runs after `patience` seconds."""

    def remove(self, container: str) -> None:
        """Remove a container, killing it if it runs; none there is as good."""

    def close(self) -> None:
        """End the connections that are kept open."""
