"""A whole look-up against a signed repository on this machine."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from debian_archive import NOW, Repository, deb, serve_files

from modelpack.errors import InputError, ModelpackError, Refused, Unavailable
from modelpack.inputs.debian import base as debian_base
from modelpack.inputs.debian import index as debian_index
from modelpack.inputs.debian import keys as debian_keys
from modelpack.inputs.debian.distributions import DISTRIBUTIONS
from modelpack.inputs.debian.index import Resolved
from modelpack.inputs.debian.mirrors import Mirrors
from modelpack.inputs.downloads import Downloads
from modelpack.platform import Platform

AMD64 = Platform("linux", "amd64")
VERSIONS = {"libc6": "2.41-12+deb13u4", "python3.13-minimal": "3.13.5-2+deb13u5"}


@pytest.fixture(scope="module")
def signer() -> Any:
    pysequoia = pytest.importorskip("pysequoia")
    return pysequoia.Tsk.generate("Test Archive <test@example.org>")


@pytest.fixture
def repository(signer: Any) -> Repository:
    made = Repository(signer)
    for name in DISTRIBUTIONS["debian:13"].roots:
        version = VERSIONS.get(name, "1.0-1")
        made.add(name, deb(name, version=version), version=version)
    made.publish_all()
    return made


@pytest.fixture
def served(repository: Repository) -> Iterator[Mirrors]:
    with serve_files(repository.files) as root:
        yield mirrors(root)


def mirrors(*roots: str) -> Mirrors:
    return Mirrors(
        debian=tuple(f"{root}/debian" for root in roots),
        debian_security=tuple(f"{root}/debian-security" for root in roots),
        snapshot=f"{roots[-1]}/snapshot",
    )


def keys(repository: Repository) -> tuple[bytes, ...]:
    return (bytes(repository.signer.extract_certificate()),)


def resolve(
    repository: Repository, served: Mirrors, tmp_path: Path, *packages: str, **changes: Any
) -> Resolved:
    values = {
        "platform": AMD64, "packages": packages, "mirrors": served,
        "downloads": Downloads(tmp_path), "environment": {}, "now": NOW, "keys": keys(repository),
        **changes,
    }  # fmt: skip
    return debian_index.resolve("debian:13", **values)


def messages(error: ModelpackError) -> str:
    return "\n".join(f"{f.at}: {f.message} ({f.hint})" for f in error.findings)


def test_a_base_is_resolved(repository: Repository, served: Mirrors, tmp_path: Path) -> None:
    found = resolve(repository, served, tmp_path)
    assert [package.name for package in found.base.packages] == sorted(
        DISTRIBUTIONS["debian:13"].roots
    )
    assert found.interpreter.version == "3.13.5"
    assert found.interpreter.path == "/usr/bin/python3.13"
    assert found.interpreter.glibc == "2.41"
    assert found.epoch == 1_795_163_400
    assert found.findings == ()
    assert [(r.archive, r.suite, r.snapshot) for r in found.base.releases] == [
        ("debian", "trixie", "20261120T083000Z"),
        ("debian", "trixie-updates", "20261120T083000Z"),
        ("debian-security", "trixie-security", "20261120T083000Z"),
    ]
    fingerprint = repository.signer.extract_certificate().fingerprint
    assert {r.signed_by for r in found.base.releases} == {(fingerprint,)}


def test_the_result_does_not_depend_on_what_is_cached(
    repository: Repository, served: Mirrors, tmp_path: Path
) -> None:
    first = resolve(repository, served, tmp_path)
    again = resolve(repository, served, tmp_path)
    assert first == again


def test_a_security_update_wins(repository: Repository, served: Mirrors, tmp_path: Path) -> None:
    repository.add("tzdata", deb("tzdata"), suite="trixie-security", version="1.0-1+deb13u1")
    repository.publish_all()
    found = {p.name: p for p in resolve(repository, served, tmp_path).base.packages}
    assert found["tzdata"].version == "1.0-1+deb13u1"
    assert found["tzdata"].archive == "debian-security"


def test_a_further_package_with_scripts_is_a_warning(
    repository: Repository, served: Mirrors, tmp_path: Path
) -> None:
    repository.add("libgood", deb("libgood", control={"triggers": b"", "prerm": b""}))
    repository.add("libneedy", deb("libneedy", control={"postinst": b"#!/bin/sh\n"}),
                   fields="Depends: libgood, bash\n")  # fmt: skip
    repository.publish_all()
    found = resolve(repository, served, tmp_path, "libneedy")
    assert {"libgood", "libneedy"} < {package.name for package in found.base.packages}
    assert [(f.rule, f.severity) for f in found.findings] == [
        ("base.shell", "warning"), ("base.scripts", "warning"),
    ]  # fmt: skip
    assert "`libneedy`" in found.findings[1].message
    assert "libgood" not in found.findings[1].message


def test_unknown_and_unwanted_packages_are_all_named(
    repository: Repository, served: Mirrors, tmp_path: Path
) -> None:
    with pytest.raises(InputError) as caught:
        resolve(repository, served, tmp_path, "libgcc-s2", "bash", "qqqq")
    assert [(f.at, f.hint) for f in caught.value.findings] == [
        ("runtime.packages[0]", "did you mean `libgcc-s1`?"),
        ("runtime.packages[1]", "leave it out, or take a registry image as `runtime.base`"),
        ("runtime.packages[2]", ""),
    ]


@pytest.mark.parametrize(
    ("name", "meant"), [("debian:31", "debian:13"), ("bookwrm", "debian:12"), ("x", "debian:13")]
)
def test_an_unknown_distribution_is_answered_with_a_known_one(
    repository: Repository, served: Mirrors, tmp_path: Path, name: str, meant: str
) -> None:
    with pytest.raises(InputError) as caught:
        debian_index.resolve(
            name, platform=AMD64, packages=(), mirrors=served, downloads=Downloads(tmp_path),
            environment={}, now=NOW,
        )  # fmt: skip
    assert f"`{meant}`" in caught.value.findings[0].hint


def test_the_keys_of_another_archive_are_refused(
    repository: Repository, served: Mirrors, tmp_path: Path
) -> None:
    with pytest.raises(Refused, match="no valid signature"):
        resolve(repository, served, tmp_path, keys=debian_keys.keyring())


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data.replace(b"Codename: trixie", b"Codename: trixiE"),
        lambda data: data[: data.index(b"-----BEGIN PGP SIGNATURE")],
        lambda data: data[: data.index(b"Origin")] + data[data.index(b"-----BEGIN PGP SIG") :],
        lambda data: b"Origin: Debian\n",
        lambda data: b"",
        lambda data: b"<html>log in to the network</html>",
    ],
)
def test_a_damaged_or_unsigned_index_is_refused(
    repository: Repository, served: Mirrors, tmp_path: Path, damage: Any
) -> None:
    place = "/debian/dists/trixie/InRelease"
    repository.files[place] = damage(repository.files[place])
    with pytest.raises(Refused) as caught:
        resolve(repository, served, tmp_path)
    assert caught.value.findings[0].at == "InRelease of trixie"


def test_text_around_the_signed_part_counts_for_nothing(
    repository: Repository, served: Mirrors, tmp_path: Path
) -> None:
    place = "/debian/dists/trixie/InRelease"
    before = resolve(repository, served, tmp_path)
    repository.files[place] += b"\nOrigin: Evil\nSHA256:\n " + b"0" * 64 + b" 1 main/x\n"
    try:
        after = resolve(repository, served, tmp_path)
    except Refused:
        return
    assert after.base.packages == before.base.packages


@pytest.mark.parametrize(
    ("fields", "kind", "message"),
    [
        ({"Origin": "Ubuntu"}, Refused, "`Origin` is 'Ubuntu' instead of `Debian`"),
        ({"Codename": "bookworm"}, Refused, "`Codename` is 'bookworm' instead of `trixie`"),
        ({"Label": "Debian-Security"}, Refused, "`Label`"),
        ({"Date": ""}, Refused, "`Date` is not a date"),
        ({"Date": "yesterday"}, Refused, "`Date` is not a date"),
        ({"Date": "Fri, 20 Nov 1820 08:30:00 UTC"}, Refused, "`Date` is not a date"),
        ({"Date": "Sun, 20 Dec 2026 08:30:00 UTC"}, Unavailable, "was made in the future"),
        ({"Valid-Until": "Fri, 20 Nov 2026 09:00:00 UTC"}, Unavailable, "expired"),
        ({"Valid-Until": "never"}, Refused, "`Valid-Until` is not a date"),
    ],
)
def test_a_signed_index_of_another_kind_or_time_is_no_answer(
    repository: Repository, served: Mirrors, tmp_path: Path,
    fields: Mapping[str, str], kind: type[ModelpackError], message: str,
) -> None:  # fmt: skip
    repository.publish("debian", "trixie", fields=fields)
    with pytest.raises(kind) as caught:
        resolve(repository, served, tmp_path)
    assert message in messages(caught.value)


def test_an_index_without_an_end_of_validity_is_taken(
    repository: Repository, served: Mirrors, tmp_path: Path
) -> None:
    repository.publish("debian", "trixie", fields={"Valid-Until": "", "Acquire-By-Hash": ""})
    assert resolve(repository, served, tmp_path).base.packages


def test_a_list_of_packages_with_another_digest_is_refused(
    repository: Repository, served: Mirrors, tmp_path: Path
) -> None:
    place = next(p for p in repository.files if "/dists/trixie/" in p and "by-hash" in p)
    repository.files[place] = repository.files[place][::-1]
    with pytest.raises(Refused, match="instead of"):
        resolve(repository, served, tmp_path)


def test_an_architecture_that_the_archive_does_not_have_is_unavailable(
    repository: Repository, served: Mirrors, tmp_path: Path
) -> None:
    with pytest.raises(Unavailable, match="no packages for arm64"):
        resolve(repository, served, tmp_path, platform=Platform("linux", "arm64"))


def test_a_missing_root_package_is_unavailable(
    repository: Repository, served: Mirrors, tmp_path: Path
) -> None:
    repository.stanzas["debian", "trixie"] = repository.stanzas["debian", "trixie"].replace(
        "Package: tzdata", "Package: tzdatb"
    )
    repository.publish_all()
    with pytest.raises(Unavailable, match="`tzdata`"):
        resolve(repository, served, tmp_path)


def test_the_next_mirror_is_asked_when_one_fails(repository: Repository, tmp_path: Path) -> None:
    with serve_files({}) as empty, serve_files(repository.files) as root:
        assert resolve(repository, mirrors(empty, root), tmp_path).base.packages


def test_packages_are_fetched_once(repository: Repository, served: Mirrors, tmp_path: Path) -> None:
    base = resolve(repository, served, tmp_path).base
    downloads = Downloads(tmp_path)
    debs = debian_base.fetch(base, mirrors=served, downloads=downloads, environment={})
    assert sorted(debs) == [package.name for package in base.packages]
    repository.files.clear()
    again = debian_base.fetch(
        base, mirrors=served, downloads=Downloads(tmp_path), environment={}, offline=True
    )
    assert again == debs


def test_a_package_gone_from_the_mirror_comes_from_the_snapshot_after_its_index(
    repository: Repository, served: Mirrors, tmp_path: Path
) -> None:
    base = resolve(repository, served, tmp_path).base
    gone = next(path for path in repository.files if "/tzdata_" in path)
    rest = gone.removeprefix("/debian/")
    content = repository.files.pop(gone)
    repository.files[f"/snapshot/archive/debian/20261120T203000Z/{rest}"] = content
    debs = debian_base.fetch(base, mirrors=served, downloads=Downloads(tmp_path), environment={})
    assert debs["tzdata"].read_bytes() == content


def test_packages_gone_everywhere_are_all_named_with_what_to_do(
    repository: Repository, served: Mirrors, tmp_path: Path
) -> None:
    base = resolve(repository, served, tmp_path).base
    for path in [p for p in repository.files if "/tzdata_" in p or "/netbase_" in p]:
        del repository.files[path]
    with pytest.raises(Unavailable) as caught:
        debian_base.fetch(base, mirrors=served, downloads=Downloads(tmp_path), environment={})
    assert [f.at for f in caught.value.findings] == ["netbase", "tzdata"]
    assert {f.hint for f in caught.value.findings} == {"modelpack lock --upgrade base"}


def test_offline_only_the_cache_counts(
    repository: Repository, served: Mirrors, tmp_path: Path
) -> None:
    base = resolve(repository, served, tmp_path).base
    with pytest.raises(Unavailable) as caught:
        debian_base.fetch(
            base, mirrors=served, downloads=Downloads(tmp_path / "empty"), environment={},
            offline=True,
        )  # fmt: skip
    assert len(caught.value.findings) == len(base.packages)
    assert "--offline" in caught.value.findings[0].hint
