"""The head of a release file: read alike here and by the firmware's own reader, and never when it is damaged."""

from __future__ import annotations

import binascii
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lading.firmware.release_file import HERE, Header, Piece, decode, header_size
from tests.support.c_store import CStore

NAMES = st.text(st.characters(codec="utf-8"), max_size=30)
OWN = st.builds(
    Piece,
    st.integers(1, 4),
    NAMES,
    st.binary(min_size=32, max_size=32),
    st.integers(0, 2**32 - 1),
    st.integers(0, 254),
    st.just(0),
)
INSIDE = st.builds(
    Piece,
    st.integers(1, 4),
    NAMES,
    st.binary(min_size=32, max_size=32),
    st.integers(0, 5000),
    st.just(HERE),
    st.integers(0, 5000),
)
HEADERS = st.builds(
    Header,
    NAMES,
    NAMES,
    NAMES,
    st.lists(OWN | INSIDE, max_size=6).map(lambda pieces: tuple(pieces)),
    st.integers(10_000, 2**32 - 1),
)


@pytest.fixture(scope="module")
def c_store(tmp_path_factory: pytest.TempPathFactory) -> CStore:
    return CStore(tmp_path_factory.mktemp("c"))


@given(HEADERS, st.binary(max_size=8))
def test_what_is_written_is_read_by_both(c_store: CStore, header: Header, after: bytes) -> None:
    data = header.encode()
    assert header_size(data) == len(data)
    assert decode(data + after) == header
    assert c_store.release(data + after, header.crc) == header
    assert c_store.release(data, header.crc ^ 1) is None


@given(HEADERS, st.data())
def test_damage_is_noticed(c_store: CStore, header: Header, draw: st.DataObject) -> None:
    data = header.encode()
    cut = draw.draw(st.integers(0, len(data) - 1))
    at = draw.draw(st.integers(0, len(data) - 1))
    flipped = bytearray(data)
    flipped[at] ^= draw.draw(st.integers(1, 255))
    for damaged in (data[:cut], bytes(flipped)):
        assert decode(damaged) is None
        assert c_store.release(damaged, header.crc) is None


@given(st.binary(max_size=120), st.tuples(*[st.integers(0, 40)] * 4), st.integers(0, 300))
def test_no_header_with_a_right_checksum_leads_outside_of_it(
    c_store: CStore, rest: bytes, counts: tuple[int, ...], file_size: int
) -> None:
    body = b"LDR1" + struct.pack("<II", 20 + len(rest), file_size) + bytes(counts) + rest
    crc = binascii.crc32(body)
    data = body + struct.pack("<I", crc)
    try:
        found = c_store.release(data, crc)
    except UnicodeDecodeError:
        found = None  # the firmware takes names as they are
    assert decode(data) in (found, None)


def test_what_does_not_fit_is_refused() -> None:
    piece = Piece(2, "", bytes(32), 1)
    for header in (Header("a" * 256, "r", "v", ()), Header("a", "r", "v", (piece,) * 256)):
        with pytest.raises(ValueError, match="more than"):
            header.encode()
