"""A Sigstore of the real programs: Fulcio, Rekor v2, timestamp authority; and the real cosign.

In a network namespace of its own, because metrics listen on all interfaces. Ours are only the OIDC
issuers, the CT log, and Rekor v1, whose real server wants a database of its own. The programs are
given the keys of the Sigstore in this process, so one trusted root names all of them.
"""

import os
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509

from modelpack import canonical_json
from tests.network_namespace import Namespace, new_namespace
from tests.registries import RunningRegistry
from tests.registries import running as running_registry
from tests.sigstore.certificates import der, pem, private_pem, public_pem
from tests.sigstore.identity import SOMEBODY
from tests.sigstore.server import running_sigstore
from tests.sigstore.stack import Sigstore
from tests.sigstore.trusted import (
    Json,
    Version,
    authority_instance,
    log_instance,
    signing_config,
    trust_config,
)

FULCIO = "http://localhost:5555"
REKOR = "http://localhost:3003"
TIMESTAMPS = "http://localhost:3004/api/v1/timestamp"
REGISTRIES = {"olareg": "referrers API", "distribution-3": "tag of referrers"}
PATIENCE = 60
"seconds until a test gives up waiting; nothing is measured"
_PASSWORD = "x"

Tool = Callable[[str], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class RealSigstore:
    """What runs, and what its users are given."""

    own: Sigstore
    "issuers, CT log and Rekor v1, in this process"
    network: Namespace
    folder: Path
    cosign_program: str
    registries: Mapping[str, RunningRegistry]
    "by kind: REGISTRIES"
    timestamp_chain: tuple[x509.Certificate, ...]

    @property
    def issuer(self) -> str:
        """Who vouches for e-mail addresses."""
        return self.own.issuer.url

    @property
    def jobs(self) -> str:
        """Who vouches for jobs of workflows."""
        return self.own.jobs.url

    def token(self, identity: str = SOMEBODY) -> str:
        """Return a token for the holder of an e-mail address."""
        return self.own.issuer.token(identity)

    def job_token(self, repository: str = "acme/minilm", **words: Any) -> str:
        """Return a token for a job of a workflow."""
        return self.own.jobs.job_token(repository, **words)

    def token_file(self, token: str) -> Path:
        """Return a file with a token, as both `sign` commands want it."""
        path = self.folder / "token"
        path.write_text(token, "utf-8")
        return path

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Let this thread be where the services can be reached."""
        with self.network.inside():
            yield

    def cosign(
        self, *arguments: str, environment: Mapping[str, str] = {}
    ) -> subprocess.CompletedProcess[str]:
        """Run cosign where the services can be reached, as somebody without any configuration."""
        home = self.folder / "home"
        home.mkdir(exist_ok=True)
        variables = {
            "HOME": str(home), "DOCKER_CONFIG": str(home), "PATH": os.environ["PATH"],
            "COSIGN_PASSWORD": "", **environment,
        }  # fmt: skip
        with self.inside():
            return subprocess.run(
                [self.cosign_program, *arguments], env=variables, cwd=self.folder, text=True,
                capture_output=True, check=False, stdin=subprocess.DEVNULL, timeout=PATIENCE,
            )  # fmt: skip

    def trusted_root(self) -> Json:
        """Return the keys and certificates of all services."""
        own = self.own
        return {
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [
                log_instance(own.url, own.rekor_v1.log.key.public_key()),
                log_instance(REKOR, own.rekor_v2.log.key.public_key()),
            ],
            "certificateAuthorities": [
                authority_instance("fulcio", FULCIO, [der(c) for c in own.fulcio.authority.chain])
            ],
            "ctlogs": [log_instance(own.url, own.certificates.key.public_key())],
            "timestampAuthorities": [
                authority_instance("tsa", TIMESTAMPS, [der(c) for c in self.timestamp_chain])
            ],
        }

    def signing_config(self, *, rekor: Version = 2, timestamps: bool = True) -> Json:
        """Return where to sign."""
        return signing_config(
            fulcio=FULCIO, issuer=self.issuer, timestamps=TIMESTAMPS if timestamps else "",
            rekor=(REKOR if rekor == 2 else self.own.url, rekor),
        )  # fmt: skip

    def trusted_root_file(self) -> Path:
        """Return a file with the trusted root."""
        return self._file("trusted_root.json", self.trusted_root())

    def signing_config_file(self, *, rekor: Version = 2, timestamps: bool = True) -> Path:
        """Return a file that says where to sign."""
        name = f"signing_config.rekor{rekor}{'' if timestamps else '-no-tsa'}.json"
        return self._file(name, self.signing_config(rekor=rekor, timestamps=timestamps))

    def trust_config_file(self, *, rekor: Version = 2, timestamps: bool = True) -> Path:
        """Return a file with both."""
        content = trust_config(
            self.trusted_root(), self.signing_config(rekor=rekor, timestamps=timestamps)
        )
        return self._file(
            f"trust_config.rekor{rekor}{'' if timestamps else '-no-tsa'}.json", content
        )

    def _file(self, name: str, content: Json) -> Path:
        path = self.folder / name
        path.write_bytes(canonical_json.pretty(content))
        return path


@contextmanager
def real_sigstore(folder: Path, *, go_tool: Tool, require_tool: Tool) -> Iterator[RealSigstore]:
    """Run all of it; raises OSError where this process may not make a network."""
    with ExitStack() as stack:
        network = stack.enter_context(new_namespace())
        with network.inside():
            own = stack.enter_context(running_sigstore())
            _write_keys(folder, own)
            programs = [
                (go_tool("fulcio"), _fulcio(own, folder), f"{FULCIO}/healthz"),
                (go_tool("rekor"), _rekor(folder), f"{REKOR}/healthz"),
                (go_tool("timestamp"), _timestamps(), f"{TIMESTAMPS}/certchain"),
            ]
            processes = [
                stack.enter_context(_running(program, arguments, folder))
                for program, arguments, _ in programs
            ]
            registries = {}
            for kind in REGISTRIES:
                below = folder / kind
                below.mkdir()
                registries[kind] = stack.enter_context(
                    running_registry(kind, below, go_tool=go_tool, require_tool=require_tool)
                )
            for process, (program, _, address) in zip(processes, programs, strict=True):
                _wait(address, process, folder / f"{Path(program).name}.log")
            chain = x509.load_pem_x509_certificates(_get(f"{TIMESTAMPS}/certchain"))
        running = RealSigstore(
            own=own, network=network, folder=folder, cosign_program=go_tool("cosign"),
            registries=registries, timestamp_chain=tuple(chain),
        )  # fmt: skip
        _begin_log(running)
        yield running


def _begin_log(running: RealSigstore) -> None:
    """Let the log have an entry: cosign leaves the number 0 out, and sigstore-python misses it."""
    blob = running.folder / "first"
    blob.write_bytes(b"first")
    done = running.cosign(
        "sign-blob", "--yes", f"--signing-config={running.signing_config_file()}",
        f"--trusted-root={running.trusted_root_file()}",
        f"--identity-token={running.token_file(running.token())}", f"--bundle={blob}.json",
        str(blob),
    )  # fmt: skip
    if done.returncode != 0:
        raise RuntimeError(done.stderr)


def _write_keys(folder: Path, own: Sigstore) -> None:
    authority = own.fulcio.authority
    password = _PASSWORD.encode()
    (folder / "chain.pem").write_bytes(b"".join(pem(item) for item in authority.chain))
    (folder / "ca.key").write_bytes(private_pem(authority.key, password))
    (folder / "ct.pub").write_bytes(public_pem(own.certificates.key.public_key()))
    (folder / "rekor.key").write_bytes(private_pem(own.rekor_v2.log.key, password))
    kinds = {own.issuer.url: "email", own.jobs.url: "github-workflow"}
    issuers = {
        url: {"IssuerURL": url, "ClientID": "sigstore", "Type": kind} for url, kind in kinds.items()
    }
    (folder / "fulcio.json").write_bytes(canonical_json.pretty({"OIDCIssuers": issuers}))


def _fulcio(own: Sigstore, folder: Path) -> list[str]:
    return [
        "--host=127.0.0.1", "--port=5555", "--grpc-host=127.0.0.1", "--grpc-port=5554",
        "--metrics-port=2113", f"--legacy-unix-domain-socket={folder / 'fulcio.sock'}",
        "--ca=fileca", f"--fileca-cert={folder / 'chain.pem'}",
        f"--fileca-key={folder / 'ca.key'}", f"--fileca-key-passwd={_PASSWORD}",
        "--fileca-watch=false", f"--config-path={folder / 'fulcio.json'}",
        f"--ct-log-url={own.url}", f"--ct-log-public-key-path={folder / 'ct.pub'}",
    ]  # fmt: skip


def _rekor(folder: Path) -> list[str]:
    return [
        "--http-address=127.0.0.1", "--http-port=3003", "--grpc-address=127.0.0.1",
        "--grpc-port=3001", "--http-metrics-port=2114", "--hostname=localhost",
        f"--storage-dir={folder / 'log'}", f"--signer-filepath={folder / 'rekor.key'}",
        f"--signer-password={_PASSWORD}", "--checkpoint-interval=100ms", "--batch-max-age=50ms",
        "--persistent-antispam=false",
    ]  # fmt: skip


def _timestamps() -> list[str]:
    return [
        "--host=127.0.0.1", "--port=3004", "--timestamp-signer=memory", "--disable-ntp-monitoring",
    ]  # fmt: skip


@contextmanager
def _running(
    program: str, arguments: list[str], folder: Path
) -> "Iterator[subprocess.Popen[bytes]]":
    with (folder / f"{Path(program).name}.log").open("wb") as log:
        process = subprocess.Popen(
            [program, "serve", *arguments], stdout=log, stderr=log, cwd=folder,
            stdin=subprocess.DEVNULL, env={"PATH": os.environ["PATH"], "HOME": str(folder)},
        )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _wait(address: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and process.poll() is None:
        try:
            _get(address)
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError(f"{address} does not answer: {log.read_text(errors='replace')[-2000:]}")


def _get(address: str) -> bytes:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(address, timeout=5) as answer:
            return bytes(answer.read())
    except urllib.error.HTTPError as error:
        error.close()
        raise
