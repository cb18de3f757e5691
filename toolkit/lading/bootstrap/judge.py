"""Whether a device can take what would be brought, said before anything is sent."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from lading.errors import DeviceUnfit, EngineUnfit, HomeUnusable, LadingError, NoPython, NoSpace

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lading.bootstrap.look import Look

OLDEST_PYTHON: Final = (3, 9)
SLACK_BYTES: Final = 8 * 1024 * 1024
"""What files of the agent's own and the check take beside what is brought."""
NOTHING_BYTES: Final = 64 * 1024
"""With less free space than this nothing can be tried."""
ENOSPC_TEXTS: Final = ("no space left", "disk quota", "quota exceeded")
READ_ONLY_TEXT: Final = "read-only file system"


def python_of(look: Look, where: str) -> str:
    """The path of the Python that is to run the agent: the first that is new enough.

    Raises:
        NoPython: there is none.
    """
    found: Sequence[Mapping[str, str]] = look.facts.get("python") or ()
    for python in found:
        if _version(python["version"]) >= OLDEST_PYTHON:
            return python["path"]
    oldest = ".".join(map(str, OLDEST_PYTHON))
    has = f"only Python {found[0]['version']}" if found else "no Python"
    raise NoPython(
        f"{where} has {has}; the agent needs {oldest} or later",
        remedy=f"install one on the device (Debian: apt install python3){_way_out(look)}",
        details={"python": [dict(p) for p in found]},
    )


def check_home(look: Look, where: str) -> None:
    """See that the home can hold the agent.

    Raises:
        HomeUnusable: nothing can be written there, or nothing started; or it is somebody else's.
        NoSpace: it is full.
    """
    details: dict[str, Any] = {"home": look.home, "folder": look.below}
    if look.taken:
        named = ", ".join(look.taken[:3])
        raise HomeUnusable(
            f"{where}: {look.home} holds other files, where an agent would keep its own ({named})",
            remedy="give a folder that holds nothing else: ?home=/path",
            details={**details, "taken": list(look.taken)},
        )
    if look.write is not None:
        low = look.write.lower()
        free = (look.facts.get("storage") or {}).get("free_bytes")
        # dash calls a full file system an "I/O error".
        if any(text in low for text in ENOSPC_TEXTS) or (isinstance(free, int) and free < NOTHING_BYTES):
            raise NoSpace(
                f"{where} has no space left below {look.below}: {look.write}",
                remedy="remove files on the device, or give a home on another file system: ?home=/path",
                details=details,
            )
        remedy = (
            "remount it read-write, or give a home that can be written: ?home=/path"
            if READ_ONLY_TEXT in low
            else "give a home that the user may write: ?home=/path"
        )
        raise HomeUnusable(
            f"{where}: nothing can be written to {look.below}: {look.write}", remedy=remedy, details=details
        )
    if look.execute is not None:
        raise HomeUnusable(
            f"{where}: programs below {look.below} may not be started (noexec): {look.execute}",
            remedy="give a home on a file system that is mounted with exec: ?home=/path",
            details=details,
        )


def engine_reasons(look: Look) -> list[str]:
    """Why the native runner and its engines do not run there; empty when nothing speaks against it."""
    from lading.engines import fits, minimums

    if look.facts.get("system", {}).get("kernel", "Linux") != "Linux":
        return [f"there is no native runner for {look.facts['system']['kernel']}, only for Linux"]
    try:
        wanted = minimums(look.architecture)
    except LadingError as error:
        return [
            f"{error.message}: {error.remedy}" if look.architecture else "its processor is not one that lading knows"
        ]
    return fits(wanted, look.facts)


def refuse_engines(look: Look, where: str, reasons: Sequence[str]) -> None:
    """Refuse a device that no engine fits.

    Raises:
        EngineUnfit: always.
    """
    first, _, remedy = reasons[0].partition(": ")
    raise EngineUnfit(
        f"{where} cannot have lading's runner: {first}",
        remedy=(remedy or "use another device") + _way_out(look),
        details={"reasons": list(reasons), "runtimes": [dict(r) for r in look.facts.get("runtimes") or ()]},
    )


def check_space(look: Look, where: str, need: int) -> None:
    """See that there is room for what is brought.

    Args:
        look: what was seen.
        where: the device, for messages.
        need: octets.

    Raises:
        NoSpace: there is not.
    """
    storage: Mapping[str, Any] = look.facts.get("storage") or {}
    free, wanted = storage.get("free_bytes"), need + SLACK_BYTES
    if isinstance(free, int) and free < wanted:
        raise NoSpace(
            f"{where} has {free} bytes left below {look.below}, agent and engines need {wanted}: "
            f"{wanted - free} bytes are missing",
            remedy="remove files on the device, or give a home on another file system: ?home=/path",
            details={"needed_bytes": wanted, "free_bytes": free, "missing_bytes": wanted - free},
        )


def check_look(look: Look, where: str) -> None:
    """See that the look was one at all.

    Raises:
        DeviceUnfit: it was not.
    """
    if not look.home.startswith("/"):
        raise DeviceUnfit(
            f"{where} does not say where its user's home is (HOME is {look.home!r})",
            remedy="give the agent's folder: ?home=/path",
        )


def _way_out(look: Look) -> str:
    """What else could run guests there."""
    found: Sequence[Mapping[str, str]] = look.facts.get("runtimes") or ()
    if not found:
        return ""
    first = found[0]
    return f"; {first['name']} {first['version']} is installed there and runs guests too ({first['path']})".replace(
        "  ", " "
    )


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(n) for n in re.findall(r"\d+", text)[:2])
