"""The picture of a page in the README: `make picture` takes it anew, with Chromium.

It names what it was taken of, so that a test can tell when it no longer shows how pages look.
"""

import re
import shutil
import struct
import subprocess
import sys
import tempfile
import zlib
from hashlib import sha256
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "tests" / "golden" / "pages" / "refused" / "page.html"
PICTURE = ROOT / "docs" / "report.png"
_SIZE = "1200,640"
_NAME = b"Taken of\0"
_START = b"\x89PNG\r\n\x1a\n"


def looks(page: str) -> str:
    """Return a digest of how the first screen of `page` looks, whichever image it is about."""
    first = page[: page.index("</header>")]
    style = first[first.index("<style>") : first.index("</style>")]
    words = first[first.index("<header>") :]
    return sha256(re.sub(r"[0-9a-f]{64}", "", style + words).encode()).hexdigest()


def taken_of(picture: bytes) -> str:
    """Return the digest that `picture` names; nothing where it names none."""
    position = len(_START)
    while position + 8 <= len(picture):
        (length,) = struct.unpack(">I", picture[position : position + 4])
        kind = picture[position + 4 : position + 8]
        content = picture[position + 8 : position + 8 + length]
        if kind == b"tEXt" and content.startswith(_NAME):
            return content.removeprefix(_NAME).decode()
        position += 12 + length
    return ""


def named(picture: bytes, digest: str) -> bytes:
    """Return `picture` with the name of what it was taken of (PNG specification, tEXt)."""
    content = b"tEXt" + _NAME + digest.encode()
    chunk = struct.pack(">I", len(content) - 4) + content + struct.pack(">I", zlib.crc32(content))
    end = picture.index(b"IDAT") - 4
    return picture[:end] + chunk + picture[end:]


def take() -> None:
    """Take the picture."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        sys.exit("picture: needs chromium")
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "page.png"
        subprocess.run(
            [program, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
             f"--user-data-dir={folder}/profile", f"--window-size={_SIZE}",
             f"--screenshot={target}", PAGE.as_uri()],
            check=True, capture_output=True, timeout=120,
        )  # fmt: skip
        PICTURE.write_bytes(named(target.read_bytes(), looks(PAGE.read_text(encoding="utf-8"))))
    print(PICTURE)


if __name__ == "__main__":
    take()
