"""The distributions that a base can be assembled from, and what is in such a base."""

from dataclasses import dataclass
from difflib import get_close_matches

from modelpack.errors import InputError

DROP = frozenset(
    """
    adduser awk base-passwd debconf debconf-2.0 dpkg init-system-helpers lsb-base mawk openssl
    openssl-provider-legacy python3-minimal readline-common sensible-utils sysvinit-utils tar ucf
    """.split()  # noqa: SIM905  names to read
)
"wanted by maintainer scripts, which are never run, or for a command that nobody types"
SHELLS = frozenset(
    """
    apt aptitude ash bash bash-static busybox busybox-static csh dash dpkg elvish fish ksh
    ksh93u+m mksh posh rc sash tcsh toybox yash zsh zsh-static
    """.split()  # noqa: SIM905  names to read
)
"an assembled base holds no shell and no package manager"
SCRIPTS_REVIEWED = frozenset(
    "base-files ca-certificates libc-bin libc6 libgssapi-krb5-2 media-types netbase tzdata".split()  # noqa: SIM905
)
"what their maintainer scripts do is done when the base is assembled, or is not needed in it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """A release of Debian."""

    name: str
    "as in `runtime.base`"
    codename: str
    python: str
    "its Python"

    @property
    def suites(self) -> tuple[tuple[str, str], ...]:
        """Archive and suite of every index; of equal versions the first one is taken."""
        return (
            ("debian", self.codename),
            ("debian", f"{self.codename}-updates"),
            ("debian-security", f"{self.codename}-security"),
        )

    @property
    def roots(self) -> tuple[str, ...]:
        """The packages that a Python service needs; what they depend on comes along."""
        return (
            "base-files",
            "ca-certificates",
            "libc-bin",
            "libc6",
            "libgcc-s1",
            "libgomp1",
            f"libpython{self.python}-stdlib",
            "libstdc++6",
            "media-types",
            "netbase",
            f"python{self.python}-minimal",
            "tzdata",
        )


DISTRIBUTIONS = {
    distribution.name: distribution
    for distribution in (
        Distribution(name="debian:13", codename="trixie", python="3.13"),
        Distribution(name="debian:12", codename="bookworm", python="3.11"),
    )
}


def expected_python(base: str, stated: str) -> str:
    """Return the Python of a base before anybody looks: as stated, as we know it, or a new one."""
    if base in DISTRIBUTIONS:
        return DISTRIBUTIONS[base].python
    return stated or DISTRIBUTIONS["debian:13"].python


def find(name: str, *, at: str = "runtime.base") -> Distribution:
    """Return the Distribution called `name`, or raise InputError."""
    if name in DISTRIBUTIONS:
        return DISTRIBUTIONS[name]
    close = get_close_matches(
        name, [*DISTRIBUTIONS, *(d.codename for d in DISTRIBUTIONS.values())], n=1, cutoff=0.5
    )
    meant = close[0] if close else "debian:13"
    meant = next((d.name for d in DISTRIBUTIONS.values() if d.codename == meant), meant)
    raise InputError(
        f"cannot assemble a base from `{name[:80]}`",
        at=at,
        hint=f"did you mean `{meant}`? Any other base is a registry reference",
    )
