"""The pointer files: no torn or damaged one is taken for one that is whole, here or in the firmware's own reader."""

from __future__ import annotations

import binascii
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lading.firmware.pointer import CURRENT, MOST_BYTES, MOST_ENTRIES, PREVIOUS, Entry, Pointer, choose, decode, newer
from tests.support.c_store import CStore

ENTRIES = st.builds(Entry, st.integers(0, 254), st.integers(0, 255), st.integers(0, 0xFFFFFFFF))
POINTERS = st.builds(
    Pointer, st.integers(0, 0xFFFFFFFF), st.lists(ENTRIES, max_size=MOST_ENTRIES).map(lambda entries: tuple(entries))
)
ONE = Pointer(7, (Entry(3, CURRENT, 0x12345678), Entry(1, PREVIOUS, 0x9ABCDEF0)))


@pytest.fixture(scope="module")
def c_store(tmp_path_factory: pytest.TempPathFactory) -> CStore:
    return CStore(tmp_path_factory.mktemp("c"))


@given(POINTERS)
def test_what_is_written_is_read_by_both(c_store: CStore, pointer: Pointer) -> None:
    data = pointer.encode()
    assert len(data) <= MOST_BYTES
    assert decode(data) == pointer
    assert c_store.pointer(data) == pointer


def test_the_layout_is_the_documented_one() -> None:
    body = b"LDP1" + struct.pack("<IB3x", 7, 2)
    body += bytes([3, 1, 0, 0]) + struct.pack("<I", 0x12345678) + bytes([1, 2, 0, 0]) + struct.pack("<I", 0x9ABCDEF0)
    assert ONE.encode() == body + struct.pack("<I", binascii.crc32(body))


def test_every_flipped_bit_is_noticed(c_store: CStore) -> None:
    data = ONE.encode()
    for at in range(len(data)):
        for bit in range(8):
            damaged = bytearray(data)
            damaged[at] ^= 1 << bit
            assert decode(bytes(damaged)) is None
            assert c_store.pointer(bytes(damaged)) is None


@given(POINTERS, POINTERS)
def test_a_torn_write_is_the_old_file_the_new_one_or_none(c_store: CStore, old: Pointer, new: Pointer) -> None:
    before, after = old.encode(), new.encode()
    for cut in range(len(after) + 1):
        for torn in (after[:cut], after[:cut] + before[cut:]):
            found = decode(torn)
            assert found in (None, old, new)
            assert c_store.pointer(torn) == found


@given(st.binary(max_size=MOST_BYTES + 20))
def test_nothing_else_is_a_pointer(c_store: CStore, data: bytes) -> None:
    assert decode(data) is None
    assert c_store.pointer(data) is None
    assert c_store.pointer(b"LDP1" + data) == decode(b"LDP1" + data)


@given(st.binary(max_size=40), st.integers(0, 255))
def test_both_agree_on_what_a_right_checksum_does_not_make_right(c_store: CStore, rest: bytes, count: int) -> None:
    body = b"LDP1" + b"\1\0\0\0" + bytes([count]) + rest
    data = body + struct.pack("<I", binascii.crc32(body))
    assert c_store.pointer(data) == decode(data)


@given(POINTERS, st.integers(1, 0x7FFFFFFF))
def test_the_newer_one_counts_also_when_numbers_go_around(c_store: CStore, pointer: Pointer, ahead: int) -> None:
    later = Pointer((pointer.sequence + ahead) & 0xFFFFFFFF, pointer.entries[:3])
    assert newer(later.sequence, pointer.sequence)
    assert not newer(pointer.sequence, later.sequence)
    for first, second, which in ((pointer, later, 1), (later, pointer, 0)):
        assert choose(first.encode(), second.encode()) == (which, later)
        assert c_store.choose(first.encode(), second.encode()) == (which, later)


@given(POINTERS, POINTERS, st.binary(max_size=20))
def test_the_other_file_counts_where_one_is_damaged(
    c_store: CStore, pointer: Pointer, other: Pointer, junk: bytes
) -> None:
    data = pointer.encode()
    torn = other.encode()[:-1]
    for bad in (b"", junk, torn):
        for first, second in ((data, bad), (bad, data), (bad, bad), (data, other.encode())):
            assert c_store.choose(first, second) == choose(first, second)
        assert choose(data, bad) == (0, pointer)
        assert choose(bad, data) == (1, pointer)
    assert choose(None, None) is None
