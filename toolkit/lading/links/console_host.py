"""Commands on a device that has nothing but a console: a :class:`~lading.links.host.Host` over a serial line.

The console is found, a shell had, and the first stage started there: the one that lies on a bootstrapped device, or one
that is typed in. From then on the line layer carries commands and their streams. At the end the console is the user's.
"""

from __future__ import annotations

import contextlib
import json
import re
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Final

from lading.errors import ConsoleUnusable, DeviceUnreachable, LadingError, LinkLost, NoPython
from lading.links import prompts, stage_text
from lading.links.console import Console
from lading.links.host import Finished
from lading_agent.line import stage
from lading_agent.line.endpoint import leave_frame
from lading_agent.line.stream import LineClosed, LineStream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType
    from typing import Self

    from lading.links.serial_port import SerialPort
    from lading_agent.line.endpoint import LineSettings

COMPLAINT_KEPT: Final = 64 * 1024
MOST_OUTPUT: Final = 64 * 1024 * 1024
"""What is kept of a command whose output is wanted as a whole; what inflates could go on for ever."""
START_ATTEMPTS: Final = 3
START_S: Final = 8.0
TYPE_ATTEMPTS: Final = 12
TYPE_S: Final = 240.0
"""After so long no other attempt begins."""
NO_PYTHON_SAID: Final = 2
NO_WORD: Final = 2
SILENT_LINES: Final = 8
OPEN_S: Final = 20.0
END_S: Final = 45.0
SPEED_S: Final = 3.0
LINE_S: Final = 1.5
SPARE_S: Final = 30.0
"""What all lines together may take, beyond four times as long as the line needs for them."""
STAGE_S: Final = 20.0
LAST_WORDS_S: Final = 5.0
_COUNTED: Final = re.compile(rb"\+(\d{1,9});|Error")
_ANSWERED: Final = re.compile(rb"LADING-(?:READY|NONE)")


class ConsoleHost:
    """A device by its console. One command at a time.

    Args:
        port: the line; it is closed with the host.
        user: who logs in where somebody must.
        password: gives the password of a user, or None when there is none to give.
        agent: where the agent's zip application may lie on the device, as the shell reads it; it holds a first stage.
        speed: bits a second to change to once the first stage runs; where that fails, the line's own stays.
        settings: of the line layer.
        said: takes what a user would like to know, such as a speed that could not be had.

    Raises:
        ConsoleUnusable, AuthFailed, NoPython, LinkLost: see each.
    """

    def __init__(
        self,
        port: SerialPort,
        *,
        user: str | None = None,
        password: Callable[[str], str | None] = lambda _user: None,
        agent: str | None = None,
        speed: int | None = None,
        settings: LineSettings | None = None,
        said: Callable[[str], None] = lambda _text: None,
    ) -> None:
        self._port = port
        self._settings = settings
        self._said = said
        self._console = Console(port, port.description)
        self._stream: LineStream | None = None
        self._running: ConsoleCommand | None = None
        self._closed = False
        self._landed = False
        self._without_python = 0
        self._silent = 0
        self._console_baud = port.baud
        try:
            self._console.land(user, password)
            self._landed = True
            self._stream = self._begin(agent)
            if speed is not None and port.baud is not None and speed != port.baud:
                self._change_speed(speed)
        except BaseException:
            self.close()
            raise

    @property
    def description(self) -> str:
        """The device's address."""
        return self._port.description

    @property
    def bytes_per_second(self) -> float | None:
        """What the line carries at most; None where it has no speed of its own."""
        return None if self._port.baud is None else self._port.baud / 10

    @property
    def stream(self) -> LineStream:
        """The line layer at work."""
        assert self._stream is not None, "the line is not open"
        return self._stream

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- the first stage ----------------------------------------------------------------------------------------------

    def _begin(self, agent: str | None) -> LineStream:
        if (agent is None or not self._start_from(agent)) and not self._typed_in():
            raise ConsoleUnusable(
                f"{self.description}: the first stage does not come through this line whole",
                remedy="the line loses too much: use a lower baud rate, a shorter cable, or RTS/CTS (?rtscts=1)",
            )
        stream = LineStream(self._port, opens=True, settings=self._settings)
        why = "the first stage does not answer"
        try:
            if stream.wait_open(OPEN_S):
                return stream
        except LineClosed as error:
            why = str(error)
        last = prompts.last_line(stream.noise.encode()) or "nothing"
        stream.close()
        raise LinkLost(
            f"{self.description}: the line layer does not come up: {why} (last seen: {last})",
            remedy="look at the console with a terminal program, and try again",
        )

    def _start_from(self, agent: str) -> bool:
        """Start the first stage that came with the agent; False when the device has none, or another one."""
        for _ in range(START_ATTEMPTS):
            self._console.forget()
            self._console.say(f' p={agent}; [ -f "$p" ] && stty -echo && python3 -I "$p" stage || echo LADING-NO""NE\n')
            found = self._console.wait_for(_ANSWERED, START_S)
            if found is not None:
                self._silent = 0
                return found[0].endswith(b"READY")
            self._note_silence()
            self._drop()
        return False

    def _note_silence(self) -> None:
        """Nothing at all came for something that was typed: a second time, nobody is there any more."""
        self._silent = 0 if self._console.heard else self._silent + 1
        if self._silent >= NO_WORD:
            raise LinkLost(
                f"{self.description}: nothing comes from this line any more",
                remedy="check the cable, and whether the board is on, then try again",
            )

    def _typed_in(self) -> bool:
        until = time.monotonic() + TYPE_S
        return any(time.monotonic() < until and self._type_in() for _ in range(TYPE_ATTEMPTS))

    def _type_in(self) -> bool:
        """Bring the first stage over as text; False when the line spoilt it."""
        console = self._console
        console.forget()
        console.say(stage_text.start_line())
        found = console.wait_for(re.compile(rf"{stage_text.UP}|{stage_text.NO_PYTHON}".encode()), START_S)
        if found is None:
            self._note_silence()
            self._drop()
            return False
        self._silent = 0
        if found[0] == stage_text.NO_PYTHON.encode():
            self._without_python += 1
            if self._without_python < NO_PYTHON_SAID:
                return False  # the line may have spoilt the question
            raise NoPython(
                f"{self.description}: the device has no Python from 3.9 on: the agent cannot run there",
                remedy="install python3 on the device, or use a runtime that it has by hand",
            )
        console.forget()
        console.say(stage_text.stage_zero())
        lines = stage_text.lines()
        have = silent = 0
        patience = time.monotonic() + SPARE_S + sum(map(len, lines)) / (self.bytes_per_second or 1e6) * 4
        while have < len(lines):
            if time.monotonic() > patience:
                self._drop()
                return False
            console.forget()
            console.say(lines[have])
            found = console.wait_for(_COUNTED, LINE_S)
            if found is not None and found[1] is None:
                self._drop()
                return False
            if found is not None:
                have = max(have, min(int(found[1]), len(lines)))
                silent = 0
            elif not console.heard and (silent := silent + 1) >= SILENT_LINES:
                self._drop()
                return False
            else:
                console.say("\n")  # what is left of a line whose end got lost
        found = console.wait_for(re.compile(rf"{stage.READY}|{stage_text.SPOILT}|Error".encode()), STAGE_S)
        if found is not None and found[0] == stage.READY.encode():
            return True
        self._drop()
        return False

    def _drop(self) -> None:
        """Back to a shell prompt after an attempt that went wrong."""
        self._console.say(leave_frame())
        for _ in range(3):
            self._console.say(b"\x03")
            self._console.settle(0.2, 2.0)
        self._console.forget()
        self._console.say(" stty sane\n")
        self._console.settle(0.2, 2.0)

    def _change_speed(self, speed: int) -> None:
        before = self._port.baud
        assert before is not None
        with self._lost_is_told():
            if ConsoleCommand(self, {"speed": speed}).finish().status != 0:
                self._said(f"the device's port does not do {speed} baud: it stays at {before}")
                return
            time.sleep(0.1)
            try:
                self._port.set_baud(speed)
                why = f"nothing comes through at {speed} baud"
                if self._alive(SPEED_S):
                    return
            except OSError as error:
                why = f"this computer's port does not do {speed} baud ({error.strerror or error})"
            self._port.set_baud(before)
            time.sleep(stage.SPEED_PATIENCE_S)
            self._said(f"{why}: back to {before}")

    @contextlib.contextmanager
    def _lost_is_told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise LinkLost(
                f"{self.description}: the line was lost: {error.strerror or error}",
                remedy="check the cable, and try again",
            ) from error

    def _alive(self, within_s: float) -> bool:
        since = time.monotonic()
        self.stream.write(stage.chunk(stage.INPUT))
        while time.monotonic() - since < within_s:
            if self.stream.heard_at > since:
                return True
            time.sleep(0.02)
        return False

    # -- commands -----------------------------------------------------------------------------------------------------

    def start(self, command: str) -> ConsoleCommand:
        """Start a command and speak with it.

        Raises:
            DeviceUnreachable: the line is gone, or another command still runs on it.
        """
        if self._running is not None and not self._running.over:
            raise DeviceUnreachable(
                f"{self.description}: the line is in use by another command", remedy="wait for its end"
            )
        with self._lost_is_told():
            self._running = ConsoleCommand(self, {"command": command})
        return self._running

    def run(self, command: str, stdin: bytes = b"", timeout_s: float = 60.0) -> Finished:
        """Run a command to its end.

        Raises:
            DeviceUnreachable: the line is gone, the time is over, or it says more than anything of ours does.
        """
        running = self.start(command)
        seconds = timeout_s + 2 * len(stdin) / (self.bytes_per_second or 1e5)
        alarm = threading.Timer(seconds, running.abandon)
        alarm.daemon = True
        alarm.start()
        try:
            with self._lost_is_told():
                running.write(stdin)
                return running.finish()
        finally:
            alarm.cancel()

    def close(self) -> None:
        """End what runs, and give the console back as it was found."""
        if self._closed:
            return
        self._closed = True
        sane = self._stream is None
        if self._stream is not None:
            if self._running is not None and not self._running.over:
                self._running.close()
            sane = self._stream.finish()
            if sane:
                # The other end has said its last word when it ends its stream too.
                until = time.monotonic() + LAST_WORDS_S
                with contextlib.suppress(OSError):
                    while self._stream.read(4096, max(0.0, until - time.monotonic())):
                        pass
                self._stream.settle(0.1)
            self._stream.close()
        with contextlib.suppress(OSError, LadingError):
            if self._port.baud != self._console_baud and self._console_baud is not None:
                self._port.set_baud(self._console_baud)
            if not sane:
                self._port.write(leave_frame())
            # What is no shell of ours, a boot loader above all, is typed nothing more.
            if self._landed or self._console.logged_in:
                self._console.give_back(attempts=6 if sane else 2)
        self._port.close()


class ConsoleCommand:
    """A command at work: its standard input and output, as a link."""

    def __init__(self, host: ConsoleHost, request: dict[str, object]) -> None:
        self._host = host
        self._stream = host.stream
        self._output: deque[bytes] = deque()
        self._unread = 0
        self._complaint = bytearray()
        self._status: int | None = None
        self._lost: OSError | None = None
        self._reading = threading.Lock()
        self._input_ended = False
        self._send(stage.COMMAND, json.dumps(request).encode())

    @property
    def description(self) -> str:
        """The device's address."""
        return self._host.description

    @property
    def over(self) -> bool:
        """Whether it has ended, or will never be heard of again."""
        return self._status is not None or self._lost is not None

    def read(self, limit: int) -> bytes:
        """1 to ``limit`` bytes of its output as soon as there are any; none at the end."""
        with self._reading:
            while not self._output:
                if not self._take():
                    return b""
            part = self._output.popleft()
            self._unread -= min(len(part), limit)
            if len(part) > limit:
                self._output.appendleft(part[limit:])
                part = part[:limit]
            return part

    def _take(self) -> bool:
        """Take one chunk of the stream; False when there is no more."""
        if self._status is not None:
            return False
        if self._lost is not None:
            raise self._lost
        try:
            got = stage.read_chunk(self._stream.read)
        except (OSError, ValueError) as error:
            self._lost = error if isinstance(error, OSError) else LineClosed(str(error))
            raise self._lost from None
        if got is None:
            self._lost = LineClosed("the other end ended the line")
            raise self._lost
        kind, payload = got
        if kind == stage.OUTPUT:
            self._output.append(payload)
            self._unread += len(payload)
            if self._unread > MOST_OUTPUT:
                raise self._too_much()
        elif kind == stage.COMPLAINT:
            self._complaint += payload
            del self._complaint[:-COMPLAINT_KEPT]
        elif kind == stage.EXIT:
            self._status = _status_of(payload)
        return True

    def _too_much(self) -> OSError:
        self._output.clear()
        self._lost = LineClosed(f"the command wrote more than {MOST_OUTPUT} bytes")
        self._stream.close()
        return self._lost

    def write(self, data: bytes) -> None:
        """Send all of ``data``."""
        if self._status is not None:
            raise BrokenPipeError(32, "the command has ended")
        view = memoryview(data)
        for at in range(0, len(view), stage.MOST_CHUNK):
            self._send(stage.INPUT, bytes(view[at : at + stage.MOST_CHUNK]))

    def _send(self, kind: int, payload: bytes = b"") -> None:
        self._stream.write(stage.chunk(kind, payload))

    def end_input(self) -> None:
        """Nothing more is written."""
        if not self._input_ended and not self.over:
            self._input_ended = True
            self._send(stage.INPUT_END)

    def complaint(self) -> str:
        """The end of its standard error; what else was seen on the line when the line is lost."""
        said = bytes(self._complaint).decode("utf-8", "replace").strip()
        return said or (self._stream.noise.strip() if self._lost is not None else "")

    def errors(self) -> bytes:
        """The end of its standard error, as bytes."""
        return bytes(self._complaint)

    def exit_status(self, timeout_s: float = 10.0) -> int | None:
        """The command's exit status, waited for; None while it runs, or when it cannot be known any more."""
        self._drain(timeout_s)
        return self._status

    def finish(self) -> Finished:
        """End its input and wait for its end."""
        self.end_input()
        parts = []
        taken = 0
        while data := self.read(1 << 20):
            parts.append(data)
            taken += len(data)
            if taken > MOST_OUTPUT:
                raise self._too_much()
        return Finished(255 if self._status is None else self._status, b"".join(parts), bytes(self._complaint))

    def close(self) -> None:
        """End its input and wait for its end."""
        with contextlib.suppress(OSError):
            self.end_input()
        self._drain(END_S)

    def abandon(self) -> None:
        """Let go of it, and of the line: the device ends it."""
        self._lost = self._lost or LineClosed("it was waited for long enough")
        self._stream.close()

    def _drain(self, timeout_s: float) -> None:
        """Read on until its end, unless somebody else does."""
        until = time.monotonic() + timeout_s
        while not self.over and time.monotonic() < until:
            if self._reading.acquire(timeout=0.05):
                try:
                    with contextlib.suppress(OSError):
                        self._take()
                finally:
                    self._reading.release()


def _status_of(payload: bytes) -> int:
    try:
        status = json.loads(payload)["status"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return 255
    if not isinstance(status, int):
        return 255
    return status if status >= 0 else 128 - status
