"""Who a device is: kernel, operating system, board, init."""

from __future__ import annotations

import shlex
from typing import Any, Dict

from lading_agent.facts.text import lines, pairs, word

_ARCHITECTURES = {
    "x86_64": "x86_64",
    "amd64": "x86_64",
    "i386": "i686",
    "i486": "i686",
    "i586": "i686",
    "i686": "i686",
    "aarch64": "aarch64",
    "arm64": "aarch64",
    "armv8l": "armv7l",
    "armv7l": "armv7l",
    "armv6l": "armv6l",
    "riscv64": "riscv64",
}
"""What ``uname -m`` says to the name that target files use. ``armv8l``: a 32-bit user land on a 64-bit kernel."""


def parse_uname(text: str) -> Dict[str, Any]:
    """``uname -srm``: ``kernel``, ``release``, ``machine``, ``architecture`` (empty when not known)."""
    for line in lines(text):
        words = line.split()
        if len(words) >= 3:
            machine = word(words[-1])
            return {
                "kernel": word(words[0]),
                "release": word(words[1]),
                "machine": machine,
                "architecture": _ARCHITECTURES.get(machine, ""),
            }
    return {}


def parse_os_release(text: str) -> Dict[str, Any]:
    """``/etc/os-release``: ``id``, ``name``, ``version``, ``like``, ``codename``, and a builder's own fields."""
    found: Dict[str, str] = {}
    for key, value in pairs(text, "="):
        if key.isascii() and key.replace("_", "").isalnum() and len(found) < 64:
            found[key] = _unquoted(value)
    if not found:
        return {}
    vendor = {k.lower(): word(v) for k, v in found.items() if k.startswith(("OPENWRT_", "BUILD_", "VARIANT"))}
    return {
        "id": word(found.get("ID", "")),
        "name": word(found.get("PRETTY_NAME") or found.get("NAME", "")),
        "version": word(found.get("VERSION_ID", "")),
        "codename": word(found.get("VERSION_CODENAME") or found.get("DISTRO_CODENAME", "")),
        "like": [word(w) for w in found.get("ID_LIKE", "").split()[:8]],
        "vendor": vendor,
    }


def _unquoted(value: str) -> str:
    try:
        words = shlex.split(value[:1000])
    except ValueError:  # an open quote
        return value.strip("'\"")
    return words[0] if words else ""


def parse_model(text: str) -> str:
    """The board's name, from the device tree (which ends it by a NUL and no line) or from the firmware."""
    return next((word(line) for line in lines(text)), "")


def parse_init(text: str) -> str:
    """The name of process 1: ``systemd``, ``procd``, ``init``."""
    return next((word(line) for line in lines(text)), "")
