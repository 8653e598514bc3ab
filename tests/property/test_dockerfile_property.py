"""Any legal Spec through the Dockerfile and back: the same configuration, no instruction more."""

import copy
from collections.abc import Mapping
from typing import Any

import tomli
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from modelpack import dockerfile, plan, templates
from modelpack.dockerfile import Options
from modelpack.dockerfile.syntax import quote
from modelpack.errors import InputError
from modelpack.inputs import weights_image
from modelpack.inputs.python.pip_wheel import PIP
from modelpack.lock import ImageBase, Lock
from modelpack.spec import Spec
from modelpack.spec import decoding as spec_decoding
from tests import dockerfile_reading, values

TEMPLATE = templates.text(dockerfile.TEMPLATE)
DOCUMENT = """\
schema = 1
[model]
name = "tiny"
version = "1.0.0"
[weights]
path = "weights"
[code]
command = ["python"]
"""
HOSTILE = st.sampled_from(
    ["", "$HOME", "${X:-$(id)}", '"', "'", "\\", "\\\\", 'a"\\', "# x", "<<EOF", "[", '["a"]',
     "`id`", "a b", " ", "--from=x", "x=y", "日本", "\u00a0", "a\\ ", "\\$", "%PATH%", "&&"]
)  # fmt: skip
ANY = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=8)
TEXTS = st.lists(st.one_of(HOSTILE, ANY), max_size=4).map("".join)
KEYS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,12}", fullmatch=True)
NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,12}", fullmatch=True)
PATHS = st.from_regex(r"(/[A-Za-z0-9_@+][A-Za-z0-9._@+-]{0,5}){1,3}", fullmatch=True)
URLS = st.from_regex(r"/[!-~]{0,20}", fullmatch=True)
ENTRIES = st.lists(
    st.tuples(st.from_regex(r"[A-Z_]{1,9}", fullmatch=True), TEXTS),
    max_size=4, unique_by=lambda item: item[0],
)  # fmt: skip


@st.composite
def specs(draw: st.DrawFn) -> Spec:
    """Draw a legal Spec whose free texts are hostile to a Dockerfile."""
    document: dict[str, Any] = copy.deepcopy(tomli.loads(DOCUMENT))
    document["model"] |= draw(
        st.fixed_dictionaries(
            {}, optional=dict.fromkeys(("description", "task", "architecture", "base"), TEXTS)
        )
    )
    document["weights"] |= draw(
        st.fixed_dictionaries(
            {}, optional={"destination": PATHS, "mode": st.sampled_from(["bake", "mount"])}
        )
    )
    document["code"] = {
        "command": draw(st.lists(TEXTS, min_size=1, max_size=4)), "workdir": draw(PATHS),
    }  # fmt: skip
    document["runtime"] = {
        "port": draw(st.integers(1, 65_535)), "user": draw(st.integers(1, 2**31 - 1)),
        "environment": draw(st.dictionaries(NAMES, TEXTS, max_size=4)),
        "health": {"ready": draw(URLS)} if draw(st.booleans()) else {},
    }  # fmt: skip
    document["image"] = {"labels": draw(st.dictionaries(KEYS, TEXTS, max_size=4))}
    document["training"] = {"run": draw(TEXTS), "data": [{"name": "x", "uri": draw(TEXTS)}]}
    try:
        return spec_decoding.decode_document(document)
    except InputError:
        reject()


@st.composite
def locks(draw: st.DrawFn) -> Lock:
    """Draw the small Lock, on an assembled base or on one from a registry."""
    changes: dict[str, Any] = {} if draw(st.booleans()) else {"wheels": ()}
    if draw(st.booleans()):
        environment = tuple(f"{name}={value}" for name, value in draw(ENTRIES))
        changes["base"] = values.image_base(environment=environment)
    return values.lock(platforms=(values.platform_lock(**changes),))


def names(stage: list[dockerfile_reading.Instruction]) -> list[str]:
    return [one.name for one in stage]


def expected(config: Mapping[str, Any], *, foreign: bool) -> list[str]:
    """Return the instructions that say a configuration."""
    health = foreign or "Healthcheck" in config
    return ["LABEL", "ENV", "EXPOSE", "WORKDIR", "USER", "STOPSIGNAL",
            *(["HEALTHCHECK"] if health else []), "ENTRYPOINT", "CMD"]  # fmt: skip


@given(specs(), locks(), st.booleans(), st.booleans())
@settings(max_examples=200)
def test_what_is_read_back_is_what_was_planned(spec, lock, link, wheels):
    lock = values.lock(
        platforms=lock.platforms,
        weights=(
            values.WeightsLock(
                name=spec.weights[0].name, destination=spec.weights[0].destination,
                digest=values.digest("d"), files=(values.weight_file(),),
                bundle=values.digest("e"),
            ),
        ),
    )  # fmt: skip
    (platform,) = lock.platforms
    made = plan.make(
        spec, lock, values.source(), platform, weights_image=weights_image.digest(spec, lock)
    )
    one = dockerfile.render(
        made, spec, lock, platform, template=TEMPLATE, pip=PIP,
        options=Options(link=link, wheels=wheels),
    )  # fmt: skip
    base, *between, image = dockerfile_reading.stages(dockerfile_reading.read(one.text))

    foreign = isinstance(platform.base, ImageBase)
    config = dockerfile_reading.configuration(image)
    if foreign and "Healthcheck" not in made.config:
        assert config.pop("Healthcheck") == {"Test": ["NONE"]}
    assert config == made.config
    assert list(config["Labels"]) == list(made.config["Labels"])
    assert names(base) == (["FROM"] if foreign else ["FROM", "ADD"])
    assert [names(stage) for stage in between] == [
        ["FROM", *(["USER"] if foreign else []), "WORKDIR", "RUN", "COPY",
         *(["COPY"] if wheels else ["ARG"] * 3), "RUN", "COPY", "RUN"]
    ] * bool(platform.wheels)  # fmt: skip
    copies = ["COPY"] * bool(platform.wheels)
    copies += ["WORKDIR"] if spec.weights[0].mode == "mount" else ["COPY"]
    copies += ["COPY"] * foreign
    assert names(image) == [
        "FROM", *copies, "COPY", "COPY", *expected(made.config, foreign=foreign)
    ]  # fmt: skip


@given(TEXTS)
@settings(max_examples=300)
def test_word_is_read_back_as_it_was(value):
    text = quote(value).text

    assert dockerfile_reading.unquoted(text) == value
    assert dockerfile_reading.split(f"a={text} b") == [f"a={text}", "b"]


@given(st.lists(st.text(max_size=8), max_size=4))
def test_array_is_read_back_as_it_was(value):
    (one,) = dockerfile_reading.read(f"CMD {quote(value).text}\n")

    assert one.array == value
