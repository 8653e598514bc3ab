"""A project whose weights are to be fetched, and the command line with a cache of its own."""

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests import projects
from tests.command_line import Done

LARGE = projects.safetensors({"w": bytes(range(256)) * 40})
"a layer of its own, where desks are"
OWN_LAYER = 5000
FILES = {**projects.WEIGHTS, "vocab/large.safetensors": LARGE}


@dataclass
class Desk:
    """A project whose weights are to be fetched, and the command line with its cache."""

    folder: Path
    cache: Path
    run: Callable[..., Done]

    def source(self, text: str, **more: object) -> None:
        """Let the spec name a source."""
        keys = "".join(f"{key} = {json.dumps(value)}\n" for key, value in more.items())
        toml = projects.TOML.replace('path = "weights"\n', f"source = {json.dumps(text)}\n{keys}")
        (self.folder / "modelpack.toml").write_text(toml, "utf-8")

    @property
    def lock(self) -> Any:
        """What is locked of the weights."""
        return json.loads((self.folder / "modelpack.lock").read_text("utf-8"))["weights"][0]

    @property
    def fetched(self) -> set[str]:
        """The names of the files in the cache of weights."""
        folder = self.cache / "weights" / "sha256"
        return {path.name for path in folder.iterdir()} if folder.exists() else set()

    def forget(self) -> None:
        """Empty the cache of weights, as on another machine."""
        shutil.rmtree(self.cache / "weights")
        shutil.rmtree(self.cache / "digests")


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def uris(folder: Path) -> dict[str, str]:
    """Return what the provenance says of the weights: URI by digest."""
    statement = json.loads((folder / "dist" / "provenance.json").read_text("utf-8"))
    return {
        item["digest"]["sha256"]: item.get("uri", "")
        for item in statement["predicate"]["buildDefinition"]["resolvedDependencies"]
        if item["annotations"]["role"] == "weights"
    }
