"""A console as text: finding out what is at the other end of a line, logging in, leaving it as it was found.

Whoever connects to a UART may land anywhere: at a login prompt, in a shell, amid boot messages, in a boot loader, in a
pager, on a line that an agent left raw. Nothing is typed before the line was listened to, and to a boot loader no more
than the line end that made it show itself. Nor is what talks to us trusted: whatever it sends, and however much, every
step here ends.
"""

from __future__ import annotations

import contextlib
import re
import time
from typing import TYPE_CHECKING, Final

from lading.errors import AuthFailed, ConsoleUnusable, LinkLost
from lading.links import prompts
from lading_agent.line.endpoint import leave_frame

if TYPE_CHECKING:
    from collections.abc import Callable

    from lading_agent.line.stream import Port

XON: Final = b"\x11"
KILL_LINE: Final = b"\x15"
INTERRUPT: Final = b"\x03"
KEPT: Final = 64 * 1024
LISTEN_S: Final = 0.15
QUIET_S: Final = 0.35
PROMPT_QUIET_S: Final = 0.03
"""Silence behind what looks like a shell's prompt that is enough."""
BOOT_S: Final = 120.0
ANSWER_S: Final = 3.0
ATTEMPTS: Final = 8
_COMPUTED: Final = re.compile(rb"LADING-42")


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
        self._secret = b""
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
        return prompts.plain(self._heard)

    def shown(self, heard: bytes | None = None) -> str:
        """The end of what was heard, as a message may repeat it: without what a terminal obeys, and without the
        password."""
        return prompts.last_line(self._heard if heard is None else heard, self._secret)

    def wait_for(self, pattern: re.Pattern[bytes], timeout_s: float) -> re.Match[bytes] | None:
        """Listen until what was heard matches; None when it does not in time."""
        found: re.Match[bytes] | None = None

        def matches() -> bool:
            nonlocal found
            found = pattern.search(self.heard)
            return found is not None

        self._wait_until(matches, timeout_s)
        return found

    def _wait_until(self, true: Callable[[], bool], timeout_s: float) -> bool:
        until = self._clock() + timeout_s
        while not true():
            left = until - self._clock()
            if left <= 0:
                return False
            self.listen(min(left, 0.25))
        return True

    def settle(self, quiet_s: float = QUIET_S, most_s: float = BOOT_S) -> None:
        """Listen until the line is quiet for a while, a short one where a shell's prompt seems to stand."""
        until = self._clock() + most_s
        while self._clock() < until:
            prompt = prompts.looks_like_shell(self._heard)
            if not self.listen(min(quiet_s, PROMPT_QUIET_S) if prompt else quiet_s):
                return

    # -- landing ------------------------------------------------------------------------------------------------------

    def land(self, user: str | None, password: Callable[[str], str | None]) -> None:
        """Find out where we are, and come to a shell prompt.

        Args:
            user: who logs in where somebody must; None asks for nobody.
            password: gives the password of a user, or None when there is none to give.

        Raises:
            ConsoleUnusable: no shell can be had: nobody answers, garbage, a boot loader, another program.
            AuthFailed: the login was refused, or nobody said who logs in.
            LinkLost: the line is gone.
        """
        until = self._clock() + BOOT_S
        quiet = LISTEN_S
        while self._clock() < until and self.listen(quiet):
            self._refuse_boot_loader()
            quiet = PROMPT_QUIET_S if prompts.looks_like_shell(self._heard) else LISTEN_S
        asked = False
        for attempt in range(ATTEMPTS):
            self._refuse_boot_loader()
            if asked and prompts.is_login(self._heard):
                self._log_in(user, password)
                return
            if asked and prompts.is_password(self._heard):
                self.say("\n")  # of somebody else's beginning: back to the login prompt
                self.forget()
                self.settle(3.5, 8.0)
                continue
            if asked and prompts.is_pager(self._heard):
                self.say("q")
                self.settle(most_s=8.0)
            self.forget()
            if self._shell_answers(attempt):
                return
            asked = True
            if attempt >= 2 and prompts.garbled(self.heard):
                break
            if attempt in (1, 4):
                self._take_back()
        self._give_up()

    def _shell_answers(self, attempt: int) -> bool:
        """Whether a shell computes for us; what a login prompt says to it is left in :attr:`heard`."""
        # A line that garbage came over may have been told to stop (XOFF), and may have half a word typed.
        self.say(b"\n" if attempt == 0 else XON + KILL_LINE + b"\n")
        self.settle(0.25 + 0.1 * min(attempt, 4), 6.0)
        heard = self._heard
        recognised = (prompts.is_login, prompts.is_password, prompts.is_boot_loader, prompts.is_pager)
        if any(is_that(heard) for is_that in recognised):
            return False
        if not heard and attempt < 2:
            return False
        if prompts.is_busy(heard):
            raise ConsoleUnusable(
                f"{self._description}: another program has the console (it shows {self.shown()!r})",
                remedy="end it there, or give the console a shell, then try again",
            )
        self.forget()
        self.say(" stty sane; echo LADING-$((6*7))\n")
        found = self.wait_for(_COMPUTED, ANSWER_S)
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
        for _ in range(2):
            self.forget()
            self.say(f"{user}\n")
            self._wait_until(lambda: prompts.is_password(self._heard) or self._let_in_or_refused(), 15.0)
            if not prompts.is_password(self._heard):
                break
            self._secret = self._secret or self._asked_for(user, password)
            # Who asked may have given up while it was typed. To a login prompt it would be a name: shown, logged.
            self.settle(0.05, 1.0)
            if prompts.is_password(self._heard):
                self.forget()
                self.say(self._secret + b"\n")
                self._wait_until(lambda: self._let_in_or_refused() or prompts.is_login(self._heard), 20.0)
                break
            self._wait_until(lambda: prompts.is_login(self._heard), 10.0)
        if prompts.is_refusal(self._heard) or prompts.is_login(self._heard):
            raise AuthFailed(
                f"{self._description}: the console does not let {user} in",
                remedy="check the user's name and the password",
            )
        self.logged_in = True
        self.settle(most_s=20.0)
        for attempt in range(4):
            self.forget()
            if self._shell_answers(attempt + 1):
                return
        self._give_up()

    def _asked_for(self, user: str, password: Callable[[str], str | None]) -> bytes:
        secret = password(user)
        if secret is None:
            self.say("\n")
            raise AuthFailed(
                f"{self._description}: {user} needs a password",
                remedy="set LADING_SERIAL_PASSWORD, or run this in a terminal to be asked",
            )
        return secret.encode("utf-8", "surrogateescape")

    def _let_in_or_refused(self) -> bool:
        return prompts.is_refusal(self._heard) or prompts.looks_like_shell(self._heard, or_other=True)

    def _refuse_boot_loader(self) -> None:
        if prompts.is_boot_loader(self._heard):
            raise ConsoleUnusable(
                f"{self._description}: a boot loader has the console (it shows {self.shown()!r})",
                remedy="let the board boot its system, then try again",
            )

    def _give_up(self) -> None:
        heard = self.heard.strip()
        self._refuse_boot_loader()
        if not heard:
            raise ConsoleUnusable(
                f"{self._description}: nothing answers on this line",
                remedy="check that the board is on, that RX and TX are crossed, and that its console is on this UART",
            )
        if prompts.garbled(heard):
            raise ConsoleUnusable(
                f"{self._description}: only garbage comes from this line",
                remedy="the baud rate is another one: ?baud=115200, 9600, 921600 or 1500000 are common",
            )
        raise ConsoleUnusable(
            f"{self._description}: there is no shell on this console (it shows {self.shown()!r})",
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
