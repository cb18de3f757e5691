"""One end of a line: handshake, stream both ways, life signs. No input or output, no clock of its own.

The client opens a session by ``OPEN`` with a random number, again and again until ``OPENED`` brings that number back.
Frames of other sessions are dropped. A new ``OPEN`` ends the session that a listening end may be in: its client is
gone.
"""

from __future__ import annotations

import binascii
import os
import struct
from dataclasses import dataclass
from typing import Final, Optional

from lading_agent.line.frames import ACK, ASK, DATA, LEAVE, MAX_PAYLOAD, OPEN, OPENED, Decoder, LineFrame
from lading_agent.line.pace import Pace
from lading_agent.line.receiver import Receiver
from lading_agent.line.sender import Sender

VERSION: Final = 1
GREETING: Final = struct.Struct(">B8sHIB")
ANSWERING: Final = 0xFF
"""What the tag of the end that was opened differs in: where a line echoes, nobody's own frames count."""
DEFLATE: Final = 1
"""Flag: this end inflates what it reads and would like to deflate what it writes."""
OPEN_AGAIN_S: Final = 0.4
ALIVE_S: Final = 4.0
"""Something goes out at least this often."""
GAP_S: Final = 0.06
"""Silence after which half a frame counts as cut off."""


@dataclass(frozen=True)
class LineSettings:
    """What an end is ready for. Sizes in octets, times in seconds."""

    max_frame: int = 2048
    window: int = 64 * 1024
    deflate: bool = True
    dead_after_s: float = 25.0
    """Without any frame from the other end for this long, the line counts as lost."""


class Endpoint:
    """One end.

    Args:
        opens: whether this end opens the session (the client), or waits for the other to.
        settings: sizes and times.
        now: the present moment, on whatever monotonic clock the caller uses, in seconds.
    """

    def __init__(self, *, opens: bool, settings: LineSettings, now: float, session: Optional[bytes] = None) -> None:
        self._opens = opens
        self._settings = settings
        self._decoder = Decoder(MAX_PAYLOAD)
        self._session = (session or os.urandom(8)) if opens else b""
        self._sender: Optional[Sender] = None
        self._receiver = Receiver(settings.window)
        self._tag = self._other_tag = 0
        self.heard_at = now
        """When the last frame of the other end came."""
        self._bytes_at = now
        self._said_at = now
        self._open_at = now
        self._reply: Optional[bytes] = None
        self.deflate = False
        """Whether both ends deflate; known once :attr:`is_open`."""
        self.lost: Optional[str] = None
        """Why the line is lost."""
        self.next_session: Optional[LineFrame] = None
        """The ``OPEN`` of another client that ended this session."""
        self.left = False
        """The other end asked this one to go away."""

    # -- state --------------------------------------------------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        """Whether the session is established."""
        return self._sender is not None

    @property
    def noise(self) -> bytes:
        """The end of what came and was no frame."""
        return self._decoder.noise

    @property
    def receiver(self) -> Receiver:
        """What was read."""
        return self._receiver

    @property
    def sender(self) -> Sender:
        """What is written; only once :attr:`is_open`."""
        assert self._sender is not None, "the line is not open"
        return self._sender

    @property
    def owes(self) -> bool:
        """Whether the other end waits for an acknowledgement."""
        return self.is_open and self.lost is None and self._receiver.wake_at() is not None

    # -- in -----------------------------------------------------------------------------------------------------------

    def feed(self, data: bytes, now: float) -> None:
        """Take bytes from the line."""
        self._bytes_at = now
        for frame in self._decoder.feed(data):
            self._take(frame, now)

    def _take(self, frame: LineFrame, now: float) -> None:
        if frame.kind in (OPEN, OPENED):
            self._greeted(frame, now)
        elif frame.kind == LEAVE:
            if not self._opens and frame.payload == b"leave":
                self.left = True
        elif self._sender is not None and frame.tag == self._other_tag:
            if frame.kind == DATA and len(frame.payload) <= self._settings.max_frame:
                self.heard_at = now
                self._receiver.take(frame, now)
            elif frame.kind == ASK and not frame.payload:
                self.heard_at = now
                self._receiver.asked(frame, now)
            elif frame.kind == ACK and self._sender.acknowledged(frame, now):
                self.heard_at = now

    def _greeted(self, frame: LineFrame, now: float) -> None:
        if len(frame.payload) != GREETING.size or (frame.kind == OPEN) == self._opens:
            return
        version, session, max_frame, window, flags = GREETING.unpack(frame.payload)
        if version != VERSION:
            self.lost = f"the other end speaks version {version} of the line layer, this one {VERSION}"
            return
        if self._opens:
            if session != self._session:
                return
        elif self._sender is not None and session != self._session:
            self.next_session = frame
            self.lost = "another client opened a session on this line"
            return
        self.heard_at = now
        if self._sender is None:
            self._session = session
            tag = tag_of(session)
            self._tag, self._other_tag = (tag, tag ^ ANSWERING) if self._opens else (tag ^ ANSWERING, tag)
            size = max(64, min(max_frame, self._settings.max_frame))
            self.deflate = bool(flags & DEFLATE) and self._settings.deflate
            self._sender = Sender(self._tag, Pace(size, min(window, 1 << 20)), min(window, 1 << 20))
        if not self._opens:
            self._reply = self._greeting(OPENED)

    def _greeting(self, kind: int) -> bytes:
        mine = self._settings
        flags = DEFLATE if mine.deflate else 0
        payload = GREETING.pack(VERSION, self._session, mine.max_frame, mine.window, flags)
        tag = tag_of(self._session) ^ (0 if self._opens else ANSWERING)
        return LineFrame(kind, tag, 0, 0, payload).encode()

    # -- out ----------------------------------------------------------------------------------------------------------

    def next_output(self, now: float) -> bytes:
        """The next bytes for the line; none when there is nothing to say at the moment."""
        if self._decoder.pending and now - self._bytes_at >= GAP_S:
            self._bytes_at = now
            for frame in self._decoder.idle():
                self._take(frame, now)
        if self.lost is None and now - self.heard_at > self._settings.dead_after_s:
            self.lost = f"nothing was heard for {self._settings.dead_after_s:g} s"
        if self.lost is not None:
            return b""
        output = self._output(now)
        if output:
            self._said_at = now
        return output

    def _output(self, now: float) -> bytes:
        if self._sender is None:
            if self._opens and now >= self._open_at:
                self._open_at = now + OPEN_AGAIN_S
                return self._greeting(OPEN)
            return b""
        if self._reply is not None:
            reply, self._reply = self._reply, None
            return reply
        if self._receiver.ack_due(now) or now - self._said_at >= ALIVE_S:
            return self._receiver.acknowledgement(now).frame(self._tag, self._sender.turn()).encode()
        return self._sender.next_frame(now) or b""

    def wake_at(self) -> float:
        """When to call :meth:`next_output` at the latest, if nothing comes before."""
        moments = [self.heard_at + self._settings.dead_after_s]
        if self._decoder.pending:
            moments.append(self._bytes_at + GAP_S)
        if self._sender is None:
            if self._opens:
                moments.append(self._open_at)
        else:
            moments.append(self._said_at + ALIVE_S)
            due = (self._sender.wake_at(), self._receiver.wake_at())
            moments += [moment for moment in due if moment is not None]
        return min(moments)


def tag_of(session: bytes) -> int:
    """The tag that marks a session's frames: those of the end that opens it."""
    return binascii.crc32(session) & 0xFF


def leave_frame() -> bytes:
    """Tells whoever listens on the line, in whatever session, to give the line back."""
    return LineFrame(LEAVE, 0, 0, 0, b"leave").encode()
