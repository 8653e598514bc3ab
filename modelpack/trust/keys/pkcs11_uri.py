"""URIs of keys on tokens: pure. Source: RFC 7512, 2.3 and 2.4."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_to_bytes

from modelpack.errors import InputError

SCHEME: Final = "pkcs11:"
_PATH: Final = frozenset({"token", "serial", "manufacturer", "model", "object", "id", "type"})
"attributes by which a key is chosen, or that are let pass"
_QUERY: Final = frozenset({"pin-source", "module-path"})
_LENGTH: Final = 4096
_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pkcs11Uri:
    """A key on a token, and how the token is reached."""

    token: str = ""
    serial: str = ""
    object: str = ""
    id: bytes = b""
    pin_source: str = ""
    "path of a file that holds the PIN"
    module_path: str = ""

    def __str__(self) -> str:
        """Return what names the key: nothing of how it is opened."""
        parts = [("token", self.token), ("serial", self.serial), ("object", self.object)]
        named = [f"{key}={text}" for key, text in parts if text]
        named += ["id=" + "".join(f"%{byte:02x}" for byte in self.id)] if self.id else []
        return SCHEME + ";".join(named)


def parse(text: str) -> Pkcs11Uri:
    """Return the key that the URI `text` names; raises InputError, never with a PIN in it."""
    if len(text) > _LENGTH or not text.startswith(SCHEME):
        raise InputError("not a `pkcs11:` URI", at="--key")
    path, _, query = text.removeprefix(SCHEME).partition("?")
    named = _attributes(path, ";", _PATH)
    if "pin-value" in query:
        raise InputError(
            "a PIN on a command line is seen by everybody on this machine", at="--key",
            hint="use `pin-source=file:/path`, or set MODELPACK_PIN",
        )  # fmt: skip
    asked = _attributes(query, "&", _QUERY)
    if named.get("type", b"private") not in (b"private", b""):
        raise InputError("`type` is not `private`", at="--key")
    if not (named.get("object") or named.get("id")):
        raise InputError(
            "the URI names no key on the token", at="--key",
            hint="pkcs11:token=NAME;object=LABEL?module-path=/path/of/library.so",
        )  # fmt: skip
    return Pkcs11Uri(
        token=_text(named, "token"), serial=_text(named, "serial"), object=_text(named, "object"),
        id=named.get("id", b""), pin_source=_text(asked, "pin-source").removeprefix("file:"),
        module_path=_text(asked, "module-path"),
    )  # fmt: skip


def _attributes(text: str, separator: str, known: frozenset[str]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for part in filter(None, text.split(separator)):
        name, equals, value = part.partition("=")
        if name not in known or not equals:
            shown = name if re.fullmatch(r"[a-z0-9-]{1,40}", name) else "?"
            raise InputError(
                f"attribute `{shown}` of a `pkcs11:` URI is not known here", at="--key",
                hint=f"known are {', '.join(sorted(known))}",
            )  # fmt: skip
        if name in found or _PERCENT.search(value):
            raise InputError(f"attribute `{name}` stands twice or is badly written", at="--key")
        found[name] = unquote_to_bytes(value)
    return found


def _text(found: Mapping[str, bytes], name: str) -> str:
    try:
        return found.get(name, b"").decode()
    except UnicodeDecodeError as error:
        raise InputError(f"`{name}` is not UTF-8", at="--key") from error
