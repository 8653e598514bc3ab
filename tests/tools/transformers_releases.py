"""Write down which release of transformers first has which model, from its own wheels.

    python tests/tools/transformers_releases.py 5.25.0

Asks pip for each release and reads `models/auto` and the model classes out of it as text; nothing
is installed or imported. The first and the last release of each minor version are named here. What
is found goes to `modelpack/checks/libraries/transformers_releases.json`, where a reviewer sees what
came.
"""

import ast
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from zipfile import ZipFile

PACKAGE = Path(__file__).parents[2] / "modelpack"
TABLE = PACKAGE / "checks" / "libraries" / "transformers_releases.json"
RELEASES = """
    4.30.0 4.30.2 4.31.0 4.32.0 4.32.1 4.33.0 4.33.3 4.34.0 4.34.1 4.35.0 4.35.2 4.36.0 4.36.2
    4.37.0 4.37.2 4.38.0 4.38.2 4.39.0 4.39.3 4.40.0 4.40.2 4.41.0 4.41.2 4.42.0 4.42.4 4.43.0
    4.43.4 4.44.0 4.44.2 4.45.0 4.45.2 4.46.1 4.46.3 4.47.0 4.47.1 4.48.0 4.48.3 4.49.0 4.50.0
    4.50.3 4.51.0 4.51.3 4.52.1 4.52.4 4.53.0 4.53.3 4.54.0 4.54.1 4.55.0 4.55.4 4.56.0 4.56.2
    4.57.0 4.57.6 5.0.0 5.1.0 5.2.0 5.3.0 5.4.0 5.5.0 5.5.4 5.6.0 5.6.2 5.7.0 5.8.0 5.8.1 5.9.0
    5.10.1 5.10.4 5.11.0 5.12.0 5.12.1 5.13.0 5.13.1 5.14.0 5.14.1 5.15.0 5.15.1 5.16.0 5.16.1
    5.17.0 5.18.0 5.19.0 5.20.0 5.20.2 5.21.0 5.21.1 5.22.0 5.22.2 5.23.0 5.24.0
"""
_AUTO = re.compile(r"transformers/models/auto/(configuration_auto|auto_mappings)\.py")
_MODELING = re.compile(r"transformers/models/(?!auto/).*/modeling_(?!tf_|flax_)\w+\.py")
_LOADING = "transformers/models/auto/modeling_auto.py"
_CLASS = re.compile(r"^class (\w+)\(", re.MULTILINE)
_MODEL = re.compile(
    r"[A-Z]\w*?(?:For[A-Z]\w+|LMHeadModel|Model|WithProjection|Backbone|HeadsModel)"
)
"how classes are called that a config.json names; layers and outputs are not"
_NO_MODEL = re.compile(r"\w*(?:PreTrainedModel|Output|Embeddings|Layer|Block|Config)")

Minor = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """What one release knows."""

    types: frozenset[str]
    classes: frozenset[str]
    "all that are written in the modules of models"
    named: frozenset[str]
    "those that the automatic classes load"


_NOTHING = Release(types=frozenset(), classes=frozenset(), named=frozenset())


def main(further: list[str]) -> None:
    """Look at every release and write the table."""
    versions = [*RELEASES.split(), *further]
    with ThreadPoolExecutor(2) as pool:
        found = dict(zip(versions, pool.map(look, versions), strict=True))
    minors: dict[Minor, Release] = {}
    for version, release in found.items():
        minor = _minor(version)
        known = minors.get(minor, _NOTHING)
        # What came with a correction is taken for there from the start: no wrong refusal.
        minors[minor] = Release(
            types=known.types | release.types,
            classes=known.classes | release.classes,
            named=known.named | release.named,
        )
    named = frozenset[str]().union(*(release.named for release in minors.values()))
    types = {minor: release.types for minor, release in minors.items()}
    classes = {
        minor: frozenset(name for name in release.classes if name in named or _is_model(name))
        for minor, release in minors.items()
    }
    table = {
        "looked-up": datetime.now(UTC).date().isoformat(),
        "source": "https://github.com/huggingface/transformers/releases; CONFIG_MAPPING_NAMES and "
        "the classes of models/*/modeling_*.py in the wheels",
        "from": _text(min(minors)),
        "to": _text(max(minors)),
        "types": _first(types),
        "dropped-types": _dropped(types),
        "classes": _first(classes),
        "dropped-classes": _dropped(classes),
    }
    TABLE.write_text(json.dumps(table, indent=1) + "\n")


def look(version: str) -> Release:
    """Return what the wheel of `version` says."""
    types: set[str] = set()
    classes: set[str] = set()
    named: set[str] = set()
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-cache-dir",
             "--disable-pip-version-check", "--only-binary", ":all:", "--dest", folder,
             f"transformers=={version}"], check=True,
        )  # fmt: skip
        (wheel,) = Path(folder).iterdir()
        with ZipFile(wheel) as archive:
            for name in archive.namelist():
                if _AUTO.fullmatch(name):
                    types.update(_types(ast.parse(archive.read(name))))
                elif name == _LOADING:
                    named.update(_texts(ast.parse(archive.read(name))))
                elif _MODELING.fullmatch(name):
                    classes.update(_CLASS.findall(archive.read(name).decode()))
    return Release(
        types=frozenset(types), classes=frozenset(classes), named=frozenset(named) & classes
    )


def _types(tree: ast.AST) -> Iterator[str]:
    """Yield what the tables pair with the name of a configuration."""
    for node in ast.walk(tree):
        pairs: Iterable[tuple[ast.expr | None, ast.expr]] = ()
        if isinstance(node, ast.Tuple) and len(node.elts) == 2:
            pairs = [(node.elts[0], node.elts[1])]
        elif isinstance(node, ast.Dict):
            pairs = zip(node.keys, node.values, strict=True)
        for key, value in pairs:
            if _is_text(key) and _is_text(value) and value.value.endswith("Config"):
                yield key.value


def _is_text(node: ast.AST | None) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _texts(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if _is_text(node):
            yield node.value


def _is_model(name: str) -> bool:
    return bool(_MODEL.fullmatch(name)) and not _NO_MODEL.fullmatch(name)


def _first(known: dict[Minor, frozenset[str]]) -> dict[str, str]:
    """Return what came with each minor version."""
    seen: set[str] = set()
    found: dict[str, str] = {}
    for minor in sorted(known):
        new = known[minor] - seen
        if new:
            found[_text(minor)] = " ".join(sorted(new))
        seen |= new
    return found


def _dropped(known: dict[Minor, frozenset[str]]) -> dict[str, str]:
    """Return what each minor version has no longer, nor any after it."""
    found: dict[str, str] = {}
    ordered = sorted(known)
    left: set[str] = set()
    for before, minor in pairwise(ordered):
        later = frozenset[str]().union(*(known[one] for one in ordered if one >= minor))
        gone = known[before] - later - left
        if gone:
            found[_text(minor)] = " ".join(sorted(gone))
        left |= gone
    return found


def _minor(version: str) -> Minor:
    major, minor = version.split(".")[:2]
    return int(major), int(minor)


def _text(minor: Minor) -> str:
    return f"{minor[0]}.{minor[1]}"


if __name__ == "__main__":
    main(sys.argv[1:])
