"""Read pickle opcodes and their arguments one after the other, in bounded pieces."""

import re
from dataclasses import dataclass

from modelpack.checks.formats.window import Window

TEXT_LIMIT = 512
"bytes of an argument that are kept, enough for any name"
_CHUNK = 4096
_LINE_LIMIT = 1 << 16

_FIXED = dict(
    zip(b"KMJGhjqr\x80\x82\x83\x84\x95", (1, 2, 4, 8, 1, 4, 1, 4, 1, 1, 2, 4, 8), strict=True)
)
"opcodes with an argument of so many bytes"
_COUNTED = dict(
    zip(b"TUXBC\x8a\x8b\x8c\x8d\x8e\x96", (4, 1, 4, 4, 1, 1, 4, 1, 8, 8, 8), strict=True)
)
"opcodes with an argument after its length of so many bytes"
_LINES = {**dict.fromkeys(b"FILSVgpP", 1), **dict.fromkeys(b"ci", 2)}
"opcodes with so many lines of argument"
_SIGNED = b"T\x8b"
_BARE = frozenset(b"N\x88\x89])}\x8f(.012ltdeuas\x90\x91\x85\x86\x87Q\x93Rbo\x81\x92\x94\x97\x98")
_INTEGER = re.compile(rb"\s*[+-]?[0-9a-fxob_]+l?\s*(\0.*)?", re.IGNORECASE | re.DOTALL)
_INDEX = re.compile(rb"\s*[+-]?[0-9_]{1,24}\s*(\0.*)?", re.DOTALL)
_FORMS = {
    b"I"[0]: _INTEGER,
    b"L"[0]: _INTEGER,
    b"F"[0]: re.compile(rb"\s*[0-9._einfaty+-]+\s*(\0.*)?", re.IGNORECASE | re.DOTALL),
    b"S"[0]: re.compile(rb"\s*(['\"]).*\1\s*", re.DOTALL),
    b"g"[0]: _INDEX,
    b"p"[0]: _INDEX,
    # A header length of 80 makes safetensors begin with a `P`: numbers are seldom ASCII.
    b"P"[0]: re.compile(rb"[\0-\x7f]*"),
}
"what a line must look like for the unpickler to take it"


class Stopped(Exception):  # noqa: N818  an outcome
    """The unpickler would raise here."""


class Cut(Exception):  # noqa: N818  an outcome
    """The bytes that can be seen end here, the stream may not."""


@dataclass(slots=True, kw_only=True)
class OpcodeReader:
    """A position in a window; mutable, lives for one walk."""

    window: Window
    position: int
    _chunk: bytes = b""
    _chunk_at: int = 0

    def opcode(self) -> tuple[int, bytes]:
        """Return the next opcode and its argument, the lines of it joined by a line feed.

        Arguments over 512 bytes are passed over and returned empty. Raises Stopped where the
        unpickler would fail and Cut where the window ends early.
        """
        code = self._take(1)[0]
        if code in _FIXED:
            return code, self._take(_FIXED[code])
        if code in _COUNTED:
            size = int.from_bytes(self._take(_COUNTED[code]), "little", signed=code in _SIGNED)
            if size < 0:
                raise Stopped
            return code, self._skip(size)
        if code in _LINES:
            argument = b"\n".join(self._line() for _ in range(_LINES[code]))
            form = _FORMS.get(code)
            if form is not None and not form.fullmatch(argument):
                raise Stopped
            return code, argument
        if code not in _BARE:
            raise Stopped
        return code, b""

    def _take(self, count: int) -> bytes:
        """Return the next `count` bytes; reads ahead in small chunks."""
        begin = self.position - self._chunk_at
        if not 0 <= begin <= len(self._chunk) - count:
            self._chunk_at, begin = self.position, 0
            self._chunk = self.window.read(self.position, max(count, _CHUNK))
            if len(self._chunk) < count:
                self._ended()
        self.position += count
        return self._chunk[begin : begin + count]

    def _skip(self, count: int) -> bytes:
        if count > self.window.size - self.position:
            self._ended()
        if count <= TEXT_LIMIT:
            return self._take(count)
        self.position += count
        return b""

    def _line(self) -> bytes:
        for limit in (256, _LINE_LIMIT):
            line = self.window.read(self.position, limit)
            end = line.find(b"\n")
            if end >= 0:
                break
        else:
            if self.window.cut or len(line) == _LINE_LIMIT:
                raise Cut
            if not line:
                raise Stopped
            end = len(line) - 1  # the C unpickler drops the last byte, whatever it is
        self.position += end + 1
        return line[:end]

    def _ended(self) -> None:
        raise Cut if self.window.cut else Stopped
