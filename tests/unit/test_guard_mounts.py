"""Whatever is mounted for the weights, the guard starts nothing but those that were packed."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from packed_weights import DIGEST, events, manifest, save, weights_entry

from modelpack.metadata import NAMEPLATE, nameplate
from modelpack.runtime import guard
from modelpack.spec import Model
from tests import values

SHARD = bytes(range(100))
FILES = {"a.safetensors": SHARD, "sub/b.safetensors": SHARD[::-1], "config.json": b"{}"}
OTHER = "sha256:" + "cd" * 32

Check = Callable[..., tuple[int, list[dict[str, Any]]]]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "models" / "tiny"


@pytest.fixture
def writable(monkeypatch: pytest.MonkeyPatch) -> set[Path]:
    """What stands on a mount that can be written to; a test adds some."""
    places: set[Path] = set()
    monkeypatch.setattr(
        guard, "can_be_written",
        lambda path: any(Path(path).is_relative_to(place) for place in places),
    )  # fmt: skip
    return places


@pytest.fixture
def check(
    root: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], writable: set[Path]
) -> Check:
    """Pack FILES for a read-only mount, let the test change the folder, and run the guard."""
    assert not writable

    def run(change: Callable[[], object] = lambda: None, /, **changes: Any):
        environ = changes.pop("environ", {})
        path = save(manifest(weights_entry(root, FILES, mounted=True), **changes),
                    tmp_path / "weights.json")  # fmt: skip
        change()
        code = guard.main(["--check-only"], environ, path)
        return code, events(capfd.readouterr().err)

    return run


def plate(root: Path, digest: str = DIGEST, *, version: str = "1.0.0") -> Callable[[], object]:
    """Return what puts a nameplate beside the weights, as modelpack writes it."""
    spec = values.spec(model=Model(name="tiny", version=version))
    weights = values.lock().weights[0]
    text = nameplate(spec, weights).decode().replace(weights.digest, digest)
    return lambda: (root / NAMEPLATE).write_text(text)


def bad(lines: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(e["file"], e["reason"]) for e in lines if e["event"] == "guard.bad"]


def test_the_right_weights_start_with_and_without_a_nameplate(check: Check, root: Path):
    assert check()[0] == 0
    code, lines = check(plate(root))
    assert code == 0
    assert [line["event"] for line in lines] == ["guard.start", "guard.verified"]
    assert lines[0]["model"] == "tiny 1.0.0"


def test_another_version_is_refused_unread_and_both_versions_are_named(check: Check, root: Path):
    code, lines = check(plate(root, OTHER, version="2.0.0"))
    assert code == 78
    assert bad(lines) == [(str(root), "other-weights")]
    fault, last = lines[1], lines[-1]
    assert "claims to be the weights of tiny 2.0.0" in fault["message"]
    assert "tiny 1.0.0 were packed" in fault["message"]
    assert (fault["expected"], fault["found"]) == (DIGEST, OTHER)
    assert "tiny 1.0.0" in fault["hint"]
    assert (last["event"], last["bytes"], last["model"]) == ("guard.refused", 0, "tiny 1.0.0")


def test_equal_weights_under_another_version_start(check: Check, root: Path):
    assert check(plate(root, version="1.0.1"))[0] == 0


def test_a_nameplate_that_lies_about_its_weights_proves_nothing(check: Check, root: Path):
    def change() -> None:
        plate(root)()
        (root / "a.safetensors").write_bytes(SHARD[:-1] + b"!")

    code, lines = check(change)
    assert code == 78
    assert bad(lines) == [(str(root / "a.safetensors"), "content")]


@pytest.mark.parametrize(
    "text",
    [
        b"", b"{", b"[]", b"\xff", b"{}", b"[" * 100_000,
        b'{"model": {"name": "a", "version": "1"}, "digest": "x"}',
        b'{"model": {"name": "\\u001b", "version": "1"}, "digest": "%b"}' % OTHER.encode(),
        b'{"model": 1, "digest": "%b"}' % OTHER.encode(),
        b'{"digest": "%b", "digest": "%b"}' % (OTHER.encode(), OTHER.encode()),
    ],
    ids=lambda text: repr(text[:20]),
)  # fmt: skip
def test_a_damaged_nameplate_claims_nothing_and_the_weights_decide(
    check: Check, root: Path, text: bytes
):
    code, lines = check(lambda: (root / NAMEPLATE).write_bytes(text))
    assert (code, bad(lines)) == (0, [])
    (root / NAMEPLATE).unlink()


def test_a_huge_nameplate_is_not_read(check: Check, root: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(guard, "NAMEPLATE_LIMIT", 10)
    assert check(plate(root, OTHER))[0] == 0


def test_a_nameplate_that_is_a_link_or_elsewhere_is_a_stray_file(
    check: Check, root: Path, tmp_path: Path
):
    def change() -> None:
        (tmp_path / "elsewhere").write_text("{}")
        (root / NAMEPLATE).symlink_to(tmp_path / "elsewhere")
        (root / "sub" / NAMEPLATE).write_text("{}")

    code, lines = check(change)
    assert code == 78
    assert sorted(bad(lines)) == [
        (str(root / NAMEPLATE), "extra"), (str(root / "sub" / NAMEPLATE), "extra"),
    ]  # fmt: skip


def test_baked_weights_have_no_nameplate(
    root: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    path = save(manifest(weights_entry(root, FILES)), tmp_path / "weights.json")
    plate(root, OTHER)()
    assert guard.main(["--check-only"], {}, path) == 78
    assert bad(events(capfd.readouterr().err)) == [(str(root / NAMEPLATE), "extra")]


def emptied(root: Path) -> None:
    shutil.rmtree(root)
    (root / "lost+found").mkdir(parents=True)


@pytest.mark.parametrize(("change", "state"), [(shutil.rmtree, "does not exist"),
                                               (emptied, "is empty")])  # fmt: skip
def test_a_missing_mount_is_said_once_with_what_to_do(
    check: Check, root: Path, change: Callable[[Path], object], state: str
):
    code, lines = check(lambda: change(root))
    assert code == 78
    assert bad(lines) == [(str(root), "not-mounted")]
    assert f"tiny 1.0.0 are not mounted: the folder {state}" in lines[1]["message"]
    assert f"mount the folder `{str(root)[1:]}` of the weights image" in lines[1]["hint"]
    assert lines[-1]["event"] == "guard.refused"


def test_the_whole_weights_image_in_the_place_of_its_folder_is_recognized(check: Check, root: Path):
    def change() -> None:
        inner = root.with_name("inner") / str(root)[1:]
        shutil.copytree(root, inner)
        plate(inner)()
        shutil.rmtree(root)
        root.with_name("inner").rename(root)

    code, lines = check(change)
    assert code == 78
    assert bad(lines) == [(str(root), "not-mounted")]
    assert "as a whole" in lines[1]["message"]
    assert f"subPath: {str(root)[1:]}" in lines[1]["hint"]


def test_one_changed_byte_and_a_missing_shard_are_named(check: Check, root: Path):
    def change() -> None:
        plate(root)()
        (root / "a.safetensors").write_bytes(b"!" + SHARD[1:])
        (root / "sub/b.safetensors").unlink()

    code, lines = check(change)
    assert code == 78
    assert sorted(bad(lines)) == [
        (str(root / "a.safetensors"), "content"), (str(root / "sub/b.safetensors"), "missing"),
    ]  # fmt: skip


def test_a_mount_that_can_be_written_to_is_a_warning(check: Check, root: Path, writable: set[Path]):
    code, lines = check(lambda: writable.add(root))
    assert code == 0
    assert [line["event"] for line in lines] == ["guard.start", "guard.writable", "guard.verified"]
    assert (lines[1]["level"], lines[1]["file"]) == ("warning", str(root))


@pytest.mark.parametrize("place", [".", "sub/b.safetensors"])
def test_strict_mode_refuses_it_unread_even_within_a_mount_that_cannot(
    check: Check, root: Path, writable: set[Path], place: str
):
    code, lines = check(lambda: writable.add(root / place), mounts="strict")
    assert code == 78
    assert bad(lines) == [(str(root / place), "writable")]
    assert "read-only" in lines[1]["hint"]
    assert (lines[-1]["event"], lines[-1]["bytes"]) == ("guard.refused", 0)


def test_strict_mode_starts_from_a_read_only_mount(check: Check):
    assert check(mounts="strict")[0] == 0


def test_baked_weights_are_never_asked_for_their_mount(
    root: Path, tmp_path: Path, writable: set[Path]
):
    writable.add(root)
    path = save(manifest(weights_entry(root, FILES), mounts="strict"), tmp_path / "weights.json")
    assert guard.main(["--check-only"], {}, path) == 0


def test_what_is_not_there_cannot_be_written(tmp_path: Path):
    assert guard.can_be_written(str(tmp_path))
    assert not guard.can_be_written(str(tmp_path / "gone"))


# The place


def moved(root: Path, tmp_path: Path) -> Path:
    place = tmp_path / "mnt" / "models" / "tiny"
    place.parent.mkdir(parents=True)
    root.rename(place)
    return place


@pytest.mark.parametrize("slash", ["", "/"])
def test_the_weights_are_checked_where_the_command_will_look(
    check: Check, root: Path, tmp_path: Path, slash: str
):
    place = tmp_path / "mnt" / "models" / "tiny"
    environ = {"MODELPACK_WEIGHTS": f"{place}{slash}"}
    code, lines = check(lambda: moved(root, tmp_path), environ=environ)
    assert code == 0
    assert [line["event"] for line in lines] == ["guard.place", "guard.start", "guard.verified"]
    assert (lines[0]["path"], lines[0]["packed"]) == (str(place), str(root))


def test_a_change_in_the_other_place_is_found(check: Check, root: Path, tmp_path: Path):
    place = tmp_path / "mnt" / "models" / "tiny"

    def change() -> None:
        (moved(root, tmp_path) / "config.json").write_bytes(b"[]")

    code, lines = check(change, environ={"MODELPACK_WEIGHTS": str(place)})
    assert code == 78
    assert bad(lines) == [(str(place / "config.json"), "content")]


def test_the_packed_place_in_the_environment_moves_nothing(check: Check, root: Path):
    code, lines = check(environ={"MODELPACK_WEIGHTS": str(root)})
    assert (code, lines[0]["event"]) == (0, "guard.start")


@pytest.mark.parametrize("place", ["models/tiny", "/", "//", "/models/../etc", "/a\x1b"])
def test_a_strange_place_is_refused(check: Check, place: str):
    code, lines = check(environ={"MODELPACK_WEIGHTS": place})
    assert code == 78
    assert "MODELPACK_WEIGHTS" in lines[-1]["message"]


def test_two_weights_never_become_one(
    root: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    other = root.with_name("other")
    path = save(
        manifest(weights_entry(root, FILES), weights_entry(other, FILES, name="other")),
        tmp_path / "weights.json",
    )
    assert guard.main(["--check-only"], {"MODELPACK_WEIGHTS": str(other)}, path) == 78
    assert "packed twice" in capfd.readouterr().err


def test_only_the_first_weights_move(root: Path, tmp_path: Path):
    other = root.with_name("other")
    first = weights_entry(root, FILES)
    second = weights_entry(other, {"config.json": b"[]"}, name="other")
    value = guard.parse(json.dumps(manifest(first, second)).encode())
    found = guard.choose_place(value, str(tmp_path / "x"))
    assert [one.path for one in found.weights] == [str(tmp_path / "x"), str(other)]
