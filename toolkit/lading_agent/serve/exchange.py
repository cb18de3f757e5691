"""One request and all that belongs to it, as its handler sees it."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Any, Callable, Deque, Dict, Mapping, Optional

from lading_agent.errors import AgentError, Cancelled
from lading_agent.wire import messages
from lading_agent.wire.frames import CONTENT, DATA, MESSAGE, Frame
from lading_agent.wire.messages import Fields

if TYPE_CHECKING:
    from lading_agent.wire.connection import FrameWriter

WINDOW = 2 * 1024 * 1024
"""Octets that may wait for a handler. The link waits when they are reached: no more is read from it."""


class Exchange:
    """A request being answered."""

    def __init__(self, number: int, request: Mapping[str, Any], writer: FrameWriter, owner: Mapping[str, Any]) -> None:
        self.number = number
        self.fields = Fields(request)
        self.owner = owner
        """The client: ``user``, ``host``, ``pid``."""
        self._writer = writer
        self._inbox: Deque[Frame] = deque()
        self._waiting = 0
        self._changed = threading.Condition()
        self._over = False
        self._cancelled = False
        self._lost = False

    # -- for the connection's reader ----------------------------------------------------------------------------------

    def put(self, frame: Frame) -> None:
        """Hand a frame to the handler; waits while too much waits for it."""
        with self._changed:
            while self._waiting >= WINDOW and not self._over and not self._cancelled:
                self._changed.wait()
            if not self._over:
                self._inbox.append(frame)
                self._waiting += len(frame.payload)
                self._changed.notify_all()

    def cancel(self) -> None:
        """The client does not want it any more, or is gone."""
        with self._changed:
            self._cancelled = True
            self._changed.notify_all()

    def lose(self) -> None:
        """The client is gone. The handler should stop, but may take what had arrived: it need not be sent again."""
        with self._changed:
            self._lost = True
            self._changed.notify_all()

    def finish(self) -> None:
        """The handler returned."""
        with self._changed:
            self._over = True
            self._inbox.clear()
            self._changed.notify_all()

    # -- for the handler ----------------------------------------------------------------------------------------------

    @property
    def cancelled(self) -> bool:
        """Whether the handler should stop."""
        return self._cancelled or self._lost

    def check(self) -> None:
        """Stop here if the request was cancelled.

        Raises:
            Cancelled: it was.
        """
        if self.cancelled:
            raise Cancelled

    def no_more(self) -> None:
        """Nothing more is received; whoever waits for it wakes up. Sending goes on."""
        self.finish()

    def receive(self) -> Frame:
        """The next message or data frame of the request.

        Raises:
            Cancelled: there will be none.
        """
        with self._changed:
            while not self._inbox and not self.cancelled and not self._over:
                self._changed.wait()
            if self._cancelled or self._over or not self._inbox:
                raise Cancelled
            frame = self._inbox.popleft()
            self._waiting -= len(frame.payload)
            self._changed.notify_all()
            return frame

    def receive_bytes(self, size: int) -> bytes:
        """Data frames of ``size`` octets together."""
        data = bytearray()
        while len(data) < size:
            frame = self.receive()
            if frame.kind != DATA or len(data) + len(frame.payload) > size:
                raise AgentError("usage", "the client sent something else than it announced", "update lading")
            data += frame.payload
        return bytes(data)

    def event(self, name: str, **members: Any) -> None:
        """Tell the client something while the request goes on."""
        self._send(lambda: self._writer.message(MESSAGE, self.number, {"event": name, **members}))

    def data(self, payload: bytes, channel: int = CONTENT) -> None:
        """Send bytes of one of the request's streams."""
        self._send(lambda: self._writer.data(DATA, self.number, payload, channel))

    def _send(self, send: Callable[[], None]) -> None:
        try:
            send()
        except OSError as error:
            self.cancel()
            raise Cancelled("the link to the client is gone") from error


def message_of(frame: Frame) -> Optional[Dict[str, Any]]:
    """The message in a frame; None for data."""
    return messages.decode(frame.payload) if frame.kind == MESSAGE else None
