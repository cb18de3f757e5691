"""What a microcontroller says about itself over SMP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from lading.errors import SmpGarbled, SmpRefused

if TYPE_CHECKING:
    from collections.abc import Callable

    from lading.firmware.store import Store
    from lading.links.smp import SmpLink

EVIDENCE: Final = {
    "os": "SMP: OS and application info",
    "bootloader": "SMP: bootloader info",
    "mcumgr": "SMP: MCUmgr parameters",
    "groups": "SMP: enumeration of groups",
    "hashes": "SMP: supported hashes and checksums of files",
    "storage": "SMP: files in the firmware profile's root; sizes as the profile has them",
    "releases": "the pointer files and release files",
}
_FIELDS: Final = {"s": "kernel", "n": "node", "r": "release", "v": "version", "m": "machine", "p": "processor"}
_MORE: Final = {"b": "built", "i": "board", "o": "name"}


def gather(link: SmpLink, store: Store | None) -> dict[str, Any]:
    """The facts; what the firmware does not say is empty."""
    return {
        "os": _os(link),
        "bootloader": _said(lambda: _bootloader(link), ""),
        "mcumgr": dict(link.buffer),
        "groups": _said(lambda: _groups(link), []),
        "hashes": _said(lambda: _hashes(link), []),
        "storage": _storage(store),
        "releases": {app: len(store.of(app)) for app in store.apps()} if store is not None else {},
    }


def board(link: SmpLink) -> str:
    """The name of the board, as its build says it."""
    return _info(link, "i")


def _os(link: SmpLink) -> dict[str, str]:
    return {name: text for key, name in {**_FIELDS, **_MORE}.items() if (text := _info(link, key))}


def _info(link: SmpLink, field: str) -> str:
    from smpclient.requests.os_management import OSApplicationInfoRead

    text = _said(lambda: link.ask(OSApplicationInfoRead(format=field)).output, "")
    return "".join(c for c in text[:200] if c.isprintable()).strip()


def _bootloader(link: SmpLink) -> str:
    from smpclient.requests.os_management import BootloaderInformationRead

    return str(link.ask(BootloaderInformationRead()).bootloader)[:200]


def _groups(link: SmpLink) -> list[str]:
    from smpclient.requests.enumeration_management import ListSupportedGroups

    groups = link.ask(ListSupportedGroups()).groups
    return sorted(str(getattr(group, "name", group)).lower().replace("_", "-") for group in groups)


def _hashes(link: SmpLink) -> list[str]:
    from smpclient.requests.file_management import SupportedFileHashChecksumTypes

    return sorted(link.ask(SupportedFileHashChecksumTypes()).types)


def _storage(store: Store | None) -> dict[str, Any]:
    if store is None:
        return {}
    return {
        "root": store.files.path("").rstrip("/") or "/",
        "used_bytes": store.used_bytes,
        "free_bytes": store.free_bytes,
        "compares": store.files.compares,
    }


def _said(ask: Callable[[], Any], otherwise: Any) -> Any:
    """An answer; ``otherwise`` where the firmware does not know the question, or answers it in another way."""
    try:
        return ask()
    except (SmpRefused, SmpGarbled):
        return otherwise
