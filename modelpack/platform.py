"""What an image runs on, in the words of OCI, Debian, GNU and Python."""

from dataclasses import dataclass

from modelpack.errors import InputError

_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}


@dataclass(frozen=True, slots=True, order=True)
class Platform:
    """An operating system and an architecture, as in an OCI descriptor."""

    os: str
    architecture: str

    def __str__(self) -> str:
        return f"{self.os}/{self.architecture}"

    @property
    def machine(self) -> str:
        """The architecture in uname's and wheels' word (`x86_64`)."""
        return _MACHINES[self.architecture]

    @property
    def multiarch(self) -> str:
        """Debian's library folder (`x86_64-linux-gnu`)."""
        return f"{self.machine}-linux-gnu"


def parse(text: str, *, at: str = "") -> Platform:
    """Return the Platform that `text` names, or raise InputError."""
    os, _, architecture = text.partition("/")
    if os != "linux" or architecture not in _MACHINES:
        raise InputError(
            f"unknown platform `{text}`", at=at, hint="use `linux/amd64` or `linux/arm64`"
        )
    return Platform(os, architecture)
