"""What an agent says no with: a stable code, what happened, and what to do about it.

``code`` equals the ``code`` of a class in ``lading.errors``, which the client raises in its place.
"""

from __future__ import annotations

import errno
from typing import Any, Dict, Mapping, Optional


class AgentError(Exception):
    """A request that the agent refuses or cannot do."""

    def __init__(self, code: str, message: str, remedy: str = "", details: Optional[Mapping[str, Any]] = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.remedy = remedy
        self.details: Dict[str, Any] = dict(details or {})

    def to_json(self) -> Dict[str, Any]:
        """The error as it stands on the wire."""
        return {"code": self.code, "message": self.message, "remedy": self.remedy, "details": self.details}


class Cancelled(AgentError):
    """The client took its request back, or went away."""

    def __init__(self, message: str = "the client cancelled the request") -> None:
        super().__init__("failed", message)


def from_os_error(error: OSError, doing: str) -> AgentError:
    """The named error for a failed system call.

    Args:
        error: what the system said.
        doing: what was being done, as in "cannot write the blob".
    """
    reason = error.strerror or str(error)
    where = f" ({error.filename})" if error.filename else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return AgentError(
            "no-space",
            f"{doing}: {reason}{where}",
            "free storage on the device (lading gc removes old releases), then deploy again: it goes on where it was",
        )
    if error.errno == errno.EROFS:
        return AgentError("agent-failed", f"{doing}: {reason}{where}", "remount the device's storage read-write")
    if error.errno in (errno.EACCES, errno.EPERM):
        return AgentError("agent-failed", f"{doing}: {reason}{where}", "give the agent's user the rights to its folder")
    return AgentError("agent-failed", f"{doing}: {reason}{where}", "look at the device's storage and its kernel log")
