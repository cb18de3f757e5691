"""QMP: what QEMU is asked and told while a machine runs. One client at a time."""

from __future__ import annotations

import json
import os
import socket
from typing import TYPE_CHECKING, Any, Final, Self

from lading.errors import BoardBroken

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

LARGEST: Final = 16 * 1024 * 1024
ANSWER_S: Final = 30.0


class QmpRefused(BoardBroken):
    """QEMU does not do what it was asked."""


class QmpGone(BoardBroken):
    """Nobody speaks QMP there (any more)."""


class Qmp:
    """A connection to a machine.

    Args:
        path: the socket; it may lie in a folder whose name is longer than a socket's may be.
        timeout_s: how long an answer may take.

    Raises:
        QmpGone: nobody speaks QMP there.
    """

    def __init__(self, path: Path, timeout_s: float = ANSWER_S) -> None:
        self._left = b""
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(timeout_s)
        try:
            # The name of a socket is short: the folder is reached by its number.
            folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
            try:
                self._socket.connect(f"/proc/self/fd/{folder}/{path.name}")
            finally:
                os.close(folder)
            self._message()  # the greeting
            self.ask("qmp_capabilities")
        except OSError as error:
            self._socket.close()
            raise QmpGone(f"{path}: nobody answers: {error}", remedy="start the board anew") from error
        except BaseException:
            self._socket.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the machine; it runs on."""
        self._socket.close()

    def ask(self, command: str, timeout_s: float | None = None, **arguments: Any) -> Any:
        """Have a command carried out.

        Args:
            command: its name.
            timeout_s: how long it may take; None leaves it as it is.
            arguments: what it takes.

        Raises:
            QmpRefused: QEMU says no, and why.
            QmpGone: the machine is gone, or does not answer in time.
        """
        before = self._socket.gettimeout()
        if timeout_s is not None:
            self._socket.settimeout(timeout_s)
        try:
            message = {"execute": command, **({"arguments": arguments} if arguments else {})}
            self._socket.sendall(json.dumps(message).encode() + b"\n")
            while True:
                answer = self._message()
                if "return" in answer:
                    return answer["return"]
                if "error" in answer:
                    why = answer["error"]
                    text = why.get("desc") if isinstance(why, dict) else None
                    raise QmpRefused(f"QEMU refuses '{command}': {text or why}", remedy="see the board's qemu.log")
        except OSError as error:
            raise QmpGone(f"QEMU does not answer '{command}': {error}", remedy="start the board anew") from error
        finally:
            self._socket.settimeout(before)

    def monitor(self, line: str, timeout_s: float | None = None) -> str:
        """Have a line of the human monitor carried out; returns what it says, which is nothing when all is well."""
        said = self.ask("human-monitor-command", timeout_s, **{"command-line": line})
        return said.strip() if isinstance(said, str) else ""

    def _message(self) -> dict[str, Any]:
        """The next message; events are among them."""
        while b"\n" not in self._left:
            if len(self._left) > LARGEST:
                raise QmpGone("QEMU says more than makes sense", remedy="start the board anew")
            more = self._socket.recv(65536)
            if not more:
                raise QmpGone("QEMU has hung up", remedy="start the board anew")
            self._left += more
        line, _, self._left = self._left.partition(b"\n")
        try:
            message = json.loads(line)
        except ValueError:
            message = None
        if not isinstance(message, dict):
            raise QmpGone("what listens there does not speak QMP", remedy="start the board anew")
        return message
