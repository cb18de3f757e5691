"""Runs on a microcontroller: the shell commands that its firmware profile names."""

from __future__ import annotations

import contextlib
import re
import time
from typing import TYPE_CHECKING, Final

from lading.client.events import Output, Started
from lading.client.results import RunResult
from lading.errors import CannotRun, LadingError, SmpRefused, TimedOut, Unsupported
from lading_agent.wire.frames import STDOUT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lading.client.events import Event
    from lading.firmware.store import Installed
    from lading.links.smp import SmpLink
    from lading.profiles.schema import Mcu

POLL_S: Final = 0.2
COMMAND_S: Final = 10.0
DEFAULT_RUN_S: Final = 600.0
NOT_FOUND: Final = -8
"""What Zephyr's shell returns for a command that it does not have (ENOEXEC)."""
_COLOURS: Final = re.compile(r"\x1b\[[0-9;]*m")
NAMES_RELEASE: Final = ("{release}", "{slot}", "{file}")


class Shell:
    """The firmware's shell.

    Args:
        link: to the device.
        mcu: what the firmware profile says.
        path: makes the whole path of a slot's file.
    """

    def __init__(self, link: SmpLink, mcu: Mcu, path: Callable[[int], str]) -> None:
        self._link = link
        self._mcu = mcu
        self._path = path

    @property
    def runs(self) -> bool:
        """Whether the firmware can be told to run something."""
        return bool(self._mcu.run)

    @property
    def runs_any_release(self) -> bool:
        """Whether it can be told to run another release than the current one."""
        return any(name in word for word in self._mcu.run for name in NAMES_RELEASE)

    def run(
        self,
        release: Installed,
        args: Sequence[str],
        on_event: Callable[[Event], None] | None,
        timeout_s: float | None,
    ) -> RunResult:
        """Run a release and wait for its end."""
        if not self.runs:
            raise self._lacks("run")
        if not release.current and not self.runs_any_release:
            raise Unsupported(
                f"{self._link.description}: this firmware runs only the current release",
                remedy=f"make it current first: lading rollback DEVICE {release.app} --to {release.id}",
            )
        tell = on_event or (lambda _event: None)
        limit = timeout_s or DEFAULT_RUN_S
        ends = time.monotonic() + limit
        tell(Started(release.app, release.id))
        try:
            code = self._until_end(release, args, tell, limit, ends)
        except TimedOut:
            with contextlib.suppress(LadingError):
                self.stop(release)
            if time.monotonic() < ends:
                raise
            why = f"{release.app} did not end within {limit:g} s"
            remedy = "give it more time with --timeout"
            return RunResult("failed", 125, "time-limit", why, remedy, app=release.app, release=release.id)
        except KeyboardInterrupt:
            with contextlib.suppress(LadingError):
                self.stop(release)
            raise
        return RunResult(
            "exit", status_of(code), "exit", metrics={"return_code": code}, app=release.app, release=release.id
        )

    def _until_end(
        self, release: Installed, args: Sequence[str], tell: Callable[[Event], None], limit: float, ends: float
    ) -> int:
        """What the command returned, or what ``output`` returned last."""
        polled = bool(self._mcu.output)
        code, text = self._execute(self._words(self._mcu.run, release, args), COMMAND_S if polled else limit)
        self._tell(tell, text)
        self._must_be_known(code, self._mcu.run)
        if not polled or code != 0:
            return code
        while True:
            code, text = self._execute(self._words(self._mcu.output, release, ()), COMMAND_S)
            self._tell(tell, text)
            self._must_be_known(code, self._mcu.output)
            if code != self._mcu.again:
                return code
            if time.monotonic() > ends:
                raise TimedOut(f"{release.app} still runs", remedy="give it more time with --timeout")
            if not text:
                time.sleep(POLL_S)

    def stop(self, release: Installed) -> bool:
        """Tell the firmware to end what runs; whether it did (its command returned 0)."""
        if not self._mcu.stop:
            raise self._lacks("stop")
        code, _ = self._execute(self._words(self._mcu.stop, release, ()), COMMAND_S)
        self._must_be_known(code, self._mcu.stop)
        return code == 0

    def _execute(self, words: Sequence[str], limit: float) -> tuple[int, str]:
        from smpclient.requests.shell_management import Execute

        try:
            answer = self._link.ask(Execute(argv=list(words)), attempts=1, timeout_s=limit)
        except SmpRefused as refused:
            if refused.reason == "EMSGSIZE" and refused.details.get("command"):
                raise SmpRefused(
                    f"{self._link.description}: `{' '.join(words)}` says more than fits into the firmware's SMP buffer",
                    remedy="have it say less at a time: the key output in [mcu] of the firmware profile",
                    reason=refused.reason,
                ) from refused
            if refused.reason == "ENOTSUP":
                raise Unsupported(
                    f"{self._link.description}: the firmware takes no shell commands over SMP",
                    remedy="build it with CONFIG_MCUMGR_GRP_SHELL=y",
                ) from refused
            raise
        return int(answer.ret), plain(answer.o)

    def _words(self, template: Sequence[str], release: Installed, args: Sequence[str]) -> list[str]:
        values = {
            "{app}": release.app,
            "{release}": release.id,
            "{slot}": str(release.slot),
            "{file}": self._path(release.slot),
        }
        words: list[str] = []
        for word in template:
            if word == "{args}":
                words += args
                continue
            for name, value in values.items():
                word = word.replace(name, value)
            words.append(word)
        return words

    def _must_be_known(self, code: int, template: Sequence[str]) -> None:
        if code == NOT_FOUND:
            raise CannotRun(
                f"{self._link.description}: the firmware has no shell command `{template[0]}`",
                remedy="correct [mcu] in the firmware profile, or build the firmware with that command",
            )

    def _lacks(self, verb: str) -> Unsupported:
        return Unsupported(
            f"{self._link.description}: the firmware profile names no command to {verb} something",
            remedy=f"add it: the key {verb} in the table [mcu] of the firmware profile (docs/firmware.md)",
        )

    @staticmethod
    def _tell(tell: Callable[[Event], None], text: str) -> None:
        if text:
            tell(Output(STDOUT, text.encode()))


def plain(text: str) -> str:
    """What a command wrote: without the shell's own line ends and colours."""
    text = _COLOURS.sub("", text).replace("\r\n", "\n")
    return text.removeprefix("\n")


def status_of(code: int) -> int:
    """An exit status of a shell command's return code: an error number loses its sign."""
    return code if 0 <= code <= 255 else (-code if -255 <= code < 0 else 255)
