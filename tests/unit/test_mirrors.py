"""Mirrors come from this machine: environment, user configuration, apt, Debian's own."""

import os
from pathlib import Path

import pytest

from modelpack.errors import InputError
from modelpack.inputs.debian import mirrors
from modelpack.inputs.debian.mirrors import DEBIAN, DEBIAN_SECURITY, SNAPSHOT, Mirrors

MODERN = """\
# a comment
Types: deb deb-src
URIs: https://mirror.example/debian/
Suites: trixie trixie-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: https://mirror.example/debian-security
Suites: trixie-security
Components: main
"""
ONE_LINE = """\
# deb http://commented.example/debian trixie main
deb [arch=amd64 signed-by=/k.gpg] http://line.example/debian bookworm main contrib
deb-src http://source.example/debian bookworm main
deb http://line.example/debian-security bookworm-security main # a comment
deb https://packages.example/vendor stable main
deb http://archive.ubuntu.example/ubuntu noble main
"""


def apt(root: Path, **files: str) -> Path:
    (root / "sources.list.d").mkdir(parents=True)
    for name, text in files.items():
        place = root if name == "sources" else root / "sources.list.d"
        suffix = ".sources" if "Types" in text else ".list"
        (place / (name + suffix)).write_text(text)
    return root


def test_without_any_configuration_it_is_debians_own(tmp_path: Path) -> None:
    assert mirrors.find({}, {}, tmp_path) == Mirrors()


def test_the_environment_wins_and_may_name_several(tmp_path: Path) -> None:
    found = mirrors.find(
        {
            "MODELPACK_DEBIAN_MIRROR": "http://a.example/debian/ http://b.example/debian",
            "MODELPACK_DEBIAN_SECURITY_MIRROR": "http://a.example/sec",
            "MODELPACK_DEBIAN_SNAPSHOT": "http://s.example/",
        },
        {"mirrors": {"debian": "http://config.example/debian"}},
        apt(tmp_path / "apt", debian=MODERN),
    )
    assert found == Mirrors(
        debian=("http://a.example/debian", "http://b.example/debian"),
        debian_security=("http://a.example/sec",),
        snapshot="http://s.example",
    )


def test_the_user_configuration_comes_before_apt(tmp_path: Path) -> None:
    found = mirrors.find(
        {},
        {
            "mirrors": {
                "debian": ["http://c.example/debian"],
                "debian-security": "http://c.example/s",
            }
        },
        apt(tmp_path / "apt", debian=MODERN),
    )
    assert found.debian == ("http://c.example/debian",)
    assert found.debian_security == ("http://c.example/s",)
    assert found.snapshot == SNAPSHOT


def test_apts_modern_sources_are_used_before_debians_own(tmp_path: Path) -> None:
    found = mirrors.find({}, {}, apt(tmp_path / "apt", debian=MODERN))
    assert found.debian == ("https://mirror.example/debian", DEBIAN)
    assert found.debian_security == ("https://mirror.example/debian-security", DEBIAN_SECURITY)


def test_only_lines_of_debian_itself_are_taken(tmp_path: Path) -> None:
    found = mirrors.find({}, {}, apt(tmp_path / "apt", sources=ONE_LINE))
    assert found.debian == ("http://line.example/debian", DEBIAN)
    assert found.debian_security == ("http://line.example/debian-security", DEBIAN_SECURITY)


@pytest.mark.parametrize(
    "text",
    [
        MODERN.replace("Types: deb", "Enabled: no\nTypes: deb"),
        MODERN.replace("Types: deb deb-src", "Types: deb-src").replace("deb\nURIs", "x\nURIs"),
        MODERN.replace("trixie", "noble"),
        MODERN.replace("https:", "cdrom:"),
        "\0\0\0 nonsense\n:::\n",
    ],
)
def test_other_sources_of_apt_are_passed_over(tmp_path: Path, text: str) -> None:
    assert mirrors.find({}, {}, apt(tmp_path / "apt", debian=text)) == Mirrors()


def test_a_fifo_among_apts_sources_is_never_opened(tmp_path: Path) -> None:
    root = apt(tmp_path / "apt")
    os.mkfifo(root / "sources.list.d" / "x.sources")
    assert mirrors.find({}, {}, root) == Mirrors()


@pytest.mark.parametrize(
    "url",
    ["ftp://x.example/debian", "file:///debian", "debian", "http://", "http://a\nb/", "x:y:z"],
)
def test_what_is_no_web_address_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(InputError) as caught:
        mirrors.find({}, {"mirrors": {"debian": url}}, tmp_path)
    assert caught.value.findings[0].at == "mirrors.debian"
    assert "http" in caught.value.findings[0].hint


@pytest.mark.parametrize("config", [{"mirrors": 3}, {"mirrors": {"debian": [3]}}])
def test_a_configuration_of_another_type_is_refused(tmp_path: Path, config: dict) -> None:
    with pytest.raises(InputError, match="expected"):
        mirrors.find({}, config, tmp_path)


def test_archives_have_their_own_mirrors() -> None:
    both = Mirrors(debian=("http://a.example",), debian_security=("http://b.example",))
    assert both.of("debian") == ("http://a.example",)
    assert both.of("debian-security") == ("http://b.example",)
