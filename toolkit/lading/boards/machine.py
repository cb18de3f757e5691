"""A board that is a machine of QEMU: started, stopped, reset, cut off its power."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from lading.boards import initrd, programs
from lading.boards.arguments import SNAPSHOT, Ports, machine
from lading.boards.identity import identity_of
from lading.boards.ports import Overheard, choose, wait_for_banner
from lading.boards.qmp import Qmp, QmpGone
from lading.boards.state import MARK, Running, started_at
from lading.errors import BoardBroken, BoardUnavailable
from lading.links.secrets import clean_environment

if TYPE_CHECKING:
    from collections.abc import Callable

    from lading.boards.image import Image
    from lading.boards.state import State
    from lading.targets import Target
    from lading.targets.schema import DebianEmulation

START_ATTEMPTS: Final = 5
_APPEARS_S: Final = 30.0
_POLL_S: Final = 0.02
_END_S: Final = 30.0
_SAVE_S: Final = 120.0
_IN_USE: Final = ("Address already in use", "Could not set up host forwarding rule")


class PortTaken(BoardBroken):
    """Somebody else took a port between its choice and its use."""


def start(
    state: State,
    target: Target,
    emulation: DebianEmulation,
    image: Image,
    *,
    said: Callable[[str], None],
    wished: tuple[int | None, int | None] = (None, None),
) -> Running:
    """Start a machine, and wait until its SSH server says hello.

    Raises:
        BoardUnavailable: QEMU is missing or too old, or the board's disk belongs to an image that is gone.
        BoardBroken: it does not come up; nothing of it runs on.
    """
    found = programs.need((emulation.qemu, "qemu-img"), state.name)
    programs.need_version(found[emulation.qemu], emulation.least_qemu, state.name)
    resume = state.suspended.exists()
    identity = identity_of(state.identity)
    first = state.folder / "initrd"
    first.write_bytes(image.initrd.read_bytes() + initrd.board_part(identity.for_board(state.name)))
    if not state.disk.exists():
        _make_disk(state, image, found["qemu-img"])
    for attempt in range(START_ATTEMPTS):
        ssh, console = choose(2, wished if attempt == 0 else ())
        identity.enrol(state.name, ssh)
        words = machine(
            found[emulation.qemu],
            emulation,
            name=state.name,
            memory_bytes=target.memory_bytes or 512 * 1024 * 1024,
            cores=target.table.cpu.cores,
            image=image,
            disk=state.disk,
            initrd=first,
            ports=Ports(ssh, console),
            resume=resume,
        )
        try:
            return _come_up(state, words, emulation, image.digest, Ports(ssh, console), resume=resume, said=said)
        except PortTaken:
            if attempt == START_ATTEMPTS - 1:
                raise
        except BoardBroken:
            if not resume:
                raise
            # What was saved does not go on, with another QEMU for instance: the disk is as it was then.
            said("the suspended machine does not go on: the board boots")
            state.suspended.unlink(missing_ok=True)
            resume = False
    raise AssertionError


def _make_disk(state: State, image: Image, qemu_img: str) -> None:
    new = state.folder / ".disk.new"
    words = [qemu_img, "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", str(image.disk), str(new)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise BoardBroken(
            f"{state.name}: its disk cannot be made: {done.stderr.strip()[:300]}", remedy="see whether there is room"
        )
    new.replace(state.disk)
    state.suspended.unlink(missing_ok=True)


def _come_up(
    state: State,
    words: list[str],
    emulation: DebianEmulation,
    digest: str,
    ports: Ports,
    *,
    resume: bool,
    said: Callable[[str], None],
) -> Running:
    state.qmp.unlink(missing_ok=True)
    began = time.monotonic()
    overheard = Overheard(ports.console)
    process = launch(words, state)
    try:
        running = _note(state, process, digest, ports, resume=resume)
        _wait_for_qmp(state, process, began)
        said("the machine goes on" if resume else "the machine boots")
        _wait_for_login(state, process, ports, emulation.patience_s, overheard)
        if resume:
            with Qmp(state.qmp) as qmp:
                qmp.monitor(f"delvm {SNAPSHOT}", _SAVE_S)
            state.suspended.unlink(missing_ok=True)
        running = replace(running, ready=True)
        state.write(running)
    except BaseException:
        kill(process)
        state.forget()
        raise
    finally:
        overheard.close()
    let_go(process)
    return running


def _note(state: State, process: subprocess.Popen[bytes], digest: str, ports: Ports, *, resume: bool) -> Running:
    started = started_at(process.pid)
    if started is None:
        raise _ended(state, process)
    running = Running(process.pid, started, digest, ports.ssh, ports.console, resumed=resume)
    state.write(running)
    return running


def _wait_for_qmp(state: State, process: subprocess.Popen[bytes], began: float) -> None:
    while not state.qmp.exists():
        if process.poll() is not None or time.monotonic() - began > _APPEARS_S:
            raise _silent(state, process, "QEMU does not answer")
        time.sleep(_POLL_S)


def _wait_for_login(
    state: State, process: subprocess.Popen[bytes], ports: Ports, patience_s: float, overheard: Overheard
) -> None:
    if not wait_for_banner(ports.ssh, patience_s, lambda: process.poll() is None, meanwhile=overheard.listen):
        raise _silent(state, process, f"its SSH server says nothing for {patience_s:.0f} s", overheard.said)


def launch(words: list[str], state: State, stdout: int | None = None) -> subprocess.Popen[bytes]:
    """Start a process that outlives us, in a board's folder; it holds nothing of ours."""
    with state.log.open("wb") as log:
        try:
            return subprocess.Popen(
                words,
                cwd=state.folder,
                stdin=subprocess.DEVNULL,
                stdout=log if stdout is None else stdout,
                stderr=log,
                env={**clean_environment(), MARK: str(state.folder)},
                start_new_session=True,
            )
        except OSError as error:
            raise BoardUnavailable(
                f"{state.name}: {words[0]} cannot be started: {error.strerror}", remedy="see what it lacks"
            ) from error


def let_go(process: subprocess.Popen[bytes]) -> None:
    """Leave a process to run on: it outlives us on purpose, and nobody waits for it."""
    process.returncode = 0


def kill(process: subprocess.Popen[bytes]) -> None:
    """End a process that we started, at once."""
    process.kill()
    process.wait()


def _said(state: State) -> str:
    with contextlib.suppress(OSError):
        return state.log.read_text("utf-8", "replace").strip()
    return ""


def _ended(state: State, process: subprocess.Popen[bytes]) -> BoardBroken:
    process.wait()
    text = _said(state)
    if any(words in text for words in _IN_USE):
        return PortTaken(f"{state.name}: its ports were taken", remedy="try again")
    last = text.splitlines()[-1][:300] if text else f"it ended with status {process.returncode}"
    return BoardBroken(
        f"{state.name}: the machine ended at its start: {last}",
        remedy="try a fresh disk: lading board up --fresh",
        details={"said": text[-4000:]},
    )


def _silent(state: State, process: subprocess.Popen[bytes], what: str, console: str = "") -> BoardBroken:
    if process.poll() is not None:
        return _ended(state, process)
    lines = [line for line in console.splitlines() if line.strip()]
    last = f" (on its console: {lines[-1][:200]})" if lines else ""
    return BoardBroken(
        f"{state.name}: {what}{last}; it was switched off",
        remedy="try a fresh disk (lading board up --fresh), or a machine that is less busy",
        details={"said": _said(state)[-4000:], "console": console[-4000:]},
    )


# -- a machine that runs ----------------------------------------------------------------------------------------------


def wait_for_end(running: Running, patience_s: float) -> bool:
    """Wait until its process is gone."""
    until = time.monotonic() + patience_s
    while running.alive():
        if time.monotonic() > until:
            return False
        time.sleep(_POLL_S)
    # Where we are its parent, nobody else takes note of its end.
    with contextlib.suppress(ChildProcessError):
        os.waitpid(running.pid, os.WNOHANG)
    return True


def cut_power(state: State, running: Running) -> None:
    """End the machine as a power cut does: nothing is written any more, nobody is asked."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(running.pid, signal.SIGKILL)
    if not wait_for_end(running, _END_S):
        raise BoardBroken(f"{state.name}: process {running.pid} does not end", remedy="see what holds it")
    state.forget()


def end(pid: int) -> None:
    """End a process that plays a board, and that nobody noted."""
    started = started_at(pid)
    if started is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        wait_for_end(Running(pid, started, ""), _END_S)


def reset(state: State, running: Running, emulation: DebianEmulation) -> None:
    """Push the reset button, and wait until the board is up again."""
    with Qmp(state.qmp) as qmp:
        qmp.ask("system_reset")
    assert running.ssh_port is not None
    if not wait_for_banner(running.ssh_port, emulation.patience_s, running.alive):
        raise BoardBroken(f"{state.name}: it does not come up again after the reset", remedy="lading board up --fresh")


def suspend(state: State, running: Running) -> None:
    """Save the machine whole within its disk, and end it."""
    with Qmp(state.qmp) as qmp:
        qmp.ask("stop")
        said = qmp.monitor(f"savevm {SNAPSHOT}", _SAVE_S)
        if said:
            qmp.ask("cont")
            raise BoardBroken(f"{state.name}: it cannot be suspended: {said[:300]}", remedy="lading board down")
        state.suspended.touch()
        with contextlib.suppress(QmpGone):
            qmp.ask("quit")
    if not wait_for_end(running, _END_S):
        cut_power(state, running)
    state.forget()


def remove_state(state: State) -> None:
    """Forget what the board wrote, and who it was; the lock stays with whoever holds it."""
    for path in state.folder.iterdir() if state.folder.exists() else ():
        if path.name == "lock":
            continue
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
