"""Compile the sources named on standard input; this text is run by the base's interpreter.

Standard library only and few imports: what is imported decides which strings are interned, and so
the bytes of the result. The input is NUL-separated: offset, size, path in the image and file of
each source. The output file gets, for each, the length of its bytecode as eight bytes (-1 where
it does not compile) and the bytecode.
"""

import importlib.util
import marshal
import os
import sys


def unplug() -> None:
    """Leave the network where Python (3.12) and the kernel let us: compiling needs none."""
    unshare = getattr(os, "unshare", None)
    if unshare is not None:
        try:
            unshare(getattr(os, "CLONE_NEWUSER", 0) | getattr(os, "CLONE_NEWNET", 0))
        except OSError:
            return


def bytecode(source: bytes, path: str) -> "bytes | None":  # Python 3.9 runs this too
    """Return an unchecked hash-based pyc (PEP 552), or None where `source` does not compile."""
    try:
        code = compile(source, path, "exec", dont_inherit=True)
        flags = (1).to_bytes(4, "little")
        head = importlib.util.MAGIC_NUMBER + flags + importlib.util.source_hash(source)
        return head + marshal.dumps(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError):
        return None


def main() -> None:
    """Compile every source in the order given."""
    unplug()
    fields = sys.stdin.buffer.read().split(b"\0")
    with open(sys.argv[1], "wb") as output:
        for index in range(0, len(fields) - 3, 4):
            offset, size, path, name = fields[index : index + 4]
            with open(name, "rb") as file:
                file.seek(int(offset))
                source = file.read(int(size))
            result = bytecode(source, os.fsdecode(path))
            length = -1 if result is None else len(result)
            output.write(length.to_bytes(8, "little", signed=True))
            output.write(result or b"")


if __name__ == "__main__":
    main()
