"""What can be done with boards: build, up, down, reset, power cut; and what there is."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from lading import names, targets
from lading.boards import image as images
from lading.boards import machine, program
from lading.boards.recipe import recipe_of
from lading.boards.state import State, state_of
from lading.errors import BoardBroken, BoardDown, DataFileError, DeviceUnreachable, LadingError
from lading.targets.schema import DebianEmulation, ProgramEmulation

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lading.boards.image import Image
    from lading.boards.state import Running
    from lading.targets import Target

    Said = Callable[[str], None]

DEFAULT: Final = "debian-arm64"
DOWN_S: Final = 60.0


def quiet(_text: str) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class Board:
    """A board: what it is, and what is kept of it."""

    target: Target
    state: State

    @property
    def name(self) -> str:
        """The target's id."""
        return self.target.id

    @property
    def emulation(self) -> DebianEmulation | ProgramEmulation:
        """How it is run."""
        found = self.target.table.emulation
        assert found is not None, "a board without an [emulation] table"
        return found


@dataclass(frozen=True)
class Raised:
    """A board that is up."""

    board: Board
    running: Running
    already: bool
    """Whether it was up before."""
    built: bool
    """Whether its image was built for it."""
    build_s: float
    start_s: float


def find(name: str = DEFAULT, project_dir: Path | None = None) -> Board:
    """The board that a name (exact, or a unique prefix) stands for.

    Raises:
        NameNotFound, NameNotUnique: no such board, or several.
        DataFileError: its file is wrong.
    """
    known = {target.id: target for target in boards(project_dir)}
    target = known[names.find(name, known, "board")]
    return Board(target, state_of(target.id))


def boards(project_dir: Path | None = None) -> list[Target]:
    """The targets that can be run here as boards, if this machine has what they need."""

    def skip(_error: DataFileError) -> None:
        """A file that is wrong is no board; whoever names it is told by ``lading targets``."""

    return [target for target in targets.all_targets(project_dir, skipped=skip) if target.table.emulation is not None]


def build(board: Board, *, again: bool = False, said: Said = quiet) -> tuple[str, bool]:
    """Have everything that the board starts from; returns its digest, and whether it had to be made.

    Raises:
        BoardUnavailable: this machine lacks something.
        BoardBuildFailed: it could not be made.
    """
    emulation = board.emulation
    if isinstance(emulation, ProgramEmulation):
        return program.fetch(board.name, emulation, said)
    recipe = recipe_of(emulation, board.target.storage_bytes or 0)
    there = images.present(recipe.digest) is not None
    images.build(recipe, board.name, said=said, again=again)
    return recipe.digest, again or not there


def up(board: Board, *, fresh: bool = False, said: Said = quiet) -> Raised:
    """Have a board run: built, started and awaited where it does not.

    Args:
        board: which.
        fresh: forget what it wrote, and who it was.
        said: told what is being done.

    Raises:
        BoardUnavailable: this machine lacks something.
        BoardBuildFailed, BoardBroken: it could not be built, or does not come up. Nothing of it runs on.
        BoardBusy: another command is at work on it.
    """
    state = board.state
    with state.lock():
        running = _settled(board)
        if running is not None and not fresh:
            return Raised(board, running, already=True, built=False, build_s=0.0, start_s=0.0)
        if running is not None:
            machine.cut_power(state, running)
        if fresh:
            machine.remove_state(state)
        began = time.monotonic()
        digest, built = build(board, said=said)
        ready = time.monotonic()
        emulation = board.emulation
        if isinstance(emulation, ProgramEmulation):
            running = program.start(state, emulation)
        else:
            image = _image(board, digest, said)
            running = machine.start(state, board.target, emulation, image, said=said)
            if running.resumed:
                try:
                    _command(board, running, f"date -u -s @{int(time.time())} >/dev/null")
                except BaseException:
                    machine.cut_power(state, running)
                    raise
        return Raised(
            board, running, already=False, built=built, build_s=ready - began, start_s=time.monotonic() - ready
        )


def _image(board: Board, digest: str, said: Said) -> Image:
    """The image to start with: the one that the board's disk was made over, where it has a disk already."""
    mark = board.state.folder / "image"
    if board.state.disk.exists():
        before = mark.read_text().strip() if mark.exists() else ""
        found = images.present(before)
        if before != digest and found is not None:
            said("its disk stands on an older image: --fresh takes the new one")
            return found
        if before != digest:
            raise BoardBroken(
                f"{board.name}: its disk was made over an image that is gone ({before[:12] or 'unknown'})",
                remedy=f"start with a fresh disk: lading board up {board.name} --fresh",
            )
    image = images.present(digest)
    assert image is not None, "an image that was just built"
    mark.write_text(digest)
    return image


def down(board: Board, *, suspend: bool = False) -> bool:
    """Switch a board off; returns False where it was off.

    Args:
        board: which.
        suspend: save the machine whole, so that the next ``up`` goes on with it.

    Raises:
        BoardBroken: it cannot be saved, or does not end.
    """
    with board.state.lock():
        running = _settled(board)
        if running is None:
            return False
        emulation = board.emulation
        if isinstance(emulation, ProgramEmulation):
            machine.cut_power(board.state, running)
        elif suspend:
            if not emulation.suspends:
                raise BoardBroken(
                    f"{board.name}: QEMU cannot save this machine", remedy=f"lading board down {board.name}"
                )
            machine.suspend(board.state, running)
        else:
            with contextlib.suppress(DeviceUnreachable):  # a board that hangs is switched off as well
                _command(board, running, "poweroff")
            if not machine.wait_for_end(running, DOWN_S):
                machine.cut_power(board.state, running)
            board.state.forget()
        return True


def power_cut(board: Board) -> bool:
    """Cut a board's power without mercy; returns False where it was off."""
    with board.state.lock():
        running = _settled(board)
        if running is None:
            return False
        machine.cut_power(board.state, running)
        return True


def reset(board: Board) -> Running:
    """Push a board's reset button, and wait until it is up again.

    Raises:
        BoardDown: it does not run.
        BoardBroken: it does not come up again.
    """
    with board.state.lock():
        running = _settled(board)
        if running is None:
            raise down_error(board)
        emulation = board.emulation
        if isinstance(emulation, ProgramEmulation):
            machine.cut_power(board.state, running)
            return program.start(board.state, emulation)
        machine.reset(board.state, running, emulation)
        return running


def running(board: Board) -> Running:
    """The process that plays the board.

    Raises:
        BoardDown: there is none.
    """
    found = board.state.running()
    if found is None or not found.ready:
        raise down_error(board)
    return found


def down_error(board: Board) -> BoardDown:
    """That a board does not run."""
    return BoardDown(f"{board.name}: this board is not up", remedy=f"start it: lading board up {board.name}")


def _settled(board: Board) -> Running | None:
    """The process that plays the board; what a command left that was killed at its start is ended first.

    Whoever calls holds the board's lock: nobody is about to start it.
    """
    found = board.state.running()
    for stray in board.state.strays():
        if found is None or not found.ready or stray != found.pid:
            machine.end(stray)
    if found is None or not found.ready:
        board.state.forget()
        return None
    return found


def _command(board: Board, running: Running, line: str) -> None:
    """Have root run a command on a board."""
    from lading.boards.reach import root_host

    try:
        with root_host(board, running) as host:
            host.run(line, timeout_s=DOWN_S)
    except DeviceUnreachable:
        raise
    except LadingError as error:
        raise DeviceUnreachable(f"{board.name}: {error.message}", remedy=error.remedy) from error
