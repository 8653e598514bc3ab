"""A server that answers as it was told, one reply after the other."""

from collections.abc import Mapping

Answer = tuple[int, Mapping[str, str], bytes]


class Script:
    """Answers with one reply after the other and remembers what was asked."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, Mapping[str, str]]] = []

    def __call__(self, path: str, headers: Mapping[str, str]) -> Answer:
        self.asked.append((path, headers))
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
