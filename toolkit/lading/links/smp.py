"""Zephyr's management protocol (SMP) as plain calls: ``smpclient`` is asynchronous, and stays behind one link here."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from typing import TYPE_CHECKING, Any, Final

from lading.errors import DeviceUnreachable, HostNotFound, LadingError, LinkLost, SmpGarbled, SmpRefused, TimedOut

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from smpclient.transport import SMPTransport

    from lading.devices.address import SerialSmp, UdpSmp

ANSWER_S: Final = 3.0
"""Seconds for an answer. Flash that is being erased keeps a small board busy."""
ATTEMPTS: Final = 3
"""How often a question is put that does no harm when it is answered twice."""
LEAST_MESSAGE: Final = 64
MOST_MESSAGE: Final = 16 * 1024


class SmpLink:
    """An open connection to an SMP server. One request at a time.

    Args:
        transport: carries the messages.
        description: the device's address, for messages.
        where: what the transport connects to.
        answer_s: seconds for an answer.
        place: tells this device from others on which this computer may be at work.

    Raises:
        TimedOut: nobody answers.
        SmpGarbled: whoever answers does not speak SMP.
        LinkLost: the port or socket is gone.
    """

    def __init__(
        self, transport: SMPTransport, description: str, where: str, answer_s: float = ANSWER_S, place: str = ""
    ) -> None:
        from smpclient import SMPClient

        for name in ("smpclient", "smp"):  # what they would print is in the errors that are raised here
            logger = logging.getLogger(name)
            if not logger.handlers:
                logger.addHandler(logging.NullHandler())
                logger.propagate = False
        self.description = description
        self.place = place
        self.answer_s = answer_s
        self.round_trips = 0
        self._transport = transport
        self._client = SMPClient(transport, where, timeout_s=answer_s)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="smp", daemon=True)
        self._thread.start()
        self.buffer: dict[str, int] = {}
        """The server's ``buf_size`` and ``buf_count`` in octets and pieces; empty where it does not say."""
        try:
            self._start(where)
        except BaseException:
            self.close()
            raise

    def _start(self, where: str) -> None:
        from smpclient.requests.os_management import MCUMgrParametersRead

        try:
            self._wait(self._transport.connect(where, self.answer_s), self.answer_s + 1)
        except TimeoutError as error:
            raise TimedOut(f"{self.description}: no connection", remedy="see that the board runs") from error
        try:
            parameters = self.ask(MCUMgrParametersRead())
        except SmpRefused:
            return
        size = min(max(parameters.buf_size, LEAST_MESSAGE), MOST_MESSAGE)
        self.buffer = {"buf_size": size, "buf_count": min(max(parameters.buf_count, 1), 1024)}
        self._transport.initialize(size)

    def ask(self, request: Any, *, attempts: int = ATTEMPTS, timeout_s: float | None = None) -> Any:
        """Put a request and wait for its answer.

        Args:
            request: one of ``smpclient.requests``.
            attempts: how often to put it when no good answer comes; 1 for what must not be done twice.
            timeout_s: seconds for each attempt.

        Raises:
            SmpRefused: the firmware says no.
            TimedOut: it says nothing.
            SmpGarbled: what it says is not an answer.
            LinkLost: the port or socket is gone.
        """
        from smpclient.generics import success

        if self.buffer and len(request.BYTES) > self._transport.max_unencoded_size:
            what = " ".join(filter(None, (type(request).__name__, getattr(request, "name", ""))))
            raise SmpRefused(
                f"{self.description}: {what} is longer than the firmware's buffer of {self.buffer['buf_size']} octets",
                remedy="raise CONFIG_MCUMGR_TRANSPORT_NETBUF_SIZE, or use shorter paths and arguments",
                reason="EMSGSIZE",
            )
        limit = self.answer_s if timeout_s is None else timeout_s
        failure: LadingError | None = None
        for _ in range(attempts):
            self.round_trips += 1
            try:
                answer = self._wait(self._client.request(request, limit), limit + 5)
            except TimeoutError:
                failure = self._silent(limit)
            except LadingError:
                raise
            except OSError as error:
                raise LinkLost(
                    f"{self.description}: the connection is gone: {error}", remedy="plug it in, then try again"
                ) from error
            except Exception as error:  # noqa: BLE001  whatever a hostile or damaged answer makes the library raise
                failure = self._garbled(type(error).__name__)
            else:
                if success(answer):
                    return answer
                raise self._refused(request, answer)
        assert failure is not None
        raise failure

    def room(self, request: Any) -> int:
        """How many octets of data fit into a write request that has none yet."""
        return int(self._client.get_max_cbor_and_data_size(request)[1])

    def close(self) -> None:
        """End the connection."""
        if self._loop.is_closed():
            return
        with contextlib.suppress(Exception):
            self._wait(self._transport.disconnect(), 2.0)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(2.0)
        if not self._thread.is_alive():
            self._loop.close()

    def _wait(self, work: Coroutine[Any, Any, Any], limit: float) -> Any:
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result(limit)
        except BaseException:
            future.cancel()
            raise

    def _silent(self, limit: float) -> LadingError:
        garbage = getattr(self._transport, "garbage", 0)
        if garbage:
            return self._garbled(f"{garbage} bytes or frames that were not understood")
        return TimedOut(
            f"{self.description}: no answer within {limit:g} s",
            remedy="see that the board runs a firmware with MCUmgr there (on a serial line: at this baud rate)",
        )

    def _garbled(self, why: str) -> SmpGarbled:
        return SmpGarbled(
            f"{self.description}: what answers is not SMP, or is damaged on its way ({why})",
            remedy="see that an MCUmgr (SMP) server is there (on a serial line: at this baud rate)",
        )

    def _refused(self, request: Any, answer: Any) -> SmpRefused:
        code = answer.err.rc if hasattr(answer, "err") else answer.rc
        reason = getattr(code, "name", str(code))
        what = type(request).__name__
        name = getattr(request, "name", "")
        return SmpRefused(
            f"{self.description}: the firmware refuses {what}{f' of {name}' if name else ''}: {reason}",
            remedy="see docs/firmware.md for what the firmware needs",
            details={"command": what},
            reason=reason,
        )


def _number_of(host: str) -> str:
    """A host's address, whatever name is used for it; the name where it has none."""
    import socket

    try:
        return str(socket.getaddrinfo(host, None, type=socket.SOCK_DGRAM)[0][4][0])
    except OSError:
        return host


def open_smp(address: SerialSmp | UdpSmp, label: str, answer_s: float = ANSWER_S) -> SmpLink:
    """A link to the SMP server of an address.

    Raises:
        PortRefused, PortInUse: the serial port cannot be used.
        HostNotFound: no such host.
        TimedOut, SmpGarbled, LinkLost: as :class:`SmpLink`.
    """
    from lading.devices.address import SerialSmp

    if isinstance(address, SerialSmp):
        from lading.links.serial_port import SerialPort
        from lading.links.smp_transports import LineTransport

        port = SerialPort(address.path, label, baud=address.baud)
        return SmpLink(LineTransport(port), label, address.path, answer_s)
    from lading.links.smp_transports import DatagramTransport

    try:
        place = f"udp {_number_of(address.host)}:{address.port}"
        return SmpLink(DatagramTransport(address.port), label, address.host, answer_s, place)
    except LadingError:
        raise
    except OSError as error:
        import socket

        if isinstance(error, socket.gaierror):
            raise HostNotFound(
                f"{label}: {address.host}: {error.strerror}", remedy="see that the name is right"
            ) from error
        raise DeviceUnreachable(f"{label}: {error}", remedy="see that the network is up") from error
