"""Content on its way into the store: the client is told what is missing, and what it sends is taken."""

from __future__ import annotations

from typing import TYPE_CHECKING, Dict, List, Mapping, Tuple

from lading_agent.errors import AgentError
from lading_agent.serve.exchange import Exchange, message_of
from lading_agent.store.blobs import BadContent, Receiver, missing
from lading_agent.wire.frames import DATA
from lading_agent.wire.messages import Fields

if TYPE_CHECKING:
    from lading_agent.store.layout import Layout
    from lading_agent.store.steps import Steps

NEEDS_A_MESSAGE = 2000
TOLD_EVERY = 256 * 1024
"""After how many octets a client that asked for it hears what was taken; of the first ones it hears at once."""
ROUNDS = 3
"""How often the client is asked again for content that older bytes of the device had spoilt."""

Missing = List[Tuple[str, int, int]]
"""Digest, size, and the offset from which on it is missing."""


def receive(
    layout: Layout, steps: Steps, exchange: Exchange, blobs: Mapping[str, int], wanted: Missing, what: str = "bundle"
) -> None:
    """Take what is missing of some content; all of it is durable and has its name when this returns.

    Args:
        layout: the store's paths.
        steps: told of each step.
        exchange: the request that brings it.
        blobs: digest and size of all that is needed; their order is what both sides count by.
        wanted: what is missing of it.
        what: what it belongs to, for messages.
    """
    receiver = Receiver(layout, steps)
    paced = exchange.fields.flag("took")
    try:
        for _ in range(ROUNDS):
            _ask(exchange, blobs, wanted, paced=paced)
            if not wanted:
                break
            bad = _receive_round(exchange, receiver, dict(blobs), what, paced=paced)
            receiver.commit()
            wanted = missing(layout, blobs)
            if not wanted:
                break
            if not bad:
                raise AgentError("usage", "the client did not send all that is missing", "update lading")
        else:
            raise AgentError("agent-failed", "content comes out damaged on the device", "look at its storage")
    finally:
        receiver.close()


def _ask(exchange: Exchange, blobs: Mapping[str, int], wanted: Missing, *, paced: bool) -> None:
    order = {digest: number for number, digest in enumerate(blobs)}
    for at in range(0, max(len(wanted), 1), NEEDS_A_MESSAGE):
        part = [[order[digest], offset] for digest, _, offset in wanted[at : at + NEEDS_A_MESSAGE]]
        more = at + NEEDS_A_MESSAGE < len(wanted)
        exchange.event("need", blobs=part, more=more, took=paced)


def _receive_round(
    exchange: Exchange, receiver: Receiver, blobs: Dict[str, int], what: str, *, paced: bool
) -> List[str]:
    """Take what the client sends up to its ``commit``; return what has to be sent again, from its start."""
    digests = list(blobs)
    bad: List[str] = []
    taken = told = 0
    while True:
        frame = exchange.receive()
        try:
            if frame.kind == DATA:
                taken += len(frame.payload)
                receiver.feed(frame.payload)
            else:
                message = message_of(frame) or {}
                if message.get("message") == "commit":
                    break
                if message.get("message") != "blob" or receiver.remaining:
                    raise AgentError("usage", "the client sent something unexpected", "update lading")
                fields = Fields(message)
                digest = digests[fields.integer("index", high=len(digests) - 1)]
                receiver.begin(digest, blobs[digest], fields.integer("offset"))
        except BadContent as error:
            if not error.resumed:
                raise AgentError(
                    "bundle",
                    f"what was sent as {error.digest} is something else: the {what} is damaged",
                    "pack it again, or fetch it again from where it came",
                    {"digest": error.digest},
                ) from None
            bad.append(error.digest)
        if paced and (taken - told >= TOLD_EVERY or (taken and not told)) and not exchange.cancelled:
            told = taken
            exchange.event("took", octets=taken)
    if receiver.remaining:
        raise AgentError("usage", "the client stopped in the middle of a blob", "update lading")
    return bad
