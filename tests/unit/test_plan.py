"""The plan is a pure function, and each step's key covers what its layer is made from."""

from dataclasses import replace

import pytest

from modelpack import plan
from modelpack.inputs import weights_image
from modelpack.lock import OWN_LAYER
from modelpack.metadata import NAMEPLATE
from modelpack.run_configuration import PLAN_LABEL, WEIGHTS_IMAGE_LABEL, start_period
from modelpack.spec import Code, Image, Model, Runtime, Scan, Weights
from tests import values


def make(spec=None, lock=None, source=None):
    spec, lock = spec or values.spec(), lock or values.lock()
    return plan.make(
        spec, lock, source or values.source(), lock.platforms[0],
        weights_image=weights_image.digest(spec, lock),
    )  # fmt: skip


def mounting(*names, weights=("digits",)):
    """A spec with these weights, of which those with `names` are mounted."""
    return values.spec(
        weights=tuple(
            Weights(name=name, path=name, destination=f"/models/{name}",
                    mode="mount" if name in names else "bake")
            for name in weights
        )
    )  # fmt: skip


def two_weights():
    one = values.weights_lock()
    other = replace(one, name="adapter", destination="/models/adapter", digest=values.digest("c"),
                    bundle=values.digest("f"))  # fmt: skip
    return values.lock(weights=(one, other))


def keys(made):
    return {step.kind: step.digest for step in made.steps}


def test_equal_inputs_give_an_equal_digest():
    assert make().digest == make().digest


def test_layers_come_in_the_fixed_order():
    kinds = [step.kind for step in make().steps]
    assert kinds == ["base", "dependencies", "weights", "code", "meta"]


def test_without_wheels_there_is_no_dependency_layer():
    lock = values.lock(platforms=(values.platform_lock(wheels=()),))
    assert "dependencies" not in keys(make(lock=lock))


@pytest.mark.parametrize(("bytecode", "moves"), [("unchecked-hash", True), ("none", False)])
def test_an_interpreter_from_another_image_compiles_other_bytecode(bytecode, moves):
    locks = [
        values.lock(
            platforms=(
                values.platform_lock(base=values.image_base(digest=digest), bytecode=bytecode),
            )
        )
        for digest in (values.digest("8"), values.digest("7"))
    ]
    before, after = (keys(make(lock=lock))["dependencies"] for lock in locks)
    assert (before != after) is moves


def test_a_large_file_is_a_layer_of_its_own_and_small_ones_share_one():
    files = (
        values.weight_file("a.safetensors", OWN_LAYER, layer=values.digest("9")),
        values.weight_file("b.json"),
        values.weight_file("c.json"),
    )
    steps = plan.weights_steps(values.weights_lock(*files))
    assert [(step.name, step.known) for step in steps] == [
        ("a.safetensors", values.digest("9")), ("2 small files", values.digest("e")),
    ]  # fmt: skip


def test_a_code_edit_moves_only_code_and_meta():
    edited = values.source(files=(replace(values.source().files[0], sha256=values.sha("8")),))
    before, after = keys(make()), keys(make(source=edited))
    assert {kind for kind in before if before[kind] != after[kind]} == {"code", "meta"}


def test_another_wheel_leaves_base_weights_and_code_alone():
    wheel = replace(values.platform_lock().wheels[0], sha256=values.sha("8"))
    lock = values.lock(platforms=(values.platform_lock(wheels=(wheel,)),))
    before, after = keys(make()), keys(make(lock=lock))
    assert {kind for kind in before if before[kind] != after[kind]} == {"dependencies", "meta"}


def test_another_user_makes_another_base():
    spec = values.spec(runtime=replace(values.spec().runtime, user=20000))
    assert keys(make())["base"] != keys(make(spec=spec))["base"]


def test_the_plan_label_is_stamped_after_the_digest_is_taken():
    made = make()
    assert made.config["Labels"][PLAN_LABEL] == made.digest
    assert PLAN_LABEL not in made.run["Labels"]


def test_labels_trace_model_weights_source_and_lock():
    labels = make().config["Labels"]
    assert labels["org.opencontainers.image.revision"] == values.source().revision
    assert labels["org.opencontainers.image.created"] == "2023-11-14T22:13:20Z"
    assert labels["dev.modelpack.weights.digest"] == values.digest("d")
    assert labels["dev.modelpack.model.version"] == "1.0.0"
    assert labels["dev.modelpack.source.dirty"] == "false"
    assert all(value for value in labels.values())
    assert list(labels) == sorted(labels)


def test_without_a_repository_there_is_no_revision_and_no_dirty_flag():
    labels = make(source=values.source(revision="", dirty=None)).config["Labels"]
    assert not [key for key in labels if "revision" in key or "dirty" in key]


def test_used_exceptions_stand_in_a_label():
    weights = replace(values.weights_lock(), unsafe=("weights.pickle old.bin",))
    labels = make(lock=values.lock(weights=(weights,))).config["Labels"]
    assert labels["dev.modelpack.weights.unsafe"] == "weights.pickle old.bin"


def test_the_container_runs_as_a_number_with_group_zero_behind_the_guard():
    config = make().config
    assert config["User"] == "10001:0"
    assert config["Entrypoint"] == [
        "/usr/bin/python3.13", "-I", "-S", "/usr/share/modelpack/guard.py",
    ]  # fmt: skip
    assert config["Cmd"] == ["python", "-m", "service"]
    assert config["ExposedPorts"] == {"8080/tcp": {}}
    assert config["Env"][0].startswith("PATH=/opt/venv/bin:")
    assert config["Env"][1:] == sorted(config["Env"][1:])


def test_the_health_check_asks_readiness_without_curl():
    check = make().config["Healthcheck"]
    assert check["Test"][-2:] == ["/usr/share/modelpack/probe.py", "http://127.0.0.1:8080/readyz"]


def test_the_start_period_grows_with_the_weights():
    large = values.weights_lock(values.weight_file(size=40_000_000_000))
    assert start_period(values.lock(weights=(large,))) > 500
    assert start_period(values.lock()) < 30


def test_without_a_port_nothing_is_exposed_or_probed():
    config = make(spec=values.spec(runtime=Runtime())).config
    assert "ExposedPorts" not in config
    assert "Healthcheck" not in config


def test_the_authors_environment_wins():
    runtime = replace(values.spec().runtime, environment={"LANG": "de_DE.UTF-8", "PATH": "/x"})
    env = make(spec=values.spec(runtime=runtime)).config["Env"]
    assert env[0] == "PATH=/x"
    assert "LANG=de_DE.UTF-8" in env
    assert "LANG=C.UTF-8" not in env


def test_tags_and_scan_rules_change_no_layer_but_the_last():
    spec = values.spec(image=Image(tags=("x",)), scan=Scan(fail_on="LOW"))
    before, after = keys(make()), keys(make(spec=spec))
    assert {kind for kind in before if before[kind] != after[kind]} == {"meta"}


def test_mounted_weights_are_no_layer_of_the_image_that_serves():
    assert "weights" not in keys(make(spec=mounting("digits")))


def test_the_weights_image_has_the_same_steps_as_baked_weights_and_a_nameplate():
    baked = [step for step in make().steps if step.kind == "weights"]
    *weights, last = plan.make_weights(mounting("digits"), values.lock()).steps
    assert weights == baked
    assert (last.kind, last.name) == ("nameplate", NAMEPLATE)
    assert last.inputs["nameplates"][0][0] == f"/models/digits/{NAMEPLATE}"


def test_baked_weights_make_no_weights_image():
    assert plan.make_weights(values.spec(), values.lock()) is None
    assert WEIGHTS_IMAGE_LABEL not in make().config["Labels"]


def test_of_several_weights_each_goes_where_its_mode_says():
    spec, lock = mounting("adapter", weights=("digits", "adapter")), two_weights()
    places = [
        [step.inputs["destination"] for step in made.steps if step.kind == "weights"]
        for made in (make(spec=spec, lock=lock), plan.make_weights(spec, lock))
    ]
    assert places == [["/models/digits"], ["/models/adapter"]]


def test_the_weights_image_starts_nothing_and_knows_no_time():
    made = plan.make_weights(mounting("digits"), values.lock())
    assert list(made.run) == ["Labels"]
    assert made.created == 0
    labels = made.config["Labels"]
    assert labels["org.opencontainers.image.title"] == "digits"
    assert labels["org.opencontainers.image.version"] == "1.0.0"
    assert labels["dev.modelpack.weights.digest"] == values.digest("d")
    assert labels["dev.modelpack.role"] == "weights"


def test_the_image_that_serves_names_the_weights_image():
    spec, lock = mounting("digits"), values.lock()
    label = make(spec=spec).config["Labels"][WEIGHTS_IMAGE_LABEL]
    assert label == weights_image.digest(spec, lock)


def test_code_base_dependencies_and_names_leave_the_weights_image_alone():
    spec = mounting("digits")
    other = replace(
        spec, code=Code(command=("serve",)), runtime=Runtime(user=7, base="debian:12"),
        image=Image(tags=("x",), labels={"com.acme.team": "search"}),
    )  # fmt: skip
    platform = values.platform_lock(wheels=(), bytecode="none")
    lock = values.lock(platforms=(platform,), epoch=5)
    assert weights_image.digest(other, lock) == weights_image.digest(spec, values.lock())


def test_other_weights_and_another_version_are_another_weights_image():
    spec, lock = mounting("digits"), values.lock()
    model = Model(name="digits", version="2.0.0", license="Apache-2.0")
    newer = weights_image.digest(replace(spec, model=model), lock)
    changed = replace(values.weights_lock(), digest=values.digest("9"))
    other = weights_image.digest(spec, values.lock(weights=(changed,)))
    assert len({weights_image.digest(spec, lock), newer, other}) == 3


def test_a_plan_of_mounted_weights_must_know_their_image():
    lock = values.lock()
    with pytest.raises(ValueError, match="weights image"):
        plan.make(mounting("digits"), lock, values.source(), lock.platforms[0])
