"""What a timestamp authority says about when a signature existed (RFC 3161)."""

from collections.abc import Sequence
from datetime import datetime

import rfc3161_client
from cryptography import x509
from rfc3161_client import TimeStampResponse, VerifierBuilder

from modelpack.trust import certificates
from modelpack.trust.proof import Unproved
from modelpack.trust.trusted_root import Authority


def proved(stamp: bytes, signature: bytes, authorities: Sequence[Authority]) -> float:
    """Return when `signature` existed, by the word of one of `authorities`, or raise Unproved."""
    try:
        response = rfc3161_client.decode_timestamp_response(stamp)
        time = response.tst_info.gen_time
    except ValueError as error:
        raise Unproved("a timestamp that cannot be read") from error
    signed = [one for one in authorities if _vouches(one, response, time, signature)]
    if not signed:
        raise Unproved("a timestamp of nobody whom the trusted root knows")
    if not any(one.valid.covers(time.timestamp()) for one in signed):
        raise Unproved("a timestamp of an authority that was not to be relied on at that time")
    return time.timestamp()


def _vouches(
    authority: Authority, response: TimeStampResponse, time: datetime, signature: bytes
) -> bool:
    """Tell whether the clock of `authority` has put its time on `signature`."""
    try:
        chain = [x509.load_der_x509_certificate(der) for der in authority.chain]
        builder = VerifierBuilder().tsa_certificate(chain[0]).add_root_certificate(chain[-1])
        for certificate in chain[1:-1]:
            builder = builder.add_intermediate_certificate(certificate)
        in_time = all(one.not_valid_before_utc <= time <= one.not_valid_after_utc for one in chain)
        with certificates.strictly():
            return in_time and builder.build().verify_message(response, signature)
    except (rfc3161_client.VerificationError, *certificates.UNREADABLE):
        return False
