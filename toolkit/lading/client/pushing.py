"""The client's side of a push: the bill, then what is missing of its content, in one go."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final, Protocol

from lading.client.keeping import require
from lading.client.results import PushResult
from lading.errors import BundleError
from lading_agent.wire import messages
from lading_agent.wire.frames import CHUNK, MESSAGE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import BinaryIO

    from lading.client.connection import Call, Connection
    from lading_agent.bill import Bill
    from lading_agent.wire.frames import Frame

READ: Final = CHUNK


class Cargo(Protocol):
    """What is pushed: an open bundle, or anything that looks like one."""

    @property
    def bill(self) -> Bill:
        """The bill."""

    @property
    def bill_bytes(self) -> bytes:
        """The bill's canonical bytes."""

    def open_blob(self, digest: str) -> BinaryIO:
        """A blob's content, seekable."""


Progress = "Callable[[int, int], None]"


def push(
    connection: Connection,
    bundle: Cargo,
    *,
    variant: str,
    keep: int | None,
    force: bool,
    dry_run: bool,
    confirm_within_s: float | None,
    progress: Callable[[int, int], None] | None,
    on_event: Callable[[str, Mapping[str, object]], None] | None,
) -> PushResult:
    """Push a bundle; see ``Session.push``."""
    if confirm_within_s is not None:
        require(connection, "confirm")
    bill_bytes = bundle.bill_bytes
    request = {
        "variant": variant,
        "keep": keep,
        "force": force,
        "dry_run": dry_run,
        "confirm_within_s": confirm_within_s,
        "bill_size": len(bill_bytes),
        "bill_digest": f"sha256:{hashlib.sha256(bill_bytes).hexdigest()}",
    }
    with connection.call("push", request, bounded=False) as call:
        call.data(bill_bytes)
        sender = _Sender(connection, call, bundle, variant, progress, on_event)
        connection.round_trips += 1
        for frame in call:
            sender.take(frame)
        return PushResult.from_json(call.reply)


class _Sender:
    def __init__(
        self,
        connection: Connection,
        call: Call,
        bundle: Cargo,
        variant: str,
        progress: Callable[[int, int], None] | None,
        on_event: Callable[[str, Mapping[str, object]], None] | None,
    ) -> None:
        self._connection = connection
        self._call = call
        self._bundle = bundle
        self._sizes = dict(sorted(bundle.bill.blobs(variant).items()))
        self._progress = progress
        self._on_event = on_event
        self._needed: list[tuple[int, int]] = []
        self._done = 0
        self._total = 0

    def take(self, frame: Frame) -> None:
        """Act on what the agent says."""
        if frame.kind != MESSAGE:
            return
        message = messages.decode(frame.payload)
        name = str(message.pop("event", ""))
        if name != "need":
            if self._on_event is not None:
                self._on_event(name, message)
            return
        self._needed += [(int(index), int(offset)) for index, offset in message["blobs"]]
        if not message.get("more") and self._needed:
            self._send_all()

    def _send_all(self) -> None:
        needed, self._needed = self._needed, []
        digests = list(self._sizes)
        self._done = 0
        self._total = sum(self._sizes[digests[index]] - offset for index, offset in needed)
        self._tell()
        for index, offset in needed:
            self._call.tell("blob", index=index, offset=offset)
            self._send_blob(digests[index], offset)
        self._call.tell("commit")
        self._connection.round_trips += 1

    def _send_blob(self, digest: str, offset: int) -> None:
        left = self._sizes[digest] - offset
        with self._bundle.open_blob(digest) as file:
            file.seek(offset)
            while left:
                data = file.read(min(READ, left))
                if not data:
                    raise BundleError(f"the bundle ends inside of {digest}", remedy="pack it again, or fetch it again")
                left -= len(data)
                self._call.data(data)
                self._done += len(data)
                self._tell()
                self._listen()

    def _listen(self) -> None:
        """Hear what the agent says meanwhile: it may refuse what is being sent."""
        while (frame := self._call.receive(wait=False)) is not None:
            self.take(frame)

    def _tell(self) -> None:
        if self._progress is not None:
            self._progress(self._done, self._total)
