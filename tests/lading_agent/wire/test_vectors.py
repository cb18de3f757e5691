"""The test vectors of ``docs/wire.md`` are what the code does."""

from __future__ import annotations

import re
from pathlib import Path

from lading_agent.wire.frames import CANCEL, DATA, MAGIC, Frame, FrameReader

PAGE = Path(__file__).parents[3] / "docs" / "wire.md"


def vectors() -> list[bytes]:
    lines = re.findall(r"^    ((?:[0-9A-F]{2} )*[0-9A-F]{2})(?:  .*)?$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    return [bytes.fromhex(line) for line in lines]


def test_the_vectors_decode_as_the_page_says() -> None:
    magic, data, cancel = vectors()
    assert magic == MAGIC
    stream = [magic + data + cancel, b""]
    reader = FrameReader(lambda _: stream.pop(0))
    assert reader.skip_to_magic() == b""
    assert reader.next() == Frame(DATA, 1, 7, b"hi")
    assert reader.next() == Frame(CANCEL, 0, 7, b"")
