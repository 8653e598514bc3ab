"""What the first bytes of a file say that it is: a table, and the few tests that need more."""

from typing import NamedTuple

from modelpack.checks.formats.window import Window

HEAD = 1 << 16
"bytes from the start that every test may look at"


class Signature(NamedTuple):
    """Magic bytes and what they mean."""

    name: str
    magic: bytes
    offset: int = 0


_TABLE = (
    Signature("gguf", b"GGUF"),
    Signature("ggml", b"tjgg"),
    Signature("tflite", b"TFL3", 4),
    Signature("xgboost", b"{L\0\0\0\0\0\0\0\x07learner"),
    Signature("numpy", b"\x93NUMPY"),
    Signature("parquet", b"PAR1"),
    Signature("arrow", b"ARROW1"),
    Signature("png", b"\x89PNG\r\n\x1a\n"),
    Signature("jpeg", b"\xff\xd8\xff"),
    Signature("gif", b"GIF8"),
    Signature("riff", b"RIFF"),
    Signature("flac", b"fLaC"),
    Signature("ogg", b"OggS"),
    Signature("pdf", b"%PDF-"),
    Signature("zip", b"PK\x03\x04"),
    Signature("zip", b"PK\x05\x06"),
    Signature("zip", b"PK\x07\x08"),
    Signature("gzip", b"\x1f\x8b\x08"),
    Signature("bzip2", b"BZh"),
    Signature("xz", b"\xfd7zXZ\x00"),
    Signature("lzma", b"\x5d\x00\x00"),
    Signature("zstd", b"\x28\xb5\x2f\xfd"),
    Signature("lz4", b"\x04\x22\x4d\x18"),
    Signature("7z", b"7z\xbc\xaf\x27\x1c"),
    Signature("rar", b"Rar!\x1a\x07"),
    Signature("compress", b"\x1f\x9d"),
    Signature("joblib", b"ZF0x"),
    Signature("script", b"#!"),
    Signature("script", b"\xef\xbb\xbf#!"),
    Signature("elf", b"\x7fELF"),
    Signature("mach-o", b"\xfe\xed\xfa\xce"),
    Signature("mach-o", b"\xfe\xed\xfa\xcf"),
    Signature("mach-o", b"\xce\xfa\xed\xfe"),
    Signature("mach-o", b"\xcf\xfa\xed\xfe"),
    Signature("mach-o or java class", b"\xca\xfe\xba\xbe"),
    Signature("wasm", b"\x00asm"),
    Signature("dex", b"dex\n"),
    Signature("llvm bitcode", b"BC\xc0\xde"),
    Signature("cuda fatbin", b"\x50\xed\x55\xba"),
    Signature("tensorrt engine", b"ftrt"),
    Signature("tensorrt engine", b"ptrt"),
    Signature("static library", b"!<arch>\n"),
)

COMPRESSED = frozenset({"gzip", "bzip2", "xz", "lzma", "zlib"})
"what the standard library can look into"
WEAK = frozenset({"bzip2", "lzma", "zlib"})
"whose magic bytes are so few that ordinary text may begin with them"
OPAQUE = frozenset({"zstd", "lz4", "7z", "rar", "compress"})
"archives and streams that cannot be looked into here"
EXECUTABLE = frozenset(
    {"elf", "mach-o", "mach-o or java class", "pe", "wasm", "dex", "llvm bitcode"}
    | {"cuda fatbin", "tensorrt engine", "static library", "python bytecode"}
)

_SAFETENSORS_LIMIT = 100_000_000
_PE_POINTER = 0x3C
_HDF5 = b"\x89HDF\r\n\x1a\n"
_HDF5_FIRST_STEP = 512


def identify(head: bytes, window: Window) -> str:
    """Return the name of the format that `head` begins, or nothing.

    safetensors comes first: its length word may spell another format's magic bytes.
    """
    tests = (
        (_is_safetensors(head, window.size), "safetensors"),
        *((head.startswith(entry.magic, entry.offset), entry.name) for entry in _TABLE),
        (is_hdf5(window), "hdf5"),
        (_is_pe(head, window), "pe"),
        (_is_bytecode(head), "python bytecode"),
        (_is_zlib(head), "zlib"),
    )
    return next((name for holds, name in tests if holds), "")


def is_hdf5(window: Window) -> bool:
    """Tell whether an HDF5 superblock stands at 0, 512, 1024, 2048… (HDF5 format, II.A)."""
    offset = 0
    while offset + len(_HDF5) <= window.size:
        if window.read(offset, len(_HDF5)) == _HDF5:
            return True
        offset = offset * 2 or _HDF5_FIRST_STEP
    return False


def is_tar(head: bytes) -> bool:
    """Tell whether the first 512 bytes are a tar header: the sum of its bytes is in it."""
    block = head[:512]
    if len(block) < 512 or not block[0]:  # noqa: PLR2004  one tar block
        return False
    try:
        said = int(block[148:156].strip(b" \0") or b"x", 8)
    except ValueError:
        return False
    rest = block[:148] + b" " * 8 + block[156:]
    signed = sum(byte - 256 if byte > 127 else byte for byte in rest)  # noqa: PLR2004
    return said in (sum(rest), signed)


def is_text(head: bytes, *, whole: bool) -> bool:
    """Tell whether `head` is UTF-8 (or marked UTF-16) text without NUL."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        encoding = "utf-16"
    elif b"\0" in head:
        return False
    else:
        encoding = "utf-8"
    for dropped in range(1 if whole else 5):
        try:
            head[: len(head) - dropped].decode(encoding)
        except UnicodeDecodeError:
            continue
        return True
    return False


def _is_safetensors(head: bytes, size: int) -> bool:
    length = int.from_bytes(head[:8], "little")
    return head[8:9] == b"{" and 2 <= length <= min(_SAFETENSORS_LIMIT, size - 8)  # noqa: PLR2004


def _is_pe(head: bytes, window: Window) -> bool:
    if head[:2] not in (b"MZ", b"ZM"):
        return False
    offset = int.from_bytes(head[_PE_POINTER : _PE_POINTER + 4], "little")
    return window.read(offset, 4) == b"PE\0\0" or window.read(offset, 2) in (b"NE", b"LE", b"LX")


def _is_bytecode(head: bytes) -> bool:
    """A `.pyc` file: magic ending in CR LF, small flags, a marshalled code object (PEP 552)."""
    flags = int.from_bytes(head[4:8], "little")
    return head[2:4] == b"\r\n" and flags <= 3 and head[16:17] in (b"\xe3", b"c")  # noqa: PLR2004


def _is_zlib(head: bytes) -> bool:
    """RFC 1950: method 8, window at most 32 KiB, no dictionary, header divisible by 31."""
    if len(head) < 8:  # noqa: PLR2004  shorter than any stream
        return False
    method, flags = head[0], head[1]
    return method == 0x78 and not flags & 0x20 and (method * 256 + flags) % 31 == 0  # noqa: PLR2004
