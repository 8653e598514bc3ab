"""What the loader reads of a library."""

import pytest
from debian_archive import library

from modelpack.inputs.debian.elf import dynamic


def test_a_library_tells_its_name_and_needs() -> None:
    data = library("libx.so.1", needed=("libc.so.6", "libm.so.6"), runpath="$ORIGIN/../lib:/opt")
    found = dynamic(data)
    assert found is not None
    assert found.soname == "libx.so.1"
    assert found.needed == ("libc.so.6", "libm.so.6")
    assert found.runpath == ("$ORIGIN/../lib", "/opt")
    assert found.rpath == ()
    assert found.machine == "x86_64"
    assert found.shared_object


def test_another_machine_is_told() -> None:
    found = dynamic(library(machine=183))
    assert found is not None
    assert (found.machine, found.soname) == ("aarch64", "")


@pytest.mark.parametrize("data", [b"", b"#!/bin/sh\n", b"\x7fELF", b"\x7fELF\x01\x01" + bytes(60)])
def test_what_is_no_such_file_is_none(data: bytes) -> None:
    assert dynamic(data) is None


def test_no_damage_raises() -> None:
    whole = library("libx.so.1", needed=("libc.so.6",), runpath="/opt")
    for at in range(len(whole)):
        dynamic(whole[:at])
        for value in (0x00, 0x7F, 0xFF):
            dynamic(whole[:at] + bytes([value]) + whole[at + 1 :])
