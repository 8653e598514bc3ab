"""Which services sign: pure. Source: sigstore/protobuf-specs 0.5, `SigningConfig` v0.2.

Members that are not known are let pass: the public configuration gets new ones.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from modelpack.errors import InputError
from modelpack.oci.manifest import parse_object, printable
from modelpack.trust.members import Members
from modelpack.web.urls import host_of, is_web

MEDIA_TYPE: Final = "application/vnd.dev.sigstore.signingconfig.v0.2+json"
TRUST_CONFIGURATION: Final = "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json"
SIZE_LIMIT: Final = 4 << 20
"bytes of a file"
_AUTHORITIES, _ISSUERS, _LOGS, _CLOCKS = (1,), (1,), (1, 2), (1,)
"versions of each service's API that are spoken here"
_MANY: Final = 100
_TEXT: Final = 2048


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One service that is in use now."""

    url: str
    version: int
    operator: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Who is asked for what."""

    authority: str = ""
    "URL of Fulcio; empty: there is none"
    issuer: str = ""
    "URL of an OpenID Connect issuer, for a browser"
    logs: tuple[Service, ...] = ()
    "of which each signature needs an entry"
    others: tuple[Service, ...] = ()
    "logs that are not chosen, such as Rekor v1 beside v2"
    clocks: tuple[str, ...] = ()
    "URLs of timestamp authorities, each of which each signature gets the time of"

    @property
    def public_hosts(self) -> tuple[str, ...]:
        """Hosts that show everybody what they get."""
        urls = [self.authority, *(one.url for one in self.logs)]
        hosts = dict.fromkeys(host_of(url) for url in urls if url)
        return tuple(host for host in hosts if f".{host}".endswith(".sigstore.dev"))

    def rekor_v1(self) -> Service | None:
        """Return a log of Rekor v1, which alone says a time of its own."""
        found = [one for one in (*self.logs, *self.others) if one.version == 1]
        return found[0] if found else None


def parse(data: bytes, *, now: float, at: str) -> Services:
    """Return the services in a signing configuration, or in the trust configuration that has one.

    Raises InputError with what is not as specified.
    """
    value = parse_object(data, at=at, limit=SIZE_LIMIT)
    if value.get("mediaType") == TRUST_CONFIGURATION:
        value, at = value.get("signingConfig"), f"{at}.signingConfig"  # type: ignore[assignment]
    members = Members(value, at=at)
    kind = members.text("mediaType", limit=_TEXT)
    if kind != MEDIA_TYPE:
        raise InputError(
            f"not a signing configuration of version 0.2: `{printable(kind)}`",
            at=members.where("mediaType"),
        )
    logs, others = _chosen(_valid(members, "rekorTlogUrls", _LOGS, now), members, "rekorTlogConfig")
    clocks, _ = _chosen(_valid(members, "tsaUrls", _CLOCKS, now), members, "tsaConfig")
    authorities = _valid(members, "caUrls", _AUTHORITIES, now)
    issuers = _valid(members, "oidcUrls", _ISSUERS, now)
    return Services(
        authority=authorities[0].url if authorities else "",
        issuer=issuers[0].url if issuers else "",
        logs=logs,
        others=others,
        clocks=tuple(one.url for one in clocks),
    )


def _valid(
    members: Members, key: str, versions: Iterable[int], now: float
) -> list[Service]:  # fmt: skip
    """Return the services that are in use `now`, and whose API is spoken here."""
    found = []
    for one in members.children(key, limit=_MANY):
        url = one.text("url", limit=_TEXT)
        if not is_web(url):
            raise InputError("not a http or https URL", at=one.where("url"))
        service = Service(
            url=url.rstrip("/"),
            version=one.number("majorApiVersion"),
            operator=one.text("operator", limit=_TEXT, default=""),
        )
        if service.version in versions and _covers(one, now):
            found.append(service)
    return found


def _covers(members: Members, now: float) -> bool:
    period = members.child("validFor")
    end = period.moment("end") if period.has("end") else None
    return period.moment("start") <= now and (end is None or now <= end)


def _chosen(
    services: list[Service], members: Members, key: str
) -> tuple[tuple[Service, ...], tuple[Service, ...]]:
    """Return as many services as the configuration asks for, the newest API of each operator."""
    newest: dict[str, Service] = {}
    for one in services:
        if one.operator not in newest or one.version > newest[one.operator].version:
            newest[one.operator] = one
    chosen = _selected(tuple(newest.values()), members, key) if newest else ()
    return chosen, tuple(one for one in services if one not in chosen)


def _selected(found: tuple[Service, ...], members: Members, key: str) -> tuple[Service, ...]:
    if not members.has(key):
        return found[:1]
    how = members.child(key)
    selector: Any = how.text("selector", limit=64, default="ANY")
    match selector:
        case "ALL":
            return found
        case "ANY":
            return found[:1]
        case "EXACT":
            count = how.number("count")
            if len(found) >= count > 0:
                return found[:count]
            raise InputError(f"there are not {count} services to choose from", at=how.at)
        case _:
            raise InputError(
                f"not a way to choose: `{printable(selector)}`", at=how.where("selector")
            )
