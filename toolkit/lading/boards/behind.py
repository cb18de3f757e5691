"""What a ``board://`` address leads to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lading.devices import Device

if TYPE_CHECKING:
    from lading.links.secrets import Secrets
    from lading.links.ssh_line import Options


@dataclass(frozen=True)
class BoardDevice(Device):
    """A board by the address behind its ``board://``, with what lets one in."""

    options: Options | None = None
    """How SSH connections to it are made."""
    secrets: Secrets | None = None
    """Who knows its console's password."""
