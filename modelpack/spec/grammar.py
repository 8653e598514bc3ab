"""How single values of `modelpack.toml` are written: one table for the decoder and the schema.

A place is a dotted path without positions: `weights.path` is the path of every `[[weights]]`,
`test.limits.*` every value of that table.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType

from modelpack import metric, quantity, reference


@dataclass(frozen=True)
class Form:
    """What a text must look like."""

    pattern: str
    "the same in Python and ECMAScript, for the whole text"
    noun: str
    hint: str = ""

    @cached_property
    def _compiled(self) -> re.Pattern[str]:
        return re.compile(self.pattern)

    def fits(self, text: str) -> bool:
        """Tell whether `text` has this form."""
        return self._compiled.fullmatch(text) is not None


_NO_PARENT = r"(?!(?:.*/)?\.\.(?:/|$))"
_NAME = Form(
    r"(?=.{1,128}$)[a-z0-9]+(?:[._-][a-z0-9]+)*", "a name",
    "lowercase letters and digits, joined by single `.`, `_` or `-`",
)  # fmt: skip
_TAG = Form(
    reference.TAG, "a version that can be an image tag",
    "letters, digits, `.`, `_` and `-`, at most 128; write `-` for `+`",
)  # fmt: skip
_ANY_PATH = Form(
    r"(?!~)[^\\]+", "a path", "write it out with `/`, relative to this file or absolute"
)
_NEAR_PATH = Form(r"(?![~/])[^\\]+", "a relative path", "write it with `/`, relative to this file")
_INNER_PATH = Form(
    rf"(?![~/]){_NO_PARENT}[^\\]+", "a path inside the project",
    "write it with `/`, relative to this file and without `..`",
)  # fmt: skip
_GLOB = Form(
    r"(?!~)(?!(?:.*/)?\.\.?(?:/|$))(?=.{1,1000}$)[^\\]+", "a pattern below the folder",
    "write it with `/`, without `.` and `..`, such as `*.json` or `service/**/*.py`",
)  # fmt: skip
_FOLDER = Form(
    r"(?:/[A-Za-z0-9_@+][A-Za-z0-9._@+-]*)+", "an absolute, normalised path",
    "such as `/models/name`: letters, digits and `._@+-`, no `..`, no `/` at the end",
)  # fmt: skip
_URL_PATH = Form(
    r"/[!-~]{0,1023}", "a path of the service", "it starts with `/`, such as `/healthz`"
)
_ANY_NAME = Form(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", "a name", "letters, digits, `.`, `_`, `-`")
_SIZE = Form(quantity.SIZE, "a size", "such as `80 GiB`")
_DURATION = Form(quantity.DURATION, "a duration", "a number and ms, s, m, h, d or w, such as `7d`")
_CPUS = Form(
    r"(?!0*(?:\.0*)?$)[0-9]{1,4}(?:\.[0-9]{1,3})?", "a number of processors",
    "such as `2` or `0.5`",
)  # fmt: skip

FORMS: Mapping[str, Form] = MappingProxyType({
    "model.name": _NAME,
    "model.version": _TAG,
    "training.data.digest": Form(
        r"[a-z0-9]+(?:[+._-][a-z0-9]+)*:[A-Za-z0-9=_-]{1,512}", "a digest",
        "`sha256:` and 64 hexadecimal digits",
    ),
    "weights.name": _NAME,
    "weights.path": _ANY_PATH,
    "weights.source": Form(
        r"(?:(?:hf|s3|https|docker)://|oci:|oci-archive:|[^ /]*[.:][^ /]*/|localhost/)[^ ]+",
        "a source of weights",
        "`hf://org/repo@<commit>`, `s3://…`, `https://…`, `oci:…` or an image with its registry; "
        "a folder is `path`",
    ),
    "weights.include": _GLOB,
    "weights.exclude": _GLOB,
    "weights.destination": _FOLDER,
    "weights.require": _GLOB,
    "weights.allow-unsafe": _GLOB,
    "weights.allow-imports": Form(
        r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)+", "a Python name",
        "module and name, such as `functools.partial`",
    ),
    "weights.signature.file": _ANY_PATH,
    "weights.signature.key": _ANY_PATH,
    "weights.signature.trusted-root": _ANY_PATH,
    "code.path": _INNER_PATH,
    "code.include": _GLOB,
    "code.exclude": _GLOB,
    "code.workdir": _FOLDER,
    "dependencies.lockfile": _NEAR_PATH,
    "dependencies.source": _NEAR_PATH,
    "dependencies.development": _NEAR_PATH,
    "dependencies.indexes": Form(
        _ANY_NAME.pattern, "the name of an index",
        "name it here, and its URL in this machine's configuration",
    ),
    "runtime.python": Form(
        r"3\.(?:9|[1-9][0-9])", "a Python of 3.9 or newer",
        "such as `3.13`, without the patch number",
    ),
    "runtime.packages": Form(
        r"[a-z0-9][a-z0-9+.-]{1,127}", "the name of a Debian package", "its version is in the lock"
    ),
    "runtime.allow-missing": Form(
        r"(?=.{1,128}$)[A-Za-z0-9_+.-]+\.so(?:\.[A-Za-z0-9_+.-]+)?", "the name of a shared library",
        "as an error names it, such as `libtbb.so.12`",
    ),
    "runtime.health.live": _URL_PATH,
    "runtime.health.ready": _URL_PATH,
    "runtime.health.version": _URL_PATH,
    "runtime.health.metrics": _URL_PATH,
    "runtime.gpu.targets": Form(r"sm_[0-9]{2,3}[a-f]?", "a GPU architecture", "such as `sm_90`"),
    "runtime.gpu.memory": _SIZE,
    "runtime.gpu.overhead": _SIZE,
    "runtime.gpu.driver": Form(
        r"[0-9]{1,4}(?:\.[0-9]{1,4}){0,2}", "a version of the NVIDIA driver", "such as `550`"
    ),
    "interface.openapi": _INNER_PATH,
    "interface.input": _INNER_PATH,
    "interface.output": _INNER_PATH,
    "interface.served": _URL_PATH,
    "image.tags": Form(reference.TAG, "a tag", "letters, digits, `.`, `_` and `-`, at most 128"),
    "image.platforms": Form(
        r"linux/(?:amd64|arm64)", "a platform", "use `linux/amd64` or `linux/arm64`"
    ),
    "test.golden": _GLOB,
    "test.duration": _DURATION,
    "evaluation.report": _INNER_PATH,
    "evaluation.require.*": Form(
        metric.BOUND, "a bound on a metric", "such as `>= 0.9`"
    ),
    "scan.database-max-age": _DURATION,
    "scan.deny-licenses": Form(
        r"[A-Za-z0-9][A-Za-z0-9.+-]{0,127}", "an SPDX licence identifier", "such as `AGPL-3.0-only`"
    ),
    "scan.ignore.id": Form(
        r"[A-Za-z][A-Za-z0-9]*(?:[.-][A-Za-z0-9]+)+", "the name of something found",
        "such as `CVE-2025-0001`, `DS-0026`, `AGPL-3.0-only` or `private-key`",
    ),
    "scan.ignore.package": Form(
        r"[A-Za-z0-9][A-Za-z0-9._+-]{0,127}", "the name of a package", "without its version"
    ),
    "scan.ignore.path": Form(
        rf"{_NO_PARENT}/[^\\]+", "a path in the image", "it starts with `/`, as the scan prints it"
    ),
})  # fmt: skip

KEY_FORMS: Mapping[str, Form] = MappingProxyType({
    "runtime.environment": Form(
        r"[A-Za-z_][A-Za-z0-9_]{0,127}", "the name of an environment variable",
        "letters, digits and `_`",
    ),
    "image.labels": Form(
        r"[A-Za-z0-9][A-Za-z0-9._/-]{0,254}", "a label's key", "such as `com.example.team`"
    ),
    "checks": _ANY_NAME,
    "evaluation.require": Form(r"[A-Za-z0-9][A-Za-z0-9._@/-]{0,127}", "the name of a metric"),
})  # fmt: skip

LIMITS: Mapping[str, Form] = MappingProxyType({
    "cold-start": _DURATION, "p50": _DURATION, "p95": _DURATION, "p99": _DURATION,
    "stop": _DURATION, "memory": _SIZE, "memory-growth": _SIZE, "image-size": _SIZE, "cpus": _CPUS,
})  # fmt: skip
"the keys of `test.limits`, and how each one's value is written"

RANGES: Mapping[str, tuple[int, int]] = MappingProxyType({
    "runtime.port": (0, 65_535), "runtime.user": (1, 2**31 - 1),
    "test.concurrency": (1, 256),
})  # fmt: skip

NOT_EMPTY = frozenset({"weights", "weights.include", "code.command", "checks.*", "image.platforms"})
"arrays with at least one element"

REPEATABLE = frozenset({"code.command", "checks.*", "weights", "training.data", "scan.ignore"})
"arrays that are sequences, not sets; the tables among them have rules of their own"

NOT_BLANK = frozenset({
    "model.name", "model.version", "code.path", "code.workdir", "runtime.base",
    "test.duration", "scan.database-max-age", "scan.ignore.id", "scan.ignore.reason",
    "training.data.name",
})  # fmt: skip
"texts that may not be empty; an empty one elsewhere is as if it were left out"

MAX_ITEMS = 1000
"of an array and of a table with free keys"
MAX_TEXT = 8192
"characters of a text"


@dataclass(frozen=True, slots=True, kw_only=True)
class Grammar:
    """How the single values of one kind of file are written."""

    rules: str
    "first word of the names of rules"
    forms: Mapping[str, Form]
    key_forms: Mapping[str, Form]
    limits: Mapping[str, Mapping[str, Form]]
    "tables with free keys of which only some are known, and how each one's value is written"
    ranges: Mapping[str, tuple[int, int]]
    not_empty: frozenset[str]
    repeatable: frozenset[str]
    not_blank: frozenset[str]
    table_or_array: frozenset[str] = frozenset()
    "arrays of tables that may be written as one table"


SPEC = Grammar(
    rules="spec",
    forms=FORMS,
    key_forms=KEY_FORMS,
    limits=MappingProxyType({"test.limits": LIMITS}),
    ranges=RANGES,
    not_empty=NOT_EMPTY,
    repeatable=REPEATABLE,
    not_blank=NOT_BLANK,
    table_or_array=frozenset({"weights"}),
)
"how `modelpack.toml` is written"
