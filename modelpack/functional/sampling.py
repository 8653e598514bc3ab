"""How much memory a container needs, looked at again and again while something else goes on."""

import threading
from statistics import median
from typing import Final, Self

from modelpack.engine.door import Engine
from modelpack.errors import ModelpackError

_AGAIN: Final = 0.1
"seconds between two looks"
_LAST: Final = 3
"looks of which the middle one counts as how it is now"


class Sampler:
    """Looks at one container in a thread of its own, from `with` to its end."""

    def __init__(self, engine: Engine, container: str) -> None:
        self._engine, self._container = engine, container
        self._samples: list[int] = []
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._end.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._end.is_set():
            try:
                found = self._engine.memory(self._container)
            except ModelpackError:  # it has ended: who asks it hears why
                return
            if found is None:
                return
            self._samples.append(found)
            self._end.wait(_AGAIN)

    @property
    def peak(self) -> int | None:
        """The most that was seen; None: nobody can tell."""
        return max(self._samples, default=None)

    def now(self) -> int | None:
        """Look anew, more than once, and return what was seen without a single outlier."""
        try:
            found = [self._engine.memory(self._container) for _ in range(_LAST)]
        except ModelpackError:  # it has ended: who asks it hears why
            return None
        seen = [one for one in found if one is not None]
        self._samples += seen
        return int(median(seen)) if seen else None
