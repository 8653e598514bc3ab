"""Names and values that are a secret together: `password = "…"`, `API_KEY=…`, judged by entropy."""

import math
import re
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

WORDS = ("pass", "pwd", "secret", "key", "credential", "token")
"lowercase; text that holds none of them is not searched"

# Texts, which `re` compiles on first use and remembers: most code holds few of the words.
_NAME = (
    r"pass(?:word|wd|phrase)|pwd|secret|credentials?|token"
    r"|(?:api|access|auth|private|encryption|signing|master|session|account|storage)[_-]?key"
)
_VALUE = (
    r"(?P<suffix>[\w-]{0,24})[\"'\]]{0,2}\s{0,4}"
    r"(?:(?::[ \t]{0,2}[\w.\[\]|]{1,24}[ \t]{0,2})?={1,2}>?|:=?)[ \t]{0,4}"
    r"(?:[rbfuRBFU]{0,2}(?P<quote>[\"'`])(?P<quoted>[^\"'`\n]{6,300})(?P=quote)"
    r"|(?P<bare>[^\s\"'`,;#&]{8,300}))"
)
_LETTERS_BEFORE, _LETTERS = r"[A-Za-z_]{1,16}\Z", r"\A[A-Za-z_]{1,16}"
"how much of a name is shown: what has digits may be a secret itself"
_UPPER = "[A-Z]{1,64}"
_PREFIX = r"[\w.-]{0,40}\Z"
_HARMLESS_SUFFIX = (
    r"(?i).*(?:names?|ids?|paths?|files?|dirs?|ur[il]s?|types?|refs?|env|vars?|fields?|headers?|len(?:gth)?"
    r"|sizes?|versions?|policy|hash(?:es)?|digest|arn|counts?|limits?|max|min|format|prefix|suffix|labels?"
    r"|hint|regex|pattern|ind(?:ex|ices)|maps?|lists?|class|columns?|expir\w*|ttl|template|title"
    r"|description|errors?|messages?|prompt|help|managers?|providers?|stores?|mode|algorithm|required"
    r"|enabled|s|izer\w*|ized|ization|usage|offsets?|strategy|backend|scope|encoding|embeddings?)"
)
_TOKENIZER = (
    r"(?i).*(?:bos|eos|unk|pad|sep|cls|mask|special|image|audio|video|prefix|suffix|middle|start|end|stop"
    r"|next|prev|begin|num|max|min|per|added|publickey|public[_-]key|text|first|last|new|sub|of|by|class|query|delimiter)[_.-]?"
)
_PLACEHOLDER = (
    r"(?i)<|>|\$\{|\$\(|\{\{|\}\}|%\(|\.\.\.|…|\*\*\*|x{4}|X{4}|-{4}|_{4}|0{8}"
    r"|your|example|change[-_]?(?:me|it)|placeholder|dummy|redacted|insert|replace|todo|fixme|sample"
    r"|notasecret|not[-_]a[-_]|fake|here\b|12345678|abcdefgh"
)
_COMMON = (
    r"(?i).*secret[-_]?(?:key|name|value|here).*|pass(?:word|wd|phrase)?|pwd|secret|token|none|null|true|false|undefined|string|user(?:name)?"
    r"|admin|test|root|guest|postgres|mysql|redis|default|empty|required|optional"
)
_REFERENCE = (
    r"(?is)(?:os|env|self|cls|args|config|conf|cfg|settings|options|opts|process|params|request|kwargs|secrets"
    r"|vault|keyring|getpass|data|var|local|module|each|ctx|context|state|input|props)\b[.:\[(].*"
    r"|(?:op|vault|secret|secretsmanager|ssm|gcp|azure|file|env|arn|https?|s3|gs|urn|sha\d+)[:/].*"
    r"|[.~]{0,2}/.*|\$.*|%.*|@.*|!.*|&.*"
)
_DIGEST = r"(?i)(?:sha\d{1,3}|md5|blake\w{1,3})[:=-].*"
_UUID = r"(?i)[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_WORDS_ONLY = r"[A-Za-z]*\d{0,4}(?:[-_./:+ ][A-Za-z]*\d{0,4}){0,40}"
_CALL = r"(?s)[A-Za-z_]?[\w.]*[(\[{].*"
_DOTTED = r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+"
_VALUE_LIMIT = 300
_UNQUOTED = str.maketrans("\"'`\n", "!!!!")
_KEY_LENGTH, _KEY_ENTROPY = 16, 3.0
_BARE_ENTROPY = 2.75
_FEW = 4


class Assignment(NamedTuple):
    """A secret with its name."""

    name: str
    secret: str
    start: int


def find(text: str) -> Iterator[Assignment]:
    """Yield the assignments in `text` whose value is a secret rather than a placeholder."""
    assigned, ending, position = re.compile(_VALUE), re.compile(_PREFIX), 0
    for named in re.finditer(_NAME, _lower(text)):
        match = assigned.match(text, named.end()) if named.start() >= position else None
        if match is None:
            continue
        position = match.end()
        before = ending.search(text, max(0, named.start() - 40), named.start())
        prefix = before.group() if before else ""
        bare = match["quoted"] is None
        value = match["bare"].rstrip(")]}") if bare else match["quoted"]
        if bare and _is_expression(value):
            continue
        if judge(prefix, named.group(), match["suffix"], value, bare=bare):
            before_name = "".join(re.findall(_LETTERS_BEFORE, prefix))
            after_name = "".join(re.findall(_LETTERS, match["suffix"]))
            shown = f"{before_name}{text[named.start() : named.end()]}{after_name}"
            yield Assignment(shown, value, match.start("bare" if bare else "quoted"))


def _lower(text: str) -> str:
    """Lower the letters without moving any place: a few characters have longer small forms."""
    lowered = text.lower()
    if len(lowered) == len(text):
        return lowered
    return re.sub(_UPPER, lambda match: match.group().lower(), text)


def of_pair(name: str, value: str) -> bool:
    """Tell whether `value` under `name`, of an environment or of labels, is a secret."""
    shown = value[:_VALUE_LIMIT].translate(_UNQUOTED)
    return any(True for _ in find(f'{name}="{shown}"'))


def is_placeholder(value: str) -> bool:
    """Tell whether `value` stands for a secret that comes from elsewhere."""
    return is_sample(value) or bool(re.fullmatch(_COMMON, value) or re.fullmatch(_REFERENCE, value))


def is_sample(value: str) -> bool:
    """Tell whether `value` is one of those that documentation is full of."""
    return bool(re.search(_PLACEHOLDER, value)) or len(set(value)) <= _FEW


def judge(prefix: str, name: str, suffix: str, value: str, *, bare: bool) -> bool:
    """Tell whether `value` is a secret under this name."""
    if is_placeholder(value) or " " in value or re.fullmatch(_HARMLESS_SUFFIX, suffix):
        return False
    if re.fullmatch(_DIGEST, value) or re.fullmatch(_UUID, value):
        return False
    if name == "token" and re.fullmatch(_TOKENIZER, prefix):
        return False
    if name.startswith(("pass", "pwd")):
        return _is_password(value, bare=bare)
    return _is_key(value)


def _is_password(value: str, *, bare: bool) -> bool:
    """People's passwords are short: letters with digits or signs, and not a name."""
    letters = any(character.isalpha() for character in value)
    others = any(not character.isalnum() and character not in "_-./:" for character in value)
    digits = any(character.isdigit() for character in value)
    if not letters or not (digits or others):
        return False
    return not bare or others or entropy(value) >= _BARE_ENTROPY


def _is_key(value: str) -> bool:
    """Machines' keys are long and look random."""
    return (
        len(value) >= _KEY_LENGTH
        and any(character.isalpha() for character in value)
        and any(character.isdigit() for character in value)
        and not re.fullmatch(_WORDS_ONLY, value)
        and entropy(value) >= _KEY_ENTROPY
    )


def _is_expression(value: str) -> bool:
    """What stands bare in program text is mostly a name or a call."""
    return bool(re.fullmatch(_CALL, value) or re.fullmatch(_DOTTED, value))


def entropy(text: str) -> float:
    """Return Shannon's entropy of the characters of `text`, in bits for each."""
    counts = Counter(text).values()
    return -sum(count / len(text) * math.log2(count / len(text)) for count in counts)
