"""NaCl's secretbox, opened: XSalsa20 and Poly1305, for the few hundred bytes of a key.

Sources: D. J. Bernstein, "Cryptography in NaCl" (2009), sections 7 to 10; "The Salsa20 family of
stream ciphers" (2007). Poly1305 is that of `cryptography`; nothing is decrypted before it agrees.
"""

import struct
from typing import Final

KEY: Final = 32
NONCE: Final = 24
TAG: Final = 16
_CONSTANT: Final = b"expand 32-byte k"
_BLOCK: Final = 64
_WORD: Final = 0xFFFFFFFF
_COLUMNS: Final = ((0, 4, 8, 12), (5, 9, 13, 1), (10, 14, 2, 6), (15, 3, 7, 11))
_ROWS: Final = ((0, 1, 2, 3), (5, 6, 7, 4), (10, 11, 8, 9), (15, 12, 13, 14))
_DOUBLE_ROUNDS: Final = 10


def open_box(box: bytes, nonce: bytes, key: bytes) -> bytes | None:
    """Return what is in `box`; None: it was not closed with this key, or changed since."""
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415  slow to import
    from cryptography.hazmat.primitives.poly1305 import Poly1305  # noqa: PLC0415

    if len(key) != KEY or len(nonce) != NONCE or len(box) < TAG:
        return None
    stream = _stream(key, nonce, KEY + len(box) - TAG)
    try:
        Poly1305.verify_tag(stream[:KEY], box[TAG:], box[:TAG])
    except InvalidSignature:
        return None
    return bytes(a ^ b for a, b in zip(box[TAG:], stream[KEY:], strict=True))


def _stream(key: bytes, nonce: bytes, length: int) -> bytes:
    """Return the key stream of XSalsa20."""
    inner = _hsalsa20(key, nonce[:16])
    blocks = (
        _salsa20(inner, nonce[16:] + struct.pack("<Q", counter))
        for counter in range(-(-length // _BLOCK))
    )
    return b"".join(blocks)[:length]


def _hsalsa20(key: bytes, nonce: bytes) -> bytes:
    mixed = _rounds(_state(key, nonce))
    return struct.pack("<8I", *(mixed[place] for place in (0, 5, 10, 15, 6, 7, 8, 9)))


def _salsa20(key: bytes, nonce: bytes) -> bytes:
    state = _state(key, nonce)
    mixed = _rounds(state)
    return struct.pack("<16I", *((a + b) & _WORD for a, b in zip(state, mixed, strict=True)))


def _state(key: bytes, nonce: bytes) -> tuple[int, ...]:
    c = _CONSTANT
    return struct.unpack(
        "<16I", c[:4] + key[:16] + c[4:8] + nonce + c[8:12] + key[16:] + c[12:]
    )  # fmt: skip


def _rounds(state: tuple[int, ...]) -> list[int]:
    words = list(state)
    for _ in range(_DOUBLE_ROUNDS):
        for quarter in (*_COLUMNS, *_ROWS):
            _mix(words, *quarter)
    return words


def _mix(words: list[int], a: int, b: int, c: int, d: int) -> None:
    """Do one quarter-round."""
    for target, one, other, by in ((b, a, d, 7), (c, b, a, 9), (d, c, b, 13), (a, d, c, 18)):
        total = (words[one] + words[other]) & _WORD
        words[target] ^= (total << by | total >> (32 - by)) & _WORD
