"""The records of apk: what is taken of them, and what is not."""

from hypothesis import given
from hypothesis import strategies as st

from modelpack.inputs import apk
from modelpack.inputs.layer_contents import LayerContents, merged, of_entries
from modelpack.inputs.licenses import Licenses
from modelpack.oci.tar import Entry

DATABASE = b"""C:Q1abc=
P:busybox
V:1.36.1-r29
A:x86_64
S:509600
L:GPL-2.0-only
o:busybox
D:so:ld-linux-x86-64.so.2 so:libc.so.6 /bin/sh !old glibc-locale-posix>=2.38
p:/bin/sh cmd:busybox=1.36.1-r29
F:bin
R:busybox
a:0:0:755
Z:Q1def=

P:glibc
V:2.40-r1
A:x86_64
L:GPL-3.0-or-later and a word
o:glibc-source
p:so:libc.so.6=6 so:ld-linux-x86-64.so.2=2

P:bad name
V:1

P:no-version

P:glibc-locale-posix
V:2.40-r1
"""


def test_packages_have_origin_licence_and_what_they_need() -> None:
    busybox, glibc, locale = apk.records(DATABASE)
    assert (busybox.name, busybox.version, busybox.architecture) == (
        "busybox", "1.36.1-r29", "x86_64",
    )  # fmt: skip
    assert busybox.licenses == Licenses(expression="GPL-2.0-only")
    assert busybox.depends == ("glibc", "glibc-locale-posix")
    assert glibc.origin == "glibc-source"
    assert glibc.licenses == Licenses(names=("GPL-3.0-or-later and a word",))
    assert (locale.name, locale.origin, locale.architecture) == (
        "glibc-locale-posix", "glibc-locale-posix", "",
    )  # fmt: skip


@given(st.binary(max_size=400) | st.text("PVALoDp: =\n!,abc", max_size=300).map(str.encode))
def test_any_text_has_an_answer(content: bytes) -> None:
    for record in apk.records(content):
        assert record.name
        assert record.version
        assert record.name.isprintable()


def contents(*paths: str) -> LayerContents:
    return of_entries([Entry(path=path, content=DATABASE) for path in paths])


def test_a_layer_tells_of_apk_at_both_places() -> None:
    for path in ("lib/apk/db/installed", "usr/lib/apk/db/installed"):
        found = contents(path)
        assert [package.name for package in found.packages[path]] == [
            "busybox", "glibc", "glibc-locale-posix",
        ]  # fmt: skip
        assert {package.format for package in found.packages[path]} == {"apk"}
        assert found.licenses["busybox"].expression == "GPL-2.0-only"


def test_databases_of_rpm_are_noted_and_not_read() -> None:
    paths = ("var/lib/rpm/rpmdb.sqlite", "usr/lib/sysimage/rpm/Packages.db", "var/lib/rpm/other")
    found = contents(*paths)
    assert found.unread == ("usr/lib/sysimage/rpm/Packages.db", "var/lib/rpm/rpmdb.sqlite")
    assert found.packages == {}


def test_a_database_that_a_later_layer_takes_away_is_gone() -> None:
    first = contents("var/lib/rpm/rpmdb.sqlite")
    gone = of_entries([Entry(path="var/lib/.wh.rpm", content=b"")])
    assert merged([first]).unread == ("var/lib/rpm/rpmdb.sqlite",)
    assert merged([first, gone]).unread == ()
