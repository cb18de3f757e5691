"""What carries SMP messages: a serial line that may also carry a console's text, and UDP."""

from __future__ import annotations

import asyncio
import binascii
import struct
from typing import TYPE_CHECKING, Final

from smp import packet
from smp.exceptions import SMPException
from smpclient.transport import SMPTransport
from smpclient.transport.udp import SMPUDPTransport

if TYPE_CHECKING:
    from collections.abc import Generator

    from lading.links.serial_port import SerialPort

LINE: Final = 127
"""Octets of a line on the wire, by convention."""
UNKNOWN_ROOM: Final = 86
"""Octets of a message that fit into one line: for a server that does not tell the size of its buffer."""
MOST_LINE: Final = 4096
FRAME_OVERHEAD: Final = 4
"""Length and checksum around a message, which share the server's buffer with it."""
READ_S: Final = 0.02
_STARTS: Final = (packet.START_DELIMITER, packet.CONTINUE_DELIMITER)
_HEADER: Final = struct.Struct(">BBHHBB")
_SEQUENCE: Final = 6
"""Where the sequence number stands in a message."""


class LineTransport(SMPTransport):
    """SMP over a serial line ("SMP over console"): lines of base64 between whatever else is said there.

    Args:
        port: the open port; closed with the transport.
    """

    def __init__(self, port: SerialPort) -> None:
        self._port = port
        self._pending = bytearray()
        self.garbage = 0
        """Octets and frames that were no SMP, since the last good answer."""

    async def connect(self, address: str, timeout_s: float) -> None:
        """Nothing: the port is open."""

    async def disconnect(self) -> None:
        """Close the port."""
        self._port.close()

    async def send(self, data: bytes) -> None:
        """Write a message as lines."""
        for line in packet.encode(data, LINE):
            self._port.write(line)

    async def receive(self) -> bytes:
        """The next whole message; what is damaged or not SMP is passed over."""
        decoder: Generator[None, bytes, bytes] | None = None
        while True:
            line = await self._line()
            if line.startswith(packet.START_DELIMITER):
                decoder = packet.decode()
                next(decoder)
            elif decoder is None:
                self.garbage += 1
                continue
            try:
                decoder.send(line)
            except StopIteration as end:
                return bytes(end.value)
            except (SMPException, binascii.Error, struct.error, ValueError):
                decoder = None
                self.garbage += 1

    async def send_and_receive(self, data: bytes) -> bytes:
        """Send a request and wait for the answer to it; late answers to earlier ones are passed over."""
        await self.send(data)
        while True:
            answer = await self.receive()
            if answer[_SEQUENCE : _SEQUENCE + 1] == data[_SEQUENCE : _SEQUENCE + 1]:
                self.garbage = 0
                return answer

    def initialize(self, smp_server_transport_buffer_size: int) -> None:
        """Take the server's buffer size."""
        self._smp_server_transport_buffer_size = smp_server_transport_buffer_size

    @property
    def mtu(self) -> int:
        """The server's buffer."""
        return self._smp_server_transport_buffer_size or UNKNOWN_ROOM

    @property
    def max_unencoded_size(self) -> int:
        """The longest message that the server takes."""
        size = self._smp_server_transport_buffer_size
        return UNKNOWN_ROOM if size is None else size - FRAME_OVERHEAD

    async def _line(self) -> bytes:
        while (line := self._take()) is None:
            data = self._port.read(MOST_LINE, READ_S)
            self._pending += data
            await asyncio.sleep(0)  # whoever waits may have run out of patience, also where bytes never end
        return line

    def _take(self) -> bytes | None:
        """A line between a delimiter and its end, if one has come."""
        while True:
            begins = [at for at in map(self._pending.find, _STARTS) if at >= 0]
            if not begins:
                kept = 1 if self._pending[-1:] in (_STARTS[0][:1], _STARTS[1][:1]) else 0
                self.garbage += len(self._pending) - kept
                del self._pending[: len(self._pending) - kept]
                return None
            self.garbage += min(begins)
            del self._pending[: min(begins)]
            end = self._pending.find(packet.END_DELIMITER)
            if end < 0 and len(self._pending) <= MOST_LINE:
                return None
            if end < 0 or end > MOST_LINE:
                del self._pending[:2]
                self.garbage += 2
                continue
            line = bytes(self._pending[: end + 1])
            del self._pending[: end + 1]
            return line


class DatagramTransport(SMPUDPTransport):
    """SMP over UDP; late answers and what is no answer are passed over.

    Args:
        port: the server's UDP port.
    """

    def __init__(self, port: int) -> None:
        super().__init__()
        self._port = port
        self.garbage = 0

    async def connect(self, address: str, timeout_s: float, port: int = 0) -> None:
        """Open the socket."""
        await super().connect(address, timeout_s, port or self._port)

    async def disconnect(self) -> None:
        """Close the socket, if it was opened."""
        if hasattr(self._client, "_transport"):
            await super().disconnect()

    async def receive(self) -> bytes:
        """The next datagram that is a whole message."""
        while True:
            answer = bytes(await self._client.receive())
            if len(answer) >= _HEADER.size and _HEADER.unpack_from(answer)[2] == len(answer) - _HEADER.size:
                return answer
            self.garbage += 1

    async def send_and_receive(self, data: bytes) -> bytes:
        """Send a request and wait for the answer to it."""
        await self.send(data)
        while True:
            answer = await self.receive()
            if answer[_SEQUENCE : _SEQUENCE + 1] == data[_SEQUENCE : _SEQUENCE + 1]:
                self.garbage = 0
                return answer

    @property
    def max_unencoded_size(self) -> int:
        """What fits into a datagram and into the server's buffer."""
        most = super().max_unencoded_size
        size = self._smp_server_transport_buffer_size
        return most if size is None else min(most, size)
