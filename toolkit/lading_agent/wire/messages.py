"""Messages: small JSON objects inside frames.

Unknown members are ignored by whoever reads a message, so that a newer side may say more than an older one knows;
what changes behaviour is agreed on by the ``features`` of the hello.
"""

from __future__ import annotations

import json
from typing import Any, Dict, List, Mapping, Optional

from lading_agent.errors import AgentError
from lading_agent.wire.frames import FrameError


def encode(message: Mapping[str, Any]) -> bytes:
    """A message's payload."""
    # Escaped to ASCII, so that file names that are not UTF-8 (surrogates, to Python) survive as well.
    return json.dumps(message, separators=(",", ":"), allow_nan=False).encode("ascii")


def decode(payload: bytes) -> Dict[str, Any]:
    """The object in a message's payload.

    Raises:
        FrameError: it is not one JSON object in UTF-8.
    """
    try:
        message = json.loads(payload.decode("utf-8"))
    except (ValueError, RecursionError):
        raise FrameError("a message is not JSON") from None
    if not isinstance(message, dict):
        raise FrameError("a message is not a JSON object")
    return message


class Fields:
    """Typed members of a message from a stranger. A wrong type is the stranger's fault and said so."""

    def __init__(self, message: Mapping[str, Any]) -> None:
        self._message = message

    def text(self, name: str, default: Optional[str] = None, *, limit: int = 4096) -> str:
        """Text of at most ``limit`` characters, without NUL."""
        value = self._message.get(name, default)
        if not isinstance(value, str) or len(value) > limit or "\0" in value:
            raise self._wrong(name, "text")
        return value

    def optional_text(self, name: str) -> Optional[str]:
        """Text, or None where it is missing or null."""
        return None if self._message.get(name) is None else self.text(name)

    def flag(self, name: str, default: bool = False) -> bool:
        """True or false."""
        value = self._message.get(name, default)
        if not isinstance(value, bool):
            raise self._wrong(name, "true or false")
        return value

    def integer(self, name: str, default: Optional[int] = None, *, low: int = 0, high: int = 2**53) -> int:
        """An integer between ``low`` and ``high``."""
        value = self._message.get(name, default)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise self._wrong(name, f"an integer between {low} and {high}")
        return value

    def optional_integer(self, name: str, *, low: int = 0, high: int = 2**53) -> Optional[int]:
        """An integer, or None where it is missing or null."""
        return None if self._message.get(name) is None else self.integer(name, low=low, high=high)

    def optional_seconds(self, name: str) -> Optional[float]:
        """A duration above zero, or None where it is missing or null."""
        value = self._message.get(name)
        if value is None:
            return None
        if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 < value < 1e9:
            raise self._wrong(name, "a duration in seconds")
        return float(value)

    def optional_texts(self, name: str) -> Optional[List[str]]:
        """A list of texts, or None where it is missing or null."""
        value = self._message.get(name)
        if value is None:
            return None
        if not isinstance(value, list) or not all(isinstance(v, str) and "\0" not in v for v in value):
            raise self._wrong(name, "a list of texts")
        return list(value)

    def raw(self, name: str) -> Any:
        """A member as it came; None where it is missing."""
        return self._message.get(name)

    def mapping(self, name: str) -> Dict[str, str]:
        """An object of texts; empty where it is missing."""
        value = self._message.get(name) or {}
        if not isinstance(value, dict) or not all(isinstance(v, str) and "\0" not in k + v for k, v in value.items()):
            raise self._wrong(name, "an object of texts")
        return dict(value)

    @staticmethod
    def _wrong(name: str, what: str) -> AgentError:
        return AgentError("usage", f"the request's {name!r} is not {what}", "update lading on both sides")
