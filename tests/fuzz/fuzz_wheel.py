"""Whatever a wheel holds, it is installed safely or refused: never another error, never a hang."""

import hashlib
import io
import tempfile
import warnings
import zipfile
from pathlib import Path

from modelpack.errors import InputError, Refused
from modelpack.inputs.python import wheel_archive, wheel_destination, wheels
from modelpack.inputs.quoting import UNPRINTABLE
from modelpack.lock import Interpreter, Wheel
from modelpack.oci.tar import pieces

_INTERPRETER = Interpreter(version="3.13.5", path="/usr/bin/python3.13", glibc="2.41")


_INFO = "demo-1.0.dist-info"
LAZY = (wheel_archive, wheel_destination)
"imported here, so that the runner instruments them"


def TARGET(data: bytes) -> None:  # noqa: N802  the name that the runner looks for
    """Install `data` as a wheel, or else a wheel that is made from it."""
    install(data if data.startswith(b"PK") else archive(data))


def archive(data: bytes) -> bytes:
    """Return a zip of the members in `data`: name and content in turn, separated by 0xFF.

    Names that no zip can hold are left out. RECORD is right unless `data` has its own.
    """
    parts = data.split(b"\xff")
    members = {f"{_INFO}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\n"}
    for name, content in zip(parts[::2], parts[1::2], strict=False):
        text = name.decode("utf-8", "replace").replace("\0", "")
        members[text.replace("@", _INFO)[:1000]] = content
    rows = (
        f'"{name}",sha256={wheel_archive.encoded(hashlib.sha256(content).digest())},'
        for name, content in members.items()
    )
    members.setdefault(f"{_INFO}/RECORD", "\n".join((*rows, f"{_INFO}/RECORD,,")).encode())
    output = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(output, "w") as file:
        warnings.simplefilter("ignore")
        for name, content in members.items():
            file.writestr(zipfile.ZipInfo(name), content)
    return output.getvalue()


def install(data: bytes) -> None:
    """Install `data` as a wheel and write the layer's headers."""
    sha256 = hashlib.sha256(data).hexdigest()
    wheel = Wheel(
        name="demo", version="1.0", filename="demo-1.0-py3-none-any.whl", size=0, sha256=sha256
    )
    with tempfile.TemporaryDirectory() as folder:
        path, scratch = Path(folder, sha256), Path(folder, "scratch")
        path.write_bytes(data)
        scratch.mkdir()
        try:
            tree = wheels.tree([wheel], {sha256: path}, interpreter=_INTERPRETER, scratch=scratch)
            for _ in pieces(tree.entries()):
                pass
        except (InputError, Refused) as error:
            if UNPRINTABLE.search(str(error)):
                raise AssertionError(f"unprintable message: {error!a}") from error
        else:
            if not all(path == "opt" or path.startswith("opt/venv") for path in tree):
                raise AssertionError("a file got out of the environment")
