"""What another implementation says of a bundle signed by certificate: sigstore-python.

It is asked with a trusted root that holds only what was to be relied on at the time, because it
takes authorities and logs whose time has passed. A yes of ours alone is no yes.
"""

import json
from collections.abc import Sequence
from typing import Any

from modelpack.canonical_json import rfc3339
from modelpack.trust.bundle import Bundle
from modelpack.trust.members import encoded
from modelpack.trust.proof import Unproved
from modelpack.trust.trusted_root import Authority, Log, Period, TrustedRoot


def ask(bundle: Bundle, trusted: TrustedRoot, *, identity: str, issuer: str) -> bytes:
    """Return the payload that sigstore-python verifies to be of this signer, or raise Unproved."""
    from pydantic import ValidationError  # noqa: PLC0415  heavy, and only for certificates
    from sigstore import errors, models  # noqa: PLC0415
    from sigstore.verify import Verifier, policy  # noqa: PLC0415
    from sigstore_models.trustroot.v1 import TrustedRoot as Inner  # noqa: PLC0415

    try:
        root = models.TrustedRoot(Inner.from_json(json.dumps(_root(trusted))))
        verifier = Verifier(trusted_root=root)
        who = policy.AllOf([policy.Identity(identity=identity), policy.OIDCIssuerV2(issuer)])
        return verifier.verify_dsse(models.Bundle.from_json(bundle.as_bytes()), who)[1]
    except (errors.Error, ValidationError, ValueError) as error:
        reason = str(error).partition("\n")[0][:200]
        raise Unproved(f"sigstore-python does not confirm it: {reason}") from error


def _root(trusted: TrustedRoot) -> dict[str, Any]:
    return {
        "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
        "tlogs": _logs(trusted.logs),
        "ctlogs": _logs(trusted.certificate_logs),
        "certificateAuthorities": _authorities(trusted.authorities),
        "timestampAuthorities": _authorities(trusted.timestamp_authorities),
    }


def _logs(logs: Sequence[Log]) -> list[dict[str, Any]]:
    return [
        {
            "baseUrl": log.url,
            "hashAlgorithm": "SHA2_256",
            "publicKey": {
                "rawBytes": encoded(log.key),
                "keyDetails": log.details,
                "validFor": _period(log.valid),
            },
            "logId": {"keyId": encoded(log.id)},
        }
        for log in logs
    ]


def _authorities(authorities: Sequence[Authority]) -> list[dict[str, Any]]:
    return [
        {
            "subject": {"organization": "", "commonName": ""},
            "uri": authority.uri,
            "certChain": {"certificates": [{"rawBytes": encoded(one)} for one in authority.chain]},
            "validFor": _period(authority.valid),
        }
        for authority in authorities
    ]


def _period(valid: Period) -> dict[str, str]:
    """Return a period in whole seconds; what is cut off was looked at before."""
    ends = {"end": rfc3339(int(valid.end) + 1)} if valid.end is not None else {}
    return {"start": rfc3339(int(valid.start)), **ends}
