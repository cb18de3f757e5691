"""The client's side of a push: the bill, then what is missing of its content, in one go."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Protocol

from lading.client.keeping import require
from lading.client.results import PushResult
from lading.client.sending import PACED, Sender

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import BinaryIO

    from lading.client.connection import Connection
    from lading_agent.bill import Bill


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


def push(
    connection: Connection,
    bundle: Cargo,
    *,
    variant: str,
    keep: int | None,
    force: bool,
    dry_run: bool,
    confirm_within_s: float | None,
    runtime: str | None,
    judged: Sequence[Mapping[str, Any]],
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
        "runtime": runtime,
        "judged": list(judged),
        **PACED,
        "bill_size": len(bill_bytes),
        "bill_digest": f"sha256:{hashlib.sha256(bill_bytes).hexdigest()}",
    }
    with connection.call("push", request, bounded=False) as call:
        call.data(bill_bytes)
        sizes = dict(sorted(bundle.bill.blobs(variant).items()))
        sender = Sender(connection, call, sizes, bundle.open_blob, progress=progress, on_event=on_event)
        connection.round_trips += 1
        for frame in call:
            sender.take(frame)
        return PushResult.from_json(call.reply)
