from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from lading_agent.line import endpoint, frames
from lading_agent.line.frames import ACK, DATA, OPEN, OVERHEAD, SYNC, Decoder, LineFrame
from lading_agent.line.sender import Acknowledgement

some_frames = st.lists(
    st.builds(
        LineFrame,
        st.sampled_from(sorted(frames.KINDS)),
        st.integers(0, 255),
        st.integers(0, 65535),
        st.integers(0, 2**32 - 1),
        st.binary(max_size=frames.MAX_PAYLOAD),
    ),
    max_size=5,
)


def in_pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    pieces = []
    for cut in cuts:
        pieces.append(data[:cut])
        data = data[cut:]
    return [*pieces, data]


@given(some_frames, st.lists(st.integers(0, 900), max_size=40))
def test_frames_arrive_as_they_were_sent_however_the_stream_is_cut(sent: list[LineFrame], cuts: list[int]) -> None:
    decoder = Decoder()
    wire = b"".join(frame.encode() for frame in sent)
    assert [frame for piece in in_pieces(wire, cuts) for frame in decoder.feed(piece)] == sent
    assert decoder.noise == b""


@given(some_frames, st.binary(max_size=300).filter(lambda noise: SYNC[:1] not in noise))
def test_frames_are_found_amid_kernel_messages(sent: list[LineFrame], noise: bytes) -> None:
    decoder = Decoder()
    wire = noise + b"".join(frame.encode() + noise for frame in sent)
    assert decoder.feed(wire) == sent
    assert decoder.noise == (noise * (len(sent) + 1))[-frames.KEPT_NOISE :]


@given(st.integers(0, 2**32), st.integers(1, 40))
def test_every_frame_behind_a_lost_byte_is_found(seed: int, lost: int) -> None:
    chance = random.Random(seed)
    first = LineFrame(DATA, 1, 1, 0, chance.randbytes(200)).encode()
    rest = [LineFrame(DATA, 1, turn, turn * 200, chance.randbytes(200)) for turn in range(2, 6)]
    decoder = Decoder()
    broken = first[: lost * 5] + first[lost * 5 + 1 :]
    found = decoder.feed(broken + b"".join(frame.encode() for frame in rest))
    assert found + decoder.idle() == rest


@given(st.binary(max_size=12000), st.lists(st.integers(0, 3000), max_size=10))
def test_no_bytes_crash_the_decoder_or_make_it_keep_more_than_a_frame(data: bytes, cuts: list[int]) -> None:
    decoder = Decoder(limit=1000)
    for piece in in_pieces(data, cuts):
        for frame in decoder.feed(piece):
            assert len(frame.payload) <= 1000
        assert len(decoder._buffer) <= frames.MAX_PAYLOAD + OVERHEAD
        assert len(decoder.noise) <= frames.KEPT_NOISE
    for _ in range(1000 + OVERHEAD):
        if not decoder.pending:
            break
        decoder.idle()
    assert not decoder.pending


@given(st.integers(0, 2**32))
def test_a_frame_with_any_changed_bit_is_not_delivered(seed: int) -> None:
    chance = random.Random(seed)
    wire = bytearray(LineFrame(ACK, 3, 4, 5, chance.randbytes(60)).encode())
    bit = chance.randrange(len(wire) * 8)
    wire[bit // 8] ^= 1 << bit % 8
    decoder = Decoder()
    assert decoder.feed(bytes(wire)) + decoder.idle() == []


def test_headers_that_promise_much_do_not_hold_up_what_follows() -> None:
    """A line full of right headers with wrong content: each costs one checksum over at most one frame."""
    header = LineFrame(DATA, 0, 0, 0, bytes(frames.MAX_PAYLOAD)).encode()[: frames.HEAD]
    last = LineFrame(DATA, 9, 9, 9, b"here")
    decoder = Decoder()
    found = decoder.feed(header * 600 + last.encode() + bytes(frames.MAX_PAYLOAD + OVERHEAD))
    assert found == [last]


def test_vectors_of_the_wire_documentation() -> None:
    session = bytes(range(8))
    opening = endpoint.GREETING.pack(1, session, 2048, 65536, endpoint.DEFLATE)
    have = Acknowledgement(4096, 61440, 9, 12, ((5120, 6144),))
    assert endpoint.tag_of(session) == 0x9F
    vectors = {
        LineFrame(DATA, 0x5A, 7, 1024, b"hi").encode(): "d44c035a000700000400000240be6869f36452dd",
        LineFrame(OPEN, 0x9F, 0, 0, opening).encode(): (
            "d44c019f00000000000000 10e855 01 0001020304050607 0800 00010000 01 bf183e87"
        ),
        have.frame(0x5A, 10).encode(): "d44c045a000a0000100000 10556b 0000f000 0009 000c 00001400 00001800 2eaecae4",
        endpoint.leave_frame(): "d44c050000000000000000 0573ec 6c65617665 e90b5b12",
    }
    for made, said in vectors.items():
        assert made.hex() == said.replace(" ", "")
