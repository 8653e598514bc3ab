"""When a signature was there, said by an authority for time. Source: RFC 3161, 2.4 and 3.4."""

from typing import Final

from modelpack.errors import Unavailable
from modelpack.trust.services.calls import post
from modelpack.web.client import Client
from modelpack.web.urls import host_of

_LIMIT: Final = 64 << 10


def stamp(url: str, signature: bytes, client: Client) -> bytes:
    """Return the authority's answer for SHA-256 of `signature`, DER; it is verified later."""
    from rfc3161_client import (  # noqa: PLC0415
        HashAlgorithm,
        TimestampRequestBuilder,
        decode_timestamp_response,
    )

    builder = TimestampRequestBuilder().hash_algorithm(HashAlgorithm.SHA256)
    request = builder.data(signature).nonce(nonce=True).build()
    answer = post(
        client, url, request.as_bytes(), what="time from the timestamp authority", limit=_LIMIT,
        headers={"Content-Type": "application/timestamp-query"},
    )  # fmt: skip
    try:
        response = decode_timestamp_response(answer)
        told = response.tst_info.nonce
    except ValueError as error:
        raise Unavailable("the answer is no timestamp", at=host_of(url)) from error
    if told != request.nonce:
        raise Unavailable("the timestamp is for another request", at=host_of(url))
    return answer
