"""`modelpack init`: what it finds in a folder, and that what it writes always parses."""

import json
import os
import struct
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelpack.cli.init import command, render
from modelpack.errors import InputError
from modelpack.inputs.guessing import looking
from modelpack.spec import Spec
from modelpack.spec import decoding as spec_decoding

SAFETENSORS = struct.pack("<Q", 2) + b"{}"


def write(root: Path, path: str, content: str | bytes) -> None:
    """Write one file below `root`."""
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content.encode() if isinstance(content, str) else content)


def written(root: Path) -> Spec:
    """Return the Spec of what init would write for `root`."""
    return spec_decoding.parse(render(looking.look(root)).encode())


@pytest.fixture
def model(tmp_path) -> Path:
    """A folder like a real project's."""
    root = tmp_path / "My Model (v2)"
    for path, content in {
        "weights/model-00001-of-00002.safetensors": SAFETENSORS * 9,
        "weights/model-00002-of-00002.safetensors": SAFETENSORS,
        "weights/model.safetensors.index.json": "{}",
        "weights/config.json": '{"architectures": ["BertModel"], "model_type": "bert"}',
        "weights/modules.json": "[]",
        "weights/tokenizer.json": "{}",
        "weights/vocab.txt": "a",
        "weights/README.md": "---\nlanguage: en\nlicense: apache-2.0\n---\n# A model\n",
        "requirements.in": "numpy\nuvicorn\n",
        "requirements.lock": f"numpy==2.0 --hash=sha256:{'0' * 64}\n",
        "service/__init__.py": "",
        "service/__main__.py": 'int(os.environ.get("PORT", "8080"))',
        "service/app.py": '@app.get("/healthz")\n@app.get("/readyz")\n@app.get("/metrics")',
        ".git/model.safetensors": SAFETENSORS * 99,
        ".venv/lib/big.safetensors": SAFETENSORS * 99,
        "dist/image/x.safetensors": SAFETENSORS * 99,
        "env3/pyvenv.cfg": "",
        "env3/x.safetensors": SAFETENSORS * 99,
    }.items():
        write(root, path, content)
    return root


def test_a_real_project_is_understood(model):
    spec = written(model)
    assert spec.model.name == "my-model-v2"
    assert (spec.model.license, spec.model.task) == ("Apache-2.0", "feature-extraction")
    assert (spec.model.architecture, spec.model.framework) == ("bert", "numpy")
    assert spec.weights[0].path == "weights"
    assert spec.weights[0].include == ("*.safetensors", "*.json", "vocab.txt")
    assert spec.weights[0].require == ("tokenizer.json", "vocab.txt")
    assert spec.code.command == ("python", "-m", "service")
    assert spec.code.include == ("service/**/*.py",)
    assert spec.dependencies.lockfile == "requirements.lock"
    assert spec.dependencies.source == "requirements.in"
    assert (spec.runtime.port, spec.runtime.device) == (8080, "cpu")
    assert (spec.runtime.health.live, spec.runtime.health.ready) == ("/healthz", "/readyz")
    assert spec.runtime.health.metrics == "/metrics"


@pytest.mark.parametrize(
    ("files", "path", "include", "framework"),
    [
        ({"model/m.onnx": "", "model/m.onnx.data": "", "model/config.json": "{}"}, "model",
         ("*.onnx", "*.data", "*.json"), "onnxruntime"),
        ({"m.onnx": "", "app.py": "", "package.json": "{}"}, ".", ("/*.onnx", "/package.json"),
         "onnxruntime"),
        ({"weights/m-Q4_K_M.gguf": ""}, "weights", ("*.gguf",), "llama-cpp-python"),
        ({"weights/m.ubj": ""}, "weights", ("*.ubj",), "xgboost"),
        ({"model.json": '{"learner":{}}', "package.json": "{}"}, ".", ("/model.json",), "xgboost"),
        ({"weights/m.json": '{"version":[2,1,0],"learner":{}}'}, "weights", ("*.json",), "xgboost"),
        ({"weights/m.npz": ""}, "weights", ("*.npz",), "numpy"),
        ({"a/m.onnx": "longer", "a/m.safetensors": ""}, "a", ("*.safetensors",), ""),
    ],
)  # fmt: skip
def test_models_of_other_formats_are_found(
    tmp_path: Path, files: dict[str, str], path: str, include: tuple[str, ...], framework: str
) -> None:
    for name, content in files.items():
        write(tmp_path, name, content)
    spec = written(tmp_path)
    assert (spec.weights[0].path, spec.weights[0].include) == (path, include)
    assert spec.model.framework == framework


def test_several_qualities_of_one_model_are_told(tmp_path):
    for name in ("m-Q4_K_M.gguf", "m-Q8_0.gguf"):
        write(tmp_path, f"weights/{name}", "")
    notes = looking.look(tmp_path).notes
    assert "weights: 2 GGUF files in `weights`" in notes
    assert any("which one is served" in note for note in notes)


def test_an_empty_folder_gives_a_file_that_parses_and_says_what_is_missing(tmp_path):
    spec = written(tmp_path)
    notes = " ".join(looking.look(tmp_path).notes)
    assert spec.weights[0].path == "weights"
    for words in ("no weights", "no entry point", "no requirements"):
        assert words in notes


@pytest.mark.parametrize(
    ("files", "command_", "port"),
    [
        (
            {"app.py": "app: FastAPI = FastAPI(title='x')\n"},
            ("python", "-m", "uvicorn", "app:app", "--host", "0.0.0.0", "--port", "8000"),
            8000,
        ),
        (
            {"srv/api.py": "api = fastapi.FastAPI()\n", "Dockerfile": "FROM x\nEXPOSE 9000\n"},
            ("python", "-m", "uvicorn", "srv.api:api", "--host", "0.0.0.0", "--port", "9000"),
            9000,
        ),
        ({"main.py": "run(port=5000)\n"}, ("python", "main.py"), 5000),
        ({"server.py": "print(1)\n"}, ("python", "server.py"), 0),
        (
            {"tests/__main__.py": "", "zoo/__main__.py": "", "api/__main__.py": ""},
            ("python", "-m", "api"),
            0,
        ),
    ],
)
def test_entry_points_and_ports_are_found(files, command_, port, tmp_path):
    for path, content in files.items():
        write(tmp_path, path, content)
    spec = written(tmp_path)
    assert (spec.code.command, spec.runtime.port) == (command_, port)


@pytest.mark.parametrize(
    ("files", "lockfile", "source", "note"),
    [
        ({"pylock.toml": "", "requirements.in": "x"}, "pylock.toml", "", "locked with hashes"),
        ({"requirements.txt": "a==1 --hash=sha256:0"}, "requirements.txt", "", "locked"),
        ({"requirements.txt": "a"}, "requirements.lock", "requirements.txt", "modelpack lock"),
        ({"uv.lock": ""}, "requirements.lock", "", "uv export"),
        ({"poetry.lock": ""}, "requirements.lock", "", "poetry export"),
        ({}, "", "", "no requirements found"),
    ],
)
def test_dependencies_are_found_locked_or_not(files, lockfile, source, note, tmp_path):
    for path, content in files.items():
        write(tmp_path, path, content)
    spec = written(tmp_path)
    assert (spec.dependencies.lockfile, spec.dependencies.source) == (lockfile, source)
    assert note in " ".join(looking.look(tmp_path).notes)


def test_cuda_wheels_ask_for_a_gpu(tmp_path):
    write(tmp_path, "requirements.lock", "nvidia-cublas-cu12==1 --hash=sha256:0\ntorch==2\n")
    spec = written(tmp_path)
    assert (spec.runtime.device, spec.model.framework) == ("cuda", "torch")


def test_weights_at_the_top_are_named_so_that_code_is_not_packed_with_them(tmp_path):
    for name in ("model.safetensors", "config.json", "package.json", "a.py"):
        write(tmp_path, name, "{}")
    spec = written(tmp_path)
    assert spec.weights[0].path == "."
    assert spec.weights[0].include == ("/*.safetensors", "/config.json", "/package.json")


def test_linked_shards_of_a_hub_cache_count_and_linked_folders_do_not(tmp_path):
    write(tmp_path, "blobs/0a", SAFETENSORS)
    (tmp_path / "snapshot").mkdir()
    (tmp_path / "snapshot" / "model.safetensors").symlink_to("../blobs/0a")
    (tmp_path / "loop").symlink_to(".")
    assert written(tmp_path).weights[0].path == "snapshot"


def test_other_folders_with_weights_and_unsafe_formats_are_named(tmp_path):
    write(tmp_path, "a/x.safetensors", SAFETENSORS)
    write(tmp_path, "b/x.safetensors", SAFETENSORS * 2)
    assert looking.look(tmp_path).weights == "b"
    assert any("`a` holds safetensors too" in note for note in looking.look(tmp_path).notes)
    (tmp_path / "c").mkdir()
    write(tmp_path, "c/pytorch_model.bin", "x")
    assert any("pytorch_model.bin" in note for note in looking.look(tmp_path / "c").notes)


def test_a_licence_file_is_only_a_hint(tmp_path):
    write(tmp_path, "LICENSE", "                 Apache License\n  Version 2.0, January 2004\n")
    found = looking.look(tmp_path)
    assert found.license == "Apache-2.0"
    assert any("is it the weights'" in note for note in found.notes)


@pytest.mark.parametrize(
    "config",
    ["", "[]", "{", "[" * 100_000, '{"architectures": 5}',
     '{"architectures": [[]], "model_type": "a\\u001bb"}'],
)  # fmt: skip
def test_a_strange_config_is_no_obstacle(config, tmp_path):
    write(tmp_path, "model.safetensors", SAFETENSORS)
    write(tmp_path, "config.json", config)
    assert written(tmp_path).model.architecture == ""


def test_pipes_and_devices_are_never_opened(tmp_path):
    os.mkfifo(tmp_path / "config.json")
    os.mkfifo(tmp_path / "requirements.txt")
    (tmp_path / "app.py").symlink_to("/dev/zero")
    write(tmp_path, "model.safetensors", SAFETENSORS)
    assert written(tmp_path).dependencies.lockfile == ""


def test_a_folder_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(InputError):
        looking.look(tmp_path / "nowhere")


def test_init_prints_the_path_and_tells_its_guesses_on_stderr(model):
    result = CliRunner().invoke(command, [str(model)])
    assert result.exit_code == 0
    assert result.stdout == f"{model / 'modelpack.toml'}\n"
    assert "weights: 2 safetensors files in `weights`" in result.stderr
    assert "next: " in result.stderr
    spec_decoding.parse((model / "modelpack.toml").read_bytes())


def test_init_answers_in_json(model):
    result = CliRunner().invoke(command, [str(model), "--json", "-q"])
    document = json.loads(result.stdout)
    assert document["schema"] == 1
    assert document["path"] == str(model / "modelpack.toml")
    assert document["notes"]
    assert result.stderr == ""


def test_init_never_overwrites_unless_forced(tmp_path):
    file = tmp_path / "modelpack.toml"
    file.write_text("mine")
    result = CliRunner().invoke(command, [str(tmp_path)])
    assert isinstance(result.exception, InputError)
    assert file.read_text() == "mine"
    assert CliRunner().invoke(command, [str(tmp_path), "--force"]).exit_code == 0
    assert file.read_text() != "mine"
    assert [p.name for p in tmp_path.iterdir()] == ["modelpack.toml"]


@pytest.mark.parametrize("force", [[], ["--force"]])
def test_init_writes_through_no_link(force, tmp_path):
    target = tmp_path / "target"
    (tmp_path / "modelpack.toml").symlink_to(target if not force else "/dev/null")
    result = CliRunner().invoke(command, [str(tmp_path), *force])
    assert isinstance(result.exception, InputError)
    assert not target.exists()


NAMES = st.one_of(
    st.sampled_from(["model.safetensors", "config.json", "README.md", "requirements.txt",
                     "requirements.in", "app.py", "__main__.py", "Dockerfile", "LICENSE",
                     "pyproject.toml", "tokenizer.json", "vocab.txt", "-x.safetensors"]),
    st.text(st.characters(exclude_characters="/\x00", exclude_categories=["Cs"]), min_size=1,
            max_size=8).filter(lambda name: name not in (".", "..")),
)  # fmt: skip
TEXTS = st.one_of(
    st.text(max_size=80),
    st.sampled_from(["---\nlicense: mit\n---\n", "---\nlicense: weird-1\n---\n", "EXPOSE 99999\n",
                     'version = "1.0+x"', 'version = "2.0"', "a = FastAPI()", "port=70000",
                     '{"architectures": ["XForCausalLM"], "model_type": "x y"}', '"/healthz" PORT',
                     "MIT License", "torch --hash=sha256:0"]),
)  # fmt: skip


@given(
    folder=NAMES,
    files=st.dictionaries(st.lists(NAMES, min_size=1, max_size=3).map(tuple), TEXTS, max_size=8),
)
@settings(
    max_examples=80,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_what_init_writes_always_parses(folder, files, tmp_path_factory):
    root = tmp_path_factory.mktemp("any") / folder
    try:
        root.mkdir()
        for parts, content in files.items():
            write(root, "/".join(parts), content)
    except OSError:
        pass  # one name for a file and a folder, or too long for this file system
    assert written(root)
