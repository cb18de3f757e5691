"""What runs at a console and lends a line to programs: the first thing that comes onto a device over a serial line.

It makes its terminal raw, speaks the line layer, and runs commands one after the other, their streams going over the
line. At the end, or when nobody is heard any more, the terminal is again what it was. Chunks on the stream, both ways::

    | kind u8 | length u32 | payload |

from the client: COMMAND (JSON: ``command`` for ``sh -c``, or ``speed`` in baud), INPUT, INPUT_END;
from here: OUTPUT, COMPLAINT (standard error), EXIT (JSON: ``status``; below 0 a signal, as in Python).
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from typing import IO, TYPE_CHECKING, Any, Callable, Dict, Final, List, Optional, Tuple

from lading_agent.line.stream import LineStream
from lading_agent.line.tty import BAUD_RATES, DescriptorPort, raw, set_speed

if TYPE_CHECKING:
    from lading_agent.line.endpoint import LineSettings

COMMAND: Final = 1
INPUT: Final = 2
INPUT_END: Final = 3
OUTPUT: Final = 4
COMPLAINT: Final = 5
EXIT: Final = 6

HEAD: Final = struct.Struct(">BI")
MOST_CHUNK: Final = 64 * 1024
READY: Final = "LADING-READY"
OPEN_PATIENCE_S: Final = 30.0
END_PATIENCE_S: Final = 40.0
SPEED_PATIENCE_S: Final = 3.0


def chunk(kind: int, payload: bytes = b"") -> bytes:
    """One chunk's bytes."""
    return HEAD.pack(kind, len(payload)) + payload


def read_chunk(read: Callable[[int], bytes]) -> Optional[Tuple[int, bytes]]:
    """The next chunk; None at the end of the stream.

    Raises:
        ValueError: longer than a chunk may be.
        OSError: the line is lost.
    """
    head = _exactly(read, HEAD.size)
    if len(head) < HEAD.size:
        return None
    kind, length = HEAD.unpack(head)
    if length > MOST_CHUNK:
        raise ValueError(f"a chunk of {length} bytes")
    payload = _exactly(read, length)
    return (kind, payload) if len(payload) == length else None


def _exactly(read: Callable[[int], bytes], count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = read(count - len(data))
        if not more:
            break
        data += more
    return data


class _Child:
    """One command at work."""

    def __init__(self, command: str, stream: LineStream) -> None:
        self._stream = stream
        self._process = subprocess.Popen(
            ["sh", "-c", command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,
        )
        self._pumps = [
            threading.Thread(target=self._pump, args=(self._process.stdout, OUTPUT), daemon=True),
            threading.Thread(target=self._pump, args=(self._process.stderr, COMPLAINT), daemon=True),
        ]
        for pump in self._pumps:
            pump.start()
        self._waiter = threading.Thread(target=self._wait, daemon=True)
        self._waiter.start()

    def _pump(self, source: IO[bytes], kind: int) -> None:
        with contextlib.suppress(OSError, ValueError):
            while True:
                data = os.read(source.fileno(), 16384)
                if not data:
                    break
                self._stream.write(chunk(kind, data))

    def _wait(self) -> None:
        status = self._process.wait()
        for pump in self._pumps:
            pump.join(END_PATIENCE_S)
        with contextlib.suppress(OSError):
            self._stream.write(chunk(EXIT, json.dumps({"status": status}).encode()))

    def give(self, data: bytes) -> None:
        """Bytes for its standard input; those that it does not want are dropped."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError, ValueError):
            view = memoryview(data)
            while view:
                view = view[os.write(self._process.stdin.fileno(), view) :]

    def end_input(self) -> None:
        """There is no more."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()

    def end(self) -> None:
        """Its client is gone: it may end by itself, then it is made to."""
        self.end_input()
        try:
            self._process.wait(END_PATIENCE_S)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(OSError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


class Stage:
    """Serves one terminal.

    Args:
        reading, writing: the terminal's descriptors.
        settings: of the line layer.
    """

    def __init__(self, reading: int, writing: int, settings: Optional[LineSettings] = None) -> None:
        self._tty = reading
        self._port = DescriptorPort(reading, writing)
        self._settings = settings

    def serve(self, patience_s: float = OPEN_PATIENCE_S) -> bool:
        """Serve clients until the last has gone; False when none came."""
        first = b""
        served = False
        while True:
            stream = LineStream(self._port, opens=False, settings=self._settings, first=first)
            try:
                if not stream.wait_open(patience_s):
                    return served
                served = True
                self._session(stream)
                stream.finish()
            except (OSError, ValueError):
                pass
            finally:
                stream.close()
            if stream.next_session is None:
                return served
            first = stream.next_session.encode()

    def _session(self, stream: LineStream) -> None:
        child: Optional[_Child] = None
        try:
            while True:
                got = read_chunk(stream.read)
                if got is None:
                    return
                kind, payload = got
                if kind == COMMAND:
                    wanted = _command(payload)
                    if "speed" in wanted:
                        self._change_speed(stream, int(wanted["speed"]))
                    else:
                        child = _Child(str(wanted.get("command", "")), stream)
                elif kind == INPUT and child is not None:
                    child.give(payload)
                elif kind == INPUT_END and child is not None:
                    child.end_input()
        finally:
            if child is not None:
                child.end()

    def _change_speed(self, stream: LineStream, baud: int) -> None:
        """Go on at another speed; when nothing is heard there, go back."""
        before = termios.tcgetattr(self._tty)
        if baud not in BAUD_RATES:
            stream.write(chunk(EXIT, b'{"status": 1}'))
            return
        stream.write(chunk(EXIT, b'{"status": 0}'))
        stream.settle(1.0)
        set_speed(self._tty, baud)
        changed = time.monotonic()
        while stream.heard_at < changed:
            if time.monotonic() - changed > SPEED_PATIENCE_S:
                termios.tcsetattr(self._tty, termios.TCSANOW, before)
                return
            time.sleep(0.02)


def _command(payload: bytes) -> Dict[str, Any]:
    wanted = json.loads(payload.decode("utf-8"))
    if not isinstance(wanted, dict):
        raise ValueError("a command is an object")  # noqa: TRY004
    return wanted


def _hang_up(_signal: int, _frame: object) -> None:
    sys.exit(1)


def main(argv: Optional[List[str]] = None) -> int:
    """Serve the terminal on standard input and output.

    Returns:
        An exit status: 0 after a session, 1 when nobody came, 2 when there is no terminal.
    """
    del argv
    if not os.isatty(0) or not os.isatty(1):
        sys.stderr.write("lading: this wants a terminal on standard input and output\n")
        return 2
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _hang_up)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    reading, writing = os.dup(0), os.dup(1)
    with raw(reading):
        os.write(writing, f"\r\n{READY}\r\n".encode())
        served = Stage(reading, writing).serve()
    return 0 if served else 1
