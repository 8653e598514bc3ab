"""Downloads of one file whose digest is known, into the cache.

Imports the network stack; import this module where it is needed, not at the top of another.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from modelpack.errors import Refused
from modelpack.inputs.downloads import Downloads
from modelpack.progress import Advance
from modelpack.web.client import Client
from modelpack.web.urls import host_of


def download(
    client: Client,
    url: str,
    *,
    sha256: str,
    size: int,
    downloads: Downloads,
    at: str = "",
    advance: Advance = lambda _: None,
) -> Path:
    """Return the file in `downloads` that `url` brought.

    Raises what `Client.get` does, and Refused when it brings something else.
    """

    def consume(chunks: Iterator[bytes]) -> Path:
        done = 0

        def write(file: BinaryIO) -> None:
            nonlocal done
            for chunk in chunks:
                file.write(chunk)
                done += len(chunk)
                advance(len(chunk))

        try:
            return downloads.add(sha256, size, write)
        except BaseException:
            advance(-done)  # another try starts anew
            raise

    try:
        return client.get(url, consume, limit=size, at=at)
    except Refused as error:
        raise Refused(
            *(f"from `{host_of(url)}`: {finding.message}" for finding in error.findings), at=at
        ) from error
