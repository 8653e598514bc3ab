"""The door to BuildKit: which program and builder is found, what it is told, what is said of it."""

import tempfile
from pathlib import Path

import pytest

from modelpack.builders import buildkit
from modelpack.builders.build_log import BuildLog
from modelpack.builders.buildkit import Client
from modelpack.errors import InputError, ModelpackError, Refused, Unavailable
from modelpack.platform import Platform
from tests.fakes.programs import Programs, said

AMD64 = Platform("linux", "amd64")
ENGINE_BUILDER = """\
Name:          default
Driver:        docker
Last Activity: 2026-11-24 20:43:05 +0000 UTC

Nodes:
Name:             default
Endpoint:         default
Status:           running
BuildKit version: v0.8+unknown
Platforms:        linux/amd64, linux/386
Labels:
 org.mobyproject.buildkit.worker.executor: oci
"""
FAR_BUILDER = """\
Name:   far
Driver: kubernetes
Nodes:
Name:      far0
Status:    running
Buildkit:  v0.12.5
Platforms: linux/amd64*, linux/386
Name:      far1
Buildkit:  v0.12.5
Platforms: linux/arm64
"""
BUILDERS = """\
NAME/NODE   DRIVER/ENDPOINT                  STATUS    BUILDKIT   PLATFORMS
far         remote
 \\_ far0     \\_ unix:///run/buildkitd.sock   running   v0.26.3    linux/amd64
default*    docker
"""
NO_ENGINE = (
    "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. "
    "Is the docker daemon running?"
)


@pytest.fixture
def programs(tmp_path: Path) -> Programs:
    return Programs(tmp_path / "bin")


def printed(text: str) -> str:
    return f"cat <<'END'\n{text}END\n"


def engine(client: str, server: str) -> tuple[str, str]:
    return ("version*", f"echo {client} {server}")


def connect(programs: Programs, builder: str = "docker") -> Client:
    return buildkit.connect(builder, programs.environment)


def test_the_plugin_of_docker_goes_first(programs: Programs) -> None:
    programs.add("docker", ("buildx version", "exit 0"),
                 ("buildx inspect", printed(ENGINE_BUILDER)))  # fmt: skip
    programs.add("docker-buildx", ("inspect", printed(FAR_BUILDER)))
    found = connect(programs)
    assert found.argv == (str(programs.folder / "docker"), "buildx")
    assert (found.driver, found.version) == ("docker", "v0.8+unknown")
    assert found.platforms == {"linux/amd64", "linux/386"}
    assert not found.takes_layouts


@pytest.mark.parametrize("name", ["docker-buildx", "buildx"])
def test_buildx_by_itself_will_do(name: str, programs: Programs) -> None:
    programs.add(name, ("inspect far", printed(FAR_BUILDER)))
    found = connect(programs, "far")
    assert found.argv == (str(programs.folder / name),)
    assert found.platforms == {"linux/amd64", "linux/386", "linux/arm64"}
    assert found.takes_layouts


def test_an_old_docker_builds_without_buildx(programs: Programs) -> None:
    programs.add("docker", engine("20.10.24+dfsg1", "20.10.24+dfsg1"))
    found = connect(programs)
    assert (found.argv, found.buildx) == ((str(programs.folder / "docker"),), False)
    assert not found.takes_layouts


@pytest.mark.parametrize(
    ("driver", "version", "takes"),
    [
        ("docker", "v0.26.3", False), ("", "v0.26.3", False),
        ("remote", "v0.10.6", False), ("remote", "v0.11.0", True),
        ("docker-container", "v0.9.3", False), ("remote", "v1.0.0", True),
        ("kubernetes", "v0.0.0+unknown", True), ("remote", "", True),
    ],
)  # fmt: skip
def test_a_base_is_named_as_a_layout_where_it_is_known(
    driver: str, version: str, takes: bool
) -> None:
    client = Client(
        argv=("x",), builder="x", driver=driver, version=version, platforms=frozenset()
    )  # fmt: skip
    assert client.takes_layouts is takes


def failure(programs: Programs, builder: str = "docker") -> ModelpackError:
    with pytest.raises(ModelpackError) as caught:
        connect(programs, builder)
    assert len(caught.value.findings) == 1
    return caught.value


def test_without_docker_there_is_a_way(programs: Programs) -> None:
    error = failure(programs)
    assert isinstance(error, Unavailable)
    assert "neither `docker` nor `buildx` is in PATH" in str(error)
    assert "--builder embedded" in error.findings[0].hint


def test_a_named_builder_needs_buildx(programs: Programs) -> None:
    programs.add("docker", engine("20.10.24", "20.10.24"))
    assert "has no buildx" in str(failure(programs, "far"))


def test_a_new_docker_without_its_plugin_is_told_so(programs: Programs) -> None:
    programs.add("docker", engine("28.2.2", "20.10.24"))
    error = failure(programs)
    assert "Docker 28.2.2 builds with its buildx plugin, which is missing" in str(error)
    assert "docker-buildx-plugin" in error.findings[0].hint


@pytest.mark.parametrize(
    ("client", "server", "said_"),
    [
        ("19.03.15", "20.10.1", "the Docker client 19.03.15 is too old"),
        ("20.10.24", "18.09.1", "the Docker engine 18.09.1 is too old"),
        ("20.10.24", "dev", "the Docker engine dev is too old"),
    ],
)
def test_an_engine_that_is_too_old_is_named(
    client: str, server: str, said_: str, programs: Programs
) -> None:
    programs.add("docker", engine(client, server))
    assert said_ in str(failure(programs))


def test_an_engine_that_does_not_run_is_named(programs: Programs) -> None:
    programs.add("docker", ("version*", f"echo 20.10.24; {said(NO_ENGINE)}"))
    assert "does not answer: Cannot connect to the Docker daemon at unix:///var/run" in str(
        failure(programs)
    )


def test_an_engine_that_does_not_run_is_named_by_buildx_too(programs: Programs) -> None:
    silent = f"Name:   default\nDriver: \nError:  {NO_ENGINE}\n"
    programs.add("buildx", ("inspect", printed(silent)))
    assert "the Docker engine does not answer" in str(failure(programs))


def test_an_unknown_builder_is_told_with_those_that_are_known(programs: Programs) -> None:
    programs.add("buildx", ("inspect *", said('ERROR: no builder "fra" found')),
                 ("ls", printed(BUILDERS)))  # fmt: skip
    error = failure(programs, "fra")
    assert isinstance(error, InputError)
    assert "there is no builder `fra`; known: `embedded`, `docker`, `far`, `default`" in str(error)


@pytest.mark.parametrize("name", ["", "--help", "-D", "a b", "a/b", "x\n", "a" * 200])
def test_what_is_no_name_of_a_builder_reaches_no_program(name: str, programs: Programs) -> None:
    programs.add("buildx", otherwise="exit 0")
    error = failure(programs, name)
    assert isinstance(error, InputError)
    assert "is no name of a builder" in str(error)
    assert programs.calls == []


def test_a_builder_for_other_programs_is_not_even_tried(programs: Programs) -> None:
    programs.add("buildx", ("inspect", printed(ENGINE_BUILDER)))
    client = connect(programs)
    client.require(AMD64)
    with pytest.raises(Unavailable, match="cannot run programs for linux/arm64") as caught:
        client.require(Platform("linux", "arm64"))
    assert "it runs linux/386, linux/amd64" in str(caught.value)


def build(
    programs: Programs, tmp_path: Path, *, builder: str = "far", use_cache: bool = True
) -> bytes:
    client = Client(
        argv=(str(programs.folder / "buildx"),), builder=builder, driver="remote", version="",
        platforms=frozenset(),
    )  # fmt: skip
    with tempfile.TemporaryFile() as output:
        buildkit.build(
            client, tmp_path, output, platform=AMD64,
            contexts={"base": "oci-layout:///base@sha256:1"}, use_cache=use_cache,
            environment={**programs.environment, "HTTPS_PROXY": "http://me:secret@proxy"},
            log=BuildLog(lambda _: None, stages={}),
        )  # fmt: skip
        output.seek(0)
        return output.read()


def test_what_a_builder_is_told(programs: Programs, tmp_path: Path) -> None:
    programs.add("buildx", ("*", 'printf "tar $BUILDKIT_PROGRESS $HTTPS_PROXY"'))
    assert build(programs, tmp_path) == b"tar plain http://me:secret@proxy"
    build(programs, tmp_path, use_cache=False, builder="docker")
    first, second = (call.split() for call in programs.calls)
    assert first[:2] == ["buildx", "build"]
    assert first[-1] == str(tmp_path)
    for words in (
        "--builder far", "--platform linux/amd64", "--network none", "--progress plain",
        "--provenance=false", "--sbom=false", "--output type=tar,dest=-",
        "--build-context base=oci-layout:///base@sha256:1",
    ):  # fmt: skip
        assert words in " ".join(first)
    assert "--no-cache" not in first
    assert "--no-cache" in second
    assert "--builder" not in second
    assert "secret" not in " ".join((*first, *second))


FAILED_STEP = """\
#4 [base 1/1] ADD base-1.tar /
#4 DONE 0.7s

#5 [environment 2/3] RUN --mount=type=bind,target=/modelpack ["/opt/venv/bin/python"]
#5 0.965 Processing ./wheels/demo-1.0-py3-none-any.whl
#5 0.988 ERROR: demo-1.0 is not a supported wheel on this platform.
#5 ERROR: process "/opt/venv/bin/python -I" did not complete successfully: exit code: 1
------
 > [environment 2/3] RUN:
0.988 ERROR: demo-1.0 is not a supported wheel on this platform.
------
ERROR: failed to build: failed to solve: process did not complete successfully: exit code: 1"""


@pytest.mark.parametrize(
    ("text", "kind", "message", "hint"),
    [
        (FAILED_STEP, Refused, "builder `far` could not install the wheels", "modelpack check"),
        (
            FAILED_STEP.replace("exit code: 1", "exit code: 137"), Refused,
            "could not install the wheels", "lack of memory",
        ),
        (
            ("#5 [environment 1/3] RUN x\n#5 0.1 x\n#5 ERROR: executor failed running [x]: "
            "exit code: 3\nexecutor failed running [x]: exit code: 3"), Refused,
            "could not install the wheels", "modelpack check",
        ),
        (
            ("#5 [environment 2/3] RUN x\n#5 0.3 OSError: [Errno 28] No space left on device\n"
            '#5 ERROR: process "x" did not complete successfully: exit code: 1'), Unavailable,
            "no space is left", "docker buildx prune",
        ),
        ("ERROR: write /dev/stdout: no space left on device", Unavailable, "no space is left", ""),
        (
            ("#5 [environment 1/3] RUN x\n#5 0.1 exec /usr/bin/python3.13: exec format error\n"
            '#5 ERROR: process "x" did not complete successfully: exit code: 255'), Unavailable,
            "builder `far` cannot run programs for linux/amd64", "binfmt",
        ),
        (
            ("#1 [internal] waiting for connection\n#1 ERROR: context deadline exceeded\n"
            "ERROR: failed to build: context deadline exceeded"), Unavailable,
            "builder `far` does not answer", "--bootstrap",
        ),
        (
            ("ERROR: failed to receive status: rpc error: code = Unavailable desc = error reading "
            "from server: EOF"), Unavailable, "builder `far` ended while it was building", "",
        ),
        ("unknown flag: --provenance", Unavailable, "too old: unknown flag: --provenance", "20.10"),
        (NO_ENGINE, Unavailable, "the Docker engine does not answer", "DOCKER_HOST"),
        (
            "permission denied while trying to connect to the Docker daemon socket at unix:///x",
            Unavailable, "this user may not speak to the Docker engine", "group `docker`",
        ),
        ("something else", Unavailable, "builder `far` failed", "inspect"),
    ],
)  # fmt: skip
def test_every_failure_is_one_message(
    text: str, kind: type[ModelpackError], message: str, hint: str, programs: Programs,
    tmp_path: Path,
) -> None:  # fmt: skip
    programs.add("buildx", otherwise=said(text))
    with pytest.raises(ModelpackError) as caught:
        build(programs, tmp_path)
    (finding,) = caught.value.findings
    assert type(caught.value) is kind
    assert message in finding.message.splitlines()[0]
    assert hint in finding.hint
    assert finding.hint


def test_the_last_lines_of_the_step_that_failed_are_shown(
    programs: Programs, tmp_path: Path
) -> None:
    programs.add("buildx", otherwise=said(FAILED_STEP))
    with pytest.raises(Refused) as caught:
        build(programs, tmp_path)
    assert caught.value.findings[0].message.splitlines()[1:] == [
        "Processing ./wheels/demo-1.0-py3-none-any.whl",
        "ERROR: demo-1.0 is not a supported wheel on this platform.",
    ]


def test_a_step_that_never_ends_talking_is_not_kept() -> None:
    log = BuildLog(lambda _: None, stages={})
    log.take("#7 [environment 2/3] RUN pip")
    for number in range(10_000):
        log.take(f"#7 {number}.0 {'x' * 10_000}")
        log.take(f"#{number + 8} [another] step")
        log.take("and " * 10_000)
    assert len(log.text) < 50_000


def test_stages_are_told_once_when_they_begin() -> None:
    told: list[str] = []
    log = BuildLog(told.append, stages={"/pip": "installing", "settle": "compiling"})
    for line in (
        '#5 [environment 2/3] RUN ["/x/pip"]', "#5 sha256:1", "#5 0.1 /pip says",
        "#5 DONE 1.0s", "#6 [environment 3/3] RUN settle", "#6 CACHED",
    ):  # fmt: skip
        log.take(line)
    assert told == ["installing", "compiling"]
