"""Reading what an agent said: whoever answers may be broken, or lie. Then an error says so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lading.errors import AgentFailed
from lading_agent.wire import messages
from lading_agent.wire.frames import FrameError

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST = 2**63


def decoded(payload: bytes) -> dict[str, Any]:
    """The object in the payload of a message, a reply or an error.

    Raises:
        AgentFailed: it is none.
    """
    try:
        return messages.decode(payload)
    except FrameError as error:
        raise wrong(str(error)) from None


def number(doc: Mapping[str, Any], key: str, default: int | None = None) -> int:
    """A whole number that is not negative.

    Raises:
        AgentFailed: it is something else, or is missing and has no default.
    """
    value = doc.get(key, default)
    if not isinstance(value, int | float) or not 0 <= value < MOST:
        raise wrong(f"its {key!r} is not a number")
    return int(value)


def items(doc: Mapping[str, Any], key: str) -> list[Any]:
    """A list; empty where it is missing.

    Raises:
        AgentFailed: it is something else.
    """
    value = doc.get(key)
    if value is not None and not isinstance(value, list):
        raise wrong(f"its {key!r} is not a list")
    return list(value or ())


def members(doc: Mapping[str, Any], key: str) -> dict[str, Any]:
    """An object; empty where it is missing.

    Raises:
        AgentFailed: it is something else.
    """
    value = doc.get(key)
    if value is not None and not isinstance(value, dict):
        raise wrong(f"its {key!r} is not an object")
    return dict(value or {})


def wrong(what: str) -> AgentFailed:
    """The error for an agent that does not say what it should."""
    return AgentFailed(f"the agent on the device answers something that makes no sense: {what}", remedy="update it")
