"""From the agent's error codes to lading's errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lading.errors import DeviceError, LadingError

if TYPE_CHECKING:
    from collections.abc import Mapping


def from_agent(doc: Mapping[str, Any]) -> LadingError:
    """The error that an agent's refusal stands for; an unknown code is a :class:`DeviceError`."""
    kind = _by_code(LadingError).get(str(doc.get("code")), DeviceError)
    details = doc.get("details")
    return kind(
        str(doc.get("message") or "the device said no"),
        remedy=str(doc.get("remedy") or ""),
        details=dict(details) if isinstance(details, dict) else None,
    )


def _by_code(root: type[LadingError]) -> dict[str, type[LadingError]]:
    found: dict[str, type[LadingError]] = {}
    for kind in root.__subclasses__():
        found.setdefault(kind.code, kind)
        for code, below in _by_code(kind).items():
            found.setdefault(code, below)
    return found
