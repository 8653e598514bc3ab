"""What `sign` and `build --sign` share: who signs, which services witness it, and what is asked."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from modelpack.errors import InputError, Unavailable

if TYPE_CHECKING:
    from modelpack.signing.signing import Signing
    from modelpack.trust.services.signing_config import Services
    from modelpack.trust.signer import Signer
    from modelpack.trust.trusted_root import TrustedRoot

_FILE = click.Path(path_type=Path, dir_okay=False)
_LIMIT = 4 << 20
_PUBLIC = ("fulcio.sigstore.dev", "rekor.sigstore.dev")


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningOptions:
    """The options as they were given."""

    key: str | None
    password_file: Path | None
    identity_token_file: Path | None
    trust_config: Path | None
    signing_config: Path | None
    trusted_root: Path | None
    no_log: bool
    yes: bool

    @property
    def any(self) -> bool:
        """Whether any option was given."""
        return any(getattr(self, name) for name in SigningOptions.__dataclass_fields__)

    @property
    def is_public(self) -> bool:
        """Whether the Sigstore that everybody may use is asked."""
        return not (self.trust_config or self.signing_config or self.no_log)

    def check(self) -> None:
        """Raise InputError for what contradicts itself."""
        pair = (self.signing_config, self.trusted_root)
        if self.trust_config and any(pair):
            raise InputError("it says both where to sign and whom to trust", at="--trust-config",
                             hint="leave out `--signing-config` and `--trusted-root`")  # fmt: skip
        if any(pair) and not all(pair):
            raise InputError("one says where to sign, the other whom to trust: give both",
                             at="--signing-config, --trusted-root")  # fmt: skip
        if self.key and self.identity_token_file:
            raise InputError("signs either with a key or for the holder of a token",
                             at="--key, --identity-token-file")  # fmt: skip
        if self.no_log and not self.key:
            raise InputError(
                "without a log nobody can tell that a certificate of some minutes was valid",
                at="--no-log", hint="it is for signatures with `--key`",
            )  # fmt: skip


def signing_options(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of signing, as one argument `how`."""

    def wrapped(**values: Any) -> None:  # noqa: ANN401
        own = {name: values.pop(name) for name in SigningOptions.__dataclass_fields__}
        function(how=SigningOptions(**own), **values)

    wrapped.__doc__ = function.__doc__
    wrapped.__click_params__ = getattr(function, "__click_params__", [])  # type: ignore[attr-defined]
    for option in reversed(_OPTIONS):
        wrapped = option(wrapped)
    return wrapped


_OPTIONS = (
    click.option(
        "--key", metavar="KEY",
        help="Sign with this key: a PEM file (P-256), pkcs11:…, awskms:…, gcpkms:…, azurekms:… "
        "(default: keyless, as whoever this job or person is).",
    ),
    click.option(
        "--password-file", type=_FILE, metavar="FILE",
        help="Its first line is the key's password (default: MODELPACK_KEY_PASSWORD, else asked "
        "for).",
    ),
    click.option(
        "--identity-token-file", type=_FILE, metavar="FILE",
        help="An OpenID Connect token for the audience `sigstore` (default: that of this CI job, "
        "else a browser).",
    ),
    click.option(
        "--trust-config", type=_FILE, metavar="FILE",
        help="Where to sign and whom to trust: a private Sigstore (default: the public one).",
    ),
    click.option(
        "--signing-config", type=_FILE, metavar="FILE", help="Where to sign; with --trusted-root."
    ),
    click.option(
        "--trusted-root", type=_FILE, metavar="FILE", help="Whom to trust; with --signing-config."
    ),
    click.option(
        "--no-log", is_flag=True, help="Put nothing into a transparency log; only with --key."
    ),
    click.option(
        "-y", "--yes", is_flag=True, help="Do not ask before something becomes public for ever."
    ),
)  # fmt: skip


@contextmanager
def for_build(how: SigningOptions, *, asked: bool, offline: bool) -> "Iterator[Signing | None]":
    """Yield how a build signs; None: it was not asked to. What is asked is asked before it."""
    if not asked:
        if how.any:
            raise InputError("options of signing, and nothing is signed", at="--sign",
                             hint="add `--sign`")  # fmt: skip
        yield None
        return
    if offline and not (how.key and how.no_log):
        raise InputError(
            "`--sign` needs the network, which `--offline` rules out", at="--sign",
            hint="a key needs none with `--no-log`",
        )  # fmt: skip
    with prepared(how) as signing:
        yield signing


@contextmanager
def prepared(how: SigningOptions, *, legacy: bool = False) -> "Iterator[Signing]":
    """Yield how to sign; a key stays open meanwhile. Raises before anything is done.

    What is not needed is not looked for: a key without a log needs no network.
    """
    from modelpack.cli import environment  # noqa: PLC0415
    from modelpack.signing.proving import prover  # noqa: PLC0415  slow to import
    from modelpack.signing.signing import Signing  # noqa: PLC0415
    from modelpack.trust import signer as signers  # noqa: PLC0415
    from modelpack.trust.keys import opening  # noqa: PLC0415
    from modelpack.web.client import Client  # noqa: PLC0415

    how.check()
    if how.is_public:
        _expect_somebody(how, _PUBLIC)  # rather before anything is fetched
    services, trusted = configured(how)
    if not how.key:
        signers.check_keyless(services)
        if legacy and services.rekor_v1() is None:
            raise InputError("cosign 2 needs the time of Rekor v1, and there is only v2",
                             at="--legacy")  # fmt: skip
    _expect_somebody(how, services.public_hosts)
    client = Client(environment.variables())
    with ExitStack() as stack:
        if how.key:
            key = stack.enter_context(
                opening.opened(how.key, environment.secrets(how.password_file))
            )
            ready = signers.with_key(key, services, client)
        else:
            _expect_identity(how)

        def signer(what: str) -> "Signer":
            _ask(how, services.public_hosts, what)
            if how.key:
                return ready
            return signers.with_token(_token(how, services), services, client)

        yield Signing(
            signer=signer,
            prove=lambda one: prover(one, trusted, now=environment.now()),
        )


def configured(how: SigningOptions) -> "tuple[Services, TrustedRoot]":
    """Return where to sign and whom to trust: as files say, else the public Sigstore."""
    from modelpack.cli import environment  # noqa: PLC0415
    from modelpack.trust import trusted_root  # noqa: PLC0415
    from modelpack.trust.services import signing_config  # noqa: PLC0415

    if how.trust_config:
        signing = trust = _content(how.trust_config)
        names = (str(how.trust_config),) * 2
    elif how.signing_config and how.trusted_root:
        signing, trust = _content(how.signing_config), _content(how.trusted_root)
        names = (str(how.signing_config), str(how.trusted_root))
    elif how.no_log:
        return signing_config.Services(), trusted_root.TrustedRoot()
    else:
        signing = trust = _public_configuration(how)
        names = ("the public Sigstore",) * 2
    services = signing_config.parse(signing, now=environment.now(), at=names[0])
    if how.no_log:
        services = replace(services, logs=(), others=())
    elif how.key and not services.logs:
        raise InputError("the signing configuration names no transparency log", at=names[0],
                         hint="sign without one: --no-log")  # fmt: skip
    return services, trusted_root.parse(trust, at=names[1])


def _public_configuration(how: SigningOptions) -> bytes:
    from modelpack.trust import public_root  # noqa: PLC0415  slow to import

    try:
        return public_root.configuration(offline=False)
    except Unavailable as error:
        hint = "name a Sigstore of your own with `--trust-config FILE`" + (
            "; or sign without a log: --no-log" if how.key else ""
        )
        raise Unavailable(*(replace(one, hint=hint) for one in error.findings)) from error


def _content(path: Path) -> bytes:
    from modelpack.inputs.opening import open_regular  # noqa: PLC0415

    with open_regular(path) as stream:
        return stream.read(_LIMIT + 1)


def _expect_somebody(how: SigningOptions, hosts: Sequence[str]) -> None:
    """Raise InputError where nobody could answer what is asked before something is public."""
    if hosts and not how.yes and not sys.stdin.isatty():
        raise InputError(
            f"{_becomes_public(how, hosts)}; nobody is there to agree to that", at="sign",
            hint="add `--yes`; or " + (
                "`--no-log`, which puts nothing into a log" if how.key
                else "sign with a private Sigstore, `--trust-config FILE`, or a key"
            ),
        )  # fmt: skip


def _ask(how: SigningOptions, hosts: Sequence[str], what: str) -> None:
    """Say what becomes public, and go on only where that is agreed to."""
    if not hosts:
        return
    message = f"signing {what}: {_becomes_public(how, hosts)}"
    if how.yes:
        click.echo(message, err=True)
    elif not click.confirm(f"{message}. Go on?", err=True):
        raise click.Abort


def _becomes_public(how: SigningOptions, hosts: Sequence[str]) -> str:
    who = (
        "the public key" if how.key
        else "who signs (an e-mail address; in CI the repository, its workflow and the commit)"
    )  # fmt: skip
    return (
        f"{' and '.join(hosts)} show everybody, for ever, {who}, when, and the digest of all that "
        "is signed"
    )


def _expect_identity(how: SigningOptions) -> None:
    """Raise where it is clear already that nobody will have an identity."""
    from modelpack.trust.services import identity  # noqa: PLC0415  slow to import

    if how.identity_token_file:
        identity.of_file(how.identity_token_file)
    elif not sys.stdin.isatty() and identity.of_job() is None:
        raise InputError(
            "there is no identity: this is no CI job that has one, and nobody at a browser",
            at="sign",
            hint="name a token with `--identity-token-file FILE`, or a key with `--key FILE`",
        )


def _token(how: SigningOptions, services: "Services") -> str:
    from modelpack.trust.services import identity  # noqa: PLC0415  slow to import

    if how.identity_token_file:
        return identity.of_file(how.identity_token_file)
    if found := identity.of_job():
        return found
    if not services.issuer:
        raise InputError(
            "the signing configuration names no issuer of identities", at="oidcUrls",
            hint="name a token with `--identity-token-file FILE`",
        )  # fmt: skip
    return identity.by_browser(services.issuer)
