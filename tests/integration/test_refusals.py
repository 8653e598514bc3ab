"""What must not get into an image is refused by `check` and by `build`, whole and early.

Every case is a project with something wrong. Both commands say what it is, end with the right
status, touch nothing, and ask nobody: these projects have no lock, and there is no network.
"""

import gzip
import json
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from modelpack.oci.layout import Layout
from tests import projects
from tests.command_line import Done, run, run_here, state_of
from tests.hostile_files import (
    numpy_array,
    pickled,
    safetensors_file,
    tarred,
    torch_archive,
    with_header,
    zipped,
)
from tests.model_bytes import gguf, onnx, onnx_graph, onnx_outside, tokenizer, ubj, xgboost

Change = Callable[[Path], object]
TOML = projects.TOML.replace('path = "weights"\n', 'path = "weights"\ninclude = ["*"]\n')
KEY = "AKIA" + "Q3EGRIVRZMJJ5X7Q"
"looks like a secret, and is put together so that this file does not"
SHARD = "weights/model-00002-of-00002.safetensors"
INDEX = "weights/model.safetensors.index.json"


def write(path: str, data: bytes | str) -> Change:
    def change(project: Path) -> None:
        place = project / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data.encode() if isinstance(data, str) else data)

    return change


def link(path: str, target: str) -> Change:
    return lambda project: (project / path).symlink_to(target)


def remove(path: str) -> Change:
    return lambda project: (project / path).unlink()


def toml(old: str, new: str) -> Change:
    def change(project: Path) -> None:
        file = project / "modelpack.toml"
        text = file.read_text(encoding="utf-8")
        assert old in text
        file.write_text(text.replace(old, new, 1), encoding="utf-8")

    return change


def more(text: str) -> Change:
    return toml("[runtime]\n", f"{text}[runtime]\n")


def index(**owners: str) -> Change:
    return write(INDEX, json.dumps({"metadata": {}, "weight_map": owners}))


def undecodable(folder: str) -> Change:
    return lambda project: Path(os.fsdecode(os.fsencode(project / folder) + b"/\xff.json")).touch()


def deep(folder: str) -> Change:
    return write("/".join([folder, *["d"] * 70, "x.json"]), "{}")


def sparse(path: str, size: int) -> Change:
    def change(project: Path) -> None:
        with (project / path).open("wb") as file:
            file.truncate(size)

    return change


REFUSED: dict[str, tuple[Change, str]] = {
    "pickle named JSON": (write("weights/a.json", pickled(2)), "weights/a.json: a pickle that"),
    "pickle of protocol 0": (write("weights/a.txt", pickled(0)), "weights/a.txt: a pickle"),
    "pickle in a zip": (write("weights/a.bin", zipped({"x": pickled(4)})), "weights/a.bin: "),
    "pickle in a tar": (write("weights/a.txt", tarred({"x": pickled(4)})), "weights/a.txt: "),
    "pickle in gzip": (write("weights/a.txt", gzip.compress(pickled(4))), "weights/a.txt: "),
    "PyTorch": (write("weights/a.bin", torch_archive()), "weights/a.bin: "),
    "object array": (write("weights/a.npy", numpy_array("'|O'", pickled(2))), "weights/a.npy: "),
    "remote code": (write("weights/config.json", '{"auto_map": {"A": "b.C"}}'), "`auto_map`"),
    "script": (write("weights/load.py", "print(1)\n"), "weights/load.py: "),
    "program": (write("weights/a.json", b"\x7fELF\2\1\1" + bytes(99)), "weights/a.json: "),
    "polyglot": (
        write("weights/b.safetensors", safetensors_file() + zipped({"x": pickled(2)})),
        "weights/b.safetensors: ",
    ),
    "trailing bytes": (write(SHARD, safetensors_file() + b"x"), f"{SHARD}: "),
    "truncated": (write(SHARD, safetensors_file()[:-1]), f"{SHARD}: "),
    "gap": (write(SHARD, safetensors_file({"a": ("U8", [1], 1, 2)})), f"{SHARD}: "),
    "overlap": (
        write(SHARD, safetensors_file({"a": ("U8", [2], 0, 2), "b": ("U8", [2], 1, 3)})),
        f"{SHARD}: ",
    ),
    "no header": (write(SHARD, with_header(b"[]")), f"{SHARD}: "),
    "endless header": (write(SHARD, b"\xff" * 8), f"{SHARD}: "),
    "deep header": (write(SHARD, with_header(b'{"a":' * 100_000)), f"{SHARD}: "),
    "missing shard": (remove(SHARD), "1 of 2 shards are missing: 00002"),
    "index of a missing shard": (index(a="none.safetensors"), "`none.safetensors`"),
    "tensor in the wrong shard": (index(a=SHARD[8:], b=SHARD[8:]), f"{INDEX}: "),
    "index that is none": (write(INDEX, "[]"), f"{INDEX}: "),
    "auxiliary file missing": (
        toml('include = ["*"]\n', 'include = ["*"]\nrequire = ["tokenizer.json"]\n'),
        "weights.require: required file is missing: `tokenizer.json`",
    ),
    "auxiliary file damaged": (
        lambda project: (
            toml('include = ["*"]\n', 'include = ["*"]\nrequire = ["config.json"]\n')(project),
            write("weights/config.json", "{")(project),
        ),
        "weights/config.json: ",
    ),
    "ONNX that is cut off": (
        write("weights/m.onnx", onnx()[:-3]),
        "weights/m.onnx: is not a whole",
    ),
    "ONNX data elsewhere": (
        write("weights/m.onnx", onnx(onnx_graph(tensors=[onnx_outside("../../x")]))),
        "weights/m.onnx: tensor `w`: the path of its data is not plain",
    ),
    "GGUF that is cut off": (write("weights/m.gguf", gguf()[:-60]), "weights/m.gguf: tensor "),
    "XGBoost that is cut off": (
        write("weights/m.ubj", ubj(xgboost())[:-1]),
        "weights/m.ubj: is no whole model of XGBoost",
    ),
    "tokenizer that is none": (
        write("weights/tokenizer.json", "{}"),
        "weights/tokenizer.json: `model` is missing",
    ),
    "tokenizer of another model": (
        lambda project: (
            write("weights/tokenizer.json", tokenizer(9))(project),
            write("weights/config.json", '{"model_type": "x", "vocab_size": 8}')(project),
        ),
        "weights/tokenizer.json: it gives token 8, the model has 8 tokens",
    ),
    "secret in a side file": (write("weights/config.json", f'{{"a": "{KEY}"}}'), "config.json:1: "),
    "secret file beside the weights": (write("weights/.env", "A=1\n"), "weights/.env: "),
    "secret in the code": (write("service/a.py", f'K = "{KEY}"\n'), "service/a.py:1: "),
    "secret in the environment": (
        toml("[runtime]\n", f'[runtime]\nenvironment = {{ K = "{KEY}" }}\n'),
        "runtime.environment.K: ",
    ),
    "secret in a label": (more(f'[image]\nlabels = {{ "a.b" = "{KEY}" }}\n'), "image.labels.a.b: "),
    "secret in the command": (
        toml('"service"]', f'"service", "--key={KEY}"]'),
        "code.command.[3]: ",
    ),
    "login in a URL": (
        more('[training]\nrun = "https://me:' + 'Tr0ub4dor3@mlflow.example/1"\n'),
        "training.run: ",
    ),
    "code link that leaves": (link("service/b.py", "../../b.py"), "code: service/b.py: "),
    "code link to the machine": (link("service/a.py", "/etc/hostname"), "code: service/a.py: "),
    "code link to nothing": (link("service/a.py", "b.py"), "code: service/a.py: "),
    "weights link to nothing": (link("weights/a.json", "b.json"), "weights/a.json: "),
    "weights link in a circle": (link("weights/a", "."), "weights/a: "),
    "code name that steers": (write("service/\x1b[2Ja.py", ""), "code: service/\\x1b[2Ja.py: "),
    "code name with a line": (write("service/a\nerror.py", ""), "code: service/a\\nerror.py: "),
    "code name that turns": (write("service/\u202eyp.py", ""), "code: service/\\u202eyp.py: "),
    "code name in no encoding": (
        lambda project: (
            undecodable("service")(project),
            toml('"service/**/*.py"', '"**"')(project),
        ),
        "code: service/\\udcff.json: ",
    ),
    "weights name that steers": (write("weights/\x1b[2J.json", "{}"), "weights/\\x1b[2J.json: "),
    "weights name in no encoding": (undecodable("weights"), "weights/\\xdcff.json: "),
    "deep code": (
        lambda project: (deep("service")(project), toml('"service/**/*.py"', '"**"')(project)),
        "too deep",
    ),
    "deep weights": (deep("weights"), "nested deeper"),
    "huge code": (sparse("service/a.py", 600 << 20), "code: service/a.py: "),
    "no code": (toml('"service/**/*.py"', '"nothing/*.py"'), "code.include: no file is left"),
    "no weights": (toml('include = ["*"]', 'include = ["*.gguf"]'), "weights.include: no file in"),
}

WRONG: dict[str, tuple[Change, str]] = {
    "no weights folder": (toml('path = "weights"', 'path = "none"'), "there is no folder `none`"),
    "weights in a file": (toml('path = "weights"', f'path = "{SHARD}"'), "there is no folder"),
    "no code folder": (toml("[code]\n", '[code]\npath = "none"\n'), "`none` is not a folder"),
    "a name that steers": (toml('"tiny"', '"t\\u001b[2Jy"'), "model.name: "),
    "a label that steers": (more('[image]\nlabels = { "a.b" = "\\u009b2J" }\n'), "image.labels."),
    "unpinned requirements": (
        lambda project: (
            more('[dependencies]\nlockfile = "r.lock"\n')(project),
            write("r.lock", "a\nb>1\n")(project),
        ),
        "r.lock:2: ",
    ),
    "FIFO for requirements": (
        lambda project: (
            more('[dependencies]\nlockfile = "r.lock"\n')(project),
            os.mkfifo(project / "r.lock"),
        ),
        "r.lock: expected a regular file, found a FIFO",
    ),
    "no requirements": (more('[dependencies]\nlockfile = "r.lock"\n'), "`r.lock` is not there"),
    **{
        f"weights in {place}": (
            toml('include = ["*"]\n', f'include = ["*"]\ndestination = "{place}"\n'),
            f"weights.destination: `{place}`",
        )
        for place in ("/", "/etc", "/usr/lib", "/app", "/opt/venv", "/proc", "/models/../etc", "x")
    },
}


@dataclass
class Desk:
    """A good project without a lock, and how to type commands here."""

    folder: Path
    type: Callable[..., Done]

    def check(self, *options: str) -> Done:
        return self.type("check", self.folder, *options)

    def build(self, *options: str) -> Done:
        return self.type("build", self.folder, *options)


@pytest.fixture
def desk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Desk:
    monkeypatch.setenv("MODELPACK_CACHE", str(tmp_path / "cache"))
    for archive in ("MIRROR", "SECURITY_MIRROR", "SNAPSHOT"):
        monkeypatch.setenv(f"MODELPACK_DEBIAN_{archive}", "http://127.0.0.1:9/")
    folder = tmp_path / "project"
    projects.make_project(folder, tmp_path / "cache", toml=TOML, wheels=False)
    return Desk(folder, lambda *words: run_here(capsys, *words))


def expect_refusal(desk: Desk, text: str, status: int) -> None:
    before = state_of(desk.folder)
    for command in (desk.check, desk.build):
        done = command()
        assert done.status == status, done.err
        assert any(text in line for line in done.messages), done.err
        assert "reading the index" not in done.err
        document = command("--json").document
        assert document["schema"] == 1
        assert document["error"]["exit_code"] == status
        assert document["error"]["findings"]
    assert KEY not in done.err
    assert state_of(desk.folder) == before


def test_the_project_of_these_tests_has_nothing_wrong(desk: Desk) -> None:
    assert desk.check().out == "nothing found\n"
    assert desk.build("--locked", "--offline").status == 0


@pytest.mark.parametrize("case", REFUSED)
def test_what_must_not_get_in_is_refused(desk: Desk, case: str) -> None:
    change, text = REFUSED[case]
    (desk.folder / "modelpack.lock").unlink()
    change(desk.folder)
    expect_refusal(desk, text, 1)


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_said(desk: Desk, case: str) -> None:
    change, text = WRONG[case]
    (desk.folder / "modelpack.lock").unlink()
    change(desk.folder)
    expect_refusal(desk, text, 2)


@pytest.mark.parametrize("case", REFUSED)
def test_a_lock_does_not_let_it_in(desk: Desk, case: str) -> None:
    assert desk.build("--locked", "--offline").status == 0
    change, text = REFUSED[case]
    change(desk.folder)
    before = state_of(desk.folder)
    done = desk.build("--locked", "--offline")
    assert done.status == 1
    assert any(text in line for line in done.messages), done.err
    assert state_of(desk.folder) == before


def test_everything_that_is_wrong_is_said_in_one_run(desk: Desk) -> None:
    (desk.folder / "modelpack.lock").unlink()
    more('[dependencies]\nlockfile = "r.lock"\n[image]\nlabels = { "a.b" = "' + KEY + '" }\n')(
        desk.folder
    )
    chosen = (
        "pickle named JSON", "missing shard", "secret in the code", "code link that leaves",
        "secret in the environment", "login in a URL",
    )  # fmt: skip
    for case in chosen:
        REFUSED[case][0](desk.folder)
    write("r.lock", "numpy\n-e .\n")(desk.folder)
    for done in (desk.check(), desk.build()):
        assert done.status == 1
        for text in (
            *(REFUSED[case][1] for case in chosen),
            "image.labels.a.b",
            "r.lock:1",
            "r.lock:2",
        ):
            assert any(text in line for line in done.messages), text


def test_a_stale_lock_and_other_things_are_said_at_once(desk: Desk) -> None:
    toml("[runtime]\n", '[runtime]\npackages = ["libgomp1"]\n')(desk.folder)
    REFUSED["secret in the code"][0](desk.folder)
    REFUSED["pickle named JSON"][0](desk.folder)
    for done in (desk.check(), desk.build(), desk.build("--locked")):
        assert done.status == 1
        for text in (
            "runtime.packages changed",
            "service/a.py:1",
            "weights/a.json",
            "not in the lock",
        ):
            assert any(text in line for line in done.messages), done.err


def test_a_refusal_leaves_the_old_image(desk: Desk) -> None:
    assert desk.build("--locked", "--offline").status == 0
    before = state_of(desk.folder / "dist")
    write("service/a.py", f'K = "{KEY}"\n')(desk.folder)
    for options in ((), ("--no-cache",), ("--revision", "none")):
        assert desk.build("--locked", "--offline", *options).status == 1
    assert state_of(desk.folder / "dist") == before


def test_a_refused_first_build_leaves_no_output(desk: Desk, tmp_path: Path) -> None:
    write("service/a.py", f'K = "{KEY}"\n')(desk.folder)
    outputs = [f"oci:{tmp_path}/new/layout", f"oci-archive:{tmp_path}/other/a.tar"]
    before = state_of(tmp_path)
    words = [word for output in outputs for word in ("--output", output)]
    assert desk.build("--locked", "--offline", *words).status == 1
    after = state_of(tmp_path)
    assert {key for key in after if key not in before} <= {
        key for key in after if bytes.fromhex(key).startswith(b"cache")
    }


# What no process may open: with a time limit, in a process of its own.


def fifo(path: str) -> Change:
    return lambda project: os.mkfifo(project / path)


def replaced(path: str, change: Change) -> Change:
    return lambda project: (remove(path)(project), change(project))


def bound(path: str) -> Change:
    def change(project: Path) -> None:
        before = Path.cwd()
        os.chdir(project)  # a socket's path may be 100 bytes long
        try:
            with socket.socket(socket.AF_UNIX) as made:
                made.bind(path)
        finally:
            os.chdir(before)

    return change


SPECIAL: dict[str, tuple[Change, str]] = {
    "FIFO in the code": (fifo("service/a.py"), "code: service/a.py: not a regular file"),
    "socket in the code": (bound("service/a.py"), "code: service/a.py: not a regular file"),
    "FIFO in the weights": (
        fifo("weights/a.json"),
        "weights/a.json: not a regular file but a named pipe",
    ),
    "socket in the weights": (
        bound("weights/a.json"),
        "weights/a.json: not a regular file but a socket",
    ),
    "device in the weights": (link("weights/a.json", "/dev/zero"), "but a device"),
    "FIFO for a shard": (replaced(SHARD, fifo(SHARD)), f"{SHARD}: not a regular file"),
    "FIFO behind a link": (
        lambda project: (fifo("pipe")(project), link("weights/a.json", "../pipe")(project)),
        "weights/a.json: not a regular file",
    ),
    "FIFO for the lock": (
        replaced("modelpack.lock", fifo("modelpack.lock")),
        "modelpack.lock: expected a regular file",
    ),
    "device for the lock": (
        replaced("modelpack.lock", link("modelpack.lock", "/dev/zero")),
        "found a device",
    ),
    "FIFO for the spec": (
        replaced("modelpack.toml", fifo("modelpack.toml")),
        "modelpack.toml: expected a regular file",
    ),
    "device for the spec": (
        replaced("modelpack.toml", link("modelpack.toml", "/dev/zero")),
        "found a device",
    ),
    "folder for the lock": (
        replaced("modelpack.lock", lambda project: (project / "modelpack.lock").mkdir()),
        "found a folder",
    ),
}


@pytest.mark.parametrize("case", SPECIAL)
def test_what_must_not_be_opened_is_not_waited_for(case: str, desk: Desk, tmp_path: Path) -> None:
    change, text = SPECIAL[case]
    change(desk.folder)
    before = state_of(desk.folder)
    for words in (["check", desk.folder], ["build", desk.folder, "--offline"]):
        done = run(*words, cache=tmp_path / "cache")
        assert done.status in (1, 2)
        assert any(text in line for line in done.messages), done.err
    assert state_of(desk.folder) == before


# Exceptions by name, and links that are welcome


def label(folder: Path, name: str) -> str | None:
    store = Layout(folder / "dist" / "image")
    manifest = store.image(store.manifests()[0].digest)
    assert manifest.config is not None
    labels: dict[str, str] = json.loads(store.read(manifest.config))["config"]["Labels"]
    return labels.get(name)


def test_an_exception_by_name_lets_one_file_in_and_shows(desk: Desk, tmp_path: Path) -> None:
    harmless = b"\x80\x02}q\x00X\x01\x00\x00\x00aq\x01K\x01s."
    write("weights/scaler.pkl", harmless)(desk.folder)
    write("weights/other.pkl", harmless)(desk.folder)
    toml('include = ["*"]\n', 'include = ["*"]\nallow-unsafe = ["scaler.pkl"]\n')(desk.folder)
    (desk.folder / "modelpack.lock").unlink()
    done = desk.check()
    assert done.status == 1
    assert [line for line in done.messages if line.startswith("error")] == [
        "error: weights/other.pkl: a pickle"
    ]
    (desk.folder / "weights" / "other.pkl").unlink()
    done = desk.check()
    assert done.status == 0
    assert "warning: weights/scaler.pkl: a pickle" in done.out
    projects.write_lock(desk.folder, tmp_path / "cache", wheels=False)
    assert desk.build("--offline").status == 0
    assert label(desk.folder, "dev.modelpack.weights.unsafe") == "weights.pickle scaler.pkl"
    shown = desk.type("inspect", desk.folder)
    assert "weights.pickle scaler.pkl" in shown.out
    document = desk.type("inspect", desk.folder, "--json").document
    assert document["claims"]["unsafe"] == ["weights.pickle scaler.pkl"]


def test_an_exception_that_excepts_nothing_is_refused(desk: Desk) -> None:
    (desk.folder / "modelpack.lock").unlink()
    toml('include = ["*"]\n', 'include = ["*"]\nallow-unsafe = ["gone.pkl"]\n')(desk.folder)
    expect_refusal(desk, "weights.allow-unsafe: `gone.pkl` excepts nothing", 1)


def test_without_an_exception_there_is_no_label(desk: Desk) -> None:
    assert desk.build("--locked", "--offline").status == 0
    assert label(desk.folder, "dev.modelpack.weights.unsafe") is None


def test_the_cache_of_a_hub_is_packed_by_content(desk: Desk, tmp_path: Path) -> None:
    plain = desk.build("--locked", "--offline").out
    hub = tmp_path / "hub" / "models--acme--tiny"
    snapshot = hub / "snapshots" / "4f2a"
    snapshot.mkdir(parents=True)
    (hub / "blobs").mkdir()
    for number, path in enumerate(sorted((desk.folder / "weights").iterdir())):
        path.rename(hub / "blobs" / str(number))
        (snapshot / path.name).symlink_to(f"../../blobs/{number}")
    (desk.folder / "weights").rmdir()
    (desk.folder / "weights").symlink_to(snapshot)
    assert desk.check().out == "nothing found\n"
    assert desk.build("--locked", "--offline").out == plain
    (desk.folder / "modelpack.lock").unlink()
    projects.write_lock(desk.folder, tmp_path / "cache", wheels=False)
    assert desk.build("--locked", "--offline").out == plain
