"""Shared libraries are read as a loader would, stripped alike everywhere, and nothing in them is believed."""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lading.engines import elf
from lading.engines.runner import symbols
from tests.support.elves import HEADER, JUNK, PROGRAM, library

NEEDS = {"libc.so.6": ["GLIBC_2.2.5", "GLIBC_2.34", "GLIBC_2.9"], "libstdc++.so.6": ["GLIBCXX_3.4.9", "CXXABI_1.3.7"]}
NAMES = ["alpha", "beta", "gamma"]
GOOD = library(NAMES, needs=NEEDS)
GNU = library(NAMES, needs=NEEDS, gnu_hash=True)
LOAD_SIZE_AT = HEADER + 32


@pytest.mark.parametrize("data", [GOOD, GNU], ids=["hash", "gnu hash"])
def test_what_a_library_says_of_itself(data: bytes) -> None:
    found = elf.read(data)
    assert found.architecture == "x86_64"
    assert found.needed == ("libc.so.6", "libstdc++.so.6")
    assert found.minimums == {"cxxabi": "1.3.7", "glibc": "2.34", "glibcxx": "3.4.9"}
    assert found.symbols == set(NAMES)
    assert found.loaded_bytes == len(data) - len(JUNK)


@pytest.mark.parametrize("data", [GOOD, GNU], ids=["hash", "gnu hash"])
def test_what_is_stripped_reads_the_same_and_cannot_be_stripped_further(data: bytes) -> None:
    stripped = elf.strip(data)
    assert len(stripped) == len(data) - len(JUNK)
    assert JUNK[:32] not in stripped
    assert elf.read(stripped) == elf.read(data)
    assert elf.strip(stripped) == stripped
    same = [i for i in range(len(stripped)) if stripped[i] != data[i]]
    assert set(same) <= {*range(40, 48), *range(60, 64)}


def test_no_symbols_are_none() -> None:
    assert elf.read(library([])).symbols == set()
    assert elf.read(library([], gnu_hash=True)).symbols == set()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "ends before"),
        (b"PK\3\4" + bytes(100), "not an ELF file"),
        (GOOD[:5] + b"\2" + GOOD[6:], "64-bit little-endian"),
        (GOOD[:4] + b"\1" + GOOD[5:], "64-bit little-endian"),
        (GOOD[:16] + b"\1\0" + GOOD[18:], "64-bit little-endian"),
        (library([], architecture="armv7l"), "another processor"),
        (GOOD[:300], "segments"),
        (GOOD[:56] + b"\0\0" + GOOD[58:], "0 program headers"),
        (GOOD[:56] + b"\xff\xff" + GOOD[58:], "65535 program headers"),
        (GOOD[:HEADER] + b"\4" + GOOD[HEADER + 1 :], "nothing to load"),
        (GOOD[: HEADER + PROGRAM] + b"\4" + GOOD[HEADER + PROGRAM + 1 :], "no dynamic section"),
        (GOOD[:LOAD_SIZE_AT] + b"\xff" * 8 + GOOD[LOAD_SIZE_AT + 8 :], "segments"),
    ],
)
def test_what_is_no_library_is_refused(data: bytes, words: str) -> None:
    with pytest.raises(elf.ElfError, match=words):
        elf.read(data)


def test_a_hash_table_that_claims_millions_is_refused_at_once() -> None:
    at = GNU.index(b"\1\0\0\0\1\0\0\0\1\0\0\0\0\0\0\0")
    for field in (at, at + 8):
        claimed = GNU[:field] + b"\xff\xff\xff\x7f" + GNU[field + 4 :]
        with pytest.raises(elf.ElfError):
            elf.read(claimed)


@settings(max_examples=400)
@given(
    st.sampled_from([GOOD, GNU]),
    st.lists(st.tuples(st.integers(0, 1200), st.binary(min_size=1, max_size=8)), max_size=6),
)
def test_a_damaged_library_is_read_or_refused_but_never_a_crash(good: bytes, changes: list[tuple[int, bytes]]) -> None:
    data = bytearray(good)
    for at, new in changes:
        data[at : at + len(new)] = new
    tracemalloc.start()
    try:
        stripped = elf.strip(bytes(data))
        assert len(stripped) <= len(data)
        elf.read(stripped)
    except elf.ElfError:
        pass
    finally:
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert most < 64 * 1024 * 1024


@settings(max_examples=200)
@given(st.binary(max_size=300), st.booleans())
def test_noise_is_refused(noise: bytes, headed: bool) -> None:
    data = GOOD[:HEADER] + noise if headed else noise
    with pytest.raises(elf.ElfError):
        elf.read(data)


@given(st.integers(0, len(GOOD) - len(JUNK) - 1))
def test_every_truncation_is_noticed(length: int) -> None:
    with pytest.raises(elf.ElfError):
        elf.read(GOOD[:length])


def installed(package: str, member: str) -> Path:
    try:
        path = Path(str(importlib.metadata.distribution(package).locate_file(member)))
    except importlib.metadata.PackageNotFoundError:
        pytest.skip(f"{package} is not installed")
    if not path.is_file():
        pytest.skip(f"{package} has no library for this machine")
    return path


LIBRARIES = {
    "wasmtime": ("wasmtime", "wasmtime/linux-x86_64/_libwasmtime.so"),
    "litert": ("ai-edge-litert", "ai_edge_litert/libLiteRt.so"),
}


@pytest.mark.skipif(sys.platform != "linux", reason="the engines' libraries are for Linux")
@pytest.mark.parametrize("name", LIBRARIES)
def test_the_installed_library_loads_after_it_was_stripped(name: str, tmp_path: Path) -> None:
    path = installed(*LIBRARIES[name])
    data = path.read_bytes()
    stripped = elf.strip(data)
    assert len(stripped) < len(data)
    assert symbols(name) <= elf.read(stripped).symbols
    copy = tmp_path / path.name
    copy.write_bytes(stripped)
    look = (
        "import ctypes, json, sys\n"
        "library = ctypes.CDLL(sys.argv[1])\n"
        "missing = [name for name in json.load(sys.stdin) if not hasattr(library, name)]\n"
        "sys.exit(' '.join(missing) or 0)"
    )
    # In a process of its own: a library cannot be unloaded.
    subprocess.run([sys.executable, "-c", look, copy], input=json.dumps(sorted(symbols(name))), text=True, check=True)
