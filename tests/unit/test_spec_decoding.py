"""modelpack.toml: what parses, and that everything wrong is said at once, where and how to mend."""

import json
from datetime import date
from pathlib import Path

import pytest

from modelpack.errors import InputError
from modelpack.spec import decoding as spec_decoding
from modelpack.spec import schema as spec_schema
from modelpack.spec.decoding import MAX_SIZE, parse

ASSETS = Path(__file__).parents[1] / "assets"
MINIMAL = """
schema = 1
[model]
name = "tiny"
version = "1"
[weights]
path = "weights"
[code]
command = ["python", "-m", "service"]
"""


def found(text: str) -> dict[str, tuple[str, str]]:
    """Return message and hint of every finding by its place."""
    with pytest.raises(InputError) as caught:
        parse(text.encode())
    return {f.at: (f.message, f.hint) for f in caught.value.findings}


def with_table(table: str, lines: str) -> str:
    """Return the minimal file with `lines` added to `table`."""
    if f"[{table}]\n" in MINIMAL:
        return MINIMAL.replace(f"[{table}]\n", f"[{table}]\n{lines}\n")
    return f"{MINIMAL}\n[{table}]\n{lines}\n"


def test_the_least_file_is_completed_with_defaults():
    spec = parse(MINIMAL.encode())
    (weights,) = spec.weights
    assert (weights.name, weights.destination) == ("tiny", "/models/tiny")
    assert spec.runtime.base == "debian:13"
    assert spec.code.workdir == "/app"
    assert spec.image.platforms == ("linux/amd64",)


def test_the_full_example_parses_to_its_values():
    spec = parse((ASSETS / "full.toml").read_bytes())
    assert spec.training.data[0].name == "s2orc"
    assert spec.scan.fail_on == "HIGH"
    assert spec.scan.ignore[0].expires == date(2027, 1, 31)
    assert spec.test.limits["cold-start"] == "20s"
    assert spec.checks["lint"] == ("ruff", "check", "service")
    assert spec.image.labels["com.acme.team"] == "search"


def test_the_full_example_writes_every_key_but_the_alternatives():
    written = spec_decoding.load((ASSETS / "full.toml").read_bytes(), filename="full.toml")
    places = set()

    def walk(value, place):
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, dict):
                for key, inner in item.items():
                    here = f"{place}.{key}" if place else key
                    places.add(here)
                    walk(inner, here)

    walk(written, "")
    missing = set(spec_schema.places()) - places
    assert missing == {
        "weights.name", "weights.source", "weights.signature", "weights.signature.file",
        "weights.signature.key", "weights.signature.identity", "weights.signature.issuer",
        "weights.signature.trusted-root", "code.exclude",
        "interface.input", "interface.output", "interface.served", "runtime.verify-mounts",
        "runtime.verify-override", "runtime.require-signature", "dependencies.development",
        "test.concurrency", "test.duration",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("signature", "at"),
    [
        ('{ key = "k.pub" }', "weights.signature.file"),
        ('{ file = "m.sig" }', "weights.signature.key"),
        ('{ file = "m.sig", key = "k", identity = "a@b.c" }', "weights.signature.key"),
        ('{ file = "m.sig", identity = "a@b.c" }', "weights.signature.issuer"),
        ('{ file = "m.sig", issuer = "https://i" }', "weights.signature.identity"),
        ('{ file = "m.sig", trusted-root = "t" }', "weights.signature.identity"),
    ],
)
def test_a_signature_says_who_must_have_made_it(signature: str, at: str):
    text = MINIMAL.replace('path = "weights"', f'path = "weights"\nsignature = {signature}')
    with pytest.raises(InputError) as caught:
        parse(text.encode())
    assert [finding.at for finding in caught.value.findings] == [at]


def test_several_weights_are_an_array_of_tables():
    text = MINIMAL.replace(
        '[weights]\npath = "weights"',
        '[[weights]]\npath = "a"\n[[weights]]\nname = "adapter"\nsource = "hf://o/r@c0ffee"',
    )
    spec = parse(text.encode())
    assert [w.destination for w in spec.weights] == ["/models/tiny", "/models/adapter"]


def test_syntax_errors_show_file_line_column_and_a_caret():
    with pytest.raises(InputError) as caught:
        parse(b'schema = 1\nname = "x" oops\n', filename="my.toml")
    (finding,) = caught.value.findings
    assert finding.at == "my.toml:2:12"
    message, line, caret = finding.message.split("\n")
    assert message == "expected newline or end of document after a statement"
    assert line == 'name = "x" oops'
    assert caret == " " * 11 + "^"


def test_the_caret_stands_right_below_wide_characters():
    with pytest.raises(InputError) as caught:
        parse('a = "你好" x'.encode())
    assert caught.value.findings[0].message.split("\n")[2] == " " * 11 + "^"


def test_a_long_line_is_cut_around_its_error():
    with pytest.raises(InputError) as caught:
        parse(b"a = " + b"[" * 200 + b"=\n")
    _, line, caret = caught.value.findings[0].message.split("\n")
    assert len(line) <= 96
    assert line[len(caret) - 1] == "="


def test_control_characters_of_a_broken_line_are_not_shown():
    with pytest.raises(InputError) as caught:
        parse(b"a = \x1b[31m\n")
    assert "\x1b" not in caught.value.findings[0].message


def test_all_problems_are_reported_at_once():
    problems = found(
        """
        schema = 1
        port = 80
        [model]
        name = "Mini LM"
        licens = "MIT"
        [weights]
        mode = "bakee"
        destination = "/usr/lib"
        [code]
        comand = ["x"]
        [runtime]
        user = 0
        """
    )
    assert set(problems) == {
        "port", "model.name", "model.licens", "model.version", "weights.mode",
        "weights.destination", "weights.path", "code.comand", "code.command", "runtime.user",
    }  # fmt: skip
    assert problems["model.licens"] == ("unknown key `licens`", "did you mean `license`?")
    assert problems["port"][1] == "`port` belongs in `[runtime]`"
    assert problems["weights.mode"][1] == "did you mean `bake`?"
    assert problems["model.version"][0] == "is missing"


@pytest.mark.parametrize(
    ("table", "line", "at", "message", "hint"),
    [
        ("model", "description = 5", "model.description", "got an integer", '`"5"`'),
        ("model", "description = true", "model.description", "got a boolean", ""),
        ("runtime", 'port = "80"', "runtime.port", "expected an integer, got a string", ""),
        ("runtime", "port = true", "runtime.port", "expected an integer, got a boolean", ""),
        ("runtime", "port = 80.0", "runtime.port", "got a number", ""),
        ("runtime", 'packages = "git"', "runtime.packages", "expected an array", '`["git"]`'),
        ("runtime", "health = 1", "runtime.health", "expected a table", ""),
        ("runtime", "environment = []", "runtime.environment", "expected a table", ""),
        ("scan", 'fixed-only = "yes"', "scan.fixed-only", "expected a boolean", ""),
        ("scan", 'fail-on = "high"', "scan.fail-on", "not one of", "`HIGH`"),
        ("scan", "ignore = [3]", "scan.ignore[0]", "expected a table, got an integer", ""),
        ("evaluation.require", "f1 = 0.9", "evaluation.require.f1", "got a number", '`"0.9"`'),
        ("scan", "fail_on = 1", "scan.fail_on", "unknown key", "`fail-on`"),
        ("image.labels", '"a b" = "x"', 'image.labels."a b"', "label's key", ""),
    ],
)
def test_wrong_types_say_what_was_expected(table, line, at, message, hint):
    problems = found(with_table(table, line))
    assert message in problems[at][0]
    assert hint in problems[at][1]


@pytest.mark.parametrize("table", ["model", "weights", "code"])
def test_a_missing_table_is_one_problem(table):
    document = spec_decoding.load(MINIMAL.encode(), filename="")
    del document[table]
    with pytest.raises(InputError) as caught:
        spec_decoding.decode_document(document)
    assert [(f.at, f.message) for f in caught.value.findings] == [(table, "is missing")]


def test_a_missing_schema_is_answered_with_the_line_to_add():
    assert found(MINIMAL.replace("schema = 1", ""))["schema"][1] == "add `schema = 1`"


def test_another_schema_is_refused_before_its_keys_are_judged():
    problems = found("schema = 2\nfuture = 1\n")
    assert list(problems) == ["schema"]


@pytest.mark.parametrize(
    ("table", "line", "at"),
    [
        ("model", 'license = "Apachee-2"', "model.license"),
        ("weights", 'source = "hf://o/r@1"', "weights.path"),
        ("weights", 'include = ["../*.json"]', "weights.include[0]"),
        ("weights", 'include = ["./*.json"]', "weights.include[0]"),
        ("weights", 'include = ["a/../../b"]', "weights.include[0]"),
        ("weights", "include = []", "weights.include"),
        ("weights", 'include = [""]', "weights.include[0]"),
        ("weights", 'require = ["a", "b", "a"]', "weights.require[2]"),
        ("weights", 'destination = "models"', "weights.destination"),
        ("weights", 'destination = "/models/"', "weights.destination"),
        ("weights", 'destination = "/models//x"', "weights.destination"),
        ("weights", 'destination = "/models/../usr"', "weights.destination"),
        ("weights", 'destination = "/"', "weights.destination"),
        ("weights", 'destination = "/app/models"', "weights.destination"),
        ("weights", 'name = "A"', "weights.name"),
        ("code", 'path = ".."', "code.path"),
        ("code", 'path = "/srv"', "code.path"),
        ("code", 'path = ""', "code.path"),
        ("code", 'workdir = "/usr/src/app"', "code.workdir"),
        ("code", 'workdir = "/opt"', "code.workdir"),
        ("dependencies", 'source = "requirements.in"', "dependencies.lockfile"),
        ("dependencies", 'source = "r"\nlockfile = "r"', "dependencies.source"),
        ("dependencies", 'lockfile = "r"\nindexes = []', "dependencies.indexes"),
        ("dependencies", 'indexes = ["https://pypi.org"]', "dependencies.indexes[0]"),
        ("runtime", 'base = "debian:11"', "runtime.base"),
        ("runtime", 'base = "debian"', "runtime.base"),
        ("runtime", 'base = "UPPER CASE"', "runtime.base"),
        ("runtime", 'python = "3.13.1"', "runtime.python"),
        ("runtime", 'python = "2.7"', "runtime.python"),
        ("runtime", 'python = "3.8"', "runtime.python"),
        ("runtime", 'packages = ["Git"]', "runtime.packages[0]"),
        ("runtime", "port = 65536", "runtime.port"),
        ("runtime", "port = -1", "runtime.port"),
        ("runtime", "user = 0", "runtime.user"),
        ("runtime", "user = 2147483648", "runtime.user"),
        ("runtime", 'gpu = { driver = "550" }', "runtime.gpu"),
        ("runtime", 'device = "cuda"\ngpu = { targets = ["90"] }', "runtime.gpu.targets[0]"),
        ("runtime", 'device = "cuda"\ngpu = { memory = "80" }', "runtime.gpu.memory"),
        ("runtime", 'device = "cuda"\ngpu = { overhead = "2" }', "runtime.gpu.overhead"),
        ("runtime", 'gpu = { overhead = "2 GiB" }', "runtime.gpu"),
        ("runtime", 'allow-missing = ["libx"]', "runtime.allow-missing[0]"),
        ("runtime", 'allow-missing = ["usr/lib/libx.so.1"]', "runtime.allow-missing[0]"),
        ("runtime", 'health = { live = "/x" }', "runtime.health"),
        ("runtime", 'port = 1\nhealth = { live = "x" }', "runtime.health.live"),
        ("runtime", 'port = 1\nhealth = { live = "/a b" }', "runtime.health.live"),
        ("runtime.environment", '"1A" = "x"', "runtime.environment.1A"),
        ("runtime.environment", 'MODELPACK_VERIFY = "off"', "runtime.environment.MODELPACK_VERIFY"),
        ("runtime.environment", 'VIRTUAL_ENV = "/"', "runtime.environment.VIRTUAL_ENV"),
        (
            "runtime.environment",
            'NVIDIA_VISIBLE_DEVICES = "all"',
            "runtime.environment.NVIDIA_VISIBLE_DEVICES",
        ),
        ("runtime.environment", 'CUDA_VERSION = "12.8"', "runtime.environment.CUDA_VERSION"),
        ("image", 'repository = "ghcr.io/a/b:1"', "image.repository"),
        ("image", 'repository = "https://ghcr.io/a/b"', "image.repository"),
        ("image", 'tags = ["a b"]', "image.tags[0]"),
        ("image", 'tags = ["a", "a"]', "image.tags[1]"),
        ("image", 'platforms = ["linux/riscv64"]', "image.platforms[0]"),
        ("image", "platforms = []", "image.platforms"),
        (
            "image.labels",
            '"org.opencontainers.image.created" = "x"',
            'image.labels."org.opencontainers.image.created"',
        ),
        ("image.labels", '"dev.modelpack.x" = "x"', 'image.labels."dev.modelpack.x"'),
        ("checks", "lint = []", "checks.lint"),
        ("checks", 'lint = [""]', "checks.lint"),
        ("checks", 'lint = "ruff check"', "checks.lint"),
        ("test", 'golden = ["../x"]', "test.golden[0]"),
        ("test.limits", 'p96 = "1s"', "test.limits.p96"),
        ("test.limits", 'p95 = "1"', "test.limits.p95"),
        ("test.limits", 'memory = "1s"', "test.limits.memory"),
        ("evaluation", 'require = { f1 = ">= 1" }', "evaluation.report"),
        ("evaluation.require", 'f1 = "0.9"', "evaluation.require.f1"),
        ("scan", 'database-max-age = "week"', "scan.database-max-age"),
        ("scan", 'deny-licenses = ["A B"]', "scan.deny-licenses[0]"),
        (
            "scan",
            'ignore = [{ id = "CVE-1", reason = "r", expires = "2027-02-30" }]',
            "scan.ignore[0].expires",
        ),
        (
            "scan",
            'ignore = [{ id = "CVE-1", reason = "r", expires = 2027-01-01T00:00:00 }]',
            "scan.ignore[0].expires",
        ),
        ("scan", 'ignore = [{ id = "CVE-1", expires = 2027-01-01 }]', "scan.ignore[0].reason"),
        (
            "scan",
            'ignore = [{ id = "private-key", reason = "r", expires = 2027-01-01 }]',
            "scan.ignore[0].path",
        ),
        (
            "scan",
            'ignore = [{ id = "a-b", path = "app/x", reason = "r", expires = 2027-01-01 }]',
            "scan.ignore[0].path",
        ),
        (
            "scan",
            'ignore = [{ id = "CVE-1", package = "a b", reason = "r", expires = 2027-01-01 }]',
            "scan.ignore[0].package",
        ),
        (
            "scan",
            'ignore = [{ id = "CVE-1", state = "fine", reason = "r", expires = 2027-01-01 }]',
            "scan.ignore[0].state",
        ),
        (
            "scan",
            """ignore = [{ id = "A-1", reason = "r", expires = 2027-01-01 },
            { id = "A-1", reason = "s", expires = 2027-01-02 }]""",
            "scan.ignore[1].id",
        ),
        ("sign", 'require = ["scan", "scan"]', "sign.require[1]"),
        ("sign", 'require = ["luck"]', "sign.require[0]"),
        ("training", 'data = [{ name = "" }]', "training.data[0].name"),
        ("training", 'data = [{ name = "x", digest = "abc" }]', "training.data[0].digest"),
    ],
)
def test_bad_values_are_refused_where_they_stand(table, line, at):
    assert list(found(with_table(table, line))) == [at]


@pytest.mark.parametrize(
    "folder",
    ["/bin/x", "/dev", "/etc/models", "/home/me", "/lib64/x", "/opt/venv/x", "/opt", "/proc/1",
     "/root/m", "/run/m", "/sys/m", "/tmp/m", "/usr", "/usr/share/modelpack", "/var/lib/m"],
)  # fmt: skip
def test_weights_over_system_folders_are_refused(folder):
    problems = found(with_table("weights", f'destination = "{folder}"'))
    assert "system folder" in problems["weights.destination"][0]


@pytest.mark.parametrize("folder", ["/models/x", "/mnt/models", "/srv/m", "/opt/models", "/data"])
def test_other_folders_may_hold_weights(folder):
    text = with_table("weights", f'destination = "{folder}"')
    assert parse(text.encode()).weights[0].destination == folder


def weights_array(*tables: str) -> str:
    """Return the minimal file with these `[[weights]]`."""
    arrays = "\n".join(f"[[weights]]\n{table}" for table in tables)
    return MINIMAL.replace('[weights]\npath = "weights"', arrays)


def test_weights_may_not_share_a_name_or_lie_in_each_other():
    problems = found(
        weights_array(
            'path = "a"',
            'path = "b"\nname = "tiny"',
            'path = "c"\nname = "c"\ndestination = "/models/tiny/c"',
            'path = "d"',
        )
    )
    assert set(problems) == {"weights[1].name", "weights[2].destination", "weights[3].name"}
    assert problems["weights[3].name"][0] == "is missing"


@pytest.mark.parametrize(
    "base",
    ["debian:12", "python:3.12-slim", "nvidia/cuda:12.4.1-base", "docker.io/library/debian:11",
     "ghcr.io/a/b@sha256:" + "0" * 64],
)  # fmt: skip
def test_assembled_and_registry_bases_are_taken(base):
    text = with_table("runtime", f'base = "{base}"')
    assert parse(text.encode()).runtime.base == base


@pytest.mark.parametrize("license_", ["MIT", "Apache-2.0 OR MIT", "LicenseRef-Acme", "apache-2.0"])
def test_licence_expressions_are_taken(license_):
    text = with_table("model", f'license = "{license_}"')
    assert parse(text.encode()).model.license == license_


@pytest.mark.parametrize("char", ["\\u0000", "\\u001b", "\\n", "\\u007f", "\\u0085", "\\u202e"])
def test_control_characters_are_refused_everywhere(char):
    for table, line, at in (
        ("model", f'description = "a{char}b"', "model.description"),
        ("runtime.environment", f'A = "{char}"', "runtime.environment.A"),
        ("code", f'include = ["{char}"]', "code.include[0]"),
    ):
        assert "control character" in found(with_table(table, line))[at][0]


def test_keys_with_control_characters_are_refused():
    for table in ("runtime.environment", "image.labels", "checks", "evaluation.require"):
        value = '["x"]' if table == "checks" else '"x"'
        assert len(found(with_table(table, f'"a\\u001bb" = {value}'))) == 1


def test_what_depends_on_a_wrong_value_is_not_reported_too():
    problems = found(with_table("runtime", 'port = "80"\nhealth = { live = "/x" }'))
    assert list(problems) == ["runtime.port"]


def test_days_may_be_written_as_text_too():
    ignored = 'ignore = [{ id = "CVE-1-1", reason = "r", expires = "2027-01-31" }]'
    spec = parse(with_table("scan", ignored).encode())
    assert spec.scan.ignore[0].expires == date(2027, 1, 31)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"#" * (MAX_SIZE + 1), "larger than"),
        (b"a = 1\nb = '\xff'\n", "not UTF-8"),
        (b"\xef\xbb\xbfa = 1\n", "byte order mark"),
        (b"a = " + b"[" * 100_000, "nest"),
        (b"a = " + b"{a=" * 100_000, "nest"),
        (b"a = " + b"1" * 5000, "too long"),
        (b"a" + b".a" * 100_000 + b" = 1", "too many parts"),
        (b"\n[" + b"'x y' . " * 50 + b"a]", "too many parts"),
        (
            b"".join(b'"\\"%d"' % n + b'."\\""' * 90 + b" = 1\n" for n in range(900)),
            "too many parts",
        ),
    ],
)
def test_absurd_files_are_refused_without_a_traceback(data, message):
    with pytest.raises(InputError) as caught:
        parse(data)
    assert any(message in f.message for f in caught.value.findings)


def test_the_number_of_findings_is_bounded():
    keys = "".join(f"k{n} = 1\n" for n in range(5000))
    with pytest.raises(InputError) as caught:
        parse((keys + MINIMAL).encode())
    assert len(caught.value.findings) == 101
    assert caught.value.findings[-1].message == "and 4900 more problems"


@pytest.mark.parametrize(
    ("table", "line", "at"),
    [
        ("image", f"tags = {json.dumps([str(n) for n in range(1001)])}", "image.tags"),
        ("model", f'description = "{"x" * 8193}"', "model.description"),
        ("image.labels", "\n".join(f'k{n} = "x"' for n in range(1001)), "image.labels"),
    ],
)
def test_long_lists_texts_and_tables_are_refused(table, line, at):
    assert list(found(with_table(table, line))) == [at]


def test_more_than_a_thousand_weights_are_refused():
    tables = [f'path = "w"\nname = "w{n}"' for n in range(1001)]
    assert list(found(weights_array(*tables))) == ["weights"]


def test_every_key_of_the_file_has_a_description():
    assert set(spec_schema.DESCRIPTIONS) == set(spec_schema.places())
