"""Which hosts have a processor with instructions for AES: there, aes128-gcm is the fastest of OpenSSH's ciphers.

OpenSSH asks for chacha20-poly1305 first, because AES without such instructions (a Raspberry Pi 4 has none) is several
times slower. What a processor has is seen on first contact and by a probe, and remembered for the host and port of the
address. Should it be wrong one day, a transfer is slower and nothing else.
"""

from __future__ import annotations

import functools
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lading.remembered import Remembered

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lading.devices.address import Ssh

FILE: Final = "aes-hosts.json"
MOST: Final = 256
FAST: Final = "aes128-gcm@openssh.com"
USUAL: Final = "chacha20-poly1305@openssh.com"
CPUINFO: Final = Path("/proc/cpuinfo")
_HOSTS: Final = Remembered(FILE, "hosts", MOST)


def note(address: Ssh, facts: Mapping[str, Any]) -> None:
    """Remember what was seen of a host; a cache that cannot be written is no error.

    Args:
        address: the device's.
        facts: see ``lading_agent.facts``.
    """
    features = (facts.get("cpu") or {}).get("features")
    if not isinstance(features, list) or not features:
        return
    found = "aes" in features
    if _HOSTS.get(_place(address)) is not found:
        _HOSTS.put(_place(address), found)


def known(address: Ssh) -> bool:
    """Whether a host is known to have them."""
    return _HOSTS.get(_place(address)) is True


@functools.cache
def here() -> bool:
    """Whether this computer has them."""
    if sys.platform == "darwin":
        return True
    try:
        text = CPUINFO.read_text("ascii", "replace")
    except OSError:
        return False
    return any(
        "aes" in line.partition(":")[2].split() for line in text.splitlines() if line.startswith(("flags", "Features"))
    )


def reordered(ciphers: str) -> str | None:
    """The same ciphers with the fast one first; None where the user has an order of his own.

    Args:
        ciphers: as ``ssh -G`` tells them. What is not among them is not allowed, and is not added.
    """
    names = ciphers.split(",")
    if names[0] != USUAL or FAST not in names:
        return None
    return ",".join([FAST, *(name for name in names if name != FAST)])


def _place(address: Ssh) -> str:
    return f"{address.host} {address.port or ''}".strip()
