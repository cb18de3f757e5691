"""The test vectors of ``docs/wire.md`` are what the code does."""

from __future__ import annotations

import re
from pathlib import Path

from lading_agent.line import endpoint
from lading_agent.line import frames as line
from lading_agent.line.frames import Decoder, LineFrame
from lading_agent.line.sender import Acknowledgement, parse
from lading_agent.wire.frames import CANCEL, DATA, MAGIC, Frame, FrameReader

PAGE = Path(__file__).parents[3] / "docs" / "wire.md"


def vectors() -> tuple[list[bytes], list[bytes]]:
    """Those of the agent protocol, and those of the line layer."""
    found = []
    for part in PAGE.read_text(encoding="utf-8").split("\n# The line layer\n"):
        lines = re.findall(r"^    ((?:[0-9A-F]{2} )+[0-9A-F]{2})(?:  .*)?$", part, re.MULTILINE)
        found.append([bytes.fromhex(line) for line in lines])
    protocol, line = found
    return protocol, line


def test_the_vectors_decode_as_the_page_says() -> None:
    magic, data, cancel = vectors()[0]
    assert magic == MAGIC
    stream = [magic + data + cancel, b""]
    reader = FrameReader(lambda _: stream.pop(0))
    assert reader.skip_to_magic() == b""
    assert reader.next() == Frame(DATA, 1, 7, b"hi")
    assert reader.next() == Frame(CANCEL, 0, 7, b"")


def test_the_vectors_of_the_line_layer_are_frames_as_the_page_says() -> None:
    data, opening, ack, leave = vectors()[1]
    decoder = Decoder()
    frames = decoder.feed(data + opening + ack + leave)
    assert [frame.encode() for frame in frames] == [data, opening, ack, leave]
    assert decoder.noise == b""
    assert frames[0] == LineFrame(line.DATA, 0x5A, 7, 1024, b"hi")
    assert (frames[1].kind, frames[1].tag) == (line.OPEN, endpoint.tag_of(bytes(range(8))))
    assert parse(frames[2], 4096, 9) == Acknowledgement(4096, 61440, 9, 12, ((5120, 6144),))
    assert frames[3].encode() == endpoint.leave_frame()
