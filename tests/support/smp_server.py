"""An SMP server in a thread, on UDP: files and a shell as a test wants them, and answers that are none."""

from __future__ import annotations

import socket
import struct
import threading
from typing import TYPE_CHECKING, Any, Self

import cbor2

if TYPE_CHECKING:
    from collections.abc import Callable

HEADER = struct.Struct(">BBHHBB")


def answer_to(request: bytes, body: dict[str, Any] | bytes) -> bytes:
    """The frame that answers a request; a body of bytes is taken as it is."""
    op, flags, _, group, sequence, command = HEADER.unpack_from(request)
    payload = body if isinstance(body, bytes) else cbor2.dumps(body)
    return HEADER.pack(op | 1 | 0x08, flags, len(payload), group, sequence, command) + payload


class SmpServer:
    """Answers each request with what ``reply`` makes of its group, command and body.

    Args:
        reply: gives the answer's body, a whole frame as bytes, several of them, or None for silence.
    """

    def __init__(self, reply: Callable[[int, int, dict[str, Any], bytes], Any]) -> None:
        self._reply = reply
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as waker:
            waker.sendto(b"", self._socket.getsockname())
        self._thread.join()
        self._socket.close()

    @property
    def address(self) -> str:
        return f"udp+smp://127.0.0.1:{self._socket.getsockname()[1]}"

    def _serve(self) -> None:
        while True:
            request, sender = self._socket.recvfrom(65536)
            if not request:
                return
            _, _, _, group, _, command = HEADER.unpack_from(request)
            body = cbor2.loads(request[HEADER.size :])
            reply = self._reply(group, command, body, request)
            for answer in reply if isinstance(reply, list) else [reply]:
                if answer is not None:
                    self._socket.sendto(answer_to(request, answer) if isinstance(answer, dict) else answer, sender)


class Board:
    """A board in memory: files, hashes off, a shell that a test writes. Use :meth:`reply` with :class:`SmpServer`."""

    def __init__(self, shell: Callable[[list[str]], tuple[str, int]] | None = None, *, capacity: int = 1 << 20) -> None:
        self.files: dict[str, bytes] = {}
        self.commands: list[list[str]] = []
        self._shell = shell
        self._capacity = capacity

    def reply(self, group: int, command: int, body: dict[str, Any], request: bytes) -> Any:
        if group == 9 and self._shell is not None:
            self.commands.append(body["argv"])
            text, code = self._shell(body["argv"])
            return {"o": text, "ret": code}
        if group == 8 and command in (0, 1):
            return self._file(command, body, write=request[0] & 2 != 0)
        return {"rc": 8}

    def _file(self, command: int, body: dict[str, Any], *, write: bool) -> dict[str, Any]:
        name, off = body["name"], body.get("off", 0)
        if write:
            kept = self.files.get(name, b"")[:off]
            others = sum(len(data) for other, data in self.files.items() if other != name)
            if len(kept) != off:
                return {"err": {"group": 8, "rc": 11}, "len": len(kept)}
            if others + off + len(body["data"]) > self._capacity:
                return {"err": {"group": 8, "rc": 10}}
            self.files[name] = kept + body["data"]
            return {"off": len(self.files[name])}
        if name not in self.files:
            return {"err": {"group": 8, "rc": 3}}
        data = self.files[name]
        if command == 1:
            return {"len": len(data)}
        return {"off": off, "data": data[off : off + 200], **({"len": len(data)} if off == 0 else {})}
