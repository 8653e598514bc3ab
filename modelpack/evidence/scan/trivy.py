"""The door to Trivy: found on PATH, run on files only, with nothing of the user's configuration.

Source: Trivy 0.74, `trivy image --help`. It runs in an empty folder, because it takes
`trivy.yaml`, `.trivyignore` and `trivy-secret.yaml` from where it is started, and without the
user's variables, because `TRIVY_SEVERITY` or `TRIVY_SKIP_DIRS` would quietly change the answer.
"""

import shutil
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from modelpack import process
from modelpack.errors import Unavailable
from modelpack.evidence.scan.report import LIMIT

TIMEOUT: Final = 900
"seconds that a scan or a download may take"
TESTED: Final = "v0.74.0"
"the version that the tests run; tests/tools/trivy pins it"
INSTALL: Final = (
    "install Trivy: https://trivy.dev/docs/latest/getting-started/installation/, or "
    f"`GOEXPERIMENT=jsonv2 go install github.com/aquasecurity/trivy/cmd/trivy@{TESTED}`"
)


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of database."""

    folder: str
    "in Trivy's cache"
    files: tuple[str, str]
    download: str
    "the option that fetches it, and nothing else"
    repository: str
    "the option that says where from"
    noun: str


VULNERABILITIES: Final = Kind(
    "db", ("trivy.db", "metadata.json"), "--download-db-only", "--db-repository",
    "vulnerability database",
)  # fmt: skip
JAVA: Final = Kind(
    "java-db", ("trivy-java.db", "metadata.json"), "--download-java-db-only",
    "--java-db-repository", "database of Java archives",
)  # fmt: skip


class NeedsJava(Unavailable):
    """The image holds Java archives, for which there is no database."""


_QUIETLY = ("--quiet", "--no-progress", "--disable-telemetry", "--skip-version-check")
_LOCALLY = (
    "--skip-db-update", "--skip-java-db-update", "--skip-check-update", "--skip-vex-repo-update",
    "--offline-scan",
)  # fmt: skip
_NETWORK = frozenset(
    name
    for proxy in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY")
    for name in (proxy, proxy.lower())
) | {"SSL_CERT_FILE", "SSL_CERT_DIR", "DOCKER_CONFIG"}
"variables with which a download finds its way; a scan gets none"
_NO_JAVA = "'--skip-java-db-update' cannot be specified on the first run"
"how Trivy says that an image holds Java archives and there is no database of them"
_LINES = 5
"of what Trivy said, shown when it fails"


def find(environment: Mapping[str, str]) -> str:
    """Return the path of `trivy`, or raise Unavailable with how to get it."""
    program = shutil.which("trivy", path=environment.get("PATH", ""))
    if program is None:
        raise Unavailable("`trivy` is not installed", hint=INSTALL)
    return program


def scan(
    program: str,
    name: str,
    *,
    databases: Mapping[Kind, Path],
    environment: Mapping[str, str],
    work: Path,
) -> bytes:
    """Return the JSON report on the image `name` of a registry on this machine.

    `work` is an empty folder. Nothing outside is asked for. Raises NeedsJava when `databases` do
    not suffice, Unavailable when Trivy fails or says more than any image can give rise to.
    """
    cache = work / "cache"
    cache.mkdir()
    for kind, folder in databases.items():
        (cache / kind.folder).symlink_to(folder.absolute(), target_is_directory=True)
    report = work / "report.json"
    argv = [
        program, "image", "--image-src", "remote", "--format", "json", "--output", report.name,
        "--scanners", "vuln,secret,misconfig,license",
        "--image-config-scanners", "misconfig,secret", "--list-all-pkgs",
        "--cache-dir", cache.name, "--cache-backend", "memory", "--timeout", f"{TIMEOUT}s",
        *_QUIETLY, *_LOCALLY, name,
    ]  # fmt: skip
    _run(argv, environment=_environment(environment, work), work=work)
    if not report.is_file() or report.stat().st_size > LIMIT:
        raise Unavailable(f"Trivy wrote no report, or one of more than {LIMIT} bytes")
    return report.read_bytes()


def download(
    program: str, kind: Kind, *, repository: str, environment: Mapping[str, str], work: Path
) -> Path:
    """Download the newest database below the empty folder `work`, and return its folder.

    `repository` is where from; empty: Trivy's own mirrors. Raises Unavailable when it fails.
    """
    argv = [program, "image", kind.download, "--cache-dir", "cache", *_QUIETLY]
    if repository:
        argv += [kind.repository, repository]
    network = {name: text for name, text in environment.items() if name in _NETWORK}
    if home := environment.get("HOME"):
        network.setdefault("DOCKER_CONFIG", f"{home}/.docker")
    _run(argv, environment={**network, **_environment(environment, work)}, work=work)
    return work / "cache" / kind.folder


def _environment(environment: Mapping[str, str], work: Path) -> Mapping[str, str]:
    path = environment.get("PATH", "")
    return {"PATH": path, "HOME": str(work), "TMPDIR": str(work), "LC_ALL": "C.UTF-8"}


def _run(argv: Sequence[str], *, environment: Mapping[str, str], work: Path) -> None:
    said: deque[str] = deque(maxlen=_LINES)
    with (work / "output").open("wb") as output:
        status = process.stream(
            argv, environment=environment, output=output, said=said.append, cwd=str(work),
            timeout=TIMEOUT,
        )  # fmt: skip
    if status:
        lines = "\n".join(said) or "it said nothing"
        kind = NeedsJava if _NO_JAVA in lines else Unavailable
        old = "use Trivy 0.65 or newer; this modelpack is tested with 0.74"
        raise kind(
            f"Trivy ended with {status}:\n{lines}", hint=old if "unknown flag" in lines else ""
        )
