"""What a registry lists, page by page: the tags of a repository, and what vouches for an image.

Source: OCI distribution-spec 1.1, "Listing Tags", "Listing Referrers".
"""

import re
from urllib.parse import urljoin

from modelpack.digest import Digest
from modelpack.errors import Unavailable
from modelpack.oci.layer import INDEX, Descriptor
from modelpack.oci.manifest import MANIFEST_LIMIT, parse, parse_object
from modelpack.oci.registry import failures
from modelpack.oci.registry.session import Session
from modelpack.reference import TAG
from modelpack.web.client import Reply

PAGE = 1000
"tags that are asked for at once"
_PAGES = 100
"of one list"
_OK, _NOT_THERE = 200, 404
_TAG = re.compile(TAG)
_NEXT = re.compile(r"""<([^<>]+)>\s*;[^,]*\brel="?next\b""")
"a `Link` header (RFC 8288)"


class Lists:
    """The lists of one repository."""

    def __init__(self, session: Session, *, at: str) -> None:
        self._session, self._at = session, at

    def tags(self) -> tuple[str, ...]:
        """Return all tags; nothing where the repository does not exist.

        Raises Unavailable rather than leave one out: who removes what has no tag relies on it.
        """
        found: dict[str, None] = {}
        path = f"tags/list?n={PAGE}"
        for _ in range(_PAGES):
            names, path = self._session.call(self._tags, "GET", path)
            found.update(dict.fromkeys(names))
            if not path:
                return tuple(found)
        raise Unavailable(f"the list of tags has more than {_PAGES} pages", at=self._at)

    def _tags(self, reply: Reply) -> tuple[list[str], str]:
        if reply.status == _NOT_THERE:
            return [], ""
        if reply.status != _OK:
            raise failures.unexpected(reply)
        # Go programs write an empty list as `null`.
        names = parse_object(reply.read(MANIFEST_LIMIT), at=self._at).get("tags") or []
        if not isinstance(names, list) or not all(
            isinstance(name, str) and _TAG.fullmatch(name) for name in names
        ):
            raise Unavailable("the list of tags has something else in it", at=self._at)
        return names, _following(reply)

    def referrers(self, subject: Digest) -> tuple[Descriptor, ...] | None:
        """Return the list that the registry itself keeps; None where it keeps none."""
        found: list[Descriptor] = []
        path = f"referrers/{subject}"
        for _ in range(_PAGES):
            page = self._session.call(self._referrers, "GET", path, headers={"Accept": INDEX})
            if page is None:
                return None
            entries, path = page
            found += entries
            if not path:
                break
        return tuple(found)

    def _referrers(self, reply: Reply) -> tuple[tuple[Descriptor, ...], str] | None:
        """Return the entries of one page, and the URL of the next one or nothing."""
        kind = reply.headers.get("Content-Type", "").partition(";")[0].strip()
        if reply.status != _OK or kind != INDEX:
            return None
        data = reply.read(MANIFEST_LIMIT)
        listed = parse_object(data, at=self._at).get("manifests") is not None
        return parse(data, at=self._at).manifests if listed else (), _following(reply)


def _following(reply: Reply) -> str:
    """Return the URL of the next page, or nothing."""
    following = _NEXT.search(reply.headers.get("Link", ""))
    return urljoin(reply.url, following[1]) if following else ""
