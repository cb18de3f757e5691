"""Whether a device's system libraries are new enough for an engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from lading.engines.catalogue import ordered

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

LIBRARIES: Final = ("glibc", "glibcxx", "cxxabi", "libgcc")

_ARM32_PATHS: Final = ("arm-linux-gnueabi", "arm-linux-gnueabihf", "arm-linux-musleabihf")
_INSTALLED: Final = "an installed runtime (wasmedge, iwasm) there"
_ALIASES: Final = {"arm64": "aarch64", "amd64": "x86_64"}


def combine(several: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """The minimums of parts that are used together: the newest of each."""
    found: dict[str, str] = {}
    for minimums in several:
        for name, version in minimums.items():
            if name not in found or (name in LIBRARIES and ordered(version) > ordered(found[name])):
                found[name] = version
    return found


def fits(minimums: Mapping[str, str], facts: Mapping[str, Any]) -> list[str]:
    """Why something does not run on a device; empty when nothing speaks against it.

    Args:
        minimums: ``architecture`` and the least versions of ``glibc``, ``glibcxx``, ``cxxabi``, ``libgcc``.
        facts: what :func:`lading_agent.facts.gather.facts_of` says of the device. What it does not say is no reason.

    Returns:
        One sentence a reason, with what can be done.
    """
    libc, libstdcxx = facts.get("libc") or {}, facts.get("libstdcxx") or {}
    reasons = (
        _architecture(minimums.get("architecture", ""), facts.get("system") or {}, libstdcxx),
        _libc(minimums.get("glibc", ""), libc),
        _libstdcxx(minimums.get("glibcxx", ""), libstdcxx, libc),
    )
    return [reason for reason in reasons if reason]


def _architecture(wanted: str, system: Mapping[str, Any], libstdcxx: Mapping[str, Any]) -> str:
    machine = str(system.get("machine", ""))
    found = _ALIASES.get(machine, machine)
    if wanted and found and found != wanted:
        return f"it is for {wanted}, the device is {machine}: use {_INSTALLED}"
    path = str(libstdcxx.get("path", ""))
    if wanted == "aarch64" and any(f"/{name}/" in path for name in _ARM32_PATHS):
        return (
            "it is for a 64-bit system, the device runs a 32-bit one on a 64-bit kernel: "
            f"install the 64-bit edition of its system, or use {_INSTALLED}"
        )
    return ""


def _libc(wanted: str, libc: Mapping[str, Any]) -> str:
    kind, version = str(libc.get("kind", "")), str(libc.get("version", ""))
    if not wanted or not kind:
        return ""
    if kind != "glibc":
        found = f"{kind} {version}".rstrip()
        return f"it needs glibc {wanted}, the device's C library is {found}: use a system with glibc, or {_INSTALLED}"
    if version and ordered(version) < ordered(wanted):
        return (
            f"it needs glibc {wanted}, the device has glibc {version}: update its system (Debian 12, Ubuntu 22.04 "
            f"and Raspberry Pi OS bookworm have 2.35 or newer), or use {_INSTALLED}"
        )
    return ""


def _libstdcxx(wanted: str, found: Mapping[str, Any], libc: Mapping[str, Any]) -> str:
    if not wanted or libc.get("kind", "glibc") != "glibc":
        return ""
    version = str(found.get("glibcxx", ""))
    if not version:
        # A device that said which C library it has was asked for the C++ library as well.
        return "it needs libstdc++, which the device lacks: apt install libstdc++6" if libc else ""
    if ordered(version) < ordered(wanted):
        return (
            f"it needs libstdc++ with GLIBCXX_{wanted}, the device's ends at GLIBCXX_{version}: update its system "
            "(Debian 12, Ubuntu 22.04 or newer; then apt install libstdc++6)"
        )
    return ""
