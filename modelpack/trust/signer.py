"""From a statement to its bundle: signed with a key or a certificate, logged, and timestamped."""

from dataclasses import dataclass, replace

from modelpack.errors import InputError
from modelpack.trust import identity as identities
from modelpack.trust import predicate_types
from modelpack.trust.bundle import Bundle, Certificate, Material, PublicKey
from modelpack.trust.dsse import Envelope, Signature, pae
from modelpack.trust.identity import Identity
from modelpack.trust.keys.key import Key, hint_of, model_hint_of
from modelpack.trust.log_entry import LogEntry
from modelpack.trust.services import clock, fulcio, rekor
from modelpack.trust.services.rekor import Verifier
from modelpack.trust.services.signing_config import Services
from modelpack.trust.statement import Statement
from modelpack.web.client import Client


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """Somebody who can sign now, and the services that witness it."""

    key: Key
    material: Material
    identity: Identity
    issuers: tuple[bytes, ...] = ()
    "of the certificate, DER; none for a key"
    services: Services
    client: Client

    def sign(self, statement: Statement) -> Bundle:
        """Return `statement` signed; nobody but the signer's key has to do with it."""
        payload = statement.as_bytes()
        signature = Signature(data=self.key.sign(pae(payload)))
        material = self.material
        if isinstance(material, PublicKey) and statement.predicate_type == predicate_types.OMS:
            # The reference implementation takes no other name.
            material = PublicKey(hint=model_hint_of(self.key.spki))
        return Bundle(material=material, content=Envelope(payload=payload, signatures=(signature,)))

    def witness(self, bundle: Bundle) -> Bundle:
        """Return `bundle` with what logs and authorities for time say of it."""
        return replace(
            bundle,
            entries=tuple(
                rekor.log_envelope(log, bundle.envelope, self._verifier, self.client)
                for log in self.services.logs
            ),
            timestamps=tuple(
                clock.stamp(url, bundle.signature, self.client) for url in self.services.clocks
            ),
        )

    def sign_bytes(self, message: bytes) -> tuple[bytes, LogEntry | None]:
        """Return the signature of `message`, and its entry in Rekor v1 if there is that log."""
        signature = self.key.sign(message)
        log = self.services.rekor_v1()
        if log is None:
            return signature, None
        return signature, rekor.log_signature(log, message, signature, self._verifier, self.client)

    @property
    def _verifier(self) -> Verifier:
        if isinstance(self.material, Certificate):
            return Verifier(certificate=self.material.der)
        return Verifier(spki=self.key.spki)


def with_key(key: Key, services: Services, client: Client) -> Signer:
    """Return who signs with `key`; without services nothing is logged or timestamped."""
    return Signer(
        key=key, material=PublicKey(hint=hint_of(key.spki)), identity=identities.of_key(key.spki),
        services=services, client=client,
    )  # fmt: skip


def with_token(token: str, services: Services, client: Client) -> Signer:
    """Return who signs with a new key that Fulcio certifies for the holder of `token`."""
    check_keyless(services)
    certified = fulcio.certify(services.authority, token, client)
    return Signer(
        key=certified.key, material=Certificate(der=certified.certificate),
        identity=identities.of_certificate(certified.certificate), issuers=certified.issuers,
        services=services, client=client,
    )  # fmt: skip


def check_keyless(services: Services) -> None:
    """Raise InputError unless a signature without a lasting key can be proved later."""
    if not services.authority:
        raise InputError("the signing configuration names no Fulcio", at="caUrls")
    if not services.logs:
        raise InputError("the signing configuration names no transparency log", at="rekorTlogUrls")
    if not services.clocks and all(log.version > 1 for log in services.logs):
        raise InputError(
            "Rekor v2 says no time, and there is no timestamp authority", at="tsaUrls",
            hint="name one: without a time nobody can tell that the certificate was valid",
        )  # fmt: skip
