"""The weights image is a function of weights and model: nothing else moves it, no file is read."""

from dataclasses import replace
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from modelpack import plan
from modelpack.inputs import weights_image
from modelpack.lock import OWN_LAYER, ImageBase, Lock, WeightFile
from modelpack.platform import Platform
from modelpack.spec import Code, Dependencies, Image, Runtime, Spec, Weights
from tests import values

TEXT = st.text("abcdefghijk", min_size=1, max_size=8)
DIGITS = st.sampled_from("0123456789abcdef")
DIGESTS = DIGITS.map(values.digest)
PLATFORM = Platform("linux", "amd64")


@st.composite
def weight_files(draw: st.DrawFn) -> tuple[WeightFile, ...]:
    """Up to four files: large ones with a layer of their own, and small ones."""
    paths = draw(st.lists(TEXT.map("{}.safetensors".format), min_size=1, max_size=4, unique=True))
    files = []
    for path in sorted(paths):
        large = draw(st.booleans())
        size = draw(st.integers(OWN_LAYER, 1 << 40) if large else st.integers(0, OWN_LAYER - 1))
        layer = draw(DIGESTS) if large else None
        files.append(values.weight_file(path, size, sha256=values.sha(draw(DIGITS)), layer=layer))
    return tuple(files)


@st.composite
def locks(draw: st.DrawFn, files: tuple[WeightFile, ...]) -> Lock:
    """A lock of these files with any base, wheels, epoch and guard."""
    base = values.platform_lock().base
    if draw(st.booleans()):
        base = ImageBase(
            reference=draw(TEXT), digest=draw(DIGESTS), config=draw(DIGESTS), layers=()
        )
    wheels = values.platform_lock().wheels if draw(st.booleans()) else ()
    platform = values.platform_lock(
        platform=PLATFORM, base=base, wheels=wheels,
        bytecode=draw(st.sampled_from(["unchecked-hash", "none"])),
    )  # fmt: skip
    weights = replace(values.weights_lock(*files), digest=values.digest("d"))
    return values.lock(
        weights=(weights,), platforms=(platform,), epoch=draw(st.integers(0, 1 << 33))
    )


@st.composite
def specs(draw: st.DrawFn, *, mode: str) -> Spec:
    """A spec of the same model and weights, and anything else."""
    weights = Weights(
        name="digits", path=draw(TEXT), destination="/models/digits", mode=mode,  # type: ignore[arg-type]
    )  # fmt: skip
    return values.spec(
        weights=(weights,),
        code=Code(command=(draw(TEXT),), workdir=f"/{draw(TEXT)}"),
        dependencies=Dependencies(lockfile=draw(TEXT)),
        runtime=Runtime(user=draw(st.integers(1, 65_000)), port=draw(st.integers(0, 65_000)),
                        environment={draw(TEXT): draw(TEXT)}),
        image=Image(repository=draw(TEXT), tags=(draw(TEXT),), labels={draw(TEXT): draw(TEXT)}),
    )  # fmt: skip


@given(data=st.data(), files=weight_files())
def test_nothing_but_weights_and_model_moves_the_weights_image(
    data: st.DataObject, files: tuple[WeightFile, ...]
) -> None:
    first, second = (
        weights_image.digest(data.draw(specs(mode="mount")), data.draw(locks(files)))
        for _ in range(2)
    )
    assert first == second


@given(data=st.data(), files=weight_files())
def test_layers_are_the_same_baked_or_mounted_with_and_without_the_files(
    data: st.DataObject, files: tuple[WeightFile, ...]
) -> None:
    lock = data.draw(locks(files))
    mounting, baking = data.draw(specs(mode="mount")), data.draw(specs(mode="bake"))
    separate = plan.make_weights(mounting, lock)
    assert separate is not None
    baked = plan.make(baking, lock, values.source(), lock.platforms[0])
    mounted_steps = [step for step in separate.steps if step.kind == "weights"]
    assert mounted_steps == [step for step in baked.steps if step.kind == "weights"]

    image = weights_image.image(separate, mounting, lock)
    sources = {"digits": {file.path: Path("/nowhere", file.path) for file in files}}
    layers = [weights_image.weights_layer(step, lock, sources) for step in mounted_steps]
    assert [layer.blob.descriptor for layer in layers] == [
        layer.blob.descriptor for layer in image.layers[:-1]
    ]
    assert {layer.diff_id for layer in image.layers[:-1]} == {step.known for step in mounted_steps}


@given(data=st.data(), files=weight_files())
def test_another_weight_is_another_weights_image(
    data: st.DataObject, files: tuple[WeightFile, ...]
) -> None:
    spec, lock = data.draw(specs(mode="mount")), data.draw(locks(files))
    changed = replace(files[0], sha256=values.sha("e" if files[0].sha256[0] != "e" else "f"))
    other = replace(lock.weights[0], files=(changed, *files[1:]))
    assert weights_image.digest(spec, lock) != weights_image.digest(
        spec, replace(lock, weights=(other,))
    )
