from __future__ import annotations

import contextlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lading_agent.wire import frames, messages
from lading_agent.wire.connection import FrameWriter
from lading_agent.wire.frames import DATA, HEADER, MAGIC, REQUEST, SYNC, Frame, FrameError, FrameReader


class Stream:
    """Bytes that come in pieces of the given sizes; remembers the largest amount that was asked for at once."""

    def __init__(self, data: bytes, pieces: list[int] | None = None) -> None:
        self.data = data
        self.pieces = list(pieces or [])
        self.asked = 0

    def read(self, limit: int) -> bytes:
        assert limit > 0
        self.asked = max(self.asked, limit)
        size = min(limit, self.pieces.pop(0) if self.pieces else limit)
        taken, self.data = self.data[:size], self.data[size:]
        return taken


def frame_bytes(frame: Frame) -> bytes:
    return frames.header(frame.kind, frame.request, len(frame.payload), frame.channel) + frame.payload


some_frames = st.lists(
    st.builds(Frame, st.integers(0, 255), st.integers(0, 65535), st.integers(0, 2**32 - 1), st.binary(max_size=9000)),
    max_size=6,
)
pieces = st.lists(st.integers(1, 5000), max_size=60)


@given(some_frames, pieces)
def test_frames_arrive_as_they_were_sent_however_the_stream_is_cut(sent: list[Frame], cuts: list[int]) -> None:
    reader = FrameReader(Stream(b"".join(map(frame_bytes, sent)), cuts).read)
    assert [reader.next() for _ in sent] == sent
    assert reader.next() is None


@given(
    st.lists(st.builds(Frame, st.just(DATA), st.just(0), st.just(1), st.binary(max_size=200).map(lambda b: b * 1000))),
    st.lists(st.integers(1, 70_000), max_size=60),
)
def test_long_frames_arrive_as_they_were_sent_when_read_into_a_buffer(sent: list[Frame], cuts: list[int]) -> None:
    stream = Stream(b"".join(map(frame_bytes, sent)), cuts)

    def read_into(view: memoryview) -> int:
        data = stream.read(len(view))
        view[: len(data)] = data
        return len(data)

    reader = FrameReader(stream.read, frames.MAX_FRAME, read_into)
    assert [reader.next() for _ in sent] == sent
    assert reader.next() is None


def test_a_long_frame_that_is_cut_is_an_error() -> None:
    stream = Stream(frame_bytes(Frame(DATA, 0, 1, bytes(100_000)))[:-1])

    def read_into(view: memoryview) -> int:
        data = stream.read(len(view))
        view[: len(data)] = data
        return len(data)

    with pytest.raises(FrameError, match="inside a frame"):
        FrameReader(stream.read, frames.MAX_FRAME, read_into).next()


@given(st.binary(max_size=3000), some_frames, pieces)
def test_the_magic_is_found_amid_a_login_banner(banner: bytes, sent: list[Frame], cuts: list[int]) -> None:
    if MAGIC in banner + MAGIC[:-1]:
        return
    reader = FrameReader(Stream(banner + MAGIC + b"".join(map(frame_bytes, sent)), cuts).read)
    assert reader.skip_to_magic() == banner
    assert [reader.next() for _ in sent] == sent


@given(st.binary(max_size=5000), pieces)
@example(HEADER.pack(SYNC, DATA, 0, 1, 2**32 - 1), [])
@example(HEADER.pack(SYNC, DATA, 0, 1, frames.MAX_HELLO + 1) + b"x" * 100, [])
def test_no_bytes_crash_the_reader_or_make_it_ask_for_more_than_its_limit(data: bytes, cuts: list[int]) -> None:
    stream = Stream(data, cuts)
    reader = FrameReader(stream.read, limit=2000)
    try:
        while (frame := reader.next()) is not None:
            assert len(frame.payload) <= 2000
            messages.decode(frame.payload)
    except FrameError:
        pass
    assert stream.asked <= 4096


@given(st.binary(max_size=3000))
def test_a_stream_without_magic_says_what_came_instead(noise: bytes) -> None:
    if MAGIC in noise:
        return
    with pytest.raises(FrameError) as caught:
        FrameReader(Stream(noise).read).skip_to_magic()
    assert caught.value.args[1] == noise


def test_endless_noise_before_the_magic_is_given_up() -> None:
    with pytest.raises(FrameError, match="no agent protocol within"):
        FrameReader(lambda limit: b"y" * limit).skip_to_magic()


def test_a_stream_that_ends_inside_a_frame_is_an_error() -> None:
    whole = frame_bytes(Frame(DATA, 0, 1, b"content"))
    for end in range(1, len(whole)):
        with pytest.raises(FrameError, match="ended inside"):
            FrameReader(Stream(whole[:end]).read).next()


@given(st.binary(max_size=200))
@example(b"[" * 100_000)
@example(b'{"a":' * 5000)
@example(b'"\\ud800"')
def test_a_message_is_an_object_or_refused(payload: bytes) -> None:
    with contextlib.suppress(FrameError):
        assert isinstance(messages.decode(payload), dict)


def test_a_message_over_the_other_sides_limit_is_refused_before_it_is_sent() -> None:
    sent: list[bytes] = []
    writer = FrameWriter(sent.append)
    writer.limit = 1024
    with pytest.raises(ValueError, match="limit of 1024"):
        writer.message(REQUEST, 1, {"long": "x" * 2000})
    assert sent == []


@given(st.binary(max_size=5000), st.integers(1024, 2000))
def test_data_is_cut_to_the_other_sides_limit(data: bytes, limit: int) -> None:
    sent: list[bytes] = []
    writer = FrameWriter(sent.append)
    writer.limit = limit
    writer.data(DATA, 7, data, channel=2)
    reader = FrameReader(Stream(b"".join(sent)).read, limit)
    got = b""
    while (frame := reader.next()) is not None:
        assert (frame.kind, frame.channel, frame.request) == (DATA, 2, 7)
        got += frame.payload
    assert got == data


def test_names_that_are_not_utf8_survive_a_message() -> None:
    name = b"file-\xff".decode("utf-8", "surrogateescape") + "ü"
    assert messages.decode(messages.encode({"name": name})) == {"name": name}
