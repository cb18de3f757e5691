"""Where probe guests run: on a device through its agent, or under any program that runs modules."""

from __future__ import annotations

import os
import selectors
import shlex
import signal
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Final

from lading.errors import DeviceError, UsageError
from lading.probe.guests import assemble
from lading.probe.models import model
from lading.probe.observed import MOST_OUTPUT, End, GuestResult, read_output
from lading.probe.prologues import NAME
from lading_agent.runs.words import fill

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lading.client import Session
    from lading.client.probing import ProbedGuest
    from lading.probe.script import Program

TIME_S: Final = 30.0
_LATE: Final = f"not over after {TIME_S:g} s"
_SIGNALS: Final = {int(signal.SIGABRT): "abort", int(signal.SIGSEGV): "segv", int(signal.SIGBUS): "segv"}
_CRASHES: Final = {"host-abort": "abort", "host-segv": "segv", "interpreter-crashed": "died"}

_FAILURES: Final = ("no-backend", "runner-failed", "host-failed", "no-model", "no-engine")


class CannotProbe(DeviceError):
    """The device's runtime does not run guests at all."""

    code = "cannot-probe"


def end_outcome(outcome: str, kind: str, message: str, remedy: str) -> str:
    """A run's outcome in the words of :class:`End`.

    Raises:
        CannotProbe: the runner failed for a reason of its own.
    """
    if outcome == "failed" and kind in _FAILURES:
        raise CannotProbe(f"the device's runner cannot run guests: {message}", remedy=remedy)
    return _CRASHES.get(kind, outcome)


class AgentRunner:
    """Runs guests on a device.

    Args:
        session: a session with the device's agent.
        at_once: how many guests may run at the same time.
        on_guest: called as each guest has ended.
        runtime: a runtime of the device's own, in place of lading's.
    """

    names = True

    def __init__(
        self,
        session: Session,
        *,
        at_once: int = 1,
        on_guest: Callable[[], None] | None = None,
        runtime: str | None = None,
    ) -> None:
        self._session = session
        self._at_once = at_once
        self._on_guest = on_guest
        self._asked = runtime
        self.runtime = ""
        """What the device's runner calls itself."""

    def __call__(self, programs: Sequence[Program]) -> list[GuestResult]:
        """Run them all, in one round trip.

        Raises:
            CannotProbe: the runner fails for a reason of its own, such as a missing interpreter.
        """
        results = self._session.probe(
            [assemble(program) for program in programs],
            {NAME: model("echo_f32")},
            at_once=self._at_once,
            timeout_s=TIME_S,
            runtime=self._asked,
            on_guest=self._on_guest,
        )
        return [self._result(program, result) for program, result in zip(programs, results, strict=True)]

    def _result(self, program: Program, result: ProbedGuest) -> GuestResult:
        self.runtime = self.runtime or result.runtime
        outcome = end_outcome(result.outcome, result.kind, result.message, result.remedy)
        read = read_output(program, result.output, End(outcome, result.status, result.message))
        return as_command(read) if self._asked is not None else read


def as_command(result: GuestResult) -> GuestResult:
    """What came of a guest under a program that says nothing but its exit status.

    A guest that began and was not heard to finish did not end by itself, whatever the status.
    """
    if result.end.outcome == "exit" and result.began and not result.finished:
        return GuestResult(result.calls, End("died", result.end.status, result.end.message), began=True)
    return result


class CommandRunner:
    """Runs guests under a program of this machine.

    Args:
        command: its command line, with ``{module}`` where the module's path belongs. ``{model}`` stands for the path of
            the echo model, for runtimes that are told named models when they start; the name is ``lading-probe``.
        at_once: how many may run at the same time.
        on_guest: called as each guest has ended.

    Raises:
        UsageError: the command cannot be read, or has no place for the module.
    """

    def __init__(self, command: str, *, at_once: int = 1, on_guest: Callable[[], None] | None = None) -> None:
        try:
            self._words = shlex.split(command)
        except ValueError as error:
            raise UsageError(f"--command cannot be read: {error}", remedy="close the quotes") from None
        if not any("{module}" in word for word in self._words):
            raise UsageError(
                f"--command {command!r} has no place for the module", remedy="write {module} where its path belongs"
            )
        self.names = any("{model}" in word for word in self._words)
        self.runtime = command
        self._at_once = at_once
        self._on_guest = on_guest

    def __call__(self, programs: Sequence[Program]) -> list[GuestResult]:
        """Run them all."""
        with tempfile.TemporaryDirectory(prefix="lading-conformance-") as folder:
            echo = Path(folder) / f"{NAME}.tflite"
            echo.write_bytes(model("echo_f32"))
            paths = []
            for number, program in enumerate(programs):
                # A folder each: a runtime may write beside the module.
                home = Path(folder) / str(number)
                home.mkdir()
                path = home / "guest.wasm"
                path.write_bytes(assemble(program))
                paths.append(path)
            with ThreadPoolExecutor(self._at_once, thread_name_prefix="conformance") as pool:
                return list(pool.map(lambda pair: self._one(pair[0], pair[1], echo), zip(programs, paths, strict=True)))

    def _one(self, program: Program, path: Path, echo: Path) -> GuestResult:
        words = fill(self._words, {"module": str(path), "model": str(echo)})
        try:
            process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            raise UsageError(
                f"--command: {words[0]} cannot be started: {error.strerror}", remedy="give the program's path"
            ) from error
        try:
            with process:
                output, complaint, broken_off = _listen(process)
            if broken_off:
                return read_output(program, output, End("died", 128 + signal.SIGKILL, broken_off))
        finally:
            if self._on_guest is not None:
                self._on_guest()
        last = complaint[-2000:].decode("utf-8", "replace").strip().splitlines()[-1:]
        return as_command(read_output(program, output, _end(process.returncode, last[0][:300] if last else "")))


def _listen(process: subprocess.Popen[bytes]) -> tuple[bytes, bytes, str]:
    """What a program writes on its two streams until it ends; and why it was ended, if it was.

    A program that writes without end is ended as soon as it wrote more than is ever read, and a process that it left
    behind with its streams is not waited for.
    """
    assert process.stdout is not None
    assert process.stderr is not None
    heard = {process.stdout: bytearray(), process.stderr: bytearray()}
    deadline = time.monotonic() + TIME_S
    why = ""
    with selectors.DefaultSelector() as selector:
        for stream in heard:
            selector.register(stream, selectors.EVENT_READ, heard[stream])
        while selector.get_map() and not why:
            for key, _ in selector.select(max(deadline - time.monotonic(), 0)):
                piece = os.read(key.fd, 65536)
                key.data.extend(piece)
                if not piece:
                    selector.unregister(key.fileobj)
            if max(map(len, heard.values())) > MOST_OUTPUT:
                why = f"wrote more than {MOST_OUTPUT} bytes"
            elif time.monotonic() >= deadline:
                why = _LATE
    if not why:
        try:
            process.wait(max(deadline - time.monotonic(), 0))
        except subprocess.TimeoutExpired:
            why = _LATE
    if why:
        os.killpg(process.pid, signal.SIGKILL)
    return bytes(heard[process.stdout][:MOST_OUTPUT]), bytes(heard[process.stderr][:MOST_OUTPUT]), why


def _end(code: int, message: str) -> End:
    if code >= 0:
        return End("exit", code, message)
    number = -code
    outcome = _SIGNALS.get(number, "died")
    return End(outcome, 128 + number, message)
