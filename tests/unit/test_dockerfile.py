"""The Dockerfile of a plan: which instructions, in which order, from which places."""

from dataclasses import replace

import jinja2
import pytest

from modelpack import dockerfile, plan, templates
from modelpack.dockerfile import Dockerfile, Options
from modelpack.errors import InputError
from modelpack.inputs import weights_image
from modelpack.inputs.python.pip_wheel import PIP
from modelpack.lock import OWN_LAYER, Lock
from modelpack.platform import Platform
from modelpack.spec import Image, Runtime, Spec, Weights
from tests import dockerfile_reading, values

TEMPLATE = templates.text(dockerfile.TEMPLATE)


def locked(**changes) -> Lock:
    return values.lock(platforms=(values.platform_lock(**changes),))


def render(
    spec: Spec | None = None, lock: Lock | None = None, *, template: str = TEMPLATE,
    name: str = "Dockerfile", **options: bool,
) -> tuple[plan.Plan, Dockerfile]:  # fmt: skip
    spec, lock = spec or values.spec(), lock or values.lock()
    (platform,) = lock.platforms
    made = plan.make(
        spec, lock, values.source(), platform, weights_image=weights_image.digest(spec, lock)
    )
    return made, dockerfile.render(
        made, spec, lock, platform, template=template, pip=PIP, name=name,
        options=Options(**options),
    )  # fmt: skip


def stages(one: Dockerfile) -> list[list[dockerfile_reading.Instruction]]:
    return dockerfile_reading.stages(dockerfile_reading.read(one.text))


def names(one: Dockerfile) -> list[list[str]]:
    return [[instruction.name for instruction in stage] for stage in stages(one)]


def copies(one: Dockerfile) -> list[list[str]]:
    return [instruction.words for instruction in stages(one)[-1] if instruction.name == "COPY"]


CONFIGURATION = ["LABEL", "ENV", "EXPOSE", "WORKDIR", "USER", "STOPSIGNAL", "HEALTHCHECK",
                 "ENTRYPOINT", "CMD"]  # fmt: skip


def test_three_stages_base_environment_and_image():
    made, one = render()

    assert names(one) == [
        ["FROM", "ADD"],
        ["FROM", "WORKDIR", "RUN", "COPY", "ARG", "ARG", "ARG", "RUN", "COPY", "RUN"],
        ["FROM", "COPY", "COPY", "COPY", "COPY", *CONFIGURATION],
    ]
    assert dockerfile_reading.configuration(stages(one)[-1]) == made.config


def test_code_and_meta_come_last():
    _, one = render()

    assert copies(one) == [
        ["/opt/venv", "/opt/venv"],
        ["weights/digits/small/", "/models/digits/"],
        ["code/", "/app/"],
        ["meta/", "/usr/share/modelpack/"],
    ]


def test_pip_installs_locked_wheels_and_nothing_else():
    _, one = render()
    create, install, settle = (i.array for i in stages(one)[1] if i.name == "RUN")

    assert create == ["/usr/bin/python3.13", "-I", "-m", "venv", "--without-pip", "/opt/venv"]
    assert install[:4] == ["/opt/venv/bin/python", "-I", f"{PIP.filename}/pip", "install"]
    assert {"--require-hashes", "--only-binary=:all:", "--no-deps", "--no-compile"} <= {*install}
    assert settle[2:] == ["environment.py", "/opt/venv", "/usr/bin/python3.13", "unchecked-hash"]
    assert one.requirements == {
        "amd64/requirements.txt": "# Made by `modelpack render`\n"
        f"numpy==2.4.0 --hash=sha256:{values.sha('3')}\n"
    }
    assert not one.wheels


def test_wheels_in_the_context_need_no_index_and_no_network():
    _, one = render(wheels=True)
    install = [i.array for i in stages(one)[1] if i.name == "RUN"][1]

    assert "ARG" not in names(one)[1]
    assert install[4:7] == ["--no-index", "--find-links", "wheels"]
    assert list(one.wheels) == ["amd64/wheels/numpy-2.4.0-cp313-cp313-any.whl"]
    assert "docker build --network none --file Dockerfile" in one.text


def test_without_wheels_there_is_no_environment():
    _, one = render(lock=locked(wheels=()))

    assert names(one)[:-1] == [["FROM", "ADD"]]
    assert copies(one)[0] == ["weights/digits/small/", "/models/digits/"]
    assert not one.requirements
    assert one.folders == {"amd64", "code", "meta", "weights"}


def test_base_from_a_registry_is_pinned_by_digest():
    _, one = render(lock=locked(base=values.image_base()))
    base, environment, image = stages(one)

    assert [i.rest for i in base] == [
        f"docker.io/library/python:3.13-slim@{values.digest('8')} AS base"
    ]
    assert [i.rest for i in environment if i.name == "USER"] == ["0:0"]
    assert image[0].rest == "base"
    assert not one.archive


def test_reference_with_a_digest_keeps_one_digest():
    base = values.image_base(reference=f"ghcr.io/acme/base:1@{values.digest('c')}")
    _, one = render(lock=locked(base=base))

    assert stages(one)[0][0].rest == f"ghcr.io/acme/base:1@{values.digest('8')} AS base"


def test_health_check_of_a_foreign_base_does_not_stay():
    spec = values.spec(runtime=Runtime())
    _, assembled = render(spec)
    _, foreign = render(spec, locked(base=values.image_base()))

    assert "HEALTHCHECK" not in names(assembled)[-1]
    assert [i.rest for i in stages(foreign)[-1] if i.name == "HEALTHCHECK"] == ["NONE"]


def test_foreign_base_gets_a_home_for_our_user():
    _, one = render(lock=locked(base=values.image_base()))
    (copy,) = (i for i in stages(one)[-1] if i.name == "COPY" and i.flags and "chown" in i.flags[0])

    assert (copy.flags, copy.words) == (("--chown=10001:0",), ["home/", "/home/"])
    assert one.home == "home/app"
    assert "home" in one.folders
    assert not render()[1].home


def test_foreign_base_takes_no_gpu_that_nobody_gave():
    gpu, own = Runtime(device="cuda"), {"NVIDIA_VISIBLE_DEVICES": "0"}
    lock = locked(base=values.image_base())
    config = [
        dockerfile_reading.configuration(stages(render(spec, with_lock)[1])[-1])["Env"]
        for spec, with_lock in (
            (values.spec(runtime=gpu), lock),
            (values.spec(runtime=replace(gpu, environment=own)), lock),
            (values.spec(runtime=gpu), None),
        )
    ]

    found = [[v for v in env if v.startswith("NVIDIA_VISIBLE")] for env in config]
    assert found == [["NVIDIA_VISIBLE_DEVICES=void"], ["NVIDIA_VISIBLE_DEVICES=0"], []]


def test_every_large_file_has_a_copy_of_its_own():
    files = (
        values.weight_file("a/[1] $x.safetensors", OWN_LAYER, layer=values.digest("9")),
        values.weight_file("b.json"),
        values.weight_file("c.safetensors", OWN_LAYER + 1, layer=values.digest("8")),
    )
    _, one = render(lock=values.lock(weights=(values.weights_lock(*files),)))

    assert [words[0] for words in copies(one)[1:-2]] == [
        "weights/digits/1/", "weights/digits/2/", "weights/digits/small/",
    ]  # fmt: skip
    assert [shard.files for shard in one.shards] == [
        ("a/[1] $x.safetensors",), ("c.safetensors",), ("b.json",),
    ]  # fmt: skip
    assert "[1]" not in one.text


def test_several_weights_go_to_their_own_places():
    other = replace(values.weights_lock(), name="adapter", destination="/models/adapter")
    _, one = render(lock=values.lock(weights=(values.weights_lock(), other)))

    assert copies(one)[1:3] == [
        ["weights/digits/small/", "/models/digits/"],
        ["weights/adapter/small/", "/models/adapter/"],
    ]


def test_mounted_weights_have_a_folder_and_no_copy():
    spec = values.spec(
        weights=(Weights(name="digits", path="w", destination="/models/digits", mode="mount"),)
    )
    made, one = render(spec)

    assert not one.shards
    assert "weights" not in one.folders
    assert [i.rest for i in stages(one)[-1] if i.name == "WORKDIR"] == ["/models/digits", "/app"]
    assert dockerfile_reading.configuration(stages(one)[-1]) == made.config


def test_link_stands_on_every_copy_of_the_image_and_only_when_asked_for():
    _, linked = render(link=True)
    _, plain = render()

    final = [i for i in stages(linked)[-1] if i.name == "COPY"]
    assert final
    assert all("--link" in i.flags for i in final)
    assert "--link" not in plain.text


def test_nothing_in_it_is_a_shell_form():
    for base in (values.platform_lock().base, values.image_base()):
        _, one = render(lock=locked(base=base))
        for instruction in dockerfile_reading.read(one.text):
            if instruction.name in {"RUN", "CMD", "ENTRYPOINT"}:
                assert instruction.array


def test_another_platform_has_its_own_folder_and_the_same_rest():
    arm = Platform("linux", "arm64")
    _, amd64 = render()
    _, arm64 = render(lock=locked(platform=arm), name="Dockerfile.arm64")

    assert arm64.archive == "arm64/base.tar"
    assert "--file Dockerfile.arm64" in arm64.text
    assert amd64.shards == arm64.shards
    assert dockerfile.ignore_file([amd64, arm64]).split("\n")[1:-1] == [
        "*", "!amd64", "!arm64", "!code", "!install", "!meta", "!weights",
    ]  # fmt: skip


def test_text_is_the_same_every_time():
    assert render()[1] == render()[1]


def test_no_value_is_silently_left_out():
    made, _ = render()
    lock = values.lock()
    strange = replace(made, run={**made.run, "Volumes": {"/x": {}}})

    with pytest.raises(InputError, match="does not say `Volumes`"):
        dockerfile.render(
            strange, values.spec(), lock, lock.platforms[0], template=TEMPLATE, pip=PIP
        )


def test_line_that_old_parsers_cannot_read_is_refused():
    spec = values.spec(image=Image(labels={"com.acme.text": '"' * 8000 + "\\" * 30_000}))

    with pytest.raises(InputError, match="cannot hold a value of this length"):
        render(spec)


def test_template_with_an_unknown_variable_is_an_error():
    with pytest.raises(jinja2.UndefinedError):
        render(template="{% if nothing %}{% endif %}")
    with pytest.raises((jinja2.UndefinedError, TypeError)):
        render(template="{{ nothing }}")


@pytest.mark.parametrize("expression", ["'text'", "link", "labels", "name ~ name", "name.text"])
def test_template_that_prints_something_unquoted_is_an_error(expression):
    with pytest.raises(TypeError, match="not quoted"):
        render(template=f"{{{{ {expression} }}}}")
