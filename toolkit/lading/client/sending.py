"""Sending content that a device lacks: what it asks for, from where it wants to go on, in one go."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, Protocol, runtime_checkable

from lading.client.pace import AHEAD, Pace
from lading.client.said import decoded, items, number, wrong
from lading.errors import BundleError
from lading_agent.wire.frames import CHUNK, MESSAGE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import BinaryIO

    from lading.client.call import Call
    from lading.client.connection import Connection
    from lading_agent.wire.frames import Frame

READ: Final = CHUNK
WORTH_POURING: Final = 64 * 1024
FIRST: Final = 16 * 1024
"""The first piece of much is small and goes alone: how soon the device has taken it tells how long the line is."""
PACED: Final = {"took": True}
"""Members of a request whose content is sent by a :class:`Sender`: the device is to tell how much it took."""
MAX_ROUNDS: Final = 16
"""How often an agent may ask for content in one push; ours does so four times at most."""


@runtime_checkable
class Placed(Protocol):
    """Content that lies in a file as it is."""

    def where(self) -> tuple[int, int]:
        """The file's descriptor, and where the content begins in it."""


class Sender:
    """Sends what the device's ``need`` events ask for.

    Args:
        connection: counts its round trips.
        call: the request that the content belongs to.
        sizes: digest and size of all that the device may ask for, in the order that both sides count by.
        open_blob: opens one of them, seekable.
        progress: called with octets sent, and octets to send.
        on_event: called with the name and members of whatever else the device says.
        damaged: what to say of content that ends too early.
    """

    def __init__(
        self,
        connection: Connection,
        call: Call,
        sizes: Mapping[str, int],
        open_blob: Callable[[str], BinaryIO],
        *,
        progress: Callable[[int, int], None] | None = None,
        on_event: Callable[[str, Mapping[str, object]], None] | None = None,
        damaged: str = "the bundle",
    ) -> None:
        self._connection = connection
        self._call = call
        self._sizes = dict(sizes)
        self._open = open_blob
        self._damaged = damaged
        self._progress = progress
        self._on_event = on_event
        self._needed: list[tuple[int, int]] = []
        self._rounds = 0
        self._done = 0
        self._total = 0
        self._pace: Pace | None = None

    def take(self, frame: Frame) -> None:
        """Act on what the agent says."""
        if frame.kind != MESSAGE:
            return
        message = decoded(frame.payload)
        name = str(message.pop("event", ""))
        if name == "took":
            if self._pace is not None:
                self._pace.took(number(message, "octets"), self._call.heard_at)
            return
        if name != "need":
            if self._on_event is not None:
                self._on_event(name, message)
            return
        self._needed += [self._place(entry) for entry in items(message, "blobs")]
        if len(self._needed) > len(self._sizes):
            raise wrong("it wants more content than there is")
        if not message.get("more") and self._needed:
            self._send_all(paced=bool(message.get("took")))

    def _place(self, entry: object) -> tuple[int, int]:
        """Which content the agent wants, and from where on."""
        sizes = list(self._sizes.values())
        if isinstance(entry, list) and len(entry) == 2 and all(isinstance(value, int) for value in entry):
            index, offset = entry
            if 0 <= index < len(sizes) and 0 <= offset <= sizes[index]:
                return int(index), int(offset)
        raise wrong("it wants content that there is not")

    def _send_all(self, *, paced: bool) -> None:
        needed, self._needed = self._needed, []
        self._rounds += 1
        if self._rounds > MAX_ROUNDS:
            raise wrong("it wants the same content again and again")
        digests = list(self._sizes)
        self._done = 0
        self._total = sum(self._sizes[digests[index]] - offset for index, offset in needed)
        self._pace = Pace() if paced and self._total > AHEAD else None
        self._tell()
        with self._connection.together() as flush:
            for index, offset in needed:
                self._call.tell("blob", index=index, offset=offset)
                self._send_blob(digests[index], offset, flush)
            self._call.tell("commit")
        self._connection.round_trips += 1

    def _send_blob(self, digest: str, offset: int, flush: Callable[[], None]) -> None:
        left = self._sizes[digest] - offset
        first = self._done == 0 and self._pace is not None
        with self._open(digest) as file:
            place = file.where() if self._connection.pours and isinstance(file, Placed) else None
            file.seek(offset)
            while left:
                size = min(FIRST if first else READ, left)
                first = False
                if place is not None and size >= WORTH_POURING:
                    self._listen(size, flush)
                    try:
                        self._call.pour(place[0], place[1] + self._sizes[digest] - left, size)
                    except EOFError:
                        raise self._ended(digest) from None
                    file.seek(size, os.SEEK_CUR)
                else:
                    data = file.read(size)
                    size = len(data)
                    if not data:
                        raise self._ended(digest)
                    self._listen(size, flush)
                    self._call.data(data)
                left -= size
                self._done += size
                self._tell()

    def _ended(self, digest: str) -> BundleError:
        return BundleError(f"{self._damaged} ends inside of {digest}", remedy="pack it again, or fetch it again")

    def _listen(self, octets: int, flush: Callable[[], None]) -> None:
        """Hear what the agent says meanwhile, until so many octets may follow: it may refuse what is being sent."""
        if self._has_to_wait(octets):
            flush()
        while (frame := self._call.receive(wait=self._has_to_wait(octets))) is not None:
            self.take(frame)
        if self._pace is not None:
            self._pace.sending(octets)

    def _has_to_wait(self, octets: int) -> bool:
        return self._pace is not None and not self._pace.may_send(octets)

    def _tell(self) -> None:
        if self._progress is not None:
            self._progress(self._done, self._total)
