"""A Dockerfile read back by its reference, with nothing of the code that wrote it."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

SECOND = 1_000_000_000
DIRECTIVE = re.compile(r"#\s*[A-Za-z][A-Za-z0-9]*\s*=")


@dataclass(frozen=True)
class Instruction:
    """One instruction: `COPY`, its flags, and the rest of its line as written."""

    name: str
    flags: tuple[str, ...]
    rest: str

    @property
    def words(self) -> list[str]:
        """The arguments, quotes removed."""
        return [unquoted(word) for word in split(self.rest)]

    @property
    def pairs(self) -> dict[str, str]:
        """The arguments of ENV and LABEL."""
        found: dict[str, str] = {}
        for word in split(self.rest):
            name, equals, value = word.partition("=")
            assert equals, word
            assert unquoted(name) not in found, word
            found[unquoted(name)] = unquoted(value)
        return found

    @property
    def array(self) -> list[str]:
        """The words of an exec form; a shell form is an error."""
        words = json.loads(self.rest)
        assert isinstance(words, list)
        assert all(isinstance(word, str) for word in words)
        return words


def read(text: str) -> list[Instruction]:
    """Return the instructions of `text`, which may hold no parser directive."""
    assert text.endswith("\n")
    assert not DIRECTIVE.match(text), "the first line is a parser directive"
    return [_instruction(line) for line in _joined(text.split("\n"))]


def _joined(lines: list[str]) -> Iterator[str]:
    """Yield lines with continuations joined; comments and blank lines vanish, inside them too."""
    whole, inside = "", False
    for line in lines:
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        cut = re.sub(r"\\[ \t]*$", "", line)
        whole, inside = whole + cut, cut != line
        if not inside:
            yield whole.strip()
            whole = ""
    assert not inside, "the last line is continued"


def _instruction(line: str) -> Instruction:
    name, _, rest = line.partition(" ")
    assert re.fullmatch(r"[A-Z]+", name), line
    words, flags = rest.strip(), []
    while words.startswith("--"):
        flag, _, words = words.partition(" ")
        flags.append(flag)
        words = words.strip()
    return Instruction(name=name, flags=tuple(flags), rest=words)


def split(text: str) -> list[str]:
    """Return the words of `text` as written: white space inside quotes does not end one."""
    words, word, quote, position = [], "", "", 0
    while position < len(text):
        char = text[position]
        if char == "\\" and quote != "'":
            word += text[position : position + 2]
            position += 2
            continue
        if quote:
            quote = "" if char == quote else quote
        elif char in "\"'":
            quote = char
        elif char.isspace():
            words, word = ([*words, word] if word else words), ""
            position += 1
            continue
        word += char
        position += 1
    assert not quote, f"the quote in {text!r} never ends"
    return [*words, word] if word else words


def unquoted(word: str) -> str:
    """Return what `word` means; a variable in it is an error."""
    found, quote, position = "", "", 0
    while position < len(word):
        char = word[position]
        following = word[position + 1 : position + 2]
        if char == "\\" and quote != "'" and (not quote or following in '"$\\'):
            found += following
            position += 2
            continue
        assert char != "$" or quote == "'", f"{word!r} reads a variable"
        if char == quote:
            quote = ""
        elif char in "\"'" and not quote:
            quote = char
        else:
            found += char
        position += 1
    return found


def stages(instructions: list[Instruction]) -> list[list[Instruction]]:
    """Return the instructions of each stage, its FROM first."""
    found: list[list[Instruction]] = []
    for one in instructions:
        if one.name == "FROM":
            found.append([])
        found[-1].append(one)
    return found


def configuration(stage: list[Instruction]) -> dict[str, Any]:
    """Return the image's `config` that a stage makes, in the words of the engine."""
    config: dict[str, Any] = {}
    for one in stage:
        match one.name:
            case "LABEL":
                config["Labels"] = {**config.get("Labels", {}), **one.pairs}
            case "ENV":
                variables = [f"{name}={value}" for name, value in one.pairs.items()]
                config["Env"] = [*config.get("Env", []), *variables]
            case "EXPOSE":
                config["ExposedPorts"] = {port: {} for port in one.words}
            case "WORKDIR":
                (config["WorkingDir"],) = one.words
            case "USER":
                (config["User"],) = one.words
            case "STOPSIGNAL":
                (config["StopSignal"],) = one.words
            case "ENTRYPOINT":
                config["Entrypoint"] = one.array
            case "CMD":
                config["Cmd"] = one.array
            case "HEALTHCHECK":
                config["Healthcheck"] = _health(one)
            case _:
                assert one.name in {"FROM", "COPY", "ADD", "RUN", "ARG"}, one.name
    return config


def _health(one: Instruction) -> dict[str, Any]:
    if one.rest == "NONE":
        return {"Test": ["NONE"]}
    form, _, command = one.rest.partition(" ")
    assert form == "CMD", one.rest
    flags = dict(flag.removeprefix("--").split("=") for flag in one.flags)
    seconds = {name: int(flags[name].removesuffix("s")) for name in flags if name != "retries"}
    return {
        "Test": ["CMD", *json.loads(command)],
        "Interval": seconds["interval"] * SECOND,
        "Timeout": seconds["timeout"] * SECOND,
        "StartPeriod": seconds["start-period"] * SECOND,
        "Retries": int(flags["retries"]),
    }
