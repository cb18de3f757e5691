"""Sessions with microcontrollers for tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lading.devices.address import SerialSmp, UdpSmp, parse
from lading.firmware.session import FirmwareSession
from lading.links.serial_port import SerialPort
from lading.links.smp import SmpLink, open_smp
from lading.links.smp_transports import LineTransport
from lading.profiles.schema import Mcu
from tests.support.cargo import cargo

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.cargo import Cargo


def session(address: str, *, answer_s: float = 3.0, root: str | None = None, **mcu: Any) -> FirmwareSession:
    """A session with the device of an address."""
    parsed = parse(address)
    assert isinstance(parsed, SerialSmp | UdpSmp)
    return FirmwareSession(open_smp(parsed, address, answer_s), Mcu(**mcu), None, root)


def small(version: str, size: int = 900, **options: Any) -> Cargo:
    """An app of less than 3 kB, bill and all."""
    model = bytes((7 * at + sum(version.encode())) % 251 for at in range(size))
    return cargo(version, model=model, golden=False, state=(), **{"files": {}, "smoke": (), **options})


class CuttingTransport(LineTransport):
    """A line on which the board loses its power at a request: before it comes, or while it is dealt with."""

    def __init__(
        self, port: Path, at: int, cut: Callable[[], None], *, before: bool, uploads_only: bool = False
    ) -> None:
        super().__init__(SerialPort(str(port), "the board"))
        self.requests = 0
        self._at, self._cut, self._before = at, cut, before
        self._uploads_only = uploads_only

    async def send(self, data: bytes) -> None:
        if self._uploads_only and (data[0] & 7, data[4:6], data[7]) != (2, b"\0\x08", 0):
            await super().send(data)
            return
        number, self.requests = self.requests, self.requests + 1
        if number == self._at and self._before:
            self._cut()
        await super().send(data)
        if number == self._at and not self._before:
            self._cut()


def cut_session(transport: CuttingTransport, **mcu: Any) -> FirmwareSession:
    """A session over such a line."""
    return FirmwareSession(SmpLink(transport, "the board", "", answer_s=3.0), Mcu(**mcu), None, None)
