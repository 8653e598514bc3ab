"""What a URL says about where it leads; nothing is asked of the network."""

import re
from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import unquote, urlsplit, urlunsplit

_PORTS = {"http": 80, "https": 443}


def is_web(url: str) -> bool:
    """Tell whether `url` is a plain http or https URL of a host, without blanks or controls."""
    try:
        parts = urlsplit(url)
        port_is_valid = parts.port is None or parts.port > 0
    except ValueError:
        return False
    plain = not re.search(r"[^\x21-\x7e]", url)
    return plain and parts.scheme in _PORTS and bool(parts.hostname) and port_is_valid


def host_of(url: str) -> str:
    """Return the host of `url`, with its port: what may stand in a message, never a password."""
    return urlsplit(url).netloc.rpartition("@")[2]


def origin(url: str) -> tuple[str, str, int]:
    """Return scheme, host and port of a web URL: who gets what is sent there."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or _PORTS[parts.scheme]


def apart(url: str) -> tuple[str, str]:
    """Return `url` without user, password and fragment, and `user:password` or nothing."""
    parts = urlsplit(url)
    user, _, host = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=host, fragment="")), unquote(user)


def is_loopback(host: str) -> bool:
    """Tell whether `host`, a name or an address without a port, is this machine itself."""
    address = address_of(host)
    return host == "localhost" or host.endswith(".localhost") or (
        address is not None and address.is_loopback
    )  # fmt: skip


def is_public(host: str) -> bool:
    """Tell whether `host` may be anybody's: false for this machine and for private addresses.

    A name that has to be looked up counts as public; who connects looks again.
    """
    address = address_of(host)
    return not is_loopback(host) if address is None else address.is_global


def address_of(host: str) -> IPv4Address | IPv6Address | None:
    """Return the IP address that `host` is written as, the inner one where it wraps another."""
    try:
        address = ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        return None
    return (isinstance(address, IPv6Address) and address.ipv4_mapped) or address
