"""A console as text: finding out what is at the other end of a line, logging in, leaving it as it was found.

Whoever connects to a UART may land anywhere: at a login prompt, in a shell, amid boot messages, in a boot loader, in a
pager, on a line that an agent left raw. Nothing is typed before the line was listened to, and to a boot loader no more
than the line end that made it show itself.
"""

from __future__ import annotations

import contextlib
import re
import time
from typing import TYPE_CHECKING, Final

from lading.errors import AuthFailed, ConsoleUnusable, LinkLost
from lading_agent.line.endpoint import leave_frame

if TYPE_CHECKING:
    from collections.abc import Callable

    from lading_agent.line.stream import Port

LOGIN: Final = re.compile(rb"(?:^|[\r\n ])[\w.\-]* ?login: ?$")
PASSWORD: Final = re.compile(rb"(?i:password)(?: for [^\r\n]*)?: ?$")
REFUSED: Final = re.compile(
    rb"(?i:login incorrect|authentication failure|maximum number of tries|account (?:is )?locked)"
)
BOOT_LOADER: Final = re.compile(
    rb"(?i:hit any key to stop autoboot)[^\n]*$|(?:^|[\r\n])(?:=> ?|U-Boot> ?|MX\d\w*> ?|barebox[^\r\n]*[#:][^\r\n ]* ?"
    rb"|grub> ?|RedBoot> ?|STM32MP>? ?|Shell> ?)$"
)
PAGER: Final = re.compile(rb"(?:--More--[^\r\n]*|\(END\)|lines \d+-\d+[^\r\n]*|\r?\n:)(?:\x1b\[[\d;?]*[a-zA-Z])*\s*$")
BUSY_PROMPT: Final = re.compile(rb"(?:^|[\r\n])(?:>>> ?|\(gdb\) ?|sqlite> ?|mysql> ?|ftp> ?)$")
ESCAPES: Final = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\^_=>])")

XON: Final = b"\x11"
KILL_LINE: Final = b"\x15"
INTERRUPT: Final = b"\x03"
KEPT: Final = 64 * 1024
LISTEN_S: Final = 0.25
QUIET_S: Final = 0.35
BOOT_S: Final = 120.0
ANSWER_S: Final = 3.0


class Console:
    """Text both ways over a port.

    Args:
        port: the line.
        description: the device's address, for messages.
        clock: seconds, monotonic.
    """

    def __init__(self, port: Port, description: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._port = port
        self._description = description
        self._clock = clock
        self._heard = b""
        self.logged_in = False
        """Whether the shell is there because we logged in."""

    # -- text ---------------------------------------------------------------------------------------------------------

    def say(self, text: str | bytes) -> None:
        """Type something."""
        try:
            self._port.write(text.encode() if isinstance(text, str) else text)
        except OSError as error:
            raise self._gone(error) from error

    def listen(self, timeout_s: float) -> bytes:
        """What comes next; none when nothing does."""
        try:
            data = self._port.read(4096, timeout_s)
        except OSError as error:
            raise self._gone(error) from error
        self._heard = (self._heard + data)[-KEPT:]
        return data

    def _gone(self, error: OSError) -> LinkLost:
        return LinkLost(
            f"{self._description}: the line is gone: {error.strerror or error}",
            remedy="plug it in again, and try again",
        )

    def forget(self) -> None:
        """What was heard so far does not count any more."""
        self._heard = b""

    @property
    def heard(self) -> bytes:
        """What was heard since :meth:`forget`, without colours and cursor movements."""
        return ESCAPES.sub(b"", self._heard)

    def wait_for(self, pattern: re.Pattern[bytes], timeout_s: float) -> re.Match[bytes] | None:
        """Listen until what was heard matches; None when it does not in time."""
        until = self._clock() + timeout_s
        while True:
            found = pattern.search(self.heard)
            if found is not None:
                return found
            left = until - self._clock()
            if left <= 0:
                return None
            self.listen(min(left, 0.25))

    def settle(self, quiet_s: float = QUIET_S, most_s: float = BOOT_S) -> None:
        """Listen until the line is quiet for a while."""
        until = self._clock() + most_s
        while self._clock() < until and self.listen(quiet_s):
            pass

    # -- landing ------------------------------------------------------------------------------------------------------

    def land(self, user: str | None, password: Callable[[str], str | None]) -> None:
        """Find out where we are, and come to a shell prompt.

        Args:
            user: who logs in where somebody must; None asks for nobody.
            password: gives the password of a user, or None when there is none to give.

        Raises:
            ConsoleUnusable: no shell can be had: nobody answers, garbage, a boot loader, another program.
            AuthFailed: the login was refused, or nobody said who logs in.
        """
        until = self._clock() + BOOT_S
        while self._clock() < until and self.listen(LISTEN_S):
            self._refuse_boot_loader(self.heard)
        asked = False
        for attempt in range(8):
            heard = self.heard
            self._refuse_boot_loader(heard)
            if LOGIN.search(heard) and asked:
                self._log_in(user, password)
                return
            if PASSWORD.search(heard) and asked:
                self.say("\n")  # of somebody else's beginning: back to the login prompt
                self.forget()
                self.settle(3.5, 8.0)
                continue
            if asked and PAGER.search(heard):
                self.say("q")
                self.settle()
            self.forget()
            if self._shell_answers(attempt):
                return
            asked = True
            if attempt >= 2 and garbled(self.heard):
                break
            if attempt in (1, 4):
                self._take_back()
        self._give_up()

    def _shell_answers(self, attempt: int) -> bool:
        """Whether a shell computes for us; what a login prompt says to it is left in :attr:`heard`."""
        # A line that garbage came over may have been told to stop (XOFF), and may have half a word typed.
        self.say(b"\n" if attempt == 0 else XON + KILL_LINE + b"\n")
        self.settle(0.1 + 0.15 * min(attempt, 4), 6.0)
        heard = self.heard
        if LOGIN.search(heard) or PASSWORD.search(heard) or BOOT_LOADER.search(heard) or PAGER.search(heard):
            return False
        if not heard and attempt < 2:
            return False
        if BUSY_PROMPT.search(heard):
            raise ConsoleUnusable(
                f"{self._description}: another program has the console (it shows {_last_line(heard)!r})",
                remedy="end it there, or give the console a shell, then try again",
            )
        self.forget()
        self.say(" stty sane; echo LADING-$((6*7))\n")
        found = self.wait_for(re.compile(rb"LADING-42"), ANSWER_S)
        if found is not None:
            self.settle(0.05, 1.0)
        return found is not None

    def _take_back(self) -> None:
        """Somebody may have left the line raw, or be in the middle of typing: an agent leaves, a line is dropped."""
        self.say(leave_frame())
        self.settle(0.5, 3.0)
        self.say(XON + INTERRUPT)
        self.settle(0.2, 2.0)

    def _log_in(self, user: str | None, password: Callable[[str], str | None]) -> None:
        if user is None:
            raise AuthFailed(
                f"{self._description}: the console asks who logs in",
                remedy="say so in the address: ?user=NAME; the password is asked for, or taken from "
                "LADING_SERIAL_PASSWORD",
            )
        self.forget()
        self.say(f"{user}\n")
        found = self.wait_for(re.compile(PASSWORD.pattern + rb"|" + REFUSED.pattern + rb"|[$#%>] ?$"), 15.0)
        if found is not None and PASSWORD.search(self.heard):
            secret = password(user)
            if secret is None:
                self.say("\n")
                raise AuthFailed(
                    f"{self._description}: {user} needs a password",
                    remedy="set LADING_SERIAL_PASSWORD, or run this in a terminal to be asked",
                )
            self.forget()
            self.say(secret.encode() + b"\n")
            del secret
            self.wait_for(re.compile(REFUSED.pattern + rb"|[$#%>] ?$|" + LOGIN.pattern), 20.0)
        if REFUSED.search(self.heard) or LOGIN.search(self.heard):
            raise AuthFailed(
                f"{self._description}: the console does not let {user} in",
                remedy="check the user's name and the password",
            )
        self.logged_in = True
        self.settle()
        for attempt in range(4):
            self.forget()
            if self._shell_answers(attempt + 1):
                return
        self._give_up()

    def _refuse_boot_loader(self, heard: bytes) -> None:
        if BOOT_LOADER.search(heard):
            raise ConsoleUnusable(
                f"{self._description}: a boot loader has the console (it shows {_last_line(heard)!r})",
                remedy="let the board boot its system, then try again",
            )

    def _give_up(self) -> None:
        heard = self.heard.strip()
        self._refuse_boot_loader(self.heard)
        if not heard:
            raise ConsoleUnusable(
                f"{self._description}: nothing answers on this line",
                remedy="check that the board is on, that RX and TX are crossed, and that its console is on this UART",
            )
        if garbled(heard):
            raise ConsoleUnusable(
                f"{self._description}: only garbage comes from this line",
                remedy="the baud rate is another one: ?baud=115200, 9600, 921600 or 1500000 are common",
            )
        raise ConsoleUnusable(
            f"{self._description}: there is no shell on this console (it shows {_last_line(heard)!r})",
            remedy="look at it with a terminal program, bring it to a login or shell prompt, then try again",
        )

    # -- leaving ------------------------------------------------------------------------------------------------------

    def give_back(self, attempts: int = 6) -> None:
        """Leave the console as it was found: at its shell prompt, or logged out where we logged in."""
        with contextlib.suppress(LinkLost, ConsoleUnusable):
            self.settle(0.05, 1.0)
            for attempt in range(attempts):
                self.forget()
                if self._shell_answers(attempt):
                    break
            if self.logged_in:
                self.say(" exit\n")
                self.settle(0.2, 3.0)
                self.logged_in = False


def garbled(heard: bytes) -> bool:
    """Whether what was heard is mostly no text: the other end has another baud rate."""
    odd = sum(byte >= 128 or (byte < 32 and byte not in b"\r\n\t\b\x07\x1b") for byte in heard)
    return odd * 4 > len(heard)


def _last_line(heard: bytes) -> str:
    lines = [line for line in heard.decode("utf-8", "replace").splitlines() if line.strip()]
    return lines[-1].strip()[-80:] if lines else ""
