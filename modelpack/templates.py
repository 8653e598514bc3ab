"""The one door to the templates that ship with the package."""

from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path


def root() -> Traversable:
    """Return the folder of templates: in the package where installed, beside it in a checkout."""
    packaged = files("modelpack") / "_templates"
    return packaged if packaged.is_dir() else Path(__file__).parents[1] / "templates"


def text(name: str) -> str:
    """Return the template `name`, such as `init/modelpack.toml.txt`."""
    return root().joinpath(*name.split("/")).read_text(encoding="utf-8")
