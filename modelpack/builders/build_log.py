"""What BuildKit says while it builds (`--progress plain`): who waits sees the steps go by, and
whoever must mend something sees the last lines of the one that failed.

Bounded: of each step only its last lines are kept, whatever it prints.
"""

import re
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

_STEP = re.compile(r"#([0-9]{1,6}) (.*)")
_OUTPUT = re.compile(r"[0-9]+\.[0-9]+ (.*)")
_TITLE = re.compile(r"\[[^]]*\] .*")
_FAILED = "ERROR: "
_KEPT = 12
"lines of a step"
_STEPS = 64
"steps whose lines are kept, the latest"
_LINE = 500
"characters of a line"


@dataclass(slots=True)
class _Step:
    title: str = ""
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=_KEPT))
    error: str = ""


class BuildLog:
    """Listens to one build; `told` gets the words of a stage when a step with its key begins."""

    def __init__(self, told: Callable[[str], None], *, stages: Mapping[str, str]) -> None:
        self._told = told
        self._stages = stages
        self._steps: OrderedDict[str, _Step] = OrderedDict()
        self._last: deque[str] = deque(maxlen=_KEPT)

    def take(self, line: str) -> None:
        """Take the next line."""
        line = line[:_LINE]
        found = _STEP.fullmatch(line)
        if found is None:
            if line.strip():
                self._last.append(line)
            return
        step = self._steps.setdefault(found[1], _Step())
        if len(self._steps) > _STEPS:
            self._steps.popitem(last=False)
        self._note(step, found[2])

    def _note(self, step: _Step, text: str) -> None:
        if output := _OUTPUT.fullmatch(text):
            if output[1].strip():
                step.lines.append(output[1])
        elif text.startswith(_FAILED):
            step.error = text.removeprefix(_FAILED)
        elif not step.title and _TITLE.fullmatch(text):
            step.title = text
            for key, words in self._stages.items():
                if key in text:
                    self._told(words)

    @property
    def failed(self) -> str:
        """The title of the step that failed, or nothing."""
        return next((step.title for step in self._steps.values() if step.error), "")

    @property
    def last_lines(self) -> tuple[str, ...]:
        """The last lines of the step that failed; where none did, of the program itself."""
        for step in self._steps.values():
            if step.error:
                return tuple(step.lines) or (step.error,)
        return tuple(self._last)

    @property
    def text(self) -> str:
        """All that is kept, to search it for what is known."""
        errors = [step.error for step in self._steps.values() if step.error]
        return "\n".join((*self.last_lines, *errors, *self._last))
