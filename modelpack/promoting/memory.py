"""The highest number of a stage's moves that this machine has seen: what is older was replayed.

Kept in the cache, by repository and stage: who empties the cache forgets it.
"""

from pathlib import Path

from modelpack import canonical_json
from modelpack.digest import Digest
from modelpack.digest import of as digest_of
from modelpack.inputs.remembered import Remembered

FOLDER = "stages"


class Memory:
    """What is remembered of the stages of one repository."""

    def __init__(self, cache: Path, repository: str) -> None:
        """`cache` is the machine's cache, `repository` is HOST/NAME, whose stages they are."""
        self._kept = Remembered(cache / FOLDER)
        self._place = repository

    def sequence(self, stage: str) -> int:
        """Return the highest number seen; 0: none."""
        value = self._kept.get(self._key(stage))
        return value if isinstance(value, int) and not isinstance(value, bool) else 0

    def saw(self, stage: str, sequence: int) -> None:
        """Remember a number that was proved."""
        if sequence > self.sequence(stage):
            self._kept.keep(self._key(stage), sequence)

    def _key(self, stage: str) -> Digest:
        return digest_of(canonical_json.dumps([self._place, stage]))
