"""The frame of the command line: names, options, errors, exit statuses, what it imports."""

import ast
import errno
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click
import pytest

from modelpack import __main__ as process
from modelpack import cli
from modelpack.cli import COMMANDS, display, environment, group
from modelpack.cli.display.terminal import Terminal, progress_for
from modelpack.cli.frame import failure, output
from modelpack.errors import Finding, InputError, Refused, StaleLock, Unavailable
from modelpack.progress import SILENT

HEAVY = {
    "asyncio", "deflate", "email", "hashlib", "http", "installer", "jinja2", "packaging", "pip",
    "piptools", "pysequoia", "safetensors", "socket", "sqlite3", "ssl", "subprocess", "tarfile",
    "tempfile", "tomli", "tomllib", "unittest", "urllib", "xml", "zipfile", "zstandard",
}  # fmt: skip


def modelpack(*arguments: str, **options) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own."""
    environ = {**os.environ, **options.pop("env", {})}
    return subprocess.run(
        [sys.executable, "-m", "modelpack", *arguments],
        capture_output=True, text=True, check=False, env=environ, timeout=60, **options,
    )  # fmt: skip


@contextmanager
def extra_command(name: str, command: click.Command) -> Iterator[None]:
    """Put a command into the table for a while."""
    module = type(sys)(f"modelpack.cli.{name}")
    module.command = command
    sys.modules[module.__name__] = module
    COMMANDS[name] = "a test"
    try:
        yield
    finally:
        del COMMANDS[name], sys.modules[module.__name__]


def run(capsys, *arguments: str) -> tuple[int, str, str]:
    """Run the command line in this process; return exit status, stdout and stderr."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        with pytest.raises(SystemExit) as stopped:
            process.main(list(arguments))
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    captured = capsys.readouterr()
    return stopped.value.code, captured.out, captured.err


def raising(error: BaseException) -> click.Command:
    """Return a command that raises `error`."""

    @click.command("boom")
    def command() -> None:
        raise error

    return command


def test_help_names_every_command_with_its_text(capsys):
    status, out, _ = run(capsys, "--help")
    assert status == 0
    for name, text in COMMANDS.items():
        assert f"{name} " in out
        assert text in out


def test_every_file_of_the_command_line_is_a_command():
    files = {path.stem for path in Path(cli.__file__).parent.glob("*.py")} - {"__init__"}
    assert files == {*COMMANDS}


@pytest.mark.parametrize("name", list(COMMANDS))
def test_no_command_is_made_of_another(name):
    tree = ast.parse((Path(cli.__file__).parent / f"{name}.py").read_text())
    imported = {
        f"{node.module}.{alias.name}."
        for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }  # fmt: skip
    commands = tuple(f"modelpack.cli.{command}." for command in COMMANDS)
    assert [one for one in imported if one.startswith(commands)] == []


@pytest.mark.parametrize("name", list(COMMANDS))
def test_every_command_is_there_and_takes_the_options_of_all(name, capsys):
    command = group.get_command(click.Context(group), name)
    assert command is not None
    assert command.name == name
    leaves = command.commands.values() if isinstance(command, click.Group) else [command]
    for leaf in leaves:
        options = {option for param in leaf.params for option in param.opts}
        assert {"--json", "-q", "-v"} <= options
        assert leaf.help
    status, out, _ = run(capsys, name, "--help")
    assert status == 0
    assert out.startswith(f"Usage: modelpack {name}")


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], []])
def test_help_imports_nothing_heavy(arguments):
    code = (
        "import sys; from modelpack.__main__ import main\n"
        f"try: main({arguments})\nexcept SystemExit: pass\n"
        "print('\\n' + ' '.join(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stderr.splitlines()[-1].split())
    assert not HEAVY & loaded
    ours = {name for name in loaded if name.startswith("modelpack")}
    assert ours <= {
        "modelpack", "modelpack.__main__", "modelpack.cli", "modelpack.cli.frame",
        "modelpack.cli.frame.completing", "modelpack.cli.frame.output",
    }  # fmt: skip


def test_the_version_is_printed(capsys):
    from modelpack import __version__

    assert run(capsys, "--version") == (0, f"modelpack {__version__}\n", "")


def test_an_unknown_command_is_answered_with_the_similar_one(capsys):
    status, out, err = run(capsys, "biuld")
    assert (status, out) == (2, "")
    assert err == "error: no command `biuld`\n  hint: did you mean `build`?\n"


def test_an_unknown_option_is_an_error_of_usage(capsys):
    status, _, err = run(capsys, "schema", "--nonsense")
    assert status == 2
    assert err.startswith("error: no such option")
    assert "hint: modelpack schema --help" in err


@pytest.mark.parametrize(
    ("error", "status"),
    [(Refused("no"), 1), (InputError("bad"), 2), (StaleLock("old"), 2), (Unavailable("gone"), 3),
     (OSError(errno.ENOSPC, "No space left on device", "/x"), 3), (RuntimeError("oops"), 70),
     (KeyboardInterrupt(), 130), (process.Terminated(), 143), (RecursionError("deep"), 70)],
)  # fmt: skip
def test_every_end_has_its_exit_status_and_no_traceback(error, status, capsys):
    with extra_command("boom", raising(error)):
        got, out, err = run(capsys, "boom")
    assert got == status
    assert out == ""
    assert "Traceback" not in err
    assert len(err.splitlines()) <= 2


def test_findings_are_lines_with_place_and_hint(capsys):
    error = Refused(
        Finding(message="bad thing", at="weights[1].path", hint="do this"),
        Finding(message="odd thing", severity="warning"),
    )
    with extra_command("boom", raising(error)):
        _, _, err = run(capsys, "boom")
    assert err == "error: weights[1].path: bad thing\n  hint: do this\nwarning: odd thing\n"


def test_findings_are_json_when_asked_for(capsys):
    with extra_command("boom", raising(InputError("bad", at="x", hint="y"))):
        status, out, err = run(capsys, "boom", "--json")
    assert (status, err) == (2, "")
    assert json.loads(out) == {
        "schema": 1,
        "error": {
            "exit_code": 2,
            "findings": [
                {"message": "bad", "at": "x", "hint": "y", "rule": "", "severity": "error"}
            ],
        },
    }


def test_a_fault_of_ours_shows_its_traceback_only_with_v(capsys):
    with extra_command("boom", raising(RuntimeError("oops"))):
        _, _, brief = run(capsys, "boom")
        _, _, long = run(capsys, "boom", "-v")
    assert brief.startswith("error: internal error: RuntimeError: oops\n  hint: ")
    assert "Traceback" in long


def test_hostile_text_cannot_steer_the_terminal_or_pose_as_an_error():
    text = display.finding(Finding(message="a\x1b[2J\nerror: all is lost", at="b\r\u202ec"))
    assert text == "error: b\\r\\u202ec: a\\x1b[2J\n    error: all is lost"


def test_usage_errors_are_escaped_too(capsys):
    _, _, err = run(capsys, "schema", "--\x1b[31m")
    assert "\x1b" not in err


def test_a_closed_pipe_ends_quietly():
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "modelpack", "schema"],
            stdout=writer, stderr=subprocess.PIPE, check=False, timeout=60,
        )  # fmt: skip
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (process.NO_READER, b"")


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGTERM, 143), (signal.SIGHUP, 143), (signal.SIGINT, 130)]
)
def test_signals_unwind_so_that_temporary_files_go(number, status, tmp_path):
    code = f"""
import sys, tempfile, time, click
from modelpack.cli import COMMANDS
from modelpack.__main__ import main
@click.command("wait")
def command():
    with tempfile.TemporaryDirectory(dir={str(tmp_path)!r}):
        print("ready", flush=True)
        time.sleep(60)
module = type(sys)("modelpack.cli.wait")
module.command = command
sys.modules["modelpack.cli.wait"] = module
COMMANDS["wait"] = ""
main(["wait"])
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as running:
        assert running.stdout.readline() == b"ready\n"
        running.send_signal(number)
        assert running.wait(timeout=30) == status
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_name_the_variable_they_set(shell, capsys):
    status, out, _ = run(capsys, "completion", shell)
    assert status == 0
    assert f"_MODELPACK_COMPLETE={shell}_complete" in out


def test_a_shell_gets_the_commands_that_fit():
    done = modelpack(
        env={
            "_MODELPACK_COMPLETE": "bash_complete", "COMP_WORDS": "modelpack c", "COMP_CWORD": "1"
        }
    )  # fmt: skip
    assert done.returncode == 0
    assert set(done.stdout.split()) == {
        f"plain,{name}" for name in COMMANDS if name.startswith("c")
    }


def test_schema_prints_a_json_schema(capsys):
    _, out, _ = run(capsys, "schema")
    assert json.loads(out)["$schema"].endswith("2020-12/schema")


def test_quiet_commands_say_nothing_and_still_give_the_result(capsys):
    talk = output.Output(as_json=False, quiet=True, verbose=False)
    talk.say("hello")
    talk.result(text="the result", document={})
    assert capsys.readouterr() == ("the result\n", "")
    assert talk.progress() is SILENT


def test_a_json_result_begins_with_its_schema(capsys):
    talk = output.Output(as_json=True, quiet=False, verbose=False)
    talk.result(text="", document={"digest": "x", "paths": ("a",)})
    out = capsys.readouterr().out
    assert out.startswith('{\n  "schema": 1,')
    assert json.loads(out) == {"schema": 1, "digest": "x", "paths": ["a"]}


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1 kB"), (55_400_000, "55.4 MB"), (999_999, "1 MB"),
     (1_210_000_000, "1.21 GB"), (80 << 30, "85.9 GB")],
)  # fmt: skip
def test_sizes_read_well(count, text):
    assert display.size(count) == text


@pytest.mark.parametrize(
    ("count", "text"), [(312, "312"), (22_713_216, "22.7M"), (7_241_732_096, "7.24B")]
)
def test_counts_read_well(count, text):
    assert display.number(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.42, "0.4 s"), (12.4, "12 s"), (60, "1 min"), (200, "3 min 20 s"), (3600, "1 h"),
     (7500, "2 h 5 min"), (86_400, "1 d"), (90_000, "1 d 1 h")],
)  # fmt: skip
def test_durations_read_well(seconds, text):
    assert display.duration(seconds) == text


def test_tables_align_columns_and_wide_characters():
    text = display.table([("a", "1"), ("你好", "22")], head=("name", "n"), right=(1,))
    assert text == "name   n\na      1\n你好  22"


def test_tables_fit_the_terminal_and_are_whole_without_one():
    rows = [("x" * 30, "y")]
    assert display.table(rows, width=10) == "x" * 9 + "…"
    assert display.table(rows, width=0) == "x" * 30 + "  y"


def test_cells_cannot_break_out_of_the_table():
    assert "\n" not in display.table([("a\nb", "c\x1b[0m")])
    assert display.table([]) == ""


@dataclass
class Clock:
    """A clock that moves when told."""

    now: float = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_short_task_shows_no_bar():
    stream, clock = io.StringIO(), Clock()
    with Terminal(stream=stream, bars=True, clock=clock).task("hash", 100) as advance:
        clock.now += 0.9
        advance(50)
    assert stream.getvalue() == ""


def test_a_long_task_shows_share_rate_and_time_left_and_then_goes():
    stream, clock = io.StringIO(), Clock()
    with Terminal(stream=stream, bars=True, clock=clock).task("ha\x1bsh", 4000) as advance:
        clock.now += 2
        advance(1000)
    shown, _, after = stream.getvalue().removeprefix("\r\x1b[K").rpartition("\r\x1b[K")
    assert after == ""
    assert shown == "ha\\x1bsh █████░░░░░░░░░░░░░░░  25% 1 kB of 4 kB 500 B/s 6.0 s left"


def test_a_task_of_unknown_size_shows_what_is_done():
    stream, clock = io.StringIO(), Clock()
    with Terminal(stream=stream, bars=True, clock=clock).task("fetch", 0) as advance:
        clock.now += 2
        advance(1000)
    assert "fetch 1 kB 500 B/s" in stream.getvalue()


def test_the_bar_goes_when_work_is_interrupted():
    stream, clock = io.StringIO(), Clock()
    terminal = Terminal(stream=stream, bars=True, clock=clock)

    def work() -> None:
        with terminal.task("hash", 10) as advance:
            clock.now += 2
            advance(1)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()
    assert stream.getvalue().endswith("\r\x1b[K")


def test_without_a_terminal_there_are_messages_but_no_bars():
    stream, clock = io.StringIO(), Clock()
    terminal = Terminal(stream=stream, bars=False, clock=clock)
    with terminal.task("hash", 10) as advance:
        clock.now += 5
        advance(5)
        terminal.say("half\n")
    assert stream.getvalue() == "half\\n\n"
    assert progress_for(quiet=True) is SILENT


def test_threads_may_advance_at_once():
    clock = Clock()
    terminal = Terminal(stream=io.StringIO(), bars=True, clock=clock)
    with terminal.task("hash", 8000) as advance:
        threads = [
            threading.Thread(target=lambda: [advance(1) for _ in range(1000)]) for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        clock.now += 2
        advance(0)
    assert "100%" in terminal.stream.getvalue()


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home of its own, without this machine's settings."""
    for name in ("MODELPACK_CACHE", "MODELPACK_CONFIG", "XDG_CACHE_HOME", "XDG_CONFIG_HOME",
                 "SOURCE_DATE_EPOCH"):  # fmt: skip
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(sys, "platform", "linux")
    return tmp_path


def test_the_cache_is_where_the_platform_keeps_caches(home, monkeypatch):
    assert environment.cache_folder() == home / ".cache" / "modelpack"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert environment.cache_folder() == home / ".cache" / "modelpack"
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    assert str(environment.cache_folder()) == "/x/modelpack"
    monkeypatch.setenv("MODELPACK_CACHE", "/y")
    assert str(environment.cache_folder()) == "/y"
    monkeypatch.delenv("MODELPACK_CACHE")
    monkeypatch.setattr(sys, "platform", "darwin")
    assert environment.cache_folder() == home / "Library" / "Caches" / "modelpack"


@pytest.mark.parametrize(("text", "value"), [("", None), ("0", 0), ("1700000000", 1_700_000_000)])
def test_source_date_epoch_is_seconds(text, value, home, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", text)
    assert environment.source_date_epoch() == value


@pytest.mark.parametrize("text", ["-1", "1.5", "now", "9" * 12, "٣"])
def test_other_source_date_epochs_are_refused(text, home, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", text)
    with pytest.raises(InputError) as caught:
        environment.source_date_epoch()
    assert caught.value.findings[0].at == "SOURCE_DATE_EPOCH"


def test_the_machine_takes_mirrors_and_indexes_from_the_users_configuration(home):
    file = home / ".config" / "modelpack" / "config.toml"
    file.parent.mkdir(parents=True)
    file.write_text(
        '[mirrors]\ndebian = ["https://mirror.example/debian"]\n'
        '[indexes]\nacme = "https://pypi.acme.example/simple"\n'
    )
    machine = environment.machine(offline=True)
    assert machine.mirrors.debian == ("https://mirror.example/debian",)
    assert machine.indexes == {"pypi": None, "acme": "https://pypi.acme.example/simple"}
    assert machine.offline
    assert machine.threads >= 1
    assert abs(machine.now - time.time()) < 3600


def test_everything_wrong_with_the_users_configuration_is_said_at_once(home, monkeypatch):
    file = home / "settings.toml"
    file.write_text(
        'indexes = 5\n[mirors]\nx = 1\n[mirrors]\ndebain = "http://x"\nsnapshot = "y"\n'
    )
    monkeypatch.setenv("MODELPACK_CONFIG", str(file))
    with pytest.raises(InputError) as caught:
        environment.configuration()
    found = {f.at.removeprefix(f"{file}: "): f.hint for f in caught.value.findings}
    assert found == {
        "indexes": "write `[indexes]`",
        "mirors": "did you mean `mirrors`?",
        "mirrors.debain": "did you mean `debian`?",
        "mirrors.snapshot": "",
    }


def test_the_machine_takes_registries_and_bases_from_the_users_configuration(home, monkeypatch):
    file = home / "settings.toml"
    file.write_text(
        '[registries]\ninsecure = ["registry.lan:5000"]\n'
        'mirrors = { "docker.io" = "mirror.lan/hub" }\n'
        '[bases]\nallow = ["docker.io/library/python", "debian:13"]\n'
    )
    monkeypatch.setenv("MODELPACK_CONFIG", str(file))
    monkeypatch.setenv("DOCKER_CONFIG", str(home / "docker"))
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(home / "auth.json"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/1000")
    machine = environment.machine()
    assert machine.registries.insecure == {"registry.lan:5000"}
    assert machine.registries.mirrors == {"docker.io": "mirror.lan/hub"}
    assert machine.registries.credential_files[:3] == (
        home / "docker" / "config.json",
        home / "auth.json",
        Path("/run/user/1000/containers/auth.json"),
    )
    assert machine.bases == ("docker.io/library/python", "debian:13")


def test_without_a_configuration_every_base_is_allowed(home, monkeypatch):
    for name in ("DOCKER_CONFIG", "REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)
    machine = environment.machine()
    assert machine.bases is None
    assert machine.registries.credential_files == (
        home / ".docker" / "config.json",
        home / ".config" / "containers" / "auth.json",
    )


def test_every_wrong_word_about_registries_and_bases_is_said(home, monkeypatch):
    file = home / "settings.toml"
    file.write_text(
        '[registries]\ninsecur = []\ninsecure = ["http://x"]\nmirrors = { "a b" = "c.d" }\n'
        '[bases]\nalow = []\nallow = ["python", 7, "ghcr.io/A", "ghcr.io/*"]\n'
    )
    monkeypatch.setenv("MODELPACK_CONFIG", str(file))
    with pytest.raises(InputError) as caught:
        environment.configuration()
    found = {f.at.removeprefix(f"{file}: "): f.message for f in caught.value.findings}
    assert found == {
        "registries.insecur": "unknown key",
        "registries.insecure": "expected a list of hosts",
        "registries.mirrors.a b": "expected a host and where its repositories are",
        "bases.alow": "unknown key",
        "bases.allow[0]": "write the host out: `docker.io/…`",
        "bases.allow[1]": "expected a text",
        "bases.allow[2]": "not a repository: `A`",
    }


def test_findings_of_a_cause_show_it_with_v(capsys):
    error = InputError("bad")
    error.__cause__ = ValueError("why")
    failure.report(error, as_json=False, verbose=True)
    assert "ValueError: why" in capsys.readouterr().err
