"""Members of JSON objects that others wrote, each taken with its type, none overlooked.

The mapping is that of protobuf: 64-bit numbers are texts, bytes are base64, null is nothing.
Source: ProtoJSON format, https://protobuf.dev/programming-guides/json/
"""

import base64
import binascii
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from modelpack.errors import InputError
from modelpack.oci.manifest import printable

_LARGEST: Final = (1 << 63) - 1
_DIGITS: Final = 19
_TIME_LIMIT: Final = 64


class Members:
    """The members of one object; `at` says where it stands."""

    def __init__(self, value: object, *, at: str) -> None:
        """Take `value`, or raise InputError when it is no object."""
        if not isinstance(value, dict):
            raise InputError("not an object", at=at)
        self.at = at
        self._left: dict[str, Any] = {key: item for key, item in value.items() if item is not None}

    def where(self, key: str) -> str:
        """Return where the member `key` stands."""
        return f"{self.at}.{key}"

    def has(self, key: str) -> bool:
        """Tell whether there is a member `key` that was not taken yet."""
        return key in self._left

    def text(self, key: str, *, limit: int, default: str | None = None) -> str:
        """Take a text of up to `limit` characters."""
        value = self._left.pop(key, default)
        if not isinstance(value, str) or len(value) > limit:
            raise InputError(f"not a text of up to {limit} characters", at=self.where(key))
        return value

    def data(self, key: str, *, limit: int, default: bytes | None = None) -> bytes:
        """Take up to `limit` bytes that are written in base64."""
        if default is not None and key not in self._left:
            return default
        return decoded(self._left.pop(key, None), limit=limit, at=self.where(key))

    def number(self, key: str, *, default: int | None = None) -> int:
        """Take a whole number from 0 on, of 63 bits."""
        value = self._left.pop(key, default)
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= _DIGITS:
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _LARGEST:
            raise InputError("not a number from 0 on", at=self.where(key))
        return value

    def moment(self, key: str) -> float:
        """Take a time with its zone (RFC 3339); return seconds since 1970."""
        text = self.text(key, limit=_TIME_LIMIT)
        try:
            found = datetime.fromisoformat(text)
        except ValueError as error:
            raise InputError(f"not a time: `{printable(text)}`", at=self.where(key)) from error
        if found.tzinfo is None:
            raise InputError(f"a time without a zone: `{printable(text)}`", at=self.where(key))
        return found.timestamp()

    def child(self, key: str) -> "Members":
        """Take an object."""
        return Members(self._left.pop(key, None), at=self.where(key))

    def items(self, key: str, *, limit: int) -> Iterator[tuple[object, str]]:
        """Take a list of up to `limit` values, none when it is absent; yield where each stands."""
        value = self._left.pop(key, [])
        if not isinstance(value, list) or len(value) > limit:
            raise InputError(f"not a list of up to {limit}", at=self.where(key))
        for index, item in enumerate(value):
            yield item, f"{self.where(key)}[{index}]"

    def children(self, key: str, *, limit: int) -> Iterator["Members"]:
        """Take a list of objects."""
        for item, at in self.items(key, limit=limit):
            yield Members(item, at=at)

    def only(self, *keys: str) -> str:
        """Return the one of `keys` that is there; several or none raise InputError."""
        found = [key for key in keys if key in self._left]
        if len(found) != 1:
            names = ", ".join(f"`{key}`" for key in keys)
            raise InputError(f"not exactly one of {names}", at=self.at)
        return found[0]

    def done(self) -> None:
        """Raise InputError when there is a member that nobody took."""
        for key in self._left:
            raise InputError(f"unknown member `{printable(key)}`", at=self.at)


def decoded(value: object, *, limit: int, at: str) -> bytes:
    """Return the bytes that `value` is the base64 of; each has one spelling only."""
    if not isinstance(value, str) or len(value) > (limit + 2) // 3 * 4:
        raise InputError(f"not base64 of up to {limit} bytes", at=at)
    try:
        data = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InputError("not base64", at=at) from error
    if encoded(data) != value:
        raise InputError("not base64 as it is to be written", at=at)
    return data


def encoded(data: bytes) -> str:
    """Return `data` in base64."""
    return base64.b64encode(data).decode()


def without_empty(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return `value` without members that say nothing, which protobuf leaves out as well."""
    return {key: item for key, item in value.items() if item not in (None, "", [], {})}
