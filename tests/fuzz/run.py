"""Run one harness under atheris: `python tests/fuzz/run.py NAME [libFuzzer options]`."""

import importlib
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

FOLDER = Path(__file__).resolve().parent


def load(name: str) -> Callable[[bytes], None]:
    """Return the target of the harness `fuzz_NAME.py`."""
    for path in (FOLDER, FOLDER.parent, FOLDER.parent.parent):
        if str(path) not in sys.path:
            sys.path.insert(0, str(path))
    harness = importlib.import_module(f"fuzz_{name}")
    return getattr(harness, "TARGET", None) or harness.one_input


def fuzz(name: str, options: list[str]) -> None:
    """Fuzz until a defect is found or the options of libFuzzer say stop; never returns.

    Kept inputs are read and not added to, unless the options name a folder.
    """
    try:
        import atheris
    except ImportError:
        sys.exit("atheris is not installed: pip install atheris")
    for module in list(sys.modules):
        if module.partition(".")[0] in ("modelpack", f"fuzz_{name}"):
            del sys.modules[module]  # a harness that is run itself has imported them as they are
    with atheris.instrument_imports(include=["modelpack"]):
        target = load(name)
    folders = [option for option in options if not option.startswith("-")]
    if not folders:
        discovered = tempfile.mkdtemp(prefix="modelpack-fuzz-")
        folders = [discovered, str(FOLDER / "corpus" / name)]
    flags = [option for option in options if option.startswith("-")]
    atheris.Setup([f"fuzz_{name}", *flags, *folders], target)
    atheris.Fuzz()


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    fuzz(sys.argv[1], sys.argv[2:])
