"""Manifests and configurations of a base: from the cache by digest, else from its registry.

Imports the network stack; import this module where it is needed, not at the top of another.
"""

from functools import cached_property
from typing import BinaryIO

from modelpack.digest import Digest, hex_of
from modelpack.digest import of as digest_of
from modelpack.errors import Unavailable
from modelpack.inputs.base_image.configuration import LIMIT
from modelpack.inputs.machine import Machine
from modelpack.oci.layer import Descriptor
from modelpack.oci.manifest import parse
from modelpack.oci.registry.repository import Repository
from modelpack.reference import Registry


class Documents:
    """Reads what one base is described by; what was read once is asked for no more."""

    def __init__(self, name: Registry, *, machine: Machine) -> None:
        self._name, self._machine = name, machine

    @cached_property
    def _repository(self) -> Repository:
        return Repository(self._name, self._machine.registries)

    @cached_property
    def root(self) -> Descriptor:
        """The manifest or index that the name means now: a tag is asked for once."""
        if self._name.digest is not None:
            data = self._kept(self._name.digest)
            if data is not None:
                media_type = parse(data, at=str(self._name)).media_type
                return Descriptor(media_type=media_type, digest=self._name.digest, size=len(data))
        self._expect_online("the base is not locked, and `--offline` forbids asking for it")
        return self._repository.resolve(self._name.digest or self._name.tag)

    def manifest(self, what: Descriptor) -> bytes:
        """Return a manifest or index, checked, and keep it."""
        return self._had(what.digest) or self._keep(self._repository.read(what))

    def configuration(self, digest: Digest) -> bytes:
        """Return a configuration, checked, and keep it."""
        return self._had(digest) or self._keep(self._repository.small_blob(digest, limit=LIMIT))

    def _had(self, digest: Digest) -> bytes | None:
        data = self._kept(digest)
        if data is None:
            self._expect_online(f"{digest} is not in the cache")
        return data

    def _kept(self, digest: Digest) -> bytes | None:
        path = self._machine.downloads.path(hex_of(digest))
        return path.read_bytes() if path and path.stat().st_size <= LIMIT else None

    def _keep(self, data: bytes) -> bytes:
        digits = hex_of(digest_of(data))

        def write(file: BinaryIO) -> None:
            file.write(data)

        self._machine.downloads.add(digits, len(data), write)
        return data

    def _expect_online(self, otherwise: str) -> None:
        if self._machine.offline:
            raise Unavailable(otherwise, at=str(self._name), hint="run once without `--offline`")
